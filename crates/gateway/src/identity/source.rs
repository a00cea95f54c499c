//! An issuer's keys, fetched and kept fresh by one task: at start, each time-to-live, and when a token names a key
//! that is not there, but not more often than the policy lets unknown keys ask.
//!
//! While the issuer can't be reached the last good set stays, up to the policy's age; after that there are no keys.
//! A copy is stored so that a restart during an outage begins with it. A key that is gone from the set is dead at
//! once, and with it the identities that were made under it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use narrows_core::{
    ports::{JwksStore, StoredKeys},
    resource::check_key_url,
};
use narrows_egress::{AddressPolicy, FetchError, FetchLimits, TargetError, fetch, parse_url};
use narrows_mcp::json::{Document, Limits, Value};
use rustls::ClientConfig;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    AuthFailure, KeyFault,
    keys::{Fingerprint, KeySet, KeySetFault},
};

/// How keys are fetched and how long they are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPolicy {
    /// Between two fetches of a set. A key that its issuer removed is dead after this at the latest.
    pub time_to_live: Duration,
    /// At least this between two fetches while there are keys, whatever keys tokens name and whether the last fetch
    /// failed.
    pub unknown_key_interval: Duration,
    /// How old a set may get while its issuer can't be reached.
    pub max_age: Duration,
    /// The first pause after a failed fetch while there are no keys; it doubles up to the time to live.
    pub retry: Duration,
    /// Bounds of one document.
    pub fetch: FetchLimits,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(300),
            unknown_key_interval: Duration::from_secs(30),
            max_age: Duration::from_secs(24 * 3600),
            retry: Duration::from_secs(2),
            fetch: FetchLimits { bytes: 64 * 1024, timeout: Duration::from_secs(5) },
        }
    }
}

/// What fetching needs of the rest of the process.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) addresses: Arc<AddressPolicy>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) store: Arc<dyn JwksStore>,
    pub(super) clock: fn() -> jiff::Timestamp,
    /// Told when identities may have ended.
    pub(super) changes: watch::Sender<u64>,
    pub(super) policy: KeyPolicy,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) issuer: String,
    /// None: where the discovery document says.
    pub(super) jwks_url: Option<String>,
}

impl Location {
    /// The name of the stored copy.
    fn stored_as(&self) -> String {
        format!("{} {}", self.issuer, self.jwks_url.as_deref().unwrap_or("discovered"))
    }
}

/// Why a set could not be fetched. For the operator's log.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error("`{url}` can't be used")]
    Url { url: String, source: TargetError },
    #[error("`{url}` can't be fetched")]
    Fetch { url: String, source: FetchError },
    #[error("the discovery document at `{url}` {fault}")]
    Discovery { url: String, fault: &'static str },
    #[error("`{url}` is not a key set")]
    Keys { url: String, source: KeySetFault },
}

/// The keys of one issuer and the task that fetches them, which ends when this is stopped or dropped.
pub(super) struct KeySource {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    _stopped_when_dropped: DropGuard,
}

struct Shared {
    location: Location,
    access: Access,
    wake: Notify,
    /// Grows when a key is taken back.
    epoch: AtomicU64,
    /// The last second at which the keys are believed.
    fresh_until: AtomicI64,
}

#[derive(Debug, Clone, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// Fetches that ended, well or badly.
    attempts: u64,
    last_attempt: Option<Instant>,
}

impl KeySource {
    /// Begins to fetch. Must be called within a runtime.
    pub(super) fn start(location: Location, access: Access, tasks: &TaskTracker) -> Arc<Self> {
        let (sender, state) = watch::channel(State::default());
        let shared = Arc::new(Shared {
            location,
            access,
            wake: Notify::new(),
            epoch: AtomicU64::new(0),
            fresh_until: AtomicI64::new(i64::MIN),
        });
        let stop = CancellationToken::new();
        tasks.spawn(stop.clone().run_until_cancelled_owned(run(Arc::clone(&shared), sender)));
        Arc::new(Self { shared, state, stop: stop.clone(), _stopped_when_dropped: stop.drop_guard() })
    }

