//! What the log says of the state: whether a database is the one that the record tells of.

use std::path::Path;

use serde::Deserialize;

use super::{Filter, search};
use crate::StoreError;

/// The part of a record that names a revision.
#[derive(Deserialize)]
struct Names {
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    revision: String,
}

/// The newest revision that was saved, by the record: its number, a hyphen, its digest. None if the record knows of none.
/// What is published before it is saved, as an older version did, says nothing of what was saved.
///
/// # Errors
/// [`StoreError`] if the log can't be read.
pub fn last_revision(directory: &Path) -> Result<Option<String>, StoreError> {
    let filter = Filter { kind: Some("change.applied".to_owned()), ..Filter::default() };
    let last = search(directory, &filter, 1)?.into_iter().next();
    Ok(last
        .and_then(|entry| serde_json::from_str::<Names>(&entry.line).ok())
        .map(|names| names.change.revision))
}
