//! The kinds of resources, by the names that people write.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `apiVersion` of all kinds.
pub const API_VERSION: &str = "narrows.dev/v1alpha1";

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// [`super::Namespace`].
    GovernedNamespace,
    /// [`super::Server`].
    McpServer,
    /// [`super::Role`].
    McpRole,
    /// [`super::Binding`].
    McpRoleBinding,
    /// [`super::Provider`].
    IdentityProvider,
    /// [`super::Policy`].
    GovernancePolicy,
    /// [`super::Exemption`].
    PolicyExemption,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::GovernedNamespace,
        Self::McpServer,
        Self::McpRole,
        Self::McpRoleBinding,
        Self::IdentityProvider,
        Self::GovernancePolicy,
        Self::PolicyExemption,
    ];

    /// As written in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GovernedNamespace => "GovernedNamespace",
            Self::McpServer => "McpServer",
            Self::McpRole => "McpRole",
            Self::McpRoleBinding => "McpRoleBinding",
            Self::IdentityProvider => "IdentityProvider",
            Self::GovernancePolicy => "GovernancePolicy",
            Self::PolicyExemption => "PolicyExemption",
        }
    }

    /// The kind of this exact name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
