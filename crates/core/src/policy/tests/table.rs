//! The truth table of roles and actions, printed, committed and compared.

use std::fmt::Write as _;

use super::{super::*, ask, principal, snapshot};
use crate::{
    action::Arguments,
    decision::{Denial, Verdict},
    golden,
};

fn principals() -> Vec<(&'static str, Principal)> {
    let user = |subject, groups: &[&str]| principal(PrincipalKind::User, "corp", subject, groups);
    vec![
        ("nobody", user("eve", &[])),
        ("reader", user("rita", &["readers"])),
        ("reader+writer", user("will", &["writers"])),
        ("admin", user("root", &[])),
        ("admin, but builtin", principal(PrincipalKind::User, "builtin", "root", &[])),
        ("admin+blocked", user("mallory", &[])),
        ("deployer", principal(PrincipalKind::ServiceAccount, "builtin", "deployer", &[])),
        ("deployer, but corp", principal(PrincipalKind::ServiceAccount, "corp", "deployer", &[])),
        ("asker", user("ada", &["askers"])),
        ("asker in ops", user("olaf", &["askers", "ops"])),
    ]
}

fn actions() -> Vec<(&'static str, &'static str, Action<'static>)> {
    let call = |name, arguments| Action::CallTool { name, arguments: Arguments::Known(arguments) };
    let list = |name| Action::CallTool { name, arguments: Arguments::Unknown };
    vec![
        ("use the server", "dev/files", Action::UseServer),
        ("list read_file", "dev/files", list("read_file")),
        ("call read_file {path: /docs/a}", "dev/files", call("read_file", r#"{"path":"/docs/a"}"#)),
        ("call read_file {path: /secret/a}", "dev/files", call("read_file", r#"{"path":"/x/secret/a"}"#)),
        ("call read_file {}", "dev/files", call("read_file", "{}")),
        ("call read_many {}", "dev/files", call("read_many", "{}")),
        ("list write_file", "dev/files", list("write_file")),
        ("call write_file {path: /home/a}", "dev/files", call("write_file", r#"{"path":"/home/a"}"#)),
        ("call write_file {path: /etc/a}", "dev/files", call("write_file", r#"{"path":"/etc/a"}"#)),
        ("call write_file {path: 7}", "dev/files", call("write_file", r#"{"path":7}"#)),
        ("call delete_file {}", "dev/files", call("delete_file", "{}")),
        ("read file:///docs/a", "dev/files", Action::ReadResource { uri: "file:///docs/a" }),
        ("read file:///etc/a", "dev/files", Action::ReadResource { uri: "file:///etc/a" }),
        (
            "template file:///{path}",
            "dev/files",
            Action::UseResourceTemplate { uri_template: "file:///{path}" },
        ),
        (
            "prompt review",
            "dev/files",
            Action::GetPrompt { name: "review", arguments: Arguments::Known("{}") },
        ),
        ("method tasks/get", "dev/files", Action::Method { name: "tasks/get" }),
        ("method sampling/createMessage", "dev/files", Action::Method { name: "sampling/createMessage" }),
        ("use the server", "prod/files", Action::UseServer),
        ("call read_file {}", "prod/files", call("read_file", "{}")),
        ("list delete_file", "prod/files", list("delete_file")),
        ("call delete_file {}", "prod/files", call("delete_file", "{}")),
        ("use the server", "prod/none", Action::UseServer),
    ]
}

#[test]
fn roles_and_actions() {
    let snapshot = snapshot(include_str!("sample.yaml"));
    let mut text = String::from("Who may do what with the resources of sample.yaml, and why.\n");
    for (who, principal) in principals() {
        write!(text, "\n{who}\n").unwrap();
        for (what, server, action) in actions() {
            let said = match ask(&snapshot, &principal, server, action).verdict {
                Verdict::Allow(rule) => format!("allow   {rule}"),
                Verdict::Deny(Denial::UnknownServer) => "deny    no such server".to_owned(),
                Verdict::Deny(Denial::NoGrant) => "deny    no grant".to_owned(),
                Verdict::Deny(Denial::Rule(rule)) => format!("deny    {rule}"),
                Verdict::Deny(Denial::ConditionFailed { rule, error }) => format!("deny    {rule}: {error}"),
            };
            writeln!(text, "  {server:<11} {what:<34} {said}").unwrap();
        }
    }
    golden::compare("src/policy/tests/truth_table.txt", &text);
}
