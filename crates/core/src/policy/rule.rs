//! One rule, compiled, and what it says of an action. This is the only place where a rule is applied: deciding and
//! explaining both ask here.

use std::sync::Arc;

use super::condition::{Condition, Facts, Truth};
use crate::{
    action::Action,
    decision::RuleRef,
    ids::ServerId,
    pattern::Pattern,
    resource::{Rule, RuleEffect},
};

/// A compiled rule.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) reference: RuleRef,
    pub(super) effect: RuleEffect,
    pub(super) namespaces: PatternSet,
    pub(super) servers: PatternSet,
    tools: PatternSet,
    resources: PatternSet,
    resource_templates: PatternSet,
    prompts: PatternSet,
    methods: PatternSet,
    pub(super) when: Option<Arc<Condition>>,
}

/// What a rule says of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is for other servers.
    OtherServer,
    /// It covers no action of this kind and name.
    NotCovered,
    /// It covers the action and its condition doesn't hold.
    ConditionFalse,
    /// It covers the action; whether its condition holds depends on what only a call knows.
    ConditionOpen,
    /// It covers the action and its condition has no value, for this reason.
    ConditionFailed(String),
    /// It applies.
    Applies,
}

impl CompiledRule {
    pub(super) fn new(reference: RuleRef, rule: &Rule, when: Option<Arc<Condition>>) -> Self {
        Self {
            reference,
            effect: rule.effect,
            namespaces: PatternSet::new(&rule.namespaces),
            servers: PatternSet::new(&rule.servers),
            tools: PatternSet::new(&rule.tools),
            resources: PatternSet::new(&rule.resources),
            resource_templates: PatternSet::new(&rule.resource_templates),
            prompts: PatternSet::new(&rule.prompts),
            methods: PatternSet::new(&rule.methods),
            when,
        }
    }

    /// What the rule says of an action on a server.
    pub(super) fn judge(&self, server: &ServerId, action: Action<'_>, facts: &Facts<'_>) -> Outcome {
        if !self.is_for(server) {
            return Outcome::OtherServer;
        }
        if !self.covers(action) {
            return Outcome::NotCovered;
        }
        let Some(condition) = &self.when else { return Outcome::Applies };
        match condition.evaluate(facts) {
            Truth::True => Outcome::Applies,
            Truth::False => Outcome::ConditionFalse,
            Truth::Open => Outcome::ConditionOpen,
            Truth::Failed(error) => Outcome::ConditionFailed(error.to_string()),
        }
    }

    fn is_for(&self, server: &ServerId) -> bool {
        self.servers.matches(server.name.as_str()) && self.namespaces.matches(server.namespace.as_str())
    }

    fn covers(&self, action: Action<'_>) -> bool {
        match action {
            Action::UseServer => self.covers_the_server(),
            Action::CallTool { name, .. } => self.tools.matches(name),
            Action::ReadResource { uri } => self.resources.matches(uri),
            Action::UseResourceTemplate { uri_template } => self.resource_templates.matches(uri_template),
            Action::GetPrompt { name, .. } => self.prompts.matches(name),
            Action::Method { name } => self.methods.matches(name),
        }
    }

    /// Who may do anything on a server may use it; who is denied everything there may not.
    fn covers_the_server(&self) -> bool {
        let categories =
            [&self.tools, &self.resources, &self.resource_templates, &self.prompts, &self.methods];
        match self.effect {
            RuleEffect::Allow => categories.iter().any(|patterns| !patterns.is_empty()),
            RuleEffect::Deny => categories.iter().all(|patterns| patterns.any),
        }
    }
}

/// Patterns of which one must match.
#[derive(Debug)]
pub(super) struct PatternSet {
    /// One of them is `*`.
    any: bool,
    /// Those without wildcard, sorted.
    literals: Box<[Box<str>]>,
    /// The others.
    wild: Box<[Pattern]>,
}

impl PatternSet {
    fn new(patterns: &[Pattern]) -> Self {
        let mut literals: Vec<Box<str>> =
            patterns.iter().filter_map(Pattern::literal).map(Box::from).collect();
        literals.sort_unstable();
        literals.dedup();
        let wild = patterns.iter().filter(|pattern| pattern.literal().is_none() && !pattern.is_any());
        Self {
            any: patterns.iter().any(Pattern::is_any),
            literals: literals.into(),
            wild: wild.cloned().collect(),
        }
    }

    fn is_empty(&self) -> bool {
        !self.any && self.literals.is_empty() && self.wild.is_empty()
    }

    fn matches(&self, name: &str) -> bool {
        self.any
            || self.literals.binary_search_by(|literal| literal.as_ref().cmp(name)).is_ok()
            || self.wild.iter().any(|pattern| pattern.matches(name))
    }

    /// The names that match, if no pattern has a wildcard.
    pub(super) fn literals(&self) -> Option<&[Box<str>]> {
        if self.any || !self.wild.is_empty() { None } else { Some(&self.literals) }
    }
}
