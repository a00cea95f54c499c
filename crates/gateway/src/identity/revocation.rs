//! What was taken back before its time. In memory: it is asked when a token is verified, and every change ends all
//! identities that were made before it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most entries that are held.
const MAX_ENTRIES: usize = 10_000;

/// What is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One token.
    Token {
        /// Its `iss`.
        issuer: String,
        /// Its `jti`.
        token_id: String,
        /// Its `exp`, after which the entry is not needed.
        expires: jiff::Timestamp,
    },
    /// All tokens of a subject that were issued before a time, or don't say when.
    Subject {
        /// Their `iss`.
        issuer: String,
        /// Their subject as it stands in the token.
        subject: String,
        /// The first `iat` that is good again.
        issued_before: jiff::Timestamp,
    },
}

/// There is no room for another entry. Change the issuer's keys instead, or configure it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_ENTRIES} revocations are in force, which is all there is room for")]
pub struct RevocationsFull;

/// What a revocation can name a token by.
pub(super) struct TokenNames {
    pub(super) issuer: Arc<str>,
    /// The subject as it stands in the token.
    pub(super) subject: String,
    /// `jti`.
    pub(super) token_id: Option<String>,
    /// `iat`, in seconds.
    pub(super) issued_at: Option<i64>,
}

#[derive(Default)]
pub(super) struct Revocations {
    epoch: AtomicU64,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// By issuer and token id: when it expires, in seconds.
    tokens: HashMap<(String, String), i64>,
    /// By issuer and subject: the first good `iat`, in seconds.
    subjects: HashMap<(String, String), i64>,
}

impl Revocations {
    /// Grows with each change.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, revocation: Revocation, now: i64) -> Result<(), RevocationsFull> {
        {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.tokens.retain(|_, expires| expires.saturating_add(super::claims::LEEWAY) > now);
            if entries.tokens.len().saturating_add(entries.subjects.len()) >= MAX_ENTRIES {
                return Err(RevocationsFull);
            }
            match revocation {
                Revocation::Token { issuer, token_id, expires } => {
                    entries.tokens.insert((issuer, token_id), expires.as_second());
                }
                Revocation::Subject { issuer, subject, issued_before } => {
                    let first_good = entries.subjects.entry((issuer, subject)).or_insert(i64::MIN);
                    *first_good = issued_before.as_second().max(*first_good);
                }
            }
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    pub(super) fn name(&self, token: &TokenNames) -> bool {
        if self.epoch() == 0 {
            return false;
        }
        let issuer = || token.issuer.as_ref().to_owned();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let by_id =
            token.token_id.as_ref().is_some_and(|id| entries.tokens.contains_key(&(issuer(), id.clone())));
        let by_subject = entries
            .subjects
            .get(&(issuer(), token.subject.clone()))
            .is_some_and(|first_good| token.issued_at.is_none_or(|issued| issued < *first_good));
        by_id || by_subject
    }

    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }
}
