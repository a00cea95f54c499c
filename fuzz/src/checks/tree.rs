//! JSON as another reader has it: a tree, read by serde_json, that keeps every member, also one that is named twice.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Members(Vec<(String, Tree)>),
}

/// Reads a text, if serde_json does.
pub(crate) fn read(bytes: &[u8]) -> Option<Tree> {
    serde_json::from_slice(bytes).ok()
}

/// Whether serde_json takes a text for JSON; values out of its range, and any depth, are JSON too.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    // It does not look at the encoding of what it leaves out.
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

impl Tree {
    /// All members of this name.
    pub(crate) fn all<'t>(&'t self, name: &str) -> Vec<&'t Tree> {
        self.members().iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Tree> {
        self.all(name).first().copied()
    }

    pub(crate) fn at(&self, path: &[&str]) -> Option<&Tree> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// All members that a reader which ignores case takes for this one (as Go's does: simple folding).
    pub(crate) fn like(&self, name: &str) -> Vec<&Tree> {
        let same = |key: &str| key.chars().map(simple).eq(name.chars().map(simple));
        self.members().iter().filter(|(key, _)| same(key)).map(|(_, value)| value).collect()
    }

    pub(crate) fn members(&self) -> &[(String, Tree)] {
        match self {
            Tree::Members(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same with one member set, added or removed; objects on the way are made.
    pub(crate) fn with(&self, path: &[&str], new: Option<&Tree>) -> Tree {
        let Some((name, below)) = path.split_first() else { return new.cloned().unwrap_or(Tree::Null) };
        if new.is_none() && self.at(path).is_none() {
            return self.clone();
        }
        let mut members = self.members().to_vec();
        match (members.iter().position(|(key, _)| key == name), below.is_empty(), new) {
            (Some(at), true, None) => {
                members.remove(at);
            }
            (Some(at), _, _) => members[at].1 = members[at].1.with(below, new),
            (None, _, Some(_)) => members.push(((*name).to_owned(), Tree::Null.with(below, new))),
            (None, _, None) => {}
        }
        Tree::Members(members)
    }

    /// Every object and array, outermost first, with its depth from 1.
    pub(crate) fn walk(&self, depth: u32, visit: &mut impl FnMut(&Tree, u32)) {
        visit(self, depth);
        match self {
            Tree::List(list) => list.iter().for_each(|value| value.walk(depth + 1, visit)),
            Tree::Members(members) => members.iter().for_each(|(_, value)| value.walk(depth + 1, visit)),
            _ => {}
        }
    }
}

/// Simple case folding of one character, as far as it leads to ASCII.
fn simple(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Members(members))
    }
}
