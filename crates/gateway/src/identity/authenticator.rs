//! The authenticator: which issuers are trusted now, and the path from a request's headers to an [`Identity`].
//!
//! A token that was seen before costs a digest and a look-up. A new one is judged in the order of the list in the
//! module above, and its signature is checked once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use http::HeaderMap;
use narrows_core::{
    ids::{InvalidLabel, ResourceName},
    ports::JwksStore,
    principal::BUILTIN_PROVIDER,
    resource::{Provider, ResourceSet},
};
use narrows_egress::AddressPolicy;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{
    AuthFailure, BuiltinKeys, Identity, KeyPolicy, Revocation, RevocationsFull, bearer,
    cache::{TokenDigest, VerifiedTokens},
    claims,
    jws::Jws,
    keys::KeySet,
    revocation::Revocations,
    source::{Access, KeySource, Location},
    trust::{Keys, Rules, TrustedIssuer},
    verified::Epochs,
};

/// What the authenticator is made of.
pub struct Settings {
    /// The built-in issuer.
    pub builtin: BuiltinKeys,
    /// Where key sets may be fetched from.
    pub addresses: Arc<AddressPolicy>,
    /// The TLS settings for that.
    pub tls: Arc<ClientConfig>,
    /// Keeps copies of key sets.
    pub store: Arc<dyn JwksStore>,
    /// Tells the age of key sets.
    pub clock: fn() -> jiff::Timestamp,
    /// How key sets are fetched.
    pub keys: KeyPolicy,
}

type Trusted = HashMap<Arc<str>, Arc<TrustedIssuer>>;

/// Makes identities from tokens.
pub struct Authenticator {
    builtin: Arc<TrustedIssuer>,
    access: Access,
    /// By `iss`; the built-in issuer among them.
    trusted: ArcSwap<Trusted>,
    reloading: Mutex<()>,
    cache: VerifiedTokens,
    revocations: Arc<Revocations>,
    signature_checks: AtomicU64,
    tasks: TaskTracker,
}

impl Authenticator {
    /// Trusts the built-in issuer and, until [`Self::reload`], nobody else.
    ///
    /// # Errors
    /// None that can be caused: the built-in provider's name is a name.
    pub fn new(settings: Settings) -> Result<Self, InvalidLabel> {
        let provider: ResourceName = BUILTIN_PROVIDER.parse()?;
        let Settings { builtin, addresses, tls, store, clock, keys } = settings;
        let set = KeySet::of_ed25519(&builtin.key_id(), &builtin.public_key);
        let builtin = TrustedIssuer::new(Rules::of_builtin(provider, &builtin), Keys::Builtin(Arc::new(set)));
        let trusted = HashMap::from([(Arc::clone(&builtin.rules.issuer), Arc::clone(&builtin))]);
        Ok(Self {
            builtin,
            access: Access { addresses, tls, store, clock, changes: watch::Sender::new(0), policy: keys },
            trusted: ArcSwap::from_pointee(trusted),
            reloading: Mutex::new(()),
            cache: VerifiedTokens::new(),
            revocations: Revocations::new(),
            signature_checks: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        })
    }

    /// Trusts the providers of these resources from now on, and begins to fetch their keys. Identities of providers
    /// that are gone or changed end. Must be called within a runtime.
    ///
    /// Of two providers with one issuer, or one with the built-in issuer's name, none is trusted: which rules hold
    /// would be a guess. Checked resources have no such pair.
    pub fn reload(&self, resources: &ResourceSet) {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.trusted.load_full();
        let mut trusted = Trusted::new();
        trusted.insert(Arc::clone(&self.builtin.rules.issuer), Arc::clone(&self.builtin));
        for provider in &resources.providers {
            let same = resources.providers.iter().filter(|other| other.issuer == provider.issuer).count();
            if same > 1 || *provider.issuer == *self.builtin.rules.issuer {
                tracing::error!(
                    provider = provider.name.as_str(),
                    issuer = provider.issuer,
                    "not trusted: another provider has the same issuer"
                );
                continue;
            }
            let issuer = self.trust(provider, before.get(provider.issuer.as_str()));
            trusted.insert(Arc::clone(&issuer.rules.issuer), issuer);
        }
        let trusted = Arc::new(trusted);
        self.trusted.store(Arc::clone(&trusted));
        for (name, issuer) in before.iter() {
            issuer.replaced_by(trusted.get(name).map(AsRef::as_ref));
        }
        self.tell();
    }

    /// The issuer as configured: the one in force if nothing changed, with its keys if only rules did.
    fn trust(&self, provider: &Provider, before: Option<&Arc<TrustedIssuer>>) -> Arc<TrustedIssuer> {
        let rules = Rules::of_provider(provider);
        let location = Location { issuer: provider.issuer.clone(), jwks_url: provider.jwks_url.clone() };
        let kept = before.and_then(|issuer| match &issuer.keys {
            Keys::Fetched(source) if *source.location() == location => Some((issuer, source)),
            Keys::Fetched(_) | Keys::Builtin(_) => None,
        });
        match kept {
            Some((issuer, _)) if issuer.rules == rules => Arc::clone(issuer),
            Some((_, source)) => TrustedIssuer::new(rules, Keys::Fetched(Arc::clone(source))),
            None => {
                let source = KeySource::start(location, self.access.clone(), &self.tasks);
                TrustedIssuer::new(rules, Keys::Fetched(source))
            }
        }
    }

