//! The keys of an issuer over time, with servers as bad as they come.

use std::{sync::Arc, time::Duration};

use narrows_core::ports::{JwksStore, StoredKeys};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Answer, HOUR, ISSUER, KeyServer, MemoryStore, NOW, PATIENCE, RESOURCE, World, at, authenticator, bearer,
    builtin_issuer, claims, key_set, policy, provider, resources, signing::TestKey,
};
use crate::identity::{Authenticator, KeyPolicy, source::discovered};

/// The key set is fetched again after this.
fn quick() -> KeyPolicy {
    KeyPolicy { time_to_live: Duration::from_millis(50), ..policy() }
}

async fn outcome(gate: &Authenticator, token: &str, second: i64) -> &'static str {
    let headers = bearer(token);
    let asking = gate.authenticate(&headers, None, RESOURCE, at(second));
    match tokio::time::timeout(PATIENCE, asking).await.expect("authentication hangs") {
        Ok(_) => "ok",
        Err(failure) => failure.reason_code(),
    }
}

/// An authenticator whose provider's keys are at `path` of the server.
fn trusting(server: &KeyServer, policy: KeyPolicy, store: &Arc<MemoryStore>) -> Authenticator {
    let store: Arc<dyn JwksStore> = Arc::<MemoryStore>::clone(store);
    let gate = authenticator(policy, store, builtin_issuer().public().clone());
    gate.reload(&resources(vec![provider(Some(server.url("/keys")))]));
    gate
}

