//! The answer of the one evaluator: allowed by which rule, or denied and why.

use std::{fmt, sync::Arc};

use serde::Serialize;

/// A published state of all roles, bindings and servers. `number` grows by one with each; `digest` is the first
/// 16 hexadecimal digits of the SHA-256 of the resources in canonical form, so that it can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision {
    /// Counts from 1; 0 is the empty snapshot before the first.
    pub number: u64,
    /// Content digest.
    pub digest: Arc<str>,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.digest)
    }
}

/// Whether a namespace's refusals are carried out or only recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A refusal refuses.
    Enforce,
    /// A refusal by roles is recorded and let through. Identity is still required.
    Observe,
}

impl Mode {
    /// As it is written, in files, records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// The rule of a role that decided: `role/rules[index]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleRef {
    /// The role's name.
    pub role: Arc<str>,
    /// The rule's place in `spec.rules`, from 0.
    pub index: u32,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/rules[{}]", self.role, self.index)
    }
}

/// Why something is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No such namespace or server.
    UnknownServer,
    /// No rule of any role bound to the principal allows it.
    NoGrant,
    /// A deny rule matched.
    Rule(RuleRef),
    /// A rule's condition could not be evaluated, which counts against the request.
    ConditionFailed {
        /// The rule with the condition.
        rule: RuleRef,
        /// What the expression's evaluation said; no argument value is in it.
        error: String,
    },
}

/// Allowed or denied, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed by this rule: the first in the order of role names and rule indexes.
    Allow(RuleRef),
    /// Denied.
    Deny(Denial),
}

/// What the evaluator says of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Allowed or denied by roles, whatever the mode.
    pub verdict: Verdict,
    /// The namespace's mode at the time of the decision. `Enforce` for an unknown namespace.
    pub mode: Mode,
    /// The snapshot that decided.
    pub revision: Revision,
}

impl Decision {
    /// What is to happen, after the namespace's mode.
    pub fn effect(&self) -> Effect<'_> {
        match (&self.verdict, self.mode) {
            (Verdict::Allow(rule), _) => Effect::Proceed { rule: Some(rule), would_deny: None },
            (Verdict::Deny(Denial::UnknownServer), _) => Effect::Refuse(&Denial::UnknownServer),
            (Verdict::Deny(denial), Mode::Observe) => {
                Effect::Proceed { rule: None, would_deny: Some(denial) }
            }
            (Verdict::Deny(denial), Mode::Enforce) => Effect::Refuse(denial),
        }
    }
}

/// What is to happen with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Let it through.
    Proceed {
        /// The rule that allows it; none where only `observe` lets it through.
        rule: Option<&'a RuleRef>,
        /// The refusal that `enforce` would have made, to be recorded.
        would_deny: Option<&'a Denial>,
    },
    /// Refuse it.
    Refuse(&'a Denial),
}
