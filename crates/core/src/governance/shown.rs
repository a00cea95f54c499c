//! What is shown of a resource beside a violation: the value of the field that the rule names, short, and without anything
//! that could be a secret. Whoever reads a denial, a warning or a record of one need not be allowed to read the resource.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Longest value that is shown, in characters.
const LONGEST: usize = 200;
const HIDDEN: &str = "(not shown)";
const ABSENT: &str = "(not there)";

/// The shapes of secrets, of assignments of secrets, and of options whose value is the next word. The policies that are built
/// in have the same; what is found by them must not be shown by what is here.
static SECRETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let shapes = [
        r"(^|[^A-Za-z0-9])(gh[pousr]_[A-Za-z0-9]|github_pat_|glpat-|sk-[A-Za-z0-9_-]{10}|[sr]k_live_|A[KS]IA[A-Z0-9]{12}|xox[abeprs]-|AIza[A-Za-z0-9_-]{20}|npm_[A-Za-z0-9]{20}|hf_[A-Za-z0-9]{20}|eyJ[A-Za-z0-9_-]+[.]eyJ)",
        r"-----BEGIN [A-Z ]*PRIVATE KEY|://[^/@ ]*:[^/@ ]+@",
        r"(?i)(^|[^A-Za-z0-9_])([A-Z0-9]+[-_])*(KEY|TOKEN|SECRET|PASSWORD|PASSWD|APIKEY|SIG|SIGNATURE|CREDENTIALS?)=",
        r"(?i)(^|[^A-Za-z0-9])(authorization|bearer|basic)([ :=]|$)",
    ];
    shapes.iter().filter_map(|shape| Regex::new(shape).ok()).collect()
});
static OPTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)^-H$|^--?([a-z0-9]+[-_])*(token|api[-_]?key|key|secret|password|passwd|passphrase|pat|auth|bearer|credentials?|headers?)$").ok()
});

/// Whether a path leads to a part of a resource: `spec.image`, `spec.command[0]`, `metadata.labels.team`.
///
/// # Errors
/// Why not.
pub(crate) fn check_field(path: &str) -> Result<(), &'static str> {
    let root = path.split(['.', '[']).next().unwrap_or_default();
    if !["apiVersion", "kind", "metadata", "spec"].contains(&root) {
        return Err("is in no part of a resource: it begins with `spec`, `metadata`, `kind` or `apiVersion`");
    }
    if path.len() > 256 {
        return Err("is longer than 256 bytes");
    }
    let is_step = |step: &str| {
        let (name, indexes) = step.split_once('[').map_or((step, None), |(name, rest)| (name, Some(rest)));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let is_index = |rest: &str| {
            rest.strip_suffix(']').is_some_and(|rest| {
                rest.split("][")
                    .all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            })
        };
        !name.is_empty() && name.chars().all(is_name) && indexes.is_none_or(is_index)
    };
    if path.split('.').all(is_step) { Ok(()) } else { Err("is not a path") }
}

/// The value at a path, for people.
pub(super) fn actual(manifest: &Value, path: &str) -> String {
    let mut harmless = manifest.clone();
    hide(&mut harmless, "");
    let mut at = &harmless;
    for step in path.split(['.', '[']) {
        let next = match step.strip_suffix(']') {
            Some(number) => number.parse::<usize>().ok().and_then(|number| at.get(number)),
            None => at.get(step),
        };
        match next {
            Some(next) => at = next,
            None => return ABSENT.to_owned(),
        }
    }
    let text = match at {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            at.to_string()
        }
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

/// Puts something else in place of what could be a secret: every value of the environment, whatever has the shape of a
/// secret, and the word behind an option that takes one.
fn hide(value: &mut Value, name: &str) {
    match value {
        Value::String(text) => {
            if is_secret(text) {
                *text = HIDDEN.to_owned();
            }
        }
        Value::Array(elements) => {
            let mut follows_option = false;
            for element in elements {
                let is_option = element.as_str().is_some_and(is_option);
                match element {
                    Value::String(text) if follows_option => *text = HIDDEN.to_owned(),
                    Value::Object(variable) if name == "env" => {
                        variable.entry("value").and_modify(|value| *value = HIDDEN.into());
                    }
                    other => hide(other, ""),
                }
                follows_option = is_option;
            }
        }
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                hide(member, name);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_secret(text: &str) -> bool {
    // One that was not compiled would hide nothing.
    SECRETS.len() < 3 || SECRETS.iter().any(|shape| shape.is_match(text))
}

fn is_option(text: &str) -> bool {
    OPTION.as_ref().is_none_or(|option| option.is_match(text))
}
