//! A JSON response on its way through: checked and given the client's id while it streams, never held whole.
//!
//! The whole text is held to the grammar of JSON and to UTF-8; the envelope is checked member by member. Of the
//! contents only what was asked for is taken out, handed over and replaced. Until the last bracket has passed
//! every check it is not written, so that a response that turns out wrong never parses on the other side.

mod syntax;
mod utf8;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use thiserror::Error;

use crate::{
    envelope::Id,
    json::{self, Limits, plain_run},
    method::is_lookalike,
};
use syntax::{Event, Step, Syntax};
use utf8::Utf8;

/// The longest name, id or other small value that is looked at, in bytes as written.
const SMALL: usize = 1024;
/// The largest captured member, in bytes as written.
const LARGEST_CAPTURE: usize = 4 << 20;

/// Members of `result` that can be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Member {
    /// `requestState`
    RequestState,
    /// `inputRequests`
    InputRequests,
    /// `cacheScope`
    CacheScope,
}

impl Member {
    const fn bit(self) -> u8 {
        match self {
            Self::RequestState => 1,
            Self::InputRequests => 2,
            Self::CacheScope => 4,
        }
    }
}

/// A set of members to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captures(u8);

impl Captures {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub fn of(members: &[Member]) -> Self {
        Self(members.iter().fold(0, |set, member| set | member.bit()))
    }

    const fn has(self, member: Member) -> bool {
        self.0 & member.bit() != 0
    }
}

/// A captured member was not accepted; the response ends with [`ResponseError::Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a member of the result was refused")]
pub struct Refused;

/// A response that is refused. What was written of it is no complete JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// Not JSON.
    #[error("response is not valid JSON")]
    Syntax,
    /// Not UTF-8.
    #[error("response is not UTF-8")]
    Encoding,
    /// Nested deeper than 256.
    #[error("response is nested too deep")]
    TooDeep,
    /// Something follows it.
    #[error("something follows the response")]
    Trailing,
    /// It ends too early.
    #[error("response ends too early")]
    Truncated,
    /// Not a JSON-RPC response.
    #[error("message is not a JSON-RPC response")]
    Envelope,
    /// The answer to another request.
    #[error("response has another request's id")]
    WrongId,
    /// A member that must be unique is there twice.
    #[error("response names a member twice")]
    Repeated,
    /// A member of the result has the name of a judged one but for case.
    #[error("a member of the result differs from a known one only by case")]
    Lookalike,
    /// A captured member is too large or breaks the rules of [`crate::json`].
    #[error("a member of the result can't be read")]
    Unreadable,
    /// A captured member was refused.
    #[error("a member of the result was refused")]
    Refused,
}

/// What is to be sent on for a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fed {
    /// The piece, as it is; nothing was appended. So it is in the middle of a large result.
    AsItIs,
    /// What was appended.
    Appended,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// It is an error, or a result with `isError`.
    pub is_error: bool,
    /// It is a result with `resultType: "input_required"`.
    pub has_input_required: bool,
}

/// A response on its way through.
#[derive(Debug)]
pub struct ResponseStream {
    expected: Id,
    client: Id,
    captures: Captures,
    syntax: Syntax,
    utf8: Utf8,
    /// The members met so far, as bits.
    seen: u16,
    /// The member whose name was read last.
    last: Name,
    /// The member of the message that is being read.
    outer: Name,
    /// The name or small value being looked at, or the value being withheld.
    held: Vec<u8>,
    holding: Holding,
    id_is_null: bool,
    is_error: bool,
    has_input_required: bool,
}

/// Members that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Version,
    Id,
    Result,
    Error,
    IsError,
    ResultType,
    Captured(Member),
    /// Of `result`, and of no interest.
    Other,
}

impl Name {
    const fn bit(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::Id => 2,
            Self::Result => 4,
            Self::Error => 8,
            Self::IsError => 16,
            Self::ResultType => 32,
            Self::Captured(member) => (member.bit() as u16) << 6,
            // May be met any number of times.
            Self::Other => 0,
        }
    }
}

/// What happens to the bytes going by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// They are written.
    Nothing,
    /// They are written, and kept as the name of a member.
    Key,
    /// They are written, and kept as the value of this member.
    Copy(Name),
    /// They are kept, and something else is written for them.
    Back(Name),
}

