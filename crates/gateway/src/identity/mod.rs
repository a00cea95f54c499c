//! Who is asking: a bearer token in, an [`Identity`] out, and nothing else makes one.
//!
//! The order of checks is one list: how the token is presented, its header, its issuer, the issuer's key, the
//! signature, the claims, the deny-list. Each failure has a reason code for the record; none carries any part of
//! the token, and what the client is told does not tell them apart. This module must never fall back to an
//! anonymous or default identity, and never take a key or an address from a token.

mod authenticator;
mod bearer;
mod cache;
mod challenge;
mod claims;
mod failure;
mod issuer;
mod jws;
mod keys;
mod pem;
mod revocation;
mod source;
mod trust;
mod verified;

#[cfg(test)]
mod tests;

pub use authenticator::{Authenticator, Settings};
pub use challenge::{challenge, metadata};
pub use failure::{AuthFailure, ClaimFault, HeaderFault, KeyFault, PresentationFault};
pub use issuer::{BearerToken, BuiltinKeys, IssueError, Issuer, MAX_LIFETIME, SigningKeyPem};
pub use pem::PemError;
pub use revocation::{Revocation, RevocationsFull};
pub use source::KeyPolicy;
pub use verified::Identity;
