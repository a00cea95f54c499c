//! Whether resources are as policies want them, asked before they are put in place. Pure: what is asked, by whom and when
//! are arguments. A rule that has no value (its expression fails, would cost too much, or says neither true nor false)
//! counts as not complied with, and nothing of a resource that could be a secret is ever shown.

mod facts;
mod judge;
mod pack;
mod shown;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{
    ids::ResourceName,
    policy::{Condition, Fault},
    resource::{ObjectKey, PolicyRule, ResourceSet},
};

pub use judge::{Examined, examine, judge};
pub use pack::PACK_YAML;
pub(crate) use shown::check_field;

/// Who asks for a change, when, and whether it is only looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `request.userInfo.username`.
    pub username: Arc<str>,
    /// `request.userInfo.groups`.
    pub groups: Arc<[Arc<str>]>,
    /// `request.dryRun`.
    pub purpose: Purpose,
    /// The moment that exemptions are held against.
    pub now: jiff::Timestamp,
}

/// Whether a change is only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing will be changed.
    Look,
    /// It is to be carried out.
    Change,
}

/// That a resource does not comply with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which resource.
    pub object: ObjectKey,
    /// The policy.
    pub policy: ResourceName,
    /// Its rule.
    pub rule: ResourceName,
    /// The field that is looked at, as the rule names it.
    pub field: Option<Arc<str>>,
    /// What it should be, as the rule says it.
    pub expected: Option<Arc<str>>,
    /// The field's value; shortened, and without what could be a secret. None where the rule names no field.
    pub actual: Option<String>,
    /// What to do, as the rule says it, and why the rule has no value where it has none.
    pub message: String,
    /// What that comes to.
    pub effect: Effect,
}

/// What a violation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The change is refused.
    Deny,
    /// It is carried out, and said.
    Warn,
    /// So too, since somebody answers for it.
    Exempted {
        /// The exemption.
        exemption: ResourceName,
        /// Who answers for it.
        owner: Arc<str>,
        /// Until when.
        expires: jiff::Timestamp,
    },
}

impl Effect {
    /// As it is written in records and answers.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Exempted { .. } => "exempted",
        }
    }
}

impl Violation {
    /// Whether it refuses the change.
    pub fn denies(&self) -> bool {
        match self.effect {
            Effect::Deny => true,
            Effect::Warn | Effect::Exempted { .. } => false,
        }
    }

    /// The rule by the name that it has everywhere: `policy/rule`.
    pub fn rule_id(&self) -> String {
        format!("{}/{}", self.policy, self.rule)
    }
}

/// The rules of a policy: of the one of this name in the set, else of the one that is built in; none if there is none.
pub(crate) fn rules_of<'a>(set: &'a ResourceSet, name: &ResourceName) -> Option<&'a [PolicyRule]> {
    let own = set.policies.iter().find(|policy| policy.name == *name);
    let built_in =
        || pack::pack().iter().map(|built_in| &built_in.policy).find(|policy| policy.name == *name);
    own.or_else(built_in).map(|policy| policy.rules.as_slice())
}

/// The names of the policies that are built in.
pub(crate) fn built_in_names() -> impl Iterator<Item = String> {
    pack::pack().iter().map(|built_in| built_in.policy.name.to_string())
}

/// Everything that is wrong with the expression of a rule.
pub(crate) fn check_expression(expression: &Arc<str>) -> Vec<Fault> {
    Condition::compile_over(expression, &facts::VOCABULARY).err().unwrap_or_default()
}
