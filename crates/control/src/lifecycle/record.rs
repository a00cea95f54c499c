//! The records of servers' lives: that one is to be started anew, what came of it, and how each fares.

use narrows_core::{
    audit::{Actor, ChangeRecord, Object, OutcomeRecord, Record, RecordKind, record_time},
    ids::ServerId,
    lifecycle::ServerState,
    ports::LogIndex,
};
use serde_json::{Map, Value};

use super::ServerError;
use crate::{Requester, record::Stamp};

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
        ended: Result<(), &str>,
    ) -> Result<Vec<u8>, ServerError> {
        let (kind, status) = match ended {
            Ok(()) => (RecordKind::ChangeApplied, "ok"),
            Err(_) => (RecordKind::ChangeAborted, "error"),
        };
        let outcome = OutcomeRecord { status, error: ended.err(), duration_ms: 0.0, bytes: 0 };
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
            ..bare(kind)
        };
        stamped(record, stamp)
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
        ..bare(RecordKind::ServerStateChanged)
    };
    stamped(record, stamp)
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

fn bare(kind: RecordKind) -> Record<'static> {
    Record {
        id: "",
        time: "",
        kind,
        intent: None,
        actor: None,
        source: None,
        object: None,
        request: None,
        decision: None,
        change: None,
        before: None,
        after: None,
        outcome: None,
        trace: None,
    }
}

fn stamped(record: Record<'_>, stamp: Stamp) -> Result<Vec<u8>, ServerError> {
    let id = stamp.id().map_err(|_| ServerError::System("random bytes"))?;
    let time = record_time((stamp.clock)());
    let record = Record { id: &id, time: &time, ..record };
    record.encode().map_err(|_| ServerError::System("way to write a record"))
}
