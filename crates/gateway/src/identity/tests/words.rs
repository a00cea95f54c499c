//! The words for clients.

use crate::identity::{
    AuthFailure, ClaimFault, HeaderFault, KeyFault, PresentationFault, challenge, metadata,
};

const METADATA: &str = "https://gate.example/.well-known/oauth-protected-resource/mcp/dev/files";

#[test]
fn challenges() {
    let check = |failure: AuthFailure, expected: &str| assert_eq!(challenge(METADATA, &failure), expected);
    let bare = format!("Bearer resource_metadata=\"{METADATA}\"");
    let invalid = format!("Bearer error=\"invalid_token\", resource_metadata=\"{METADATA}\"");
    check(AuthFailure::Missing, &bare);
    check(AuthFailure::Signature, &invalid);
    check(AuthFailure::Claim(ClaimFault::Expired), &invalid);
    check(AuthFailure::Presentation(PresentationFault::InQuery), &invalid);
    assert_eq!(challenge("a\"b\\c", &AuthFailure::Missing), "Bearer resource_metadata=\"a\\\"b\\\\c\"");
    assert_eq!(challenge("a\r\nb: c", &AuthFailure::Missing), "Bearer");
}

/// What a client reads does not tell one bad token from another.
#[test]
fn refused_tokens_look_the_same() {
    let refused = [
        AuthFailure::Header(HeaderFault::Algorithm),
        AuthFailure::UnknownIssuer,
        AuthFailure::Key(KeyFault::Unknown),
        AuthFailure::Signature,
        AuthFailure::Claim(ClaimFault::Expired),
        AuthFailure::Claim(ClaimFault::AudienceForeign),
        AuthFailure::Revoked,
    ];
    for failure in refused {
        assert_eq!(failure.to_string(), "the token is not accepted");
        assert_eq!(challenge(METADATA, &failure), challenge(METADATA, &AuthFailure::Signature));
        assert_eq!(failure.http_status(), 401);
    }
}

/// What is no token at all is told so: whoever sends an API key would look for the fault in the wrong place.
#[test]
fn what_is_no_jwt_is_told_so() {
    let text = AuthFailure::Presentation(PresentationFault::Shape).to_string();
    assert!(text.starts_with("what follows `Bearer` is no signed JWT,"), "{text}");
    for fault in [PresentationFault::TwoHeaders, PresentationFault::Scheme, PresentationFault::InQuery] {
        let text = AuthFailure::Presentation(fault).to_string();
        assert_eq!(text, "the token must be sent once, as `Authorization: Bearer <token>`");
    }
}

#[test]
fn metadata_documents() {
    let text = |issuers: &[String]| String::from_utf8(metadata("https://gate.example/mcp", issuers)).unwrap();
    assert_eq!(
        text(&["https://login.example.com".to_owned()]),
        r#"{"resource":"https://gate.example/mcp","authorization_servers":["https://login.example.com"],"bearer_methods_supported":["header"],"resource_name":"Narrows"}"#
    );
    assert_eq!(
        text(&[]),
        r#"{"resource":"https://gate.example/mcp","bearer_methods_supported":["header"],"resource_name":"Narrows"}"#
    );
}
