//! One resource of any kind, and the key that it is known by.

use std::{fmt, str::FromStr, sync::Arc};

use serde::Serialize;

use super::{Binding, Exemption, Namespace, Policy, Provider, ResourceKind, ResourceSet, Role, Server};
use crate::ids::{InvalidLabel, InvalidServerId, ResourceName, ServerId};

/// What one resource is known by: no two have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ResourceKind,
    name: Arc<str>,
}

/// A checked resource of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A `GovernedNamespace`.
    Namespace(Namespace),
    /// An `McpServer`.
    Server(Server),
    /// An `McpRole`.
    Role(Role),
    /// An `McpRoleBinding`.
    Binding(Binding),
    /// An `IdentityProvider`.
    Provider(Provider),
    /// A `GovernancePolicy`.
    Policy(Policy),
    /// A `PolicyExemption`.
    Exemption(Exemption),
}

/// Why a text does not name a resource of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidObjectName {
    /// A server is named with its namespace.
    #[error(transparent)]
    Server(#[from] InvalidServerId),
    /// Everything else has a name alone.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
}

impl ObjectKey {
    /// From a kind and a name as people write it: `namespace/name` for a server, a name for all else.
    ///
    /// # Errors
    /// [`InvalidObjectName`]: the name can't be one of that kind.
    pub fn parse(kind: ResourceKind, name: &str) -> Result<Self, InvalidObjectName> {
        match kind {
            ResourceKind::McpServer => drop(ServerId::from_str(name)?),
            ResourceKind::GovernedNamespace
            | ResourceKind::McpRole
            | ResourceKind::McpRoleBinding
            | ResourceKind::IdentityProvider
            | ResourceKind::GovernancePolicy
            | ResourceKind::PolicyExemption => drop(ResourceName::from_str(name)?),
        }
        Ok(Self { kind, name: name.into() })
    }

    /// The name as people write it: `namespace/name` for a server.
    pub fn full_name(&self) -> &str {
        &self.name
    }

    /// The namespace; empty where the kind has none.
    pub fn namespace(&self) -> &str {
        self.name.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name without namespace.
    pub fn name(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(_, name)| name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

/// As `kind/name` or `kind/namespace/name`: for maps.
impl Serialize for ObjectKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.kind, self.name))
    }
}

impl<'de> serde::Deserialize<'de> for ObjectKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text
            .split_once('/')
            .and_then(|(kind, name)| Self::parse(ResourceKind::from_name(kind)?, name).ok());
        parsed.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a resource's key")))
    }
}

impl Object {
    /// What it is known by.
    pub fn key(&self) -> ObjectKey {
        let (kind, name) = match self {
            Self::Namespace(namespace) => (ResourceKind::GovernedNamespace, namespace.name.as_str().into()),
            Self::Server(server) => (ResourceKind::McpServer, server.id.to_string().into()),
            Self::Role(role) => (ResourceKind::McpRole, role.name.as_str().into()),
            Self::Binding(binding) => (ResourceKind::McpRoleBinding, binding.name.as_str().into()),
            Self::Provider(provider) => (ResourceKind::IdentityProvider, provider.name.as_str().into()),
            Self::Policy(policy) => (ResourceKind::GovernancePolicy, policy.name.as_str().into()),
            Self::Exemption(exemption) => (ResourceKind::PolicyExemption, exemption.name.as_str().into()),
        };
        ObjectKey { kind, name }
    }
}

impl ResourceSet {
    /// Every resource, in the order of keys.
    pub fn objects(&self) -> Vec<Object> {
        let Self { namespaces, servers, roles, bindings, providers, policies, exemptions } = self;
        let mut objects: Vec<Object> = Vec::new();
        objects.extend(namespaces.iter().cloned().map(Object::Namespace));
        objects.extend(servers.iter().cloned().map(Object::Server));
        objects.extend(roles.iter().cloned().map(Object::Role));
        objects.extend(bindings.iter().cloned().map(Object::Binding));
        objects.extend(providers.iter().cloned().map(Object::Provider));
        objects.extend(policies.iter().cloned().map(Object::Policy));
        objects.extend(exemptions.iter().cloned().map(Object::Exemption));
        objects.sort_by_cached_key(Object::key);
        objects
    }

    /// Adds a resource. One of the same key is not replaced: take it out first.
    pub fn push(&mut self, object: Object) {
        match object {
            Object::Namespace(namespace) => self.namespaces.push(namespace),
            Object::Server(server) => self.servers.push(server),
            Object::Role(role) => self.roles.push(role),
            Object::Binding(binding) => self.bindings.push(binding),
            Object::Provider(provider) => self.providers.push(provider),
            Object::Policy(policy) => self.policies.push(policy),
            Object::Exemption(exemption) => self.exemptions.push(exemption),
        }
    }
}

impl FromIterator<Object> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        let mut set = Self::default();
        for object in objects {
            set.push(object);
        }
        set.sort();
        set
    }
}