    /// Ends the task, whoever still holds this.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn location(&self) -> &Location {
        &self.shared.location
    }

    /// Grows when a key is taken back. Read before [`Self::keys`], it tells whether they are still good later.
    pub(super) fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Acquire)
    }

    /// Whether the last good set is young enough at `now`, in seconds.
    pub(super) fn is_fresh(&self, now: i64) -> bool {
        self.shared.is_fresh(now)
    }

    /// Whether this very key is in the set that is in force.
    pub(super) fn holds(&self, key: &Fingerprint) -> bool {
        self.state.borrow().keys.as_ref().is_some_and(|keys| keys.holds(key))
    }

    /// The keys, after waiting for the first fetch where none has ended yet, and for another one where there are no
    /// keys that are young enough, or `has` finds the key unknown, and the policy lets it ask.
    pub(super) async fn keys(
        &self,
        now: i64,
        has: impl Fn(&KeySet) -> Result<(), KeyFault>,
    ) -> Result<Arc<KeySet>, AuthFailure> {
        let mut state = self.current();
        if state.keys.is_none() && state.attempts == 0 {
            state = self.after(0).await.ok_or(AuthFailure::KeysUnavailable)?;
        }
        let lacking = match self.judge(&state, now, &has) {
            Ok(keys) => return Ok(keys),
            Err(lacking @ (AuthFailure::Key(KeyFault::Unknown) | AuthFailure::KeysUnavailable)) => lacking,
            Err(fault) => return Err(fault),
        };
        if !self.shared.may_ask(&state) {
            return Err(lacking);
        }
        self.shared.wake.notify_one();
        let state = self.after(state.attempts).await.ok_or(lacking)?;
        self.judge(&state, now, &has)
    }

    /// The keys, if they are young enough and have the key.
    fn judge(
        &self,
        state: &State,
        now: i64,
        has: impl Fn(&KeySet) -> Result<(), KeyFault>,
    ) -> Result<Arc<KeySet>, AuthFailure> {
        let keys = state.keys.as_ref().filter(|_| self.is_fresh(now)).ok_or(AuthFailure::KeysUnavailable)?;
        has(keys)?;
        Ok(Arc::clone(keys))
    }

    fn current(&self) -> State {
        self.state.borrow().clone()
    }

    /// The state after more than `attempts` fetches; none if that takes too long.
    async fn after(&self, attempts: u64) -> Option<State> {
        let mut state = self.state.clone();
        // Discovery and key set.
        let patience = self.shared.access.policy.fetch.timeout * 3;
        let reached = tokio::time::timeout(patience, state.wait_for(|state| state.attempts > attempts)).await;
        reached.ok()?.ok().map(|state| state.clone())
    }
}

impl Shared {
    /// Whether enough time has passed since the last fetch. In a fetch that is under way, one more may wait for it.
    fn may_ask(&self, state: &State) -> bool {
        state.last_attempt.is_none_or(|last| last.elapsed() >= self.access.policy.unknown_key_interval)
    }

    fn is_fresh(&self, now: i64) -> bool {
        now <= self.fresh_until.load(Ordering::Acquire)
    }

    fn believe(&self, fetched_at: jiff::Timestamp) {
        let age = i64::try_from(self.access.policy.max_age.as_secs()).unwrap_or(i64::MAX);
        self.fresh_until.store(fetched_at.as_second().saturating_add(age), Ordering::Release);
    }

