//! Member names of one object: found twice, found twice but for case, or a known name in the wrong case.
//!
//! Time is bounded by the size of the names (a sort), whatever they are: there is no hash to flood.

use std::cmp::Ordering;

use super::error::MemberFault;

/// Objects up to this size are compared pair by pair.
const FEW: usize = 12;

/// Names of `params` that have a meaning to us; a server that ignores case would read `Name` as `name`.
const PARAMS: &[&str] = &[
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "cursor",
    "inputResponses",
    "level",
    "name",
    "notifications",
    "progressToken",
    "protocolVersion",
    "ref",
    "requestId",
    "requestState",
    "task",
    "taskId",
    "uri",
];

/// The same for `params._meta`.
const META: &[&str] = &[
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/related-task",
    "io.modelcontextprotocol/subscriptionId",
    "progressToken",
];

/// What an object is within a message, which decides how its names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The message itself.
    Message,
    /// `params`.
    Params,
    /// `params._meta`.
    Meta,
    /// `params.arguments`.
    Arguments,
    /// Anything else: names are compared as they are.
    Other,
}

impl Role {
    /// The role of the member `name` of an object with this role.
    pub(super) fn child(self, name: &str) -> Self {
        match (self, name) {
            (Self::Message, "params") => Self::Params,
            (Self::Params, "_meta") => Self::Meta,
            (Self::Params, "arguments") => Self::Arguments,
            (Self::Message | Self::Params | Self::Meta | Self::Arguments | Self::Other, _) => Self::Other,
        }
    }

    const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Params => PARAMS,
            Self::Meta => META,
            Self::Message | Self::Arguments | Self::Other => &[],
        }
    }
}

/// A name in the normalised text, between its quotes, and where it stood in the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) offset: usize,
}

/// Checks the names of one object. `text` is the normalised text so far; equal names have equal spans in it.
/// May reorder `keys`.
pub(super) fn check(text: &str, keys: &mut [Key], role: Role) -> Result<(), (MemberFault, usize)> {
    let bytes = |key: Key| text.as_bytes().get(key.start..key.end).unwrap_or(&[]);
    if let Some(offset) = repeated(keys, |a, b| bytes(a) == bytes(b), |a, b| bytes(a).cmp(bytes(b))) {
        return Err((MemberFault::Duplicate, offset));
    }
    if role == Role::Other {
        return Ok(());
    }
    let name = |key: Key| text.get(key.start..key.end).unwrap_or("");
    if let Some(key) = keys.iter().find(|key| is_misspelt(name(**key), role.known())) {
        return Err((MemberFault::Misspelt, key.offset));
    }
    let twice = if keys.iter().all(|key| bytes(*key).is_ascii()) {
        let lower = |key: Key| bytes(key).iter().map(u8::to_ascii_lowercase);
        repeated(keys, |a, b| bytes(a).eq_ignore_ascii_case(bytes(b)), |a, b| lower(a).cmp(lower(b)))
    } else {
        let mut folded: Vec<(String, usize)> =
            keys.iter().map(|key| (fold(name(*key)).collect(), key.offset)).collect();
        folded.sort_unstable();
        folded.windows(2).find_map(|pair| match pair {
            [(a, _), (b, offset)] if a == b => Some(*offset),
            _ => None,
        })
    };
    match twice {
        Some(offset) => Err((MemberFault::DuplicateByCase, offset)),
        None => Ok(()),
    }
}

/// The offset of the later of two equal keys, if there are any.
fn repeated(
    keys: &mut [Key],
    equal: impl Fn(Key, Key) -> bool,
    order: impl Fn(Key, Key) -> Ordering,
) -> Option<usize> {
    if keys.len() <= FEW {
        return keys.iter().enumerate().find_map(|(index, key)| {
            keys.iter().take(index).any(|earlier| equal(*earlier, *key)).then_some(key.offset)
        });
    }
    keys.sort_unstable_by(|a, b| order(*a, *b).then(a.offset.cmp(&b.offset)));
    keys.windows(2).find_map(|pair| match pair {
        [a, b] if equal(*a, *b) => Some(b.offset),
        _ => None,
    })
}

/// Whether `name` is one of those that are `known` but for case.
pub(crate) fn is_misspelt(name: &str, known: &[&str]) -> bool {
    if name.is_ascii() {
        let differs_by_case = |known: &str| name.eq_ignore_ascii_case(known) && name != known;
        known.iter().any(|known| name.len() == known.len() && differs_by_case(known))
    } else {
        known.iter().any(|known| fold(name).eq(fold(known)))
    }
}

/// Full case folding, down, up and down again: as coarse as Unicode's simple folding (U+017F is `s`, U+212A is `k`),
/// and in places coarser, which refuses more.
fn fold(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}
