//! The inputs that the fuzzer found worth keeping, read once more without it: the checks are those of `fuzz/`.
#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../../../fuzz/src/checks/mod.rs"]
mod checks;

fn replay(target: &str, check: fn(&[u8])) {
    let inputs = checks::corpus(target);
    assert!(inputs.len() > 10, "the corpus of {target} is there");
    for (file, input) in inputs {
        let kept = std::panic::catch_unwind(|| check(&input));
        assert!(kept.is_ok(), "{file} breaks a promise");
    }
}

#[test]
fn scan() {
    replay("scan", checks::scan::check);
}

#[test]
fn envelope() {
    replay("envelope", checks::envelope::check);
}

#[test]
fn headers() {
    replay("headers", checks::headers::check);
}

#[test]
fn stream() {
    replay("stream", checks::stream::check);
}

#[test]
fn handles() {
    replay("handles", checks::handles::check);
}
