//! What is said of an expression that is not accepted.

use super::{super::check::names, call, compiled, faults};

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
fn a_result_that_is_neither_true_nor_false_is_named() {
    let check = |source: &str, kind: &str| {
        let hint = "compare it with something, for example `… == …`";
        let expected = match kind {
            "" => "fine".to_owned(),
            kind => format!("the result is {kind}, not true or false ({hint})"),
        };
        assert_eq!(faults(source), expected, "{source}");
    };
    // Literals.
    check("true", "");
    check("1", "a number");
    check("1u", "a number");
    check("1.5", "a number");
    check("\"a\"", "a text");
    check("b\"a\"", "bytes");
    check("null", "null");
    check("[true]", "a list");
    check("{true: true}", "a map");
    // Names and fields.
    check("args", "a map");
    check("args.a", "");
    check("has(args.a)", "");
    check("string", "a type");
    check("principal.subject", "a text");
    check("principal.groups", "a list");
    check("request.time", "a text");
    // Operators.
    check("1 == 1", "");
    check("1 in args.l", "");
    check("args.l[0]", "");
    check("!args.b", "");
    check("-args.n", "a number");
    check("args.n - 1", "a number");
    check("args.n * 2", "a number");
    check("args.n / 2", "a number");
    check("args.n % 2", "a number");
    check("args.n + 2", "a sum");
    check("args.b ? true : false", "");
    check("args.b ? 1 : 2", "a number");
    check("args.b ? args.x : 2", "");
    check("args.b ? 1 : args.x", "");
    check("args.b ? 1 : \"a\"", "");
    // Functions.
    check("args.s.contains(\"a\")", "");
    check("args.s.startsWith(\"a\")", "");
    check("args.s.endsWith(\"a\")", "");
    check("args.s.matches(\"a\")", "");
    check("bool(args.s)", "");
    check("dyn(1)", "");
    check("size(args.l)", "a number");
    check("args.l.size()", "a number");
    check("int(args.n)", "a number");
    check("uint(args.n)", "a number");
    check("double(args.n)", "a number");
    check("string(args.n)", "a text");
    check("bytes(args.s)", "bytes");
    check("type(args.n)", "a type");
    // Macros, and their variables.
    check("args.l.all(x, x)", "");
    check("args.l.exists(x, x)", "");
    check("args.l.exists_one(x, x)", "");
    check("args.l.map(x, x)", "a list");
    check("args.l.filter(x, x)", "a list");
}

#[test]
fn functions_that_are_called_wrongly_are_explained() {
    let check = |source: &str, name: &str, hint: &str| {
        let expected = format!("there is no function `{name}` called in this way ({hint})");
        assert_eq!(faults(source), expected, "{source}");
    };
    let other = "it takes other arguments";
    // Methods that are called like functions.
    check("startsWith(args.x, \"a\")", "startsWith", "call it as `….startsWith(…)`");
    check("matches(args.x, \"a\")", "matches", "call it as `….matches(…)`");
    check("size(args.x, args.y) == 1", "size", "call it as `….size(…)`");
    // Those that have another number of arguments.
    check("args.x.contains()", "contains", other);
    check("args.x.contains(\"a\", \"b\")", "contains", other);
    check("args.x.size(1) == 1", "size", other);
    check("int() == 1", "int", other);
    check("int(args.x, 1) == 1", "int", other);
    check("args.x.int() == 1", "int", other);
    check("args.x.all(true)", "all", other);
    check("args.x.filter(1, true, true) == 1", "filter", other);
    check("exists(args.x, true)", "exists", other);
    // Those that are not there.
    check("strin(args.x) == \"a\"", "strin", "did you mean `string`?");
    check("args.x.exist(1)", "exist", "did you mean `exists`?");
    let all = "there are `size`, `contains`, `startsWith`, `endsWith`, `matches` and `has`, `all`, `exists`, \
               `exists_one`, `map`, `filter`";
    check("lower(args.x) == \"a\"", "lower", all);
    check("lower(args.x, 1) == \"a\"", "lower", all);
}

