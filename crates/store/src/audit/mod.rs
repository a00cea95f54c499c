//! Reading the audit log, from the process that writes it or another: everything here is read-only and works while
//! the log grows. It must never hold back the writer, and memory does not grow with the log.

mod export;
mod filter;
mod search;
mod show;
mod state;
mod tail;
mod verify;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use narrows_core::ports::LogIndex;

pub use self::{
    export::{ExportReport, ExportedWriter, export},
    filter::Filter,
    search::search,
    show::{Shown, Which, show},
    state::last_revision,
    tail::Tail,
    verify::{LogProblem, VerifyReport, WriterReport, verify},
};
use crate::{
    StoreError,
    index::{Candidate, Index},
    log::{
        read::{Cursor, Line},
        segment::{self, Place},
    },
};

/// One record, as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who wrote it.
    pub writer: Arc<str>,
    /// Its place in that writer's log.
    pub index: LogIndex,
    /// The record: one JSON object, without line feed.
    pub line: String,
}

/// One writer's log, open for reading.
struct Reading {
    writer: Arc<str>,
    directory: PathBuf,
    index: Option<Index>,
}

/// The logs below a directory, by name.
fn writers(directory: &Path) -> Result<Vec<Reading>, StoreError> {
    let none = || StoreError::NoLog { path: directory.to_owned() };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
        entries => entries.map_err(StoreError::io("read", directory))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io("read", directory))?.path();
        if !path.is_dir() || segment::list(&path).map_err(StoreError::io("read", &path))?.is_empty() {
            continue;
        }
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            found.push(Reading { writer: name.into(), index: Index::open_to_read(&path), directory: path });
        }
    }
    found.sort_by(|a, b| a.writer.cmp(&b.writer));
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

impl Reading {
    fn unread(&self) -> impl Fn(io::Error) -> StoreError + '_ {
        |error| StoreError::io("read", &self.directory)(error)
    }

    fn entry(&self, line: Line<'_>) -> Entry {
        Entry {
            writer: self.writer.clone(),
            index: LogIndex(line.index),
            line: String::from_utf8_lossy(line.bytes).into_owned(),
        }
    }

    /// Before the first record.
    fn first(&self) -> Result<Cursor, StoreError> {
        let segments = segment::list(&self.directory).map_err(self.unread())?;
        Ok(Cursor::at_segment(&self.directory, segments.first().copied().unwrap_or(0)))
    }

    /// Before the first record that is not indexed.
    fn unindexed(&self) -> Result<Cursor, StoreError> {
        let end = match &self.index {
            Some(index) => index.end()?,
            None => None,
        };
        match end {
            Some((record, place)) if self.begins(place)? => Ok(Cursor::new(&self.directory, record, place)),
            _ => self.first(),
        }
    }

    fn begins(&self, place: Place) -> Result<bool, StoreError> {
        segment::begins_record(&self.directory, place).map_err(self.unread())
    }

    /// Before the first record of a block.
    fn block(&self, candidate: Candidate, first: u64) -> Cursor {
        Cursor::new(&self.directory, first.max(candidate.place.segment), candidate.place)
    }

    /// At or before a record, as near as is known.
    fn before(&self, record: u64) -> Result<Cursor, StoreError> {
        if let Some(index) = &self.index
            && let Some(candidate) = index.place_before(record)?
            && self.begins(candidate.place)?
        {
            return Ok(self.block(candidate, candidate.number * crate::index::BLOCK));
        }
        let segments = segment::list(&self.directory).map_err(self.unread())?;
        let first = segments.iter().copied().rfind(|first| *first <= record);
        Ok(Cursor::at_segment(&self.directory, first.or(segments.first().copied()).unwrap_or(0)))
    }

    /// One record; none if there is no such.
    fn record(&self, record: u64) -> Result<Option<Entry>, StoreError> {
        let mut cursor = self.before(record)?;
        while let Some(line) = cursor.next().map_err(self.unread())? {
            if line.index >= record {
                return Ok((line.index == record).then(|| self.entry(line)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
