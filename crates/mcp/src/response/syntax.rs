//! The grammar of JSON (RFC 8259) over a text that comes in pieces. Checks every token, keeps none, and tells of
//! the two outermost levels only, so that what lies deeper runs through in one loop.

use crate::json::plain_run;

use super::ResponseError;

/// The deepest nesting.
const DEEPEST: usize = 256;

/// What was met on the two outermost levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A member's name begins, with its quote.
    Key,
    /// A member's name has ended.
    KeyEnd,
    /// A value begins, with this byte.
    Value(u8),
    /// A value has ended.
    ValueEnd,
    /// The closing bracket of the outermost object comes next.
    RootEnd,
}

/// An event and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) event: Event,
    /// Where it happened, as an index into the piece: the first byte of what begins, or the one after what ended.
    pub(super) at: usize,
    /// Where to go on.
    pub(super) next: usize,
    /// How many containers are open around it: 1 for a member of the outermost object.
    pub(super) depth: usize,
}

/// Where in the grammar the text has come to.
#[derive(Debug)]
pub(super) struct Syntax {
    state: State,
    open: Vec<Container>,
    /// What is to come of a literal.
    literal: &'static [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Key,
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the outermost object.
    Start,
    /// After `{`.
    FirstKey,
    /// After `,` in an object.
    Key,
    /// After a name.
    Colon,
    /// After `[`.
    FirstElement,
    /// After `:`, or `,` in an array.
    Value,
    /// After a value.
    After,
    /// After the outermost object.
    End,
    String(Text),
    Escape(Text),
    /// In the four digits after `\u`, with so many to come.
    Hex(Text, u8),
    Number(Digits),
    Literal,
}

/// The parts of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Digits {
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::Sign),
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Some(Self::Power),
            (_, _) => None,
        }
    }

    fn may_end(self) -> bool {
        match self {
            Self::Zero | Self::Whole | Self::Fraction | Self::Power => true,
            Self::Minus | Self::Point | Self::Exponent | Self::Sign => false,
        }
    }
}

impl Syntax {
    pub(super) fn new() -> Self {
        Self { state: State::Start, open: Vec::with_capacity(16), literal: b"" }
    }

