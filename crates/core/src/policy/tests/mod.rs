mod explained;
mod model;
mod properties;
mod table;

use super::*;
use crate::{
    action::Arguments,
    decision::{Decision, Denial, Verdict},
    resource::{SourceFile, parse_files},
};

pub(super) fn principal(kind: PrincipalKind, provider: &str, subject: &str, groups: &[&str]) -> Principal {
    Principal {
        kind,
        provider: provider.parse().unwrap(),
        issuer: format!("https://{provider}.example").into(),
        subject: subject.into(),
        agent: None,
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
    }
}

pub(super) fn user(subject: &str, groups: &[&str]) -> Principal {
    principal(PrincipalKind::User, "corp", subject, groups)
}

pub(super) fn snapshot(yaml: &str) -> Snapshot {
    let files = [SourceFile { name: "test.yaml".into(), text: yaml.to_owned() }];
    let set = parse_files(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Snapshot::compile(1, Arc::new(set)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub(super) fn now() -> jiff::Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

/// Decides with the facts that a request for this action has.
pub(super) fn ask(snapshot: &Snapshot, who: &Principal, server: &str, action: Action<'_>) -> Decision {
    let server: ServerId = server.parse().unwrap();
    let query = Query { principal: who, server: &server, action, request: facts_of(action), now: now() };
    snapshot.decide(&snapshot.grants(who), &query)
}

pub(super) fn facts_of<'a>(action: Action<'a>) -> RequestFacts<'a> {
    let method = match action {
        Action::UseServer => "initialize",
        Action::CallTool { arguments: Arguments::Known(_), .. } => "tools/call",
        Action::CallTool { arguments: Arguments::Unknown, .. } => "tools/list",
        Action::ReadResource { .. } => "resources/read",
        Action::UseResourceTemplate { .. } => "completion/complete",
        Action::GetPrompt { arguments: Arguments::Known(_), .. } => "prompts/get",
        Action::GetPrompt { arguments: Arguments::Unknown, .. } => "prompts/list",
        Action::Method { name } => name,
    };
    RequestFacts { method, revision: "2025-11-25", ip: "127.0.0.1" }
}

const ONE_SERVER: &str = "
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: dev }
spec: { mode: observe, observeUntil: '2026-12-01T00:00:00Z' }
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: { namespace: dev, name: files }
spec: { transport: stdio, command: [files] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: { name: reader }
spec: { rules: [{ effect: allow, namespaces: [dev], servers: [files], tools: ['read_*'] }] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: { name: alice }
spec: { role: reader, subjects: [{ user: alice }] }
";

const READ: Action<'_> = Action::CallTool { name: "read_file", arguments: Arguments::Known("{}") };

#[test]
fn empty_denies_everything() {
    let empty = Snapshot::empty();
    let alice = user("alice", &["admins"]);
    for action in [Action::UseServer, READ, Action::Method { name: "tasks/get" }] {
        let decision = ask(&empty, &alice, "dev/files", action);
        assert_eq!(decision.verdict, Verdict::Deny(Denial::UnknownServer));
        assert_eq!(decision.mode, Mode::Enforce);
        assert_eq!(decision.revision.number, 0);
    }
    assert!(empty.server(&"dev/files".parse().unwrap()).is_none());
}

#[test]
fn names_count_byte_for_byte() {
    let snapshot = snapshot(ONE_SERVER);
    let alice = user("alice", &[]);
    let check = |name: &str, expected: bool| {
        let action = Action::CallTool { name, arguments: Arguments::Known("{}") };
        let verdict = ask(&snapshot, &alice, "dev/files", action).verdict;
        assert_eq!(matches!(verdict, Verdict::Allow(_)), expected, "{name:?}");
    };
    check("read_file", true);
    check("read_", true);
    check("Read_file", false);
    check("read\u{5f}file", true);
    check("read\u{ff3f}file", false);
    check(" read_file", false);
    check("xread_file", false);
    check("", false);
    let check = |who: Principal, expected: bool| {
        let verdict = ask(&snapshot, &who, "dev/files", READ).verdict;
        assert_eq!(matches!(verdict, Verdict::Allow(_)), expected, "{who:?}");
    };
    check(user("Alice", &[]), false);
    check(user("bob", &["alice"]), false);
    check(principal(PrincipalKind::ServiceAccount, "builtin", "alice", &[]), false);
    check(principal(PrincipalKind::User, "builtin", "alice", &[]), true);
}

#[test]
fn observe_ends_at_its_moment() {
    let snapshot = snapshot(ONE_SERVER);
    let check = |now: &str, expected: Mode| {
        let now = now.parse().unwrap();
        assert_eq!(snapshot.mode(&"dev".parse().unwrap(), now), expected, "{now}");
        let bob = user("bob", &[]);
        let server = "dev/files".parse().unwrap();
        let query = Query { principal: &bob, server: &server, action: READ, request: facts_of(READ), now };
        let decision = snapshot.decide(&snapshot.grants(&bob), &query);
        assert_eq!(decision.mode, expected);
        assert_eq!(decision.verdict, Verdict::Deny(Denial::NoGrant));
        let goes_on = matches!(decision.effect(), crate::decision::Effect::Proceed { .. });
        assert_eq!(goes_on, expected == Mode::Observe);
    };
    check("2026-11-30T23:59:59.999999999Z", Mode::Observe);
    check("2026-12-01T00:00:00Z", Mode::Enforce);
    check("2026-12-01T00:00:00.000000001Z", Mode::Enforce);
    assert_eq!(snapshot.mode(&"prod".parse().unwrap(), now()), Mode::Enforce);
}

#[test]
fn a_snapshot_knows_its_servers() {
    let snapshot = snapshot(ONE_SERVER);
    let name = |id: &str| snapshot.server(&id.parse().unwrap()).map(|server| server.id.to_string());
    assert_eq!(name("dev/files").as_deref(), Some("dev/files"));
    assert_eq!(name("dev/other"), None);
    assert_eq!(snapshot.resources().servers.len(), 1);
}

/// A role number of one snapshot means another role in the next.
#[test]
fn grants_of_another_snapshot_are_made_anew() {
    let alice = user("alice", &[]);
    let first = snapshot(ONE_SERVER);
    let second = snapshot(&ONE_SERVER.replace("user: alice", "user: bob"));
    let server = "dev/files".parse().unwrap();
    let query =
        Query { principal: &alice, server: &server, action: READ, request: facts_of(READ), now: now() };
    let stale = first.grants(&alice);
    assert!(matches!(first.decide(&stale, &query).verdict, Verdict::Allow(_)));
    assert_eq!(second.decide(&stale, &query).verdict, Verdict::Deny(Denial::NoGrant));
}

#[test]
fn snapshots_and_grants_can_be_shared() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Snapshot>();
    shareable::<Grants>();
}

#[test]
fn a_rule_for_many_servers_is_found() {
    // More pairs than the index keeps one by one.
    let mut yaml = String::from(ONE_SERVER);
    for number in 0..100 {
        yaml += &format!(
            "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: s{number} }}\nspec: {{ transport: stdio, command: [x] }}\n"
        );
    }
    let names = (0..100).map(|number| format!("s{number}")).collect::<Vec<_>>().join(", ");
    let yaml = yaml.replace("servers: [files]", &format!("servers: [{names}]"));
    let snapshot = snapshot(&yaml);
    let alice = user("alice", &[]);
    for number in 0..100 {
        let verdict = ask(&snapshot, &alice, &format!("dev/s{number}"), READ).verdict;
        assert!(matches!(verdict, Verdict::Allow(_)), "s{number}");
    }
    assert_eq!(ask(&snapshot, &alice, "dev/files", READ).verdict, Verdict::Deny(Denial::NoGrant));
}

/// A file can't say that; a set that is read from elsewhere could.
#[test]
fn a_rule_that_covers_nothing_does_not_let_the_server_be_used() {
    let files = [SourceFile { name: "test.yaml".into(), text: ONE_SERVER.to_owned() }];
    let mut set = parse_files(&files).unwrap();
    let verdict = |set: &ResourceSet| {
        let snapshot = Snapshot::compile(1, Arc::new(set.clone())).unwrap();
        ask(&snapshot, &user("alice", &[]), "dev/files", Action::UseServer).verdict
    };
    assert!(matches!(verdict(&set), Verdict::Allow(_)));
    for rule in set.roles.iter_mut().flat_map(|role| &mut role.rules) {
        rule.tools.clear();
    }
    assert_eq!(verdict(&set), Verdict::Deny(Denial::NoGrant));
}

/// The gateway asks for the server before it has read what the message says of itself.
#[test]
fn a_condition_on_the_revision_does_not_hide_the_server() {
    let all = "tools: ['*'], resources: ['*'], resourceTemplates: ['*'], prompts: ['*'], methods: ['*']";
    let when = r#"when: 'request.protocolVersion == "2025-06-18"'"#;
    let allow = format!("{all}, {when} }}");
    let deny = format!("{all} }}, {{ effect: deny, namespaces: [dev], servers: [files], {all}, {when} }}");
    for (rules, may_with_old, may_with_new) in [(allow, true, false), (deny, false, true)] {
        let snapshot = snapshot(&ONE_SERVER.replace("tools: ['read_*'] }", &rules));
        let (alice, server) = (user("alice", &[]), "dev/files".parse().unwrap());
        let may = |action, revision| {
            let request = RequestFacts { revision, ..RequestFacts::default() };
            let query = Query { principal: &alice, server: &server, action, request, now: now() };
            matches!(snapshot.decide(&snapshot.grants(&alice), &query).verdict, Verdict::Allow(_))
        };
        assert!(may(Action::UseServer, ""), "{rules}");
        assert_eq!(may(READ, "2025-06-18"), may_with_old, "{rules}");
        assert_eq!(may(READ, "2025-11-25"), may_with_new, "{rules}");
    }
}
