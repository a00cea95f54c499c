//! The decision: which rules are asked, in which order, and how their answers add up. A deny rule wins over any
//! allow rule; a condition that has no value counts against the request in both; what nothing allows is denied.

use super::{
    Grants, Query, Snapshot,
    condition::Facts,
    index::ServerNumber,
    rule::{CompiledRule, Outcome},
};
use crate::{
    decision::{Decision, Denial, RuleRef, Verdict},
    principal::Principal,
    resource::RuleEffect,
};

impl Snapshot {
    /// Allowed or denied, by which rule, in which mode.
    ///
    /// `grants` are those of `query.principal`; if another snapshot made them, they are made anew.
    pub fn decide(&self, grants: &Grants, query: &Query<'_>) -> Decision {
        let verdict = match self.server_number(query.server) {
            None => Verdict::Deny(Denial::UnknownServer),
            Some(server) => self.judge(&self.current(grants, query.principal), server, query),
        };
        Decision {
            verdict,
            mode: self.mode(&query.server.namespace, query.now),
            revision: self.revision().clone(),
        }
    }

    fn judge(&self, grants: &Grants, server: ServerNumber, query: &Query<'_>) -> Verdict {
        let facts = Facts::new(query);
        let mut tally = Tally::default();
        let candidates = self.index.candidates(server, grants.roles());
        for rule in candidates.into_iter().filter_map(|number| self.rule(number)) {
            if !tally.is_settled(rule) {
                tally.count(rule, &rule.judge(query.server, query.action, &facts));
            }
        }
        tally.verdict()
    }

    /// Grants that belong to this snapshot.
    fn current(&self, grants: &Grants, principal: &Principal) -> Grants {
        if self.made(grants) { grants.clone() } else { self.grants(principal) }
    }
}

/// The answers so far, in the order of role names and rule indexes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    allowed: Option<RuleRef>,
    denied: Option<Denial>,
    /// An allow rule that might have allowed, had its condition a value.
    failed: Option<Denial>,
}

impl Tally {
    /// Whether the answer of this rule can't change the verdict any more.
    fn is_settled(&self, rule: &CompiledRule) -> bool {
        self.denied.is_some()
            || match rule.effect {
                RuleEffect::Allow => self.allowed.is_some(),
                RuleEffect::Deny => false,
            }
    }

    pub(super) fn count(&mut self, rule: &CompiledRule, outcome: &Outcome) {
        let reference = || rule.reference.clone();
        match (rule.effect, outcome) {
            (RuleEffect::Allow, Outcome::Applies | Outcome::ConditionOpen) => {
                self.allowed.get_or_insert_with(reference);
            }
            (RuleEffect::Deny, Outcome::Applies) => {
                self.denied.get_or_insert_with(|| Denial::Rule(reference()));
            }
            (RuleEffect::Allow, Outcome::ConditionFailed(error)) => {
                self.failed.get_or_insert_with(|| Denial::ConditionFailed {
                    rule: reference(),
                    error: error.clone(),
                });
            }
            (RuleEffect::Deny, Outcome::ConditionFailed(error)) => {
                self.denied.get_or_insert_with(|| Denial::ConditionFailed {
                    rule: reference(),
                    error: error.clone(),
                });
            }
            // What is listed must not be less than what can be called.
            (RuleEffect::Deny, Outcome::ConditionOpen)
            | (_, Outcome::OtherServer | Outcome::NotCovered | Outcome::ConditionFalse) => {}
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        match (self.denied, self.allowed, self.failed) {
            (Some(denial), _, _) => Verdict::Deny(denial),
            (None, Some(rule), _) => Verdict::Allow(rule),
            (None, None, Some(denial)) => Verdict::Deny(denial),
            (None, None, None) => Verdict::Deny(Denial::NoGrant),
        }
    }
}
