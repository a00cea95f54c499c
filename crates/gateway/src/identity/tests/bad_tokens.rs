//! Tokens with bad headers, keys and signatures: each refused, with its reason.

use serde_json::{Value, json};

use super::{
    World, claims,
    key_server::{Answer, KeyServer},
    key_set, policy, provider,
    signing::{TestKey, b64, forged, hmac_signed},
};

/// The order of P-256, big-endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

async fn check(world: &World, what: &str, token: &str, expected: &str) {
    assert_eq!(world.outcome(token).await, expected, "{what}");
}

/// The good header with one member changed or, with `null`, left out.
fn header(world: &World, name: &str, value: Value) -> Value {
    let mut header = world.key.header();
    if value.is_null() {
        header.as_object_mut().unwrap().remove(name);
    } else {
        header[name] = value;
    }
    header
}

#[tokio::test]
async fn headers_that_ask_for_what_we_do_not_do() {
    let world = World::new().await;
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let lure = format!("http://{}/keys", canary.local_addr().unwrap());
    let attacker = TestKey::es256("main");
    let cases = [
        ("alg", json!("none"), "algorithm_refused"),
        ("alg", json!("NoNe"), "algorithm_refused"),
        ("alg", json!(""), "algorithm_refused"),
        ("alg", json!(null), "algorithm_refused"),
        ("alg", json!(["ES256"]), "algorithm_refused"),
        ("alg", json!({ "name": "ES256" }), "algorithm_refused"),
        ("alg", json!(256), "algorithm_refused"),
        ("alg", json!("es256"), "algorithm_refused"),
        ("alg", json!("ES256 "), "algorithm_refused"),
        ("alg", json!("ES256\u{0}"), "algorithm_refused"),
        ("alg", json!("ES512"), "algorithm_refused"),
        ("alg", json!("ES256K"), "algorithm_refused"),
        ("alg", json!("RS1"), "algorithm_refused"),
        ("alg", json!("HS256"), "algorithm_refused"),
        ("alg", json!("HS512"), "algorithm_refused"),
        ("alg", json!("RSA-OAEP"), "algorithm_refused"),
        ("alg", json!("dir"), "algorithm_refused"),
        // Known, but not accepted from this issuer.
        ("alg", json!("ES384"), "algorithm_refused"),
        ("alg", json!("RS512"), "algorithm_refused"),
        // Accepted from this issuer, but not what the key is for.
        ("alg", json!("RS256"), "key_mismatch"),
        ("alg", json!("PS256"), "key_mismatch"),
        ("alg", json!("EdDSA"), "key_mismatch"),
        ("crit", json!(["exp"]), "header_parameter_refused"),
        ("crit", json!(["b64"]), "header_parameter_refused"),
        ("crit", json!([]), "header_parameter_refused"),
        ("b64", json!(false), "header_parameter_refused"),
        ("b64", json!(true), "header_parameter_refused"),
        ("zip", json!("DEF"), "header_parameter_refused"),
        ("enc", json!("A256GCM"), "header_parameter_refused"),
        ("epk", json!({}), "header_parameter_refused"),
        ("jku", json!(lure), "header_parameter_refused"),
        ("x5u", json!(lure), "header_parameter_refused"),
        ("jwk", attacker.jwk(), "header_parameter_refused"),
        ("x5c", json!(["MIIB"]), "header_parameter_refused"),
        ("typ", json!("dpop+jwt"), "type_refused"),
        ("typ", json!("logout+jwt"), "type_refused"),
        ("typ", json!("secevent+jwt"), "type_refused"),
        ("typ", json!("id+jwt"), "type_refused"),
        ("typ", json!("JWS"), "type_refused"),
        ("typ", json!(""), "type_refused"),
        ("typ", json!(1), "type_refused"),
        ("typ", json!(["JWT"]), "type_refused"),
        ("typ", json!("application/octet-stream"), "type_refused"),
        ("kid", json!("../../dev/null"), "key_unknown"),
        ("kid", json!("' OR 1=1 --"), "key_unknown"),
        ("kid", json!(lure), "key_unknown"),
        ("kid", json!("Main"), "key_unknown"),
        ("kid", json!("main "), "key_unknown"),
        ("kid", json!(""), "key_id_malformed"),
        ("kid", json!("main\u{0}"), "key_id_malformed"),
        ("kid", json!("k".repeat(129)), "key_id_malformed"),
        ("kid", json!(7), "key_id_malformed"),
        ("kid", json!(["main"]), "key_id_malformed"),
    ];
    for (name, value, expected) in cases {
        let token = world.key.with_header(&header(&world, name, value.clone()), &claims());
        check(&world, &format!("{name}: {value}"), &token, expected).await;
    }
    // What the header offers is not even looked at: a token signed by the key that it brings.
    let mut own = attacker.header();
    own["jku"] = json!(lure);
    check(&world, "jku with its own key", &attacker.with_header(&own, &claims()), "header_parameter_refused")
        .await;
    assert!(canary.accept().is_err(), "somebody followed an address from a token");
}

