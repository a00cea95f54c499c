//! Identities by the SHA-256 of their whole token, bounded. Nothing of a token is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use super::Identity;

/// Identities that are held.
const CAPACITY: usize = 10_000;
/// Tokens that can be verified at once.
const LANES: usize = 64;

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

pub(super) struct VerifiedTokens {
    held: Cache<TokenDigest, Arc<Identity>>,
    lanes: [Mutex<()>; LANES],
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        Self { held: Cache::new(CAPACITY), lanes: std::array::from_fn(|_| Mutex::new(())) }
    }

    /// The identity, if it still holds.
    pub(super) fn get(&self, digest: &TokenDigest, now: jiff::Timestamp) -> Option<Arc<Identity>> {
        let identity = self.held.get(digest)?;
        if identity.is_current(now) {
            Some(identity)
        } else {
            self.held.remove_if(digest, |held| Arc::ptr_eq(held, &identity));
            None
        }
    }

    pub(super) fn insert(&self, digest: TokenDigest, identity: Arc<Identity>) {
        self.held.insert(digest, identity);
    }

    /// Held while a token is verified, so that of many requests that bring the same new token at once, one checks
    /// the signature and the others find the result. Different tokens seldom share a lane.
    pub(super) fn lane(&self, digest: &TokenDigest) -> Option<MutexGuard<'_, ()>> {
        let TokenDigest([first, ..]) = digest;
        let lane = self.lanes.get(usize::from(*first) % LANES)?;
        Some(lane.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
