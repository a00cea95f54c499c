//! `GovernancePolicy` and `PolicyExemption`: what resources must be like to be put in place, and who need not keep to it
//! until when. How they are judged by is in [`crate::governance`].

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::ResourceKind;
use crate::{ids::ResourceName, pattern::Pattern};

/// What resources must be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Its name.
    pub name: ResourceName,
    /// Labels, for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// Patterns of the namespaces whose resources it is for; never empty. What is in no namespace is covered by `*`
    /// alone.
    pub namespaces: Vec<Pattern>,
    /// For which of these namespaces, by what they are for.
    pub environments: Environments,
    /// The kinds that it is for, in their order; never empty.
    pub kinds: Vec<ResourceKind>,
    /// What becomes of a change that does not comply.
    pub action: PolicyAction,
    /// Never empty; names are unique.
    pub rules: Vec<PolicyRule>,
}

/// For namespaces of which `environment` a policy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Environments {
    /// Of any, and of those that have none.
    Any,
    /// Of these.
    Only {
        /// Patterns; never empty.
        patterns: Vec<Pattern>,
        /// What becomes of a change elsewhere; none: nothing, it is not for others.
        elsewhere: Option<PolicyAction>,
    },
}

/// What becomes of a change that does not comply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicyAction {
    /// It is refused.
    Deny,
    /// It is carried out, and said.
    Warn,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// Its name within the policy.
    pub name: ResourceName,
    /// CEL; true of what complies.
    pub expression: Arc<str>,
    /// What to do about what does not.
    pub message: Arc<str>,
    /// The field that is looked at, such as `spec.image`.
    pub field: Option<Arc<str>>,
    /// What it should be, for people.
    pub expected: Option<Arc<str>>,
}

/// Who need not comply, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// Its name.
    pub name: ResourceName,
    /// Labels, for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// Of which policy.
    pub policy: ResourceName,
    /// Of which of its rules, never none; all of them if that is not said.
    pub rules: Option<Vec<ResourceName>>,
    /// Patterns of the namespaces whose resources it is for; never empty.
    pub namespaces: Vec<Pattern>,
    /// Patterns of the servers, never none; if that is not said, it is for resources of all kinds.
    pub servers: Option<Vec<Pattern>>,
    /// Who answers for it.
    pub owner: Arc<str>,
    /// Why it is so.
    pub reason: Arc<str>,
    /// The moment from which it is as if it were not there.
    pub expires: jiff::Timestamp,
}
