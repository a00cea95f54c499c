//! The report as SARIF 2.1.0 (OASIS standard), in the form that code hosts read: a rule for each that says something, a result
//! for each violation with its place in a file.

use std::collections::BTreeMap;

use narrows_console::Violation;
use narrows_core::{governance::Effect, problem::Place};
use serde_json::{Value, json};

use super::Tested;

/// Writes the report.
pub(super) fn report(tested: &[Tested]) -> Value {
    let mut rules: BTreeMap<String, &Tested> = BTreeMap::new();
    for one in tested.iter().filter(|one| one.examined.violation.is_some()) {
        rules.entry(one.rule_id()).or_insert(one);
    }
    let index: BTreeMap<&str, usize> = rules.keys().map(String::as_str).zip(0..).collect();
    let results: Vec<Value> = tested.iter().filter_map(|one| result(one, &index)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "narrows",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules.iter().map(|(id, one)| rule(id, one)).collect::<Vec<_>>(),
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(id: &str, one: &Tested) -> Value {
    // Its words are the policy's, of which what was found in one resource is no part.
    let violation = one.examined.violation.as_ref();
    let expected = violation.and_then(|violation| violation.expected.as_deref());
    let field = violation.and_then(|violation| violation.field.as_deref());
    let text = match (field, expected) {
        (Some(field), Some(expected)) => format!("{id}: `{field}`, expected {expected}"),
        (None, Some(expected)) => format!("{id}: expected {expected}"),
        (_, None) => id.to_owned(),
    };
    json!({ "id": id, "name": one.examined.rule.as_str(), "shortDescription": { "text": text } })
}

fn result(one: &Tested, index: &BTreeMap<&str, usize>) -> Option<Value> {
    let violation = one.examined.violation.as_ref()?;
    let id = one.rule_id();
    let (level, suppression) = match &violation.effect {
        Effect::Deny => ("error", None),
        Effect::Warn => ("warning", None),
        Effect::Exempted { exemption, owner, expires } => {
            ("note", Some(format!("exempted by `{exemption}` of {owner} until {expires}")))
        }
    };
    let mut result = json!({
        "ruleId": id,
        "ruleIndex": index.get(id.as_str()),
        "level": level,
        "message": { "text": Violation::from(violation).to_string() },
        "locations": [{
            "physicalLocation": physical(&one.place),
            "logicalLocations": [{ "fullyQualifiedName": one.object(), "kind": "resource" }],
        }],
        "partialFingerprints": { "object/v1": format!("{} {id}", one.object()) },
    });
    if let (Value::Object(members), Some(justification)) = (&mut result, suppression) {
        let suppressions =
            json!([{ "kind": "external", "status": "accepted", "justification": justification }]);
        members.insert("suppressions".to_owned(), suppressions);
    }
    Some(result)
}

fn physical(place: &Place) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    // Lines and columns count from 1, here and there.
    if let (Value::Object(members), 1..) = (&mut physical, place.line) {
        let mut region = json!({ "startLine": place.line });
        if let (Value::Object(region), 1..) = (&mut region, place.column) {
            region.insert("startColumn".to_owned(), place.column.into());
        }
        members.insert("region".to_owned(), region);
    }
    physical
}

/// A path as a URI reference (RFC 3986): a relative one stays so, for the reader to know from where.
fn uri(path: &str) -> String {
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_uri_references() {
        let check = |path: &str, expected: &str| assert_eq!(uri(path), expected);
        check("a/b.yaml", "a/b.yaml");
        check("./a.yaml", "a.yaml");
        check("../a.yaml", "../a.yaml");
        check("/srv/ä b#.yaml", "file:///srv/%C3%A4%20b%23.yaml");
        check("c:x%.yaml", "c%3Ax%25.yaml");
    }
}
