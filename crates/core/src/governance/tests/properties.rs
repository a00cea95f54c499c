//! What holds whatever is written.

use proptest::prelude::*;

use super::*;
use crate::resource::{Environments, Policy, PolicyAction, PolicyRule, ResourceKind};

fn with_policy(expression: &str) -> ResourceSet {
    let server = server("dev/files", "{ transport: stdio, command: [a] }");
    let mut set = set(&(namespace("dev", "dev") + &server));
    // Not through a file, which would be refused where the expression can't be compiled.
    set.policies.push(Policy {
        name: "own".parse().unwrap(),
        labels: [].into(),
        namespaces: vec!["*".parse().unwrap()],
        environments: Environments::Any,
        kinds: vec![ResourceKind::McpServer],
        action: PolicyAction::Deny,
        rules: vec![PolicyRule {
            name: "r".parse().unwrap(),
            expression: expression.into(),
            message: "m".into(),
            field: Some("spec".into()),
            expected: None,
        }],
    });
    set
}

fn is_denied(expression: &str) -> bool {
    let set = with_policy(expression);
    let found = judge(&created(&set), &set, &asked());
    found.iter().any(|violation| violation.policy.as_str() == "own" && violation.denies())
}

/// Expressions that have no value, or none that is true or false.
const FAILING: [&str; 14] = [
    "object.spec.nothing",
    "object.nothing == \"x\"",
    "oldObject.spec.replicas == 1",
    "object.spec.command[9] == \"a\"",
    "object.spec.command[-1] == \"a\"",
    "1 / 0 == 1",
    "9223372036854775807 + 1 > 0",
    "object.metadata.name < 1",
    "object.spec.replicas",
    "object.spec.command.map(a, a)",
    "object.metadata.name.startsWith(object.spec.replicas)",
    "int(object.metadata.name) == 1",
    "request.userInfo.nothing == \"x\"",
    "{\"a\": object.spec.nothing}.a == \"x\"",
];

proptest! {
    /// Nothing that can't be evaluated lets a change through, in whatever it is wrapped that needs its value.
    #[test]
    fn what_has_no_value_is_not_complied_with(
        atom in proptest::sample::select(FAILING.to_vec()),
        wraps in proptest::collection::vec(0..7_u8, 0..4),
    ) {
        let expression = wraps.iter().fold(format!("({atom})"), |inner, wrap| match wrap {
            0 => format!("!({inner})"),
            1 => format!("({inner} && true)"),
            2 => format!("(true && {inner})"),
            3 => format!("({inner} ? true : true)"),
            4 => format!("(false || {inner})"),
            5 => format!("(has(object.spec) && {inner})"),
            _ => format!("[1, 2].all(x, {inner})"),
        });
        prop_assert!(is_denied(&expression), "{expression}");
    }

    /// Nor does any text at all that is not an expression, or names something else.
    #[test]
    fn no_text_lets_a_change_through(text in "[ -~]{0,40}") {
        prop_assume!(!text.contains("true") && !text.contains('!') && !text.contains('=') && !text.contains('<') && !text.contains('>'));
        prop_assert!(is_denied(&text), "{text}");
    }
}

#[test]
fn what_holds_is_complied_with() {
    for expression in ["true", "object.spec.replicas == 1", "true || object.spec.nothing"] {
        assert!(!is_denied(expression), "{expression}");
    }
}
