//! Policies of people: what they cover, what they see, what becomes of it.

use super::*;

fn policy(name: &str, spec: &str) -> String {
    format!("---\n{HEAD}kind: GovernancePolicy\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
}

/// A policy of one rule for everything of one kind.
fn one_rule(kind: &str, expression: &str) -> String {
    policy(
        "own",
        &format!(
            "{{ namespaces: [\"*\"], kinds: [{kind}], action: deny, rules: [{{ name: r, expression: '{}', message: m }}] }}",
            expression.replace('\'', "''")
        ),
    )
}

fn exemption(spec: &str) -> String {
    format!(
        "---\n{HEAD}kind: PolicyExemption\nmetadata: {{ name: ex }}\nspec: {{ {spec}, owner: bob, reason: migration }}\n"
    )
}

const GOOD: &str = "{ transport: stdio, command: [a], resources: { cpu: 1, memory: 64Mi } }";

/// A development namespace and one server in it, `dev/files`, with nothing wrong.
fn around() -> String {
    namespace("dev", "dev") + &server("dev/files", GOOD)
}

#[test]
fn expressions_see_what_they_should() {
    let check = |expression: &str, expected: &str| {
        let found = violations(&(around() + &one_rule("McpServer", expression)));
        let said: Vec<&str> = found.iter().map(|violation| violation.message.as_str()).collect();
        assert_eq!(said.join("; "), expected, "{expression}");
    };
    for complied in [
        "true",
        "object.kind == \"McpServer\" && object.apiVersion == \"narrows.dev/v1alpha1\"",
        "object.metadata.name == \"files\" && object.metadata.namespace == \"dev\"",
        // Defaults are written out.
        "object.spec.sessions == \"isolated\" && object.spec.replicas == 1",
        "!has(object.spec.image) || object.spec.image.contains(\"@sha256:\")",
        "oldObject == null && object != null",
        "namespaceObject.spec.environment == \"dev\" && namespaceObject.metadata.name == \"dev\"",
        "request.operation == \"CREATE\" && request.kind == \"McpServer\" && !request.dryRun",
        "request.namespace == \"dev\" && request.name == \"files\"",
        "request.userInfo.username == \"alice\" && \"ops\" in request.userInfo.groups",
    ] {
        check(complied, "");
    }
    check("false", "m");
    check("object.spec.replicas > 1", "m");
    check("object.spec.image == \"x\"", "m (the rule can't be judged: there is no `image`)");
    check(
        "oldObject.spec.replicas == 1",
        "m (the rule can't be judged: `.` is not for null_type and string)",
    );
    check("object.spec.command[7] == \"x\"", "m (the rule can't be judged: an index is outside of its list)");
    check("object.spec.command", "m (the rule can't be judged: the result is neither true nor false)");
    check("object.spec.replicas == 1 / 0", "m (the rule can't be judged: division by zero)");
    check("object.metadata.name < 3", "m (the rule can't be judged: `<` is not for string and int)");
}

#[test]
fn an_expression_that_costs_too_much_is_not_complied_with() {
    let words = vec!["word"; 1_000].join(", ");
    let large = server("dev/large", &GOOD.replace("[a]", &format!("[a, {words}]")));
    let expression = "object.spec.command.all(a, object.spec.command.exists(b, a == b))";
    let found = violations(&(namespace("dev", "dev") + &large + &one_rule("McpServer", expression)));
    assert_eq!(rules(&found), ["own/r"]);
    assert_eq!(
        found[0].message,
        "m (the rule can't be judged: it would take too many steps on a resource of this size)"
    );
}

#[test]
fn policies_cover_what_they_say() {
    let text = namespace("dev", "dev")
        + &namespace("team-a", "staging")
        + &server("dev/files", GOOD)
        + &server("team-a/files", GOOD)
        + &format!(
            "---\n{HEAD}kind: McpRole\nmetadata: {{ name: r }}\nspec: {{ rules: [{{ effect: allow, namespaces: [dev], servers: [files], tools: [a] }}] }}\n"
        );
    let check = |covers: &str, expected: &[&str]| {
        let spec = format!(
            "{{ {covers}, rules: [{{ name: r, expression: \"false\", message: m, field: metadata.name }}] }}"
        );
        let found = violations(&(text.clone() + &policy("own", &spec)));
        let said: Vec<String> = found
            .iter()
            .map(|violation| format!("{} {}", violation.object, violation.effect.as_str()))
            .collect();
        assert_eq!(said, expected, "{covers}");
    };
    check("namespaces: [dev], action: deny", &["McpServer `dev/files` deny"]);
    check("namespaces: [\"team-*\"], action: warn", &["McpServer `team-a/files` warn"]);
    check("namespaces: [prod], action: deny", &[]);
    check(
        "namespaces: [\"*\"], action: deny, kinds: [McpServer]",
        &["McpServer `dev/files` deny", "McpServer `team-a/files` deny"],
    );
    check(
        "namespaces: [\"*\"], environments: [staging], elsewhere: warn, action: deny",
        &["McpServer `dev/files` warn", "McpServer `team-a/files` deny"],
    );
    check("namespaces: [\"*\"], environments: [\"stag*\"], action: deny", &["McpServer `team-a/files` deny"]);
    check(
        "namespaces: [\"team-?\"], kinds: [GovernedNamespace, McpServer], action: deny",
        &["GovernedNamespace `team-a` deny", "McpServer `team-a/files` deny"],
    );
    check("namespaces: [\"*\"], kinds: [McpRole, IdentityProvider], action: warn", &["McpRole `r` warn"]);
    check("namespaces: [\"*\"], kinds: [GovernancePolicy], action: warn", &["GovernancePolicy `own` warn"]);
}

#[test]
fn what_was_found_is_shown() {
    let spec = |field: &str| {
        format!(
            "{{ namespaces: [\"*\"], action: deny, rules: [{{ name: r, expression: \"false\", message: m, field: \"{field}\", expected: e }}] }}"
        )
    };
    let check = |field: &str, expected: &str| {
        let found = violations(&(around() + &policy("own", &spec(field))));
        assert_eq!(found[0].actual.as_deref(), Some(expected), "{field}");
        assert_eq!((found[0].field.as_deref(), found[0].expected.as_deref()), (Some(field), Some("e")));
    };
    check("spec.transport", "stdio");
    check("spec.command[0]", "a");
    check("spec.command", "[\"a\"]");
    check("spec.resources.memory", "64Mi");
    check("spec.image", "(not there)");
    check("spec.command[1]", "(not there)");
    check("metadata.labels", "{\"team\":\"a\"}");
}

/// An exemption of another rule, of another place or of another time is none.
#[test]
fn exemptions() {
    let text = namespace("prod", "prod") + &server("prod/files", &GOOD.replace("[a]", "[npx, a]"));
    let check = |spec: &str, expected: &str| {
        let found = violations(&(text.clone() + &exemption(spec)));
        assert_eq!(rules(&found), [format!("narrows-packages/npx{expected}")], "{spec}");
    };
    let all = "policy: narrows-packages, namespaces: [prod]";
    let (denied, exempted) = ("", " (exempted)");
    check(&format!("{all}, expires: 2027-02-01"), exempted);
    check(&format!("{all}, expires: \"2027-01-15T12:00:01Z\""), exempted);
    // It ends with the moment that it names.
    check(&format!("{all}, expires: \"{NOW}\""), denied);
    check(&format!("{all}, expires: 2027-01-15"), denied);
    check(&format!("{all}, expires: 2020-01-01"), denied);
    check(&format!("{all}, rules: [npx], expires: 2027-02-01"), exempted);
    check(&format!("{all}, rules: [uvx, dlx], expires: 2027-02-01"), denied);
    check(&format!("{all}, servers: [\"fi*\"], expires: 2027-02-01"), exempted);
    check(&format!("{all}, servers: [other], expires: 2027-02-01"), denied);
    check("policy: narrows-packages, namespaces: [dev], expires: 2027-02-01", denied);
    check("policy: narrows-secrets, namespaces: [prod], expires: 2027-02-01", denied);
    let ended = violations(&(text.clone() + &exemption(&format!("{all}, expires: 2027-01-01"))));
    assert!(ended[0].message.ends_with("(the exemption `ex` ended at 2027-01-01T00:00:00Z)"), "{ended:?}");
    let alive = violations(&(text + &exemption(&format!("{all}, expires: 2027-02-01"))));
    assert_eq!(
        alive[0].effect,
        Effect::Exempted {
            exemption: "ex".parse().unwrap(),
            owner: "bob".into(),
            expires: "2027-02-01T00:00:00Z".parse().unwrap()
        }
    );
}

/// Whether a change is refused, by what the policy does, whether the rule is complied with, and what there is of an exemption.
#[test]
fn the_truth_table() {
    let mut table = String::new();
    for action in ["deny", "warn"] {
        for expression in ["true", "false", "object.spec.nothing"] {
            for until in ["none", "2027-02-01", "2027-01-01"] {
                let own = policy(
                    "own",
                    &format!(
                        "{{ namespaces: [dev], action: {action}, rules: [{{ name: r, expression: {expression:?}, message: m }}] }}"
                    ),
                );
                let exempt = match until {
                    "none" => String::new(),
                    until => exemption(&format!("policy: own, namespaces: [dev], expires: {until}")),
                };
                let outcome = match put(&Desired::nothing(), &(around() + &own + &exempt)) {
                    Ok(Reviewed::Change(accepted)) if accepted.warnings().is_empty() => "in force".to_owned(),
                    Ok(Reviewed::Change(accepted)) => {
                        format!("in force, {}", accepted.warnings()[0].effect.as_str())
                    }
                    Err(Refusal::Denied(_)) => "refused".to_owned(),
                    other => panic!("{other:?}"),
                };
                table.push_str(&format!("{action} {expression} {until}: {outcome}\n"));
            }
        }
    }
    assert_eq!(
        table,
        "deny true none: in force\n\
         deny true 2027-02-01: in force\n\
         deny true 2027-01-01: in force\n\
         deny false none: refused\n\
         deny false 2027-02-01: in force, exempted\n\
         deny false 2027-01-01: refused\n\
         deny object.spec.nothing none: refused\n\
         deny object.spec.nothing 2027-02-01: in force, exempted\n\
         deny object.spec.nothing 2027-01-01: refused\n\
         warn true none: in force\n\
         warn true 2027-02-01: in force\n\
         warn true 2027-01-01: in force\n\
         warn false none: in force, warn\n\
         warn false 2027-02-01: in force, exempted\n\
         warn false 2027-01-01: in force, warn\n\
         warn object.spec.nothing none: in force, warn\n\
         warn object.spec.nothing 2027-02-01: in force, exempted\n\
         warn object.spec.nothing 2027-01-01: in force, warn\n"
    );
}

/// Only what a change creates and updates is judged.
#[test]
fn what_is_there_already_is_left_alone() {
    let state =
        after([around(), one_rule("McpServer", "request.operation == \"UPDATE\" && oldObject != null")]);
    let denied = |outcome: Result<Reviewed, Refusal>| match outcome {
        Err(Refusal::Denied(denied)) => {
            assert_eq!(denied.base, state.revision);
            denied.changes.iter().map(|change| change.key.to_string()).collect::<Vec<_>>()
        }
        Ok(_) => Vec::new(),
        Err(other) => panic!("{other:?}"),
    };
    // `dev/files` was there before the policy, and stays as it is.
    assert_eq!(denied(put(&state, &around())), Vec::<String>::new());
    let update = server("dev/files", &GOOD.replace("[a]", "[b]"));
    assert_eq!(denied(put(&state, &update)), Vec::<String>::new());
    // All violations of all resources are said at once, and those that are fine are not among the refused.
    let create = server("dev/a", GOOD) + &server("dev/b", GOOD);
    assert_eq!(denied(put(&state, &(create + &update))), ["McpServer `dev/a`", "McpServer `dev/b`"]);
    // A removal is never in the way.
    let edits = Edits { remove: vec![key("McpServer", "dev/files")], ..Edits::default() };
    let removed = state.review(Proposal::Edits(edits), Following::Nothing, &asked());
    assert!(matches!(removed, Ok(Reviewed::Change(_))));
    // The policies of the state that the change leads to are the ones that count.
    let edits = Edits {
        put: documents(&server("dev/a", GOOD)),
        remove: vec![key("GovernancePolicy", "own")],
        ..Edits::default()
    };
    let replaced = state.review(Proposal::Edits(edits), Following::Nothing, &asked());
    assert!(matches!(replaced, Ok(Reviewed::Change(_))));
}

#[test]
fn every_rule_that_covers_is_examined() {
    let set = set(&(namespace("prod", "prod") + &server("prod/files", GOOD)));
    let examined = examine(&created(&set), &set, &asked());
    assert!(examined.iter().all(|one| one.violation.is_none()));
    let rules: usize =
        crate::governance::pack::pack().iter().map(|built_in| built_in.policy.rules.len()).sum();
    assert_eq!(examined.len(), rules, "the namespace is of no kind that they are for");
}
