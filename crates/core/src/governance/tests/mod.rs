//! Policies as data: resources in, violations out.

mod pack;
mod policies;
mod properties;

use crate::{
    change::{Desired, Edits, Following, ObjectChange, Proposal, Refusal, Reviewed},
    governance::{Asked, Effect, Purpose, Violation, examine, judge},
    resource::{Documents, Object, ObjectKey, ResourceSet, SourceFile},
};

const HEAD: &str = "apiVersion: narrows.dev/v1alpha1\n";
/// The moment that everything is judged at.
const NOW: &str = "2027-01-15T12:00:00Z";

fn asked() -> Asked {
    Asked {
        username: "alice".into(),
        groups: ["ops".into()].into(),
        purpose: Purpose::Change,
        now: NOW.parse().unwrap(),
    }
}

fn documents(text: &str) -> Documents {
    Documents::read(&[SourceFile { name: "r.yaml".into(), text: text.to_owned() }])
}

fn set(text: &str) -> ResourceSet {
    documents(text).over(ResourceSet::default()).unwrap_or_else(|problems| {
        panic!("{text}\n{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    })
}

fn namespace(name: &str, environment: &str) -> String {
    format!(
        "---\n{HEAD}kind: GovernedNamespace\nmetadata: {{ name: {name} }}\nspec: {{ environment: {environment} }}\n"
    )
}

/// A server that complies with everything that is built in, but for what `spec` makes of it.
fn server(id: &str, spec: &str) -> String {
    let (namespace, name) = id.split_once('/').unwrap();
    format!(
        "---\n{HEAD}kind: McpServer\nmetadata: {{ namespace: {namespace}, name: {name}, labels: {{ team: a }} }}\nspec: {spec}\n"
    )
}

fn created(set: &ResourceSet) -> Vec<ObjectChange> {
    let change =
        |object: Object| ObjectChange { key: object.key(), before: None, after: Some(object), file: None };
    set.objects().into_iter().map(change).collect()
}

/// What does not comply, if all of it is new.
fn violations(text: &str) -> Vec<Violation> {
    let set = set(text);
    judge(&created(&set), &set, &asked())
}

fn rules(violations: &[Violation]) -> Vec<String> {
    let said = |violation: &Violation| match violation.effect {
        Effect::Deny => violation.rule_id(),
        Effect::Warn => format!("{} (warn)", violation.rule_id()),
        Effect::Exempted { .. } => format!("{} (exempted)", violation.rule_id()),
    };
    violations.iter().map(said).collect()
}

fn after(proposals: impl IntoIterator<Item = String>) -> Desired {
    proposals.into_iter().fold(Desired::nothing(), |state, text| match put(&state, &text) {
        Ok(Reviewed::Change(accepted)) => accepted.desired(),
        other => panic!("{text}: {other:?}"),
    })
}

fn put(state: &Desired, text: &str) -> Result<Reviewed, Refusal> {
    let edits = Edits { put: documents(text), ..Edits::default() };
    state.review(Proposal::Edits(edits), Following::Nothing, &asked())
}

fn key(kind: &str, name: &str) -> ObjectKey {
    ObjectKey::parse(crate::resource::ResourceKind::from_name(kind).unwrap(), name).unwrap()
}
