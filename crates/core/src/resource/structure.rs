//! Whether a document has the form that its kind's JSON Schema says: fields that exist, of the right types, none
//! missing. All deviations are reported, each with its place. Only the words of JSON Schema that
//! [`super::written::json_schema`] uses are understood.

use std::sync::LazyLock;

use serde_json::Value;

use super::{
    ResourceKind,
    document::{Content, Node},
    report::Report,
    written,
};
use crate::suggest::nearest;

static SCHEMA: LazyLock<Value> = LazyLock::new(written::json_schema);

/// The schema that documents are checked against.
pub(super) fn schema() -> &'static Value {
    &SCHEMA
}

/// Fields that are refused with a reason, by the path they stand in (indexes left out) and their name.
const REFUSED: &[(ResourceKind, &str, &str, &str, &str)] = &[
    (
        ResourceKind::McpServer,
        "spec",
        "image",
        "is for Kubernetes only",
        "run it with `transport: stdio` and `command`, or reach it with `transport: http` and `url`",
    ),
    (ResourceKind::McpServer, "spec", "egress", NOT_YET, REMOVE),
    (ResourceKind::McpServer, "spec.env[]", "secretRef", NOT_YET, REMOVE),
    (ResourceKind::McpRole, "spec.rules[]", "actions", NOT_YET, REMOVE),
    (ResourceKind::McpRole, "spec", "actions", NOT_YET, REMOVE),
];
const NOT_YET: &str = "can't be enforced yet by this version";
const REMOVE: &str = "remove it; a field that can't be enforced is refused, not ignored";

/// Checks `metadata` and `spec` of a document; the report has its kind.
pub(super) fn check(document: &Node, report: &mut Report<'_>) {
    let kind = report.kind();
    let of_kind = |branch: &&Value| {
        let condition = word(word(word(branch, "if"), "properties"), "kind");
        word(condition, "const").as_str() == Some(kind.as_str())
    };
    let branch = word(&SCHEMA, "allOf").as_array().into_iter().flatten().find(of_kind);
    let mut check = Check { report };
    check.object(document, &SCHEMA, "");
    for part in ["metadata", "spec"] {
        let schema = branch.map(|branch| word(word(word(branch, "then"), "properties"), part));
        if let (Some(node), Some(schema)) = (document.get(part), schema) {
            check.value(node, schema, part);
        }
    }
}

struct Check<'r, 'a> {
    report: &'r mut Report<'a>,
}

impl Check<'_, '_> {
    fn value(&mut self, node: &Node, schema: &Value, path: &str) {
        let schema = resolve(schema);
        if let Some(variants) = word(schema, "anyOf").as_array() {
            // An optional part: the part or null.
            let part = variants.iter().find(|variant| word(variant, "type").as_str() != Some("null"));
            match (&node.content, part) {
                (Content::Null, _) | (_, None) => {}
                (_, Some(part)) => self.value(node, part, path),
            }
            return;
        }
        let choices = choices(schema);
        if !choices.is_empty() {
            self.choice(node, &choices, path);
            return;
        }
        let types = types(schema);
        if !types.iter().any(|name| is_of(&node.content, name)) {
            self.wrong_type(node, &types, path);
            return;
        }
        match &node.content {
            Content::Map(_) => self.object(node, schema, path),
            Content::List(elements) => {
                if elements.is_empty() && word(schema, "minItems").as_u64().is_some_and(|least| least > 0) {
                    self.report.at(node, format!("`{path}` is empty"), None);
                }
                for (index, element) in elements.iter().enumerate() {
                    self.value(element, word(schema, "items"), &format!("{path}[{index}]"));
                }
            }
            Content::Integer(number) => self.range(node, *number, schema, path),
            Content::Null | Content::Bool(_) | Content::Float(_) | Content::Text(_) => {}
        }
    }

