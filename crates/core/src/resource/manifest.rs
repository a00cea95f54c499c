//! A checked resource in the form that people write: what they get back, and what the record holds before and after a
//! change. Read again, it is the same resource.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    API_VERSION, Binding, EnvVar, Environments, Exemption, FileAccess, HttpServer, Limits, MultipleAudiences,
    Namespace, Object, Policy, PolicyRule, Provider, ResourceKind, Role, Rule, Server, StdioServer, Subject,
    Transport, Who,
};
use crate::{ids::ResourceName, pattern::Pattern};

impl Object {
    /// The resource as one document: `apiVersion`, `kind`, `metadata`, `spec`. Defaults are written out.
    pub fn manifest(&self) -> Value {
        let key = self.key();
        let (labels, spec) = match self {
            Self::Namespace(namespace) => (&namespace.labels, namespace_spec(namespace)),
            Self::Server(server) => (&server.labels, server_spec(server)),
            Self::Role(role) => (&role.labels, role_spec(role)),
            Self::Binding(binding) => (&binding.labels, binding_spec(binding)),
            Self::Provider(provider) => (&provider.labels, provider_spec(provider)),
            Self::Policy(policy) => (&policy.labels, policy_spec(policy)),
            Self::Exemption(exemption) => (&exemption.labels, exemption_spec(exemption)),
        };
        let mut metadata = Members::default();
        metadata.some("namespace", Some(key.namespace()).filter(|namespace| !namespace.is_empty()));
        metadata.put("name", key.name());
        metadata.unless_empty("labels", labels, BTreeMap::is_empty);
        json!({
            "apiVersion": API_VERSION,
            "kind": key.kind.as_str(),
            "metadata": metadata.0,
            "spec": spec.0,
        })
    }
}

/// The members of an object; what is absent is left out.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn unless_empty<T: serde::Serialize>(&mut self, name: &str, value: &T, is_empty: impl Fn(&T) -> bool) {
        if !is_empty(value) {
            self.put(name, json!(value));
        }
    }

    fn list<T: Into<Value>>(&mut self, name: &str, values: impl Iterator<Item = T>) {
        let values: Vec<Value> = values.map(Into::into).collect();
        if !values.is_empty() {
            self.put(name, values);
        }
    }
}

fn namespace_spec(namespace: &Namespace) -> Members {
    let Namespace { name: _, labels: _, environment, mode, observe_until } = namespace;
    let mut spec = Members::default();
    spec.some("environment", environment.as_deref());
    spec.put("mode", json!(mode));
    spec.some("observeUntil", observe_until.map(|until| until.to_string()));
    spec
}

fn server_spec(server: &Server) -> Members {
    let Server { id: _, labels: _, transport, replicas } = server;
    let mut spec = match transport {
        Transport::Stdio(stdio) => stdio_spec(stdio),
        Transport::Http(HttpServer { url }) => {
            let mut spec = Members::default();
            spec.put("transport", "http");
            spec.put("url", url.as_str());
            spec
        }
    };
    spec.put("replicas", *replicas);
    spec
}

fn stdio_spec(stdio: &StdioServer) -> Members {
    let StdioServer { command, env, limits, sessions, files } = stdio;
    let mut spec = Members::default();
    spec.put("transport", "stdio");
    spec.put("command", json!(command));
    spec.list("env", env.iter().map(|EnvVar { name, value }| json!({ "name": name, "value": value })));
    let resources = limits_spec(*limits);
    if !resources.0.is_empty() {
        spec.put("resources", resources.0);
    }
    spec.put("sessions", json!(sessions));
    match files {
        FileAccess::Unrestricted => {}
        FileAccess::Only { read, write } => spec.put("files", json!({ "read": read, "write": write })),
    }
    spec
}

fn limits_spec(limits: Limits) -> Members {
    let Limits { cpu_millis, memory_bytes, processes, open_files } = limits;
    let mut spec = Members::default();
    spec.some("cpu", cpu_millis.map(processors));
    spec.some("memory", memory_bytes.map(memory));
    spec.some("processes", processes);
    spec.some("openFiles", open_files);
    spec
}

