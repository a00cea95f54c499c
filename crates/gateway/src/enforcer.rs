//! The only way to a server. A request is judged, its intent is made durable, and only then is there an [`Admitted`],
//! which sending takes. Nothing else in this crate can make one.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use narrows_core::{
    audit::{
        Actor, DecisionRecord, Object, OutcomeRecord, Record, RecordKind, RequestRecord, Source, record_time,
    },
    decision::{Decision, Denial, Effect, Verdict},
    ids::ServerId,
    ports::{AppendError, AuditLog, Durable, LogIndex, Pairing},
    principal::{Principal, PrincipalKind},
};
use narrows_mcp::envelope::Id;

use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, RequestIds},
    metrics::{Metrics, Outcome},
    refusal::Refusal,
    telemetry::{CallFacts, CallSpan, Spans},
};

/// What is written of a request, besides who and what was decided.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) tool: Option<&'a str>,
    pub(crate) resource: Option<&'a str>,
    pub(crate) prompt: Option<&'a str>,
    pub(crate) revision: &'a str,
    pub(crate) arguments: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
}

/// Who asks, from where, of whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) ip: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) server: &'a ServerId,
}

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

/// A request on its way. Closing it writes the outcome; dropping it writes `cancelled`.
#[must_use]
pub(crate) struct OpenCall {
    audit: Arc<dyn AuditLog>,
    metrics: Arc<Metrics>,
    clock: Clock,
    ids: RequestIds,
    /// None until the intent is durable; without it there is nothing to close.
    intent: Option<LogIndex>,
    request_id: String,
    method: String,
    server: ServerId,
    started: Instant,
    cut: CutReason,
    span: Option<Box<dyn CallSpan>>,
    closed: bool,
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

    fn record(
        &self,
        kind: RecordKind,
        origin: Origin<'_>,
        facts: Facts<'_>,
        decision: &Decision,
        request_id: &str,
    ) -> Result<Vec<u8>, AppendError> {
        let principal = origin.principal;
        let (actor, on_behalf_of) = principal.acting();
        let digest = facts.arguments.map(|arguments| self.digest(arguments));
        let rule = rule_text(&decision.verdict);
        let revision = decision.revision.to_string();
        let record = Record {
            id: request_id,
            time: &record_time((self.clock)()),
            kind,
            intent: None,
            actor: Some(Actor {
                kind: match principal.kind {
                    PrincipalKind::User => "user",
                    PrincipalKind::ServiceAccount => "serviceAccount",
                },
                issuer: &principal.issuer,
                subject: actor,
                on_behalf_of,
                groups: &principal.groups,
            }),
            source: Some(Source { ip: origin.ip, user_agent: origin.user_agent }),
            object: Some(Object {
                kind: "McpServer",
                namespace: origin.server.namespace.as_str(),
                name: origin.server.name.as_str(),
            }),
            request: Some(RequestRecord {
                id: request_id,
                session: facts.session,
                method: facts.method,
                tool: facts.tool,
                resource: facts.resource,
                prompt: facts.prompt,
                revision: Some(facts.revision),
                args_digest: digest.as_deref(),
            }),
            decision: Some(DecisionRecord {
                effect: match &decision.verdict {
                    Verdict::Allow(_) => "allow",
                    Verdict::Deny(_) => "deny",
                },
                rule: &rule,
                snapshot_revision: &revision,
                mode: decision.mode.as_str(),
            }),
            before: None,
            after: None,
            outcome: None,
            trace: facts.traceparent.and_then(trace_id),
        };
        encode(&record)
    }

    fn digest(&self, arguments: &str) -> String {
        let tag = hmac::sign(&self.digest_key, arguments.as_bytes());
        let mut text = String::with_capacity(76);
        text.push_str("hmac-sha256:");
        crate::clock::push_hex(&mut text, tag.as_ref());
        text
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

/// An intent on its way to the disk. It can't be taken back: if its request is given up meanwhile, it is closed as
/// soon as it is durable, so that no intent is left without an outcome.
struct Intent {
    durable: Option<Durable>,
    open: Option<OpenCall>,
    tasks: TaskTracker,
}

impl Intent {
    async fn durable(&mut self) -> Result<OpenCall, AppendError> {
        let Some(durable) = &mut self.durable else { return Err(AppendError::Closed) };
        let recorded = durable.await;
        self.durable = None;
        let mut open = self.open.take().ok_or(AppendError::Closed)?;
        open.intent = Some(recorded?);
        Ok(open)
    }

    fn give_up(&self, reason: &'static str) {
        if let Some(open) = &self.open {
            open.cut.set(reason);
        }
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        let (Some(durable), Some(open)) = (self.durable.take(), self.open.take()) else { return };
        open.cut.set("the client left before it was forwarded");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.spawn_on(
                async move {
                    let mut open = open;
                    open.intent = durable.await.ok();
                    // This writes the outcome, if there is an intent to close.
                    drop(open);
                },
                &runtime,
            );
        }
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
        let id = self.ids.next(self.clock);
        let record = Record {
            id: &id,
            time: &record_time((self.clock)()),
            kind: RecordKind::RequestCompleted,
            intent: Some(intent),
            actor: None,
            source: None,
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
            decision: None,
            before: None,
            after: None,
            outcome: Some(OutcomeRecord { status: outcome.as_str(), error, duration_ms, bytes }),
            trace: None,
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

/// The trace id of a `traceparent` that was checked by [`crate::context::traceparent`].
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

fn encode(record: &Record<'_>) -> Result<Vec<u8>, AppendError> {
    record.encode().map_err(|error| AppendError::Unwritable { reason: error.to_string().into() })
}

fn rule_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow(rule) | Verdict::Deny(Denial::Rule(rule)) => rule.to_string(),
        Verdict::Deny(Denial::ConditionFailed { rule, error }) => {
            format!("{rule}: condition failed: {error}")
        }
        Verdict::Deny(Denial::NoGrant) => "no grant".to_owned(),
        Verdict::Deny(Denial::UnknownServer) => "unknown server".to_owned(),
    }
}
