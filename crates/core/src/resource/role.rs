//! `McpRole` and `McpRoleBinding`: what may be done, and who may do it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{ids::ResourceName, pattern::Pattern};

/// A named list of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: ResourceName,
    /// Labels, for people and selectors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its rules; a rule is known by the role's name and its place here.
    pub rules: Vec<Rule>,
}

/// What a rule does where it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleEffect {
    /// It permits, unless a deny rule matches too.
    Allow,
    /// It refuses, whatever else permits.
    Deny,
}

/// One rule: it matches an action on a server if namespace and server match, a pattern of the action's category
/// matches, and the condition, if any, holds. A category without patterns covers nothing in that category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Permit or refuse.
    pub effect: RuleEffect,
    /// Namespaces; not empty.
    pub namespaces: Vec<Pattern>,
    /// Servers in those namespaces; not empty.
    pub servers: Vec<Pattern>,
    /// Tools, by name.
    pub tools: Vec<Pattern>,
    /// Resources, by URI.
    pub resources: Vec<Pattern>,
    /// Resource templates, by the template's text.
    pub resource_templates: Vec<Pattern>,
    /// Prompts, by name.
    pub prompts: Vec<Pattern>,
    /// Other methods, by name.
    pub methods: Vec<Pattern>,
    /// A CEL expression that must be true besides; it compiled when this value was made from a file.
    pub when: Option<Arc<str>>,
}

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// Its name.
    pub name: ResourceName,
    /// Labels, for people and selectors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The role.
    pub role: ResourceName,
    /// Who has it.
    pub subjects: Vec<Subject>,
}

/// One user, group or service account, of one provider or of any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// Who.
    pub who: Who,
    /// The `IdentityProvider` that must vouch, or `builtin`. None: for users and groups whichever provider does
    /// (at most one `IdentityProvider` can be configured then), for a service account the built-in issuer.
    pub provider: Option<ResourceName>,
}

/// The name of a subject, compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// A person's subject.
    User(Arc<str>),
    /// A group that the provider gave.
    Group(Arc<str>),
    /// A service account's name, without `system:serviceaccount:`.
    ServiceAccount(Arc<str>),
}
