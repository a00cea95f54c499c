use std::{sync::Arc, time::Instant};

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
}

#[test]
fn the_server_itself_leaves_the_target_open() {
    let check = |source: &str, expected: &str| {
        let truth = ask(Action::UseServer, "initialize", |facts| compiled(source).evaluate(facts));
        assert_eq!(say(truth), expected, "{source}");
    };
    check(r#"request.tool == "read_file""#, "open");
    check(r#"request.method == "tools/call""#, "open");
    check("args.x == 1", "open");
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
fn an_expression_has_a_longest_length() {
    let of_length = |length: usize| format!("args.a == \"{}\"", "x".repeat(length - "args.a == \"\"".len()));
    for (length, fits) in [(4096, true), (4097, false), (8192, false)] {
        let compiled = Condition::compile(&Arc::from(of_length(length)));
        assert_eq!(compiled.is_ok(), fits, "{length}");
        let said = compiled.err().map(|faults| faults[0].message.clone()).unwrap_or_default();
        assert!(fits || said == "the expression is longer than 4096 bytes", "{said}");
    }
}

/// Work stays bounded whatever the request holds: an expression of cost above the limit is refused, one below it is
/// quick. The bound is generous, for unoptimised builds on busy machines.
#[test]
fn hostile_requests_are_refused_or_quick() {
    let check = |source: &str, arguments: &str| {
        let started = Instant::now();
        let said = call(source, arguments);
        assert!(started.elapsed().as_secs() < 4, "{source} took {:?}", started.elapsed());
        said
    };
    let costly = "it could take more than 100000 steps on a request of this size";
    let many = format!(r#"{{"l":[{}1]}}"#, "1,".repeat(400_000));
    let some = format!(r#"{{"l":[{}1]}}"#, "1,".repeat(1_000));
    let few = format!(r#"{{"l":[{}1]}}"#, "1,".repeat(40));
    let long = format!(r#"{{"s":"{}","l":[1]}}"#, "ab".repeat(500_000));
    assert_eq!(check("args.l.all(x, x == 1)", &many), costly);
    assert_eq!(check("args.l.all(x, x == 1)", &some), "true");
    assert_eq!(check("args.l.all(x, args.l.all(y, x == y))", &some), costly);
    assert_eq!(check("args.l.all(x, args.l.all(y, x == y))", &few), "true");
    assert_eq!(check("args.l.all(x, args.l.all(y, args.l.all(z, x == y || y == z)))", &few), costly);
    assert_eq!(check("args.l.map(x, args.l).map(x, args.l).size() > 1", &some), costly);
    assert_eq!(check("args.l.all(x, x in args.l)", &some), costly);
    assert_eq!(check(r#"args.s.contains("abababac")"#, &long), "false");
    assert_eq!(check(r#"args.s.startsWith("ab")"#, &long), "true");
    assert_eq!(check(r#"args.s.matches("(a|b|ab)*c$")"#, &long), costly);
    assert_eq!(check("args.s + args.s + args.s + args.s + args.s + args.s == \"\"", &long), costly);
    assert_eq!(check("args.s == args.s", &long), "true");
    assert_eq!(check("args.s.size() == 1000000", &long), "true");
    assert_eq!(check("[args.s, args.s].all(x, [x, x].all(y, y != \"\"))", &long), costly);
}

#[test]
fn long_runs_of_operators_and_parentheses_are_folded() {
    assert_eq!(call(&("!".repeat(4_001 - 5) + "true"), "{}"), "true");
    assert_eq!(call(&("-".repeat(4_000) + "1 == 1"), "{}"), "true");
    assert_eq!(call(&format!("{}1{} == 1", "(".repeat(2_000), ")".repeat(2_000)), "{}"), "true");
}

#[test]
fn the_clock_has_whole_seconds() {
    assert_eq!(call(r#"request.time.size() == 20"#, "{}"), "true");
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
fn mistakes_are_found_when_compiling() {
    let check = |source: &str, expected: &str| assert_eq!(faults(source), expected, "{source}");
    check("", "the expression is empty (remove `when` to let the rule always apply)");
    check("arg.path == 1", "there is no `arg` (did you mean `args`?)");
    check("user == 1", "there is no `user` (there are `principal`, `request` and `args`)");
    check("principal.subjct == \"x\"", "`principal` has no `subjct` (did you mean `principal.subject`?)");
    check(
        "request == 1",
        "`request` can't be used as a whole (name one of its fields, for example `request.tool`)",
    );
    check(
        "has(request.tool)",
        "`request.tool` is always there (compare it with the empty text: `request.tool != \"\"`)",
    );
    check(
        "args.x.lower() == \"a\"",
        "there is no function `lower` called in this way (there are `size`, `contains`, `startsWith`, `endsWith`, `matches` and `has`, `all`, `exists`, `exists_one`, `map`, `filter`)",
    );
    check(
        "contains(args.x, \"a\")",
        "there is no function `contains` called in this way (call it as `….contains(…)`)",
    );
    check(
        "args.x.startswith(\"a\")",
        "there is no function `startswith` called in this way (did you mean `startsWith`?)",
    );
    check(
        "args.x.matches(args.y)",
        "the pattern of `matches` is not a literal (write it as a text in quotes; a pattern from a request could cost anything)",
    );
    check(
        "1 + 1",
        "the result is a sum, not true or false (compare it with something, for example `… == …`)",
    );
    check(
        "principal.groups",
        "the result is a list, not true or false (compare it with something, for example `… == …`)",
    );
    check(
        "args.l.map(x, x)",
        "the result is a list, not true or false (compare it with something, for example `… == …`)",
    );
    check(
        "args.l.all(principal, principal == 1)",
        "`principal` can't be the variable of a macro (choose another name than `principal`, `request` and `args`)",
    );
    check("Foo{a: 1} == 1", "messages can't be built in a condition");
    check(".args.x == 1", "there is no `.args` (did you mean `args`?)");
    check("args.a[0].b.c == 1 && args.m[\"k\"] == 2", "fine");
    check("args.l.all(x, x.y.exists(z, z == x.k))", "fine");
    // All mistakes are reported at once.
    assert_eq!(faults("arg.x == 1 && principal.nam == 2 && request.tol == 3").matches(';').count(), 2);
}

#[test]
fn hostile_expressions_are_refused() {
    for source in [
        "(".repeat(2_000),
        "[".repeat(2_000),
        "a".repeat(5_000),
        format!("{}1{} == [1]", "[".repeat(200), "]".repeat(26)),
        format!("true{}", " && true".repeat(1_000)),
        format!("args{} == 1", ".a".repeat(1_000)),
        format!("args{} == 1", "[0]".repeat(1_000)),
        format!("true{}true{}", " ? (".repeat(100), ") : false".repeat(26)),
        "args.x.all(a, a.all(b, b.all(c, ".repeat(20),
        "args.x.matches(\"(((((((((((((((((((((((((((((((((((((((((((((((((((((((((((\")".to_owned(),
        "args.x.matches(\"(a{1000}){1000}\")".to_owned(),
        "args.x.matches(\"\\\\pL{200}\\\\pL{200}\")".to_owned(),
        "\u{0}".to_owned(),
        "\"\\uD800\" == \"\"".to_owned(),
        "'''".to_owned(),
        "1e99999 == 1.0 && 99999999999999999999 == 1".to_owned(),
        "args.?x == 1".to_owned(),
        "`args` == 1".to_owned(),
        "@pattern0 == 1".to_owned(),
    ] {
        let started = Instant::now();
        assert_ne!(faults(&source), "fine", "{source}");
        assert!(started.elapsed().as_secs() < 4, "{source:.40} took {:?}", started.elapsed());
    }
}

/// The deepest expressions that are accepted need little stack, also in unoptimised builds.
#[test]
fn deep_expressions_fit_a_small_stack() {
    let sources = [
        format!("args.n{} == 100", "+1".repeat(22)),
        format!("args{} == 1", ".a".repeat(22)),
        format!("{}args.n{} == 1", "size([".repeat(10), "])".repeat(10)),
        format!("{}true{}", "args.t ? (".repeat(10), ") : false".repeat(10)),
        format!("{}true{}", "[1].all(x, ".repeat(8), ")".repeat(8)),
    ];
    for source in sources {
        let run = move || {
            compiled(&source);
            call(&source, r#"{"n":1,"t":true}"#)
        };
        let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap();
        thread.join().unwrap();
    }
}

mod hostile {
    use proptest::{prelude::*, sample::select};

    use super::*;

    const WORDS: &[&str] = &[
        "args",
        "principal",
        "request",
        ".",
        ".a",
        ".subject",
        ".groups",
        ".tool",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ":",
        ",",
        "?",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        "<=",
        "==",
        "!=",
        "&&",
        "||",
        "!",
        " in ",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "1u",
        "1.5",
        "1e300",
        "\"a\"",
        "''",
        "b'x'",
        "true",
        "false",
        "null",
        "has(",
        ".all(x,",
        ".exists(x,",
        ".map(x,",
        ".filter(x,",
        ".exists_one(x,",
        "x",
        "size(",
        ".size()",
        "string(",
        "int(",
        "double(",
        "uint(",
        "bytes(",
        "type(",
        "dyn(",
        ".contains(",
        ".startsWith(",
        ".matches(\"a*\")",
        "args.a",
    ];
    const ARGUMENTS: &[&str] = &[
        "{}",
        r#"{"a":1}"#,
        r#"{"a":"text"}"#,
        r#"{"a":[1,"b",null,{"a":2}]}"#,
        r#"{"a":{"a":{"a":[]}}}"#,
        r#"{"a":-9223372036854775808}"#,
        r#"{"a":18446744073709551615}"#,
        r#"{"a":1e308}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is written and whatever is sent: an answer, and no panic even inside the library.
        #[test]
        fn nothing_panics(words in proptest::collection::vec(select(WORDS), 1..14), arguments in select(ARGUMENTS)) {
            let source: Arc<str> = words.concat().into();
            if let Ok(condition) = Condition::compile(&source) {
                let action = Action::CallTool { name: "t", arguments: Arguments::Known(arguments) };
                let truth = ask(action, "tools/call", |facts| condition.evaluate(facts));
                prop_assert_ne!(say(truth), "the evaluation failed", "{}", source);
            }
        }

        /// Any text at all.
        #[test]
        fn no_text_breaks_the_parser(source in "\\PC{0,60}") {
            let _ = Condition::compile(&Arc::from(source.as_str()));
        }

        /// Expressions that compile, on all kinds of values.
        #[test]
        fn operators_on_anything(
            left in select(ARGUMENTS), operator in select(&["+", "-", "*", "/", "%", "<", ">=", "==", "!=", " in ", "&&", "||"][..]),
            function in select(&["", "int", "uint", "double", "string", "bytes", "bool", "size", "-", "!"][..]),
            right in select(&["args.a", "0", "-1", "1u", "1.5", "\"a\"", "[1]", "{\"a\": 1}", "null", "9223372036854775807", "-9223372036854775808"][..]),
        ) {
            let source = format!("{function}(args.a){operator}{right} == args.a");
            prop_assert_ne!(call_if_compiled(&source, left), "the evaluation failed", "{}", source);
        }
    }

    fn call_if_compiled(source: &str, arguments: &str) -> String {
        match Condition::compile(&Arc::from(source)) {
            Ok(_) => call(source, arguments),
            Err(_) => String::new(),
        }
    }
}
