use super::{ListKind, filter_list, has_lookalike};
use crate::json::{Document, Limits};

const LISTS: [ListKind; 4] =
    [ListKind::Tools, ListKind::Resources, ListKind::ResourceTemplates, ListKind::Prompts];

/// Keeps entries whose name begins with `keep`.
fn check(kind: ListKind, result: &str, restamp: bool, expected: Result<&str, i64>) {
    let document = Document::parse(result.as_bytes(), &Limits::SERVER).unwrap();
    let filtered = filter_list(
        kind,
        document.root(),
        |entry, key| {
            assert_eq!(entry.get(kind.key()).and_then(|name| name.as_string()).as_deref(), Some(key));
            key.starts_with("keep")
        },
        restamp,
    );
    assert_eq!(filtered.as_deref().map_err(|error| error.code()), expected, "{result}");
    if let Ok(filtered) = filtered {
        assert_eq!(Document::parse(filtered.as_bytes(), &Limits::SERVER).unwrap().as_str(), filtered);
    }
}

#[test]
fn tools() {
    let check = |result: &str, expected| check(ListKind::Tools, result, false, expected);
    check(r#"{"tools":[]}"#, Ok(r#"{"tools":[]}"#));
    check(r#"{"tools":[{"name":"keep"}]}"#, Ok(r#"{"tools":[{"name":"keep"}]}"#));
    check(r#"{"tools":[{"name":"drop"}]}"#, Ok(r#"{"tools":[]}"#));
    check(
        r#"{"a":1,"tools":[{"name":"drop"},{"x":{"$defs":1.50},"name":"keep"},{"name":"drop"},{"name":"keep2"}],"nextCursor":"c\/1","_meta":{}}"#,
        Ok(
            r#"{"a":1,"tools":[{"x":{"$defs":1.50},"name":"keep"},{"name":"keep2"}],"nextCursor":"c/1","_meta":{}}"#,
        ),
    );
    // Whose name can't be called is not listed.
    check(
        r#"{"tools":[{"name":1},{"name":null},{},"keep",["keep"],null,{"Name":"keep"},{"uri":"keep"},{"name":""}]}"#,
        Ok(r#"{"tools":[]}"#),
    );
    check(
        r#"{"tools":[{"name":"keep "},{"name":"keep\u200b"},{"name":"keep\n"},{"name":"keep\u202e"},{"name":"k\u0065ep"}]}"#,
        Ok(r#"{"tools":[{"name":"keep"}]}"#),
    );
    check(r#"{"cacheScope":"public","tools":[]}"#, Ok(r#"{"cacheScope":"public","tools":[]}"#));
    check(r#"{}"#, Err(-32602));
    check(r#"{"tools":{}}"#, Err(-32602));
    check(r#"{"tools":null}"#, Err(-32602));
    check(r#"{"Tools":[{"name":"keep"}]}"#, Err(-32602));
}

#[test]
fn names_that_fold_to_judged_ones_are_refused() {
    let check = |result: &str, expected: bool| {
        let listed = result.replacen('{', r#"{"result":{"tools":[],"#, 1) + "}";
        let document = Document::parse(listed.as_bytes(), &Limits::SERVER).unwrap();
        let result = document.root().get("result").unwrap();
        assert_eq!(has_lookalike(result), expected, "{listed}");
        let filtered = filter_list(ListKind::Tools, result, |_, _| true, false);
        assert_eq!(
            filtered.as_deref().map_err(|error| error.code()),
            if expected { Err(-32602) } else { Ok(result.raw()) }
        );
    };
    for name in [
        "RequestState",
        "requeststate",
        "reque\u{17f}tState",
        "InputRequests",
        "inputRequest\u{17f}",
        "CACHESCOPE",
        "cache\u{17f}cope",
        "resulttype",
        "iserror",
        "i\u{17f}Error",
        "Tools",
        "tool\u{17f}",
        r"tool\u017f",
        "Resources",
        "resourcetemplates",
        "Prompts",
        "nextcursor",
    ] {
        check(&format!(r#"{{"x":1,"{name}":[]}}"#), true);
        check(&format!(r#"{{"x":{{"{name}":[]}}}}"#), false);
    }
    for name in ["tool", "toolss", "Name", "_meta", "ttlMs", "\u{17f}", "na\u{ef}ve"] {
        check(&format!(r#"{{"{name}":[]}}"#), false);
    }
}

#[test]
fn cursors_are_strings_or_null() {
    let check = |cursor: &str, good: bool| {
        let text = format!(r#"{{"tools":[],"nextCursor":{cursor}}}"#);
        check(ListKind::Tools, &text, false, if good { Ok(&text) } else { Err(-32602) });
    };
    check(r#""c""#, true);
    // Some servers write the absence of one out. There is nothing in it to seal.
    check("null", true);
    for cursor in ["1", "true", "{}", r#"["c"]"#] {
        check(cursor, false);
    }
}

#[test]
fn all_kinds() {
    for kind in LISTS {
        let (member, key) = (kind.member(), kind.key());
        let text = format!(
            r#"{{"{member}":[{{"{key}":"keep:1"}},{{"{key}":"drop:1"}}],"cacheScope":"public","ttlMs":5}}"#
        );
        let expected = format!(r#"{{"{member}":[{{"{key}":"keep:1"}}],"cacheScope":"private","ttlMs":5}}"#);
        check(kind, &text, true, Ok(&expected));
        let other = format!(r#"{{"x{member}":[]}}"#);
        check(kind, &other, true, Err(-32602));
    }
    check(
        ListKind::Resources,
        r#"{"resources":[{"uri":"keep a"},{"uri":"keep\u0000"}]}"#,
        false,
        Ok(r#"{"resources":[]}"#),
    );
    check(ListKind::Tools, r#"{"tools":[]}"#, true, Ok(r#"{"tools":[],"cacheScope":"private"}"#));
}
