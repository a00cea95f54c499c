//! The audit log's writing side: one directory of segments for each writer, one thread that writes, one that signs
//! and one that indexes. What must never happen: a record acknowledged that a crash can lose, a record changed or
//! left out without the next check showing it, and memory that grows while the disk does not answer.

mod disk;
#[cfg(test)]
mod faults;
pub(crate) mod follow;
pub(crate) mod history;
pub(crate) mod line;
pub(crate) mod open;
mod progress;
mod queue;
pub(crate) mod read;
mod recover;
pub(crate) mod segment;
pub(crate) mod shared;
pub(crate) mod tiles;
mod wait;
mod write;

use std::{
    convert::Infallible,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use narrows_core::ports::{AppendError, AuditLog, Durable, Pairing};
use tokio::sync::mpsc;

use self::{disk::RealDisk, queue::Queue, shared::Shared};
use crate::{StoreError, key::SigningKey};

/// Where a log gets its time from.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Tells whether a change was applied.
pub type Applied = Arc<dyn Fn(&str) -> Option<bool> + Send + Sync>;

/// How a log is written.
#[derive(Clone)]
pub struct LogOptions {
    /// The writer's name, a directory below the log's: `local`. A resource name.
    pub writer: String,
    /// The name of the log and its key: `narrows.dev/<installation>/<writer>`.
    pub origin: String,
    /// Signs checkpoints.
    pub key: SigningKey,
    /// The time of the log's own records.
    pub clock: Clock,
    /// Whether the change of this id was applied: asked for each change that a crash left open. None if that can't be
    /// known now; it stays open then.
    pub applied: Applied,
    /// Bytes after which a new segment begins. 64 MiB.
    pub segment_bytes: u64,
    /// Largest record, in bytes. 1 MiB.
    pub record_bytes: usize,
    /// Records that may be waited for at once; more are refused as [`AppendError::Full`]. 4,096, and 16 MiB.
    pub waiting_records: usize,
    /// Records that nobody waits for and the disk did not take yet, above which new intents are refused. 65,536, and
    /// 32 MiB.
    pub later_records: usize,
    /// Longest time that a durable record stays without checkpoint, as long as the disk works. 1 s.
    pub checkpoint_interval: Duration,
    /// How often a disk that failed is tried without being asked. 1 s.
    pub retry_interval: Duration,
    /// How long [`Log::close`] waits for the disk. 10 s.
    pub close_deadline: Duration,
}

impl LogOptions {
    /// The usual options. No change is known to have been applied.
    pub fn new(writer: &str, origin: &str, key: SigningKey, clock: Clock) -> Self {
        Self {
            writer: writer.to_owned(),
            origin: origin.to_owned(),
            key,
            clock,
            applied: Arc::new(|_| None),
            segment_bytes: 64 << 20,
            record_bytes: 1 << 20,
            waiting_records: 4096,
            later_records: 1 << 16,
            checkpoint_interval: Duration::from_secs(1),
            retry_interval: Duration::from_secs(1),
            close_deadline: Duration::from_secs(10),
        }
    }
}

/// What was found when a log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Records in the log before this opening wrote its own.
    pub records: u64,
    /// Calls without outcome that were closed as `unknown`.
    pub closed_unknown: u64,
    /// Changes without outcome that were closed as applied or aborted, one for each resource.
    pub closed_changes: u64,
    /// Bytes of an unfinished write that were cut off.
    pub truncated_bytes: u64,
}

/// How far a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStatus {
    /// Durable records.
    pub records: u64,
    /// Those that the newest checkpoint covers.
    pub covered: u64,
    /// Intents without outcome so far.
    pub open_intents: usize,
}

/// The audit log of one writer. Appending is [`AuditLog`]'s.
pub struct Log {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Ends when all threads have.
    ended: Mutex<Option<mpsc::Receiver<Infallible>>>,
    close_deadline: Duration,
    /// Held until the log is closed; the operating system lets go of it however the process ends.
    lock: Mutex<Option<File>>,
}

impl Log {
    /// Opens or begins the log of `options.writer` below `directory`. When it returns, what a crash left open is
    /// closed, as far as it is known what became of it, and this opening is recorded, durably.
    ///
    /// # Errors
    /// [`StoreError`]: not writable, written by another process, damaged, or signed by another key.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Self, OpenReport), StoreError> {
        open::open(directory, options, Box::new(RealDisk))
    }

    /// How far it is.
    pub fn status(&self) -> LogStatus {
        LogStatus {
            records: self.shared.durable(),
            covered: self.shared.covered(),
            open_intents: self.shared.open().open.len(),
        }
    }

    /// Writes what is queued, publishes a last checkpoint and ends the log's threads. Later records are refused.
    /// Needs a runtime with time.
    ///
    /// # Errors
    /// [`StoreError::CloseTimeout`] if the disk did not answer in time; its threads are then left behind.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.queue.close();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut ended) = ended
            && tokio::time::timeout(self.close_deadline, ended.recv()).await.is_err()
        {
            return Err(StoreError::CloseTimeout);
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // They have let go of the channel, so this does not wait. One that panicked said so itself.
            let _ = thread.join();
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }
}

impl AuditLog for Log {
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable {
        let (done, durable) = wait::pair();
        match self.queue.push(pairing, &line, done) {
            Ok(()) => Box::pin(durable),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn append_later(&self, pairing: Pairing, line: Vec<u8>) -> Result<(), AppendError> {
        self.queue.push_later(pairing, &line)
    }

    fn health(&self) -> Result<(), AppendError> {
        self.shared.health()
    }
}

impl Drop for Log {
    /// A log that was not closed still writes what is queued, if the disk takes it soon.
    fn drop(&mut self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = Instant::now() + Duration::from_secs(2).min(self.close_deadline);
        while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Random bytes for a record's id.
fn random() -> std::io::Result<[u8; 10]> {
    let mut bytes = [0; 10];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| std::io::Error::other("no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
