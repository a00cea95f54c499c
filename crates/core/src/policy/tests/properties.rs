//! Random resources and questions: the evaluator says what the model says, and keeps its promises.

use proptest::{prelude::*, sample::select};

use super::{
    super::*,
    facts_of,
    model::{self, Answer, CONDITIONS, SAME_FOR_LISTS, glob},
    now, principal,
};
use crate::{
    action::Arguments,
    decision::{Decision, Denial, Verdict},
    pattern::Pattern,
    resource::{Binding, Rule, RuleEffect, Subject, parse_files},
};

const AROUND: &str = "
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: dev }
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: prod }
spec: { mode: observe }
---
apiVersion: narrows.dev/v1alpha1
kind: IdentityProvider
metadata: { name: corp }
spec: { issuer: 'https://corp.example' }
";

fn around() -> ResourceSet {
    let mut yaml = AROUND.to_owned();
    for (namespace, name) in [("dev", "files"), ("dev", "git"), ("prod", "files"), ("prod", "git")] {
        yaml += &format!(
            "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: {namespace}, name: {name} }}\nspec: {{ transport: stdio, command: [x] }}\n"
        );
    }
    parse_files(&[crate::resource::SourceFile { name: "around".into(), text: yaml }]).unwrap()
}

fn patterns(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<Pattern>> {
    proptest::collection::vec(select(of).prop_map(|text| text.parse().unwrap()), least..3)
}

fn rule(conditions: &'static [&'static str]) -> impl Strategy<Value = Rule> {
    let category = || patterns(&["*", "*", "read", "r?ad", "read*", "write"], 0);
    (
        select(&[RuleEffect::Allow, RuleEffect::Allow, RuleEffect::Deny][..]),
        (
            patterns(&["*", "*", "dev", "prod", "d*"], 1),
            patterns(&["*", "*", "files", "git", "?i?", "f*s"], 1),
        ),
        (
            patterns(&["*", "read", "r?ad", "read*", "write"], 1),
            category(),
            category(),
            category(),
            category(),
        ),
        proptest::option::weighted(0.6, select(conditions)),
    )
        .prop_map(|(effect, (namespaces, servers), categories, when)| {
            let (tools, resources, resource_templates, prompts, methods) = categories;
            Rule {
                effect,
                namespaces,
                servers,
                tools,
                resources,
                resource_templates,
                prompts,
                methods,
                when: when.map(Arc::from),
            }
        })
}

fn subject() -> impl Strategy<Value = Subject> {
    let who = select(vec![
        Who::User("alice".into()),
        Who::User("ci".into()),
        Who::Group("dev".into()),
        Who::Group("dev".into()),
        Who::Group("ops".into()),
        Who::ServiceAccount("ci".into()),
    ]);
    let provider = select(&[None, None, Some("corp"), Some("builtin")][..]);
    (who, provider)
        .prop_map(|(who, provider)| Subject { who, provider: provider.map(|name| name.parse().unwrap()) })
}

fn set_of(conditions: &'static [&'static str]) -> impl Strategy<Value = ResourceSet> {
    let roles = proptest::collection::vec(proptest::collection::vec(rule(conditions), 1..7), 1..4);
    let bindings = proptest::collection::vec((0..3_usize, proptest::collection::vec(subject(), 1..5)), 2..8);
    (roles, bindings).prop_map(|(roles, bindings)| {
        let mut set = around();
        for (number, rules) in roles.into_iter().enumerate() {
            let name = format!("role{number}").parse().unwrap();
            set.roles.push(crate::resource::Role { name, labels: Default::default(), rules });
        }
        for (number, (role, subjects)) in bindings.into_iter().enumerate() {
            if role < set.roles.len() {
                set.bindings.push(Binding {
                    name: format!("binding{number}").parse().unwrap(),
                    labels: Default::default(),
                    role: format!("role{role}").parse().unwrap(),
                    subjects,
                });
            }
        }
        set
    })
}

