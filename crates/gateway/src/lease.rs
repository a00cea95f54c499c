//! The right to go on. A request that takes longer than a moment, and every stream, is held against the current
//! snapshot and the token's end: what is withdrawn is cut off within a second, not at the next request.

use std::time::Duration;

use narrows_core::decision::Effect;
use tokio::sync::watch;

use crate::{context::Context, judge::Claim};

/// Requests that are answered within this time are not watched: they were judged just now.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// Watches over one request's right.
pub(crate) struct Lease {
    changes: watch::Receiver<u64>,
    identities: watch::Receiver<u64>,
    claim: Claim,
    method: String,
    revision: &'static str,
}

impl Lease {
    pub(crate) fn new(context: &Context, claim: Claim, method: &str, revision: &'static str) -> Self {
        let identities = context.gateway.authenticator().changes();
        Self { changes: context.gateway.changes(), identities, claim, method: method.to_owned(), revision }
    }

    /// Resolves when the right has ended, with the reason for the record. Cancel safe.
    pub(crate) async fn ended(&mut self, context: &Context) -> &'static str {
        loop {
            let expires = context.until_expiry();
            tokio::select! {
                () = tokio::time::sleep(expires) => return "the token expired",
                changed = self.identities.changed() => {
                    if changed.is_err() {
                        return "the gateway stopped";
                    }
                    if context.is_revoked() {
                        return "the token was revoked";
                    }
                }
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        return "the gateway stopped";
                    }
                    let decision = context.decide(&self.claim.action(), &self.method, self.revision);
                    if matches!(decision.effect(), Effect::Refuse(_)) {
                        return "the grant was withdrawn";
                    }
                }
            }
        }
    }
}
