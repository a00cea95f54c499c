//! `IdentityProvider`: an OpenID Connect issuer whose tokens are accepted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::ResourceName;

/// A provider of identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// Its name; never [`crate::principal::BUILTIN_PROVIDER`].
    pub name: ResourceName,
    /// Labels, for people and selectors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The exact `iss` of its tokens; unique among providers. `https`, or `http` on a loopback host.
    pub issuer: String,
    /// Values of `aud` that are meant for us, besides an endpoint's own URI.
    pub audiences: Vec<String>,
    /// The claim that names the subject; `sub` by default.
    pub subject_claim: String,
    /// The claim that lists the groups; `groups` by default.
    pub groups_claim: String,
    /// Accepted signature algorithms; not empty, never symmetric.
    pub algorithms: Vec<Algorithm>,
    /// Where the keys are; none: as the issuer's discovery document says. `https`, or `http` on a loopback host.
    pub jwks_url: Option<String>,
    /// Longest accepted time between `iat` and `exp`, in seconds.
    pub max_lifetime_secs: u64,
    /// Which `typ` headers are accepted.
    pub token_type: TokenType,
    /// Whether a token may be meant for others besides us.
    pub allow_multiple_audiences: MultipleAudiences,
    /// Clients (`client_id` or `azp`) whose tokens are accepted; empty: those of any client.
    pub required_client_ids: Vec<String>,
}

/// Why keys are not fetched from a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyUrlFault {
    /// It is no plain URL, for this reason.
    #[error("{0}")]
    Form(&'static str),
    /// It is `http` and leads to another machine: the keys could be changed on the way.
    #[error("it is not `https`")]
    Plain,
}

/// A signature algorithm of RFC 7518 or RFC 8037. There is no symmetric one and no `none`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Accepted where a provider lists none.
    pub const DEFAULT: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];
}

/// Which `typ` headers of tokens are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TokenType {
    /// `JWT`, `at+jwt` or none.
    #[serde(rename = "any")]
    Any,
    /// `at+jwt` only (RFC 9068).
    #[serde(rename = "at+jwt")]
    AccessToken,
}

/// Whether a token may name audiences besides ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MultipleAudiences {
    /// Every audience must be one of ours.
    Refuse,
    /// One of ours is enough.
    Accept,
}
