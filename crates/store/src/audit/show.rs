//! One record, and the one that belongs to it.

use std::path::Path;

use narrows_core::ports::{LogIndex, Pairing};

use super::{Entry, Reading, writers};
use crate::{
    StoreError,
    index::{BLOCK, Next, Term},
    log::{line::View, read::Cursor},
};

/// Which record to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its `id`; or by a `request.id`, which shows the request's first record.
    Id(String),
    /// By its place; the writer may be left out where there is one.
    Index {
        /// The writer.
        writer: Option<String>,
        /// The place.
        index: LogIndex,
    },
}

/// A record and the one that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The record asked for.
    pub entry: Entry,
    /// The outcome of an intent, or the intent of an outcome.
    pub counterpart: Option<Entry>,
}

/// One record; none if there is no such.
///
/// # Errors
/// [`StoreError`] if there is no log or it can't be read.
pub fn show(directory: &Path, which: &Which) -> Result<Option<Shown>, StoreError> {
    for reading in writers(directory)? {
        let entry = match which {
            Which::Id(id) => by_id(&reading, id)?,
            Which::Index { writer: Some(writer), .. } if **writer != *reading.writer => None,
            Which::Index { index, .. } => reading.record(index.0)?,
        };
        if let Some(entry) = entry {
            let counterpart = counterpart(&reading, &entry)?;
            return Ok(Some(Shown { entry, counterpart }));
        }
    }
    Ok(None)
}

fn by_id(reading: &Reading, id: &str) -> Result<Option<Entry>, StoreError> {
    let mut best = None;
    let mut cursor = reading.unindexed()?;
    by_id_in(reading, &mut cursor, u64::MAX, id, &mut best)?;
    if let Some(index) = &reading.index {
        for candidate in index.with_id(id)? {
            let first = candidate.number * BLOCK;
            by_id_in(reading, &mut reading.block(candidate, first), first + BLOCK, id, &mut best)?;
        }
    }
    Ok(best.map(|(_, entry)| entry))
}

/// How well a record fits an id. Smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is the record's own.
    Record,
    /// It is the request's; the record is at this place.
    Request(u64),
}

fn by_id_in(
    reading: &Reading,
    cursor: &mut Cursor,
    end: u64,
    id: &str,
    best: &mut Option<(Fit, Entry)>,
) -> Result<(), StoreError> {
    while cursor.index() < end {
        let Some(line) = cursor.next().map_err(reading.unread())? else { return Ok(()) };
        let Some(view) = View::parse(line.bytes) else { continue };
        let fit = if view.id == id {
            Fit::Record
        } else if view.request.id == id {
            Fit::Request(line.index)
        } else {
            continue;
        };
        if best.as_ref().is_none_or(|(found, _)| fit < *found) {
            *best = Some((fit, reading.entry(line)));
        }
    }
    Ok(())
}

fn counterpart(reading: &Reading, entry: &Entry) -> Result<Option<Entry>, StoreError> {
    match View::parse(entry.line.as_bytes()).map(|view| view.pairing()) {
        Some(Pairing::Outcome(intent)) => reading.record(intent.0),
        Some(Pairing::Intent) => outcome_of(reading, entry.index.0),
        Some(Pairing::Event) | None => Ok(None),
    }
}

fn outcome_of(reading: &Reading, intent: u64) -> Result<Option<Entry>, StoreError> {
    let mut found = None;
    if let Some(index) = &reading.index {
        let block = intent / BLOCK;
        index.oldest(Term::closes(block), block, |candidate| {
            let first = candidate.number * BLOCK;
            found = outcome_in(reading, &mut reading.block(candidate, first), first + BLOCK, intent)?;
            Ok(if found.is_some() { Next::Stop } else { Next::More })
        })?;
    }
    match found {
        Some(found) => Ok(Some(found)),
        None => outcome_in(reading, &mut reading.unindexed()?, u64::MAX, intent),
    }
}

fn outcome_in(
    reading: &Reading,
    cursor: &mut Cursor,
    end: u64,
    intent: u64,
) -> Result<Option<Entry>, StoreError> {
    while cursor.index() < end {
        let Some(line) = cursor.next().map_err(reading.unread())? else { break };
        if View::parse(line.bytes).and_then(|view| view.intent) == Some(LogIndex(intent)) {
            return Ok(Some(reading.entry(line)));
        }
    }
    Ok(None)
}
