//! `narrows apply`, `diff` and `delete`: changes of resources, through the API.

use std::path::PathBuf;

use narrows_console::{Change, ChangeRequest, Document, Named};
use narrows_control::Run;
use narrows_core::resource::{Documents, SourceFile};

use crate::{
    api::Api,
    cli::{ChangeArgs, DeleteArgs, DiffArgs, HowArgs, OutputFormat},
    commands::differences,
    failure::Failure,
    output, sources,
};

/// `apply`: puts what is in the files in place.
pub(crate) async fn apply(api: &Api, args: ChangeArgs) -> Result<(), Failure> {
    let ChangeArgs { files, take_over, how } = args;
    let documents = documents(&files)?;
    let request = ChangeRequest { documents, take_over, ..asked(&how) };
    let change: Change = api.post("/changes", &request).await?;
    print(&change, how.output, how.run())
}

/// `diff`: what `apply` would change.
pub(crate) async fn diff(api: &Api, args: DiffArgs) -> Result<(), Failure> {
    let documents = documents(&args.files)?;
    let request = ChangeRequest { documents, dry_run: true, ..ChangeRequest::default() };
    let change: Change = api.post("/changes", &request).await?;
    differences::warn(&change.warnings);
    if change.changes.is_empty() {
        eprintln!("nothing is different from revision {}", change.base);
    }
    output::print(args.output, &change, |change| differences::text(&change.changes))
}

/// `delete`: removes what is named, or what is in the files.
pub(crate) async fn delete(api: &Api, args: DeleteArgs) -> Result<(), Failure> {
    let DeleteArgs { files, kind, name, how } = args;
    let remove = match (kind, name) {
        (Some(kind), Some(name)) => vec![Named { kind: kind.0.to_string(), name }],
        (_, _) => named_in(&read(&files)?)?,
    };
    let request = ChangeRequest { remove, ..asked(&how) };
    let change: Change = api.post("/changes", &request).await?;
    print(&change, how.output, how.run())
}

/// How a change is asked for.
pub(super) fn asked(how: &HowArgs) -> ChangeRequest {
    ChangeRequest {
        base: how.base.as_ref().map(ToString::to_string),
        dry_run: how.dry_run,
        reason: how.reason.clone(),
        ..ChangeRequest::default()
    }
}

pub(super) fn read(files: &[PathBuf]) -> Result<Vec<SourceFile>, Failure> {
    let (read, problems) = sources::read(files);
    if !problems.is_empty() {
        return Err(Failure::problems(problems, "not changed"));
    }
    if read.is_empty() {
        return Err(Failure::new("there are no resources in these files")
            .hint("of a directory, the *.yaml, *.yml and *.json in it are read"));
    }
    Ok(read)
}

/// What is in files, as it is sent.
fn documents(files: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    Ok(read(files)?.into_iter().map(document).collect())
}

/// A file, as it is sent.
pub(super) fn document(file: SourceFile) -> Document {
    Document { name: file.name.to_string(), text: file.text }
}

/// What is in files, by name. A document that something is wrong with is not guessed at.
fn named_in(files: &[SourceFile]) -> Result<Vec<Named>, Failure> {
    let documents = Documents::read(files);
    if !documents.problems().is_empty() {
        return Err(Failure::problems(documents.problems().to_vec(), "not changed"));
    }
    Ok(documents.objects().iter().map(|(object, _)| Named::from(&object.key())).collect())
}

/// What a change came to, for people.
fn summary(change: &Change, run: Run) -> String {
    if change.changes.is_empty() {
        return format!("nothing to change: revision {} is in force\n", change.base);
    }
    let list = differences::list(&change.changes, run);
    match run {
        Run::Dry => format!("{list}nothing was changed: this was a dry run\n"),
        Run::Real => format!("{list}revision {} is in force\n", change.revision),
    }
}

/// A change in the form asked for. That it can't be printed does not undo it.
pub(super) fn print(change: &Change, format: OutputFormat, run: Run) -> Result<(), Failure> {
    differences::warn(&change.warnings);
    let printed = output::print(format, change, |change| summary(change, run));
    printed.map_err(|failure| match change.applied {
        true => failure.during(&format!("revision {} is in force, but", change.revision)),
        false => failure,
    })
}
