//! The one thing that appenders share: a buffer of lines that the writer takes whole. Bounded, so that a disk that
//! hangs can't eat the memory; the bound for what nobody waits for is apart, because outcomes come from requests that
//! were already let through and must find room.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use narrows_core::ports::{AppendError, Pairing};

use super::wait::Done;

/// Buffers larger than this are not kept for the next batch.
const KEEP: usize = 4 << 20;

/// How long records that nobody waits for lie at most before they are written alone.
const LINGER: Duration = Duration::from_millis(5);
/// So many of them are written at once.
const MANY: usize = 1024;

/// So many that are waited for are written at once, whatever the time.
const FULL: usize = 64;

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
    writer: Sleep,
}

impl State {
    fn is_idle(&self, kind: Sleep) -> bool {
        match kind {
            Sleep::Awake => false,
            Sleep::UntilAny => self.batch.records.is_empty(),
            Sleep::UntilWaiting => self.waiting == 0 && self.batch.records.len() < MANY,
            Sleep::UntilFull => self.waiting < FULL,
        }
    }
}

/// What the writer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sleep {
    #[default]
    Awake,
    /// Any record.
    UntilAny,
    /// A record that somebody waits for, or very many others.
    UntilWaiting,
    /// As many records that somebody waits for as are written at once.
    UntilFull,
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
        let wakes = state.writer != Sleep::Awake && !state.is_idle(state.writer);
        if wakes {
            state.writer = Sleep::Awake;
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// Swaps what is queued for the empty `batch`, waiting for a record for at most `patience` (none: for ever). What
    /// nobody waits for lies a few milliseconds, so that it goes with the next that is waited for and not before it.
    /// A batch that is not full is let grow until `not_before`.
    pub(crate) fn take(&self, batch: &mut Batch, patience: Option<Duration>, not_before: Instant) -> Taken {
        let mut state = self.sleep(self.lock(), Sleep::UntilAny, patience);
        if state.is_idle(Sleep::UntilAny) {
            return if state.closed { Taken::Closed } else { Taken::Nothing };
        }
        state = self.sleep(state, Sleep::UntilWaiting, Some(LINGER));
        let rest = not_before.saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            state = self.sleep(state, Sleep::UntilFull, Some(rest));
        }
        if state.batch.records.is_empty() {
            return Taken::Closed;
        }
        std::mem::swap(&mut state.batch, batch);
        state.waiting = 0;
        state.waiting_bytes = 0;
        Taken::Records
    }

    /// Sleeps while there is no reason to wake, for at most `patience`.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        kind: Sleep,
        patience: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.writer = kind;
        let idle = |state: &mut State| state.is_idle(kind) && !state.closed;
        state = match patience {
            None => self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.filled.wait_timeout_while(state, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.writer = Sleep::Awake;
        state
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
