//! A call on its way, from the intent that is durable to its outcome. It must never be left without one: what is dropped
//! unclosed writes `cancelled`.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use narrows_core::{
    audit::{Object, OutcomeRecord, Record, RecordKind, RequestRecord, record_time},
    ids::ServerId,
    ports::{AuditLog, LogIndex, Pairing},
};

use super::record::encode;
use crate::{
    clock::{Clock, RequestIds},
    metrics::{Metrics, Outcome},
    telemetry::CallSpan,
};

/// A request on its way. Closing it writes the outcome; dropping it writes `cancelled`.
#[must_use]
pub(crate) struct OpenCall {
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) ids: RequestIds,
    /// None until the intent is durable; without it there is nothing to close.
    pub(super) intent: Option<LogIndex>,
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) server: ServerId,
    pub(super) started: Instant,
    pub(super) cut: CutReason,
    pub(super) span: Option<Box<dyn CallSpan>>,
    pub(super) closed: bool,
}

/// Why a request was let go before its answer, for the outcome. Shared between what waits and what closes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutReason(Arc<OnceLock<&'static str>>);

impl CutReason {
    pub(crate) fn set(&self, reason: &'static str) {
        // The first reason is the one.
        let _first = self.0.set(reason);
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    Error(&'static str),
    Cancelled(&'static str),
}

impl OpenCall {
    /// The request's id in the record.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The trace context that goes to the server.
    pub(crate) fn traceparent(&self) -> Option<String> {
        self.span.as_ref().and_then(|span| span.traceparent())
    }

    /// Writes the outcome.
    pub(crate) fn close(mut self, ending: Ending, bytes: u64) {
        self.write(ending, bytes);
    }

    fn write(&mut self, ending: Ending, bytes: u64) {
        let Some(intent) = self.intent else { return };
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let elapsed = self.started.elapsed();
        let (outcome, error) = match ending {
            Ending::Ok => (Outcome::Ok, None),
            Ending::Error(reason) => (Outcome::Error, Some(reason)),
            Ending::Cancelled(reason) => (Outcome::Cancelled, Some(reason)),
        };
        self.metrics.completed(outcome, elapsed);
        if let Some(span) = self.span.take() {
            span.end(error);
        }
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 microseconds, which is 285 years")]
        let duration_ms = elapsed.as_micros() as f64 / 1000.0;
        let (id, time) = (self.ids.next(self.clock), record_time((self.clock)()));
        let record = Record {
            intent: Some(intent),
            object: Some(Object {
                kind: "McpServer",
                namespace: self.server.namespace.as_str(),
                name: self.server.name.as_str(),
            }),
            request: Some(RequestRecord {
                id: &self.request_id,
                session: None,
                method: &self.method,
                tool: None,
                resource: None,
                prompt: None,
                revision: None,
                args_digest: None,
            }),
            outcome: Some(OutcomeRecord { status: outcome.as_str(), error, duration_ms, bytes }),
            ..Record::new(RecordKind::RequestCompleted, &id, &time)
        };
        let taken = encode(&record).and_then(|line| self.audit.append_later(Pairing::Outcome(intent), line));
        if let Err(error) = taken {
            tracing::error!(%error, intent = intent.0, "an outcome was not taken; it is closed as unknown at restart");
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let reason = self.cut.0.get().copied().unwrap_or("the client ended the request");
        self.write(Ending::Cancelled(reason), 0);
    }
}
