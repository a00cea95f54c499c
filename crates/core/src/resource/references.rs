//! Checks between resources: what is named must exist, once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Binding, Exemption, ResourceKind, ResourceSet, Role, Rule, Who};
use crate::{
    governance,
    pattern::Pattern,
    principal::BUILTIN_PROVIDER,
    problem::{Place, Problem},
    suggest::nearest,
};

/// Finds the place of a field, given kind, name and path of the resource.
pub(crate) type Locate<'a> = dyn Fn(ResourceKind, &str, &str) -> Place + 'a;

/// Names of resources that exist although something is wrong with them; references to them are not reported too.
pub(super) type Broken = BTreeSet<(ResourceKind, String)>;

/// Everything that is wrong between the resources of a set.
pub(crate) fn check_references(set: &ResourceSet, locate: &Locate<'_>) -> Vec<Problem> {
    check_references_besides(set, &Broken::new(), locate)
}

pub(super) fn check_references_besides(
    set: &ResourceSet,
    broken: &Broken,
    locate: &Locate<'_>,
) -> Vec<Problem> {
    let mut check = Check { names: Names::of(set, broken), locate, problems: Vec::new() };
    for server in &set.servers {
        check.server(&server.id.to_string(), server.id.namespace.as_str());
    }
    for role in &set.roles {
        check.role(role);
    }
    for binding in &set.bindings {
        check.binding(binding);
    }
    check.providers(set);
    for exemption in &set.exemptions {
        check.exemption(exemption, set);
    }
    check.repeated(set);
    check.problems
}

/// The names that can be referred to.
struct Names {
    namespaces: BTreeSet<String>,
    /// `namespace/name`.
    servers: BTreeSet<String>,
    roles: BTreeSet<String>,
    providers: BTreeSet<String>,
    /// Those in the set; the ones that are built in are asked for where one is referred to.
    policies: BTreeSet<String>,
}

impl Names {
    fn of(set: &ResourceSet, broken: &Broken) -> Self {
        let of_kind = |wanted: ResourceKind| {
            broken.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, name)| name.clone())
        };
        let namespaces = set.namespaces.iter().map(|namespace| namespace.name.to_string());
        let servers = set.servers.iter().map(|server| server.id.to_string());
        let roles = set.roles.iter().map(|role| role.name.to_string());
        let providers = set.providers.iter().map(|provider| provider.name.to_string());
        let policies = set.policies.iter().map(|policy| policy.name.to_string());
        Self {
            namespaces: namespaces.chain(of_kind(ResourceKind::GovernedNamespace)).collect(),
            servers: servers.chain(of_kind(ResourceKind::McpServer)).collect(),
            roles: roles.chain(of_kind(ResourceKind::McpRole)).collect(),
            providers: providers.chain(of_kind(ResourceKind::IdentityProvider)).collect(),
            policies: policies.chain(of_kind(ResourceKind::GovernancePolicy)).collect(),
        }
    }
}

