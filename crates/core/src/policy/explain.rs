//! Why a decision is what it is: each rule of the principal's roles and what it says, in words. It asks the same
//! rules in the same way as [`Snapshot::decide`] and leaves none out.

use std::fmt;

use serde::Serialize;

use super::{
    Query, Snapshot,
    condition::Facts,
    decide::Tally,
    identities,
    rule::{CompiledRule, Outcome},
    vouches,
};
use crate::{
    action::{Action, Arguments},
    decision::{Decision, Denial, Mode, Verdict},
    ids::ResourceName,
    resource::{RuleEffect, Who},
};

/// A decision with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `namespace/name` of the server.
    pub server: String,
    /// The action in words: ``call tool `read_file` ``.
    pub action: String,
    /// `allow` or `deny`: what the roles say.
    pub effect: &'static str,
    /// Why, in a sentence.
    pub reason: String,
    /// `enforce` or `observe`; in `observe` a denial by roles is recorded and let through.
    pub mode: Mode,
    /// The snapshot that decided, as `number-digest`.
    pub revision: String,
    /// The principal's roles and the bindings that give them, by role name.
    pub roles: Vec<Held>,
    /// Every rule of these roles, in the order of role names and indexes.
    pub rules: Vec<Considered>,
}

/// A role that the principal has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The role.
    pub role: String,
    /// The bindings that give it.
    pub bindings: Vec<String>,
}

/// One rule and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered {
    /// `role/rules[index]`.
    pub rule: String,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// What it says of this action.
    pub said: Said,
    /// Its condition, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The same in words.
    pub words: String,
}

/// What a rule says of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// It is for other servers.
    OtherServer,
    /// It doesn't cover the action.
    NotCovered,
    /// Its condition doesn't hold.
    ConditionFalse,
    /// Its condition depends on what only a call knows.
    ConditionOpen,
    /// Its condition has no value.
    ConditionFailed,
    /// It applies.
    Applies,
}

impl Snapshot {
    /// Decides as [`Self::decide`] does and says why.
    pub fn explain(&self, query: &Query<'_>) -> Explanation {
        let grants = self.grants(query.principal);
        let decision = self.decide(&grants, query);
        let facts = Facts::new(query);
        let mut tally = Tally::default();
        let mut rules = Vec::new();
        let mut roles = Vec::new();
        for role in grants.roles().iter().filter_map(|number| self.role(*number)) {
            roles.push(Held { role: role.name.to_string(), bindings: self.bindings_of(&role.name, query) });
            for rule in &role.rules {
                let outcome = rule.judge(query.server, query.action, &facts);
                tally.count(rule, &outcome);
                rules.push(consider(rule, &outcome));
            }
        }
        debug_assert!(
            decision.verdict == Verdict::Deny(Denial::UnknownServer) || decision.verdict == tally.verdict(),
            "the index left out a rule that applies"
        );
        Explanation {
            server: query.server.to_string(),
            action: Words(query.action).to_string(),
            effect: match decision.verdict {
                Verdict::Allow(_) => "allow",
                Verdict::Deny(_) => "deny",
            },
            reason: reason(&decision, &rules),
            mode: decision.mode,
            revision: decision.revision.to_string(),
            roles,
            rules,
        }
    }

    fn bindings_of(&self, role: &ResourceName, query: &Query<'_>) -> Vec<String> {
        let principal = query.principal;
        let held: Vec<Who> = identities(principal).collect();
        let mut names: Vec<String> = self
            .resources
            .bindings
            .iter()
            .filter(|binding| binding.role == *role)
            .filter(|binding| {
                binding.subjects.iter().any(|subject| {
                    held.contains(&subject.who) && vouches(&subject.who, subject.provider.as_ref(), principal)
                })
            })
            .map(|binding| binding.name.to_string())
            .collect();
        names.sort_unstable();
        names
    }
}

fn reason(decision: &Decision, rules: &[Considered]) -> String {
    match &decision.verdict {
        Verdict::Allow(rule) => format!("allowed by {rule}"),
        Verdict::Deny(Denial::UnknownServer) => "there is no such server".to_owned(),
        Verdict::Deny(Denial::NoGrant) => {
            let nothing = "no rule of a role bound to the principal allows it";
            // Deny rules with a false condition have no part in it.
            let unmet: Vec<&str> = rules
                .iter()
                .filter(|rule| rule.said == Said::ConditionFalse && rule.effect == "allow")
                .map(|rule| rule.rule.as_str())
                .collect();
            match unmet.as_slice() {
                [] => nothing.to_owned(),
                [rule] => format!("{nothing}: the condition of {rule} is false"),
                rules => format!("{nothing}: the conditions of {} are false", rules.join(", ")),
            }
        }
        Verdict::Deny(Denial::Rule(rule)) => format!("denied by {rule}"),
        Verdict::Deny(Denial::ConditionFailed { rule, error }) => {
            format!("the condition of {rule} has no value, which counts against the request: {error}")
        }
    }
}

fn consider(rule: &CompiledRule, outcome: &Outcome) -> Considered {
    let condition = rule.when.as_ref().map(|when| when.source());
    let (said, words) = match (outcome, rule.effect) {
        (Outcome::OtherServer, _) => (Said::OtherServer, "it is for other servers".to_owned()),
        (Outcome::NotCovered, _) => (Said::NotCovered, "it does not cover this action".to_owned()),
        (Outcome::ConditionFalse, _) => (Said::ConditionFalse, "its condition does not hold".to_owned()),
        (Outcome::ConditionOpen, RuleEffect::Allow) => (
            Said::ConditionOpen,
            "its condition depends on the call, so it counts as allowing when listing".to_owned(),
        ),
        (Outcome::ConditionOpen, RuleEffect::Deny) => (
            Said::ConditionOpen,
            "its condition depends on the call, so it does not deny when listing".to_owned(),
        ),
        (Outcome::ConditionFailed(error), RuleEffect::Allow) => {
            (Said::ConditionFailed, format!("its condition has no value, so it does not allow: {error}"))
        }
        (Outcome::ConditionFailed(error), RuleEffect::Deny) => {
            (Said::ConditionFailed, format!("its condition has no value, so it denies: {error}"))
        }
        (Outcome::Applies, RuleEffect::Allow) => (Said::Applies, "it allows".to_owned()),
        (Outcome::Applies, RuleEffect::Deny) => (Said::Applies, "it denies".to_owned()),
    };
    Considered {
        rule: rule.reference.to_string(),
        effect: match rule.effect {
            RuleEffect::Allow => "allow",
            RuleEffect::Deny => "deny",
        },
        said,
        when: condition.map(str::to_owned),
        words,
    }
}

/// An action in words.
struct Words<'a>(Action<'a>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, name, arguments) = match self.0 {
            Action::UseServer => return f.write_str("use the server"),
            Action::CallTool { name, arguments } => ("call tool", name, Some(arguments)),
            Action::ReadResource { uri } => ("read resource", uri, None),
            Action::UseResourceTemplate { uri_template } => ("use resource template", uri_template, None),
            Action::GetPrompt { name, arguments } => ("get prompt", name, Some(arguments)),
            Action::Method { name } => ("send method", name, None),
        };
        write!(f, "{verb} `{name}`")?;
        match arguments {
            Some(Arguments::Unknown) => f.write_str(" with any arguments"),
            Some(Arguments::Known(_)) | None => Ok(()),
        }
    }
}
