mod bounds;
mod cost;
mod hostile;
mod mistakes;

use std::sync::Arc;

use super::{Condition, Facts, Truth};
use crate::{
    action::{Action, Arguments, RequestFacts},
    policy::Query,
    principal::{Principal, PrincipalKind},
};

fn principal() -> Principal {
    Principal {
        kind: PrincipalKind::User,
        provider: "corp".parse().unwrap(),
        issuer: "https://login.example.com".into(),
        subject: "alice@example.com".into(),
        agent: None,
        groups: ["dev".into(), "ops".into()].into(),
    }
}

fn ask<T>(action: Action<'_>, method: &str, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
    let request = RequestFacts { method, revision: "2025-11-25", ip: "127.0.0.1" };
    ask_with(action, request, judge)
}

fn ask_with<T>(action: Action<'_>, request: RequestFacts<'_>, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
    let principal = principal();
    let query = Query {
        principal: &principal,
        server: &"dev/files".parse().unwrap(),
        action,
        request,
        now: "2026-11-22T10:00:00.25Z".parse().unwrap(),
    };
    judge(&Facts::new(&query))
}

fn compiled(source: &str) -> Condition {
    Condition::compile(&Arc::from(source)).unwrap_or_else(|faults| panic!("{source}: {faults:?}"))
}

fn say(truth: Truth) -> String {
    match truth {
        Truth::True => "true".to_owned(),
        Truth::False => "false".to_owned(),
        Truth::Open => "open".to_owned(),
        Truth::Failed(error) => error.to_string(),
    }
}

fn call(source: &str, arguments: &str) -> String {
    let action = Action::CallTool { name: "read_file", arguments: Arguments::Known(arguments) };
    say(ask(action, "tools/call", |facts| compiled(source).evaluate(facts)))
}

fn list(source: &str) -> String {
    let action = Action::CallTool { name: "read_file", arguments: Arguments::Unknown };
    say(ask(action, "tools/list", |facts| compiled(source).evaluate(facts)))
}

fn faults(source: &str) -> String {
    match Condition::compile(&Arc::from(source)) {
        Ok(_) => "fine".to_owned(),
        Err(faults) => faults
            .into_iter()
            .map(|fault| match fault.hint {
                Some(hint) => format!("{} ({hint})", fault.message),
                None => fault.message,
            })
            .collect::<Vec<_>>()
            .join("; "),
    }
}

