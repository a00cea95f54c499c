//! How large an expression may be.

use std::sync::Arc;

use super::{super::Condition, call, compiled, faults};

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

#[test]
fn long_runs_of_operators_and_parentheses_are_folded() {
    assert_eq!(call(&("!".repeat(4_001 - 5) + "true"), "{}"), "true");
    assert_eq!(call(&("-".repeat(4_000) + "1 == 1"), "{}"), "true");
    assert_eq!(call(&format!("{}1{} == 1", "(".repeat(2_000), ")".repeat(2_000)), "{}"), "true");
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

/// A list of `count` numbers is `count + 1` parts.
fn numbers(count: usize) -> String {
    format!("[{}]", vec!["1"; count].join(","))
}

#[test]
fn an_expression_has_a_greatest_number_of_parts() {
    let check = |source: String, expected: &str| assert_eq!(faults(&source), expected, "{source}");
    let refused = "the expression has more than 512 parts (split it over several rules)";
    // The comparison, the list and the number on the right.
    check(format!("{} == 1", numbers(509)), "fine");
    check(format!("{} == 1", numbers(510)), refused);
    check(format!("{} == 1", numbers(1_500)), refused);
    // The macro, its range and initial value, two parts of its condition, three of its step, and its result.
    check(format!("{}.all(x, true)", numbers(503)), "fine");
    check(format!("{}.all(x, true)", numbers(504)), refused);
    // A field of the request or the principal is two parts.
    let fields = |count: usize| vec!["request.ip"; count].join(",");
    check(format!("[{},1] == 1", fields(254)), "fine");
    check(format!("[{},1,1] == 1", fields(254)), refused);
    check(format!("[{}] == principal.kind", fields(254)), "fine");
    check(format!("[{}] == principal.kind", fields(255)), refused);
}

#[test]
fn the_last_part_is_looked_at_and_nothing_after_it() {
    let check = |source: String, expected: &str| assert_eq!(faults(&source), expected, "{source}");
    let refused = "the expression has more than 512 parts (split it over several rules)";
    check(
        format!("{} == wrong", numbers(509)),
        "there is no `wrong` (there are `principal`, `request` and `args`)",
    );
    check(format!("{} == wrong", numbers(510)), refused);
    // One part too many at the deepest level that is allowed, and one level below it.
    check(format!("{} == args{}", numbers(487), ".a".repeat(23)), refused);
    check(
        format!("{} == args{}", numbers(486), ".a".repeat(24)),
        &format!("{refused}; the expression is nested more than 24 deep"),
    );
}

/// Wherever an expression can stand in another: what is as deep as is allowed, and one level more.
#[test]
fn an_expression_has_a_deepest_nesting() {
    // `…` stands for an expression, with `inside` levels from the outermost to it.
    let check = |source: &str, inside: usize| {
        for (depth, expected) in [(24, "fine"), (25, "the expression is nested more than 24 deep")] {
            let deep = format!("args{}", ".a".repeat(depth - inside));
            assert_eq!(faults(&source.replace('…', &deep)), expected, "{source} to {depth}");
        }
    };
    check("…", 0);
    // Operators.
    check("!…", 1);
    check("… == 1", 1);
    check("1 == …", 1);
    check("…[0]", 1);
    check("args[…]", 1);
    check("… ? 1 : true", 1);
    check("true ? … : 1", 1);
    check("true ? 1 : …", 1);
    // Fields.
    check("….b", 1);
    check("has(….b)", 1);
    // Lists and maps.
    check("[…] == 1", 2);
    check("[1, …] == 1", 2);
    check("{…: 1} == 1", 2);
    check("{1: …} == 1", 2);
    // Functions.
    check("size(…) == 1", 2);
    check("….size() == 1", 2);
    check("….contains(\"a\")", 1);
    check("\"a\".contains(…)", 1);
    check("….matches(\"a\")", 1);
    // Macros: the range, and what stands in the step. The step of `all` and `exists` is a conjunction or disjunction;
    // that of `map` adds a list of one, and is inside of a choice if there is a filter; that of `filter` and
    // `exists_one` is a choice.
    check("….all(x, true)", 1);
    check("args.all(x, …)", 2);
    check("args.exists(x, …)", 2);
    check("args.exists_one(x, …)", 2);
    // Two levels, and one for the comparison.
    check("args.filter(x, …) == 1", 3);
    check("args.map(x, …) == 1", 4);
    check("args.map(x, …, 1) == 1", 3);
    check("args.map(x, true, …) == 1", 5);
}

/// The condition of a macro's loop is deeper than its step: in `exists`, whether not the result so far holds.
#[test]
fn the_condition_of_a_macro_counts_as_nested() {
    let nested =
        |lists: usize| format!("{}args.exists(x, true){} == 1", "[".repeat(lists), "]".repeat(lists));
    // The comparison is around the lists; the condition is three levels inside of the macro.
    assert_eq!(faults(&nested(20)), "fine");
    assert_eq!(faults(&nested(21)), "the expression is nested more than 24 deep");
}

#[test]
fn the_parser_is_not_let_in_deeper_than_it_may() {
    let nested = |lists: usize| format!("{}1{} == 1", "[".repeat(lists), "]".repeat(lists));
    assert_eq!(faults(&nested(23)), "fine");
    assert_eq!(faults(&nested(24)), "the expression is nested more than 24 deep");
    assert_eq!(faults(&nested(25)), "not a CEL expression, at 0:0: expression recursion limit exceeded: 24");
}

#[test]
fn a_pattern_has_a_longest_length_and_a_largest_form() {
    let check = |pattern: &str, expected: &str| {
        assert_eq!(faults(&format!("args.a.matches(\"{pattern}\")")), expected, "{pattern}");
    };
    check(&"a".repeat(256), "fine");
    let long = "a".repeat(257);
    check(&long, &format!("`{long}` is not a pattern: it is longer than 256 bytes"));
    check(".{100}", "fine");
    check(".{1000}", "`.{1000}` is not a pattern: it is too large when compiled");
}
