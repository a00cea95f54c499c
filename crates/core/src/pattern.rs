//! Patterns of names in roles: `*` stands for any run of characters, also an empty one, `?` for exactly one. All
//! else stands for itself, byte for byte: nothing is case-folded, normalised or escaped, since the name that is
//! judged is the name that is sent.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest pattern, in bytes. Names on the wire may be longer; a pattern for them needs a `*`.
pub const MAX_PATTERN: usize = 512;

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Nothing is written.
    #[error("an empty pattern matches nothing")]
    Empty,
    /// Longer than [`MAX_PATTERN`].
    #[error("the pattern is longer than {MAX_PATTERN} bytes")]
    TooLong,
    /// A control character, which no name has.
    #[error("the pattern has a control character")]
    Control,
    /// `**`, which has a meaning of its own elsewhere.
    #[error("`**` has no meaning of its own in a pattern")]
    DoubleStar,
}

impl InvalidPattern {
    /// What to do.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty => "write `*` to match everything",
            Self::TooLong => "match a part of it with `*`",
            Self::Control => "remove it",
            Self::DoubleStar => "write `*`, which matches any run of characters, `/` too",
        }
    }
}

/// What a pattern of a rule is matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Names: of namespaces, servers, tools, prompts, methods.
    Name,
    /// URIs and templates of URIs, which have braces, parentheses and more of their own.
    Uri,
}

/// What to do about a character that [`Pattern::meaningless`] finds.
pub const MEANINGLESS_HINT: &str =
    "a pattern has only `*` (any text) and `?` (any one character); write one entry for each";

/// A checked pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: Box<str>,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Shape {
    /// No wildcard.
    Literal,
    /// `*` alone.
    Any,
    /// A literal followed by one `*`.
    Prefix,
    /// Anything else.
    Wild,
}

impl Pattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The only name that matches, if there is no wildcard.
    pub fn literal(&self) -> Option<&str> {
        match self.shape {
            Shape::Literal => Some(&self.text),
            Shape::Any | Shape::Prefix | Shape::Wild => None,
        }
    }

    /// Whether every name matches.
    pub fn is_any(&self) -> bool {
        self.shape == Shape::Any
    }

    /// The first character that says something in the patterns of other tools and would only stand for itself here:
    /// a deny rule with it matches nothing and lets the call through. Refused where rules are read from files; a
    /// name that does have such a character is matched by `?`.
    pub fn meaningless(&self, subject: Subject) -> Option<char> {
        let is_foreign = |(at, c): (usize, char)| {
            let foreign = match subject {
                Subject::Name => {
                    matches!(c, '{' | '}' | '[' | ']' | '!' | '^' | '|' | '(' | ')' | '\\' | ',')
                }
                Subject::Uri => at == 0 && c == '!',
            };
            (foreign || c.is_whitespace()).then_some(c)
        };
        self.text.char_indices().find_map(is_foreign)
    }

    /// Whether `name` matches. Time is at most proportional to the product of the lengths, and to their sum for
    /// patterns with one `*`; there is no backtracking beyond the last `*`.
    pub fn matches(&self, name: &str) -> bool {
        match self.shape {
            Shape::Literal => *self.text == *name,
            Shape::Any => true,
            Shape::Prefix => match self.text.as_bytes().split_last() {
                Some((_, prefix)) => name.as_bytes().starts_with(prefix),
                None => false,
            },
            Shape::Wild => wild(&self.text, name),
        }
    }
}

/// Greedy match with return to the last `*` only, which is enough: an earlier `*` need never give back what it took.
fn wild(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before = name.clone();
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((pattern.clone(), before.clone()));
                name = before;
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(wanted), Some(found)) if wanted == found => continue,
            (_, _) => {}
        }
        let Some((after_star, mut rest)) = retry.take() else { return false };
        if rest.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        name = rest.clone();
        retry = Some((after_star, rest));
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;
    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if text.len() > MAX_PATTERN {
            return Err(InvalidPattern::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPattern::Control);
        }
        if text.contains("**") {
            return Err(InvalidPattern::DoubleStar);
        }
        let shape = match text.find(['*', '?']) {
            None => Shape::Literal,
            Some(0) if text == "*" => Shape::Any,
            Some(at) if text.ends_with('*') && at + 1 == text.len() => Shape::Prefix,
            Some(_) => Shape::Wild,
        };
        Ok(Self { text: text.into(), shape })
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;
    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text.into()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidPattern, MAX_PATTERN, Pattern, Subject};

    #[test]
    fn a_pattern_has_a_longest_length() {
        let longest = "a".repeat(MAX_PATTERN);
        assert_eq!(longest.parse::<Pattern>().unwrap().to_string(), longest);
        assert_eq!(format!("{longest}a").parse::<Pattern>(), Err(InvalidPattern::TooLong));
        assert_eq!("a".repeat(2 * MAX_PATTERN).parse::<Pattern>(), Err(InvalidPattern::TooLong));
    }

    #[test]
    fn characters_of_other_patterns_are_found() {
        let check = |text: &str, name: Option<char>, uri: Option<char>| {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.meaningless(Subject::Name), name, "`{text}` as a name");
            assert_eq!(pattern.meaningless(Subject::Uri), uri, "`{text}` as a URI");
        };
        for text in ["*", "read_?ile*", "tasks/*", "a.b-c:d@e$", "größe", "file:///docs/*?x=1#y&z;%20+='"] {
            check(text, None, None);
        }
        for foreign in ['{', '}', '[', ']', '!', '^', '|', '(', ')', '\\', ','] {
            check(&format!("a{foreign}b*"), Some(foreign), None);
        }
        check("!x", Some('!'), Some('!'));
        check("x!", Some('!'), None);
        check("file:///{path}", Some('{'), None);
        for space in [' ', '\u{a0}', '\u{2003}'] {
            for text in [format!("a{space}b"), format!("{space}a"), format!("a{space}")] {
                check(&text, Some(space), Some(space));
            }
        }
    }
}