    /// Whether the outermost object is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Goes on from `at` to the next event, or to the end of the piece.
    pub(super) fn run(&mut self, piece: &[u8], mut at: usize) -> Result<Option<Step>, ResponseError> {
        while let Some(&byte) = piece.get(at) {
            match self.state {
                State::String(text) => {
                    at += plain_run(piece.get(at..).unwrap_or(&[]));
                    match piece.get(at) {
                        Some(b'"') => {
                            at += 1;
                            let event = match text {
                                Text::Key => {
                                    self.state = State::Colon;
                                    Event::KeyEnd
                                }
                                Text::Value => {
                                    self.state = State::After;
                                    Event::ValueEnd
                                }
                            };
                            if self.is_shallow() {
                                return Ok(Some(self.ended(event, at)));
                            }
                            at = self.hurry(piece, at);
                        }
                        Some(b'\\') if matches!(piece.get(at + 1), Some(b'n' | b'"' | b'\\')) => at += 2,
                        Some(b'\\') => {
                            self.state = State::Escape(text);
                            at += 1;
                        }
                        Some(_) => return Err(ResponseError::Syntax),
                        None => return Ok(None),
                    }
                }
                State::Escape(text) => {
                    self.state = match byte {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::String(text),
                        b'u' => State::Hex(text, 4),
                        _ => return Err(ResponseError::Syntax),
                    };
                    at += 1;
                }
                State::Hex(text, left) => {
                    self.state = match (byte.is_ascii_hexdigit(), left) {
                        (true, 2..) => State::Hex(text, left - 1),
                        (true, _) => State::String(text),
                        (false, _) => return Err(ResponseError::Syntax),
                    };
                    at += 1;
                }
                State::Number(mut digits) => {
                    let ended = loop {
                        match piece.get(at).map(|byte| digits.next(*byte)) {
                            Some(Some(next)) => {
                                digits = next;
                                at += 1;
                            }
                            Some(None) => break true,
                            None => break false,
                        }
                    };
                    self.state = match (ended, digits.may_end()) {
                        (false, _) => State::Number(digits),
                        (true, true) => State::After,
                        (true, false) => return Err(ResponseError::Syntax),
                    };
                    if ended && self.is_shallow() {
                        return Ok(Some(self.ended(Event::ValueEnd, at)));
                    }
                    at = self.hurry(piece, at);
                }
                State::Literal => {
                    while let (Some(byte), Some((expected, left))) =
                        (piece.get(at), self.literal.split_first())
                    {
                        if byte != expected {
                            return Err(ResponseError::Syntax);
                        }
                        self.literal = left;
                        at += 1;
                    }
                    if self.literal.is_empty() {
                        self.state = State::After;
                        if self.is_shallow() {
                            return Ok(Some(self.ended(Event::ValueEnd, at)));
                        }
                    }
                }
                State::Start
                | State::FirstKey
                | State::Key
                | State::Colon
                | State::FirstElement
                | State::Value
                | State::After
                | State::End => {
                    let depth = self.open.len();
                    let event = self.structure(byte)?;
                    at += 1;
                    if let Some(event) = event {
                        // A container ends after its bracket; all else begins with this byte.
                        let ended = Step { event, at, next: at, depth: self.open.len() };
                        let begun = Step { event, at: at - 1, next: at, depth };
                        return Ok(Some(if event == Event::ValueEnd { ended } else { begun }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// One byte between tokens, or the first of a token.
    #[inline]
    fn structure(&mut self, byte: u8) -> Result<Option<Event>, ResponseError> {
        match (self.state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => Ok(None),
            (State::After, b',') => {
                self.state = match self.open.last() {
                    Some(Container::Object) => State::Key,
                    Some(Container::Array) => State::Value,
                    None => return Err(ResponseError::Syntax),
                };
                Ok(None)
            }
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(None)
            }
            (State::FirstKey | State::Key, b'"') => {
                self.state = State::String(Text::Key);
                Ok(self.is_shallow().then_some(Event::Key))
            }
            (State::FirstElement, b']') | (State::FirstKey, b'}') | (State::After, b'}' | b']') => {
                self.pop(byte)
            }
            (State::Value | State::FirstElement, _) => {
                let event = self.is_shallow().then_some(Event::Value(byte));
                self.begin(byte)?;
                Ok(event)
            }
            (State::Start, b'{') => {
                self.push(Container::Object)?;
                Ok(None)
            }
            (State::End, _) => Err(ResponseError::Trailing),
            (_, _) => Err(ResponseError::Syntax),
        }
    }

    fn begin(&mut self, byte: u8) -> Result<(), ResponseError> {
        self.state = match byte {
            b'{' => return self.push(Container::Object),
            b'[' => return self.push(Container::Array),
            b'"' => State::String(Text::Value),
            b'-' => State::Number(Digits::Minus),
            b'0' => State::Number(Digits::Zero),
            b'1'..=b'9' => State::Number(Digits::Whole),
            b't' => self.literal(b"rue"),
            b'f' => self.literal(b"alse"),
            b'n' => self.literal(b"ull"),
            _ => return Err(ResponseError::Syntax),
        };
        Ok(())
    }

    fn literal(&mut self, left: &'static [u8]) -> State {
        self.literal = left;
        State::Literal
    }

    fn push(&mut self, container: Container) -> Result<(), ResponseError> {
        if self.open.len() == DEEPEST {
            return Err(ResponseError::TooDeep);
        }
        self.open.push(container);
        self.state = match container {
            Container::Object => State::FirstKey,
            Container::Array => State::FirstElement,
        };
        Ok(())
    }

    fn pop(&mut self, byte: u8) -> Result<Option<Event>, ResponseError> {
        match (self.open.pop(), byte) {
            (Some(Container::Object), b'}') | (Some(Container::Array), b']') => {}
            (_, _) => return Err(ResponseError::Syntax),
        }
        if self.open.is_empty() {
            self.state = State::End;
            return Ok(Some(Event::RootEnd));
        }
        self.state = State::After;
        Ok(self.is_shallow().then_some(Event::ValueEnd))
    }

    /// Past the one byte that most often follows a name or a value below the levels that are told of. Only a
    /// shortcut: [`Self::structure`] would do the same.
    #[inline]
    fn hurry(&mut self, piece: &[u8], at: usize) -> usize {
        self.state = match (self.state, piece.get(at), self.open.last()) {
            (State::Colon, Some(b':'), _) => State::Value,
            (State::After, Some(b','), Some(Container::Object)) => State::Key,
            (State::After, Some(b','), Some(Container::Array)) => State::Value,
            (_, _, _) => return at,
        };
        at + 1
    }

    fn ended(&self, event: Event, at: usize) -> Step {
        Step { event, at, next: at, depth: self.open.len() }
    }

    /// Whether what happens here is told.
    fn is_shallow(&self) -> bool {
        self.open.len() <= 2
    }
}
