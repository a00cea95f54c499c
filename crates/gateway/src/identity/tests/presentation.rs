//! How a token may be sent, and how not.

use http::{HeaderMap, HeaderValue, header};

use super::{AuthFailure, RESOURCE, World, assert_silent, now};

/// The outcome for these `Authorization` values, further headers and query.
async fn outcome(
    world: &World,
    values: &[&[u8]],
    others: &[(&'static str, &str)],
    query: Option<&str>,
) -> &'static str {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    for (name, value) in others {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    match world.authenticator.authenticate(&headers, query, RESOURCE, now()).await {
        Ok(_) => "ok",
        Err(failure) => {
            for value in values {
                assert_silent(&failure, &String::from_utf8_lossy(value));
            }
            failure.reason_code()
        }
    }
}

#[tokio::test]
async fn only_one_bearer_token_in_one_header_is_read() {
    let world = World::new().await;
    let token = world.token(|_| {});
    let cases: Vec<(String, &str)> = vec![
        (format!("Bearer {token}"), "ok"),
        (format!("bearer {token}"), "ok"),
        (format!("BEARER {token}"), "ok"),
        (String::new(), "not_bearer"),
        ("Bearer".to_owned(), "token_malformed"),
        ("Bearer ".to_owned(), "token_malformed"),
        (format!("Bearer  {token}"), "token_malformed"),
        (format!(" Bearer {token}"), "not_bearer"),
        (format!("Bearer {token} "), "token_malformed"),
        (format!("Bearer\t{token}"), "not_bearer"),
        (format!("Bearer {token}\t"), "token_malformed"),
        (format!("Bearer {token},"), "token_malformed"),
        (format!("Bearer {token}, Bearer {token}"), "token_malformed"),
        (format!("Bearer token={token}"), "token_malformed"),
        (format!("Bearer \"{token}\""), "token_malformed"),
        (format!("Bearer{token}"), "not_bearer"),
        (format!("Bearer:{token}"), "not_bearer"),
        (format!("Basic {token}"), "not_bearer"),
        (format!("DPoP {token}"), "not_bearer"),
        (token.clone(), "not_bearer"),
        ("Bearer anything".to_owned(), "token_malformed"),
        ("Bearer ..".to_owned(), "token_malformed"),
        ("Bearer a.b".to_owned(), "token_malformed"),
        ("Bearer a..c".to_owned(), "token_malformed"),
        ("Bearer a.b.".to_owned(), "token_malformed"),
        ("Bearer .b.c".to_owned(), "token_malformed"),
        ("Bearer a.b.c.d".to_owned(), "token_malformed"),
        ("Bearer a.b.c.d.e".to_owned(), "token_malformed"),
        ("Bearer a.b.c=".to_owned(), "token_malformed"),
        ("Bearer a.b+.c".to_owned(), "token_malformed"),
        ("Bearer a.b/.c".to_owned(), "token_malformed"),
        (format!("Bearer {token}{}", "A".repeat(9000)), "token_too_long"),
    ];
    for (value, expected) in cases {
        assert_eq!(outcome(&world, &[value.as_bytes()], &[], None).await, expected, "{value}");
    }
    let good = format!("Bearer {token}");
    assert_eq!(outcome(&world, &[], &[], None).await, "token_missing");
    assert_eq!(outcome(&world, &["Bearer \u{e9}.b.c".as_bytes()], &[], None).await, "token_malformed");
    assert_eq!(
        outcome(&world, &[good.as_bytes(), good.as_bytes()], &[], None).await,
        "two_authorization_headers"
    );
    assert_eq!(outcome(&world, &[good.as_bytes(), b""], &[], None).await, "two_authorization_headers");
    for (name, value) in [("cookie", format!("access_token={token}")), ("proxy-authorization", good.clone())]
    {
        assert_eq!(outcome(&world, &[], &[(name, &value)], None).await, "token_missing", "{name}");
        assert_eq!(outcome(&world, &[good.as_bytes()], &[(name, "x")], None).await, "ok", "{name}");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_even_beside_a_good_header() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.token(|_| {}));
    for query in [
        "access_token=x",
        "access_token",
        "a=b&access_token=x",
        "access%5Ftoken=x",
        "%61ccess_token=x",
        "ACCESS_TOKEN=x",
        "&&access_token=",
    ] {
        assert_eq!(outcome(&world, &[good.as_bytes()], &[], Some(query)).await, "token_in_query", "{query}");
        assert_eq!(outcome(&world, &[], &[], Some(query)).await, "token_in_query", "{query}");
    }
    for query in ["", "a=b", "x_access_token=x", "a=access_token"] {
        assert_eq!(outcome(&world, &[good.as_bytes()], &[], Some(query)).await, "ok", "{query}");
    }
}

#[tokio::test]
async fn only_missing_keys_of_the_issuer_are_not_a_401() {
    assert_eq!(AuthFailure::KeysUnavailable.http_status(), 503);
    let world = World::new().await;
    let failure = world.authenticate("a.b.c").await.err().unwrap();
    assert_eq!((failure.reason_code(), failure.http_status()), ("header_malformed", 401));
}
