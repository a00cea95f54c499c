//! A token taken apart, before any signature is checked: its header judged by our own rules, its claims scanned
//! strictly. jsonwebtoken ignores `crit`, `typ` and `jku` and would take keys of any strength, so none of its
//! parsing is used; only its signature check is, once all of this is settled.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use narrows_core::resource::Algorithm;
use narrows_mcp::json::{Document, Folding, Kind, Limits, Numbers, Value};

use super::{AuthFailure, ClaimFault, HeaderFault};

/// Bounds of a token's header and claims, which have at most 6 KiB.
const LIMITS: Limits =
    Limits { depth: 16, members: 256, string: 8 * 1024, numbers: Numbers::Exact, folding: Folding::Message };
/// Longest `kid`, in bytes.
const MAX_KEY_ID: usize = 128;
/// Parameters that bring a key or an address, change what is signed, or ask for understanding that we don't have.
const REFUSED: [&str; 9] = ["crit", "b64", "zip", "jku", "jwk", "x5u", "x5c", "enc", "epk"];

/// A token in its parts. Nothing in it is to be believed before the signature was checked.
pub(super) struct Jws<'t> {
    /// What is signed: header and claims as they were sent.
    pub(super) signed: &'t str,
    /// The signature in base64url.
    pub(super) signature: &'t str,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) kind: TokenKind,
    /// The claims: an object.
    pub(super) claims: Document,
}

/// What the `typ` header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// `at+jwt` (RFC 9068).
    AccessToken,
    /// `JWT` or nothing.
    Unspecified,
}

impl<'t> Jws<'t> {
    /// Takes apart a compact serialisation that has three parts.
    pub(super) fn open(token: &'t str) -> Result<Self, AuthFailure> {
        let malformed = AuthFailure::Header(HeaderFault::Malformed);
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        let header = object(header).ok_or(malformed)?;
        let (algorithm, key_id, kind) = judge(header.root())?;
        let claims = object(claims).ok_or(ClaimFault::Malformed)?;
        Ok(Self { signed, signature, algorithm, key_id, kind, claims })
    }

    /// The `iss` claim, by which the issuer is chosen.
    pub(super) fn issuer(&self) -> Result<String, ClaimFault> {
        let issuer = self.claims.root().get("iss").and_then(Value::as_string);
        issuer.map(std::borrow::Cow::into_owned).ok_or(ClaimFault::Issuer)
    }
}

fn object(part: &str) -> Option<Document> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    let document = Document::parse(&bytes, &LIMITS).ok()?;
    (document.root().kind() == Kind::Object).then_some(document)
}

fn judge(header: Value<'_>) -> Result<(Algorithm, Option<String>, TokenKind), HeaderFault> {
    if header.members().any(|(name, _)| REFUSED.contains(&name.as_ref())) {
        return Err(HeaderFault::Parameter);
    }
    let algorithm = header.get("alg").and_then(Value::as_string).ok_or(HeaderFault::Algorithm)?;
    let algorithm = algorithm_named(&algorithm).ok_or(HeaderFault::Algorithm)?;
    let key_id = match header.get("kid") {
        None => None,
        Some(value) => {
            let id = value.as_string().ok_or(HeaderFault::KeyId)?;
            if id.is_empty() || id.len() > MAX_KEY_ID || id.chars().any(char::is_control) {
                return Err(HeaderFault::KeyId);
            }
            Some(id.into_owned())
        }
    };
    let kind = match header.get("typ") {
        None => TokenKind::Unspecified,
        Some(value) => {
            let name = value.as_string().ok_or(HeaderFault::Type)?.to_ascii_lowercase();
            // The `application/` may be left out (RFC 7515 section 4.1.9).
            match name.strip_prefix("application/").unwrap_or(&name) {
                "jwt" => TokenKind::Unspecified,
                "at+jwt" => TokenKind::AccessToken,
                _ => return Err(HeaderFault::Type),
            }
        }
    };
    Ok((algorithm, key_id, kind))
}

/// Exact names only; symmetric algorithms and `none` have no name here.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}
