//! The only way to a server. A request is judged, its intent is made durable, and only then is there an [`Admitted`],
//! which sending takes. Nothing else in this crate can make one.

mod call;
mod intent;
mod record;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use narrows_core::{
    audit::RecordKind,
    decision::{Decision, Denial, Effect},
    ports::{AppendError, AuditLog, Pairing},
};
use narrows_mcp::envelope::Id;
use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, RequestIds},
    metrics::Metrics,
    refusal::Refusal,
    telemetry::{CallFacts, CallSpan, Spans},
};

use intent::Intent;
use record::rule_text;

pub(crate) use call::{CutReason, Ending, OpenCall};
pub(crate) use record::{Facts, Origin};

/// Makes records and proofs. One for the gateway.
pub(crate) struct Enforcer {
    audit: Arc<dyn AuditLog>,
    digest_key: hmac::Key,
    ids: RequestIds,
    clock: Clock,
    timeout: Duration,
    metrics: Arc<Metrics>,
    spans: Option<Arc<dyn Spans>>,
    /// Intents whose request was given up before they were durable.
    abandoned: TaskTracker,
}

/// Proof that a request was allowed and that its intent is durable. Sending consumes it.
#[must_use]
pub(crate) struct Admitted {
    open: OpenCall,
}

impl Enforcer {
    pub(crate) fn new(
        audit: Arc<dyn AuditLog>,
        digest_key: &[u8; 32],
        clock: Clock,
        timeout: Duration,
        metrics: Arc<Metrics>,
        spans: Option<Arc<dyn Spans>>,
    ) -> Self {
        let digest_key = hmac::Key::new(hmac::HMAC_SHA256, digest_key);
        Self {
            audit,
            digest_key,
            ids: RequestIds::default(),
            clock,
            timeout,
            metrics,
            spans,
            abandoned: TaskTracker::new(),
        }
    }

    /// Carries out a decision: records a refusal and returns it, or makes the intent durable and returns the proof.
    /// `what` names the thing in the refusal: ``tool `x` ``.
    pub(crate) async fn admit(
        &self,
        origin: Origin<'_>,
        facts: Facts<'_>,
        decision: &Decision,
        id: Option<&Id>,
        what: impl FnOnce() -> String,
    ) -> Result<Admitted, Refusal> {
        let request_id = self.ids.next(self.clock);
        match decision.effect() {
            Effect::Refuse(denial) => {
                self.deny(origin, facts, decision, &request_id).await;
                Err(match denial {
                    Denial::UnknownServer => Refusal::UnknownServer(origin.server.clone()),
                    Denial::NoGrant | Denial::Rule(_) | Denial::ConditionFailed { .. } => Refusal::Denied {
                        id: id.cloned(),
                        what: what(),
                        server: origin.server.clone(),
                        request_id,
                    },
                })
            }
            Effect::Proceed { would_deny, rule: _ } => {
                if would_deny.is_some() {
                    self.deny(origin, facts, decision, &self.ids.next(self.clock)).await;
                }
                self.intend(origin, facts, decision, id, request_id).await
            }
        }
    }

    async fn intend(
        &self,
        origin: Origin<'_>,
        facts: Facts<'_>,
        decision: &Decision,
        id: Option<&Id>,
        request_id: String,
    ) -> Result<Admitted, Refusal> {
        let started = Instant::now();
        let span = self.span(origin, facts, &request_id);
        let line = self
            .record(RecordKind::RequestAdmitted, origin, facts, decision, &request_id)
            .map_err(|source| Refusal::Unrecorded { id: id.cloned(), source })?;
        let mut intent = Intent {
            durable: Some(self.audit.append(Pairing::Intent, line)),
            open: Some(OpenCall {
                audit: Arc::clone(&self.audit),
                metrics: Arc::clone(&self.metrics),
                clock: self.clock,
                ids: self.ids.clone(),
                intent: None,
                request_id,
                method: facts.method.to_owned(),
                server: origin.server.clone(),
                started,
                cut: CutReason::default(),
                span,
                closed: false,
            }),
            tasks: self.abandoned.clone(),
        };
        let refusal = match tokio::time::timeout(self.timeout, intent.durable()).await {
            Ok(Ok(open)) => {
                self.metrics.recorded(started.elapsed());
                return Ok(Admitted { open });
            }
            Ok(Err(source)) => Refusal::Unrecorded { id: id.cloned(), source },
            Err(_) => {
                intent.give_up("it was not recorded in time, and not forwarded");
                Refusal::RecordTimeout { id: id.cloned() }
            }
        };
        self.metrics.unrecorded();
        Err(refusal)
    }

    /// Waits until intents that were given up are closed. Part of shutting down, before the log is.
    pub(crate) async fn settle(&self) {
        self.abandoned.close();
        self.abandoned.wait().await;
    }

    fn span(&self, origin: Origin<'_>, facts: Facts<'_>, request_id: &str) -> Option<Box<dyn CallSpan>> {
        let spans = self.spans.as_ref()?;
        Some(spans.start(&CallFacts {
            method: facts.method,
            revision: facts.revision,
            session: facts.session,
            tool: facts.tool,
            prompt: facts.prompt,
            resource: facts.resource,
            server: &origin.server.to_string(),
            request_id,
            parent: facts.traceparent,
        }))
    }

    /// Records a refusal. The refusal stands whether or not it could be recorded.
    pub(crate) async fn deny(
        &self,
        origin: Origin<'_>,
        facts: Facts<'_>,
        decision: &Decision,
        request_id: &str,
    ) {
        self.announce(origin, facts, decision, request_id);
        let line = match self.record(RecordKind::RequestDenied, origin, facts, decision, request_id) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "a denial could not be written as JSON"),
        };
        let durable = self.audit.append(Pairing::Event, line);
        match tokio::time::timeout(self.timeout, durable).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "a denial could not be recorded"),
            Err(_) => tracing::error!("a denial was not recorded in time"),
        }
    }

    /// Records, without waiting, something within a request that was refused or, in `observe`, let through.
    pub(crate) fn note_denial(&self, origin: Origin<'_>, facts: Facts<'_>, decision: &Decision) {
        let request_id = self.request_id();
        self.announce(origin, facts, decision, &request_id);
        let noted = self
            .record(RecordKind::RequestDenied, origin, facts, decision, &request_id)
            .and_then(|line| self.audit.append_later(Pairing::Event, line));
        if let Err(error) = noted {
            tracing::error!(%error, "a denial could not be recorded");
        }
    }

    fn announce(&self, origin: Origin<'_>, facts: Facts<'_>, decision: &Decision, request_id: &str) {
        self.metrics.denied(decision.mode);
        tracing::info!(
            server = %origin.server,
            subject = %origin.principal.subject,
            method = facts.method,
            tool = facts.tool,
            rule = %rule_text(&decision.verdict),
            mode = decision.mode.as_str(),
            request = request_id,
            "denied"
        );
    }

    /// A request id for an event that is no admission.
    pub(crate) fn request_id(&self) -> String {
        self.ids.next(self.clock)
    }

    /// Whether the log takes records now.
    pub(crate) fn health(&self) -> Result<(), AppendError> {
        self.audit.health()
    }
}

impl Admitted {
    /// The request's id in the record.
    pub(crate) fn request_id(&self) -> &str {
        &self.open.request_id
    }

    /// Where to say why the request was let go, if it is.
    pub(crate) fn cut_reason(&self) -> CutReason {
        self.open.cut.clone()
    }

    /// Trades the proof for the duty to close. Only [`crate::upstream`] sends, and it takes the proof by value.
    pub(crate) fn into_open(self) -> OpenCall {
        self.open
    }
}
