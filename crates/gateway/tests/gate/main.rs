//! The data plane as a whole: real sockets, real tokens, a server that says what a test tells it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod cuts;
mod framing;
mod legacy;
mod limits;
mod parting;
mod stateless;
mod streams;
mod telling;
mod ways;
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use narrows_core::ports::{JwksStore, StoredKeys};
use narrows_egress::AddressPolicy;
use narrows_gateway::identity::{Authenticator, Issuer, KeyPolicy, Settings};

/// There are no fetched keys in these tests, so none are kept.
struct NoKeys;

impl JwksStore for NoKeys {
    fn load(&self, _: &str) -> Option<StoredKeys> {
        None
    }

    fn save(&self, _: &str, _: &StoredKeys) {}
}

/// The built-in issuer and an authenticator that trusts it alone.
fn identity_parts(
    addresses: &Arc<AddressPolicy>,
    tls: &Arc<rustls::ClientConfig>,
) -> (Issuer, Arc<Authenticator>) {
    let key = Issuer::generate_key().unwrap();
    let issuer = Issuer::load(key.expose(), "urn:narrows:test", "urn:narrows:test:mcp").unwrap();
    let settings = Settings {
        builtin: issuer.public().clone(),
        addresses: Arc::clone(addresses),
        tls: Arc::clone(tls),
        store: Arc::new(NoKeys),
        clock: jiff::Timestamp::now,
        keys: KeyPolicy::default(),
    };
    (issuer, Arc::new(Authenticator::new(settings).unwrap()))
}

fn issue(issuer: &Issuer, subject: &str, group: &str, seconds: u64) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let id = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let (groups, lifetime) = ([group.to_owned()], Duration::from_secs(seconds));
    issuer.issue(subject, &groups, lifetime, jiff::Timestamp::now(), &id).unwrap().expose().to_owned()
}