#[tokio::test]
async fn headers_and_tokens_that_are_not_well_formed() {
    let world = World::new().await;
    let good = claims().to_string();
    let deep = format!(r#"{{"alg":"ES256","kid":"main","x":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    for (what, text) in [
        ("nothing", ""),
        ("no JSON", "ES256"),
        ("an array", r#"["ES256"]"#),
        ("a batch", r#"[{"alg":"ES256","kid":"main"}]"#),
        ("a string", r#""ES256""#),
        ("two values", r#"{"alg":"ES256","kid":"main"}{}"#),
        ("a comment", r#"{"alg":"ES256","kid":"main"/**/}"#),
        ("cut off", r#"{"alg":"ES256","kid":"main""#),
        ("alg twice", r#"{"alg":"ES256","alg":"none","kid":"main"}"#),
        ("alg twice, escaped", r#"{"alg":"ES256","\u0061lg":"none","kid":"main"}"#),
        ("alg twice, by case", r#"{"alg":"ES256","Alg":"none","kid":"main"}"#),
        ("a BOM", "\u{feff}{\"alg\":\"ES256\",\"kid\":\"main\"}"),
        ("structure in disguise", r#"{"alg":"ES256","kid":{"$serde_json::private::RawValue":"\"main\""}}"#),
        ("nested", &deep),
    ] {
        check(
            &world,
            what,
            &world.key.raw(text, &good),
            if text.is_empty() { "token_malformed" } else { "header_malformed" },
        )
        .await;
    }
    check(&world, "no alg", &world.key.raw("{}", &good), "algorithm_refused").await;
    let token = world.token(|_| {});
    let (header, rest) = token.split_once('.').unwrap();
    check(&world, "base64 that is not canonical", &format!("{header}A.{rest}"), "header_malformed").await;
    check(&world, "claims that are not base64", &format!("{header}.A.{}", b64([0; 64])), "claims_malformed")
        .await;
    check(
        &world,
        "a long token",
        &world.token(|claims| claims["x"] = json!("x".repeat(10_000))),
        "token_too_long",
    )
    .await;
    check(
        &world,
        "a header of another encoding",
        &format!("{}.{rest}", b64([0xff, 0xfe])),
        "header_malformed",
    )
    .await;
}

#[tokio::test]
async fn signatures_that_do_not_fit() {
    let rsa = TestKey::of("RS256", "rsa");
    let world = World::with(policy(), vec![rsa.jwk()], |_| {}).await;
    let main = world.key.header();
    let invalid = "signature_invalid";
    let zeros = [0; 64];
    let order = [P256_ORDER, P256_ORDER].concat();
    let token = world.token(|_| {});
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for (what, token, expected) in [
        ("r and s zero", forged(&main, &claims(), &zeros), invalid),
        ("r and s the order", forged(&main, &claims(), &order), invalid),
        ("one byte", forged(&main, &claims(), &[0]), invalid),
        ("too short", forged(&main, &claims(), &zeros[1..]), invalid),
        ("too long", forged(&main, &claims(), &[0; 65]), invalid),
        ("empty", forged(&main, &claims(), &[]), "token_malformed"),
        ("ASN.1", world.key.token_with_asn1_signature(&claims()), invalid),
        ("another key of the same name", TestKey::es256("main").token(&claims()), invalid),
        ("a key of another curve", TestKey::of("ES384", "main").with_header(&main, &claims()), invalid),
        ("a key of another kind", rsa.with_header(&main, &claims()), invalid),
        (
            "of other claims",
            format!(
                "{}.{signature}",
                forged(&main, &json!({"iss": super::ISSUER}), &[1]).rsplit_once('.').unwrap().0
            ),
            invalid,
        ),
        ("cut", format!("{signed}.{}", signature.split_at(signature.len() - 2).0), invalid),
        ("not canonical base64", format!("{signed}.{}", flip_unused_bits(signature)), invalid),
        ("PSS for PKCS#1", TestKey::of("PS256", "rsa").with_header(&rsa.header(), &claims()), invalid),
        ("PS256 for a key that is for RS256", TestKey::of("PS256", "rsa").token(&claims()), "key_mismatch"),
    ] {
        check(&world, what, &token, expected).await;
    }
    // The classic: the public key, which everybody has, as the secret of an HMAC.
    let n = rsa.jwk()["n"].as_str().unwrap().to_owned();
    for secret in [n.clone(), format!("{n}\n"), rsa.jwk().to_string(), world.key.jwk().to_string()] {
        for (algorithm, id) in [("HS256", "rsa"), ("HS384", "rsa"), ("HS256", "main")] {
            let token = hmac_signed(algorithm, id, secret.as_bytes(), &claims());
            check(&world, algorithm, &token, "algorithm_refused").await;
        }
    }
    check(&world, "the good one", &token, "ok").await;
}

/// Another spelling of the same bytes: 64 bytes leave four bits unused in the last character.
fn flip_unused_bits(signature: &str) -> String {
    let (start, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = alphabet.find(last).unwrap();
    format!("{start}{}", alphabet.chars().nth(index + 1).unwrap())
}

#[tokio::test]
async fn keys_that_are_weak_private_or_not_for_signatures_do_not_exist() {
    let weak = |jwk: Value, id: &str| {
        let mut jwk = jwk;
        jwk["kid"] = json!(id);
        jwk
    };
    let rsa = TestKey::of("RS256", "strong").jwk();
    let with = |base: &Value, name: &str, value: Value| {
        let mut jwk = base.clone();
        jwk[name] = value;
        jwk
    };
    let ed = |x: [u8; 32]| json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(x) });
    let mut one = [0; 32];
    one[0] = 1;
    let mut one_negative = one;
    one_negative[31] = 0x80;
    let ec = TestKey::es256("x").jwk();
    let even: Vec<u8> = [&[0x80; 255][..], &[0x80]].concat();
    let keys = vec![
        weak(with(&rsa, "n", json!(b64([0xff; 128]))), "rsa-1024"),
        weak(with(&rsa, "n", json!(b64([&[0; 128][..], &[0xff; 128]].concat()))), "rsa-1024-padded"),
        weak(with(&rsa, "n", json!(b64([&[0x7f][..], &[0xff; 255]].concat()))), "rsa-2047"),
        weak(with(&rsa, "n", json!(b64(&even))), "rsa-even"),
        weak(with(&rsa, "n", json!(b64([0xff; 2048]))), "rsa-16384"),
        weak(with(&rsa, "e", json!("AQ")), "rsa-e1"),
        weak(with(&rsa, "e", json!("Aw")), "rsa-e3"),
        weak(with(&rsa, "e", json!("AQAA")), "rsa-e-even"),
        weak(with(&rsa, "e", json!(b64([1; 9]))), "rsa-e-long"),
        weak(with(&rsa, "d", json!("AQAB")), "rsa-private"),
        weak(with(&rsa, "p", json!("AQAB")), "rsa-private-prime"),
        weak(with(&rsa, "k", json!("AQAB")), "rsa-and-secret"),
        weak(with(&rsa, "use", json!("enc")), "rsa-enc"),
        weak(with(&rsa, "key_ops", json!(["encrypt"])), "rsa-encrypt"),
        weak(with(&rsa, "alg", json!("RSA-OAEP-256")), "rsa-oaep"),
        weak(with(&rsa, "alg", json!("ES256")), "rsa-es256"),
        weak(json!({ "kty": "oct", "k": b64([7; 32]), "alg": "HS256" }), "oct"),
        weak(ed([0; 32]), "ed-zero"),
        weak(ed(one), "ed-identity"),
        weak(ed(one_negative), "ed-identity-negative"),
        weak(with(&ed([9; 32]), "crv", json!("Ed448")), "ed448"),
        weak(with(&ed([9; 32]), "x", json!(b64([9; 31]))), "ed-short"),
        weak(with(&ec, "crv", json!("secp256k1")), "ec-koblitz"),
        weak(with(&ec, "crv", json!("P-384")), "ec-curve"),
        weak(with(&ec, "x", json!(b64([1; 31]))), "ec-short"),
        weak(with(&ec, "kty", json!("XX")), "kty"),
        TestKey::es256("twice").jwk(),
        TestKey::es256("twice").jwk(),
    ];
    let names: Vec<String> = keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    let world = World::with(policy(), keys, |_| {}).await;
    for name in names {
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let token = forged(&json!({ "alg": algorithm, "kid": name }), &claims(), &[0; 64]);
            check(&world, &name, &token, "key_unknown").await;
        }
    }
    // Under the identity point, R = B and S = 1 would sign every message.
    let mut universal = [0x66; 64];
    universal[0] = 0x58;
    universal[32..].fill(0);
    universal[32] = 1;
    let token = forged(&json!({ "alg": "EdDSA", "kid": "ed-identity" }), &claims(), &universal);
    check(&world, "universal forgery", &token, "key_unknown").await;
}

#[tokio::test]
async fn a_token_without_a_key_id_means_the_only_key_there_is() {
    let without = |key: &TestKey| {
        let mut header = key.header();
        header.as_object_mut().unwrap().remove("kid");
        key.with_header(&header, &claims())
    };
    let world = World::new().await;
    check(&world, "one key", &without(&world.key), "ok").await;
    let world = World::with(policy(), vec![TestKey::es256("other").jwk()], |_| {}).await;
    check(&world, "two keys", &without(&world.key), "key_ambiguous").await;
}

#[tokio::test]
async fn a_key_that_names_no_algorithm_is_still_for_its_kind_only() {
    let key = TestKey::es256("open");
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let world = World::with(policy(), vec![jwk], |_| {}).await;
    check(&world, "its own", &key.token(&claims()), "ok").await;
    for algorithm in ["RS256", "PS256", "EdDSA"] {
        let token = key.with_header(&json!({ "alg": algorithm, "kid": "open" }), &claims());
        check(&world, algorithm, &token, "key_mismatch").await;
    }
}

#[tokio::test]
async fn keys_of_one_issuer_are_none_of_another() {
    let world = World::new().await;
    let other_key = TestKey::es256("theirs");
    let other_server = KeyServer::start().await;
    other_server.set("/keys", Answer::Json(key_set(&[other_key.jwk()])));
    let mut other = provider(Some(other_server.url("/keys")));
    other.name = "other".parse().unwrap();
    other.issuer = "https://other.example.com".to_owned();
    world.authenticator.reload(&super::resources(vec![provider(Some(world.server.url("/keys"))), other]));
    let of_other = |claims: &mut Value| claims["iss"] = json!("https://other.example.com");
    check(&world, "ours", &world.token(|_| {}), "ok").await;
    check(&world, "our key, their name", &world.token(of_other), "key_unknown").await;
    check(&world, "their key, our name", &other_key.token(&claims()), "key_unknown").await;
    let mut theirs = claims();
    of_other(&mut theirs);
    check(&world, "theirs", &other_key.token(&theirs), "ok").await;
    let renamed = other_key.with_header(&json!({ "alg": "ES256", "kid": "main" }), &claims());
    check(&world, "their key under our key's name", &renamed, "signature_invalid").await;
    theirs["iss"] = json!("urn:narrows:test");
    check(&world, "the built-in issuer's name", &other_key.token(&theirs), "algorithm_refused").await;
}
