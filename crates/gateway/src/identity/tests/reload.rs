//! What a change of the configured providers does to issuers, keys and identities.

use std::sync::Arc;

use narrows_core::policy::Snapshot;
use serde_json::json;

use super::{ISSUER, World, claims, policy, provider, resources};

#[tokio::test]
async fn a_provider_that_is_gone_or_changed_takes_its_identities_with_it() {
    let world = World::new().await;
    let same = provider(Some(world.server.url("/keys")));
    let token = world.token(|_| {});
    let identity = world.authenticate(&token).await.ok().unwrap();
    assert_eq!(world.authenticator.authorization_servers(), [ISSUER]);
    // Nothing changed: nothing ends, nothing is fetched again.
    world.authenticator.reload(&resources(vec![same.clone()]));
    assert_eq!(world.outcome(&token).await, "ok");
    assert!(!world.authenticator.is_revoked(&identity));
    assert_eq!((world.authenticator.signature_checks(), world.server.hits("/keys")), (1, 1));
    // The rules changed: judged anew, with the keys that are there.
    let mut strict = same.clone();
    strict.audiences = vec!["https://elsewhere.example".to_owned()];
    world.authenticator.reload(&resources(vec![strict]));
    assert_eq!(world.outcome(&token).await, "audience_refused");
    assert!(world.authenticator.is_revoked(&identity));
    assert_eq!(world.server.hits("/keys"), 1);
    // Back again.
    world.authenticator.reload(&resources(vec![same.clone()]));
    assert_eq!(world.outcome(&token).await, "ok");
    let identity = world.authenticate(&token).await.ok().unwrap();
    world.authenticator.reload(&resources(Vec::new()));
    assert_eq!(world.outcome(&token).await, "issuer_unknown");
    assert!(world.authenticator.is_revoked(&identity));
    assert!(world.authenticator.authorization_servers().is_empty());
}

#[tokio::test]
async fn a_removed_provider_is_not_asked_for_keys_any_more() {
    let quick = crate::identity::KeyPolicy { time_to_live: std::time::Duration::from_millis(10), ..policy() };
    let world = World::with(quick, Vec::new(), |_| {}).await;
    let _held = world.authenticate(&world.token(|_| {})).await.ok().unwrap();
    world.server.asked("/keys", 3).await;
    world.authenticator.reload(&resources(Vec::new()));
    // Whoever still holds an identity does not keep the fetching alive; closing waits until it has ended.
    tokio::time::timeout(super::PATIENCE, world.authenticator.close()).await.expect("closing hangs");
    let asked = world.server.hits("/keys");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.server.hits("/keys"), asked);
}

#[tokio::test]
async fn two_providers_of_one_issuer_are_not_guessed_between() {
    let world = World::new().await;
    let mut twin = provider(Some(world.server.url("/keys")));
    twin.name = "twin".parse().unwrap();
    let original = provider(Some(world.server.url("/keys")));
    let token = world.token(|_| {});
    world.authenticator.reload(&resources(vec![original.clone(), twin.clone()]));
    assert_eq!(world.outcome(&token).await, "issuer_unknown");
    let mut usurper = twin;
    usurper.issuer = "urn:narrows:test".to_owned();
    world.authenticator.reload(&resources(vec![original, usurper]));
    assert_eq!(world.outcome(&token).await, "ok");
    let mut claims = claims();
    claims["iss"] = json!("urn:narrows:test");
    assert_eq!(world.outcome(&world.key.token(&claims)).await, "algorithm_refused");
}

#[tokio::test]
async fn closing_ends_all_trust() {
    let world = World::new().await;
    let token = world.token(|_| {});
    assert_eq!(world.outcome(&token).await, "ok");
    tokio::time::timeout(super::PATIENCE, world.authenticator.close()).await.expect("closing hangs");
    assert_eq!(world.outcome(&token).await, "issuer_unknown");
}

#[tokio::test]
async fn grants_are_resolved_once_for_each_snapshot() {
    let world = World::new().await;
    let identity = world.authenticate(&world.token(|_| {})).await.ok().unwrap();
    let snapshot = Arc::new(Snapshot::empty());
    let grants = format!("{:?}", identity.grants(&snapshot));
    assert_eq!(format!("{:?}", identity.grants(&snapshot)), grants);
    let counter = identity.in_progress(Arc::default);
    assert!(Arc::ptr_eq(counter, identity.in_progress(|| panic!("it is looked for once"))));
}