struct Check<'a> {
    names: Names,
    locate: &'a Locate<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn report(&mut self, kind: ResourceKind, name: &str, path: &str, message: &str, hint: Option<String>) {
        let place = (self.locate)(kind, name, path);
        let message = format!("{kind} `{name}`: {message}");
        self.problems.push(Problem { place, message, hint });
    }

    fn server(&mut self, id: &str, namespace: &str) {
        if !self.names.namespaces.contains(namespace) {
            let hint = hint(namespace, &self.names.namespaces, "GovernedNamespace");
            let message = format!("there is no GovernedNamespace `{namespace}`");
            self.report(ResourceKind::McpServer, id, "metadata.namespace", &message, Some(hint));
        }
    }

    fn role(&mut self, role: &Role) {
        for (index, rule) in role.rules.iter().enumerate() {
            self.rule(role.name.as_str(), index, rule);
        }
    }

    fn rule(&mut self, role: &str, index: usize, rule: &Rule) {
        let mut all_known = true;
        for (at, pattern) in rule.namespaces.iter().enumerate() {
            let Some(namespace) = pattern.literal() else { continue };
            if !self.names.namespaces.contains(namespace) {
                all_known = false;
                let path = format!("spec.rules[{index}].namespaces[{at}]");
                let hint = hint(namespace, &self.names.namespaces, "GovernedNamespace");
                let message = format!("`{path}`: there is no GovernedNamespace `{namespace}`");
                self.report(ResourceKind::McpRole, role, &path, &message, Some(hint));
            }
        }
        if !all_known {
            return;
        }
        for (at, pattern) in rule.servers.iter().enumerate() {
            let Some(server) = pattern.literal() else { continue };
            if !self.has_server(&rule.namespaces, server) {
                let path = format!("spec.rules[{index}].servers[{at}]");
                let there: BTreeSet<String> = self
                    .names
                    .servers
                    .iter()
                    .filter_map(|id| id.split_once('/'))
                    .filter(|(namespace, _)| rule.namespaces.iter().any(|p| p.matches(namespace)))
                    .map(|(_, name)| name.to_owned())
                    .collect();
                let hint = hint(server, &there, "McpServer");
                let message =
                    format!("`{path}`: there is no McpServer `{server}` in {}", listed(&rule.namespaces));
                self.report(ResourceKind::McpRole, role, &path, &message, Some(hint));
            }
        }
    }

    fn has_server(&self, namespaces: &[Pattern], server: &str) -> bool {
        let is_there = |namespace: &str| self.names.servers.contains(&format!("{namespace}/{server}"));
        namespaces.iter().any(|pattern| match pattern.literal() {
            Some(namespace) => is_there(namespace),
            None => self.names.namespaces.iter().any(|name| pattern.matches(name) && is_there(name)),
        })
    }

    fn binding(&mut self, binding: &Binding) {
        let name = binding.name.as_str();
        let role = binding.role.as_str();
        if !self.names.roles.contains(role) {
            let hint = hint(role, &self.names.roles, "McpRole");
            let message = format!("`spec.role`: there is no McpRole `{role}`");
            self.report(ResourceKind::McpRoleBinding, name, "spec.role", &message, Some(hint));
        }
        for (at, subject) in binding.subjects.iter().enumerate() {
            let path = format!("spec.subjects[{at}]");
            match &subject.provider {
                Some(provider) => {
                    let provider = provider.as_str();
                    if provider != BUILTIN_PROVIDER && !self.names.providers.contains(provider) {
                        let hint = hint(provider, &self.names.providers, "IdentityProvider");
                        let message = format!("`{path}.provider`: there is no IdentityProvider `{provider}`");
                        let path = format!("{path}.provider");
                        self.report(ResourceKind::McpRoleBinding, name, &path, &message, Some(hint));
                    }
                }
                None => {
                    let (what, who) = match &subject.who {
                        Who::User(who) => ("user", who),
                        Who::Group(who) => ("group", who),
                        Who::ServiceAccount(_) => continue,
                    };
                    if self.names.providers.len() > 1 {
                        let message = format!("`{path}`: {what} `{who}` of which IdentityProvider?");
                        let hint = "more than one is configured and each can name the same people: add \
                                    `provider: …`, `builtin` for tokens of Narrows itself";
                        self.report(
                            ResourceKind::McpRoleBinding,
                            name,
                            &path,
                            &message,
                            Some(hint.to_owned()),
                        );
                    }
                }
            }
        }
    }

    /// What it exempts from must exist: otherwise somebody believes in an exemption that is none.
    fn exemption(&mut self, exemption: &Exemption, set: &ResourceSet) {
        let (name, policy) = (exemption.name.as_str(), exemption.policy.as_str());
        let Some(rules) = governance::rules_of(set, &exemption.policy) else {
            if self.names.policies.contains(policy) {
                return;
            }
            let known = self.names.policies.iter().cloned().chain(governance::built_in_names());
            let hint = hint(policy, &known.collect(), "GovernancePolicy");
            let message = format!("`spec.policy`: there is no GovernancePolicy `{policy}`");
            self.report(ResourceKind::PolicyExemption, name, "spec.policy", &message, Some(hint));
            return;
        };
        let rules: BTreeSet<String> = rules.iter().map(|rule| rule.name.to_string()).collect();
        for (at, rule) in exemption.rules.iter().flatten().enumerate() {
            if !rules.contains(rule.as_str()) {
                let path = format!("spec.rules[{at}]");
                let hint = hint(rule.as_str(), &rules, "rule");
                let message = format!("`{path}`: GovernancePolicy `{policy}` has no rule `{rule}`");
                self.report(ResourceKind::PolicyExemption, name, &path, &message, Some(hint));
            }
        }
    }

    fn providers(&mut self, set: &ResourceSet) {
        let mut issuers: BTreeMap<&str, &str> = BTreeMap::new();
        for provider in &set.providers {
            let name = provider.name.as_str();
            if name == BUILTIN_PROVIDER {
                let message =
                    format!("`metadata.name`: `{BUILTIN_PROVIDER}` is the issuer of Narrows itself");
                let hint = Some("choose another name".to_owned());
                self.report(ResourceKind::IdentityProvider, name, "metadata.name", &message, hint);
            }
            if let Some(other) = issuers.insert(&provider.issuer, name) {
                let message = format!(
                    "`spec.issuer`: IdentityProvider `{other}` has the same issuer `{}`",
                    provider.issuer
                );
                let hint = Some("a token must belong to one provider: remove one of them".to_owned());
                self.report(ResourceKind::IdentityProvider, name, "spec.issuer", &message, hint);
            }
        }
    }

    fn repeated(&mut self, set: &ResourceSet) {
        let names = set
            .namespaces
            .iter()
            .map(|r| (ResourceKind::GovernedNamespace, r.name.to_string()))
            .chain(set.servers.iter().map(|r| (ResourceKind::McpServer, r.id.to_string())))
            .chain(set.roles.iter().map(|r| (ResourceKind::McpRole, r.name.to_string())))
            .chain(set.bindings.iter().map(|r| (ResourceKind::McpRoleBinding, r.name.to_string())))
            .chain(set.providers.iter().map(|r| (ResourceKind::IdentityProvider, r.name.to_string())))
            .chain(set.policies.iter().map(|r| (ResourceKind::GovernancePolicy, r.name.to_string())))
            .chain(set.exemptions.iter().map(|r| (ResourceKind::PolicyExemption, r.name.to_string())));
        let mut seen = BTreeSet::new();
        for (kind, name) in names {
            if !seen.insert((kind, name.clone())) {
                self.report(kind, &name, "metadata.name", "it is there more than once", None);
            }
        }
    }
}

fn hint(written: &str, known: &BTreeSet<String>, kind: &str) -> String {
    match nearest(written, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("there is no {kind} at all: define it, or remove the reference"),
        None if known.len() <= 8 => {
            format!(
                "there are {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )
        }
        None => format!("define the {kind}, or remove the reference"),
    }
}

fn listed(patterns: &[Pattern]) -> String {
    let shown: Vec<String> = patterns.iter().take(4).map(|pattern| format!("`{pattern}`")).collect();
    let more = if patterns.len() > shown.len() { ", …" } else { "" };
    format!("namespace {}{more}", shown.join(", "))
}
