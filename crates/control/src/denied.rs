//! The records of a change that policies refuse: one for each resource that is refused, durable before the refusal is
//! answered. What is in them is bounded, however large the change was.

use narrows_core::{
    audit::{ChangeRecord, DecisionRecord, Object, Record, RecordKind},
    change::{Denied, ObjectChange},
    governance::{Effect, Violation},
};
use serde_json::{Value, json};

use crate::{
    ControlError, Requester,
    record::{Stamp, encode},
};

/// Resources of one change that have a record each; the last says how many more there were.
const MOST_OBJECTS: usize = 64;
/// Violations in one record.
const MOST_VIOLATIONS: usize = 32;

/// The lines to append, as many as there are resources refused, up to a bound.
pub(crate) fn records(
    denied: &Denied,
    requester: &Requester,
    stamp: Stamp,
) -> Result<Vec<Vec<u8>>, ControlError> {
    let id = stamp.id()?;
    let shown = denied.changes.iter().take(MOST_OBJECTS);
    shown.map(|change| record(denied, change, requester, stamp, &id)).collect()
}

fn record(
    denied: &Denied,
    change: &ObjectChange,
    requester: &Requester,
    stamp: Stamp,
    id: &str,
) -> Result<Vec<u8>, ControlError> {
    let of_object: Vec<&Violation> =
        denied.violations.iter().filter(|violation| violation.object == change.key).collect();
    let rule = of_object.iter().find(|violation| violation.denies()).map(|violation| violation.rule_id());
    let base = denied.base.to_string();
    let key = &change.key;
    let found = json!({
        "violations": of_object.iter().take(MOST_VIOLATIONS).map(|violation| said(violation)).collect::<Vec<_>>(),
        "violationsOfObject": of_object.len(),
        "objectsDenied": denied.changes.len(),
    });
    let (record_id, time) = stamp.now()?;
    encode(&Record {
        actor: Some(requester.actor()),
        source: requester.source(),
        object: Some(Object { kind: key.kind.as_str(), namespace: key.namespace(), name: key.name() }),
        decision: Some(DecisionRecord {
            effect: "deny",
            rule: rule.as_deref().unwrap_or_default(),
            snapshot_revision: &base,
            mode: "enforce",
        }),
        change: Some(ChangeRecord {
            id,
            operation: change.operation().as_str(),
            base: &base,
            revision: &base,
            objects: denied.changes.len() as u64,
            file: change.file.as_deref(),
            reason: requester.reason.as_deref(),
        }),
        after: Some(&found),
        ..Record::new(RecordKind::ChangeDenied, &record_id, &time)
    })
}

fn said(violation: &Violation) -> Value {
    let Violation { object: _, policy, rule, field, expected, actual, message, effect } = violation;
    let mut said = json!({
        "policy": policy.as_str(),
        "rule": rule.as_str(),
        "effect": effect.as_str(),
        "message": message,
    });
    let exemption = match effect {
        Effect::Deny | Effect::Warn => None,
        Effect::Exempted { exemption, .. } => Some(exemption.as_str()),
    };
    let optional = [
        ("field", field.as_deref()),
        ("expected", expected.as_deref()),
        ("actual", actual.as_deref()),
        ("exemption", exemption),
    ];
    if let Value::Object(members) = &mut said {
        for (name, value) in optional {
            members.extend(value.map(|value| (name.to_owned(), value.into())));
        }
    }
    said
}
