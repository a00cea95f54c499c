//! What the log says of the state: whether a database is the one that the record tells of.

use std::path::Path;

use serde::Deserialize;

use super::{Filter, search, writers};
use crate::{StoreError, log::line::View};

/// The part of a record that names a revision.
#[derive(Deserialize)]
struct Names {
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    revision: String,
}

/// The newest revision that was saved, by the record of one writer: its number, a hyphen, its digest. None if the record
/// knows of none. What is published before it is saved, as an older version did, says nothing of what was saved.
///
/// The last record is asked first; `is_it` says whether it names what is expected. If not, all are: outcomes that a crash
/// has taken are written after those of newer revisions. Without a sound index, the log itself is read.
///
/// # Errors
/// [`StoreError`] if the log can't be read.
pub fn last_revision(
    directory: &Path,
    writer: &str,
    is_it: impl Fn(&str) -> bool,
) -> Result<Option<String>, StoreError> {
    let filter = Filter { kind: Some(APPLIED.to_owned()), ..Filter::default() };
    let newest = |limit: usize| -> Result<Option<String>, StoreError> {
        let found = match search(directory, &filter, limit) {
            // Not even begun.
            Err(StoreError::NoLog { .. }) => return Ok(None),
            Err(StoreError::Database { .. }) => return by_reading(directory, writer),
            found => found?,
        };
        let ours = found.iter().filter(|entry| *entry.writer == *writer);
        Ok(ours.filter_map(|entry| named(entry.line.as_bytes())).max_by_key(|revision| number(revision)))
    };
    match newest(1)? {
        Some(last) if is_it(&last) => Ok(Some(last)),
        _ => newest(usize::MAX),
    }
}

/// The kind of the records that say so.
const APPLIED: &str = "change.applied";

/// The same from the segments alone.
pub(super) fn by_reading(directory: &Path, writer: &str) -> Result<Option<String>, StoreError> {
    let mut newest: Option<String> = None;
    for reading in writers(directory)?.into_iter().filter(|reading| *reading.writer == *writer) {
        let mut cursor = reading.first()?;
        while let Some(line) = cursor.next().map_err(reading.unread())? {
            let applied = View::parse(line.bytes).is_some_and(|view| view.kind == APPLIED);
            let revision = if applied { named(line.bytes) } else { None };
            newest = newest.into_iter().chain(revision).max_by_key(|revision| number(revision));
        }
    }
    Ok(newest)
}

fn named(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Names>(line).ok().map(|names| names.change.revision)
}

fn number(revision: &str) -> u64 {
    revision.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
