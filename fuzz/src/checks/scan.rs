//! The strict scan. What it accepts is JSON to others too and means to them what it means here; its normalised text
//! is the only spelling of itself; what it calls no JSON is none.

use narrows_mcp::json::{Document, Kind, Limits, Value};

use super::tree::{self, Tree};

pub(crate) fn check(data: &[u8]) {
    for limits in [Limits::CLIENT, Limits::SERVER] {
        scanned(data, &limits);
    }
}

fn scanned(data: &[u8], limits: &Limits) {
    let document = match Document::parse(data, limits) {
        Ok(document) => document,
        Err(error) => {
            assert!(error.offset <= data.len(), "the fault is in the text");
            if error.code() == -32700 {
                assert!(!tree::is_json(data), "called no JSON, and serde_json reads it: {error}");
            }
            return;
        }
    };
    let text = document.as_str();
    assert!(text.len() <= data.len(), "normalising makes nothing longer");
    assert!(tree::is_json(data) && tree::is_json(text.as_bytes()), "serde_json reads what is accepted");
    let again = Document::parse(text.as_bytes(), limits).map(Document::into_string);
    assert_eq!(again.as_deref(), Ok(text), "what is sent on is read in the same way");
    assert!(!outside_strings(text).any(|byte| byte.is_ascii_whitespace()), "no white space is left");

    // Too deep or with numbers too large for serde_json's tree, which only servers may send.
    let Some(tree) = tree::read(data) else {
        return assert_eq!(*limits, Limits::SERVER, "serde_json reads what a client may send");
    };
    assert!(tree::read(text.as_bytes()).is_some_and(|again| same(&again, &tree)), "it means the same");
    mirrors(document.root(), &tree);
    tree.walk(1, &mut |value, depth| bounds(value, depth, limits));
}

fn bounds(value: &Tree, depth: u32, limits: &Limits) {
    if matches!(value, Tree::List(_) | Tree::Members(_)) {
        assert!(depth <= limits.depth);
    }
    if let Tree::Text(text) = value {
        assert!(text.len() <= limits.string);
    }
    let members = value.members();
    assert!(members.len() <= limits.members as usize);
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a member is named twice");
    for name in names {
        assert!(name.len() <= limits.string);
        assert!(!name.chars().any(char::is_control), "a name holds a control character");
        assert!(!name.starts_with("$serde_json::private"), "a name is reserved");
    }
}

/// Whether two trees are the same to the last bit.
pub(crate) fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::Float(a), Tree::Float(b)) => a.to_bits() == b.to_bits(),
        (Tree::List(a), Tree::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Tree::Members(a), Tree::Members(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        }
        _ => a == b,
    }
}

/// The spans of a normalised text say what the other reader's tree says.
pub(crate) fn mirrors(value: Value<'_>, tree: &Tree) {
    match tree {
        Tree::Null => assert!(value.is_null()),
        Tree::Bool(expected) => assert_eq!(value.as_bool(), Some(*expected)),
        Tree::Text(expected) => assert_eq!(value.as_string().as_deref(), Some(expected.as_str())),
        Tree::Whole(expected) => {
            assert_eq!(value.kind(), Kind::Number);
            assert_eq!(value.as_i64(), i64::try_from(*expected).ok());
            assert_eq!(value.as_u64(), u64::try_from(*expected).ok());
        }
        Tree::Float(expected) => {
            // serde_json rounds to a neighbour at times, unless a feature is on.
            let bits = value.as_f64().map(f64::to_bits);
            assert!(bits.is_some_and(|bits| bits.abs_diff(expected.to_bits()) <= 2), "a number differs");
        }
        Tree::List(list) => {
            assert_eq!(value.kind(), Kind::Array);
            assert_eq!(value.elements().count(), list.len());
            value.elements().zip(list).for_each(|(value, tree)| mirrors(value, tree));
        }
        Tree::Members(members) => {
            assert_eq!(value.kind(), Kind::Object);
            assert_eq!(value.members().count(), members.len());
            for ((name, value), (expected, tree)) in value.members().zip(members) {
                assert_eq!(name, expected.as_str());
                mirrors(value, tree);
            }
            for (name, _) in members {
                assert!(value.get(name).is_some(), "what is there is found");
            }
        }
    }
}

fn outside_strings(text: &str) -> impl Iterator<Item = u8> {
    let (mut inside, mut escaped) = (false, false);
    text.bytes().filter(move |byte| {
        let was_inside = inside;
        match (inside, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => inside = !inside,
            _ => {}
        }
        !was_inside
    })
}
