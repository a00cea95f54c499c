//! One signature check for each token, and the ends of what it bought.

use std::sync::Barrier;

use serde_json::json;

use super::{AUDIENCE, HOUR, NOW, RESOURCE, World, at, bearer, now};
use crate::identity::{Revocation, RevocationsFull};

#[tokio::test]
async fn a_token_is_verified_once_however_many_requests_bring_it() {
    let world = World::new().await;
    assert_eq!(world.outcome(&world.token(|_| {})).await, "ok");
    let tokens: Vec<String> =
        (0..50).map(|number| world.token(|claims| claims["jti"] = json!(number.to_string()))).collect();
    // Threads, so that they really meet: each brings the same new token at the same moment.
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                for token in &tokens {
                    start.wait();
                    for _ in 0..10 {
                        assert!(runtime.block_on(world.authenticate(token)).is_ok());
                    }
                }
            });
        }
    });
    assert_eq!(world.authenticator.signature_checks(), 1 + 50);
}

#[tokio::test]
async fn the_whole_token_is_the_key() {
    let world = World::new().await;
    let token = world.token(|_| {});
    assert_eq!(world.outcome(&token).await, "ok");
    // The same claims, the same start, another signature: also a good one of another key, and a bad one.
    let (signed, _) = token.rsplit_once('.').unwrap();
    let other = world.token(|claims| claims["sub"] = json!("mallory"));
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(world.outcome(&format!("{signed}.{signature}")).await, "signature_invalid");
    assert_eq!(world.outcome(&token).await, "ok");
}

#[tokio::test]
async fn what_is_cached_ends_with_the_token() {
    let world = World::new().await;
    let token = world.token(|_| {});
    let outcome = async |second: i64| match world.authenticate_at(&token, RESOURCE, second).await {
        Ok(_) => "ok",
        Err(failure) => failure.reason_code(),
    };
    assert_eq!(outcome(NOW).await, "ok");
    assert_eq!(outcome(NOW + HOUR - 1).await, "ok");
    assert_eq!(world.authenticator.signature_checks(), 1);
    // From `exp` on nothing is taken from the cache; the leeway is judged anew each time.
    assert_eq!(outcome(NOW + HOUR).await, "ok");
    assert_eq!(outcome(NOW + HOUR + 29).await, "ok");
    assert_eq!(world.authenticator.signature_checks(), 3);
    assert_eq!(outcome(NOW + HOUR + 30).await, "token_expired");
    // A clock that steps back before the token was made.
    assert_eq!(outcome(NOW).await, "ok");
    assert_eq!(outcome(NOW - 60 - 30).await, "ok");
    assert_eq!(outcome(NOW - 60 - 31).await, "token_issued_in_future");
}

#[tokio::test]
async fn an_endpoint_asks_of_cached_tokens_too_whether_they_are_for_it() {
    let world = World::new().await;
    let token = world.token(|claims| claims["aud"] = json!(RESOURCE));
    let outcome = async |resource: &str| match world.authenticate_at(&token, resource, NOW).await {
        Ok(_) => "ok",
        Err(failure) => failure.reason_code(),
    };
    assert_eq!(outcome("https://gate.example/mcp/dev/other").await, "audience_refused");
    assert_eq!(outcome(RESOURCE).await, "ok");
    assert_eq!(outcome("https://gate.example/mcp/dev/other").await, "audience_refused");
    assert_eq!(outcome(AUDIENCE).await, "audience_refused");
    assert_eq!(outcome(RESOURCE).await, "ok");
}

#[tokio::test]
async fn bad_tokens_do_not_push_good_ones_out() {
    let world = World::new().await;
    let token = world.token(|_| {});
    assert_eq!(world.outcome(&token).await, "ok");
    let (signed, _) = token.rsplit_once('.').unwrap();
    for number in 0..3000_u32 {
        let garbage = format!("{signed}.{}", super::signing::b64([number.to_be_bytes(); 16].concat()));
        assert_eq!(world.outcome(&garbage).await, "signature_invalid");
    }
    let before = world.authenticator.signature_checks();
    assert_eq!(world.outcome(&token).await, "ok");
    assert_eq!(world.authenticator.signature_checks(), before);
}

#[tokio::test]
async fn a_revocation_is_in_force_at_once_for_those_it_names() {
    let world = World::new().await;
    let alice = world.token(|claims| claims["jti"] = json!("a1"));
    let alice_again = world.token(|claims| claims["jti"] = json!("a2"));
    let bob = world.token(|claims| claims["sub"] = json!("bob"));
    let identity = async |token: &str| world.authenticate(token).await.ok().unwrap();
    let (first, second, third) = (identity(&alice).await, identity(&alice_again).await, identity(&bob).await);
    let mut changes = world.authenticator.changes();
    changes.borrow_and_update();
    let issuer = || super::ISSUER.to_owned();
    let token = Revocation::Token { issuer: issuer(), token_id: "a1".to_owned(), expires: at(NOW + HOUR) };
    world.authenticator.revoke(token).unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(world.outcome(&alice).await, "token_revoked");
    assert_eq!(world.outcome(&alice_again).await, "ok");
    assert_eq!(world.outcome(&bob).await, "ok");
    let revoked = |identity| world.authenticator.is_revoked(identity);
    assert_eq!((revoked(&first), revoked(&second), revoked(&third)), (true, false, false));
    let subject = Revocation::Subject { issuer: issuer(), subject: "alice".to_owned(), issued_before: now() };
    world.authenticator.revoke(subject).unwrap();
    assert_eq!(world.outcome(&alice_again).await, "token_revoked");
    assert_eq!(world.outcome(&bob).await, "ok");
    assert_eq!((revoked(&first), revoked(&second), revoked(&third)), (true, true, false));
    // What is issued afterwards is good, unless it does not say when it was.
    assert_eq!(world.outcome(&world.token(|claims| claims["iat"] = json!(NOW))).await, "ok");
    let undated = world.token(|claims| {
        claims.as_object_mut().unwrap().remove("iat");
    });
    assert_eq!(world.outcome(&undated).await, "token_revoked");
    // Another issuer's alice is somebody else.
    let other =
        Revocation::Token { issuer: "x".to_owned(), token_id: "b".to_owned(), expires: at(NOW + HOUR) };
    world.authenticator.revoke(other).unwrap();
    assert_eq!(world.outcome(&bob).await, "ok");
}

#[tokio::test]
async fn revocations_are_bounded_and_forget_what_expired() {
    let world = World::new().await;
    let revoke = |number: i64, expires: i64| {
        world.authenticator.revoke(Revocation::Token {
            issuer: super::ISSUER.to_owned(),
            token_id: number.to_string(),
            expires: at(expires),
        })
    };
    for number in 0..9_999 {
        revoke(number, NOW - HOUR).unwrap();
    }
    for number in 10_000..20_000 {
        revoke(number, NOW + HOUR).unwrap();
    }
    assert_eq!(revoke(20_000, NOW + HOUR), Err(RevocationsFull));
    let headers = bearer(&world.token(|claims| claims["jti"] = json!("10000")));
    let failure = world.authenticator.authenticate(&headers, None, RESOURCE, now()).await.err().unwrap();
    assert_eq!(failure.reason_code(), "token_revoked");
}
