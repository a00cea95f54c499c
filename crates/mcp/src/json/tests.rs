use proptest::{collection::vec, prelude::*};
use serde_json::Value as Tree;

use super::{Document, Fault, Kind, Limits, Value, keys, replace, text, write_string};

/// JSON as a tree whose numbers are kept as written, to be written out in many ways.
#[derive(Debug, Clone)]
enum Json {
    Word(&'static str),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Members(Vec<(String, Json)>),
}

fn json() -> impl Strategy<Value = Json> {
    let text = || prop_oneof!["[a-z]{0,6}", "\\PC{0,8}", any::<String>()];
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<f32>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        "-?(0|[1-9][0-9]{0,6})\\.[0-9]{1,8}",
        "(0|[1-9][0-9]{0,3})[eE][+-]?[0-9]{1,2}",
    ];
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(Json::Word),
        number.prop_map(Json::Number),
        text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        let key = prop_oneof!["[a-z]{0,4}", "[^\\x00-\\x1f\\x7f-\\u{9f}]{0,6}"];
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Json::List),
            vec((key, inner), 0..20).prop_map(|mut members| {
                let mut seen = std::collections::HashSet::new();
                members.retain(|(key, _)| seen.insert(key.clone()));
                Json::Members(members)
            }),
        ]
    })
}

/// Writes the tree with white space and escapes as `style` has it.
fn render(value: &Json, style: &mut impl FnMut() -> u8, out: &mut String) {
    let space = |style: &mut dyn FnMut() -> u8, out: &mut String| match style() % 16 {
        0 => out.push(' '),
        1 => out.push_str("\r\n\t"),
        _ => {}
    };
    let string = |text: &str, style: &mut dyn FnMut() -> u8, out: &mut String| {
        out.push('"');
        for character in text.chars() {
            let mut units = [0; 2];
            match (style() % 8, character) {
                (0, _) => {
                    for unit in character.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                (1, '/') => out.push_str("\\/"),
                (1 | 2, '\n') => out.push_str("\\n"),
                (_, '"' | '\\') => out.extend(['\\', character]),
                (_, '\0'..='\u{1f}') => out.push_str(&format!("\\u{:04X}", u32::from(character))),
                (_, _) => out.push(character),
            }
        }
        out.push('"');
    };
    space(style, out);
    match value {
        Json::Word(word) => out.push_str(word),
        Json::Number(number) => out.push_str(number),
        Json::Text(text) => string(text, style, out),
        Json::List(list) => {
            out.push('[');
            space(style, out);
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                render(element, style, out);
            }
            out.push(']');
        }
        Json::Members(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                space(style, out);
                string(key, style, out);
                space(style, out);
                out.push(':');
                render(value, style, out);
            }
            space(style, out);
            out.push('}');
        }
    }
    space(style, out);
}

/// A text of a random tree in a random style.
fn written() -> impl Strategy<Value = String> {
    (json(), vec(any::<u8>(), 1..64)).prop_map(|(tree, style)| {
        let mut text = String::new();
        let mut style = style.into_iter().cycle();
        render(&Json::Members(vec![("v".into(), tree)]), &mut || style.next().unwrap_or(0), &mut text);
        text
    })
}

