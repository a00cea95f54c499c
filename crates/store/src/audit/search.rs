//! Searching, newest first: what is not indexed yet is read whole, then the blocks that the index names.

use std::{collections::VecDeque, path::Path};

use super::{Entry, Filter, Reading, filter::Matcher, writers};
use crate::{
    StoreError,
    index::{BLOCK, Candidate, Next},
    log::{line::View, read::Cursor},
};

/// The newest records that match, newest first, at most `limit`. With several writers, by time.
///
/// # Errors
/// [`StoreError`] if there is no log or it can't be read.
pub fn search(directory: &Path, filter: &Filter, limit: usize) -> Result<Vec<Entry>, StoreError> {
    let matcher = Matcher::new(filter);
    let mut found = Vec::new();
    let writers = writers(directory)?;
    for reading in &writers {
        found.extend(search_writer(reading, &matcher, limit)?);
    }
    if writers.len() > 1 {
        found.sort_by_cached_key(|entry| {
            let time = View::parse(entry.line.as_bytes()).map(|view| view.time.into_owned());
            std::cmp::Reverse(time)
        });
        found.truncate(limit);
    }
    Ok(found)
}

fn search_writer(reading: &Reading, matcher: &Matcher<'_>, limit: usize) -> Result<Vec<Entry>, StoreError> {
    let mut cursor = reading.unindexed()?;
    let indexed = cursor.index();
    let mut found = Vec::from(last_matches(reading, &mut cursor, matcher, u64::MAX, limit)?);
    found.reverse();
    let Some(index) = reading.index.as_ref().filter(|_| indexed > 0) else { return Ok(found) };
    let mut look = |candidate: Candidate| {
        let rest = limit.saturating_sub(found.len());
        if rest == 0 {
            return Ok(Next::Stop);
        }
        let first = candidate.number * BLOCK;
        // What the index has since was read above.
        let end = indexed.min(first + BLOCK);
        if first >= end {
            return Ok(Next::More);
        }
        let mut cursor = reading.block(candidate, first);
        found.extend(last_matches(reading, &mut cursor, matcher, end, rest)?.into_iter().rev());
        Ok(Next::More)
    };
    match matcher.request() {
        Some(id) => {
            for candidate in index.with_id(id)? {
                if look(candidate)? == Next::Stop {
                    break;
                }
            }
        }
        None => index.newest(&matcher.wanted(), look)?,
    }
    Ok(found)
}

/// The last matches between the cursor and the record `end`, oldest first, at most `limit`.
fn last_matches(
    reading: &Reading,
    cursor: &mut Cursor,
    matcher: &Matcher<'_>,
    end: u64,
    limit: usize,
) -> Result<VecDeque<Entry>, StoreError> {
    let mut found = VecDeque::new();
    while cursor.index() < end && limit > 0 {
        let Some(line) = cursor.next().map_err(reading.unread())? else { break };
        if matcher.matches(line.bytes) {
            if found.len() == limit {
                found.pop_front();
            }
            found.push_back(reading.entry(line));
        }
    }
    Ok(found)
}
