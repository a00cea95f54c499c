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
    /// In a literal, with this much to come.
    Literal(&'static [u8]),
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
        Self { state: State::Start, open: Vec::with_capacity(16) }
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
                            if let Some(step) = self.tell(event, at, at) {
                                return Ok(Some(step));
                            }
                        }
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
                State::Number(digits) => match digits.next(byte) {
                    Some(digits) => {
                        self.state = State::Number(digits);
                        at += 1;
                    }
                    None if digits.may_end() => {
                        self.state = State::After;
                        if let Some(step) = self.tell(Event::ValueEnd, at, at) {
                            return Ok(Some(step));
                        }
                    }
                    None => return Err(ResponseError::Syntax),
                },
                State::Literal(left) => {
                    let (expected, left) = left.split_first().ok_or(ResponseError::Syntax)?;
                    if byte != *expected {
                        return Err(ResponseError::Syntax);
                    }
                    at += 1;
                    if left.is_empty() {
                        self.state = State::After;
                        if let Some(step) = self.tell(Event::ValueEnd, at, at) {
                            return Ok(Some(step));
                        }
                    } else {
                        self.state = State::Literal(left);
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
                    let step = self.structure(byte, at)?;
                    at += 1;
                    if step.is_some() {
                        return Ok(step);
                    }
                }
            }
        }
        Ok(None)
    }

    /// One byte between tokens, or the first of a token. It is always consumed.
    fn structure(&mut self, byte: u8, at: usize) -> Result<Option<Step>, ResponseError> {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Ok(None);
        }
        match (self.state, byte) {
            (State::Start, b'{') => {
                self.push(Container::Object)?;
                Ok(None)
            }
            (State::FirstKey | State::Key, b'"') => {
                self.state = State::String(Text::Key);
                Ok(self.tell(Event::Key, at, at + 1))
            }
            (State::FirstKey, b'}') | (State::FirstElement, b']') => self.pop(byte, at),
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(None)
            }
            (State::Value | State::FirstElement, _) => {
                let step = self.tell(Event::Value(byte), at, at + 1);
                self.begin(byte)?;
                Ok(step)
            }
            (State::After, b',') => {
                self.state = match self.open.last() {
                    Some(Container::Object) => State::Key,
                    Some(Container::Array) => State::Value,
                    None => return Err(ResponseError::Syntax),
                };
                Ok(None)
            }
            (State::After, b'}' | b']') => self.pop(byte, at),
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
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            _ => return Err(ResponseError::Syntax),
        };
        Ok(())
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

    fn pop(&mut self, byte: u8, at: usize) -> Result<Option<Step>, ResponseError> {
        match (self.open.pop(), byte) {
            (Some(Container::Object), b'}') | (Some(Container::Array), b']') => {}
            (_, _) => return Err(ResponseError::Syntax),
        }
        if self.open.is_empty() {
            self.state = State::End;
            return Ok(Some(Step { event: Event::RootEnd, at, next: at + 1, depth: 0 }));
        }
        self.state = State::After;
        Ok(self.tell(Event::ValueEnd, at + 1, at + 1))
    }

    fn tell(&self, event: Event, at: usize, next: usize) -> Option<Step> {
        let depth = self.open.len();
        (depth <= 2).then_some(Step { event, at, next, depth })
    }
}
