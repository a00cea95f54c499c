//! Following the log.

use std::{collections::VecDeque, path::Path};

use super::{Entry, Reading, writers};
use crate::{
    StoreError,
    index::Index,
    log::{read::Cursor, segment},
};

/// Records that one poll returns at most, for each writer.
const POLL: usize = 10_000;

/// Follows the log: each [`Tail::poll`] returns what was added since the last. A record may be seen a moment before it
/// is durable; one that the disk then refuses is not in the log.
pub struct Tail {
    logs: Vec<(Reading, Cursor)>,
    backlog: Vec<Entry>,
}

impl Tail {
    /// Begins with the last `records` records of each writer.
    ///
    /// # Errors
    /// [`StoreError`] if there is no log or it can't be read.
    pub fn open(directory: &Path, records: usize) -> Result<Self, StoreError> {
        let mut logs = Vec::new();
        let mut backlog = Vec::new();
        for reading in writers(directory)? {
            let end = reading.index.as_ref().map(Index::end).transpose()?.flatten();
            let end = match end {
                Some((record, _)) => record,
                // Without an index, the last segment begins near the end.
                None => {
                    segment::list(&reading.directory).map_err(reading.unread())?.last().copied().unwrap_or(0)
                }
            };
            let mut cursor = reading.before(end.saturating_sub(records as u64))?;
            let mut last = VecDeque::new();
            while let Some(line) = cursor.next().map_err(reading.unread())? {
                if last.len() == records {
                    last.pop_front();
                }
                if records > 0 {
                    last.push_back(reading.entry(line));
                }
            }
            backlog.extend(last);
            logs.push((reading, cursor));
        }
        Ok(Self { logs, backlog })
    }

    /// What was added, oldest first. Empty if nothing was; ask again later.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn poll(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut added = std::mem::take(&mut self.backlog);
        for (reading, cursor) in &mut self.logs {
            if !reading.begins(cursor.place())? {
                // A record was shown that the disk then refused; another place is now that of the next.
                let next = cursor.index();
                *cursor = reading.before(next)?;
                while cursor.index() < next && cursor.next().map_err(reading.unread())?.is_some() {}
            }
            cursor.refresh().map_err(reading.unread())?;
            for _ in 0..POLL {
                let Some(line) = cursor.next().map_err(reading.unread())? else { break };
                added.push(reading.entry(line));
            }
        }
        Ok(added)
    }
}
