//! What the log says of the state: whether a database is the one that the record tells of.

use std::path::Path;

use serde::Deserialize;

use super::{Entry, Filter, search};
use crate::StoreError;

/// The parts of a record that name a revision.
#[derive(Deserialize)]
struct Names {
    change: Option<Change>,
    after: Option<After>,
}

#[derive(Deserialize)]
struct Change {
    revision: String,
}

#[derive(Deserialize)]
struct After {
    revision: Option<String>,
}

/// The newest revision that was saved or put in force, by the record: its number, a hyphen, its digest. None if the
/// record knows of none.
///
/// # Errors
/// [`StoreError`] if the log can't be read.
pub fn last_revision(directory: &Path) -> Result<Option<String>, StoreError> {
    let newest = |kind: &str| -> Result<Option<Entry>, StoreError> {
        let filter = Filter { kind: Some(kind.to_owned()), ..Filter::default() };
        Ok(search(directory, &filter, 1)?.into_iter().next())
    };
    let (applied, published) = (newest("change.applied")?, newest("snapshot.published")?);
    let last = applied.into_iter().chain(published).max_by_key(|entry| entry.index);
    let names = last.and_then(|entry| serde_json::from_str::<Names>(&entry.line).ok());
    Ok(names.and_then(|Names { change, after }| match change {
        Some(change) => Some(change.revision),
        None => after.and_then(|after| after.revision),
    }))
}
