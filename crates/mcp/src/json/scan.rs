//! The scanner: one pass over the bytes that checks every rule and writes the normalised text.
//!
//! Recursive, with the depth checked before each step down. The output is never longer than the input, and
//! where the input is normalised already it is copied in long runs: only white space and escapes break one.

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
    scanner.end()
}

/// Scans one value of any kind.
pub(super) fn value(bytes: &[u8], limits: &Limits) -> Result<String, ScanError> {
    let mut scanner = Scanner::new(bytes, limits)?;
    scanner.skip_space();
    scanner.value(1, Role::Other)?;
    scanner.end()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// What was written of the text before `copied`. The text from there to `at` is normalised as it is.
    out: String,
    copied: usize,
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
        let out = String::with_capacity(bytes.len());
        Ok(Self { text, at: 0, out, copied: 0, limits, keys: Vec::with_capacity(16) })
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
        self.open(depth)?;
        let first = self.keys.len();
        let mut members = 0_u32;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            members += 1;
            if members > self.limits.members {
                return self.fail(Fault::TooLarge(Cap::Members));
            }
            let key = self.key()?;
            self.keys.push(key);
            let child = role.child(self.name(key));
            self.skip_space();
            match self.peek() {
                Some(b':') => self.at += 1,
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
            self.skip_space();
            self.value(depth + 1, child)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
            self.skip_space();
        }
        self.at += 1;
        self.check_names(first, role)
    }

    fn check_names(&mut self, first: usize, role: Role) -> Result<(), ScanError> {
        let compared_as = match (self.limits.folding, role) {
            (Folding::Request, _) | (Folding::Message, Role::Message | Role::Other) => role,
            (Folding::Message, Role::Params | Role::Meta | Role::Arguments) => Role::Other,
        };
        self.flush();
        if let Some(keys) = self.keys.get_mut(first..) {
            keys::check(&self.out, keys, compared_as)
                .map_err(|(fault, offset)| ScanError { fault: Fault::Member(fault), offset })?;
        }
        self.keys.truncate(first);
        Ok(())
    }

    fn array(&mut self, depth: u32, elements: Role) -> Result<(), ScanError> {
        self.open(depth)?;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1, elements)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
            self.skip_space();
        }
    }

    fn open(&mut self, depth: u32) -> Result<(), ScanError> {
        if depth > self.limits.depth {
            return self.fail(Fault::TooLarge(Cap::Depth));
        }
        self.at += 1;
        Ok(())
    }

    fn key(&mut self) -> Result<Key, ScanError> {
        let offset = self.at;
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return self.fail(Fault::Syntax),
            None => return self.fail(Fault::Truncated),
        }
        let start = self.written() + 1;
        self.string()?;
        if self.copied > offset {
            // A name is either all written or all in the text, so that it can be read.
            self.flush();
        }
        let key = Key { start, end: self.written() - 1, offset };
        let name = self.name(key);
        let fault = if name.bytes().any(|byte| byte == b'\\' || byte >= 0x7f)
            && text::unescape(name).chars().any(char::is_control)
        {
            MemberFault::Control
        } else if name.starts_with(RESERVED_PREFIX) {
            MemberFault::Reserved
        } else {
            return Ok(key);
        };
        Err(ScanError { fault: Fault::Member(fault), offset })
    }

    fn name(&self, key: Key) -> &str {
        match key.start.checked_sub(self.out.len()) {
            None => self.out.get(key.start..key.end),
            Some(ahead) => {
                let start = self.copied + ahead;
                self.text.get(start..start + (key.end - key.start))
            }
        }
        .unwrap_or("")
    }

    fn string(&mut self) -> Result<(), ScanError> {
        let offset = self.at;
        self.at += 1;
        let mut length = 0_usize;
        loop {
            let run = text::plain_run(self.text.as_bytes().get(self.at..).unwrap_or(&[]));
            self.at += run;
            length += run;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => length += self.escape()?,
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::Truncated),
            }
        }
        self.at += 1;
        if length > self.limits.string {
            return Err(ScanError { fault: Fault::TooLarge(Cap::String), offset });
        }
        Ok(())
    }

    /// One escape, or two where they are a surrogate pair. Gives the bytes that it stands for.
    fn escape(&mut self) -> Result<usize, ScanError> {
        let offset = self.at;
        match self.text.as_bytes().get(offset + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(1)
            }
            Some(b'/') => {
                self.flush();
                self.copied = offset + 1;
                self.at += 2;
                Ok(1)
            }
            Some(b'u') => {
                self.flush();
                self.at += 2;
                let lone = ScanError { fault: Fault::Surrogate, offset };
                let code = match self.hex()? {
                    high @ 0xd800..=0xdbff => {
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
                let character = char::from_u32(code).ok_or(lone)?;
                text::push_char(&mut self.out, character);
                self.copied = self.at;
                Ok(character.len_utf8())
            }
            Some(_) => {
                self.at += 1;
                self.fail(Fault::Syntax)
            }
            None => {
                self.at += 1;
                self.fail(Fault::Truncated)
            }
        }
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
        self.at += length;
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), ScanError> {
        let rest = self.text.get(self.at..).unwrap_or("");
        if rest.starts_with(literal) {
            self.at += literal.len();
            Ok(())
        } else if literal.starts_with(rest) {
            self.fail(Fault::Truncated)
        } else {
            self.fail(Fault::Syntax)
        }
    }

    fn end(mut self) -> Result<String, ScanError> {
        self.skip_space();
        if self.peek().is_some() {
            return self.fail(Fault::Trailing);
        }
        self.flush();
        Ok(self.out)
    }

    /// How long the normalised text is, up to here.
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.copied)
    }

    /// Writes what stands as it is, up to here.
    fn flush(&mut self) {
        self.out.push_str(self.text.get(self.copied..self.at).unwrap_or(""));
        self.copied = self.at;
    }

    #[inline]
    fn skip_space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.drop_space();
        }
    }

    #[cold]
    fn drop_space(&mut self) {
        self.flush();
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.copied = self.at;
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, fault: Fault) -> Result<T, ScanError> {
        Err(ScanError { fault, offset: self.at })
    }
}
