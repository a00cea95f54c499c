//! All resources of one state of the installation, and their canonical form, which is stored and digested.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Binding, Exemption, Namespace, Policy, Provider, Role, Server};

/// All resources, each kind sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceSet {
    /// `GovernedNamespace`s.
    pub namespaces: Vec<Namespace>,
    /// `McpServer`s.
    pub servers: Vec<Server>,
    /// `McpRole`s.
    pub roles: Vec<Role>,
    /// `McpRoleBinding`s.
    pub bindings: Vec<Binding>,
    /// `IdentityProvider`s.
    pub providers: Vec<Provider>,
    /// `GovernancePolicy`s. As with exemptions, a set without any is written as by versions that knew none, so that its
    /// digest stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// `PolicyExemption`s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<Exemption>,
}

impl ResourceSet {
    /// Sorts each kind by name, so that the order of files has no meaning.
    pub fn sort(&mut self) {
        self.namespaces.sort_by(|a, b| a.name.cmp(&b.name));
        self.servers.sort_by(|a, b| a.id.cmp(&b.id));
        self.roles.sort_by(|a, b| a.name.cmp(&b.name));
        self.bindings.sort_by(|a, b| a.name.cmp(&b.name));
        self.providers.sort_by(|a, b| a.name.cmp(&b.name));
        self.policies.sort_by(|a, b| a.name.cmp(&b.name));
        self.exemptions.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Whether there is nothing in it at all.
    pub fn is_empty(&self) -> bool {
        let Self { namespaces, servers, roles, bindings, providers, policies, exemptions } = self;
        namespaces.is_empty()
            && servers.is_empty()
            && roles.is_empty()
            && bindings.is_empty()
            && providers.is_empty()
            && policies.is_empty()
            && exemptions.is_empty()
    }

    /// Compact JSON with sorted keys, resources sorted by name: equal sets have equal texts.
    ///
    /// # Errors
    /// None that a set made by this crate can cause.
    pub fn to_canonical_json(&self) -> Result<String, serde_json::Error> {
        let mut sorted = self.clone();
        sorted.sort();
        let mut out = String::new();
        write_canonical(&serde_json::to_value(&sorted)?, &mut out)?;
        Ok(out)
    }

    /// Reads what [`Self::to_canonical_json`] wrote. Checks between resources are done by
    /// [`crate::policy::Snapshot::compile`].
    ///
    /// # Errors
    /// The text is of another version or damaged.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut set: Self = serde_json::from_str(text)?;
        set.sort();
        Ok(set)
    }

    /// The first 16 hexadecimal digits of the SHA-256 of the canonical text.
    ///
    /// # Errors
    /// As [`Self::to_canonical_json`].
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        Ok(digest_of(&self.to_canonical_json()?))
    }
}

fn digest_of(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes()).iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Sorted here rather than by `serde_json`'s map, whose order depends on a feature that any crate can switch on.
fn write_canonical(value: &serde_json::Value, out: &mut String) -> Result<(), serde_json::Error> {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by(|a, b| a.0.cmp(b.0));
            for (at, (key, member)) in members.into_iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                out.push_str(&serde_json::to_string(key)?);
                out.push(':');
                write_canonical(member, out)?;
            }
            out.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_canonical(element, out)?;
            }
            out.push_str(if elements.is_empty() { "[]" } else { "]" });
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&serde_json::to_string(value)?);
        }
    }
    Ok(())
}
