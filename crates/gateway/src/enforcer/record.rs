//! What is written of a request and its decision. Arguments must never be in it, only their digest.

use aws_lc_rs::hmac;
use narrows_core::{
    audit::{Actor, DecisionRecord, Object, Record, RecordKind, RequestRecord, Source, record_time},
    decision::{Decision, Denial, Verdict},
    ids::ServerId,
    ports::AppendError,
    principal::{Principal, PrincipalKind},
};

use super::Enforcer;

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

impl Enforcer {
    pub(super) fn record(
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
        let time = record_time((self.clock)());
        let record = Record {
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
            trace: facts.traceparent.and_then(trace_id),
            ..Record::new(kind, request_id, &time)
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
}

/// The trace id of a `traceparent` that was checked by [`crate::context::traceparent`].
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

pub(super) fn encode(record: &Record<'_>) -> Result<Vec<u8>, AppendError> {
    record.encode().map_err(|error| AppendError::Unwritable { reason: error.to_string().into() })
}

pub(super) fn rule_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow(rule) | Verdict::Deny(Denial::Rule(rule)) => rule.to_string(),
        Verdict::Deny(Denial::ConditionFailed { rule, error }) => {
            format!("{rule}: condition failed: {error}")
        }
        Verdict::Deny(Denial::NoGrant) => "no grant".to_owned(),
        Verdict::Deny(Denial::UnknownServer) => "unknown server".to_owned(),
    }
}