/// A server that never gave keys: nobody of that issuer gets in, and it is not called a bad token.
#[tokio::test]
async fn without_keys_there_is_no_verdict() {
    let target = KeyServer::start().await;
    let key = TestKey::es256("main");
    target.set("/keys", Answer::Json(key_set(&[key.jwk()])));
    let padded = json!({ "keys": [key.jwk()], "x": "x".repeat(64 * 1024) }).to_string();
    let too_many: Vec<_> = (0..33).map(|number| TestKey::es256(&number.to_string()).jwk()).collect();
    for answer in [
        Answer::Status(500),
        Answer::Status(204),
        Answer::Status(404),
        Answer::Html,
        Answer::Hang,
        Answer::Huge,
        Answer::Drip,
        Answer::Redirect(target.url("/keys")),
        Answer::Json(String::new()),
        Answer::Json("null".to_owned()),
        Answer::Json("[]".to_owned()),
        Answer::Json("{}".to_owned()),
        Answer::Json(json!({ "keys": null }).to_string()),
        Answer::Json(json!({ "keys": {} }).to_string()),
        Answer::Json(key_set(&[])),
        Answer::Json(key_set(&[json!({}), json!(7), json!(null), json!([key.jwk()])])),
        Answer::Json(format!("{}{}", key_set(&[key.jwk()]), "{}")),
        Answer::Json(r#"{"keys":[],"keys":[]}"#.to_owned()),
        Answer::Json(padded),
        Answer::Json(key_set(&too_many)),
    ] {
        let server = KeyServer::start().await;
        server.set("/keys", answer.clone());
        let gate = trusting(&server, policy(), &Arc::default());
        let got = outcome(&gate, &key.token(&claims()), NOW).await;
        assert_eq!(
            got,
            "keys_unavailable",
            "{}",
            format!("{answer:?}").chars().take(100).collect::<String>()
        );
        // It is asked again without a request, and recovers by itself.
        server.set("/keys", Answer::Json(key_set(&[key.jwk()])));
        let recovered = async {
            while outcome(&gate, &key.token(&claims()), NOW).await != "ok" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, recovered).await.expect("it should recover");
    }
    assert_eq!(target.hits("/keys"), 0, "a redirect was followed");
}

#[tokio::test]
async fn addresses_outside_the_policy_are_not_asked_for_keys() {
    let gate = authenticator(policy(), Arc::new(MemoryStore::default()), builtin_issuer().public().clone());
    let key = TestKey::es256("main");
    for url in [
        "http://169.254.169.254/keys",
        "https://10.0.0.1/keys",
        "ftp://127.0.0.1/keys",
        "not a URL",
        "http://[::1]/",
    ] {
        gate.reload(&resources(vec![provider(Some(url.to_owned()))]));
        assert_eq!(outcome(&gate, &key.token(&claims()), NOW).await, "keys_unavailable", "{url}");
    }
}

#[tokio::test]
async fn new_keys_are_found_and_removed_keys_are_dead() {
    let world = World::with(quick(), Vec::new(), |_| {}).await;
    let old = world.token(|_| {});
    assert_eq!(world.outcome(&old).await, "ok");
    let identity = world.authenticate(&old).await.ok().unwrap();
    let next = TestKey::es256("next");
    world.server.set("/keys", Answer::Json(key_set(&[world.key.jwk(), next.jwk()])));
    world.server.asked("/keys", world.server.hits("/keys") + 2).await;
    // An added key ends nothing: the old token is still in the cache.
    let checks = world.authenticator.signature_checks();
    assert_eq!(world.outcome(&old).await, "ok");
    assert_eq!(world.authenticator.signature_checks(), checks);
    assert_eq!(world.outcome(&next.token(&claims())).await, "ok");
    assert!(!world.authenticator.is_revoked(&identity));
    let mut changes = world.authenticator.changes();
    changes.borrow_and_update();
    world.server.set("/keys", Answer::Json(key_set(&[next.jwk()])));
    tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    assert_eq!(world.outcome(&old).await, "key_unknown");
    assert!(world.authenticator.is_revoked(&identity));
    assert_eq!(world.outcome(&next.token(&claims())).await, "ok");
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_name_is_dead() {
    let world = World::with(quick(), Vec::new(), |_| {}).await;
    let old = world.token(|_| {});
    assert_eq!(world.outcome(&old).await, "ok");
    let mut changes = world.authenticator.changes();
    changes.borrow_and_update();
    let thief = TestKey::es256("main");
    world.server.set("/keys", Answer::Json(key_set(&[thief.jwk()])));
    tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    assert_eq!(world.outcome(&old).await, "signature_invalid");
    assert_eq!(world.outcome(&thief.token(&claims())).await, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_ask_once_in_an_interval_however_many_there_are() {
    let interval = Duration::from_millis(300);
    let world = Arc::new(
        World::with(KeyPolicy { unknown_key_interval: interval, ..policy() }, Vec::new(), |_| {}).await,
    );
    assert_eq!(world.outcome(&world.token(|_| {})).await, "ok");
    assert_eq!(world.server.hits("/keys"), 1);
    // Within the interval since the first fetch, nothing is asked.
    assert_eq!(world.outcome(&TestKey::es256("new").token(&claims())).await, "key_unknown");
    assert_eq!(world.server.hits("/keys"), 1);
    tokio::time::sleep(interval).await;
    let mut flood = JoinSet::new();
    for number in 0..100 {
        let world = Arc::clone(&world);
        flood.spawn(async move {
            let stranger = TestKey::es256(&format!("stranger-{number}"));
            for _ in 0..3 {
                assert_eq!(world.outcome(&stranger.token(&claims())).await, "key_unknown");
            }
        });
    }
    while let Some(done) = flood.join_next().await {
        done.unwrap();
    }
    let asked = world.server.hits("/keys");
    assert!((2..=3).contains(&asked), "asked {asked} times");
    assert_eq!(world.outcome(&world.token(|_| {})).await, "ok");
}

#[tokio::test]
async fn a_key_that_appears_is_found_by_the_first_token_that_names_it() {
    let world =
        World::with(KeyPolicy { unknown_key_interval: Duration::ZERO, ..policy() }, Vec::new(), |_| {}).await;
    assert_eq!(world.outcome(&world.token(|_| {})).await, "ok");
    let next = TestKey::es256("next");
    assert_eq!(world.outcome(&next.token(&claims())).await, "key_unknown");
    world.server.set("/keys", Answer::Json(key_set(&[world.key.jwk(), next.jwk()])));
    assert_eq!(world.outcome(&next.token(&claims())).await, "ok");
    // While the server hangs, a stranger waits no longer than a fetch may take, and the others don't wait.
    world.server.set("/keys", Answer::Hang);
    let stranger = TestKey::es256("stranger").token(&claims());
    let known = world.token(|claims| claims["jti"] = json!("new"));
    let (unknown, good) = tokio::join!(world.outcome(&stranger), world.outcome(&known));
    assert_eq!((unknown, good), ("key_unknown", "ok"));
}

#[tokio::test]
async fn an_outage_is_survived_for_a_time_and_then_fails_closed() {
    let hours = KeyPolicy {
        max_age: Duration::from_secs(10 * 3600),
        unknown_key_interval: Duration::from_millis(20),
        ..quick()
    };
    let world = World::with(hours, Vec::new(), |provider| provider.max_lifetime_secs = 1_000_000).await;
    let token = world.token(|claims| claims["exp"] = json!(NOW + 100 * HOUR));
    let at_hour = async |hours: i64| outcome(&world.authenticator, &token, NOW + hours * HOUR).await;
    assert_eq!(at_hour(0).await, "ok");
    let identity = world.authenticate(&token).await.ok().unwrap();
    for answer in
        [Answer::Status(500), Answer::Html, Answer::Json(key_set(&[])), Answer::Json("{".to_owned())]
    {
        world.server.set("/keys", answer);
        world.server.asked("/keys", world.server.hits("/keys") + 2).await;
        assert_eq!(at_hour(10).await, "ok");
    }
    // The set was last fetched at NOW, as the clock stands. Cached tokens are worth no more than new ones.
    assert_eq!(outcome(&world.authenticator, &token, NOW + 10 * HOUR + 1).await, "keys_unavailable");
    assert_eq!(at_hour(11).await, "keys_unavailable");
    assert!(identity.is_taken_back(at(NOW + 11 * HOUR)));
    assert_eq!(at_hour(1).await, "ok");
}

/// A clock that was stepped, or an outage that is over: the next token has the keys fetched, not the next refresh.
#[tokio::test]
async fn keys_that_are_too_old_are_asked_for_again() {
    let interval = Duration::from_millis(100);
    let world =
        World::with(KeyPolicy { unknown_key_interval: interval, ..policy() }, Vec::new(), |_| {}).await;
    let token = world.token(|_| {});
    assert_eq!(world.outcome(&token).await, "ok");
    assert_eq!(world.server.hits("/keys"), 1);
    tokio::time::sleep(interval).await;
    // The fetched set is as old as the first, by the clock that stands.
    assert_eq!(outcome(&world.authenticator, &token, NOW + 25 * HOUR).await, "keys_unavailable");
    assert_eq!(world.server.hits("/keys"), 2);
}

/// While there are keys, a fetch that fails is no reason to ask sooner again: whoever can make us ask, by naming keys
/// that nobody has, could make us ask in bursts.
#[tokio::test]
async fn an_issuer_in_trouble_is_not_asked_more_often_than_one_that_is_well() {
    let interval = Duration::from_millis(300);
    let world =
        World::with(KeyPolicy { unknown_key_interval: interval, ..quick() }, Vec::new(), |_| {}).await;
    assert_eq!(world.outcome(&world.token(|_| {})).await, "ok");
    world.server.set("/keys", Answer::Status(500));
    world.server.asked("/keys", world.server.hits("/keys") + 1).await;
    let begin = std::time::Instant::now();
    world.server.asked("/keys", world.server.hits("/keys") + 2).await;
    assert!(begin.elapsed() >= interval * 3 / 2, "asked twice within {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_restart_during_an_outage_begins_with_the_stored_copy() {
    let server = KeyServer::start().await;
    let (key, other) = (TestKey::es256("main"), TestKey::es256("other"));
    server.set("/keys", Answer::Json(key_set(&[key.jwk()])));
    let store = Arc::new(MemoryStore::default());
    let gate = trusting(&server, policy(), &store);
    assert_eq!(outcome(&gate, &key.token(&claims()), NOW).await, "ok");
    tokio::time::timeout(PATIENCE, async {
        while store.0.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the copy should be kept");
    gate.close().await;
    server.set("/keys", Answer::Status(500));
    let again = trusting(&server, policy(), &store);
    assert_eq!(outcome(&again, &key.token(&claims()), NOW).await, "ok");
    assert_eq!(outcome(&again, &key.token(&claims()), NOW + 24 * HOUR + 1).await, "keys_unavailable");
    assert_eq!(outcome(&again, &other.token(&claims()), NOW).await, "key_unknown");
    // A copy that is too old, of the future, or damaged, is none.
    let name = store.0.lock().unwrap().keys().next().unwrap().clone();
    let good = key_set(&[key.jwk()]).into_bytes();
    for (what, fetched_at, bytes) in [
        ("too old", at(NOW - 24 * HOUR - 1), good.clone()),
        ("of the future", at(NOW + HOUR), good.clone()),
        ("damaged", at(NOW), good[1..].to_vec()),
    ] {
        store.save(&name, &StoredKeys { fetched_at, bytes });
        let again = trusting(&server, policy(), &store);
        assert_eq!(outcome(&again, &key.token(&claims()), NOW).await, "keys_unavailable", "{what}");
    }
    // It is the copy of one issuer at one address.
    let elsewhere =
        authenticator(policy(), Arc::<MemoryStore>::clone(&store), builtin_issuer().public().clone());
    store.save(&name, &StoredKeys { fetched_at: at(NOW), bytes: good });
    elsewhere.reload(&resources(vec![provider(Some(server.url("/other")))]));
    assert_eq!(outcome(&elsewhere, &key.token(&claims()), NOW).await, "keys_unavailable");
}

/// An issuer may publish what it should not. That is not believed, and not written down either.
#[tokio::test]
async fn what_is_kept_of_a_set_is_its_usable_keys_alone() {
    let server = KeyServer::start().await;
    let key = TestKey::es256("main");
    let mut leaked = TestKey::es256("leaked").jwk();
    leaked["d"] = json!("c2VjcmV0LW9mLWEta2V5");
    let symmetric = json!({ "kty": "oct", "kid": "oct", "k": "c2VjcmV0LW9mLWEta2V5" });
    let set = json!({ "keys": [leaked, key.jwk(), symmetric], "note": "c2VjcmV0LW9mLWEta2V5" });
    server.set("/keys", Answer::Json(set.to_string()));
    let store = Arc::new(MemoryStore::default());
    let gate = trusting(&server, policy(), &store);
    assert_eq!(outcome(&gate, &key.token(&claims()), NOW).await, "ok");
    tokio::time::timeout(PATIENCE, async {
        while store.0.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the copy should be kept");
    gate.close().await;
    let kept: Vec<String> =
        store.0.lock().unwrap().values().map(|kept| String::from_utf8(kept.bytes.clone()).unwrap()).collect();
    let expected: serde_json::Value = json!({ "keys": [key.jwk()] });
    let kept: Vec<serde_json::Value> = kept.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(kept, [expected]);
}

#[test]
fn discovered_locations_are_held_to_the_rules_for_configured_ones() {
    for (url, good) in [
        ("https://keys.example/jwks", true),
        ("http://127.0.0.1:8080/jwks", true),
        ("http://[::1]/jwks", true),
        ("http://localhost/jwks", true),
        ("http://keys.example/jwks", false),
        ("http://10.0.0.1/jwks", false),
        ("http://localhost.example/jwks", false),
        ("https://user@keys.example/jwks", false),
        ("https://@keys.example/jwks", false),
        ("https://keys.example/jwks#key", false),
        ("https://keys.example\\jwks", false),
        ("file:///jwks", false),
        ("/jwks", false),
    ] {
        let document = json!({ "issuer": ISSUER, "jwks_uri": url }).to_string();
        let expected =
            if good { Ok(url.to_owned()) } else { Err("has a `jwks_uri` that is not a plain `https` URL") };
        assert_eq!(discovered(ISSUER, document.as_bytes()), expected);
    }
}

#[tokio::test]
async fn discovery_is_believed_only_of_the_very_issuer() {
    let server = KeyServer::start().await;
    let key = TestKey::es256("main");
    server.set("/keys", Answer::Json(key_set(&[key.jwk()])));
    let well_known = "/tenant/.well-known/openid-configuration";
    let document =
        |issuer: &str, jwks_uri: &str| json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string();
    let keys = server.url("/keys");
    let check = async |issuer: &str, answer: String, expected: &str| {
        server.set(well_known, Answer::Json(answer.clone()));
        let gate =
            authenticator(policy(), Arc::new(MemoryStore::default()), builtin_issuer().public().clone());
        let mut discovered = provider(None);
        discovered.issuer = issuer.to_owned();
        gate.reload(&resources(vec![discovered]));
        let mut claims = claims();
        claims["iss"] = json!(issuer);
        assert_eq!(outcome(&gate, &key.token(&claims), NOW).await, expected, "{issuer}: {answer}");
    };
    let (issuer, with_slash) = (server.url("/tenant"), server.url("/tenant/"));
    check(&issuer, document(&issuer, &keys), "ok").await;
    check(&with_slash, document(&with_slash, &keys), "ok").await;
    let refused = "keys_unavailable";
    check(&issuer, document(&with_slash, &keys), refused).await;
    check(&with_slash, document(&issuer, &keys), refused).await;
    check(&issuer, document(ISSUER, &keys), refused).await;
    check(&issuer, document(&issuer, "http://169.254.169.254/keys"), refused).await;
    check(&issuer, document(&issuer, "file:///etc/passwd"), refused).await;
    check(&issuer, document(&issuer, &keys.replace("://", "://@")), refused).await;
    check(&issuer, document(&issuer, &server.url("/none")), refused).await;
    check(&issuer, json!({ "issuer": issuer }).to_string(), refused).await;
    check(&issuer, json!({ "issuer": [issuer], "jwks_uri": keys }).to_string(), refused).await;
    check(&issuer, json!({ "issuer": issuer, "jwks_uri": [keys] }).to_string(), refused).await;
    check(&issuer, format!("{}x", document(&issuer, &keys)), refused).await;
}
