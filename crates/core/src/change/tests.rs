use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{
    governance::Purpose,
    resource::{ResourceKind, SourceFile},
};

const NAMESPACE: &str =
    "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\nspec: {}\n";

fn server(name: &str, argument: &str) -> String {
    // Arguments are texts.
    let argument = argument
        .split(", ")
        .map(|part| format!("\"{}\"", part.trim_matches('"')))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: {name} }}\n\
         spec: {{ transport: stdio, command: [run, {argument}] }}\n"
    )
}

fn asked() -> Asked {
    Asked {
        username: "alice".into(),
        groups: [].into(),
        purpose: Purpose::Change,
        now: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn documents(text: &str) -> Documents {
    Documents::read(&[SourceFile { name: "r.yaml".into(), text: text.to_owned() }])
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(ResourceKind::McpServer, &format!("dev/{name}")).unwrap()
}

fn files(text: &str) -> Proposal {
    Proposal::Files(FollowedFiles { documents: documents(text), directory: "/etc".into() })
}

fn put(text: &str) -> Proposal {
    Proposal::Edits(Edits { put: documents(text), ..Edits::default() })
}

fn remove(name: &str) -> Proposal {
    Proposal::Edits(Edits { remove: vec![key(name)], ..Edits::default() })
}

/// The state after proposals that must be accepted.
fn after(proposals: impl IntoIterator<Item = Proposal>) -> Desired {
    proposals.into_iter().fold(Desired::nothing(), |state, proposal| {
        match state.review(proposal, Following::Nothing, &asked()).unwrap() {
            Reviewed::Unchanged => state,
            Reviewed::Change(accepted) => accepted.desired(),
        }
    })
}

/// What a proposal comes to, in lines: what changes and which file it follows, or why it is refused.
fn outcome(state: &Desired, proposal: Proposal, following: Following) -> String {
    let mut text = String::new();
    match state.review(proposal, following, &asked()) {
        Ok(Reviewed::Unchanged) => text.push_str("unchanged"),
        Ok(Reviewed::Change(accepted)) => {
            assert_eq!(accepted.snapshot().revision().number, state.revision.number + 1);
            for change in accepted.changes() {
                let file = change.file.as_deref().unwrap_or("-");
                let name = change.key.full_name();
                write!(text, "{} {name} {file};", change.operation().as_str()).unwrap();
            }
        }
        Err(Refusal::Problems(problems)) => {
            for problem in problems {
                writeln!(text, "{problem}").unwrap();
            }
        }
        Err(refusal) => write!(text, "{refusal:?}").unwrap(),
    }
    text
}

#[test]
fn each_resource_has_one_manager() {
    let check = |state: &Desired, proposal: Proposal, expected: &str| {
        assert_eq!(outcome(state, proposal, Following::Nothing), expected);
    };
    let both = NAMESPACE.to_owned() + &server("a", "1") + &server("b", "1");
    let followed = after([files(&both)]);
    check(&followed, files(&both), "unchanged");
    check(
        &followed,
        files(&(NAMESPACE.to_owned() + &server("a", "2"))),
        "update dev/a /etc/r.yaml;delete dev/b -;",
    );
    // What follows a file is not the API's.
    check(
        &followed,
        put(&server("a", "2")),
        "Followed([(ObjectKey { kind: McpServer, name: \"dev/a\" }, \"/etc/r.yaml\")])",
    );
    check(
        &followed,
        remove("b"),
        "Followed([(ObjectKey { kind: McpServer, name: \"dev/b\" }, \"/etc/r.yaml\")])",
    );
    check(&followed, put(&server("a", "1")), "unchanged");
    // Beside it, the API has its own.
    check(&followed, put(&server("c", "1")), "create dev/c -;");
    let mixed = after([files(&both), put(&server("c", "1"))]);
    check(&mixed, files(&both), "unchanged");
    check(&mixed, files(NAMESPACE), "delete dev/a -;delete dev/b -;");
    check(&mixed, remove("c"), "delete dev/c -;");
    // A file does not take what is the API's, unless nothing is lost by it.
    check(
        &mixed,
        files(&(both.clone() + &server("c", "2"))),
        "r.yaml: McpServer `dev/c` is managed through the API and is different there\n  hint: remove it from the file, \
         or from the API: `narrows delete McpServer dev/c`\n",
    );
    check(&mixed, files(&(both.clone() + &server("c", "1"))), "adopt dev/c /etc/r.yaml;");
}

#[test]
fn a_resource_can_be_taken_from_a_file_that_is_not_followed_now() {
    let both = NAMESPACE.to_owned() + &server("a", "1");
    let followed = after([files(&both)]);
    let taken = |argument: &str| {
        let put = documents(&server("a", argument));
        Proposal::Edits(Edits { put, files: FollowedObjects::TakeOver, ..Edits::default() })
    };
    assert_eq!(outcome(&followed, taken("1"), Following::Nothing), "adopt dev/a -;");
    assert_eq!(outcome(&followed, taken("2"), Following::Nothing), "update dev/a -;");
    assert!(outcome(&followed, taken("2"), Following::Files).starts_with("Followed"));
    let state = after([files(&both), taken("2")]);
    assert_eq!(outcome(&state, put(&server("a", "3")), Following::Nothing), "update dev/a -;");
}

#[test]
fn a_state_without_managers_is_the_files_or_the_apis() {
    let text = NAMESPACE.to_owned() + &server("a", "1");
    let old = Desired { managers: Managers::Unknown, ..after([files(&text)]) };
    let check = |proposal: Proposal, expected: &str| {
        assert_eq!(outcome(&old, proposal, Following::Nothing), expected);
    };
    check(files(&text), "adopt dev /etc/r.yaml;adopt dev/a /etc/r.yaml;");
    check(
        files(&(NAMESPACE.to_owned() + &server("a", "2"))),
        "adopt dev /etc/r.yaml;update dev/a /etc/r.yaml;",
    );
    check(files(NAMESPACE), "adopt dev /etc/r.yaml;delete dev/a -;");
    check(put(&server("a", "2")), "update dev/a -;");
}

#[test]
fn edits_are_refused_with_the_reason() {
    let state = after([put(&(NAMESPACE.to_owned() + &server("a", "1")))]);
    let check = |edits: Edits, expected: &str| {
        assert_eq!(outcome(&state, Proposal::Edits(edits), Following::Nothing), expected);
    };
    let of = |base: &str| Edits {
        base: Some(base.parse().unwrap()),
        put: documents(&server("a", "2")),
        ..Edits::default()
    };
    let current = state.revision.to_string();
    check(of("1"), "update dev/a -;");
    check(of(&current), "update dev/a -;");
    for stale in ["0", "2", "1-0123456789abcdef", "2-0123456789abcdef"] {
        let refused = outcome(&state, Proposal::Edits(of(stale)), Following::Nothing);
        assert!(refused.starts_with("Stale"), "{stale}: {refused}");
    }
    for text in
        ["", "x", "1-", "1-abc", "-1", "1-0123456789abcdeg", "1-0123456789abcdef0", "18446744073709551616"]
    {
        assert!(text.parse::<Base>().is_err(), "{text}");
    }
    check(
        Edits { remove: vec![key("b")], ..Edits::default() },
        "Missing([ObjectKey { kind: McpServer, name: \"dev/b\" }])",
    );
    check(
        Edits { put: documents(&server("a", "2")), remove: vec![key("a")], ..Edits::default() },
        "Both([ObjectKey { kind: McpServer, name: \"dev/a\" }])",
    );
    let namespace = ObjectKey::parse(ResourceKind::GovernedNamespace, "dev").unwrap();
    check(
        Edits { remove: vec![namespace.clone()], ..Edits::default() },
        "resources: McpServer `dev/a`: there is no GovernedNamespace `dev`\n  hint: there is no GovernedNamespace at all: \
         define it, or remove the reference\n",
    );
    check(Edits { remove: vec![namespace, key("a")], ..Edits::default() }, "delete dev -;delete dev/a -;");
    let long = "x".repeat(crate::resource::LARGEST_OBJECT);
    let refused = outcome(&state, put(&server("a", &long)), Following::Nothing);
    assert!(refused.contains("McpServer `dev/a` has ") && refused.contains("divide it"), "{refused}");
}

#[test]
fn fields_are_told_by_their_paths() {
    let state = after([put(&(NAMESPACE.to_owned() + &server("a", "1")))]);
    let next = server("a", "2, more").replace("name: a", "name: a, labels: { team: x }");
    let Ok(Reviewed::Change(accepted)) = state.review(put(&next), Following::Nothing, &asked()) else {
        panic!()
    };
    let fields: Vec<_> = accepted.changes()[0]
        .fields()
        .into_iter()
        .map(|field| format!("{} {:?} {:?}", field.path, field.before, field.after))
        .collect();
    assert_eq!(
        fields,
        [
            "metadata.labels None Some(Object {\"team\": String(\"x\")})",
            "spec.command[1] Some(String(\"1\")) Some(String(\"2\"))",
            "spec.command[2] None Some(String(\"more\"))",
        ]
    );
}

proptest! {
    /// Whatever is done one after the other, the differences between two states lead from one to the other.
    #[test]
    fn differences_lead_from_one_state_to_the_other(
        first in proptest::collection::btree_map(0..8_u8, 0..3_u8, 0..8),
        second in proptest::collection::btree_map(0..8_u8, 0..3_u8, 0..8),
    ) {
        let set = |servers: &BTreeMap<u8, u8>| {
            let text: String = servers.iter().map(|(name, argument)| server(&format!("s{name}"), &argument.to_string())).collect();
            documents(&(NAMESPACE.to_owned() + &text)).over(ResourceSet::default()).unwrap()
        };
        let (before, after) = (set(&first), set(&second));
        let changes = between(&before, &after);
        let mut state: BTreeMap<ObjectKey, Object> =
            before.objects().into_iter().map(|object| (object.key(), object)).collect();
        for change in &changes {
            prop_assert_eq!(state.remove(&change.key), change.before.clone());
            if let Some(after) = &change.after {
                state.insert(change.key.clone(), after.clone());
            }
        }
        prop_assert_eq!(state.into_values().collect::<ResourceSet>(), after);
        let different = (0..8).filter(|name| first.get(name) != second.get(name)).count();
        prop_assert_eq!(changes.len(), different);
    }
}
