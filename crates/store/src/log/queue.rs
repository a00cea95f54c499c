//! The one thing that appenders share: a buffer of lines that the writer takes whole. Bounded, so that a disk that
//! hangs can't eat the memory; the bound for what nobody waits for is apart, because outcomes come from requests that
//! were already let through and must find room.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use narrows_core::ports::{AppendError, LogIndex, Pairing};
use tokio::sync::oneshot;

/// Buffers larger than this are not kept for the next batch.
const KEEP: usize = 4 << 20;

/// How an appender hears that its record is durable.
pub(crate) type Done = oneshot::Sender<Result<LogIndex, AppendError>>;

/// How much a queue takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of one record.
    pub(crate) record_bytes: usize,
    /// Records that are waited for.
    pub(crate) waiting: usize,
    /// Their bytes.
    pub(crate) waiting_bytes: usize,
    /// Records that are not waited for and not durable, above which new intents are refused. Twice as many are taken.
    pub(crate) later: usize,
    /// Their bytes, likewise.
    pub(crate) later_bytes: usize,
}

/// One record of a batch; its line is the next `length` bytes and a line feed.
pub(crate) struct Queued {
    pub(crate) pairing: Pairing,
    pub(crate) length: usize,
    /// None for what nobody waits for.
    pub(crate) done: Option<Done>,
}

/// Lines as they will lie in the file, and what is to be known of each.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) lines: Vec<u8>,
    pub(crate) records: Vec<Queued>,
}

impl Batch {
    pub(crate) fn push(&mut self, pairing: Pairing, line: &[u8], done: Option<Done>) {
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        self.records.push(Queued { pairing, length: line.len(), done });
    }

    /// Empties it for the next use.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.lines.clear();
        self.lines.shrink_to(KEEP);
    }
}

#[derive(Default)]
struct State {
    batch: Batch,
    waiting: usize,
    waiting_bytes: usize,
    later: usize,
    later_bytes: usize,
    closed: bool,
    writer_sleeps: bool,
}

/// What the writer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Records.
    Records,
    /// None within the time.
    Nothing,
    /// None, and there will be none.
    Closed,
}

/// The queue.
pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    filled: Condvar,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, state: Mutex::default(), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record in that is waited for.
    pub(crate) fn push(&self, pairing: Pairing, line: &[u8], done: Done) -> Result<(), AppendError> {
        self.check(line)?;
        let mut state = self.lock();
        if state.closed {
            return Err(AppendError::Closed);
        }
        let overfull = state.later >= self.bounds.later || state.later_bytes >= self.bounds.later_bytes;
        if overfull && pairing == Pairing::Intent {
            return Err(unwritable("too many outcomes wait for the disk"));
        }
        let bytes = state.waiting_bytes + line.len();
        if state.waiting >= self.bounds.waiting || bytes > self.bounds.waiting_bytes {
            return Err(AppendError::Full);
        }
        state.waiting += 1;
        state.waiting_bytes = bytes;
        self.put(state, pairing, line, Some(done));
        Ok(())
    }

    /// Puts a record in that nobody waits for.
    pub(crate) fn push_later(&self, pairing: Pairing, line: &[u8]) -> Result<(), AppendError> {
        self.check(line)?;
        let mut state = self.lock();
        if state.closed {
            return Err(AppendError::Closed);
        }
        // Outcomes find room as long as intents are refused before them; events make way.
        let share = if matches!(pairing, Pairing::Outcome(_)) { 2 } else { 1 };
        let bytes = state.later_bytes + line.len();
        if state.later >= self.bounds.later * share || bytes > self.bounds.later_bytes * share {
            return Err(AppendError::Full);
        }
        state.later += 1;
        state.later_bytes = bytes;
        self.put(state, pairing, line, None);
        Ok(())
    }

    fn check(&self, line: &[u8]) -> Result<(), AppendError> {
        if line.len() > self.bounds.record_bytes {
            return Err(AppendError::TooLarge { size: line.len(), limit: self.bounds.record_bytes });
        }
        if line.is_empty() || line.contains(&b'\n') || line.contains(&0) {
            return Err(unwritable("the record is not one line of JSON"));
        }
        Ok(())
    }

    fn put(&self, mut state: MutexGuard<'_, State>, pairing: Pairing, line: &[u8], done: Option<Done>) {
        state.batch.push(pairing, line, done);
        let wakes = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// Swaps what is queued for the empty `batch`, waiting for a record for at most `patience` (none: for ever).
    pub(crate) fn take(&self, batch: &mut Batch, patience: Option<Duration>) -> Taken {
        let mut state = self.lock();
        if state.batch.records.is_empty() && !state.closed {
            state.writer_sleeps = true;
            let asleep = |state: &mut State| state.writer_sleeps && !state.closed;
            state = match patience {
                None => self.filled.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    self.filled
                        .wait_timeout_while(state, patience, asleep)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.writer_sleeps = false;
        }
        if state.batch.records.is_empty() {
            return if state.closed { Taken::Closed } else { Taken::Nothing };
        }
        std::mem::swap(&mut state.batch, batch);
        state.waiting = 0;
        state.waiting_bytes = 0;
        Taken::Records
    }

    /// Makes room: these records that nobody waits for are durable now.
    pub(crate) fn settled(&self, records: usize, bytes: usize) {
        if records > 0 {
            let mut state = self.lock();
            state.later = state.later.saturating_sub(records);
            state.later_bytes = state.later_bytes.saturating_sub(bytes);
        }
    }

    /// Takes no more records; what is queued is still taken out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Takes no more records and drops those that are queued; who waits for them is told that the log is closed.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.batch = Batch::default();
    }
}

/// An error with this reason.
pub(crate) fn unwritable(reason: &str) -> AppendError {
    AppendError::Unwritable { reason: reason.into() }
}