    /// Puts a set in force. The set is seen before the epoch is, so that what is verified under the new epoch was
    /// verified with the new set.
    fn publish(&self, state: &watch::Sender<State>, keys: Arc<KeySet>, fetched_at: jiff::Timestamp) {
        let mut taken_back = false;
        self.believe(fetched_at);
        state.send_modify(|state| {
            taken_back = state.keys.as_ref().is_some_and(|earlier| !keys.keeps_all_of(earlier));
            state.keys = Some(keys);
        });
        if taken_back {
            self.epoch.fetch_add(1, Ordering::AcqRel);
            self.access.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    async fn load_stored(self: &Arc<Self>, state: &watch::Sender<State>) {
        let shared = Arc::clone(self);
        let stored =
            tokio::task::spawn_blocking(move || shared.access.store.load(&shared.location.stored_as()));
        let Ok(Some(StoredKeys { fetched_at, bytes })) = stored.await else { return };
        // A copy from the future is of a clock that was wrong: nothing is known of its age.
        if fetched_at > (self.access.clock)() {
            return;
        }
        if let Ok(keys) = KeySet::parse(&bytes) {
            self.publish(state, Arc::new(keys), fetched_at);
        }
    }

    async fn store(self: &Arc<Self>, fetched_at: jiff::Timestamp, bytes: Vec<u8>) {
        let shared = Arc::clone(self);
        let saved = tokio::task::spawn_blocking(move || {
            shared.access.store.save(&shared.location.stored_as(), &StoredKeys { fetched_at, bytes });
        });
        if saved.await.is_err() {
            tracing::warn!(issuer = self.location.issuer, "the copy of the key set was not kept");
        }
    }

    /// The keys, and a copy of them to be kept.
    async fn fetch(&self) -> Result<(KeySet, Vec<u8>), SourceError> {
        let url = match &self.location.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let bytes = self.get(&url).await?;
        KeySet::parse_with_copy(&bytes).map_err(|source| SourceError::Keys { url, source })
    }

    /// The `jwks_uri` of the issuer's discovery document (OpenID Connect Discovery 1.0 section 4), which must be
    /// of this very issuer.
    async fn discover(&self) -> Result<String, SourceError> {
        let issuer = self.location.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let bytes = self.get(&url).await?;
        discovered(issuer, &bytes).map_err(|fault| SourceError::Discovery { url, fault })
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, SourceError> {
        let parsed = parse_url(url).map_err(|source| SourceError::Url { url: url.to_owned(), source })?;
        let Access { addresses, tls, policy, .. } = &self.access;
        match fetch(&parsed, Arc::clone(addresses), Arc::clone(tls), policy.fetch).await {
            Ok(bytes) => Ok(bytes.into()),
            Err(source) => Err(SourceError::Fetch { url: url.to_owned(), source }),
        }
    }
}

/// The `jwks_uri` of a discovery document, held to the same rules as one that is configured.
pub(super) fn discovered(issuer: &str, document: &[u8]) -> Result<String, &'static str> {
    let document = Document::parse(document, &Limits::SERVER).map_err(|_| "is not strict JSON")?;
    let text = |name: &str| document.root().get(name).and_then(Value::as_string);
    if text("issuer").is_none_or(|named| named != issuer) {
        return Err("is of another issuer");
    }
    let url = text("jwks_uri").ok_or("has no `jwks_uri`")?;
    check_key_url(&url).map_err(|_| "has a `jwks_uri` that is not a plain `https` URL")?;
    Ok(url.into_owned())
}

async fn run(shared: Arc<Shared>, state: watch::Sender<State>) {
    shared.load_stored(&state).await;
    let policy = shared.access.policy;
    let mut pause = policy.retry;
    loop {
        let next = attempt(&shared, &state, &mut pause).await;
        let due = Instant::now() + next;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => break,
                () = shared.wake.notified() => if shared.may_ask(&state.borrow()) { break },
            }
        }
    }
}

/// Fetches once; gives the time until the next fetch.
async fn attempt(shared: &Arc<Shared>, state: &watch::Sender<State>, pause: &mut Duration) -> Duration {
    let policy = shared.access.policy;
    let next = match shared.fetch().await {
        Ok((keys, bytes)) => {
            let fetched_at = (shared.access.clock)();
            tracing::debug!(issuer = shared.location.issuer, keys = keys.len(), "key set fetched");
            shared.publish(state, Arc::new(keys), fetched_at);
            shared.store(fetched_at, bytes).await;
            *pause = policy.retry;
            policy.time_to_live
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(issuer = shared.location.issuer, %error, cause, "key set not refreshed");
            let next = *pause;
            *pause = pause.saturating_mul(2).min(policy.time_to_live);
            // Without keys there is hurry; with them, an issuer in trouble is not asked more often than one that is
            // well, whatever made us ask.
            let has_keys =
                state.borrow().keys.is_some() && shared.is_fresh((shared.access.clock)().as_second());
            if has_keys { next.max(policy.unknown_key_interval) } else { next }
        }
    };
    state.send_modify(|state| {
        state.attempts += 1;
        state.last_attempt = Some(Instant::now());
    });
    next
}