    fn object(&mut self, node: &Node, schema: &Value, path: &str) {
        let shown = if path.is_empty() { "the document" } else { path };
        let properties = word(schema, "properties").as_object();
        let mut refused = false;
        for (key, value) in node.members() {
            let Some(name) = key.text() else {
                self.report.at(key, format!("a key in `{shown}` is not a text"), None);
                continue;
            };
            let known = properties.is_some_and(|properties| properties.contains_key(name));
            match (known, word(schema, "additionalProperties")) {
                // The parts of the document itself are checked by kind.
                (true, _) if path.is_empty() => {}
                (true, _) => {
                    self.value(value, word(word(schema, "properties"), name), &format!("{path}.{name}"))
                }
                (false, Value::Bool(false)) => refused |= self.unknown(key, name, properties, path),
                (false, values) => self.value(value, values, &format!("{path}.{name}")),
            }
        }
        if refused {
            return;
        }
        for name in word(schema, "required").as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Without kind there would be no report; the version is the reader's to say.
            if node.get(name).is_none() && name != "apiVersion" {
                let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                self.report.at(node, format!("`{full}` is missing"), None);
            }
        }
    }

    /// Reports a field that does not exist; true if it is one that is refused for a reason.
    fn unknown(
        &mut self,
        key: &Node,
        name: &str,
        properties: Option<&serde_json::Map<String, Value>>,
        path: &str,
    ) -> bool {
        let plain = without_indexes(path);
        let kind = self.report.kind();
        let reason = REFUSED
            .iter()
            .find(|(of, at, field, _, _)| *of == kind && *at == plain && *field == name)
            .map(|(_, _, _, reason, hint)| (*reason, *hint));
        if let Some((reason, hint)) = reason {
            self.report.at(key, format!("`{path}.{name}` {reason}"), Some(hint.to_owned()));
            return true;
        }
        let fields: Vec<&str> =
            properties.into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
        let hint = match nearest(name, fields.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", quoted(&fields)),
        };
        let message = if path.is_empty() {
            format!("there is no field `{name}`")
        } else {
            format!("`{path}` has no field `{name}`")
        };
        self.report.at(key, message, Some(hint));
        false
    }

    fn choice(&mut self, node: &Node, choices: &[&str], path: &str) {
        if node.text().is_some_and(|text| choices.contains(&text)) {
            return;
        }
        let symmetric = without_indexes(path) == "spec.algorithms[]"
            && node.text().is_some_and(|text| text.starts_with("HS"));
        let near = node.text().and_then(|text| nearest(text, choices.iter().copied()));
        let hint = match near {
            _ if symmetric => {
                "with a symmetric algorithm everyone who can check a token can also make one".to_owned()
            }
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", quoted(choices)),
        };
        self.report.at(node, format!("`{path}` can't be {}", node.described()), Some(hint));
    }

    fn wrong_type(&mut self, node: &Node, types: &[&str], path: &str) {
        let wanted: Vec<&str> =
            types.iter().filter(|name| **name != "null").map(|name| in_words(name)).collect();
        let hint = match (&node.content, types.first().copied()) {
            (Content::Integer(_) | Content::Float(_) | Content::Bool(_), Some("string")) => {
                Some("write it in quotes".to_owned())
            }
            (Content::Text(_), Some("array")) => Some("write it as a list: `[…]`".to_owned()),
            (Content::Null, _) => Some("write a value, or remove the field".to_owned()),
            (_, _) => None,
        };
        let message = format!("`{path}` is {}, not {}", node.described(), wanted.join(" or "));
        self.report.at(node, message, hint);
    }

    fn range(&mut self, node: &Node, number: i64, schema: &Value, path: &str) {
        if let Some(least) = word(schema, "minimum").as_i64().filter(|least| number < *least) {
            self.report.at(node, format!("`{path}` is {number}, less than {least}"), None);
        }
        if word(schema, "format").as_str() == Some("uint32") && number > i64::from(u32::MAX) {
            self.report.at(node, format!("`{path}` is {number}, more than {}", u32::MAX), None);
        }
    }
}

/// A word of a schema; null if it doesn't have it.
fn word<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema.get(name).unwrap_or(&Value::Null)
}

fn resolve(schema: &Value) -> &Value {
    match word(schema, "$ref").as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        Some(name) => word(word(&SCHEMA, "$defs"), name),
        None => schema,
    }
}

/// The texts that an enumeration allows; empty if it is no enumeration.
fn choices(schema: &Value) -> Vec<&str> {
    let listed = word(schema, "enum").as_array().into_iter().flatten().filter_map(Value::as_str);
    let described = word(schema, "oneOf").as_array().into_iter().flatten();
    let described = described.flat_map(|variant| {
        let constant = word(variant, "const").as_str();
        constant
            .into_iter()
            .chain(word(variant, "enum").as_array().into_iter().flatten().filter_map(Value::as_str))
    });
    listed.chain(described).collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match word(schema, "type") {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn is_of(content: &Content, name: &str) -> bool {
    match content {
        Content::Null => name == "null",
        Content::Bool(_) => name == "boolean",
        Content::Integer(_) => name == "integer" || name == "number",
        Content::Float(_) => name == "number",
        Content::Text(_) => name == "string",
        Content::List(_) => name == "array",
        Content::Map(_) => name == "object",
    }
}

fn in_words(name: &str) -> &str {
    match name {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        other => other,
    }
}

fn without_indexes(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => {
                inside = true;
                plain.push(c);
            }
            ']' => {
                inside = false;
                plain.push(c);
            }
            _ if inside => {}
            _ => plain.push(c),
        }
    }
    plain
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
