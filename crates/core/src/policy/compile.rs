//! From resources to a snapshot: all names resolved, all conditions compiled, or a list of everything that is wrong.

use std::{collections::HashMap, sync::Arc};

use super::{
    Snapshot,
    condition::{Condition, Fault},
    index::{Numbers, RuleIndex, RuleNumber, ServerNumber},
    rule::CompiledRule,
};
use crate::{
    decision::{Revision, RuleRef},
    ids::ResourceName,
    problem::{Place, Problem},
    resource::{ResourceKind, ResourceSet, Role, Who, check_references},
};

/// A role with its rules compiled.
#[derive(Debug)]
pub(super) struct CompiledRole {
    pub(super) name: ResourceName,
    pub(super) rules: Vec<CompiledRule>,
}

/// A role that a binding gives, and the provider that must vouch.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) provider: Option<ResourceName>,
    pub(super) role: u32,
}

impl Snapshot {
    /// Compiles a set of resources.
    ///
    /// # Errors
    /// Every problem at once; the last good snapshot stays in force. Places are unknown: a set read from files has
    /// been through these checks with places in [`crate::resource::parse_files`].
    pub fn compile(number: u64, resources: Arc<ResourceSet>) -> Result<Self, Vec<Problem>> {
        let place = Place { file: "resources".into(), line: 0, column: 0 };
        let mut problems = check_references(&resources, &|_, _, _| place.clone());
        let digest = resources.digest().map_err(|error| {
            vec![Problem {
                place: place.clone(),
                message: format!("the resources can't be written as JSON: {error}"),
                hint: None,
            }]
        })?;

        let numbers = number_names(&resources);
        let mut conditions: HashMap<Arc<str>, Result<Arc<Condition>, Vec<Fault>>> = HashMap::new();
        let mut sorted: Vec<&Role> = resources.roles.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut roles = Vec::with_capacity(sorted.len());
        for role in sorted {
            let name: Arc<str> = role.name.as_str().into();
            let mut rules = Vec::with_capacity(role.rules.len());
            for (index, rule) in (0_u32..).zip(&role.rules) {
                let when = match rule.when.as_ref().map(|source| {
                    conditions
                        .entry(Arc::clone(source))
                        .or_insert_with(|| Condition::compile(source).map(Arc::new))
                }) {
                    None => None,
                    Some(Ok(condition)) => Some(Arc::clone(condition)),
                    Some(Err(faults)) => {
                        problems.extend(faults.iter().map(|fault| Problem {
                            place: place.clone(),
                            message: format!(
                                "{} `{name}`: `spec.rules[{index}].when`: {}",
                                ResourceKind::McpRole,
                                fault.message
                            ),
                            hint: fault.hint.clone(),
                        }));
                        continue;
                    }
                };
                rules.push(CompiledRule::new(RuleRef { role: Arc::clone(&name), index }, rule, when));
            }
            roles.push(CompiledRole { name: role.name.clone(), rules });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut index = RuleIndex::default();
        for (role, compiled) in (0_u32..).zip(&roles) {
            for (rule, compiled) in (0_u32..).zip(&compiled.rules) {
                index.add(RuleNumber { role, rule }, compiled, &numbers);
            }
        }
        let bindings = give(&resources, &roles);
        let revision = Arc::new(Revision { number, digest: digest.into() });
        Ok(Self { revision, resources, numbers, roles, index, bindings })
    }
}

fn number_names(resources: &ResourceSet) -> Numbers {
    let mut numbers = Numbers::default();
    for (number, namespace) in (0_u32..).zip(&resources.namespaces) {
        numbers.namespaces.insert(namespace.name.as_str().to_owned(), number);
    }
    for (number, server) in (0_u32..).zip(&resources.servers) {
        // A server without namespace is a problem and gets no number.
        if let Some(namespace) = numbers.namespaces.get(server.id.namespace.as_str()) {
            let number = ServerNumber { server: number, namespace: *namespace };
            numbers.servers.insert(server.id.clone(), number);
        }
    }
    numbers
}

fn give(resources: &ResourceSet, roles: &[CompiledRole]) -> HashMap<Who, Vec<Given>> {
    let by_name: HashMap<&ResourceName, u32> = roles.iter().map(|role| &role.name).zip(0_u32..).collect();
    let mut given: HashMap<Who, Vec<Given>> = HashMap::new();
    for binding in &resources.bindings {
        let Some(role) = by_name.get(&binding.role) else { continue };
        for subject in &binding.subjects {
            given
                .entry(subject.who.clone())
                .or_default()
                .push(Given { provider: subject.provider.clone(), role: *role });
        }
    }
    given
}
