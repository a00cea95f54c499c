//! What the estimate of an evaluation is made of. The numbers are worked out by hand, as is said beside them: each node
//! is a step, a field of a name another; a text weighs one and one more for each 64 bytes, a number one, a list or a map
//! one and its members; and an operator or a function pays the weights that it reads, copies or compares.

use super::{
    super::cost::{Estimate, MAX_STEPS},
    Action, Arguments, ask, call, compiled,
};

/// The arguments of the requests: a number and a text (weights 1 and 3), a list of three numbers (4), one of two texts
/// of 64 bytes (5), a list in a list (5), a map (3) and an empty list (1). With their seven names and itself: 30.
fn arguments() -> String {
    let (long, half) = (text(128), text(64));
    format!(
        r#"{{"n":7,"s":"{long}","l":[1,2,3],"t":["{half}","{half}"],"i":[[1,2,3]],"m":{{"k":"v"}},"e":[]}}"#
    )
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// The fewest steps that the evaluation may be allowed to take for it to be tried.
fn steps(source: &str, action: Action<'_>) -> u64 {
    let condition = compiled(source);
    ask(action, "tools/call", |facts| {
        let is_within = |limit| Estimate::Always.is_within(limit, &condition.expression, facts);
        let (mut below, mut enough) = (0, 1_000_000);
        assert!(is_within(enough) && !is_within(below), "{source}");
        while below + 1 < enough {
            let middle = u64::midpoint(below, enough);
            if is_within(middle) { enough = middle } else { below = middle }
        }
        enough
    })
}

fn check(source: &str, expected: u64) {
    let arguments = arguments();
    let action = Action::CallTool { name: "t", arguments: Arguments::Known(&arguments) };
    assert_eq!(steps(source, action), expected, "{source}");
}

/// A comparison is a step, its sides' steps, and their weights.
#[test]
fn literals_and_names_are_weighed() {
    check("1 == 1", 3 + (1 + 1));
    check("true == false", 3 + (1 + 1));
    check(&format!("\"{}\" == \"\"", text(63)), 3 + (1 + 1));
    check(&format!("\"{}\" == \"\"", text(64)), 3 + (2 + 1));
    check(&format!("\"{}\" == \"\"", text(127)), 3 + (2 + 1));
    check(&format!("\"\" == \"{}\"", text(128)), 3 + (1 + 3));
    check(&format!("b\"{}\" == b\"\"", text(128)), 3 + (3 + 1));
    for operator in ["==", "!=", "<", "<=", ">", ">="] {
        // One step more for the one field of the name.
        check(&format!("args.n {operator} 1"), 4 + (1 + 1));
        check(&format!("args.s {operator} \"x\""), 4 + (3 + 1));
    }
    check("args.s == args.s", 5 + (3 + 3));
    check("args.l == 1", 4 + (4 + 1));
    check("args.t == 1", 4 + (5 + 1));
    check("args.i == 1", 4 + (5 + 1));
    check("args.m == 1", 4 + (3 + 1));
    check("args.m.k == 1", 5 + (1 + 1));
    check("args.e == 1", 4 + (1 + 1));
    check("args == 1", 3 + (30 + 1));
    // What is not there weighs as much as a number. A field of a number is looked for in full, and then as one of a
    // value that is worked out first.
    check("args.none == 1", 4 + (1 + 1));
    check("args.m.none == 1", 5 + (1 + 1));
    check("args.n.a == 1", 3 + 2 + 2 + (1 + 1));
    check("principal.subject == 1", 4 + (1 + 1));
    check("principal.groups == 1", 4 + (3 + 1));
    check("request.tool == 1", 4 + (1 + 1));
    // Whether something is there weighs as much as what it is looked for in.
    check("has(args.s) == true", 4 + (30 + 1));
    check("has(args.m.k) == true", 5 + (3 + 1));
}

#[test]
fn what_is_not_known_yet_is_weighed_too() {
    let check =
        |source: &str, expected: u64| assert_eq!(steps(source, Action::UseServer), expected, "{source}");
    check("args.s == 1", 4 + (1 + 1));
    check("args == 1", 3 + (1 + 1));
    // A field that has no value yet is looked for in full, and then as one of a value that is worked out first.
    check("request.tool == 1", 3 + 2 + (1 + 1));
}

/// A list or a map is a step, its members' steps, and all that it weighs, since it is made.
#[test]
fn lists_and_maps_are_made() {
    check("[] == 1", 3 + 1 + (1 + 1));
    check("[1, args.s] == 1", 3 + (1 + 2) + 5 + (5 + 1));
    check("{} == 1", 3 + 1 + (1 + 1));
    check("{1: args.s, args.t: 2} == 1", 3 + (1 + 2) + (2 + 1) + 11 + (11 + 1));
    // A macro over them makes as many rounds as the longest list or map anywhere in them has members. It and its initial
    // value are two steps; a round is 12 if the mean weight of a member, rounded down, is one, and 13 if it is two; and
    // each round adds one to the weight of the result.
    check("[1, 2].all(x, true)", (2 + 3 + 3) + 2 * 12 + 2);
    check("[[1, 2, 3], 1].all(x, true)", (2 + (1 + 4 + 4 + 1) + 6) + 3 * (12 + 1) + 3);
    check("{1: 2, 3: 4}.all(x, true)", (2 + 5 + 5) + 2 * (12 + 1) + 2);
    check("{1: [1, 2, 3]}.all(x, true)", (2 + (1 + 1 + 4 + 4) + 6) + 3 * (12 + 1) + 3);
}

#[test]
fn operators_and_functions_pay_for_what_they_read() {
    // Logic and arithmetic: a step, its operands' steps, and their weights.
    check("true && false", 3 + (1 + 1));
    check("true || args.s", 4 + (1 + 3));
    check("!args.s", 3 + 3);
    check("-args.n == 1", (1 + 2 + 1) + 2 + (1 + 1));
    check("args.s * args.l == 1", (5 + 3 + 4) + 2 + (1 + 1));
    // A sum is as long as both sides, and is made.
    check("args.s + args.t == 1", (5 + 8) + 2 + (8 + 1));
    check("(args.l + args.t).all(x, true)", 2 + (5 + 9) + 5 * 12 + 5);
    // The sides of a choice are both paid for; the result is as large as the larger, and choosing is free.
    check("(args.n ? args.s : 1) == 1", (1 + 2 + 2 + 1) + 2 + (3 + 1));
    check("(args.n ? 1 : args.s) == 1", (1 + 2 + 1 + 2) + 2 + (3 + 1));
    check("(args.n ? args.l : args.t).all(x, true)", 2 + (1 + 2 + 2 + 2) + 3 * 12 + 3);
    // Members are copied, and so the whole is paid for; a member can be as large as that.
    check("args.t[0] == 1", (1 + 2 + 1 + 5) + 2 + (5 + 1));
    check("args.l[args.s] == 1", (1 + 2 + 2 + 4) + 2 + (4 + 1));
    check("args.i[0].all(x, true)", 2 + (1 + 2 + 1 + 5) + 3 * 12 + 3);
    // What is looked for is compared with each element of the list (of three, two, none and two), which is read.
    check("args.n in args.l", 5 + 3 + 4);
    check("args.s in args.t", 5 + 3 * 2 + 5);
    check("args.s in args.e", 5 + 3 + 1);
    check("\"dev\" in principal.groups", 4 + 2 + 3);
    // Conversions read the value, and what they make is a little larger.
    for function in ["string", "bytes", "dyn"] {
        check(&format!("{function}(args.s) == 1"), (1 + 2 + 3) + 2 + (4 + 1));
    }
    check("dyn(args.l).all(x, true)", 2 + (1 + 2 + 4) + 3 * 12 + 3);
    check("int(args.s) == 1", (1 + 2 + 3) + 2 + (1 + 1));
    check("size(args.l) == 1", (1 + 2 + 4) + 2 + (1 + 1));
    check("args.l.size() == 1", (1 + 2 + 4) + 2 + (1 + 1));
    // Starts and ends are as long as what they are compared with; all of a text is searched.
    check("args.s.startsWith(\"a\")", 4 + 1);
    check("args.s.endsWith(args.t)", 5 + 5);
    check("args.s.contains(\"a\")", 4 + (3 + 1));
    check("args.n.contains(args.s)", 5 + (1 + 3));
    // A pattern reads the text once for each 16 bytes that it may have, which are 256.
    check("args.s.matches(\"a\")", 4 + 3 * 16);
}

/// A macro is a step, its range's and its initial value's, and then for each member of the range: two, the mean weight
/// of a member and one more, its condition's and its step's. What it gathers is paid for at the end.
#[test]
fn macros_pay_for_each_round() {
    // No member: no round.
    check("args.e.all(x, true)", 1 + 2 + 1);
    check("[].map(x, true).all(y, true)", 1 + (1 + 2 + 2) + 1);
    // A member of `l` weighs 4 / 3 + 1 = 2, so that a round begins with 4 steps. The condition of `all` is two nodes and
    // a weight, that of `exists` three and two, that of the others one; without what is written in it, the step of
    // `all` and `exists` is two nodes and the two weights.
    let before = 1 + 2 + 1;
    check("args.l.all(x, true)", before + 3 * (4 + 3 + (2 + 1 + 2)) + 3);
    check("args.l.exists(x, true)", before + 3 * (4 + 5 + (2 + 1 + 2)) + 3);
    check("args.l.all(x, x)", before + 3 * (4 + 3 + (2 + 1 + 3)) + 3);
    check("args.l.all(x, x == 1)", before + 3 * (4 + 3 + (2 + (3 + 2 + 1) + 2)) + 3);
    check("args.l.all(x, args.s == x)", before + 3 * (4 + 3 + (2 + (4 + 3 + 2) + 2)) + 3);
    // A field of a variable weighs as much as the variable.
    check("args.l.all(x, x.n == 1)", before + 3 * (4 + 3 + (2 + (4 + 2 + 1) + 2)) + 3);
    // A member of `t` weighs 5 / 2 + 1 = 3, and one of `i`, which has three members at the longest, 5 / 3 + 1 = 2.
    check("args.t.all(x, x)", before + 2 * (5 + 3 + (2 + 1 + 4)) + 2);
    check("args.i.all(x, x)", before + 3 * (4 + 3 + (2 + 1 + 3)) + 3);
    check("args.i.all(x, x.all(y, y))", before + 3 * (4 + 3 + 2 + (3 + 3 * (3 + 3 + 5) + 3) + 4) + 3);
    // `exists_one` chooses between a sum of numbers, which weighs 2, and what it had.
    check("args.l.exists_one(x, true)", before + 3 * (4 + 1 + (1 + 1 + (3 + 2) + 1)) + 3 * 2);
    // `map` adds a list of one, which weighs as much as its member and one more, to what it had; its initial value is
    // an empty list. Of `t`, it gathers twice the weight of 3 + 1 + 1.
    let before = 1 + 2 + 2;
    let map = before + 2 * (5 + 1 + (2 + (2 + 4) + 5)) + 2 * 5;
    check("args.t.map(x, x) == 1", map + 2 + (10 + 1));
    check("args.t.map(x, x).size() == 1", (1 + map + 10) + 2 + (1 + 1));
    // The rounds over what it has gathered are as many as its own, or as its longest member has members.
    check(
        "args.t.map(x, 1).all(y, true)",
        2 + (before + 2 * (5 + 1 + (2 + (2 + 2) + 3)) + 6) + 2 * (2 + 4 + 8) + 2,
    );
    let map = before + 2 * (5 + 1 + (2 + (1 + 2 + 5) + 6)) + 12;
    check("args.t.map(x, args.l).all(y, true)", 2 + map + 3 * (2 + 5 + 8) + 3);
    // `filter` chooses between that and what it had.
    let filter = before + 3 * (4 + 1 + (1 + 1 + (2 + (2 + 3) + 4) + 1)) + 3 * 4;
    check("args.l.filter(x, true) == 1", filter + 2 + (12 + 1));
}

/// All of an inner macro is paid for in each round of the outer one.
#[test]
fn macros_in_macros_multiply() {
    let inner = (1 + 2 + 1) + 3 * (4 + 3 + (2 + (3 + 2 + 2) + 2)) + 3;
    let outer = (1 + 2 + 1) + 3 * (4 + 3 + (2 + inner + (1 + 3))) + 3;
    check("args.l.all(x, args.l.all(y, x == y))", outer);
    // After it, nothing is multiplied, and its variables are gone.
    check("args.l.all(x, args.l.all(y, x == y)) && args.s", 1 + outer + 2 + (3 + 3));
    // The inner variable hides the outer one: members of `t` weigh 3, those of `l` 2.
    let inner = (1 + 2 + 1) + 2 * (5 + 3 + (2 + 1 + 4)) + 2;
    check("args.l.all(x, args.t.all(x, x))", (1 + 2 + 1) + 3 * (4 + 3 + (2 + inner + (1 + 2))) + 3);
}

/// What reads no more of a request than a literal is long is not estimated, and so never refused.
#[test]
fn what_is_cheap_on_any_request_is_not_estimated() {
    let check = |source: &str, cheap: bool| {
        let condition = compiled(source);
        assert_eq!(matches!(condition.estimate, Estimate::Never), cheap, "{source}");
    };
    check("true", true);
    check("args.a", true);
    check("has(args.a.b)", true);
    check("!args.a", true);
    check("args.a == 1", true);
    check("\"a\" != args.a", true);
    check("args.a == \"a\" && principal.subject != \"b\" || !(request.tool == \"c\")", true);
    check("args.a.startsWith(\"a\")", true);
    check("args.a.endsWith(\"a\")", true);
    // No side is a literal.
    check("args.a == args.b", false);
    check("args.a != args.b", false);
    check("args.a.startsWith(args.b)", false);
    check("args.a.endsWith(args.b)", false);
    // A part is of another kind.
    check("args.a < 1", false);
    check("args.a in [1]", false);
    check("args.a[0]", false);
    check("args.a[0].b", false);
    check("args.a + 1 == 1", false);
    check("1 == args.a + 1", false);
    check("string(args.a).startsWith(\"a\")", false);
    check("true && args.a < 1", false);
    check("args.a.contains(\"a\")", false);
    check("args.a.matches(\"a\")", false);
    check("args.a.all(x, true)", false);
    check("[1] == 1", false);
    check("{1: 1} == 1", false);
    check("args.a ? true : false", false);

    let arguments = format!(r#"{{"a":"{}"}}"#, "a".repeat(1_000_000));
    let action = Action::CallTool { name: "t", arguments: Arguments::Known(&arguments) };
    let often = ["args.a == \"a\""; 10].join(" || ");
    assert!(steps(&often, action) > MAX_STEPS);
    assert_eq!(call(&often, &arguments), "false");
    assert_eq!(
        call(&often.replace("==", "<="), &arguments),
        "it could take more than 100000 steps on a request of this size"
    );
}
