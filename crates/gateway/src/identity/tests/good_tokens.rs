//! What good tokens are worth.

use narrows_core::{principal::PrincipalKind, resource::Algorithm};
use serde_json::json;

use super::{ISSUER, NOW, RESOURCE, World, at, claims, policy, signing::TestKey};

#[tokio::test]
async fn every_algorithm_that_is_configured_works() {
    let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    let keys: Vec<TestKey> = names.iter().map(|name| TestKey::of(name, name)).collect();
    let all = vec![
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    let jwks = keys.iter().map(TestKey::jwk).collect();
    let world = World::with(policy(), jwks, |provider| provider.algorithms = all).await;
    for (key, name) in keys.iter().zip(names) {
        let mut theirs = claims();
        theirs["sub"] = json!(name);
        let identity = world
            .authenticate(&key.token(&theirs))
            .await
            .unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert_eq!(identity.principal.subject.as_ref(), name);
    }
    assert_eq!(world.authenticator.signature_checks(), 9);
}

#[tokio::test]
async fn the_types_of_access_tokens_are_taken_in_any_case() {
    let world = World::new().await;
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"] {
        let mut header = world.key.header();
        header["typ"] = json!(kind);
        // A parameter that only points at the key's certificate is none of our business.
        header["x5t"] = json!("abc");
        assert_eq!(world.outcome(&world.key.with_header(&header, &claims())).await, "ok", "{kind}");
    }
    let mut header = world.key.header();
    header.as_object_mut().unwrap().remove("typ");
    assert_eq!(world.outcome(&world.key.with_header(&header, &claims())).await, "ok");
}

#[tokio::test]
async fn an_identity_says_who_and_how_long() {
    let world = World::new().await;
    let identity = world
        .authenticate(&world.token(|claims| {
            claims["groups"] = json!(["ops", "dev", "ops", "très bien"]);
            claims["email"] = json!("ceo@example.com");
            claims["preferred_username"] = json!("ceo");
        }))
        .await
        .ok()
        .unwrap();
    let principal = &identity.principal;
    assert_eq!(principal.kind, PrincipalKind::User);
    assert_eq!(principal.provider.as_str(), "corp");
    assert_eq!(principal.issuer.as_ref(), ISSUER);
    assert_eq!(principal.subject.as_ref(), "alice");
    assert_eq!(principal.agent, None);
    let groups: Vec<&str> = principal.groups.iter().map(AsRef::as_ref).collect();
    assert_eq!(groups, ["dev", "ops", "très bien"]);
    assert_eq!(identity.expires, at(NOW + super::HOUR));
}

#[tokio::test]
async fn optional_claims_in_their_forms() {
    let world = World::new().await;
    let principal = async |name: &str, value: serde_json::Value| {
        let token = world.token(|claims| claims[name] = value);
        world
            .authenticate(&token)
            .await
            .unwrap_or_else(|failure| panic!("{name}: {failure:?}"))
            .principal
            .clone()
    };
    assert_eq!(principal("groups", json!("dev")).await.groups.as_ref(), ["dev".into()]);
    assert!(principal("groups", json!([])).await.groups.is_empty());
    let many: Vec<String> = (0..256).map(|number| format!("g{number}")).collect();
    assert_eq!(principal("groups", json!(many)).await.groups.len(), 256);
    let longest = "ü".repeat(255);
    assert_eq!(principal("sub", json!(longest)).await.subject.as_ref(), longest);
    assert_eq!(principal("aud", json!(RESOURCE)).await.subject.as_ref(), "alice");
    assert_eq!(principal("aud", json!([super::AUDIENCE])).await.subject.as_ref(), "alice");
    assert_eq!(principal("aud", json!([super::AUDIENCE, RESOURCE])).await.subject.as_ref(), "alice");
    // Who acts is recorded; who may is the subject all the same.
    let acted = principal("act", json!({ "sub": "agent" })).await;
    assert_eq!((acted.subject.as_ref(), acted.agent.as_deref()), ("alice", Some("agent")));
    let chain = principal("act", json!({ "sub": "agent", "act": { "sub": "planner" } })).await;
    assert_eq!(chain.agent.as_deref(), Some("planner, agent"));
    // Only the built-in issuer has service accounts.
    let pretender = principal("sub", json!("system:serviceaccount:ci")).await;
    assert_eq!(
        (pretender.kind, pretender.subject.as_ref()),
        (PrincipalKind::User, "system:serviceaccount:ci")
    );
}

#[tokio::test]
async fn subjects_are_told_apart_by_digest() {
    let world = World::new().await;
    let digest = async |subject: &str, jti: &str| {
        let token = world.token(|claims| {
            claims["sub"] = json!(subject);
            claims["jti"] = json!(jti);
        });
        world.authenticate(&token).await.ok().unwrap().subject_digest
    };
    assert_eq!(digest("alice", "1").await, digest("alice", "2").await);
    assert_ne!(digest("alice", "1").await, digest("alic", "1").await);
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    hash.update(format!("{ISSUER}\0alice").as_bytes());
    assert_eq!(digest("alice", "1").await[..], hash.finish().as_ref()[..16]);
}