    /// Who sends this request. `query` is that of its URI and `resource` the endpoint's canonical URI. The time is
    /// an argument, so that one request is judged at one time.
    ///
    /// # Errors
    /// [`AuthFailure`]; 401, or 503 where the issuer's keys are not available.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        resource: &str,
        now: jiff::Timestamp,
    ) -> Result<Arc<Identity>, AuthFailure> {
        let token = bearer::presented(headers, query)?;
        let digest = TokenDigest::of(token);
        match self.cache.get(&digest, now) {
            Some(identity) => {
                identity.check_audience(resource)?;
                Ok(identity)
            }
            None => Box::pin(self.verify(token, digest, resource, now)).await,
        }
    }

    async fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        resource: &str,
        now: jiff::Timestamp,
    ) -> Result<Arc<Identity>, AuthFailure> {
        bearer::check_shape(token)?;
        let jws = Jws::open(token)?;
        let name = jws.issuer()?;
        let issuer =
            self.trusted.load().get(name.as_str()).map(Arc::clone).ok_or(AuthFailure::UnknownIssuer)?;
        issuer.rules.check_header(jws.algorithm, jws.kind)?;
        // The epochs come before the keys and the deny-list: what changes in between ends the identity.
        let revocations = self.revocations.epoch();
        let (keys, epoch) = match &issuer.keys {
            Keys::Builtin(keys) => (Arc::clone(keys), 0),
            Keys::Fetched(source) => {
                let epoch = source.epoch();
                let known = |keys: &KeySet| keys.select(jws.key_id.as_deref(), jws.algorithm).map(|_| ());
                let keys = source.keys(now.as_second(), known).await?;
                (keys, epoch)
            }
        };
        let epochs = Epochs { keys: epoch, revocations };
        let _lane = self.cache.lane(&digest);
        if let Some(identity) = self.cache.get(&digest, now) {
            identity.check_audience(resource)?;
            return Ok(identity);
        }
        let identity = Arc::new(self.judge(&jws, issuer, &keys, epochs, resource, now)?);
        self.cache.insert(digest, Arc::clone(&identity));
        Ok(identity)
    }

    /// Signature, claims, deny-list.
    fn judge(
        &self,
        jws: &Jws<'_>,
        issuer: Arc<TrustedIssuer>,
        keys: &KeySet,
        epochs: Epochs,
        resource: &str,
        now: jiff::Timestamp,
    ) -> Result<Identity, AuthFailure> {
        let key = keys.select(jws.key_id.as_deref(), jws.algorithm)?;
        self.signature_checks.fetch_add(1, Ordering::Relaxed);
        if !key.verifies(jws.signed, jws.signature) {
            return Err(AuthFailure::Signature);
        }
        let claims = claims::judge(jws.claims.root(), &issuer.rules, now.as_second())?;
        claims.audience.check(resource)?;
        if self.revocations.name(&claims.names) {
            return Err(AuthFailure::Revoked);
        }
        Ok(Identity::new(claims, issuer, key.fingerprint(), epochs, Arc::clone(&self.revocations))?)
    }

    /// Refuses, from now on, what the revocation names. Every identity that was made before has to authenticate
    /// again. Held in memory only.
    ///
    /// # Errors
    /// [`RevocationsFull`]: it is not in force.
    pub fn revoke(&self, revocation: Revocation) -> Result<(), RevocationsFull> {
        self.revocations.add(revocation, (self.access.clock)().as_second())?;
        self.tell();
        Ok(())
    }

    /// Whether an identity that was made earlier was taken back since: its token or subject revoked, its key gone
    /// from the issuer's set, its issuer configured away. Expiry is [`Identity::expires`]. For streams that stay
    /// open, when [`Self::changes`] says so.
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        identity.is_taken_back((self.access.clock)())
    }

    /// Changes when identities may have been taken back.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.access.changes.subscribe()
    }

    fn tell(&self) {
        self.access.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The issuers that a client can get tokens from, for the metadata of RFC 9728; the built-in one is not.
    pub fn authorization_servers(&self) -> Vec<String> {
        let trusted = self.trusted.load();
        let mut issuers: Vec<String> = trusted
            .values()
            .filter(|issuer| matches!(issuer.keys, Keys::Fetched(_)))
            .map(|issuer| issuer.rules.issuer.as_ref().to_owned())
            .collect();
        issuers.sort_unstable();
        issuers
    }

    /// How many signatures were checked since the start: one for each token and key set.
    pub fn signature_checks(&self) -> u64 {
        self.signature_checks.load(Ordering::Relaxed)
    }

    /// Stops fetching keys and waits until that has stopped. No issuer is trusted afterwards.
    pub async fn close(&self) {
        for issuer in self.trusted.swap(Arc::default()).values() {
            issuer.replaced_by(None);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}
