//! Finds the token in a request: one `Authorization` header, scheme `Bearer`, one space, a compact JWS, and nothing
//! around it (RFC 6750 section 2.1). Tokens in a query are refused even beside a good header; cookies are not read.

use http::{HeaderMap, header};

use super::{AuthFailure, PresentationFault};

/// Most bytes of the header's value.
const MAX_VALUE: usize = 8 * 1024;
const SCHEME: &str = "Bearer";

/// What was presented as a token. Whether it has the shape of one is [`check_shape`]'s to say.
pub(super) fn presented<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<&'r str, AuthFailure> {
    if query.is_some_and(carries_token) {
        return Err(PresentationFault::InQuery.into());
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthFailure::Missing)?;
    if values.next().is_some() {
        return Err(PresentationFault::TwoHeaders.into());
    }
    if value.len() > MAX_VALUE {
        return Err(PresentationFault::TooLong.into());
    }
    let text = value.to_str().map_err(|_| PresentationFault::Shape)?;
    let (scheme, token) = text.split_at_checked(SCHEME.len()).ok_or(PresentationFault::Scheme)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(PresentationFault::Scheme.into());
    }
    let token = match token.strip_prefix(' ') {
        Some(token) => token,
        None if token.is_empty() => return Err(PresentationFault::Shape.into()),
        None => return Err(PresentationFault::Scheme.into()),
    };
    Ok(token)
}

/// Whether it has the shape of a signed token. This is asked only of one that is not among the verified ones: those are
/// found by a digest of their whole text, and only what passed this was ever put there.
pub(super) fn check_shape(token: &str) -> Result<(), AuthFailure> {
    if is_compact_jws(token) { Ok(()) } else { Err(PresentationFault::Shape.into()) }
}

/// Three non-empty parts of base64url without padding. An encrypted token has five, a detached one an empty one.
fn is_compact_jws(token: &str) -> bool {
    let mut parts = 0;
    token.split('.').all(|part| {
        parts += 1;
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }) && parts == 3
}

/// Whether a query has a parameter `access_token` (RFC 6750 section 2.3), however it is written.
fn carries_token(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
}
