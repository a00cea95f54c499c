use super::{ListKind, filter_list};
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
