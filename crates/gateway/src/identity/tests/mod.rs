//! The authenticator as a whole, with real keys, a real key server on loopback, and a clock that stands.

mod bad_claims;
mod bad_tokens;
mod builtin;
mod cache;
mod good_tokens;
mod key_server;
mod key_sets;
mod presentation;
mod reload;
mod signing;
mod words;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use narrows_core::{
    ports::{JwksStore, StoredKeys},
    resource::{Algorithm, MultipleAudiences, Provider, ResourceSet, TokenType},
};
use narrows_egress::{AddressPolicy, FetchLimits, tls_config};
use serde_json::{Value, json};

use super::{AuthFailure, Authenticator, BuiltinKeys, Identity, Issuer, KeyPolicy, Settings, challenge};
use key_server::{Answer, KeyServer};
use signing::TestKey;

/// When all of this happens, in seconds.
const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
/// The endpoint that is asked.
const RESOURCE: &str = "https://gate.example/mcp/dev/files";
const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://gate.example/mcp";
/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

fn now() -> jiff::Timestamp {
    at(NOW)
}

/// Keeps copies in memory.
#[derive(Default)]
struct MemoryStore(Mutex<HashMap<String, StoredKeys>>);

impl JwksStore for MemoryStore {
    fn load(&self, source: &str) -> Option<StoredKeys> {
        self.0.lock().unwrap().get(source).cloned()
    }

    fn save(&self, source: &str, keys: &StoredKeys) {
        self.0.lock().unwrap().insert(source.to_owned(), keys.clone());
    }
}

/// Fast where a test waits, long where it must not happen by itself.
fn policy() -> KeyPolicy {
    KeyPolicy {
        time_to_live: Duration::from_secs(600),
        unknown_key_interval: Duration::from_secs(600),
        retry: Duration::from_millis(20),
        fetch: FetchLimits { bytes: 64 * 1024, timeout: Duration::from_millis(500) },
        ..KeyPolicy::default()
    }
}

fn builtin_issuer() -> Issuer {
    let pem = Issuer::generate_key().unwrap();
    Issuer::load(pem.expose(), "urn:narrows:test", "urn:narrows:test:mcp").unwrap()
}

fn authenticator(policy: KeyPolicy, store: Arc<dyn JwksStore>, builtin: BuiltinKeys) -> Authenticator {
    let addresses = AddressPolicy { allowed: vec!["127.0.0.0/8".parse().unwrap()], own: Vec::new() };
    Authenticator::new(Settings {
        builtin,
        addresses: Arc::new(addresses),
        tls: tls_config(&[]).unwrap(),
        store,
        clock: now,
        keys: policy,
    })
    .unwrap()
}

fn provider(jwks_url: Option<String>) -> Provider {
    Provider {
        name: "corp".parse().unwrap(),
        labels: Default::default(),
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        subject_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        algorithms: Algorithm::DEFAULT.to_vec(),
        jwks_url,
        max_lifetime_secs: 24 * 3600,
        token_type: TokenType::Any,
        allow_multiple_audiences: MultipleAudiences::Refuse,
        required_client_ids: Vec::new(),
    }
}

fn resources(providers: Vec<Provider>) -> ResourceSet {
    ResourceSet { providers, ..ResourceSet::default() }
}

/// A key set as JSON text.
fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// An authenticator that trusts one provider, whose keys are served.
struct World {
    authenticator: Authenticator,
    server: KeyServer,
    /// The key that good tokens are signed with: ES256, `kid` `main`.
    key: TestKey,
}

impl World {
    async fn new() -> Self {
        Self::with(policy(), Vec::new(), |_| {}).await
    }

    /// With further keys in the set and the provider changed.
    async fn with(policy: KeyPolicy, more: Vec<Value>, change: impl FnOnce(&mut Provider)) -> Self {
        let key = TestKey::es256("main");
        let server = KeyServer::start().await;
        let keys: Vec<Value> = [key.jwk()].into_iter().chain(more).collect();
        server.set("/keys", Answer::Json(key_set(&keys)));
        let mut provider = provider(Some(server.url("/keys")));
        change(&mut provider);
        let store = Arc::new(MemoryStore::default());
        let authenticator = authenticator(policy, store, builtin_issuer().public().clone());
        authenticator.reload(&resources(vec![provider]));
        Self { authenticator, server, key }
    }

    async fn authenticate(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        self.authenticate_at(token, RESOURCE, NOW).await
    }

    async fn authenticate_at(
        &self,
        token: &str,
        resource: &str,
        second: i64,
    ) -> Result<Arc<Identity>, AuthFailure> {
        let headers = bearer(token);
        let asking = self.authenticator.authenticate(&headers, None, resource, at(second));
        tokio::time::timeout(PATIENCE, asking).await.expect("authentication hangs")
    }

    /// A token with good claims, changed.
    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = claims();
        change(&mut claims);
        self.key.token(&claims)
    }

    /// The reason code of the refusal; `ok` if there is none. Also checks that neither what is shown of the refusal nor
    /// the challenge holds any of the token.
    async fn outcome(&self, token: &str) -> &'static str {
        match self.authenticate(token).await {
            Ok(_) => "ok",
            Err(failure) => {
                assert_silent(&failure, token);
                failure.reason_code()
            }
        }
    }
}

fn assert_silent(failure: &AuthFailure, token: &str) {
    let challenge = challenge("https://gate.example/.well-known/oauth-protected-resource/mcp", failure);
    let shown = format!("{failure} {failure:?} {}", challenge.to_str().unwrap());
    for part in token.split('.').filter(|part| part.len() >= 8) {
        assert!(!shown.contains(part), "{shown} holds a part of the token");
    }
}

fn bearer(token: &str) -> HeaderMap {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    value.set_sensitive(true);
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": NOW - 60,
        "exp": NOW + HOUR,
        "groups": ["dev", "ops"],
    })
}
