//! The built-in issuer, from the making of its key to the identity behind its token.

use std::{sync::Arc, time::Duration};

use narrows_core::principal::{BUILTIN_PROVIDER, PrincipalKind};

use super::{
    AUDIENCE, HOUR, MemoryStore, NOW, RESOURCE, assert_silent, at, authenticator, bearer, builtin_issuer,
    now, policy,
};
use crate::identity::{AuthFailure, Authenticator, IssueError, Issuer, PemError};

const EIGHT_HOURS: Duration = Duration::from_secs(8 * 3600);

fn trusting(issuer: &Issuer) -> Authenticator {
    authenticator(policy(), Arc::new(MemoryStore::default()), issuer.public().clone())
}

#[tokio::test]
async fn its_tokens_are_good_everywhere_until_they_expire() {
    let issuer = builtin_issuer();
    let gate = trusting(&issuer);
    let groups = ["ops".to_owned(), "dev".to_owned()];
    let token = issuer.issue("alice@example.com", &groups, EIGHT_HOURS, now(), "id-1").unwrap();
    let headers = bearer(token.expose());
    for resource in [RESOURCE, AUDIENCE, "http://127.0.0.1:7700/mcp/a/b"] {
        let identity = gate.authenticate(&headers, None, resource, now()).await.ok().unwrap();
        assert_eq!(identity.principal.kind, PrincipalKind::User);
        assert_eq!(identity.principal.provider.as_str(), BUILTIN_PROVIDER);
        assert_eq!(identity.principal.issuer.as_ref(), "urn:narrows:test");
        assert_eq!(identity.principal.subject.as_ref(), "alice@example.com");
        assert_eq!(identity.principal.groups.as_ref(), ["dev".into(), "ops".into()]);
        assert_eq!(identity.expires, at(NOW + 8 * HOUR));
    }
    assert_eq!(gate.signature_checks(), 1);
    let late = gate.authenticate(&headers, None, RESOURCE, at(NOW + 8 * HOUR + 30)).await.err().unwrap();
    assert_eq!(late.reason_code(), "token_expired");
    assert_silent(&late, token.expose());
}

#[tokio::test]
async fn service_accounts_are_known_by_their_prefix() {
    let issuer = builtin_issuer();
    let gate = trusting(&issuer);
    let identify = async |subject: &str| {
        let token = issuer.issue(subject, &[], EIGHT_HOURS, now(), "id").unwrap();
        gate.authenticate(&bearer(token.expose()), None, RESOURCE, now()).await
    };
    let account = identify("system:serviceaccount:ci").await.ok().unwrap();
    assert_eq!(
        (account.principal.kind, account.principal.subject.as_ref()),
        (PrincipalKind::ServiceAccount, "ci")
    );
    let user = identify("ci").await.ok().unwrap();
    assert_eq!((user.principal.kind, user.principal.subject.as_ref()), (PrincipalKind::User, "ci"));
    assert_ne!(account.subject_digest, user.subject_digest);
    assert_eq!(identify("system:serviceaccount:").await.err().unwrap().reason_code(), "subject_malformed");
}

#[tokio::test]
async fn a_token_of_another_installation_is_none_of_ours() {
    let (ours, theirs) = (builtin_issuer(), builtin_issuer());
    let token = theirs.issue("alice", &[], EIGHT_HOURS, now(), "id").unwrap();
    let failure =
        trusting(&ours).authenticate(&bearer(token.expose()), None, RESOURCE, now()).await.err().unwrap();
    assert_eq!(failure.reason_code(), "key_unknown");
    let pem = Issuer::generate_key().unwrap();
    let elsewhere = Issuer::load(pem.expose(), "urn:narrows:other", "urn:narrows:other:mcp").unwrap();
    let token = elsewhere.issue("alice", &[], EIGHT_HOURS, now(), "id").unwrap();
    let failure =
        trusting(&ours).authenticate(&bearer(token.expose()), None, RESOURCE, now()).await.err().unwrap();
    assert_eq!(failure, AuthFailure::UnknownIssuer);
}

#[test]
fn a_key_survives_its_file() {
    let pem = Issuer::generate_key().unwrap();
    assert!(pem.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(pem.expose().ends_with("\n-----END PRIVATE KEY-----\n"));
    assert!(pem.expose().lines().all(|line| line.len() <= 64));
    let load = |text: &str| {
        Issuer::load(text, "urn:narrows:test", "urn:narrows:test:mcp").map(|issuer| issuer.public().clone())
    };
    let public = load(pem.expose()).unwrap();
    assert_eq!(load(&pem.expose().replace('\n', "\r\n")).unwrap(), public);
    assert_ne!(load(Issuer::generate_key().unwrap().expose()).unwrap(), public);
    for broken in [
        "",
        "x",
        pem.expose().strip_prefix('-').unwrap(),
        &pem.expose().replace("PRIVATE", "RSA PRIVATE"),
        &pem.expose().repeat(2),
    ] {
        assert!(matches!(load(broken), Err(IssueError::Pem(PemError::Shape))), "{broken:?}");
    }
    let garbled = pem.expose().replacen("MC", "M*", 1);
    assert!(matches!(load(&garbled), Err(IssueError::Pem(PemError::Base64))));
    let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(load(short), Err(IssueError::Key(_))));
}

/// RFC 8037 appendix A.3.
#[test]
fn the_key_id_is_the_thumbprint_of_the_key() {
    let mut public = builtin_issuer().public().clone();
    public.public_key = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
        0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];
    assert_eq!(public.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn what_would_not_be_accepted_is_not_issued() {
    let issuer = builtin_issuer();
    let issue = |subject: &str, groups: &[&str], lifetime: Duration| {
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        issuer.issue(subject, &groups, lifetime, now(), "id").map(|_| ())
    };
    for subject in ["", "a\n", "a\u{202e}", &"a".repeat(256)] {
        assert!(matches!(issue(subject, &[], EIGHT_HOURS), Err(IssueError::Name(_))), "{subject:?}");
        assert!(
            matches!(issue("alice", &["dev", subject], EIGHT_HOURS), Err(IssueError::Name(_))),
            "{subject:?}"
        );
    }
    for seconds in [0, 24 * 3600 + 1, u64::MAX] {
        assert!(
            matches!(issue("alice", &[], Duration::from_secs(seconds)), Err(IssueError::Lifetime(_))),
            "{seconds}"
        );
    }
    assert!(issue("alice", &["dev"], Duration::from_secs(24 * 3600)).is_ok());
    assert_eq!(
        issue("", &[], EIGHT_HOURS).unwrap_err().to_string(),
        "`` can't name a subject or group\nhint: use 1 to 255 visible characters"
    );
}
