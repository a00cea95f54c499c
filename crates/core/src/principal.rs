//! Who is asking. A principal is made by an authenticator from a verified token, never from a name in a request.

use std::sync::Arc;

use serde::Serialize;

use crate::ids::ResourceName;

/// The provider name of the built-in issuer; no `IdentityProvider` may take it.
pub const BUILTIN_PROVIDER: &str = "builtin";

/// Subjects of the built-in issuer that begin with this are service accounts: `system:serviceaccount:ci` is `ci`.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// What kind of actor a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program with an account of its own.
    ServiceAccount,
}

/// An authenticated subject. Identity is the pair of issuer and subject; an e-mail or a display name never is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Person or program.
    pub kind: PrincipalKind,
    /// The `IdentityProvider` resource that vouched, or [`BUILTIN_PROVIDER`].
    pub provider: ResourceName,
    /// The token's `iss`.
    pub issuer: Arc<str>,
    /// The subject: the token's `sub` or the claim that the provider maps to it. For a service account of the
    /// built-in issuer, the name without its prefix.
    pub subject: Arc<str>,
    /// The person an agent acts for: the token's `act` chain read outwards (RFC 8693 section 4.1), where present.
    pub on_behalf_of: Option<Arc<str>>,
    /// Groups as the provider gave them, sorted and without repetition.
    pub groups: Arc<[Arc<str>]>,
}
