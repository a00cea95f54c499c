//! The right to go on. A request that takes longer than a moment, and every stream, is held against the current
//! snapshot and the token's end: what is withdrawn is cut off within a second, not at the next request.

use std::{pin::Pin, sync::Arc, time::Duration};

use narrows_core::decision::Effect;

use crate::{context::Context, judge::Claim};

/// Requests that are answered within this time are not watched: they were judged just now.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// How often a right is looked at though nothing was published: conditions and modes can depend on the time.
const INTERVAL: Duration = Duration::from_secs(5);

/// Resolves when the right has ended, with the reason for the record. Not to be polled after that.
pub(crate) type Ended = Pin<Box<dyn Future<Output = &'static str> + Send>>;

/// What is watched over.
pub(crate) struct Held {
    pub(crate) claim: Claim,
    /// The method that the claim is judged with.
    pub(crate) method: String,
    pub(crate) revision: &'static str,
}

/// Watches over a request's right, beginning with a look at how things are now: what was published between the
/// first judgement and this counts too.
pub(crate) fn watch(context: Arc<Context>, held: Held) -> Ended {
    let mut changes = context.gateway.changes();
    let mut identities = context.gateway.authenticator().changes();
    Box::pin(async move {
        loop {
            if let Some(reason) = ended(&context, &held) {
                return reason;
            }
            tokio::select! {
                () = tokio::time::sleep(context.until_expiry().min(INTERVAL)) => {}
                changed = identities.changed() => if changed.is_err() { return STOPPED },
                changed = changes.changed() => if changed.is_err() { return STOPPED },
            }
        }
    })
}

/// Whether the right has ended by now, and why.
pub(crate) fn ended(context: &Context, held: &Held) -> Option<&'static str> {
    if context.until_expiry().is_zero() {
        return Some("the token expired");
    }
    if context.is_revoked() {
        return Some("the token was revoked");
    }
    let decision = context.decide(&held.claim.action(), &held.method, held.revision);
    if matches!(decision.effect(), Effect::Refuse(_)) {
        return Some("the grant was withdrawn");
    }
    (!context.leads_to_its_server()).then_some("the server was replaced")
}

/// Runs work that answers a request, and lets go of it if the right to the answer ends before it is done.
pub(crate) async fn during<T>(
    context: &Arc<Context>,
    held: impl FnOnce() -> Held,
    work: impl Future<Output = T>,
) -> Result<T, &'static str> {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(GRACE, &mut work).await {
        return Ok(done);
    }
    tokio::select! {
        biased;
        reason = watch(Arc::clone(context), held()) => Err(reason),
        done = &mut work => Ok(done),
    }
}

const STOPPED: &str = "the gateway stopped";