#[test]
fn variables_of_macros_have_names_of_their_own() {
    let check = |source: &str, expected: &str| assert_eq!(faults(source), expected, "{source}");
    let refused = |name: &str| {
        format!(
            "`{name}` can't be the variable of a macro (choose another name than `principal`, `request` and `args`)"
        )
    };
    for name in ["principal", "request", "args", ".x"] {
        check(&format!("args.l.all({name}, true)"), &refused(name));
    }
    // What is meant by a name does not depend on where it stands.
    check("args.l.all(x, x == principal.subject)", "fine");
    check("args.l.all(x, x == request.tool && x in principal.groups)", "fine");
    check("args.l.all(x, args.m.all(y, x == y && x == principal.agent))", "fine");
    check("args.l.all(principals, principals.x == principal.kind)", "fine");
    check(
        "args.l.all(x, x == principal.nam)",
        "`principal` has no `nam` (there are `subject`, `issuer`, `provider`, `groups`, `kind`, `agent`)",
    );
    // A variable is known inside of its macro, and nowhere else.
    check("args.l.all(x, x) && x", "there is no `x` (there are `principal`, `request` and `args`)");
    check(
        "args.l.all(x, args.m.all(y, y)) && y",
        "there is no `y` (there are `principal`, `request` and `args`)",
    );
    check("args.l.all(x, args.m.all(y, y.matches(\"a\")) && y)", "there is no `y` (did you mean `x`?)");
    check("args.l.all(item, itm)", "there is no `itm` (did you mean `item`?)");
    // Names that can't be written are not suggested.
    check("args.l.all(x, result)", "there is no `result` (there are `principal`, `request` and `args`)");
    check(
        "args.s.matches(\"a\") && pattern0",
        "there is no `pattern0` (there are `principal`, `request` and `args`)",
    );
    check("x.all(x, x)", "there is no `x` (there are `principal`, `request` and `args`)");
    // There are no macros of two variables.
    check(
        "args.m.all(k, v, true)",
        "there is no `k` (there are `principal`, `request` and `args`); \
         there is no `v` (there are `principal`, `request` and `args`); \
         there is no function `all` called in this way (it takes other arguments)",
    );
}

/// A name may be said of a request if the condition itself has it, wherever it stands there.
#[test]
fn names_of_the_expression_are_told_from_those_of_a_request() {
    let check = |source: &str, expected: &[&str]| {
        let condition = compiled(source);
        let known = ["a", "b", "c", "d", "e", "f", "size"]
            .into_iter()
            .filter(|name| names(&condition.expression, name))
            .collect::<Vec<_>>();
        assert_eq!(known, expected, "{source}");
    };
    check("true", &[]);
    check("args.a == 1", &["a"]);
    check("args.a.b == 1", &["a", "b"]);
    check("args[\"a\"] == 1", &["a"]);
    check("args[args.a][\"b\"] == args.c", &["a", "b", "c"]);
    check("args.a.size() == 1", &["a", "size"]);
    check("args.a.contains(args.b)", &["a", "b"]);
    check("size(args.a) == 1", &["a", "size"]);
    check("[args.a, \"b\"] == args.c", &["a", "b", "c"]);
    check("{args.a: args.b} == args.c", &["a", "b", "c"]);
    check("{1: args.b} == args.c", &["b", "c"]);
    check("{args.a: 1} == args.c", &["a", "c"]);
    check("args.a.all(d, d.b == args.c)", &["a", "b", "c", "d"]);
    check("args.a.exists(d, true)", &["a"]);
    check("args.e.map(d, args.f) == [args.a]", &["a", "e", "f"]);
}

#[test]
fn members_named_by_a_request_are_not_said() {
    let check = |source: &str, expected: &str| {
        assert_eq!(call(source, r#"{"key":"of the request"}"#), expected, "{source}");
    };
    check("args[\"nope\"] == 1", "there is no `nope`");
    check("{args.nope: 1} == args", "there is no `nope`");
    check("{1: args.nope} == args", "there is no `nope`");
    check("[1].exists(x, args.nope == x)", "there is no `nope`");
    check("args[args.key] == \"another\"", "there is no such member");
    check("args[args.key] == args[\"key\"]", "there is no such member");
}