#[test]
fn conditions_see_principal_request_and_arguments() {
    let check = |source: &str, expected: &str| {
        assert_eq!(
            call(source, r#"{"path":"/srv/docs/a.md","n":3,"deep":{"list":[1,2,3]},"t":["x","y"]}"#),
            expected,
            "{source}"
        );
    };
    check("true", "true");
    check(r#"args.path.startsWith("/srv/docs/")"#, "true");
    check(r#"args.path.contains("/secret/")"#, "false");
    check(r#"args["path"] == "/srv/docs/a.md""#, "true");
    check(r#"args.path.matches("^/srv/[a-z]+/")"#, "true");
    check(r#"args.path.matches("^/etc/")"#, "false");
    check(r#"args.path.matches("^/srv") && args.path.matches("md$") && !args.path.matches("zzz")"#, "true");
    check(r#"args.t.exists(x, x.matches("^y$"))"#, "true");
    check("args.n > 2 && args.n < 4", "true");
    check("args.n == 3.0", "true");
    check("args.deep.list.all(i, i < 4)", "true");
    check("args.deep.list.exists_one(i, i == 2)", "true");
    check("args.deep.list.map(i, i * 2).exists(i, i == 6)", "true");
    check("args.deep.list.filter(i, i > 1).size() == 2", "true");
    check("has(args.path) && !has(args.missing)", "true");
    check(r#""dev" in principal.groups"#, "true");
    check(r#"principal.groups.exists(g, g == "ops")"#, "true");
    check(r#"principal.subject.endsWith("@example.com")"#, "true");
    check(r#"principal.issuer == "https://login.example.com" && principal.provider == "corp""#, "true");
    check(r#"principal.kind == "user" && principal.agent == """#, "true");
    check(r#"request.method == "tools/call" && request.tool == "read_file""#, "true");
    check(r#"request.namespace == "dev" && request.server == "files""#, "true");
    check(r#"request.resource == "" && request.prompt == """#, "true");
    check(r#"request.ip == "127.0.0.1" && request.protocolVersion == "2025-11-25""#, "true");
    check(r#"request.time == "2026-11-22T10:00:00Z""#, "true");
    check(r#"request.time < "2026-12-01""#, "true");
    check("type(args.n) == int && type(args.path) == string", "true");
    check("args.n == 3 ? args.path != \"\" : false", "true");
}

#[test]
fn errors_are_said_without_values_of_the_request() {
    let check = |source: &str, arguments: &str, expected: &str| {
        assert_eq!(call(source, arguments), expected, "{source}");
    };
    let secret = r#"{"s":"hunter2","n":7,"l":["hunter2"],"hunter2":1}"#;
    check("args.nope == 1", secret, "there is no `nope`");
    check("args[args.s + args.s] == 1", secret, "there is no such member");
    check("args.s > 1", secret, "`>` is not for string and int");
    check("args.s + args.n == 1", secret, "`add` is not for values of these types");
    check("args.n / 0 == 1", secret, "division by zero");
    check("args.n % 0 == 1", secret, "division by zero");
    check("args.l[5] == args.s", secret, "an index is outside of its list");
    check("int(args.s) == 1", secret, "a value can't be converted");
    check("args.n * 9223372036854775807 > 0", secret, "a number is too large");
    check("9223372036854775807 + args.n > 0", secret, "a number is too large");
    check("-args.n - 9223372036854775807 > 0", secret, "a number is too large");
    check("args.s", secret, "the result is neither true nor false");
    check("args.n && true", secret, "`&&` is not for int and bool");
    check("!args.n", secret, "`!` is not for int");
    check("args.n.exists(x, x == 1)", secret, "a value of another type than iterable was found");
    check("args.s.n.n == 1", secret, "`.` is not for string and string");
    check("args.s in args.n", secret, "`in` is not for string and int");
    check("{args.s: 1, args.s: 2} == args", secret, "a key is repeated");
    // Text of the request in a key, in a message of the library, in a type error: none of it comes out.
    for source in
        ["args[args.s].x == 1", "args.l[args.s] == 1", "{args.l: 1} == args", "args.s.startsWith(args.n)"]
    {
        assert!(!call(source, secret).contains("hunter2"), "{source}: {}", call(source, secret));
    }
}

#[test]
fn a_part_that_fails_does_not_hide_one_that_decides() {
    let check = |source: &str, expected: &str| assert_eq!(call(source, "{}"), expected, "{source}");
    check("args.x == 1 || true", "true");
    check("true || args.x == 1", "true");
    check("args.x == 1 && false", "false");
    check("false && args.x == 1", "false");
    check("args.x == 1 || false", "there is no `x`");
    check("args.x == 1 && true", "there is no `x`");
    // In a call all is known: whatever else is mentioned, what fails is not open.
    for known in
        ["request.method", "request.protocolVersion", "request.tool", "request.resource", "request.prompt"]
    {
        check(&format!("{known} == \"another\" || args.x == 1"), "there is no `x`");
    }
}

#[test]
fn a_list_leaves_open_what_only_a_call_knows() {
    let check = |source: &str, expected: &str| assert_eq!(list(source), expected, "{source}");
    check(r#"args.path.startsWith("/srv/")"#, "open");
    check("has(args.path)", "open");
    check("args == {}", "open");
    check("args.all(k, true)", "open");
    check(r#"principal.subject == "bob" && args.x == 1"#, "false");
    check(r#"principal.subject == "alice@example.com" && args.x == 1"#, "open");
    check(r#"principal.subject == "alice@example.com" || args.x == 1"#, "true");
    check(r#"request.method == "tools/call""#, "open");
    check(r#"request.tool == "read_file""#, "true");
    check(r#"request.tool == "write_file""#, "false");
    check(r#"principal.subject > 1 && args.x"#, "open");
    check(r#"principal.subject.contains("bob")"#, "false");
    // What fails without any of it is not open.
    check("principal.subject > 1", "`>` is not for string and int");
    check("principal.subject > 1 && request.tool == \"read_file\"", "`>` is not for string and int");
}

#[test]
fn the_server_itself_leaves_the_target_open() {
    let check = |source: &str, expected: &str| {
        let truth = ask(Action::UseServer, "initialize", |facts| compiled(source).evaluate(facts));
        assert_eq!(say(truth), expected, "{source}");
    };
    check(r#"request.tool == "read_file""#, "open");
    check(r#"request.resource == "file:///a""#, "open");
    check(r#"request.prompt == "greet""#, "open");
    check(r#"request.method == "tools/call""#, "open");
    check("args.x == 1", "open");
    check("principal.subject > 1", "`>` is not for string and int");
    check(r#"request.namespace == "dev""#, "true");
    check(r#"principal.subject == "bob""#, "false");
}

/// A server is asked for before the message to it is read.
#[test]
fn what_is_empty_is_not_known_yet() {
    let check = |source: &str, action, expected: &str| {
        let request = RequestFacts { method: "", revision: "", ip: "127.0.0.1" };
        let truth = ask_with(action, request, |facts| compiled(source).evaluate(facts));
        assert_eq!(say(truth), expected, "{source}");
    };
    for action in [Action::UseServer, Action::ReadResource { uri: "file:///a" }] {
        check(r#"request.protocolVersion == "2025-06-18""#, action, "open");
        check(r#"request.protocolVersion != "2025-06-18""#, action, "open");
        check(r#"request.protocolVersion == """#, action, "open");
        check(r#"request.protocolVersion == "x" && principal.subject == "bob""#, action, "false");
        check(r#"request.protocolVersion == "x" || request.ip == "127.0.0.1""#, action, "true");
    }
    let uri = Action::ReadResource { uri: "file:///a" };
    check("principal.subject > 1", uri, "`>` is not for string and int");
    check(r#"request.method == "resources/read""#, Action::UseServer, "open");
    // An action of its own has a method; one without a name is not one that any condition means.
    check(r#"request.method == "resources/read""#, Action::ReadResource { uri: "file:///a" }, "false");
}

#[test]
fn arguments_are_read_strictly() {
    let check = |arguments: &str, expected: &str| {
        assert_eq!(call("has(args.a)", arguments), expected, "{}", arguments.get(..80).unwrap_or(arguments));
    };
    let unreadable = "the arguments are not an object that a condition can look at";
    check(r#"{"a":1}"#, "true");
    check("{}", "false");
    check(r#"{"a":1.5,"b":-3,"c":18446744073709551615,"d":null,"e":[{}]}"#, "true");
    check(r#"{"a":1,"a":2}"#, unreadable);
    check(r#"{"b":{"a":1,"a":2}}"#, unreadable);
    check(r#"{"$serde_json::private::RawValue":"{\"a\":1}"}"#, unreadable);
    check(r#"{"b":{"$serde_json::private::RawValue":"{\"a\":1}"}}"#, unreadable);
    check(r#"{"b":{"$serde_json::private::Number":"1"}}"#, unreadable);
    check(r#"["a"]"#, unreadable);
    check("null", unreadable);
    check("1e999", unreadable);
    check(r#"{"a":1e999}"#, unreadable);
    check(r#"{"a":1} {}"#, unreadable);
    check(&format!(r#"{{"a":{}1{}}}"#, "[".repeat(60), "]".repeat(60)), "true");
    check(&format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), unreadable);
    check(&format!(r#"{{"a":"{}"}}"#, "x".repeat(1024 * 1024 - 8)), "true");
    check(
        &format!(r#"{{"a":"{}"}}"#, "x".repeat(1024 * 1024 - 7)),
        "the arguments are larger than the 1048576 bytes that a condition may look at",
    );
    check(
        &format!(r#"{{"a":"{}"}}"#, "x".repeat(1024 * 1024)),
        "the arguments are larger than the 1048576 bytes that a condition may look at",
    );
}

#[test]
fn integers_keep_their_value() {
    let check = |arguments: &str, source: &str| assert_eq!(call(source, arguments), "true", "{source}");
    check(r#"{"a":9007199254740993}"#, "args.a == 9007199254740993");
    check(r#"{"a":18446744073709551615}"#, "args.a == 18446744073709551615u");
    check(r#"{"a":-9223372036854775808}"#, "args.a == -9223372036854775808");
    check(r#"{"a":1}"#, "type(args.a) == int");
    check(r#"{"a":1.0}"#, "type(args.a) == double");
}

#[test]
fn the_clock_has_whole_seconds() {
    assert_eq!(call(r#"request.time.size() == 20"#, "{}"), "true");
}
