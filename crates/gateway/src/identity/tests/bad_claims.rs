//! Tokens with good signatures and bad claims: each refused, with its reason.

use narrows_core::resource::{MultipleAudiences, TokenType};
use serde_json::{Value, json};

use super::{AUDIENCE, HOUR, ISSUER, NOW, RESOURCE, World, claims, policy};

/// The good claims with one changed or, with `null` for its absence, left out.
fn with(name: &str, value: Option<Value>) -> Value {
    let mut claims = claims();
    match value {
        Some(value) => claims[name] = value,
        None => {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

async fn check(world: &World, cases: Vec<(&str, Option<Value>, &str)>) {
    for (name, value, expected) in cases {
        let token = world.key.token(&with(name, value.clone()));
        assert_eq!(world.outcome(&token).await, expected, "{name}: {value:?}");
    }
}

#[tokio::test]
async fn times() {
    let world = World::new().await;
    check(
        &world,
        vec![
            ("exp", None, "expiry_malformed"),
            ("exp", Some(json!(null)), "expiry_malformed"),
            ("exp", Some(json!((NOW + HOUR).to_string())), "expiry_malformed"),
            ("exp", Some(json!(1_800_003_600.5)), "expiry_malformed"),
            ("exp", Some(json!(-1)), "expiry_malformed"),
            ("exp", Some(json!(i64::MIN)), "expiry_malformed"),
            ("exp", Some(json!(9_223_372_036_854_775_808_u64)), "expiry_malformed"),
            ("exp", Some(json!(i64::MAX)), "expiry_malformed"),
            ("exp", Some(json!(1e30)), "expiry_malformed"),
            ("exp", Some(json!(true)), "expiry_malformed"),
            ("exp", Some(json!([NOW + HOUR])), "expiry_malformed"),
            ("exp", Some(json!({ "at": NOW + HOUR })), "expiry_malformed"),
            ("exp", Some(json!(253_402_300_799_i64)), "lifetime_too_long"),
            ("exp", Some(json!(NOW - 60 + 24 * HOUR + 1)), "lifetime_too_long"),
            ("exp", Some(json!(NOW - 60 + 24 * HOUR)), "ok"),
            ("exp", Some(json!(0)), "token_expired"),
            ("exp", Some(json!(NOW - HOUR)), "token_expired"),
            ("exp", Some(json!(NOW - 31)), "token_expired"),
            ("exp", Some(json!(NOW - 30)), "token_expired"),
            ("exp", Some(json!(NOW - 29)), "ok"),
            ("nbf", Some(json!(NOW + 31)), "token_not_yet_valid"),
            ("nbf", Some(json!(NOW + 30)), "ok"),
            ("nbf", Some(json!("soon")), "time_malformed"),
            ("nbf", Some(json!(null)), "time_malformed"),
            ("nbf", Some(json!(1.5)), "time_malformed"),
            ("nbf", Some(json!(-1)), "time_malformed"),
            ("iat", Some(json!(NOW + 365 * 24 * HOUR)), "token_issued_in_future"),
            ("iat", Some(json!(NOW + 31)), "token_issued_in_future"),
            ("iat", Some(json!(NOW + 30)), "ok"),
            ("iat", Some(json!("now")), "time_malformed"),
            ("iat", Some(json!(null)), "time_malformed"),
            ("iat", Some(json!(NOW - 25 * HOUR)), "lifetime_too_long"),
            ("iat", None, "ok"),
        ],
    )
    .await;
    let long = world.token(|claims| {
        claims.as_object_mut().unwrap().remove("iat");
        claims["exp"] = json!(NOW + 24 * HOUR + 1);
    });
    assert_eq!(world.outcome(&long).await, "lifetime_too_long");
    for (number, expected) in [
        ("1800003600.0", "expiry_malformed"),
        ("18000036e2", "expiry_malformed"),
        ("1e400", "claims_malformed"),
    ] {
        let text = claims().to_string().replace("1800003600", number);
        let token = world.key.raw(&world.key.header().to_string(), &text);
        assert_eq!(world.outcome(&token).await, expected, "{number}");
    }
}

#[tokio::test]
async fn issuers() {
    let world = World::new().await;
    let mut cases = vec![
        ("iss", None, "issuer_malformed"),
        ("iss", Some(json!(null)), "issuer_malformed"),
        ("iss", Some(json!([ISSUER])), "issuer_malformed"),
        ("iss", Some(json!({ "iss": ISSUER })), "issuer_malformed"),
        ("iss", Some(json!(1)), "issuer_malformed"),
    ];
    for other in [
        "",
        "https://login.example.co",
        "https://login.example.com/",
        "https://login.example.com.evil.example",
        "http://login.example.com",
        "https://LOGIN.example.com",
        "https://login.example.com\u{0}",
        " https://login.example.com",
    ] {
        cases.push(("iss", Some(json!(other)), "issuer_unknown"));
    }
    check(&world, cases).await;
}

#[tokio::test]
async fn audiences() {
    let world = World::new().await;
    let mut cases = vec![
        ("aud", None, "audience_malformed"),
        ("aud", Some(json!(null)), "audience_malformed"),
        ("aud", Some(json!(7)), "audience_malformed"),
        ("aud", Some(json!({ "aud": AUDIENCE })), "audience_malformed"),
        ("aud", Some(json!("")), "audience_malformed"),
        ("aud", Some(json!([])), "audience_malformed"),
        ("aud", Some(json!([AUDIENCE, 7])), "audience_malformed"),
        ("aud", Some(json!([AUDIENCE, ""])), "audience_malformed"),
        ("aud", Some(json!([[AUDIENCE]])), "audience_malformed"),
        ("aud", Some(json!(vec![AUDIENCE; 65])), "audience_malformed"),
        ("aud", Some(json!([AUDIENCE, "https://other.example"])), "audience_multiple"),
        ("aud", Some(json!([RESOURCE, "https://other.example"])), "audience_multiple"),
        ("aud", Some(json!(["https://other.example", "account"])), "audience_refused"),
    ];
    for other in [
        "https://gate.example/mc",
        "https://gate.example/mcpx",
        "https://gate.example/mcp/",
        "https://gate.example/MCP",
        "https://gate.example",
        "http://gate.example/mcp",
        "https://gate.example/mcp/dev/other",
        "https://gate.example/mcp/dev/files/",
        "https://gate.example/mcp\u{0}",
        "*",
    ] {
        cases.push(("aud", Some(json!(other)), "audience_refused"));
    }
    check(&world, cases).await;
    let accepting = World::with(policy(), Vec::new(), |provider| {
        provider.allow_multiple_audiences = MultipleAudiences::Accept
    })
    .await;
    check(
        &accepting,
        vec![
            ("aud", Some(json!([AUDIENCE, "https://other.example"])), "ok"),
            ("aud", Some(json!(["https://other.example", RESOURCE])), "ok"),
            ("aud", Some(json!(["https://other.example", "account"])), "audience_refused"),
        ],
    )
    .await;
}

#[tokio::test]
async fn subjects_groups_and_actors() {
    let world = World::new().await;
    let mut cases = vec![("sub", None, "subject_malformed")];
    for subject in [
        json!(""),
        json!(7),
        json!(null),
        json!(["alice"]),
        json!("a".repeat(256)),
        json!("alice\u{0}"),
        json!("alice\nadmin"),
        json!("alice\u{85}"),
        json!("alice\u{2028}"),
        json!("\u{202e}ecila"),
        json!("alice\u{200b}"),
        json!("alice\u{feff}"),
        json!("alice\u{e0041}"),
    ] {
        cases.push(("sub", Some(subject), "subject_malformed"));
    }
    for groups in [
        json!(null),
        json!(7),
        json!({ "dev": true }),
        json!([1]),
        json!(["dev", null]),
        json!([["dev"]]),
        json!([""]),
        json!(""),
        json!(["dev\u{0}"]),
        json!(["g".repeat(256)]),
        json!((0..257).map(|number| format!("g{number}")).collect::<Vec<_>>()),
    ] {
        cases.push(("groups", Some(groups), "groups_malformed"));
    }
    let chain = (0..9).fold(json!({ "sub": "a" }), |inner, _| json!({ "sub": "a", "act": inner }));
    for actor in [
        json!("agent"),
        json!(null),
        json!({}),
        json!({ "sub": 7 }),
        json!({ "sub": "" }),
        json!({ "sub": "agent", "act": "x" }),
        chain,
    ] {
        cases.push(("act", Some(actor), "actor_malformed"));
    }
    cases.push(("jti", Some(json!(7)), "claims_malformed"));
    cases.push(("jti", Some(json!("x\n")), "claims_malformed"));
    check(&world, cases).await;
    let mapped =
        World::with(policy(), Vec::new(), |provider| provider.subject_claim = "oid".to_owned()).await;
    check(
        &mapped,
        vec![
            ("oid", None, "subject_malformed"),
            ("oid", Some(json!(7)), "subject_malformed"),
            ("oid", Some(json!("0f1e")), "ok"),
        ],
    )
    .await;
}

#[tokio::test]
async fn tokens_that_are_not_access_tokens_for_us() {
    let world = World::new().await;
    check(
        &world,
        vec![
            ("at_hash", Some(json!("x")), "not_access_token"),
            ("c_hash", Some(json!("x")), "not_access_token"),
            ("s_hash", Some(json!("x")), "not_access_token"),
            ("events", Some(json!({})), "not_access_token"),
            ("typ", Some(json!("ID")), "not_access_token"),
            ("typ", Some(json!("Refresh")), "not_access_token"),
            ("typ", Some(json!("Offline")), "not_access_token"),
            ("typ", Some(json!("Bearer")), "ok"),
            ("token_use", Some(json!("id")), "not_access_token"),
            ("token_use", Some(json!("access")), "ok"),
            ("cnf", Some(json!({ "jkt": "x" })), "token_bound"),
        ],
    )
    .await;
    let strict = World::with(policy(), Vec::new(), |provider| {
        provider.token_type = TokenType::AccessToken;
        provider.required_client_ids = vec!["agent".to_owned(), "cli".to_owned()];
    })
    .await;
    assert_eq!(
        strict.outcome(&strict.key.token(&with("client_id", Some(json!("agent"))))).await,
        "type_refused"
    );
    let mut header = strict.key.header();
    header["typ"] = json!("at+jwt");
    for (value, expected) in [
        (json!({ "client_id": "agent" }), "ok"),
        (json!({ "azp": "cli" }), "ok"),
        (json!({ "azp": "cli", "client_id": "agent" }), "ok"),
        (json!({}), "client_refused"),
        (json!({ "client_id": "other" }), "client_refused"),
        (json!({ "client_id": "Agent" }), "client_refused"),
        (json!({ "client_id": ["agent"] }), "client_refused"),
        (json!({ "client_id": null }), "client_refused"),
        (json!({ "client_id": "agent", "azp": "other" }), "client_refused"),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let token = strict.key.with_header(&header, &claims);
        assert_eq!(strict.outcome(&token).await, expected, "{value}");
    }
}

#[tokio::test]
async fn claims_that_are_not_one_strict_object() {
    let world = World::new().await;
    let good = claims().to_string();
    let open = good.strip_suffix('}').unwrap();
    let deep = format!(r#"{open},"x":{}{}}}"#, "[".repeat(1500), "]".repeat(1500));
    for (what, text) in [
        ("an array", format!("[{good}]")),
        ("a string", "\"alice\"".to_owned()),
        ("null", "null".to_owned()),
        ("no JSON", "alice".to_owned()),
        ("cut off", open.to_owned()),
        ("two values", format!("{good}{good}")),
        ("sub twice", format!(r#"{open},"sub":"admin"}}"#)),
        ("sub twice, escaped", format!(r#"{open},"\u0073ub":"admin"}}"#)),
        ("sub twice, by case", format!(r#"{open},"Sub":"admin"}}"#)),
        ("sub twice, by folding", format!("{open},\"\u{17f}ub\":\"admin\"}}")),
        ("a name with a NUL", format!(r#"{open},"sub\u0000":"admin"}}"#)),
        ("a lone surrogate", good.replace("alice", r"\ud800")),
        ("a BOM", format!("\u{feff}{good}")),
        ("not a number", good.replace("1800003600", "NaN")),
        ("structure in disguise", format!(r#"{open},"x":{{"$serde_json::private::RawValue":"1"}}}}"#)),
        ("nested", deep),
    ] {
        let token = world.key.raw(&world.key.header().to_string(), &text);
        assert_eq!(world.outcome(&token).await, "claims_malformed", "{what}");
    }
}
