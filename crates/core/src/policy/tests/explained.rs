//! What `explain` says, in full.

use std::fmt::Write as _;

use super::{super::*, READ, facts_of, now, principal, snapshot, user};
use crate::{action::Arguments, golden};

#[test]
fn only_the_bindings_that_give_a_role_are_named() {
    let binding = |name: &str, subject: &str| {
        format!(
            "\n---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: {{ name: {name} }}\n\
             spec: {{ role: reader, subjects: [{subject}] }}"
        )
    };
    let more = [binding("bob", "{ user: bob }"), binding("everyone", "{ group: all }")].concat();
    let snapshot = snapshot(&format!("{}{more}", super::ONE_SERVER));
    let (who, server) = (user("alice", &["all"]), "dev/files".parse().unwrap());
    let query = Query { principal: &who, server: &server, action: READ, request: facts_of(READ), now: now() };
    let json = serde_json::to_value(snapshot.explain(&query)).unwrap();
    assert_eq!(json["roles"][0]["bindings"], serde_json::json!(["alice", "everyone"]), "{json}");
}

#[test]
fn every_rule_is_accounted_for() {
    let snapshot = snapshot(include_str!("sample.yaml"));
    let will = user("will", &["writers"]);
    let ada = user("ada", &["askers"]);
    let root = principal(PrincipalKind::User, "corp", "root", &[]);
    let call = |name, arguments| Action::CallTool { name, arguments };
    let cases = [
        (&will, "dev/files", call("write_file", Arguments::Known(r#"{"path":"/etc/a"}"#))),
        (&will, "dev/files", call("write_file", Arguments::Known("{}"))),
        (&will, "dev/files", call("read_file", Arguments::Unknown)),
        (&will, "dev/files", call("read_file", Arguments::Known(r#"{"path":"/secret/"}"#))),
        (&ada, "dev/files", Action::UseServer),
        (&root, "prod/files", call("delete_all", Arguments::Known("{}"))),
        (&root, "prod/none", Action::UseServer),
    ];
    let mut text = String::new();
    for (who, server, action) in cases {
        let server = server.parse().unwrap();
        let query = Query { principal: who, server: &server, action, request: facts_of(action), now: now() };
        let explanation = snapshot.explain(&query);
        // The digest changes with each resource of the sample and says nothing here.
        let json = serde_json::to_string_pretty(&explanation).unwrap();
        let json = json.replace(&explanation.revision, "1-…");
        writeln!(text, "{}: {json}", who.subject).unwrap();
    }
    golden::compare("src/policy/tests/explained.txt", &text);
}
