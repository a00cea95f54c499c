//! `IdentityProvider`.

use super::{Named, Report, server::checked_url};
use crate::resource::{
    Algorithm, KeyUrlFault, MultipleAudiences, Provider, TokenType, written::ProviderSpec,
};

const DAY: u64 = 24 * 60 * 60;
/// Accepted values of `maxTokenLifetime`, in seconds.
const SHORTEST: u64 = 60;
const LONGEST: u64 = 30 * DAY;

pub(super) fn provider(
    named: Option<Named>,
    spec: ProviderSpec,
    report: &mut Report<'_>,
) -> Option<Provider> {
    secure_url("spec.issuer", &spec.issuer, report);
    if spec.issuer.contains('?') {
        report.field("spec.issuer", " has a query", "an issuer is a URL without query (RFC 8414 section 2)");
    }
    if let Some(url) = &spec.jwks_url {
        secure_url("spec.jwksUrl", url, report);
    }
    for (list, texts) in [("audiences", &spec.audiences), ("clientIds", &spec.client_ids)] {
        for (index, text) in texts.iter().enumerate() {
            if text.trim().is_empty() {
                report.field(&format!("spec.{list}[{index}]"), " is empty", "");
            }
        }
    }
    let claims = spec.claims;
    let (subject, groups) = claims.map(|claims| (claims.subject, claims.groups)).unwrap_or_default();
    let claim = |path: &str, written: Option<String>, default: &str, report: &mut Report<'_>| {
        let claim = written.unwrap_or_else(|| default.to_owned());
        if claim.trim().is_empty() {
            report.field(path, " is empty", "");
        }
        claim
    };
    let subject_claim = claim("spec.claims.subject", subject, "sub", report);
    let groups_claim = claim("spec.claims.groups", groups, "groups", report);
    let mut algorithms = spec.algorithms.unwrap_or_else(|| Algorithm::DEFAULT.to_vec());
    if algorithms.is_empty() {
        report.field("spec.algorithms", " is empty", "name one, or remove it for the default");
    }
    algorithms.sort_unstable();
    algorithms.dedup();
    let max_lifetime_secs = spec.max_token_lifetime.map_or(DAY, |text| lifetime(&text, report));
    let Named { name, labels } = named?;
    Some(Provider {
        name,
        labels,
        issuer: spec.issuer,
        audiences: spec.audiences,
        subject_claim,
        groups_claim,
        algorithms,
        jwks_url: spec.jwks_url,
        max_lifetime_secs,
        token_type: spec.token_type.unwrap_or(TokenType::Any),
        allow_multiple_audiences: if spec.allow_multiple_audiences {
            MultipleAudiences::Accept
        } else {
            MultipleAudiences::Refuse
        },
        required_client_ids: spec.client_ids,
    })
}

/// What keys are fetched from must not be changed on the way.
fn secure_url(path: &str, text: &str, report: &mut Report<'_>) {
    match check_key_url(text) {
        Err(KeyUrlFault::Form(reason)) => {
            report.field(
                path,
                &format!(": {reason}"),
                "write an absolute URL such as `https://login.example.com`",
            );
        }
        Err(KeyUrlFault::Plain) => {
            report.field(path, " is not `https`", "plain `http` is accepted on this machine only, for tests");
        }
        Ok(()) => {}
    }
}

/// Whether keys, or a document that says where they are, may be fetched from this URL: it is absolute, reads the same
/// to every parser, and is `https`, or `http` on this machine.
///
/// # Errors
/// [`KeyUrlFault`]: why not.
pub fn check_key_url(text: &str) -> Result<(), KeyUrlFault> {
    let url = checked_url(text).map_err(KeyUrlFault::Form)?;
    if url.scheme() == "https" || is_loopback(&url) { Ok(()) } else { Err(KeyUrlFault::Plain) }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn lifetime(text: &str, report: &mut Report<'_>) -> u64 {
    let seconds =
        text.parse::<jiff::SignedDuration>().ok().and_then(|span| u64::try_from(span.as_secs()).ok());
    match seconds {
        Some(seconds @ SHORTEST..=LONGEST) => seconds,
        Some(_) => {
            report.field("spec.maxTokenLifetime", &format!(": `{text}` is not between `1m` and `720h`"), "");
            DAY
        }
        None => {
            let hint = "write for example `1h` or `30m`";
            report.field("spec.maxTokenLifetime", &format!(": `{text}` is not a duration"), hint);
            DAY
        }
    }
}
