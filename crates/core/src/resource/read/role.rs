//! `McpRole` and `McpRoleBinding`.

use std::sync::Arc;

use super::{Named, Report, label};
use crate::{
    ids::ResourceName,
    pattern::{self, MEANINGLESS_HINT, Pattern},
    policy::Condition,
    principal::SERVICE_ACCOUNT_PREFIX,
    resource::{
        Binding, Role, Rule, Subject, Who,
        written::{BindingSpec, RoleSpec, RuleSpec, SubjectSpec},
    },
};

pub(super) fn role(named: Option<Named>, spec: RoleSpec, report: &mut Report<'_>) -> Option<Role> {
    let mut rules = Vec::with_capacity(spec.rules.len());
    for (index, written) in spec.rules.into_iter().enumerate() {
        rules.push(rule(&format!("spec.rules[{index}]"), written, report));
    }
    let Named { name, labels } = named?;
    Some(Role { name, labels, rules })
}

fn rule(path: &str, written: RuleSpec, report: &mut Report<'_>) -> Rule {
    let covers_nothing =
        [&written.tools, &written.resources, &written.resource_templates, &written.prompts, &written.methods]
            .into_iter()
            .all(Vec::is_empty);
    if covers_nothing {
        report.field(
            path,
            " covers nothing",
            "name what it is about: `tools`, `resources`, `resourceTemplates`, `prompts` or `methods`; `[\"*\"]` is all",
        );
    }
    let when = written.when.map(|source| {
        let source: Arc<str> = source.into();
        if let Err(faults) = Condition::compile(&source) {
            for fault in faults {
                let hint = fault.hint.unwrap_or_default();
                report.field(&format!("{path}.when"), &format!(": {}", fault.message), &hint);
            }
        }
        source
    });
    Rule {
        effect: written.effect,
        namespaces: names(&format!("{path}.namespaces"), &written.namespaces, report),
        servers: names(&format!("{path}.servers"), &written.servers, report),
        tools: patterns(&format!("{path}.tools"), &written.tools, pattern::Subject::Name, report),
        resources: patterns(&format!("{path}.resources"), &written.resources, pattern::Subject::Uri, report),
        resource_templates: patterns(
            &format!("{path}.resourceTemplates"),
            &written.resource_templates,
            pattern::Subject::Uri,
            report,
        ),
        prompts: patterns(&format!("{path}.prompts"), &written.prompts, pattern::Subject::Name, report),
        methods: patterns(&format!("{path}.methods"), &written.methods, pattern::Subject::Name, report),
        when,
    }
}

pub(super) fn patterns(
    path: &str,
    written: &[String],
    subject: pattern::Subject,
    report: &mut Report<'_>,
) -> Vec<Pattern> {
    let mut patterns = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        match text.parse::<Pattern>() {
            Ok(pattern) => {
                if let Some(foreign) = pattern.meaningless(subject) {
                    let what = if foreign.is_whitespace() {
                        "white space".to_owned()
                    } else {
                        format!("`{foreign}`")
                    };
                    let message = format!(": {what} in `{text}` has no meaning in a pattern");
                    report.field(&format!("{path}[{index}]"), &message, MEANINGLESS_HINT);
                }
                patterns.push(pattern);
            }
            Err(error) => report.field(&format!("{path}[{index}]"), &format!(": {error}"), error.hint()),
        }
    }
    patterns
}

/// Patterns of names of our own, which have few letters to match.
pub(super) fn names(path: &str, written: &[String], report: &mut Report<'_>) -> Vec<Pattern> {
    for (index, text) in written.iter().enumerate() {
        let can_match = text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*' | b'?')
        });
        // What is wrong with the pattern as such is said below, once.
        let is_pattern = text
            .parse::<Pattern>()
            .is_ok_and(|pattern| pattern.meaningless(pattern::Subject::Name).is_none());
        if !can_match && is_pattern {
            report.field(
                &format!("{path}[{index}]"),
                &format!(": `{text}` can't match any name"),
                "names have lower-case letters, digits and `-`; a pattern has `*` and `?` besides",
            );
        }
    }
    patterns(path, written, pattern::Subject::Name, report)
}

pub(super) fn binding(named: Option<Named>, spec: BindingSpec, report: &mut Report<'_>) -> Option<Binding> {
    let role: Option<ResourceName> = label("spec.role", &spec.role, report);
    let mut subjects = Vec::with_capacity(spec.subjects.len());
    for (index, written) in spec.subjects.into_iter().enumerate() {
        subjects.extend(subject(&format!("spec.subjects[{index}]"), written, report));
    }
    let Named { name, labels } = named?;
    Some(Binding { name, labels, role: role?, subjects })
}

fn subject(path: &str, written: SubjectSpec, report: &mut Report<'_>) -> Option<Subject> {
    let provider = match written.provider {
        Some(provider) => Some(label(&format!("{path}.provider"), &provider, report)?),
        None => None,
    };
    let (field, name) = match (written.user, written.group, written.service_account) {
        (Some(user), None, None) => ("user", user),
        (None, Some(group), None) => ("group", group),
        (None, None, Some(account)) => ("serviceAccount", account),
        (_, _, _) => {
            report.field(
                path,
                " must name one of `user`, `group` and `serviceAccount`",
                "write one entry for each",
            );
            return None;
        }
    };
    let field_path = format!("{path}.{field}");
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        report.field(&field_path, " is empty or has white space around it", "");
        return None;
    }
    if name.contains('*') {
        let hint = "name people one by one, or bind a group that they have";
        report.field(&field_path, &format!(": `{name}` is no pattern; `*` would stand for itself"), hint);
        return None;
    }
    if let Some(account) = name.strip_prefix(SERVICE_ACCOUNT_PREFIX) {
        let hint = format!("write `serviceAccount: {account}`");
        report.field(&field_path, &format!(": `{name}` is a service account"), &hint);
        return None;
    }
    let name: Arc<str> = name.into();
    let who = match field {
        "user" => Who::User(name),
        "group" => Who::Group(name),
        _ => Who::ServiceAccount(name),
    };
    Some(Subject { who, provider })
}
