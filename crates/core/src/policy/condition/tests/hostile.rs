//! Expressions and requests that are made to break or to slow what reads them.

use std::{sync::Arc, time::Instant};

use proptest::{prelude::*, sample::select};

use super::{super::Condition, Action, Arguments, ask, call, faults, say};

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
