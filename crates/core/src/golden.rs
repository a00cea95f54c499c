//! Expected texts of tests that are long enough for files of their own. Run the tests with `NARROWS_REWRITE=1` to
//! write them anew, then read what changed.

use std::path::Path;

/// Compares `actual` with a file beneath this crate's directory.
pub(crate) fn compare(path: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("NARROWS_REWRITE").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (expected, actual)) in (1..).zip(expected.lines().zip(actual.lines())) {
        assert_eq!(expected, actual, "{}:{number}; NARROWS_REWRITE=1 writes it anew", path.display());
    }
    assert_eq!(expected.len(), actual.len(), "{}; NARROWS_REWRITE=1 writes it anew", path.display());
}
