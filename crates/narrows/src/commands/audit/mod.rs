//! `narrows audit`: reading the log, and checking it. Nothing here writes to it, and all of it works while `up` does.

mod table;

use std::{path::Path, time::Duration};

use narrows_core::{audit::checkpoint::VerifierKey, ports::LogIndex};
use narrows_store::{
    audit::{self, Entry, ExportedWriter, Filter, Tail, VerifyReport, Which},
    key::SigningKey,
};

use crate::{
    cli::{
        AuditExportArgs, AuditSearchArgs, AuditShowArgs, AuditTailArgs, AuditVerifyArgs, ExportFormat,
        OutputFormat, value_name,
    },
    data_dir::DataDir,
    failure::Failure,
    keys::Keys,
    output, times,
};

/// A file that only an export has.
const EXPORTED: &str = "records.jsonl";
/// A file that a writer's directory has.
const CHECKPOINT: &str = "checkpoint";
/// How often `tail --follow` looks for more.
const LOOK: Duration = Duration::from_millis(200);

/// `audit tail`: records as they come, one a line in JSON.
pub(crate) fn tail(data_dir: &DataDir, args: &AuditTailArgs) -> Result<(), Failure> {
    let mut tail = Tail::open(&data_dir.log(), args.lines).map_err(Failure::from_store)?;
    let mut heading = table::Heading::Wanted;
    loop {
        let entries = tail.poll().map_err(Failure::from_store)?;
        output::write(&match args.output {
            OutputFormat::Table => table::render(&entries, heading),
            OutputFormat::Json => entries.iter().map(|entry| one_line(entry) + "\n").collect(),
            OutputFormat::Yaml => yaml(&entries)?,
        })?;
        heading = table::Heading::Said;
        if !args.follow {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// `audit search`: the newest records that match, newest first.
pub(crate) fn search(data_dir: &DataDir, args: &AuditSearchArgs) -> Result<(), Failure> {
    let now = jiff::Timestamp::now();
    let time = |text: &Option<String>, option: &str| {
        text.as_deref()
            .map(|text| times::moment(text, now).map_err(|failure| failure.in_usage(option)))
            .transpose()
    };
    let filter = Filter {
        since: time(&args.since, "--since")?,
        until: time(&args.until, "--until")?,
        kind: args.kind.as_ref().and_then(value_name),
        subject: args.subject.clone(),
        namespace: args.server.as_ref().map(|server| server.namespace.to_string()),
        server: args.server.as_ref().map(|server| server.name.to_string()),
        tool: args.tool.clone(),
        method: args.method.clone(),
        status: args.status.as_ref().and_then(value_name),
        effect: args.effect.as_ref().and_then(value_name),
        request: None,
        text: args.text.clone(),
    };
    let entries = audit::search(&data_dir.log(), &filter, args.limit).map_err(Failure::from_store)?;
    if entries.is_empty() {
        eprintln!("no records");
    }
    output::write(&match args.output {
        OutputFormat::Table => table::render(&entries, table::Heading::Wanted),
        OutputFormat::Json => {
            let lines: Vec<String> = entries.iter().map(one_line).collect();
            if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
        }
        OutputFormat::Yaml => yaml(&entries)?,
    })
}

/// `audit show`: one record whole, and the intent or outcome that belongs to it.
pub(crate) fn show(data_dir: &DataDir, args: &AuditShowArgs) -> Result<(), Failure> {
    let which = match args.record.parse() {
        Ok(index) => Which::Index { writer: None, index: LogIndex(index) },
        Err(_) => Which::Id(args.record.clone()),
    };
    let shown = audit::show(&data_dir.log(), &which).map_err(Failure::from_store)?.ok_or_else(|| {
        Failure::new(format!("the log has no record `{}`", args.record))
            .hint("give a record's `id`, a request's `id` or an index: `narrows audit search` lists them")
    })?;
    let entries: Vec<Entry> = std::iter::once(shown.entry).chain(shown.counterpart).collect();
    output::write(&match args.output {
        OutputFormat::Table => table::render(&entries, table::Heading::Wanted),
        OutputFormat::Json => {
            let lines: Vec<String> = entries.iter().map(one_line).collect();
            format!("[\n{}\n]\n", lines.join(",\n"))
        }
        OutputFormat::Yaml => yaml(&entries)?,
    })
}

/// `audit verify`: whether the log, here or exported, is as it was written.
pub(crate) fn verify(
    data_dir: impl FnOnce() -> Result<DataDir, Failure>,
    args: &AuditVerifyArgs,
) -> Result<(), Failure> {
    let report = match (&args.dir, &args.key) {
        (Some(directory), Some(key)) => check_named(directory, &read_key(key)?)?,
        (_, Some(key)) => check(&data_dir()?.log(), &read_key(key)?)?,
        (_, None) => {
            let data_dir = data_dir()?;
            check(&data_dir.log(), &own_key(&data_dir)?)?
        }
    };
    output::print(args.output, &report, verdict)?;
    match report.writers.iter().map(|writer| writer.problems.len()).sum::<usize>() {
        0 if report.writers.is_empty() => Err(Failure::new("there is nothing to check")),
        0 => Ok(()),
        count => Err(Failure::new(format!("the log is not as it was written: {count} problems"))
            .hint("keep a copy as evidence; compare with checkpoints that were sent elsewhere")),
    }
}

/// `audit export`: a copy that a verifier needs nothing else for but the public key.
pub(crate) fn export(data_dir: &DataDir, args: &AuditExportArgs) -> Result<(), Failure> {
    match args.format {
        ExportFormat::Jsonl => {}
    }
    let report = audit::export(&data_dir.log(), &args.directory).map_err(Failure::from_store)?;
    let mut text = String::new();
    for ExportedWriter { writer, records, bytes, uncovered } in &report.writers {
        text.push_str(&format!("{writer}: {records} records, {bytes} bytes\n"));
        match uncovered {
            0 => {}
            1 => eprintln!("{writer}: 1 newer record is left out: no checkpoint covers it yet"),
            _ => eprintln!("{writer}: {uncovered} newer records are left out: no checkpoint covers them yet"),
        }
    }
    text.push_str(&format!("public key: {}\n", own_key(data_dir)?));
    output::write(&text)
}

/// Checks a directory that somebody names: all of a log, or one writer's.
fn check_named(directory: &Path, key: &VerifierKey) -> Result<VerifyReport, Failure> {
    let exported = |path: &Path| path.join(EXPORTED).exists();
    let mut inside = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    if exported(directory) || inside.any(|path| exported(&path)) {
        return Err(Failure::new(format!("`{}` is an export, not a log", directory.display()))
            .hint("check it with `narrows-verify`"));
    }
    if !directory.join(CHECKPOINT).exists() {
        return check(directory, key);
    }
    let whole = directory.canonicalize().map_err(anyhow::Error::from)?;
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str()))
    else {
        return check(directory, key);
    };
    let mut report = check(parent, key)?;
    report.writers.retain(|writer| *writer.writer == *name);
    Ok(report)
}

fn check(directory: &Path, key: &VerifierKey) -> Result<VerifyReport, Failure> {
    audit::verify(directory, key).map_err(Failure::from_store)
}

/// The key of this installation's log, under the name that its checkpoints carry.
fn own_key(data_dir: &DataDir) -> Result<VerifierKey, Failure> {
    let key = SigningKey::from_pem(Keys::log_signing(data_dir)?.as_str()).map_err(Failure::from_store)?;
    key.verifier(&data_dir.installation()?.log_origin()).map_err(Failure::from_store)
}

fn read_key(path: &Path) -> Result<VerifierKey, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))?;
    text.trim().parse().map_err(|error| {
        Failure::from_error(&error)
            .during(&format!("`{}` is not a public key of a log", path.display()))
            .hint("it is one line, `name+id+key`, as `narrows audit export` prints it")
    })
}

fn verdict(report: &VerifyReport) -> String {
    let mut text = String::new();
    for writer in &report.writers {
        let word = if writer.problems.is_empty() { "ok" } else { "NOT OK" };
        text.push_str(&format!(
            "{}: {word}: {} records, {} of them under {} signed checkpoints, {} intents open\n",
            writer.writer, writer.records, writer.covered, writer.checkpoints, writer.open_intents
        ));
        for problem in &writer.problems {
            let place = problem.index.map(|index| format!(" record {}", index.0)).unwrap_or_default();
            text.push_str(&format!("  {}{place}: {}\n", problem.file, output::printable(&problem.message)));
        }
    }
    text
}

/// The record as it lies in the log, byte for byte, with its place.
fn one_line(entry: &Entry) -> String {
    format!("{{\"writer\":\"{}\",\"index\":{},\"record\":{}}}", entry.writer, entry.index.0, entry.line)
}

fn yaml(entries: &[Entry]) -> Result<String, Failure> {
    let mut text = String::new();
    for entry in entries {
        let value: serde_json::Value = serde_json::from_str(&one_line(entry)).map_err(anyhow::Error::from)?;
        text.push_str("---\n");
        text.push_str(&output::yaml(&value)?);
    }
    Ok(text)
}
