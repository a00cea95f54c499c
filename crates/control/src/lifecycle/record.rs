//! The records of servers' lives: that one is to be started anew, what came of it, and how each fares.

use narrows_core::{
    audit::{Actor, ChangeRecord, Object, OutcomeRecord, Record, RecordKind},
    ids::ServerId,
    lifecycle::ServerState,
    ports::LogIndex,
};
use serde_json::{Map, Value};

use super::ServerError;
use crate::{
    Requester,
    record::{Stamp, encode, ended},
};

/// That a server is to be started anew.
#[derive(Debug)]
pub(super) struct Restarting {
    pub(super) server: ServerId,
    pub(super) requester: Requester,
    /// The id of this change.
    pub(super) change: String,
    pub(super) revision: String,
}

impl Restarting {
    /// That it will be. What it is stays as it is.
    pub(super) fn intent(&self, stamp: Stamp, manifest: &Value) -> Result<Vec<u8>, ServerError> {
        self.record(stamp, RecordKind::ServerRestarted, None, Some(manifest), None)
    }

    /// What came of it.
    pub(super) fn outcome(
        &self,
        stamp: Stamp,
        intent: LogIndex,
        how: Result<(), &str>,
    ) -> Result<Vec<u8>, ServerError> {
        let (kind, outcome) = ended(how);
        self.record(stamp, kind, Some(intent), None, Some(outcome))
    }

    fn record(
        &self,
        stamp: Stamp,
        kind: RecordKind,
        intent: Option<LogIndex>,
        manifest: Option<&Value>,
        outcome: Option<OutcomeRecord<'_>>,
    ) -> Result<Vec<u8>, ServerError> {
        let (id, time) = now(stamp)?;
        let record = Record {
            intent,
            actor: Some(self.requester.actor()),
            source: self.requester.source(),
            object: Some(object(&self.server)),
            change: Some(ChangeRecord {
                id: &self.change,
                operation: "restart",
                base: &self.revision,
                revision: &self.revision,
                objects: 1,
                file: None,
                reason: self.requester.reason.as_deref(),
            }),
            before: manifest,
            after: manifest,
            outcome,
            ..Record::new(kind, &id, &time)
        };
        encoded(&record)
    }
}

/// That a server fares otherwise than before; none: it was not wanted, or is not any more.
pub(super) fn state_changed(
    server: &ServerId,
    before: Option<&ServerState>,
    after: Option<&ServerState>,
    stamp: Stamp,
) -> Result<Vec<u8>, ServerError> {
    let (before, after) = (before.map(written), after.map(written));
    let (id, time) = now(stamp)?;
    let record = Record {
        actor: Some(Actor {
            kind: "system",
            issuer: "",
            subject: "narrows up",
            on_behalf_of: None,
            groups: &[],
        }),
        object: Some(object(server)),
        before: before.as_ref(),
        after: after.as_ref(),
        ..Record::new(RecordKind::ServerStateChanged, &id, &time)
    };
    encoded(&record)
}

fn written(state: &ServerState) -> Value {
    let ServerState { phase, reason, retry: _, revision, serving, replicas, surface } = state;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("state", phase.as_str().into());
    if let Some(reason) = reason {
        put("reason", (&**reason).into());
    }
    put("revision", (*revision).into());
    if let Some(serving) = serving {
        put("serving", (*serving).into());
    }
    put("replicas", (*replicas).into());
    if let Some(surface) = surface {
        put("server", surface.server.as_str().into());
        put("tools", surface.tools.len().into());
    }
    Value::Object(fields)
}

fn object(server: &ServerId) -> Object<'_> {
    Object { kind: "McpServer", namespace: server.namespace.as_str(), name: server.name.as_str() }
}

fn now(stamp: Stamp) -> Result<(String, String), ServerError> {
    stamp.now().map_err(|_| ServerError::System("random bytes"))
}

fn encoded(record: &Record<'_>) -> Result<Vec<u8>, ServerError> {
    encode(record).map_err(|_| ServerError::System("way to write a record"))
}
