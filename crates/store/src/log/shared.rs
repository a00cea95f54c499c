//! What the writer tells the others: how far the log is durable, which intents are open, and how it is. Read by
//! every request, so it is atomics wherever something is read often.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use narrows_core::ports::AppendError;

use super::{progress::OpenIntents, queue::unwritable};

/// After this long without an answer the disk counts as hung.
const HUNG: Duration = Duration::from_secs(5);

/// Shared by the log's threads and its callers.
pub(crate) struct Shared {
    began: Instant,
    durable: AtomicU64,
    covered: AtomicU64,
    /// Milliseconds since `began` at which the writer went to the disk, plus one; 0 while it is not there.
    busy_since: AtomicU64,
    failed: AtomicBool,
    reason: Mutex<Arc<str>>,
    open: Mutex<OpenIntents>,
    bell: Mutex<Bell>,
    rings: Condvar,
}

/// What followers of the log wait for.
#[derive(Debug, Default)]
struct Bell {
    /// The writer has ended; there will be no more records.
    ended: bool,
}

impl Shared {
    pub(crate) fn new(open: OpenIntents) -> Self {
        Self {
            began: Instant::now(),
            durable: AtomicU64::new(open.position),
            covered: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            reason: Mutex::new("".into()),
            open: Mutex::new(open),
            bell: Mutex::default(),
            rings: Condvar::new(),
        }
    }

    /// Records that are durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Sets the number of durable records, and wakes the followers if `many` wait for them.
    pub(crate) fn set_durable(&self, records: u64, many: u64) {
        let before = self.durable.swap(records, Ordering::AcqRel);
        if before / many != records / many {
            self.rings.notify_all();
        }
    }

    /// Records that the published checkpoint covers.
    pub(crate) fn covered(&self) -> u64 {
        self.covered.load(Ordering::Acquire)
    }

    pub(crate) fn set_covered(&self, records: u64) {
        self.covered.store(records, Ordering::Release);
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, OpenIntents> {
        lock(&self.open)
    }

    /// The writer goes to the disk.
    pub(crate) fn busy(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy_since.store(now + 1, Ordering::Relaxed);
    }

    /// The disk answered.
    pub(crate) fn idle(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// Says why the last write failed; none if it did not.
    pub(crate) fn set_failure(&self, reason: Option<&Arc<str>>) {
        if let Some(reason) = reason {
            *lock(&self.reason) = reason.clone();
        }
        self.failed.store(reason.is_some(), Ordering::Release);
    }

    /// Whether records can be written, as far as is known.
    pub(crate) fn health(&self) -> Result<(), AppendError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(AppendError::Unwritable { reason: lock(&self.reason).clone() });
        }
        match self.busy_since.load(Ordering::Relaxed) {
            0 => Ok(()),
            since if self.began.elapsed() < Duration::from_millis(since) + HUNG => Ok(()),
            _ => Err(unwritable("the disk does not answer")),
        }
    }

    /// The writer has ended.
    pub(crate) fn end(&self) {
        lock(&self.bell).ended = true;
        self.rings.notify_all();
    }

    /// Waits until the writer has ended, `enough` (asked when records came) holds, or `patience` is over. Whether it
    /// has ended.
    pub(crate) fn wait(&self, patience: Duration, enough: impl Fn() -> bool) -> Ended {
        let waits = |bell: &mut Bell| !bell.ended && !enough();
        let (bell, _) = self
            .rings
            .wait_timeout_while(lock(&self.bell), patience, waits)
            .unwrap_or_else(PoisonError::into_inner);
        if bell.ended { Ended::Yes } else { Ended::No }
    }
}

/// Whether the writer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Yes,
    No,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
