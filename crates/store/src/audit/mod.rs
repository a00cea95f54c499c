//! Reading the audit log, from the process that writes it or another: everything here is read-only and works while
//! the log grows. It must never hold back the writer.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use narrows_core::{audit::checkpoint::VerifierKey, ports::LogIndex};

use crate::StoreError;

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

/// What to look for. All that is given must hold; an empty filter matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Earliest time.
    pub since: Option<Timestamp>,
    /// Latest time.
    pub until: Option<Timestamp>,
    /// `kind`, such as `request.denied`.
    pub kind: Option<String>,
    /// `actor.subject`.
    pub subject: Option<String>,
    /// `object.namespace`.
    pub namespace: Option<String>,
    /// `object.name`.
    pub server: Option<String>,
    /// `request.tool`.
    pub tool: Option<String>,
    /// `request.method`.
    pub method: Option<String>,
    /// `outcome.status`.
    pub status: Option<String>,
    /// `decision.effect`.
    pub effect: Option<String>,
    /// `request.id`.
    pub request: Option<String>,
    /// A text that occurs anywhere in the record.
    pub text: Option<String>,
}

/// Which record to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its `id`, or by the `request.id` of its intent.
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

/// Follows the log: each [`Tail::poll`] returns what was added since the last.
pub struct Tail {}

impl Tail {
    /// Begins with the last `records` records.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(directory: &Path, _records: usize) -> Result<Self, StoreError> {
        Err(StoreError::NoLog { path: directory.to_owned() })
    }

    /// What was added, oldest first. Empty if nothing was; ask again later.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn poll(&mut self) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }
}

/// The newest records that match, newest first, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub fn search(directory: &Path, _filter: &Filter, _limit: usize) -> Result<Vec<Entry>, StoreError> {
    Err(StoreError::NoLog { path: directory.to_owned() })
}

/// One record; none if there is no such.
///
/// # Errors
/// [`StoreError`].
pub fn show(directory: &Path, _which: &Which) -> Result<Option<Shown>, StoreError> {
    Err(StoreError::NoLog { path: directory.to_owned() })
}

/// What a check found, for each writer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// One for each writer.
    pub writers: Vec<WriterReport>,
}

/// What a check of one writer's log found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WriterReport {
    /// The writer.
    pub writer: String,
    /// Records read.
    pub records: u64,
    /// Records that the newest good checkpoint covers.
    pub covered: u64,
    /// The root at that size, in base64.
    pub root: String,
    /// Checkpoints whose signature and root are right.
    pub checkpoints: u64,
    /// Intents without outcome so far. Not a problem while the writer runs.
    pub open_intents: u64,
    /// All that is wrong. The log is as it was written if this is empty.
    pub problems: Vec<LogProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogProblem {
    /// The file, relative to the writer's directory.
    pub file: String,
    /// The record concerned, where it is one.
    pub index: Option<LogIndex>,
    /// What is wrong.
    pub message: String,
}

/// Checks a log against its checkpoints and a public key that came by another way.
///
/// # Errors
/// [`StoreError`] if the log can't be read; what is wrong with it is in the report.
pub fn verify(directory: &Path, _key: &VerifierKey) -> Result<VerifyReport, StoreError> {
    Err(StoreError::NoLog { path: directory.to_owned() })
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// Writer, records and bytes.
    pub writers: Vec<(String, u64, u64)>,
}

/// Copies the log up to its last checkpoint, with what is needed to check it, into a directory that does not exist.
///
/// # Errors
/// [`StoreError`].
pub fn export(directory: &Path, _out: &Path) -> Result<ExportReport, StoreError> {
    Err(StoreError::NoLog { path: directory.to_owned() })
}