/// Such a text, damaged in a few places with what means something in JSON.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\""),
        Just("\\"),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("0"),
        Just("-"),
        Just("."),
        Just("e"),
        Just("\\u"),
        Just("\\ud800"),
        Just("null"),
        Just(" "),
        Just("\0"),
        Just("\u{feff}"),
        Just("\n"),
        Just("\u{fffd}"),
        Just(""),
        Just("\"v\":1,"),
        Just("//"),
    ];
    (
        written(),
        vec((any::<prop::sample::Index>(), piece, 0..3_usize), 1..4),
        any::<Option<(prop::sample::Index, u8)>>(),
    )
        .prop_map(|(text, damages, byte)| {
            let mut bytes = text.into_bytes();
            for (at, piece, removed) in damages {
                let at = at.index(bytes.len() + 1);
                let end = (at + removed).min(bytes.len());
                bytes.splice(at..end, piece.bytes());
            }
            if let Some((at, byte)) = byte
                && !bytes.is_empty()
            {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

/// Limits under which only serde_json's own rules and ours on names and duplicates are left.
const WIDE: Limits = Limits { depth: 100, ..Limits::SERVER };

/// Whether walking over the span finds what serde_json finds.
fn same(value: Value<'_>, tree: &Tree) -> bool {
    match tree {
        Tree::Null => value.is_null(),
        Tree::Bool(flag) => value.as_bool() == Some(*flag),
        Tree::Number(number) => {
            let whole = number.as_u64().is_none_or(|n| value.as_u64() == Some(n))
                && number.as_i64().is_none_or(|n| value.as_i64() == Some(n));
            // serde_json may be off in the last place, unless built to be exact.
            let near = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-15;
            let close = value.as_f64().zip(number.as_f64()).is_some_and(|(a, b)| near(a, b));
            value.kind() == Kind::Number && whole && close
        }
        Tree::String(text) => value.as_string().as_deref() == Some(text),
        Tree::Array(list) => {
            value.elements().count() == list.len()
                && value.elements().zip(list).all(|(element, tree)| same(element, tree))
        }
        Tree::Object(map) => {
            value.kind() == Kind::Object
                && value.members().count() == map.len()
                && value.members().all(|(key, member)| map.get(&*key).is_some_and(|tree| same(member, tree)))
                && map.iter().all(|(key, tree)| value.get(key).is_some_and(|member| same(member, tree)))
        }
    }
}

/// Half-way between two texts of as many digits: the shortest text that means it ends in 3, the rounded one in 2.
#[test]
fn a_float_half_way_between_two_texts_is_accepted() {
    assert_eq!(format!("{}", f64::from_bits(14_052_514_451_811_474_450)), "-723401755362178.3");
    assert!(Document::parse(b"[-723401755362178.3]", &Limits::CLIENT).is_ok());
    assert!(Document::parse(b"[-723401755362178.35]", &Limits::CLIENT).is_err());
}

proptest! {
    #[test]
    fn what_is_valid_is_accepted_and_means_the_same(text in written()) {
        let document = Document::parse(text.as_bytes(), &WIDE);
        prop_assert!(document.is_ok(), "{document:?} for {text}");
        let document = document.unwrap();
        let tree: Tree = serde_json::from_str(&text).unwrap();
        let normalised: Tree = serde_json::from_str(document.as_str()).unwrap();
        prop_assert_eq!(&tree, &normalised);
        prop_assert!(same(document.root(), &tree));
        let again = Document::parse(document.as_str().as_bytes(), &WIDE).unwrap();
        prop_assert_eq!(again.as_str(), document.as_str());
        prop_assert!(document.as_str().len() <= text.len());
    }

    #[test]
    fn what_is_accepted_is_valid(bytes in damaged()) {
        if let Ok(document) = Document::parse(&bytes, &Limits::CLIENT) {
            let tree: Tree = serde_json::from_slice(&bytes).unwrap();
            prop_assert!(same(document.root(), &tree));
            let again = Document::parse(document.as_str().as_bytes(), &Limits::CLIENT);
            prop_assert_eq!(again.as_ref(), Ok(&document));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Err(error) = Document::parse(&bytes, &Limits::CLIENT) {
            prop_assert!(error.offset <= bytes.len());
        }
    }

    #[test]
    fn cut_short_is_never_accepted(text in written(), at in any::<prop::sample::Index>()) {
        let whole = text.trim_end().as_bytes();
        let cut = &whole[..at.index(whole.len())];
        prop_assert!(Document::parse(cut, &WIDE).is_err());
    }

    #[test]
    fn a_string_reads_as_it_was_written(string in any::<String>()) {
        let mut raw = String::new();
        write_string(&mut raw, &string);
        prop_assert_eq!(serde_json::from_str::<String>(&raw).unwrap(), string.clone());
        prop_assert_eq!(super::normalise(raw.as_bytes(), &Limits::SERVER).unwrap(), raw.clone());
        prop_assert_eq!(Value::of(&raw).as_string().unwrap(), string);
    }

    #[test]
    fn a_run_ends_where_a_byte_needs_an_escape(bytes in vec(prop_oneof![8 => 0x20..=0xff_u8, 1 => any::<u8>()], 0..100)) {
        let naive = bytes.iter().position(|byte| text::is_escaped(*byte)).unwrap_or(bytes.len());
        prop_assert_eq!(text::plain_run(&bytes), naive);
    }

    #[test]
    fn any_float_is_accepted(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        for text in [format!("{number}"), format!("{number:e}"), format!("{number:.16e}")] {
            if text.len() <= 40 {
                let list = format!("[{text}]");
                prop_assert!(Document::parse(list.as_bytes(), &Limits::CLIENT).is_ok(), "{}", text);
            }
        }
    }

    #[test]
    fn a_replaced_member_is_what_it_was_set_to(
        text in written(),
        path in vec(prop_oneof![Just("v"), Just("a"), Just("b\"\\"), Just("")], 1..4),
    ) {
        let document = Document::parse(text.as_bytes(), &WIDE).unwrap();
        let set = replace(document.root(), &path, Some("[17]"));
        let set = Document::parse(set.as_bytes(), &WIDE).unwrap();
        prop_assert_eq!(set.root().at(&path).map(Value::raw), Some("[17]"));
        let removed = replace(set.root(), &path, None);
        let removed = Document::parse(removed.as_bytes(), &WIDE).unwrap();
        prop_assert!(removed.root().at(&path).is_none());
        for (key, value) in document.root().members() {
            if key != path[0] {
                prop_assert_eq!(removed.root().get(&key), Some(value));
            }
        }
    }
}

#[test]
fn replace_keeps_the_order_and_the_rest() {
    let check = |object: &str, path: &[&str], new: Option<&str>, expected: &str| {
        let document = Document::parse(object.as_bytes(), &WIDE).unwrap();
        assert_eq!(replace(document.root(), path, new), expected, "{object} {path:?}");
    };
    check(r#"{"a":1,"b":2,"c":3}"#, &["b"], Some("9"), r#"{"a":1,"b":9,"c":3}"#);
    check(r#"{"a":1,"b":2,"c":3}"#, &["b"], None, r#"{"a":1,"c":3}"#);
    check(r#"{"a":1,"b":2,"c":3}"#, &["a"], None, r#"{"b":2,"c":3}"#);
    check(r#"{"a":1}"#, &["a"], None, "{}");
    check("{}", &["a"], Some("1"), r#"{"a":1}"#);
    check("{}", &["a"], None, "{}");
    check(r#"{"a":1}"#, &["z"], Some("{}"), r#"{"a":1,"z":{}}"#);
    check(
        r#"{"a":{"b":{"c":1,"d":2}},"e":3}"#,
        &["a", "b", "c"],
        Some("9"),
        r#"{"a":{"b":{"c":9,"d":2}},"e":3}"#,
    );
    check(r#"{"a":{"b":{"c":1}}}"#, &["a", "b", "c"], None, r#"{"a":{"b":{}}}"#);
    check(r#"{"a":1}"#, &["a", "b", "c"], Some("9"), r#"{"a":{"b":{"c":9}}}"#);
    check(r#"{"a":1}"#, &["a", "b"], None, r#"{"a":1}"#);
    check(r#"{"b":{}}"#, &["a", "b"], Some("9"), r#"{"b":{},"a":{"b":9}}"#);
    check(r#"[1]"#, &["a"], Some("9"), r#"{"a":9}"#);
    check(r#"{"a":1}"#, &[], Some("9"), "9");
}

#[test]
fn the_place_of_a_fault_is_told() {
    let check = |text: &str, offset: usize| {
        assert_eq!(Document::parse(text.as_bytes(), &Limits::CLIENT).unwrap_err().offset, offset, "{text}");
    };
    check(r#"{"a":1,"b":2,"a":3}"#, 13);
    check(r#"{"a":1,"A":3}"#, 7);
    check(r#"{"a":x}"#, 5);
    check(r#"{"a":1}x"#, 7);
    check(r#"{"a":1"#, 6);
    check(r#"{"a":"\ud800"}"#, 6);
    check(r#"{"a":1e999}"#, 5);
    check("{\"a\":\"\u{e9}\t\"}", 8);
}

#[test]
fn a_fault_says_nothing_of_the_content() {
    let secret = r#"{"password":"hunter2","password":"hunter3"}"#;
    let error = Document::parse(secret.as_bytes(), &Limits::CLIENT).unwrap_err();
    assert_eq!(error.to_string(), "member is named twice at byte 22");
    let document = Document::parse(br#"{"password":"hunter2"}"#, &Limits::CLIENT).unwrap();
    assert_eq!(format!("{document:?} {:?}", document.root()), "Document { bytes: 22, .. } Object(22 bytes)");
}

/// Pairs that Unicode's simple folding takes for one another, the ones with a history first.
#[test]
fn names_that_fold_together_are_refused() {
    for (a, b) in [
        ("s", "\u{17f}"),
        ("k", "\u{212a}"),
        ("\u{e5}", "\u{212b}"),
        ("\u{3c9}", "\u{2126}"),
        ("\u{b5}", "\u{3bc}"),
        ("\u{3c3}", "\u{3c2}"),
        ("\u{df}", "\u{1e9e}"),
        ("\u{1c6}", "\u{1c5}"),
        ("\u{390}", "\u{1fd3}"),
        ("\u{3b8}", "\u{3f4}"),
        ("\u{1e61}", "\u{1e9b}"),
        ("\u{ab70}", "\u{13a0}"),
        ("\u{10d0}", "\u{1c90}"),
        ("\u{432}", "\u{1c80}"),
        ("\u{3b9}", "\u{1fbe}"),
        ("\u{1fb3}", "\u{1fbc}"),
        ("\u{10428}", "\u{10400}"),
    ] {
        let text = format!(r#"{{"{a}":1,"{b}":2}}"#);
        let error = Document::parse(text.as_bytes(), &Limits::SERVER).unwrap_err();
        assert_eq!(error.fault, Fault::Member(super::MemberFault::DuplicateByCase), "{text}");
    }
}

/// Names that are all alike must cost no more than names that are not.
#[test]
fn many_members_are_checked_in_order_and_by_case() {
    for count in [5, 12, 13, 200, 4000] {
        for (last, fault) in [("k1", "member is named twice"), ("K1", "two members differ only by case")] {
            let mut names: Vec<String> = (0..count).map(|n| format!(r#""k{n}":0"#)).collect();
            let good = format!("{{{}}}", names.join(","));
            assert!(Document::parse(good.as_bytes(), &Limits::CLIENT).is_ok());
            names.push(format!(r#""{last}":0"#));
            let bad = format!("{{{}}}", names.join(","));
            let error = Document::parse(bad.as_bytes(), &Limits::CLIENT).unwrap_err();
            assert_eq!((error.fault.to_string().as_str(), error.offset), (fault, good.len()), "{count}");
        }
    }
    assert_eq!(keys::Role::Message.child("params").child("arguments").child("x"), keys::Role::Other);
}

#[test]
fn damaged_spans_are_walked_to_no_harm() {
    for raw in [
        "",
        "{",
        "[",
        "\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "[1",
        "[[",
        "{\"a\":\"\\",
        "x",
        "}",
        ",",
    ] {
        let value = Value::of(raw);
        assert!(value.members().count() <= 1 && value.elements().count() <= 1, "{raw}");
        assert!(value.get("b").is_none(), "{raw}");
    }
}
