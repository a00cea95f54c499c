//! How large an expression may be.

use std::sync::Arc;

use super::{super::Condition, call, compiled};

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