fn who() -> impl Strategy<Value = Principal> {
    let (alice, bob) = (
        principal(PrincipalKind::User, "corp", "alice", &["dev"]),
        principal(PrincipalKind::User, "builtin", "bob", &["dev", "ops"]),
    );
    select(vec![
        alice.clone(),
        alice.clone(),
        alice,
        bob.clone(),
        bob.clone(),
        bob,
        principal(PrincipalKind::User, "corp", "ci", &[]),
        principal(PrincipalKind::ServiceAccount, "builtin", "ci", &["ops"]),
        principal(PrincipalKind::ServiceAccount, "corp", "ci", &[]),
        principal(PrincipalKind::User, "corp", "eve", &[]),
    ])
}

fn server() -> impl Strategy<Value = ServerId> {
    let there = ["dev/files", "dev/git", "prod/files", "prod/git"];
    prop_oneof![12 => select(there.to_vec()), 1 => Just("prod/none")].prop_map(|id| id.parse().unwrap())
}

fn action() -> impl Strategy<Value = Action<'static>> {
    let name = || select(&["read", "read", "read_file", "write", ""][..]);
    let arguments = select(vec![
        Arguments::Known("{}"),
        Arguments::Known(r#"{"n":1}"#),
        Arguments::Known(r#"{"n":2}"#),
        Arguments::Known(r#"{"n":"2"}"#),
        Arguments::Unknown,
    ]);
    prop_oneof![
        1 => Just(Action::UseServer),
        4 => (name(), arguments.clone()).prop_map(|(name, arguments)| Action::CallTool { name, arguments }),
        1 => name().prop_map(|uri| Action::ReadResource { uri }),
        1 => name().prop_map(|uri_template| Action::UseResourceTemplate { uri_template }),
        1 => (name(), arguments).prop_map(|(name, arguments)| Action::GetPrompt { name, arguments }),
        1 => name().prop_map(|name| Action::Method { name }),
    ]
}

fn decide(set: &ResourceSet, who: &Principal, server: &ServerId, action: Action<'_>) -> Decision {
    let snapshot = Snapshot::compile(7, Arc::new(set.clone())).unwrap();
    let query = Query { principal: who, server, action, request: facts_of(action), now: now() };
    snapshot.decide(&snapshot.grants(who), &query)
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Allow(_))
}

fn answer(decision: Decision) -> Answer {
    match decision.verdict {
        Verdict::Allow(rule) => Answer::Allowed(rule),
        Verdict::Deny(Denial::UnknownServer) => Answer::UnknownServer,
        Verdict::Deny(Denial::NoGrant) => Answer::NoGrant,
        Verdict::Deny(Denial::Rule(rule)) => Answer::Denied(rule),
        Verdict::Deny(Denial::ConditionFailed { rule, .. }) => Answer::Failed(rule),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_says_what_the_model_says(
        set in set_of(CONDITIONS), who in who(), server in server(), action in action(),
    ) {
        let query =
            Query { principal: &who, server: &server, action, request: facts_of(action), now: now() };
        prop_assert_eq!(answer(decide(&set, &who, &server, action)), model::decide(&set, &query));
    }

    #[test]
    fn the_order_of_resources_has_no_meaning(
        (set, shuffled) in set_of(CONDITIONS).prop_flat_map(|set| {
            let bindings = Just(set.bindings.clone()).prop_shuffle();
            let (roles, servers) = (Just(set.roles.clone()).prop_shuffle(), Just(set.servers.clone()).prop_shuffle());
            let namespaces = Just(set.namespaces.clone()).prop_shuffle();
            (Just(set), (roles, bindings, servers, namespaces))
        }),
        who in who(), server in server(), action in action(),
    ) {
        let (roles, bindings, servers, namespaces) = shuffled;
        let other = ResourceSet { roles, bindings, servers, namespaces, providers: set.providers.clone(), ..ResourceSet::default() };
        // The whole decision: the cited rule, the mode and the digest too.
        prop_assert_eq!(decide(&set, &who, &server, action), decide(&other, &who, &server, action));
    }

    #[test]
    fn one_more_allow_rule_takes_nothing_away(
        set in set_of(CONDITIONS), mut more in rule(CONDITIONS), role in 0..4_usize,
        who in who(), server in server(), action in action(),
    ) {
        more.effect = RuleEffect::Allow;
        let mut larger = set.clone();
        if let Some(role) = larger.roles.get_mut(role) {
            role.rules.push(more);
        }
        if is_allowed(&decide(&set, &who, &server, action)) {
            prop_assert!(is_allowed(&decide(&larger, &who, &server, action)));
        }
    }

    #[test]
    fn one_more_deny_rule_gives_nothing(
        set in set_of(CONDITIONS), mut more in rule(CONDITIONS), role in 0..4_usize,
        who in who(), server in server(), action in action(),
    ) {
        more.effect = RuleEffect::Deny;
        let mut larger = set.clone();
        if let Some(role) = larger.roles.get_mut(role) {
            role.rules.push(more);
        }
        if is_allowed(&decide(&larger, &who, &server, action)) {
            prop_assert!(is_allowed(&decide(&set, &who, &server, action)));
        }
    }

    #[test]
    fn what_is_listed_is_what_may_be_called(
        set in set_of(SAME_FOR_LISTS), who in who(), server in server(),
        name in select(&["read", "read_file", "write"][..]),
    ) {
        let listed = Action::CallTool { name, arguments: Arguments::Unknown };
        let called = Action::CallTool { name, arguments: Arguments::Known("{}") };
        prop_assert_eq!(
            decide(&set, &who, &server, listed).verdict, decide(&set, &who, &server, called).verdict
        );
    }

    #[test]
    fn what_may_be_called_is_listed_on_a_server_that_may_be_used(
        set in set_of(CONDITIONS), who in who(), server in server(), action in action(),
    ) {
        if is_allowed(&decide(&set, &who, &server, action)) {
            prop_assert!(is_allowed(&decide(&set, &who, &server, Action::UseServer)));
            if let Action::CallTool { name, .. } = action {
                let listed = Action::CallTool { name, arguments: Arguments::Unknown };
                prop_assert!(is_allowed(&decide(&set, &who, &server, listed)));
            }
        }
    }

    #[test]
    fn what_is_explained_is_what_is_decided(
        set in set_of(CONDITIONS), who in who(), server in server(), action in action(),
    ) {
        let snapshot = Snapshot::compile(7, Arc::new(set)).unwrap();
        let query =
            Query { principal: &who, server: &server, action, request: facts_of(action), now: now() };
        let decision = snapshot.decide(&snapshot.grants(&who), &query);
        // It asserts besides that all rules together give the verdict that the index gave.
        let explanation = snapshot.explain(&query);
        prop_assert_eq!(explanation.effect == "allow", is_allowed(&decision));
        prop_assert!(explanation.roles.iter().all(|held| !held.bindings.is_empty()));
    }

    #[test]
    fn patterns_match_as_they_are_read(pattern in "[ab?*]{1,8}", name in "[abé*?]{0,10}") {
        if let Ok(compiled) = pattern.parse::<Pattern>() {
            prop_assert_eq!(compiled.matches(&name), glob(&pattern, &name), "{} on {}", pattern, name);
        }
    }

    #[test]
    fn a_set_survives_its_canonical_form(set in set_of(CONDITIONS)) {
        let json = set.to_canonical_json().unwrap();
        let back = ResourceSet::from_json(&json).unwrap();
        prop_assert_eq!(back.to_canonical_json().unwrap(), json);
    }
}

/// The worst patterns take time proportional to the product of the lengths at most.
#[test]
fn a_hostile_pattern_is_quick() {
    let pattern: Pattern = format!("{}b", "*a".repeat(200)).parse().unwrap();
    let name = "a".repeat(20_000);
    let started = std::time::Instant::now();
    assert!(!pattern.matches(&name));
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
}
