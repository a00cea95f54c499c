//! The records of a change: an intent for each resource with what it was and will be, an outcome for each, and one
//! that the new state is in force.

use std::sync::Arc;

use jiff::Timestamp;
use narrows_core::{
    audit::{Actor, ChangeRecord, Object, OutcomeRecord, Record, RecordKind, Source, record_id, record_time},
    change::{Accepted, ObjectChange},
    decision::Revision,
    governance::{Asked, Purpose},
    ports::LogIndex,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ControlError;

/// Who asks for a change, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// `user`, `serviceAccount`, `operator` (whoever may use the data directory) or `system`.
    pub kind: &'static str,
    /// The token's issuer; empty where there is no token.
    pub issuer: Arc<str>,
    /// The subject.
    pub subject: Arc<str>,
    /// The groups that counted.
    pub groups: Arc<[Arc<str>]>,
    /// The peer's address and the `User-Agent`, where there is a peer.
    pub source: Option<(String, String)>,
    /// Where the change came from.
    pub origin: Origin,
    /// In the words of who asks for it.
    pub reason: Option<String>,
}

/// Where a change came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// These files, as they were given.
    Files(String),
    /// Somebody asked for it.
    Api,
}

impl Requester {
    /// What follows the files by itself.
    pub fn files(files: String) -> Self {
        Self {
            kind: "system",
            issuer: "".into(),
            subject: "narrows up".into(),
            groups: [].into(),
            source: None,
            origin: Origin::Files(files),
            reason: None,
        }
    }

    /// As policies see it.
    pub(crate) fn asked(&self, purpose: Purpose, now: Timestamp) -> Asked {
        Asked { username: Arc::clone(&self.subject), groups: Arc::clone(&self.groups), purpose, now }
    }

    pub(crate) fn origin(&self) -> &str {
        match &self.origin {
            Origin::Files(files) => files,
            Origin::Api => "api",
        }
    }

    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor {
            kind: self.kind,
            issuer: &self.issuer,
            subject: &self.subject,
            on_behalf_of: None,
            groups: &self.groups,
        }
    }

    pub(crate) fn source(&self) -> Option<Source<'_>> {
        self.source.as_ref().map(|(ip, user_agent)| Source { ip, user_agent })
    }
}

/// Where time and ids come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) random: fn() -> std::io::Result<[u8; 10]>,
}

impl Stamp {
    pub(crate) fn id(&self) -> Result<String, ControlError> {
        let random = (self.random)().map_err(|_| ControlError::System("random bytes"))?;
        Ok(record_id((self.clock)(), random))
    }

    /// Id and time of a record that is written now.
    pub(crate) fn now(&self) -> Result<(String, String), ControlError> {
        Ok((self.id()?, record_time((self.clock)())))
    }
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Applied,
    Aborted(&'static str),
}

/// Writes the records of one change.
pub(crate) struct Recorder<'a> {
    pub(crate) stamp: Stamp,
    pub(crate) id: &'a str,
    pub(crate) requester: &'a Requester,
    pub(crate) accepted: &'a Accepted,
}

impl Recorder<'_> {
    /// That a resource is about to change.
    pub(crate) fn intent(&self, change: &ObjectChange) -> Result<Vec<u8>, ControlError> {
        let before = change.before.as_ref().map(narrows_core::resource::Object::manifest);
        let after = change.after.as_ref().map(narrows_core::resource::Object::manifest);
        self.record(
            RecordKind::of_change(change, self.accepted.aim()),
            change,
            None,
            (before.as_ref(), after.as_ref()),
            None,
        )
    }

    /// How that ended.
    pub(crate) fn outcome(
        &self,
        change: &ObjectChange,
        intent: LogIndex,
        ending: Ending,
    ) -> Result<Vec<u8>, ControlError> {
        let (kind, outcome) = ended(match ending {
            Ending::Applied => Ok(()),
            Ending::Aborted(why) => Err(why),
        });
        self.record(kind, change, Some(intent), (None, None), Some(outcome))
    }

    fn record(
        &self,
        kind: RecordKind,
        change: &ObjectChange,
        intent: Option<LogIndex>,
        (before, after): (Option<&Value>, Option<&Value>),
        outcome: Option<OutcomeRecord<'_>>,
    ) -> Result<Vec<u8>, ControlError> {
        let (base, revision) =
            (self.accepted.base().to_string(), self.accepted.snapshot().revision().to_string());
        let key = &change.key;
        let (id, time) = self.stamp.now()?;
        let record = Record {
            intent,
            actor: Some(self.requester.actor()),
            source: self.requester.source(),
            object: Some(Object { kind: key.kind.as_str(), namespace: key.namespace(), name: key.name() }),
            change: Some(ChangeRecord {
                id: self.id,
                operation: change.operation().as_str(),
                base: &base,
                revision: &revision,
                objects: self.accepted.changes().len() as u64,
                file: change.file.as_deref(),
                reason: self.requester.reason.as_deref(),
            }),
            before,
            after,
            outcome,
            ..Record::new(kind, &id, &time)
        };
        encode(&record)
    }

    /// That the state is in force.
    pub(crate) fn published(&self, before: &str, after: &str) -> Result<Vec<u8>, ControlError> {
        let state = |revision: &Revision, canonical: &str| json!({ "revision": revision.to_string(), "digest": digest(canonical) });
        let revision = self.accepted.snapshot().revision();
        let before = state(self.accepted.base(), before);
        let mut after = state(revision, after);
        if let Value::Object(after) = &mut after {
            after.insert("origin".to_owned(), self.requester.origin().into());
            after.insert("change".to_owned(), self.id.into());
        }
        let (id, time) = self.stamp.now()?;
        let record = Record {
            actor: Some(self.requester.actor()),
            source: self.requester.source(),
            object: Some(Object { kind: "Snapshot", namespace: "", name: &revision.to_string() }),
            before: Some(&before),
            after: Some(&after),
            ..Record::new(RecordKind::SnapshotPublished, &id, &time)
        };
        encode(&record)
    }
}

/// What came of something that was announced: the kind of the record that says so, and what it says.
pub(crate) fn ended(how: Result<(), &str>) -> (RecordKind, OutcomeRecord<'_>) {
    let (kind, status) = match how {
        Ok(()) => (RecordKind::ChangeApplied, "ok"),
        Err(_) => (RecordKind::ChangeAborted, "error"),
    };
    (kind, OutcomeRecord { status, error: how.err(), duration_ms: 0.0, bytes: 0 })
}

pub(crate) fn encode(record: &Record<'_>) -> Result<Vec<u8>, ControlError> {
    // Only numbers that are none can't be written, and there are none.
    record.encode().map_err(|_| ControlError::System("way to write a record"))
}

fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes()).iter().fold("sha256:".to_owned(), |mut digest, byte| {
        let _ = write!(digest, "{byte:02x}");
        digest
    })
}
