//! `GovernancePolicy` and `PolicyExemption`.

use std::{collections::BTreeSet, sync::Arc};

use super::{Named, Report, label, moment, role};
use crate::{
    governance,
    ids::ResourceName,
    pattern::{self, Pattern},
    resource::{
        Environments, Exemption, Policy, PolicyRule, ResourceKind,
        written::{ExemptionSpec, KindSpec, PolicyRuleSpec, PolicySpec},
    },
};

/// Longest text that is shown with a violation, in bytes: many of them fit into one record.
const LONGEST_TEXT: usize = 1024;

pub(super) fn policy(named: Option<Named>, spec: PolicySpec, report: &mut Report<'_>) -> Option<Policy> {
    let namespaces = role::names("spec.namespaces", &spec.namespaces, report);
    let mut kinds: Vec<ResourceKind> = match spec.kinds {
        Some(kinds) => kinds.into_iter().map(|KindSpec(kind)| kind).collect(),
        None => vec![ResourceKind::McpServer],
    };
    let covers_no_namespace = namespaces.iter().any(Pattern::is_any);
    for (index, kind) in kinds.iter().enumerate() {
        let path = format!("spec.kinds[{index}]");
        match kind {
            ResourceKind::McpServer | ResourceKind::GovernedNamespace => {}
            ResourceKind::McpRole
            | ResourceKind::McpRoleBinding
            | ResourceKind::IdentityProvider
            | ResourceKind::GovernancePolicy
            | ResourceKind::PolicyExemption => {
                if !covers_no_namespace {
                    let message = format!(": no {kind} would be judged: it is in no namespace");
                    report.field(&path, &message, "write `namespaces: [\"*\"]`");
                } else if spec.environments.is_some() && spec.elsewhere.is_none() {
                    let message = format!(": no {kind} would be judged: it is in no environment");
                    report.field(&path, &message, "write what happens `elsewhere`, or remove `environments`");
                }
            }
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    let environments = match (spec.environments, spec.elsewhere) {
        (Some(written), elsewhere) => {
            let patterns = role::patterns("spec.environments", &written, pattern::Subject::Name, report);
            Environments::Only { patterns, elsewhere }
        }
        (None, Some(_)) => {
            let hint = "say which `environments` the policy is for, or remove it";
            report.field("spec.elsewhere", " has no meaning without `environments`", hint);
            Environments::Any
        }
        (None, None) => Environments::Any,
    };
    let mut names = BTreeSet::new();
    let mut rules = Vec::with_capacity(spec.rules.len());
    for (index, written) in spec.rules.into_iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if !names.insert(written.name.clone()) {
            let message = format!(": `{}` is there twice", written.name);
            report.field(&format!("{path}.name"), &message, "rename or remove one of them");
        }
        rules.extend(rule(&path, written, report));
    }
    let Named { name, labels } = named?;
    Some(Policy { name, labels, namespaces, environments, kinds, action: spec.action, rules })
}

fn rule(path: &str, written: PolicyRuleSpec, report: &mut Report<'_>) -> Option<PolicyRule> {
    let PolicyRuleSpec { name, expression, message, field, expected } = written;
    let name: Option<ResourceName> = label(&format!("{path}.name"), &name, report);
    let expression: Arc<str> = expression.into();
    for fault in governance::check_expression(&expression) {
        let hint = fault.hint.unwrap_or_default();
        report.field(&format!("{path}.expression"), &format!(": {}", fault.message), &hint);
    }
    text(&format!("{path}.message"), &message, report);
    if let Some(expected) = &expected {
        text(&format!("{path}.expected"), expected, report);
    }
    if let Some(field) = &field
        && let Err(reason) = governance::check_field(field)
    {
        let hint = "write for example `spec.image`, `spec.command[0]` or `metadata.labels`";
        report.field(&format!("{path}.field"), &format!(": `{field}` {reason}"), hint);
    }
    Some(PolicyRule {
        name: name?,
        expression,
        message: message.into(),
        field: field.map(Into::into),
        expected: expected.map(Into::into),
    })
}

/// A text for people.
fn text(path: &str, text: &str, report: &mut Report<'_>) {
    if text.trim().is_empty() {
        report.field(path, " is empty", "");
    } else if text.len() > LONGEST_TEXT {
        report.field(path, &format!(" is longer than {LONGEST_TEXT} bytes"), "say it shorter");
    }
}

pub(super) fn exemption(
    named: Option<Named>,
    spec: ExemptionSpec,
    report: &mut Report<'_>,
) -> Option<Exemption> {
    let policy: Option<ResourceName> = label("spec.policy", &spec.policy, report);
    let namespaces = role::names("spec.namespaces", &spec.namespaces, report);
    let servers = spec.servers.map(|servers| role::names("spec.servers", &servers, report));
    let rules = spec.rules.map(|rules| {
        let named = rules.iter().enumerate();
        named.filter_map(|(index, rule)| label(&format!("spec.rules[{index}]"), rule, report)).collect()
    });
    text("spec.owner", &spec.owner, report);
    text("spec.reason", &spec.reason, report);
    let expires = moment(&spec.expires);
    if expires.is_none() {
        report.field(
            "spec.expires",
            &format!(": `{}` is not a date or time", spec.expires),
            "write a date, `2027-01-31`, which begins at 00:00 UTC, or a time, `2027-01-31T18:00:00Z`",
        );
    }
    let Named { name, labels } = named?;
    Some(Exemption {
        name,
        labels,
        policy: policy?,
        rules,
        namespaces,
        servers,
        owner: spec.owner.into(),
        reason: spec.reason.into(),
        expires: expires?,
    })
}
