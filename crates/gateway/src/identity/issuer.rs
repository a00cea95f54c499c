//! The built-in issuer: an Ed25519 key of this installation and the tokens that it signs (RFC 9068 in form).
//!
//! There is no default key. A key is made at random at first start or read from a file; neither it nor a token can
//! be printed by accident.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    digest,
    error::{KeyRejected, Unspecified},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use serde::Serialize;

use super::{claims::is_deceptive, pem};

/// The longest life of a token of the built-in issuer.
pub const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// A private key in PEM. It has no `Debug` or `Display`; [`Self::expose`] is the way to its text.
pub struct SigningKeyPem(String);

impl SigningKeyPem {
    /// The text, to be written to a file that only its owner can read.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A token. It has no `Debug` or `Display`; [`Self::expose`] is the way to its text.
pub struct BearerToken(String);

impl BearerToken {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What the authenticator needs to know of the built-in issuer. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltinKeys {
    /// Its `iss`: `urn:narrows:<installation>`.
    pub issuer: Arc<str>,
    /// The `aud` of its tokens: `urn:narrows:<installation>:mcp`.
    pub audience: Arc<str>,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
}

impl BuiltinKeys {
    /// The `kid`: the key's JWK thumbprint (RFC 7638, RFC 8037 appendix A.3).
    pub fn key_id(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.public_key);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }
}

/// Why the issuer can't be made or does not issue.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The system gave no randomness.
    #[error("a key can't be made: the system gives no random numbers")]
    Random(#[source] Unspecified),
    /// The file is not PEM.
    #[error("the signing key can't be read")]
    Pem(#[from] pem::PemError),
    /// The key is not Ed25519 in PKCS#8.
    #[error("the signing key can't be used\nhint: it has to be Ed25519 in PKCS#8")]
    Key(#[source] KeyRejected),
    /// The subject or a group would be refused when the token is used.
    #[error("`{0}` can't name a subject or group\nhint: use 1 to 255 visible characters")]
    Name(String),
    /// More than [`MAX_LIFETIME`], or nothing.
    #[error("a token can't be valid for {} s\nhint: at least 1 s and at most 24 h", .0.as_secs())]
    Lifetime(Duration),
    /// The time is out of range.
    #[error("the token would expire beyond the end of time")]
    Time,
    /// The claims can't be written.
    #[error("the token can't be written")]
    Claims(#[source] serde_json::Error),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct TokenClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    client_id: &'static str,
    iat: i64,
    exp: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
}

/// The built-in issuer with its private key.
pub struct Issuer {
    key: Ed25519KeyPair,
    public: BuiltinKeys,
    key_id: String,
}

impl Issuer {
    /// A new private key, from the system's randomness.
    ///
    /// # Errors
    /// [`IssueError::Random`]
    pub fn generate_key() -> Result<SigningKeyPem, IssueError> {
        let key = Ed25519KeyPair::generate().map_err(IssueError::Random)?;
        let document = key.to_pkcs8v1().map_err(IssueError::Random)?;
        Ok(SigningKeyPem(pem::encode(document.as_ref())))
    }

    /// The issuer of an installation, with the key from a PEM file. `issuer` and `audience` are its `iss` and `aud`.
    ///
    /// # Errors
    /// [`IssueError::Pem`] or [`IssueError::Key`]
    pub fn load(key_pem: &str, issuer: &str, audience: &str) -> Result<Self, IssueError> {
        let der = pem::decode(key_pem)?;
        let key = Ed25519KeyPair::from_pkcs8(&der).map_err(IssueError::Key)?;
        let mut public_key = [0; 32];
        public_key.copy_from_slice(key.public_key().as_ref());
        let public = BuiltinKeys { issuer: issuer.into(), audience: audience.into(), public_key };
        let key_id = public.key_id();
        Ok(Self { key, public, key_id })
    }

    /// What the authenticator needs.
    pub fn public(&self) -> &BuiltinKeys {
        &self.public
    }

    /// A token for `subject`, valid from `now` for `lifetime`. `token_id` (`jti`) has to be unique; make it random.
    /// A service account's subject begins with [`narrows_core::principal::SERVICE_ACCOUNT_PREFIX`].
    ///
    /// # Errors
    /// [`IssueError`]: names that the authenticator would refuse, or a lifetime out of range.
    pub fn issue(
        &self,
        subject: &str,
        groups: &[String],
        lifetime: Duration,
        now: jiff::Timestamp,
        token_id: &str,
    ) -> Result<BearerToken, IssueError> {
        for name in [subject, token_id].into_iter().chain(groups.iter().map(String::as_str)) {
            if name.is_empty() || name.chars().count() > 255 || name.chars().any(is_deceptive) {
                return Err(IssueError::Name(name.to_owned()));
            }
        }
        let seconds = i64::try_from(lifetime.as_secs()).map_err(|_| IssueError::Lifetime(lifetime))?;
        if !(1..=MAX_LIFETIME.as_secs()).contains(&seconds) {
            return Err(IssueError::Lifetime(lifetime));
        }
        let issued = now.as_second();
        let claims = TokenClaims {
            iss: &self.public.issuer,
            aud: &self.public.audience,
            sub: subject,
            client_id: "narrows",
            iat: issued,
            exp: issued.checked_add(seconds).ok_or(IssueError::Time)?,
            jti: token_id,
            groups,
        };
        let header = Header { alg: "EdDSA", kid: &self.key_id, typ: "at+jwt" };
        let part = |json: Result<Vec<u8>, serde_json::Error>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
        let header = part(serde_json::to_vec(&header)).map_err(IssueError::Claims)?;
        let claims = part(serde_json::to_vec(&claims)).map_err(IssueError::Claims)?;
        let mut token = format!("{header}.{claims}");
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(BearerToken(token))
    }
}
