//! Reading normalised text: a value is a span of it, and finding a part is a walk over the span.
//!
//! Spans come only from a scanned text, so the walk relies on its grammar; on a text that has none it ends
//! early, with nothing, and never runs past the end.

use std::{borrow::Cow, fmt};

use super::text;

/// A value in normalised text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a str,
}

/// The kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl<'a> Value<'a> {
    /// The value whose normalised text this is: one that [`super::replace`] gave, or [`Value::raw`]. It is not
    /// scanned; of any other text the parts that are found mean nothing, though no walk goes astray.
    #[must_use]
    pub const fn of(raw: &'a str) -> Self {
        Self { raw }
    }

    /// Its text, normalised: for the same value always the same, if it holds no numbers.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.raw
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_string(self) -> Option<Cow<'a, str>> {
        self.raw.strip_prefix('"')?.strip_suffix('"').map(text::unescape)
    }

    /// The value of a whole number, written without fraction or exponent, that is in range.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        self.raw.parse().ok()
    }

    /// The value of a whole number, written without fraction or exponent, that is in range.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        self.raw.parse().ok()
    }

    /// The nearest `f64` of any number.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.kind() {
            Kind::Number => self.raw.parse().ok(),
            Kind::Object | Kind::Array | Kind::String | Kind::Bool | Kind::Null => None,
        }
    }

    /// The value of `true` or `false`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        self.raw.parse().ok()
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The member `name` of an object.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        let mut members = Members::of(self);
        if text::plain_run(name.as_bytes()) == name.len() {
            members.find_map(|(key, value)| (key.inside() == name).then_some(value))
        } else {
            members.find_map(|(key, value)| (text::unescape(key.inside()) == name).then_some(value))
        }
    }

    /// The member reached by these names, one inside the other. An empty path is the value itself.
    #[must_use]
    pub fn at(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// The members of an object in their order; of anything else, none.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        Members::of(self).map(|(key, value)| (text::unescape(key.inside()), value))
    }

    /// The elements of an array in their order; of anything else, none.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        Elements { rest: self.raw.strip_prefix('[').unwrap_or("") }
    }

    /// A string's text between its quotes, still escaped.
    fn inside(self) -> &'a str {
        self.raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or("")
    }
}

/// Shows the kind and size only: contents may be secret.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind(), self.raw.len())
    }
}

/// The members of an object, with the names as they are written.
pub(super) struct Members<'a> {
    rest: &'a str,
}

impl<'a> Members<'a> {
    pub(super) fn of(value: Value<'a>) -> Self {
        Self { rest: value.raw.strip_prefix('{').unwrap_or("") }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = split_value(self.rest)?;
        let (value, rest) = split_value(rest.strip_prefix(':')?)?;
        self.rest = rest.strip_prefix(',').unwrap_or("");
        Some((key, value))
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (value, rest) = split_value(self.rest)?;
        self.rest = rest.strip_prefix(',').unwrap_or("");
        Some(value)
    }
}

/// The value at the start of normalised text, and what follows it.
fn split_value(text: &str) -> Option<(Value<'_>, &str)> {
    let bytes = text.as_bytes();
    let length = match bytes.first()? {
        b'"' => string_length(bytes)?,
        b'{' | b'[' => container_length(bytes)?,
        _ => bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b':')).unwrap_or(bytes.len()),
    };
    if length == 0 {
        return None;
    }
    let (raw, rest) = text.split_at_checked(length)?;
    Some((Value { raw }, rest))
}

/// The length of the string at the start, with its quotes.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text::plain_run(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// The length of the array or object at the start.
fn container_length(bytes: &[u8]) -> Option<usize> {
    let mut open = 0_usize;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += string_length(bytes.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return Some(at);
        }
    }
}