/// `500m`, `2`.
fn processors(millis: u32) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// In the largest unit that is exact.
fn memory(bytes: u64) -> String {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let exact = units.into_iter().find(|(_, factor)| bytes.is_multiple_of(*factor));
    exact.map_or_else(|| bytes.to_string(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

fn role_spec(role: &Role) -> Members {
    let mut spec = Members::default();
    spec.put("rules", role.rules.iter().map(|rule| rule_spec(rule).0.into()).collect::<Vec<Value>>());
    spec
}

fn rule_spec(rule: &Rule) -> Members {
    let Rule { effect, namespaces, servers, tools, resources, resource_templates, prompts, methods, when } =
        rule;
    let mut spec = Members::default();
    spec.put("effect", json!(effect));
    let categories = [
        ("namespaces", namespaces),
        ("servers", servers),
        ("tools", tools),
        ("resources", resources),
        ("resourceTemplates", resource_templates),
        ("prompts", prompts),
        ("methods", methods),
    ];
    for (name, patterns) in categories {
        spec.list(name, patterns.iter().map(Pattern::as_str));
    }
    spec.some("when", when.as_deref());
    spec
}

fn binding_spec(binding: &Binding) -> Members {
    let Binding { name: _, labels: _, role, subjects } = binding;
    let mut spec = Members::default();
    spec.put("role", role.as_str());
    spec.put(
        "subjects",
        subjects.iter().map(|subject| subject_spec(subject).0.into()).collect::<Vec<Value>>(),
    );
    spec
}

fn subject_spec(subject: &Subject) -> Members {
    let Subject { who, provider } = subject;
    let mut spec = Members::default();
    match who {
        Who::User(name) => spec.put("user", name.as_ref()),
        Who::Group(name) => spec.put("group", name.as_ref()),
        Who::ServiceAccount(name) => spec.put("serviceAccount", name.as_ref()),
    }
    spec.some("provider", provider.as_ref().map(|provider| provider.as_str()));
    spec
}

fn provider_spec(provider: &Provider) -> Members {
    let Provider {
        name: _,
        labels: _,
        issuer,
        audiences,
        subject_claim,
        groups_claim,
        algorithms,
        jwks_url,
        max_lifetime_secs,
        token_type,
        allow_multiple_audiences,
        required_client_ids,
    } = provider;
    let mut spec = Members::default();
    spec.put("issuer", issuer.as_str());
    spec.list("audiences", audiences.iter().map(String::as_str));
    spec.put("claims", json!({ "subject": subject_claim, "groups": groups_claim }));
    spec.put("algorithms", json!(algorithms));
    spec.some("jwksUrl", jwks_url.as_deref());
    spec.put("maxTokenLifetime", lifetime(*max_lifetime_secs));
    spec.put("tokenType", json!(token_type));
    spec.put("allowMultipleAudiences", *allow_multiple_audiences == MultipleAudiences::Accept);
    spec.list("clientIds", required_client_ids.iter().map(String::as_str));
    spec
}

fn policy_spec(policy: &Policy) -> Members {
    let Policy { name: _, labels: _, namespaces, environments, kinds, action, rules } = policy;
    let mut spec = Members::default();
    spec.list("namespaces", namespaces.iter().map(Pattern::as_str));
    match environments {
        Environments::Any => {}
        Environments::Only { patterns, elsewhere } => {
            spec.list("environments", patterns.iter().map(Pattern::as_str));
            spec.some("elsewhere", elsewhere.map(|action| json!(action)));
        }
    }
    spec.list("kinds", kinds.iter().copied().map(ResourceKind::as_str));
    spec.put("action", json!(action));
    spec.put("rules", rules.iter().map(|rule| policy_rule_spec(rule).0.into()).collect::<Vec<Value>>());
    spec
}

fn policy_rule_spec(rule: &PolicyRule) -> Members {
    let PolicyRule { name, expression, message, field, expected } = rule;
    let mut spec = Members::default();
    spec.put("name", name.as_str());
    spec.put("expression", expression.as_ref());
    spec.put("message", message.as_ref());
    spec.some("field", field.as_deref());
    spec.some("expected", expected.as_deref());
    spec
}

fn exemption_spec(exemption: &Exemption) -> Members {
    let Exemption { name: _, labels: _, policy, rules, namespaces, servers, owner, reason, expires } =
        exemption;
    let mut spec = Members::default();
    spec.put("policy", policy.as_str());
    spec.list("rules", rules.iter().flatten().map(ResourceName::as_str));
    spec.list("namespaces", namespaces.iter().map(Pattern::as_str));
    spec.list("servers", servers.iter().flatten().map(Pattern::as_str));
    spec.put("owner", owner.as_ref());
    spec.put("reason", reason.as_ref());
    spec.put("expires", expires.to_string());
    spec
}

/// In the largest unit that is exact.
fn lifetime(seconds: u64) -> String {
    let units = [("h", 3600), ("m", 60)];
    let exact = units.into_iter().find(|(_, factor)| seconds.is_multiple_of(*factor));
    exact.map_or_else(|| format!("{seconds}s"), |(unit, factor)| format!("{}{unit}", seconds / factor))
}
