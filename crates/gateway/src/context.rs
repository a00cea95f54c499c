//! One request's surroundings: who asks, of which server, in which session, and how to judge it now.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use narrows_core::{
    action::{Action, RequestFacts},
    decision::{Decision, Effect},
    ids::ServerId,
    policy::Query,
};

use crate::{
    concurrency::Slot,
    enforcer::{Admitted, Facts, Origin},
    gateway::Gateway,
    identity::Identity,
    judge::Claim,
    metrics::Present,
    refusal::Refusal,
    session::{Binding, Session},
    upstream::Upstream,
};
use narrows_mcp::envelope::Id;

/// The surroundings. Lives as long as the request, streams included.
pub(crate) struct Context {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) server: ServerId,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) binding: Binding,
    pub(crate) session: Option<Session>,
    pub(crate) ip: Arc<str>,
    pub(crate) user_agent: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) _slot: Slot,
    pub(crate) _present: Present,
}

impl Context {
    /// Judges an action by the snapshot that is in force now.
    pub(crate) fn decide(&self, action: &Action<'_>, method: &str, revision: &str) -> Decision {
        let published = self.gateway.published();
        let grants = self.identity.grants(&published.snapshot);
        let request = RequestFacts { method, revision, ip: &self.ip };
        published.snapshot.decide(
            &grants,
            &Query {
                principal: &self.identity.principal,
                server: &self.server,
                action: *action,
                request,
                now: self.gateway.now(),
            },
        )
    }

    /// Judges a claim and, if it stands, makes its intent durable.
    pub(crate) async fn admit(
        &self,
        claim: &Claim,
        method: &str,
        revision: &str,
        id: Option<&Id>,
    ) -> Result<Admitted, Refusal> {
        self.admit_as(claim, method, method, revision, id).await
    }

    /// The same, where the record names another method than the claim is judged with.
    pub(crate) async fn admit_as(
        &self,
        claim: &Claim,
        judged: &str,
        recorded: &str,
        revision: &str,
        id: Option<&Id>,
    ) -> Result<Admitted, Refusal> {
        let decision = self.decide(&claim.action(), judged, revision);
        let facts = self.facts(claim, recorded, revision);
        let admitted =
            self.gateway.enforcer().admit(self.origin(), facts, &decision, id, || claim.what()).await?;
        // Recording took its time. What was published meanwhile counts.
        if self.gateway.published().snapshot.revision().number == decision.revision.number {
            return Ok(admitted);
        }
        let now = self.decide(&claim.action(), judged, revision);
        match now.effect() {
            Effect::Proceed { .. } => Ok(admitted),
            Effect::Refuse(_) => {
                let reason = "the grant was withdrawn";
                admitted.cut_reason().set(reason);
                Err(Refusal::Withdrawn { id: id.cloned(), reason })
            }
        }
    }

    /// Records, without waiting, what was refused or let through in passing.
    pub(crate) fn note_denial(&self, claim: &Claim, method: &str, revision: &str, decision: &Decision) {
        let facts = self.facts(claim, method, revision);
        self.gateway.enforcer().note_denial(self.origin(), facts, decision);
    }

    /// Whether the server's address is still the one that this request went to.
    pub(crate) fn leads_to_its_server(&self) -> bool {
        self.gateway.published().way(&self.server).is_some_and(|way| way.leads_to(&self.upstream))
    }

    /// What is written of a claim in this request.
    pub(crate) fn facts<'a>(&'a self, claim: &'a Claim, method: &'a str, revision: &'a str) -> Facts<'a> {
        Facts {
            session: self.session.as_ref().map(|session| session.tag.as_str()),
            traceparent: self.traceparent.as_deref(),
            ..claim.facts(method, revision)
        }
    }

    /// Who asks, for the record.
    pub(crate) fn origin(&self) -> Origin<'_> {
        Origin {
            principal: &self.identity.principal,
            ip: &self.ip,
            user_agent: &self.user_agent,
            server: &self.server,
        }
    }

    /// Until the token ends.
    pub(crate) fn until_expiry(&self) -> Duration {
        let left = self.identity.expires.as_millisecond().saturating_sub(self.gateway.now().as_millisecond());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    /// Whether the token was revoked since it was verified.
    pub(crate) fn is_revoked(&self) -> bool {
        self.gateway.authenticator().is_revoked(&self.identity)
    }

    /// Limits in force.
    pub(crate) fn limits(&self) -> &crate::settings::Limits {
        &self.gateway.settings().limits
    }
}

/// A W3C `traceparent` header of version 00, where it is well-formed.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let mut parts = value.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = (version, trace.len(), parent.len(), flags.len(), parts.next()) == ("00", 32, 16, 2, None);
    let present = |text: &str| text.bytes().any(|byte| byte != b'0');
    let sound = lengths && hex(trace) && hex(parent) && hex(flags) && present(trace) && present(parent);
    sound.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", value.parse().unwrap());
        assert_eq!(traceparent(&headers).is_some(), expected, "{value}");
    }

    #[test]
    fn only_a_sound_trace_context_is_believed() {
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("nonsense", false);
    }
}
