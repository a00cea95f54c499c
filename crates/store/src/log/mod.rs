//! The audit log's writing side.
use crate::{StoreError, key::SigningKey};
use narrows_core::ports::{AppendError, AuditLog, Durable, Pairing};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Where a log gets its time from.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// How a log is written.
#[derive(Clone)]
pub struct LogOptions {
    /// The writer's name, a directory below the log's: `local`.
    pub writer: String,
    /// The name of the log and its key: `narrows.dev/<installation>/<writer>`.
    pub origin: String,
    /// Signs checkpoints.
    pub key: SigningKey,
    /// The time of the log's own records.
    pub clock: Clock,
    /// Bytes after which a new segment begins. 64 MiB.
    pub segment_bytes: u64,
    /// Largest record, in bytes. 1 MiB.
    pub record_bytes: usize,
    /// Longest time that a durable record stays without checkpoint. 1 s.
    pub checkpoint_interval: Duration,
    /// How long [`Log::close`] waits for the disk. 10 s.
    pub close_deadline: Duration,
}

impl LogOptions {
    /// The usual options.
    pub fn new(writer: &str, origin: &str, key: SigningKey, clock: Clock) -> Self {
        Self {
            writer: writer.to_owned(),
            origin: origin.to_owned(),
            key,
            clock,
            segment_bytes: 64 << 20,
            record_bytes: 1 << 20,
            checkpoint_interval: Duration::from_secs(1),
            close_deadline: Duration::from_secs(10),
        }
    }
}

/// What was found when a log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Records in the log before this opening wrote its own.
    pub records: u64,
    /// Intents without outcome that were closed as `unknown`.
    pub closed_unknown: u64,
    /// Bytes of an unfinished write that were cut off.
    pub truncated_bytes: u64,
}

/// The audit log of one writer. Appending is [`AuditLog`]'s.
pub struct Log {
    directory: PathBuf,
}

impl Log {
    /// Opens or begins the log of `options.writer` below `directory`.
    ///
    /// # Errors
    /// [`StoreError`]: not writable, written by another process, damaged, or signed by another key.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Self, OpenReport), StoreError> {
        Err(StoreError::NoLog { path: directory.join(options.writer) })
    }

    /// Writes what is queued, publishes a last checkpoint and ends the log's threads. Later records are refused.
    ///
    /// # Errors
    /// [`StoreError::CloseTimeout`] if the disk did not answer in time.
    pub async fn close(&self) -> Result<(), StoreError> {
        Err(StoreError::NoLog { path: self.directory.clone() })
    }
}

impl AuditLog for Log {
    fn append(&self, _pairing: Pairing, _line: Vec<u8>) -> Durable {
        Box::pin(std::future::ready(Err(AppendError::Closed)))
    }

    fn append_later(&self, _pairing: Pairing, _line: Vec<u8>) -> Result<(), AppendError> {
        Err(AppendError::Closed)
    }

    fn health(&self) -> Result<(), AppendError> {
        Err(AppendError::Closed)
    }
}
