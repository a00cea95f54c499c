//! The issuers that are trusted, in checked form, and the rules that each one's tokens are held to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use narrows_core::{
    ids::ResourceName,
    resource::{Algorithm, MultipleAudiences, Provider, TokenType},
};

use super::{
    AuthFailure, BuiltinKeys,
    issuer::MAX_LIFETIME,
    jws::TokenKind,
    keys::{Fingerprint, KeySet},
    source::KeySource,
};

/// What the tokens of one issuer must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) provider: ResourceName,
    pub(super) issuer: Arc<str>,
    pub(super) audiences: Vec<String>,
    pub(super) subject_claim: String,
    pub(super) groups_claim: String,
    pub(super) algorithms: Vec<Algorithm>,
    /// Seconds.
    pub(super) max_lifetime: i64,
    pub(super) token_type: TokenType,
    pub(super) multiple: MultipleAudiences,
    /// Empty: any client.
    pub(super) client_ids: Vec<String>,
    pub(super) accounts: ServiceAccounts,
}

/// Whether subjects that look like service accounts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceAccounts {
    /// By the prefix of the subject: the built-in issuer's, who vouches for it.
    ByPrefix,
    /// None: whatever another issuer calls its subjects, they are users.
    None,
}

/// An issuer in force.
pub(super) struct TrustedIssuer {
    pub(super) rules: Rules,
    pub(super) keys: Keys,
    /// Set when the configuration no longer has it so; identities made under it end.
    retired: AtomicBool,
}

/// Where an issuer's keys come from.
pub(super) enum Keys {
    /// Ours.
    Builtin(Arc<KeySet>),
    /// Fetched and kept fresh.
    Fetched(Arc<KeySource>),
}

impl Rules {
    pub(super) fn of_builtin(provider: ResourceName, keys: &BuiltinKeys) -> Self {
        Self {
            provider,
            issuer: Arc::clone(&keys.issuer),
            audiences: vec![keys.audience.as_ref().to_owned()],
            subject_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            algorithms: vec![Algorithm::EdDSA],
            max_lifetime: MAX_LIFETIME.as_secs(),
            token_type: TokenType::AccessToken,
            multiple: MultipleAudiences::Refuse,
            client_ids: Vec::new(),
            accounts: ServiceAccounts::ByPrefix,
        }
    }

    pub(super) fn of_provider(provider: &Provider) -> Self {
        Self {
            provider: provider.name.clone(),
            issuer: provider.issuer.as_str().into(),
            audiences: provider.audiences.clone(),
            subject_claim: provider.subject_claim.clone(),
            groups_claim: provider.groups_claim.clone(),
            algorithms: provider.algorithms.clone(),
            max_lifetime: i64::try_from(provider.max_lifetime_secs).unwrap_or(i64::MAX),
            token_type: provider.token_type,
            multiple: provider.allow_multiple_audiences,
            client_ids: provider.required_client_ids.clone(),
            accounts: ServiceAccounts::None,
        }
    }

    /// The part of the header's judgement that depends on the issuer.
    pub(super) fn check_header(&self, algorithm: Algorithm, kind: TokenKind) -> Result<(), AuthFailure> {
        if !self.algorithms.contains(&algorithm) {
            return Err(super::HeaderFault::Algorithm.into());
        }
        match (self.token_type, kind) {
            (TokenType::Any, TokenKind::AccessToken | TokenKind::Unspecified)
            | (TokenType::AccessToken, TokenKind::AccessToken) => Ok(()),
            (TokenType::AccessToken, TokenKind::Unspecified) => Err(super::HeaderFault::Type.into()),
        }
    }
}

impl TrustedIssuer {
    pub(super) fn new(rules: Rules, keys: Keys) -> Arc<Self> {
        Arc::new(Self { rules, keys, retired: AtomicBool::new(false) })
    }

    /// Ends the identities made under this issuer unless `next` is it, and stops fetching its keys unless `next`
    /// goes on with them.
    pub(super) fn replaced_by(&self, next: Option<&Self>) {
        if next.is_some_and(|next| std::ptr::eq(next, self)) {
            return;
        }
        self.retired.store(true, Ordering::Release);
        match (&self.keys, next.map(|next| &next.keys)) {
            (Keys::Fetched(ours), Some(Keys::Fetched(theirs))) if Arc::ptr_eq(ours, theirs) => {}
            (Keys::Fetched(ours), _) => ours.stop(),
            (Keys::Builtin(_), _) => {}
        }
    }

    /// Whether what was verified at `epoch` surely still is: the issuer is configured as it was, none of its keys was
    /// taken back since, and they are fresh enough at `now` (seconds). Cheap.
    pub(super) fn still_vouches(&self, epoch: u64, now: i64) -> bool {
        !self.retired.load(Ordering::Acquire)
            && match &self.keys {
                Keys::Builtin(_) => true,
                Keys::Fetched(source) => source.epoch() == epoch && source.is_fresh(now),
            }
    }

    /// The same, exactly: whether this very key is still one of the issuer's.
    pub(super) fn vouches_by(&self, key: &Fingerprint, now: i64) -> bool {
        !self.retired.load(Ordering::Acquire)
            && match &self.keys {
                Keys::Builtin(keys) => keys.holds(key),
                Keys::Fetched(source) => source.is_fresh(now) && source.holds(key),
            }
    }
}