impl ResponseStream {
    /// A response that must have the id `expected` and is given the id `client`.
    #[must_use]
    pub fn new(expected: Id, client: Id, captures: Captures) -> Self {
        Self {
            expected,
            client,
            captures,
            syntax: Syntax::new(),
            utf8: Utf8::default(),
            seen: 0,
            last: Name::Other,
            outer: Name::Other,
            held: Vec::new(),
            holding: Holding::Nothing,
            id_is_null: false,
            is_error: false,
            has_input_required: false,
        }
    }

    /// Reads the next piece and appends what can be sent on to `out`, unless that is the piece itself. How the text is
    /// cut up makes no difference. Each captured member is handed to `capture` as normalised JSON text, and what that gives is
    /// written in its place; it must be normalised JSON text too.
    ///
    /// # Errors
    /// [`ResponseError`]; what was appended to `out` before may be sent, no more can be.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        out: &mut Vec<u8>,
        capture: &mut dyn FnMut(Member, &str) -> Result<String, Refused>,
    ) -> Result<Fed, ResponseError> {
        self.utf8.push(chunk)?;
        let mut next = self.syntax.run(chunk, 0)?;
        if next.is_none() && self.holding == Holding::Nothing {
            return Ok(Fed::AsItIs);
        }
        out.reserve(chunk.len());
        // Up to `done` the piece is dealt with.
        let mut done = 0;
        while let Some(step) = next {
            self.step(step, chunk, &mut done, out, capture)?;
            next = self.syntax.run(chunk, step.next)?;
        }
        self.pass(chunk.get(done..).unwrap_or(&[]), out)?;
        Ok(Fed::Appended)
    }

    /// The end of the text.
    ///
    /// # Errors
    /// [`ResponseError::Truncated`] if the response is not complete.
    pub fn finish(self) -> Result<Ending, ResponseError> {
        if !self.syntax.is_complete() || !self.utf8.is_complete() {
            return Err(ResponseError::Truncated);
        }
        Ok(Ending { is_error: self.is_error, has_input_required: self.has_input_required })
    }

    fn step(
        &mut self,
        step: Step,
        chunk: &[u8],
        done: &mut usize,
        out: &mut Vec<u8>,
        capture: &mut dyn FnMut(Member, &str) -> Result<String, Refused>,
    ) -> Result<(), ResponseError> {
        let is_watched = step.depth == 1 || step.depth == 2 && self.outer == Name::Result;
        let (starts, ends) = match step.event {
            Event::Key if is_watched => (Some(Holding::Key), false),
            Event::Value(first) if is_watched => (Some(self.begin_value(first, step.depth)?), false),
            Event::KeyEnd | Event::ValueEnd => (None, is_watched && self.holding != Holding::Nothing),
            Event::Key | Event::Value(_) => (None, false),
            Event::RootEnd => {
                self.pass(chunk.get(*done..step.at).unwrap_or(&[]), out)?;
                *done = step.at;
                return self.end_root(out);
            }
        };
        if let Some(holding) = starts {
            self.pass(chunk.get(*done..step.at).unwrap_or(&[]), out)?;
            *done = step.at;
            self.holding = holding;
        } else if ends {
            self.pass(chunk.get(*done..step.at).unwrap_or(&[]), out)?;
            *done = step.at;
            self.end_held(step.depth, out, capture)?;
        }
        Ok(())
    }

    /// Deals with bytes in which nothing begins or ends.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ResponseError> {
        let most = match self.holding {
            Holding::Nothing => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Holding::Key | Holding::Copy(_) => {
                out.extend_from_slice(bytes);
                // What is longer is none of the names and values that matter; it is kept cut, so it matches none.
                let room = SMALL.saturating_sub(self.held.len());
                self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                return Ok(());
            }
            Holding::Back(Name::Captured(_)) => LARGEST_CAPTURE,
            Holding::Back(_) => SMALL,
        };
        if self.held.len() + bytes.len() > most {
            return Err(ResponseError::Unreadable);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn begin_value(&mut self, first: u8, depth: usize) -> Result<Holding, ResponseError> {
        if depth == 1 {
            self.outer = self.last;
        }
        match self.last {
            Name::Result | Name::Error if first == b'{' => Ok(Holding::Nothing),
            Name::Result | Name::Error => Err(ResponseError::Envelope),
            Name::Version | Name::IsError | Name::ResultType => Ok(Holding::Copy(self.last)),
            Name::Id | Name::Captured(_) => Ok(Holding::Back(self.last)),
            Name::Other => Ok(Holding::Nothing),
        }
    }

    fn end_held(
        &mut self,
        depth: usize,
        out: &mut Vec<u8>,
        capture: &mut dyn FnMut(Member, &str) -> Result<String, Refused>,
    ) -> Result<(), ResponseError> {
        let holding = std::mem::replace(&mut self.holding, Holding::Nothing);
        let held = std::mem::take(&mut self.held);
        let text = || match plain_string(&held) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => {
                json::normalise(&held, &Limits::SERVER).map(Cow::Owned).map_err(|_| ResponseError::Unreadable)
            }
        };
        match holding {
            Holding::Nothing => {}
            Holding::Key => {
                let name = self.name(depth, text().ok().as_deref())?;
                if self.seen & name.bit() != 0 {
                    return Err(ResponseError::Repeated);
                }
                self.seen |= name.bit();
                self.last = name;
            }
            Holding::Copy(name) => match (name, &*text()?) {
                (Name::Version, "\"2.0\"") => {}
                (Name::Version, _) => return Err(ResponseError::Envelope),
                (Name::IsError, "true") => self.is_error = true,
                (Name::ResultType, "\"input_required\"") => self.has_input_required = true,
                (_, _) => {}
            },
            Holding::Back(Name::Captured(member)) => {
                let written = capture(member, &text()?).map_err(|Refused| ResponseError::Refused)?;
                out.extend_from_slice(written.as_bytes());
            }
            Holding::Back(_) => {
                match &*text()? {
                    "null" => self.id_is_null = true,
                    id if id == self.expected.raw() => {}
                    _ => return Err(ResponseError::WrongId),
                }
                out.extend_from_slice(self.client.raw().as_bytes());
            }
        }
        Ok(())
    }

    fn name(&self, depth: usize, text: Option<&str>) -> Result<Name, ResponseError> {
        match (depth, text) {
            (1, Some("\"jsonrpc\"")) => Ok(Name::Version),
            (1, Some("\"id\"")) => Ok(Name::Id),
            (1, Some("\"result\"")) => Ok(Name::Result),
            (1, Some("\"error\"")) => Ok(Name::Error),
            (1, _) => Err(ResponseError::Envelope),
            (_, Some("\"isError\"")) => Ok(Name::IsError),
            (_, Some("\"resultType\"")) => Ok(Name::ResultType),
            (_, Some("\"requestState\"")) => Ok(self.captured(Member::RequestState)),
            (_, Some("\"inputRequests\"")) => Ok(self.captured(Member::InputRequests)),
            (_, Some("\"cacheScope\"")) => Ok(self.captured(Member::CacheScope)),
            (_, Some(name)) if is_lookalike(name.trim_matches('"')) => Err(ResponseError::Lookalike),
            (_, _) => Ok(Name::Other),
        }
    }

    fn captured(&self, member: Member) -> Name {
        if self.captures.has(member) { Name::Captured(member) } else { Name::Other }
    }

    /// All that can be said only now that the whole was seen; then the last bracket.
    fn end_root(&mut self, out: &mut Vec<u8>) -> Result<(), ResponseError> {
        let has = |name: Name| self.seen & name.bit() != 0;
        if !has(Name::Version) || has(Name::Result) == has(Name::Error) {
            return Err(ResponseError::Envelope);
        }
        let is_error = has(Name::Error);
        if self.id_is_null && !is_error {
            return Err(ResponseError::WrongId);
        }
        if !has(Name::Id) {
            if !is_error {
                return Err(ResponseError::WrongId);
            }
            out.extend_from_slice(b",\"id\":");
            out.extend_from_slice(self.client.raw().as_bytes());
        }
        self.is_error |= is_error;
        Ok(())
    }
}

/// The text of a string that is its own normal form: ASCII without escapes, as nearly all names are.
fn plain_string(text: &[u8]) -> Option<&str> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let plain = inner.is_ascii() && plain_run(inner) == inner.len() && !inner.contains(&0x7f);
    if plain { std::str::from_utf8(text).ok() } else { None }
}
