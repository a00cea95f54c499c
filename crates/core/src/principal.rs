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
    /// The party that acts for the subject, from the token's `act` claim (RFC 8693 section 4.1), where present. A
    /// chain is read outwards and joined with `, `: the party that acts now comes last. It grants nothing.
    pub agent: Option<Arc<str>>,
    /// Groups as the provider gave them, sorted and without repetition.
    pub groups: Arc<[Arc<str>]>,
}

impl Principal {
    /// Who acts, and for whom: the agent for the subject where there is one, else the subject for itself.
    pub fn acting(&self) -> (&str, Option<&str>) {
        match &self.agent {
            Some(agent) => (agent, Some(&self.subject)),
            None => (&self.subject, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8693: `sub` is whom a token is about, `act.sub` is who acts.
    #[test]
    fn an_agent_acts_for_the_subject() {
        let mut principal = Principal {
            kind: PrincipalKind::User,
            provider: "corp".parse().unwrap(),
            issuer: "https://login.example.com".into(),
            subject: "alice".into(),
            agent: None,
            groups: [].into(),
        };
        assert_eq!(principal.acting(), ("alice", None));
        principal.agent = Some("planner, bot".into());
        assert_eq!(principal.acting(), ("planner, bot", Some("alice")));
    }
}
