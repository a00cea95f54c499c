//! Policies held against what a change creates and updates. The policies and exemptions are those of the state that the
//! change leads to; what it leaves as it is, or removes, is not judged.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    Asked, Effect, Violation,
    facts::{Facts, Tree, VOCABULARY},
    pack::pack,
    shown,
};
use crate::{
    change::{ObjectChange, Operation},
    ids::ResourceName,
    pattern::Pattern,
    policy::{ArgumentsError, Condition, EvaluationError},
    resource::{
        Environments, Exemption, Namespace, Object, ObjectKey, Policy, PolicyAction, PolicyRule,
        ResourceKind, ResourceSet,
    },
};

/// Most steps of one rule on one resource: about a tenth of a second, ten times what a call may take, since nobody waits for a
/// change as agents wait for calls.
const MAX_STEPS: u64 = 1_000_000;

/// A policy with its expressions compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) policy: Policy,
    /// One for each rule; why not, where it can't be compiled.
    expressions: Vec<Result<Condition, String>>,
}

impl Compiled {
    pub(super) fn new(policy: Policy) -> Self {
        let compile = |rule: &PolicyRule| {
            Condition::compile_over(&rule.expression, &VOCABULARY).map_err(|faults| {
                let first = faults.into_iter().next();
                first.map_or_else(|| "it can't be compiled".to_owned(), |fault| fault.message)
            })
        };
        Self { expressions: policy.rules.iter().map(compile).collect(), policy }
    }
}

/// What a rule says of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Which resource.
    pub object: ObjectKey,
    /// The policy.
    pub policy: ResourceName,
    /// Its rule.
    pub rule: ResourceName,
    /// Why it does not comply; none if it does.
    pub violation: Option<Violation>,
}

/// All violations in what a change creates and updates, in the order of its resources and of the policies' names.
/// `after` is the state that it leads to.
pub fn judge(changes: &[ObjectChange], after: &ResourceSet, asked: &Asked) -> Vec<Violation> {
    let mut violations = Vec::new();
    each(changes, after, asked, |_, _, _, violation| violations.extend(violation));
    violations
}

/// The same with what complies: every rule that covers a resource.
pub fn examine(changes: &[ObjectChange], after: &ResourceSet, asked: &Asked) -> Vec<Examined> {
    let mut examined = Vec::new();
    each(changes, after, asked, |key, policy, rule, violation| {
        examined.push(Examined {
            object: key.clone(),
            policy: policy.name.clone(),
            rule: rule.name.clone(),
            violation,
        });
    });
    examined
}

fn each(
    changes: &[ObjectChange],
    after: &ResourceSet,
    asked: &Asked,
    mut say: impl FnMut(&ObjectKey, &Policy, &PolicyRule, Option<Violation>),
) {
    let own: Vec<Compiled> = after.policies.iter().cloned().map(Compiled::new).collect();
    let policies = in_force(&own);
    let mut namespaces = Namespaces::of(after);
    for change in changes {
        if change.lowers_replicas() {
            // Stopping what does not comply is never in the way.
            continue;
        }
        let object = match (change.operation(), &change.after) {
            (Operation::Create | Operation::Update, Some(object)) => object,
            (Operation::Create | Operation::Update | Operation::Delete | Operation::Adopt, _) => continue,
        };
        let environment = namespaces.environment(object);
        let mut covering = policies
            .iter()
            .filter_map(|compiled| {
                Some((compiled, action(&compiled.policy, &change.key, environment.as_deref())?))
            })
            .peekable();
        if covering.peek().is_none() {
            continue;
        }
        let manifest = object.manifest();
        let namespace = namespaces.tree(&change.key);
        let facts = match namespace {
            Ok(namespace) => Facts::new(change, &manifest, namespace, asked),
            Err(error) => Err(error),
        };
        for (compiled, action) in covering {
            for (rule, expression) in compiled.policy.rules.iter().zip(&compiled.expressions) {
                let found =
                    Found { key: &change.key, manifest: &manifest, policy: &compiled.policy, rule, action };
                let violation = match ask(expression, facts.as_ref()) {
                    Said::Complied => None,
                    Said::NotComplied => Some(found.violation(None, &after.exemptions, asked.now)),
                    Said::Nothing(reason) => {
                        Some(found.violation(Some(&reason), &after.exemptions, asked.now))
                    }
                };
                say(&change.key, &compiled.policy, rule, violation);
            }
        }
    }
}

/// These policies and those that are built in and not replaced by one of them, in the order of their names.
fn in_force(own: &[Compiled]) -> Vec<&Compiled> {
    let is_replaced = |built_in: &Compiled| own.iter().any(|own| own.policy.name == built_in.policy.name);
    let built_in = pack().iter().filter(|built_in| !is_replaced(built_in));
    let mut all: Vec<_> = own.iter().chain(built_in).collect();
    all.sort_by(|a, b| a.policy.name.cmp(&b.policy.name));
    all
}

/// What an expression says of a resource.
enum Said {
    Complied,
    NotComplied,
    /// It has no value, and why.
    Nothing(String),
}

fn ask(expression: &Result<Condition, String>, facts: Result<&Facts<'_>, &ArgumentsError>) -> Said {
    let expression = match expression {
        Ok(expression) => expression,
        Err(reason) => return Said::Nothing(reason.clone()),
    };
    let Ok(facts) = facts else {
        return Said::Nothing("the resource has a form that expressions can't look at".to_owned());
    };
    match expression.holds(facts, MAX_STEPS) {
        Ok(true) => Said::Complied,
        Ok(false) => Said::NotComplied,
        Err(EvaluationError::TooExpensive) => {
            Said::Nothing("it would take too many steps on a resource of this size".to_owned())
        }
        Err(error) => Said::Nothing(error.to_string()),
    }
}

