//! What the core needs of the outside, as traits. Each has at least two implementations: a real one and one that a
//! test can make fail.

use std::{future::Future, pin::Pin};

use crate::{
    change::{Managers, Operation},
    ids::ServerId,
    lifecycle::{Endpoint, Version},
    resource::ObjectKey,
};

/// A future that the log returns. Boxed, so that the log can be chosen at run time.
pub type Durable = Pin<Box<dyn Future<Output = Result<LogIndex, AppendError>> + Send>>;

/// A record's place in its writer's log, dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct LogIndex(pub u64);

/// What a record is to the pairing of intents and outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Stands alone: a denial, a note.
    Event,
    /// Will have an outcome, or be closed at restart: a call as `unknown`, a change by what was saved.
    Intent,
    /// Closes this intent.
    Outcome(LogIndex),
}

/// Why the log did not take a record. The request that it belongs to must not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue to the writer is full; try again shortly.
    #[error("the audit log is busy")]
    Full,
    /// The last write or sync failed; the reason is the operating system's. It is tried again with the next record.
    #[error("the audit log can't be written: {reason}")]
    Unwritable {
        /// What the operating system said.
        reason: std::sync::Arc<str>,
    },
    /// The log is shutting down.
    #[error("the audit log is closed")]
    Closed,
    /// The record is larger than the log takes.
    #[error("the record has {size} bytes, more than the {limit} that the log takes")]
    TooLarge {
        /// Bytes of the record.
        size: usize,
        /// The log's limit.
        limit: usize,
    },
}

/// The append-only record. `line` is one JSON object without line feed (see [`crate::audit::Record::encode`]).
pub trait AuditLog: Send + Sync + 'static {
    /// Appends and resolves when the record is durable. Dropping the future does not take the record back.
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable;

    /// Appends without waiting. Outcomes and aggregated events go this way; the log keeps an outcome that it could
    /// not write and writes it when it can again, within its memory bound.
    ///
    /// # Errors
    /// [`AppendError::Full`] or [`AppendError::Closed`]: the record was not taken.
    fn append_later(&self, pairing: Pairing, line: Vec<u8>) -> Result<(), AppendError>;

    /// Whether the last attempt to write failed, and why. For readiness and early refusal.
    fn health(&self) -> Result<(), AppendError>;
}

/// What is known of the processes or machines behind a server.
pub trait ServerHealth: Send + Sync + 'static {
    /// Why the server can't be reached there now, in a sentence for people; none if nothing is known against it. No
    /// endpoint: there is no way to it yet.
    fn unavailable(&self, server: &ServerId, endpoint: Option<&Endpoint>) -> Option<String>;
}

/// The keys of an issuer as they were last fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// When they were fetched.
    pub fetched_at: jiff::Timestamp,
    /// A JWK set of those that can be used. Public keys only, so not a secret.
    pub bytes: Vec<u8>,
}

/// Keeps a copy of each issuer's key set, so that a restart during an issuer's outage does not lock everyone out.
/// The copy is a help, not a promise: a failure is the implementation's to log.
pub trait JwksStore: Send + Sync + 'static {
    /// The copy kept under this name, if there is one. `source` names issuer and address in one text; it is opaque.
    fn load(&self, source: &str) -> Option<StoredKeys>;

    /// Keeps a copy in place of the last one.
    fn save(&self, source: &str, keys: &StoredKeys);
}

/// A state of the installation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRevision {
    /// Grows by one with each.
    pub number: u64,
    /// When it was saved.
    pub saved_at: jiff::Timestamp,
    /// The digest of the resources.
    pub digest: String,
    /// The resources as canonical JSON.
    pub resources: String,
    /// Which of them follow a file.
    pub managers: Managers,
    /// What led to it; none for a state of a version that did not write it down.
    pub change: Option<SavedChange>,
}

/// What led to a state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedChange {
    /// The change's id, as its records have it.
    pub id: String,
    /// Who asked for it, for people: a subject.
    pub actor: String,
    /// Where it came from: files, or the API.
    pub origin: String,
    /// Why, in the words of who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What changed, in the order of keys.
    pub objects: Vec<(ObjectKey, Operation)>,
}

/// A state without its resources, for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionEntry {
    /// As [`SavedRevision::number`].
    pub number: u64,
    /// As [`SavedRevision::saved_at`].
    pub saved_at: jiff::Timestamp,
    /// As [`SavedRevision::digest`].
    pub digest: String,
    /// As [`SavedRevision::change`].
    pub change: Option<SavedChange>,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StateError {
    /// What failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

/// All states that were ever in force. The calls wait for the disk: not for a thread that serves requests.
pub trait Revisions: Send + Sync + 'static {
    /// The newest; none before the first.
    ///
    /// # Errors
    /// The state can't be read.
    fn latest(&self) -> Result<Option<SavedRevision>, StateError>;

    /// The one of this number; none if there is none.
    ///
    /// # Errors
    /// The state can't be read.
    fn numbered(&self, number: u64) -> Result<Option<SavedRevision>, StateError>;

    /// The newest below `before`, newest first.
    ///
    /// # Errors
    /// The state can't be read.
    fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<RevisionEntry>, StateError>;

    /// Keeps a new one, durably, all of it or nothing.
    ///
    /// # Errors
    /// It may have been kept nevertheless: [`Self::settle`] knows.
    fn save(&self, revision: &SavedRevision) -> Result<(), StateError>;

    /// Whether the change of this id led to a state that was kept. If not, it never will: a save of it that is still on its
    /// way fails.
    ///
    /// # Errors
    /// That can't be found out, or not be kept.
    fn settle(&self, change: &str) -> Result<bool, StateError>;
}

/// Which version of each server serves, so that a restart goes on with it. The calls wait for the disk.
pub trait Deployments: Send + Sync + 'static {
    /// All of them.
    ///
    /// # Errors
    /// The state can't be read.
    fn serving(&self) -> Result<Vec<Version>, StateError>;

    /// This version of the server serves from now on; none: no version does.
    ///
    /// # Errors
    /// The state can't be written.
    fn keep(&self, server: &ServerId, version: Option<&Version>) -> Result<(), StateError>;
}
