//! The scanner: one pass over the bytes that checks every rule and writes the normalised text.
//!
//! Recursive, with the depth checked before each step down. The output is never longer than the input.

use super::{
    Folding, Limits,
    error::{Cap, Fault, MemberFault, ScanError},
    keys::{self, Key, Role},
    number, text,
};

/// What serde_json, with some features on, takes for structure when it is the only member of an object.
const RESERVED_PREFIX: &str = "$serde_json::private";

/// Scans a message: an object or an array of messages.
pub(super) fn document(bytes: &[u8], limits: &Limits) -> Result<String, ScanError> {
    let mut scanner = Scanner::new(bytes, limits)?;
    scanner.skip_space();
    match scanner.peek() {
        Some(b'{') => scanner.value(1, Role::Message)?,
        Some(b'[') => scanner.array(1, Role::Message)?,
        // Whatever it is, it must be JSON before it can be called the wrong JSON.
        Some(_) | None => {
            let offset = scanner.at;
            scanner.value(1, Role::Other)?;
            scanner.end()?;
            return Err(ScanError { fault: Fault::Root, offset });
        }
    }
    scanner.end()?;
    Ok(scanner.out)
}

/// Scans one value of any kind.
pub(super) fn value(bytes: &[u8], limits: &Limits) -> Result<String, ScanError> {
    let mut scanner = Scanner::new(bytes, limits)?;
    scanner.skip_space();
    scanner.value(1, Role::Other)?;
    scanner.end()?;
    Ok(scanner.out)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    out: String,
    limits: Limits,
    /// Names of the objects that are open, innermost last.
    keys: Vec<Key>,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, ScanError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ScanError { fault: Fault::Encoding, offset: error.valid_up_to() })?;
        if text.starts_with('\u{feff}') {
            return Err(ScanError { fault: Fault::Encoding, offset: 0 });
        }
        let limits = Limits { depth: limits.depth.min(Limits::DEEPEST), ..*limits };
        Ok(Self {
            text,
            at: 0,
            out: String::with_capacity(bytes.len()),
            limits,
            keys: Vec::with_capacity(16),
        })
    }

    fn value(&mut self, depth: u32, role: Role) -> Result<(), ScanError> {
        match self.peek() {
            Some(b'{') => self.object(depth, role),
            Some(b'[') => self.array(depth, Role::Other),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(_) => self.fail(Fault::Syntax),
            None => self.fail(Fault::Truncated),
        }
    }

    fn object(&mut self, depth: u32, role: Role) -> Result<(), ScanError> {
        self.open(depth, '{')?;
        let first = self.keys.len();
        let compared_as = match (self.limits.folding, role) {
            (Folding::Request, _) | (Folding::Message, Role::Message | Role::Other) => role,
            (Folding::Message, Role::Params | Role::Meta | Role::Arguments) => Role::Other,
        };
        let mut members = 0_u32;
        self.skip_space();
        if self.peek() == Some(b'}') {
            return self.close('}');
        }
        loop {
            members += 1;
            if members > self.limits.members {
                return self.fail(Fault::TooLarge(Cap::Members));
            }
            let key = self.key()?;
            self.keys.push(key);
            self.skip_space();
            self.token(b':', ':')?;
            self.skip_space();
            let child = role.child(self.out.get(key.start..key.end).unwrap_or(""));
            self.value(depth + 1, child)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.token(b',', ',')?,
                Some(b'}') => break,
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
            self.skip_space();
        }
        if let Some(keys) = self.keys.get_mut(first..) {
            keys::check(&self.out, keys, compared_as)
                .map_err(|(fault, offset)| ScanError { fault: Fault::Member(fault), offset })?;
        }
        self.keys.truncate(first);
        self.close('}')
    }

    fn array(&mut self, depth: u32, elements: Role) -> Result<(), ScanError> {
        self.open(depth, '[')?;
        self.skip_space();
        if self.peek() == Some(b']') {
            return self.close(']');
        }
        loop {
            self.value(depth + 1, elements)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.token(b',', ',')?,
                Some(b']') => return self.close(']'),
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
            self.skip_space();
        }
    }

    fn open(&mut self, depth: u32, bracket: char) -> Result<(), ScanError> {
        if depth > self.limits.depth {
            return self.fail(Fault::TooLarge(Cap::Depth));
        }
        self.at += 1;
        self.out.push(bracket);
        Ok(())
    }

    fn close(&mut self, bracket: char) -> Result<(), ScanError> {
        self.at += 1;
        self.out.push(bracket);
        Ok(())
    }

    fn token(&mut self, byte: u8, written: char) -> Result<(), ScanError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                self.out.push(written);
                Ok(())
            }
            Some(_) => self.fail(Fault::Syntax),
            None => self.fail(Fault::Truncated),
        }
    }

    fn key(&mut self) -> Result<Key, ScanError> {
        let offset = self.at;
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return self.fail(Fault::Syntax),
            None => return self.fail(Fault::Truncated),
        }
        let start = self.out.len() + 1;
        self.string()?;
        let end = self.out.len() - 1;
        let name = self.out.get(start..end).unwrap_or("");
        let fault = if name.bytes().any(|byte| byte == b'\\' || byte >= 0x7f)
            && text::unescape(name).chars().any(char::is_control)
        {
            MemberFault::Control
        } else if name.starts_with(RESERVED_PREFIX) {
            MemberFault::Reserved
        } else {
            return Ok(Key { start, end, offset });
        };
        Err(ScanError { fault: Fault::Member(fault), offset })
    }

    fn string(&mut self) -> Result<(), ScanError> {
        let offset = self.at;
        self.at += 1;
        self.out.push('"');
        let mut length = 0_usize;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
            let run = text::plain_run(rest);
            self.out.push_str(self.text.get(self.at..self.at + run).unwrap_or(""));
            self.at += run;
            length += run;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.out.push('"');
                    break;
                }
                Some(b'\\') => length += self.escape()?,
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
        }
        if length > self.limits.string {
            return Err(ScanError { fault: Fault::TooLarge(Cap::String), offset });
        }
        Ok(())
    }

    /// One escape, or two where they are a surrogate pair. Gives the bytes that it stands for.
    fn escape(&mut self) -> Result<usize, ScanError> {
        let offset = self.at;
        self.at += 1;
        let character = match self.peek() {
            Some(b'u') => {
                self.at += 1;
                let code = match self.hex()? {
                    high @ 0xd800..=0xdbff => {
                        let lone = ScanError { fault: Fault::Surrogate, offset };
                        for expected in [b'\\', b'u'] {
                            if self.peek() != Some(expected) {
                                return Err(lone);
                            }
                            self.at += 1;
                        }
                        let low = self.hex()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(lone);
                        }
                        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    }
                    code => code,
                };
                let lone = ScanError { fault: Fault::Surrogate, offset };
                let character = char::from_u32(code).ok_or(lone)?;
                text::push_char(&mut self.out, character);
                return Ok(character.len_utf8());
            }
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) => return self.fail(Fault::Syntax),
            None => return self.fail(Fault::Truncated),
        };
        self.at += 1;
        text::push_char(&mut self.out, character);
        Ok(1)
    }

    fn hex(&mut self) -> Result<u32, ScanError> {
        let mut code = 0;
        for _ in 0..4 {
            match self.peek() {
                Some(byte) => match char::from(byte).to_digit(16) {
                    Some(digit) => code = code * 16 + digit,
                    None => return self.fail(Fault::Syntax),
                },
                None => return self.fail(Fault::Truncated),
            }
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<(), ScanError> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let Some(length) = number::length(rest.as_bytes()) else {
            return self.fail(Fault::Syntax);
        };
        let number = rest.get(..length).unwrap_or("");
        if let Err(fault) = number::check(number, self.limits.numbers) {
            return self.fail(fault);
        }
        self.out.push_str(number);
        self.at += length;
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), ScanError> {
        let rest = self.text.get(self.at..).unwrap_or("");
        if rest.starts_with(literal) {
            self.out.push_str(literal);
            self.at += literal.len();
            Ok(())
        } else if literal.starts_with(rest) {
            self.fail(Fault::Truncated)
        } else {
            self.fail(Fault::Syntax)
        }
    }

    fn end(&mut self) -> Result<(), ScanError> {
        self.skip_space();
        if self.peek().is_some() { self.fail(Fault::Trailing) } else { Ok(()) }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, fault: Fault) -> Result<T, ScanError> {
        Err(ScanError { fault, offset: self.at })
    }
}
