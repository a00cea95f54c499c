//! Strict JSON (RFC 8259) for messages that will be judged: one pass checks the bytes and writes a *normalised*
//! copy, and only that copy is read or sent on afterwards.
//!
//! Two parsers that both accept a text but read it differently are how a request gets past a judge. So a text
//! that mainstream parsers are known to disagree on is refused here, and what is accepted has one spelling:
//! no white space, canonical string escapes, numbers as written, members in their order. No tree is built; a
//! [`Value`] is a span of the normalised text. This module must never hand out a span of unscanned bytes.

mod edit;
mod error;
mod keys;
mod number;
mod scan;
mod text;
mod value;

#[cfg(test)]
pub(crate) mod tests;

pub use edit::replace;
pub use error::{Cap, Fault, MemberFault, ScanError};
pub(crate) use keys::is_misspelt;
pub(crate) use text::plain_run;
pub use text::write_string;
pub use value::{Elements, Kind, Value};

use std::fmt;

/// What a text may hold. The default is [`Limits::CLIENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects may nest; the outermost counts as 1. At most [`Limits::DEEPEST`] is honoured.
    pub depth: u32,
    /// How many members one object may have.
    pub members: u32,
    /// How long one string may be, in bytes of UTF-8 after unescaping. Keys count as strings.
    pub string: usize,
    /// Which numbers are accepted.
    pub numbers: Numbers,
    /// Where member names that differ only by case are refused.
    pub folding: Folding,
}

/// Which numbers are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// At most 40 characters, and every reader gets the same value: exact as `i64` or `u64`, or kept by an `f64`
    /// to all the digits written.
    Exact,
    /// Any JSON number of at most 400 characters.
    Wide,
}

/// Where two member names that are equal after Unicode case folding are refused, because some readers (Go's
/// `encoding/json`) match names without regard to case. A name that only folds to one that is judged (`Name`
/// for `name`) is refused in the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// In the message itself, `params`, `params._meta` and the top level of `params.arguments`.
    Request,
    /// In the message itself only.
    Message,
}

impl Limits {
    /// For what clients send.
    pub const CLIENT: Self = Self {
        depth: 64,
        members: 4096,
        string: 1 << 20,
        numbers: Numbers::Exact,
        folding: Folding::Request,
    };
    /// For what servers send: larger, numbers as wide as they come.
    pub const SERVER: Self = Self {
        depth: 128,
        members: 65_536,
        string: 16 << 20,
        numbers: Numbers::Wide,
        folding: Folding::Message,
    };
    /// The deepest nesting that any limits can allow; it bounds the scanner's stack.
    pub const DEEPEST: u32 = 256;
}

impl Default for Limits {
    fn default() -> Self {
        Self::CLIENT
    }
}

/// A text that passed the scan, in its normalised form.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    text: String,
}

impl Document {
    /// Scans one message: an object, or an array (a batch, whose elements are held to the rules of a message).
    ///
    /// # Errors
    /// [`ScanError`] with the first fault found and its byte offset in `bytes`. It holds nothing of the content.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ScanError> {
        scan::document(bytes, limits).map(|text| Self { text })
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::of(&self.text)
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The normalised text, without copying it.
    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }
}

/// Shows the size only: contents may be secret.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// Scans one value of any kind and gives its normalised text; for a part of a message that was streamed past.
///
/// # Errors
/// As [`Document::parse`].
pub(crate) fn normalise(bytes: &[u8], limits: &Limits) -> Result<String, ScanError> {
    scan::value(bytes, limits)
}
