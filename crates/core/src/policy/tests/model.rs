//! The decision once more, written to be read: no index, no compiled form, no CEL. It shares no code with the
//! evaluator but the resource types.

use crate::{
    action::{Action, Arguments},
    decision::RuleRef,
    policy::Query,
    principal::{Principal, PrincipalKind},
    resource::{ResourceSet, Rule, RuleEffect, Subject, Who},
};

/// What the model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    UnknownServer,
    NoGrant,
    Allowed(RuleRef),
    Denied(RuleRef),
    Failed(RuleRef),
}

/// A condition's value, by its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    True,
    False,
    Open,
    Fails,
}

/// Conditions that the model understands.
pub(super) const CONDITIONS: &[&str] = &[
    r#"principal.subject == "alice""#,
    r#""ops" in principal.groups"#,
    "args.n > 1",
    r#"principal.subject == "alice" && args.n > 1"#,
    r#"request.tool == "read""#,
    r#"request.method == "tools/call""#,
    "principal.subject > 1",
];

/// Those of them that say the same of a list entry as of a call.
pub(super) const SAME_FOR_LISTS: &[&str] =
    &[r#"principal.subject == "alice""#, r#""ops" in principal.groups"#, r#"request.tool == "read""#];

fn both(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::False, _) | (_, Value::False) => Value::False,
        (Value::Fails, _) | (_, Value::Fails) => Value::Fails,
        (Value::Open, _) | (_, Value::Open) => Value::Open,
        (Value::True, Value::True) => Value::True,
    }
}

fn truth(holds: bool) -> Value {
    if holds { Value::True } else { Value::False }
}

fn value(source: &str, query: &Query<'_>) -> Value {
    let principal = query.principal;
    let alice = truth(&*principal.subject == "alice");
    let arguments = match query.action {
        Action::CallTool { arguments, .. } | Action::GetPrompt { arguments, .. } => Some(arguments),
        Action::UseServer => Some(Arguments::Unknown),
        _ => None,
    };
    let more_than_one = match arguments {
        Some(Arguments::Unknown) => Value::Open,
        Some(Arguments::Known(r#"{"n":1}"#)) => Value::False,
        Some(Arguments::Known(r#"{"n":2}"#)) => Value::True,
        Some(Arguments::Known(_)) | None => Value::Fails,
    };
    let number = CONDITIONS.iter().position(|known| *known == source).unwrap();
    match number {
        0 => alice,
        1 => truth(principal.groups.iter().any(|group| &**group == "ops")),
        2 => more_than_one,
        3 => both(alice, more_than_one),
        4 => match query.action {
            Action::UseServer => Value::Open,
            Action::CallTool { name, .. } => truth(name == "read"),
            _ => Value::False,
        },
        5 if query.action == Action::UseServer || query.request.method.ends_with("/list") => Value::Open,
        5 => truth(query.request.method == "tools/call"),
        _ => Value::Fails,
    }
}

/// `*` and `?`, by trying everything.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    fn from(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| from(rest, &name[taken..])),
            (['?', rest @ ..], [_, after @ ..]) => from(rest, after),
            ([wanted, rest @ ..], [found, after @ ..]) => wanted == found && from(rest, after),
            (_, _) => false,
        }
    }
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    from(&chars(pattern), &chars(name))
}

fn any(patterns: &[crate::pattern::Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| glob(pattern.as_str(), name))
}

fn covers(rule: &Rule, action: Action<'_>) -> bool {
    let all = [&rule.tools, &rule.resources, &rule.resource_templates, &rule.prompts, &rule.methods];
    match action {
        Action::UseServer => match rule.effect {
            RuleEffect::Allow => all.iter().any(|category| !category.is_empty()),
            RuleEffect::Deny => {
                all.iter().all(|category| category.iter().any(|pattern| pattern.as_str() == "*"))
            }
        },
        Action::CallTool { name, .. } => any(&rule.tools, name),
        Action::ReadResource { uri } => any(&rule.resources, uri),
        Action::UseResourceTemplate { uri_template } => any(&rule.resource_templates, uri_template),
        Action::GetPrompt { name, .. } => any(&rule.prompts, name),
        Action::Method { name } => any(&rule.methods, name),
    }
}

fn is(subject: &Subject, principal: &Principal) -> bool {
    let provider = principal.provider.as_str();
    let vouched = match (&subject.provider, &subject.who) {
        (Some(wanted), _) => wanted.as_str() == provider,
        (None, Who::ServiceAccount(_)) => provider == "builtin",
        (None, _) => true,
    };
    vouched
        && match (&subject.who, principal.kind) {
            (Who::User(name), PrincipalKind::User)
            | (Who::ServiceAccount(name), PrincipalKind::ServiceAccount) => *name == principal.subject,
            (Who::Group(name), _) => principal.groups.contains(name),
            (Who::User(_), PrincipalKind::ServiceAccount) | (Who::ServiceAccount(_), PrincipalKind::User) => {
                false
            }
        }
}

pub(super) fn decide(set: &ResourceSet, query: &Query<'_>) -> Answer {
    if !set.servers.iter().any(|server| server.id == *query.server) {
        return Answer::UnknownServer;
    }
    let mut applying = Vec::new();
    for role in &set.roles {
        let bound = set.bindings.iter().any(|binding| {
            binding.role == role.name && binding.subjects.iter().any(|subject| is(subject, query.principal))
        });
        for (index, rule) in role.rules.iter().enumerate() {
            if bound
                && any(&rule.namespaces, query.server.namespace.as_str())
                && any(&rule.servers, query.server.name.as_str())
                && covers(rule, query.action)
            {
                let value = rule.when.as_ref().map_or(Value::True, |source| value(source, query));
                let reference =
                    RuleRef { role: role.name.as_str().into(), index: u32::try_from(index).unwrap() };
                applying.push((reference, rule.effect, value));
            }
        }
    }
    applying.sort_by(|a, b| a.0.cmp(&b.0));
    let first = |wanted: &dyn Fn(RuleEffect, Value) -> bool| {
        applying.iter().find(|(_, effect, value)| wanted(*effect, *value)).cloned()
    };
    let denies = |effect, value| effect == RuleEffect::Deny && matches!(value, Value::True | Value::Fails);
    if let Some((rule, _, value)) = first(&denies) {
        return if value == Value::True { Answer::Denied(rule) } else { Answer::Failed(rule) };
    }
    let allows = |effect, value| effect == RuleEffect::Allow && matches!(value, Value::True | Value::Open);
    if let Some((rule, _, _)) = first(&allows) {
        return Answer::Allowed(rule);
    }
    match first(&|effect, value| effect == RuleEffect::Allow && value == Value::Fails) {
        Some((rule, _, _)) => Answer::Failed(rule),
        None => Answer::NoGrant,
    }
}
