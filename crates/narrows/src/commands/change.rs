//! `narrows apply`, `diff` and `delete`: changes of resources, through the API.

use std::path::PathBuf;

use narrows_console::{Change, ChangeRequest, Document, Named};
use narrows_core::resource::{Documents, SourceFile};

use crate::{
    api::Api,
    cli::{ChangeArgs, DeleteArgs, DiffArgs, HowArgs, OutputFormat},
    commands::differences,
    failure::Failure,
    output, sources,
};

/// `apply`: puts what is in the files in place.
pub(crate) async fn apply(api: Api, args: ChangeArgs) -> Result<(), Failure> {
    let ChangeArgs { files, take_over, how } = args;
    let documents = read(&files)?.into_iter().map(document).collect();
    let request = ChangeRequest { documents, take_over, ..asked(&how) };
    let change: Change = api.post("/changes", &request).await?;
    output::print(how.output, &change, |change| summary(change, how.dry_run))
}

/// `diff`: what `apply` would change.
pub(crate) async fn diff(api: Api, args: DiffArgs) -> Result<(), Failure> {
    let documents = read(&args.files)?.into_iter().map(document).collect();
    let request = ChangeRequest { documents, dry_run: true, ..ChangeRequest::default() };
    let change: Change = api.post("/changes", &request).await?;
    if change.changes.is_empty() {
        eprintln!("nothing is different from revision {}", change.base);
    }
    output::print(args.output, &change, |change| differences::text(&change.changes))
}

/// `delete`: removes what is named, or what is in the files.
pub(crate) async fn delete(api: Api, args: DeleteArgs) -> Result<(), Failure> {
    let DeleteArgs { files, kind, name, how } = args;
    let remove = match (kind, name) {
        (Some(kind), Some(name)) => vec![Named { kind: kind.0.to_string(), name }],
        (_, _) => named_in(&read(&files)?)?,
    };
    let request = ChangeRequest { remove, ..asked(&how) };
    let change: Change = api.post("/changes", &request).await?;
    output::print(how.output, &change, |change| summary(change, how.dry_run))
}

fn asked(how: &HowArgs) -> ChangeRequest {
    ChangeRequest {
        base: how.base.map(|base| base.0),
        dry_run: how.dry_run,
        reason: how.reason.clone(),
        ..ChangeRequest::default()
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<SourceFile>, Failure> {
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

fn document(file: SourceFile) -> Document {
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
pub(super) fn summary(change: &Change, dry_run: bool) -> String {
    if change.changes.is_empty() {
        return format!("nothing to change: revision {} is in force\n", change.base);
    }
    let list = differences::list(&change.changes, dry_run);
    if dry_run {
        format!("{list}nothing was changed: this was a dry run\n")
    } else {
        format!("{list}revision {} is in force\n", change.revision)
    }
}

/// A change in the form asked for.
pub(super) fn print(change: &Change, format: OutputFormat, dry_run: bool) -> Result<(), Failure> {
    output::print(format, change, |change| summary(change, dry_run))
}
