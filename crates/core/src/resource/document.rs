//! YAML (and with it JSON) as trees that know where each part was written. Nothing is made of the parts here.

use std::{fmt, sync::Arc};

use serde::de::{self, Deserialize, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, MessageFormatter, Spanned, UserMessageFormatter};

use super::SourceFile;
use crate::problem::{Place, Problem};

/// Largest file, in bytes.
const MAX_FILE: usize = 64 * 1024 * 1024;
/// Deepest nesting; resources need eight levels.
const MAX_DEPTH: usize = 32;
/// Most documents, and values, of one file.
const MAX_DOCUMENTS: usize = 200_000;
const MAX_NODES: usize = 8_000_000;

/// A part of a document and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A file's documents, as far as they could be read, and what could not.
pub(super) fn documents(file: &SourceFile) -> (Vec<Node>, Vec<Problem>) {
    if file.text.len() > MAX_FILE {
        let place = Place { file: Arc::clone(&file.name), line: 0, column: 0 };
        let message = format!("the file is larger than {MAX_FILE} bytes");
        return (Vec::new(), vec![Problem { place, message, hint: Some("split it".to_owned()) }]);
    }
    // Read as a stream, since that goes on with the next document after one that is wrong.
    let mut text = file.text.as_bytes();
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for document in serde_saphyr::read_with_options::<_, Spanned<Content>>(&mut text, options()) {
        match document {
            Ok(document) => documents.push(Node::from(document)),
            Err(error) => problems.push(unreadable(file, &error)),
        }
    }
    (documents, problems)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(MAX_FILE),
            max_depth: MAX_DEPTH,
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

fn unreadable(file: &SourceFile, error: &serde_saphyr::Error) -> Problem {
    let location = error.location();
    let number = |from: fn(&serde_saphyr::Location) -> u64| {
        location.as_ref().map_or(0, |location| u32::try_from(from(location)).unwrap_or(u32::MAX))
    };
    let place = Place {
        file: Arc::clone(&file.name),
        line: number(serde_saphyr::Location::line),
        column: number(serde_saphyr::Location::column),
    };
    let words = UserMessageFormatter.format_message(error.without_snippet());
    let words = words.lines().next().unwrap_or_default();
    let (message, hint) = if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error {
        (format!("the key `{key}` is there twice"), "remove one of them")
    } else if let serde_saphyr::Error::Budget { .. } = error {
        ("the file is too deep or too large".to_owned(), "split it")
    } else {
        (format!("not readable as YAML: {words}"), "")
    };
    Problem { place, message, hint: (!hint.is_empty()).then(|| hint.to_owned()) }
}

impl Node {
    /// The member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.members().iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    /// The members of a map, none if it is no map.
    pub(super) fn members(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Map(members) => members,
            Content::Null
            | Content::Bool(_)
            | Content::Integer(_)
            | Content::Float(_)
            | Content::Text(_)
            | Content::List(_) => &[],
        }
    }

    /// The elements of a list, none if it is no list.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.content {
            Content::List(elements) => elements,
            Content::Null
            | Content::Bool(_)
            | Content::Integer(_)
            | Content::Float(_)
            | Content::Text(_)
            | Content::Map(_) => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Null
            | Content::Bool(_)
            | Content::Integer(_)
            | Content::Float(_)
            | Content::List(_)
            | Content::Map(_) => None,
        }
    }

    /// The part at a path such as `spec.rules[0].tools`, or the nearest around it that exists.
    pub(super) fn nearest(&self, path: &str) -> &Node {
        let mut at = self;
        for step in path.split(['.', '[']) {
            let next = match step.strip_suffix(']') {
                Some(number) => number.parse().ok().and_then(|number: usize| at.elements().get(number)),
                None => at.get(step),
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// As a JSON value, for the written forms.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Integer(value) => Value::from(*value),
            Content::Float(value) => Value::from(*value),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(elements) => elements.iter().map(Self::to_json).collect(),
            Content::Map(members) => members
                .iter()
                .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.to_json())))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// What it is, with its value if that is short: ``the number `3` ``.
    pub(super) fn described(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Integer(value) => format!("the number `{value}`"),
            Content::Float(value) => format!("the number `{value}`"),
            Content::Text(text) if text.chars().count() <= 40 => format!("the text `{text}`"),
            Content::Text(_) => "a text".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        let number = |from: u64| u32::try_from(from).unwrap_or(u32::MAX);
        Self {
            line: number(spanned.referenced.line()),
            column: number(spanned.referenced.column()),
            content: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        i64::try_from(value).map(Content::Integer).map_err(|_| E::custom("a number is out of range"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element::<Spanned<Content>>()? {
            elements.push(Node::from(element));
        }
        Ok(Content::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = access.next_key::<Spanned<Content>>()? {
            let value = access.next_value::<Spanned<Content>>()?;
            members.push((Node::from(key), Node::from(value)));
        }
        Ok(Content::Map(members))
    }
}