/// What a policy does about a resource that it covers; none if it doesn't cover it.
fn action(policy: &Policy, key: &ObjectKey, environment: Option<&str>) -> Option<PolicyAction> {
    if !policy.kinds.contains(&key.kind) || !covers(&policy.namespaces, key) {
        return None;
    }
    match &policy.environments {
        Environments::Any => Some(policy.action),
        Environments::Only { patterns, elsewhere } => {
            let is_one = environment.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)));
            if is_one { Some(policy.action) } else { *elsewhere }
        }
    }
}

/// Whether patterns of namespaces cover a resource. A namespace is in itself; what is in none is covered by `*` alone.
fn covers(namespaces: &[Pattern], key: &ObjectKey) -> bool {
    let namespace = match key.kind {
        ResourceKind::McpServer => key.namespace(),
        ResourceKind::GovernedNamespace => key.name(),
        ResourceKind::McpRole
        | ResourceKind::McpRoleBinding
        | ResourceKind::IdentityProvider
        | ResourceKind::GovernancePolicy
        | ResourceKind::PolicyExemption => return namespaces.iter().any(Pattern::is_any),
    };
    namespaces.iter().any(|pattern| pattern.matches(namespace))
}

/// Whether an exemption is for this rule and resource, whatever the time.
fn exempts(exemption: &Exemption, policy: &Policy, rule: &PolicyRule, key: &ObjectKey) -> bool {
    exemption.policy == policy.name
        && exemption.rules.as_ref().is_none_or(|rules| rules.contains(&rule.name))
        && covers(&exemption.namespaces, key)
        && exemption.servers.as_ref().is_none_or(|servers| {
            key.kind == ResourceKind::McpServer && servers.iter().any(|pattern| pattern.matches(key.name()))
        })
}

/// What was found not to comply, with which rule.
struct Found<'a> {
    key: &'a ObjectKey,
    manifest: &'a Value,
    policy: &'a Policy,
    rule: &'a PolicyRule,
    action: PolicyAction,
}

impl Found<'_> {
    fn violation(&self, reason: Option<&str>, exemptions: &[Exemption], now: jiff::Timestamp) -> Violation {
        let Self { key, manifest, policy, rule, action } = self;
        let matching = exemptions.iter().filter(|exemption| exempts(exemption, policy, rule, key));
        let (alive, lapsed): (Vec<_>, Vec<_>) = matching.partition(|exemption| now < exemption.expires);
        let mut message = rule.message.to_string();
        if let Some(reason) = reason {
            message.push_str(&format!(" (the rule can't be judged: {reason})"));
        }
        let longest = alive.into_iter().max_by_key(|exemption| exemption.expires);
        let effect = match (longest, action) {
            (Some(exemption), _) => Effect::Exempted {
                exemption: exemption.name.clone(),
                owner: Arc::clone(&exemption.owner),
                expires: exemption.expires,
            },
            (None, PolicyAction::Deny) => Effect::Deny,
            (None, PolicyAction::Warn) => Effect::Warn,
        };
        if longest.is_none()
            && let Some(last) = lapsed.into_iter().max_by_key(|exemption| exemption.expires)
        {
            message.push_str(&format!(" (the exemption `{}` ended at {})", last.name, last.expires));
        }
        Violation {
            object: (*key).clone(),
            policy: policy.name.clone(),
            rule: rule.name.clone(),
            field: rule.field.clone(),
            expected: rule.expected.clone(),
            actual: rule.field.as_deref().map(|field| shown::actual(manifest, field)),
            message,
            effect,
        }
    }
}

/// The namespaces of the state, made into trees as they are needed.
struct Namespaces<'a> {
    by_name: HashMap<&'a str, &'a Namespace>,
    trees: HashMap<String, Result<Tree, ArgumentsError>>,
}

impl<'a> Namespaces<'a> {
    fn of(set: &'a ResourceSet) -> Self {
        let named = |namespace: &'a Namespace| (namespace.name.as_str(), namespace);
        Self { by_name: set.namespaces.iter().map(named).collect(), trees: HashMap::new() }
    }

    /// What a resource's namespace is for.
    fn environment(&self, object: &Object) -> Option<String> {
        match object {
            Object::Namespace(namespace) => namespace.environment.clone(),
            Object::Server(server) => {
                let of = self.by_name.get(server.id.namespace.as_str());
                of.and_then(|namespace| namespace.environment.clone())
            }
            Object::Role(_)
            | Object::Binding(_)
            | Object::Provider(_)
            | Object::Policy(_)
            | Object::Exemption(_) => None,
        }
    }

    /// The namespace that a resource is in; null for one that is in none, as a namespace itself is.
    fn tree(&mut self, key: &ObjectKey) -> Result<&Tree, ArgumentsError> {
        let tree = self.trees.entry(key.namespace().to_owned()).or_insert_with(|| {
            let namespace = self.by_name.get(key.namespace());
            let manifest = namespace.map(|namespace| Object::Namespace((*namespace).clone()).manifest());
            Tree::of(manifest.as_ref())
        });
        tree.as_ref().map_err(|error| *error)
    }
}
