//! What a verified token is worth: the principal, and how long and under which conditions that stays true.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use narrows_core::{
    decision::Revision,
    policy::{Grants, Snapshot},
    principal::Principal,
};

use crate::concurrency::InProgress;

use super::{
    ClaimFault,
    claims::{Audience, Claims, LEEWAY},
    keys::Fingerprint,
    revocation::{Revocations, TokenNames},
    trust::TrustedIssuer,
};

/// A verified identity. Only the authenticator makes one, and only from a token whose signature it checked.
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// The token's `exp`. Streams that were opened with it end then.
    pub expires: jiff::Timestamp,
    /// The first 16 bytes of SHA-256 over issuer, a zero byte and the token's subject: what handles are bound to.
    pub subject_digest: [u8; 16],
    audience: Audience,
    expires_second: i64,
    valid_from: i64,
    names: TokenNames,
    issuer: Arc<TrustedIssuer>,
    key: Fingerprint,
    epochs: Epochs,
    revocations: Arc<Revocations>,
    in_progress: OnceLock<Arc<InProgress>>,
    /// The roles of the principal in the snapshot that was asked last.
    grants: ArcSwapOption<(Revision, Grants)>,
}

/// The states of keys and revocations that a token was verified under, read before it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epochs {
    pub(super) keys: u64,
    pub(super) revocations: u64,
}

impl Identity {
    pub(super) fn new(
        claims: Claims,
        issuer: Arc<TrustedIssuer>,
        key: Fingerprint,
        epochs: Epochs,
        revocations: Arc<Revocations>,
    ) -> Result<Self, ClaimFault> {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(claims.principal.issuer.as_bytes());
        hash.update(&[0]);
        hash.update(claims.names.subject.as_bytes());
        let mut subject_digest = [0; 16];
        for (to, from) in subject_digest.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        Ok(Self {
            principal: claims.principal,
            expires: jiff::Timestamp::from_second(claims.expires).map_err(|_| ClaimFault::Expiry)?,
            subject_digest,
            audience: claims.audience,
            expires_second: claims.expires,
            valid_from: claims.valid_from,
            names: claims.names,
            issuer,
            key,
            epochs,
            revocations,
            in_progress: OnceLock::new(),
            grants: ArcSwapOption::empty(),
        })
    }

    /// What the principal has in progress, found once for each token.
    pub fn in_progress(&self, find: impl FnOnce() -> Arc<InProgress>) -> &Arc<InProgress> {
        self.in_progress.get_or_init(find)
    }

    /// Whether it surely still holds at `now`: not expired, none of its issuer's keys taken back, nothing revoked,
    /// the issuer configured as it was. A no means that the token has to be verified again.
    pub(super) fn is_current(&self, now: jiff::Timestamp) -> bool {
        let now = now.as_second();
        now < self.expires_second
            && now.saturating_add(LEEWAY) >= self.valid_from
            && self.revocations.epoch() == self.epochs.revocations
            && self.issuer.still_vouches(self.epochs.keys, now)
    }

    /// Whether it was taken back: its token or subject revoked, its key gone, its issuer no longer configured so or
    /// out of reach for too long.
    pub(super) fn is_taken_back(&self, now: jiff::Timestamp) -> bool {
        self.revocations.name(&self.names) || !self.issuer.vouches_by(&self.key, now.as_second())
    }

    /// The principal's roles in a snapshot, resolved once for each snapshot.
    pub fn grants(&self, snapshot: &Arc<Snapshot>) -> Grants {
        if let Some(held) = self.grants.load().as_deref()
            && held.0 == *snapshot.revision()
        {
            return held.1.clone();
        }
        let grants = snapshot.grants(&self.principal);
        self.grants.store(Some(Arc::new((snapshot.revision().clone(), grants.clone()))));
        grants
    }

    pub(super) fn check_audience(&self, resource: &str) -> Result<(), ClaimFault> {
        self.audience.check(resource)
    }
}
