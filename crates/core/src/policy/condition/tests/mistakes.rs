//! What is said of an expression that is not accepted.

use super::faults;

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
