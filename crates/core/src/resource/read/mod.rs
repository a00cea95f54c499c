//! From the written form of one document to its checked value. What needs other resources is checked elsewhere.

mod governance;
mod provider;
mod role;
mod server;

pub use provider::check_key_url;

use std::{collections::BTreeMap, str::FromStr};

use serde::de::DeserializeOwned;

use super::{
    Namespace, Object, ResourceKind,
    document::Node,
    report::Report,
    structure,
    written::{Metadata, NamespaceSpec, ServerMetadata},
};
use crate::{
    decision::Mode,
    ids::{InvalidLabel, NamespaceName, ResourceName},
};

/// Checks one document; none if something is wrong with it, which the report then says.
pub(super) fn resource(document: &Node, report: &mut Report<'_>) -> Option<Object> {
    structure::check(document, report);
    let read = match report.kind() {
        ResourceKind::GovernedNamespace => namespace(document, report).map(Object::Namespace),
        ResourceKind::McpServer => {
            let metadata: ServerMetadata = part(document, "metadata", report)?;
            let spec = part(document, "spec", report)?;
            server::server(metadata, spec, report).map(Object::Server)
        }
        ResourceKind::McpRole => {
            let named = named(document, report);
            let spec = part(document, "spec", report)?;
            role::role(named, spec, report).map(Object::Role)
        }
        ResourceKind::McpRoleBinding => {
            let named = named(document, report);
            let spec = part(document, "spec", report)?;
            role::binding(named, spec, report).map(Object::Binding)
        }
        ResourceKind::IdentityProvider => {
            let named = named(document, report);
            let spec = part(document, "spec", report)?;
            provider::provider(named, spec, report).map(Object::Provider)
        }
        ResourceKind::GovernancePolicy => {
            let named = named(document, report);
            let spec = part(document, "spec", report)?;
            governance::policy(named, spec, report).map(Object::Policy)
        }
        ResourceKind::PolicyExemption => {
            let named = named(document, report);
            let spec = part(document, "spec", report)?;
            governance::exemption(named, spec, report).map(Object::Exemption)
        }
    };
    read.filter(|_| report.is_clean())
}

/// `metadata` or `spec` in its written form.
fn part<T: DeserializeOwned>(document: &Node, name: &str, report: &mut Report<'_>) -> Option<T> {
    let json = document.get(name)?.to_json();
    match serde_json::from_value(json) {
        Ok(part) => Some(part),
        Err(error) => {
            // The structure check has said why; if not, it let something through by mistake.
            if report.is_clean() {
                report.field(name, &format!(" can't be read: {error}"), "");
            }
            None
        }
    }
}

/// Name and labels of a resource outside of namespaces.
struct Named {
    name: ResourceName,
    labels: BTreeMap<String, String>,
}

fn named(document: &Node, report: &mut Report<'_>) -> Option<Named> {
    let Metadata { name, labels } = part(document, "metadata", report)?;
    Some(Named { name: label("metadata.name", &name, report)?, labels })
}

/// A name of one of the checked types.
fn label<T: FromStr<Err = InvalidLabel>>(path: &str, text: &str, report: &mut Report<'_>) -> Option<T> {
    match text.parse() {
        Ok(name) => Some(name),
        Err(InvalidLabel(text)) => {
            let hint =
                "use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit";
            report.field(path, &format!(": `{text}` is not a name"), hint);
            None
        }
    }
}

fn namespace(document: &Node, report: &mut Report<'_>) -> Option<Namespace> {
    let metadata: Metadata = part(document, "metadata", report)?;
    let spec: NamespaceSpec = part(document, "spec", report)?;
    let name: Option<NamespaceName> = label("metadata.name", &metadata.name, report);
    let mode = spec.mode.unwrap_or(Mode::Enforce);
    let observe_until = match (mode, &spec.observe_until) {
        (_, None) => None,
        (Mode::Enforce, Some(_)) => {
            report.field(
                "spec.observeUntil",
                " has no meaning with mode `enforce`",
                "add `mode: observe`, or remove it",
            );
            None
        }
        (Mode::Observe, Some(text)) => {
            let until = moment(text);
            if until.is_none() {
                report.field(
                    "spec.observeUntil",
                    &format!(": `{text}` is not a date or time"),
                    "write a date, `2027-01-31`, which begins at 00:00 UTC, or a time, `2027-01-31T18:00:00Z`",
                );
            }
            until
        }
    };
    Some(Namespace {
        name: name?,
        labels: metadata.labels,
        environment: spec.environment,
        mode,
        observe_until,
    })
}

/// A date, as its beginning in UTC, or an RFC 3339 time.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time);
    }
    // jiff reads more forms of dates than ours.
    let is_date = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date: jiff::civil::Date = if is_date { text.parse().ok()? } else { return None };
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}
