//! Where HTTP/1.1 requests begin and end, read at the bytes before the HTTP library reads them. Of two statements of a
//! body's length the library takes one and hides that there was another, and it takes LF alone for the end of a line;
//! a proxy in front may have read either in the other way, and then what it took for a body is a request here (RFC
//! 9112, 11.2). So a head that leaves a choice is found out here, and the connection that it came on is not used again.
//! A target with a fragment is one too: the library drops it, and who reads paths in front may not.
//!
//! This follows the stream as strictly as the library or more so: what it does not expect is an error, never skipped.
//! It costs a search for line ends in each head and nothing in bodies with a length.

use memchr::memchr;

#[cfg(test)]
mod tests;

/// The longest line that is waited for. The library's limit on a head is lower unless it is configured higher.
const LONGEST_LINE: usize = 1 << 20;

/// Digits of the largest chunk.
const CHUNK_DIGITS: usize = 16;

/// What can't be told apart, or not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ambiguous {
    /// The head of a request: it can still be answered.
    Head,
    /// Something between chunks of a body: there is nothing left to be said.
    Body,
}

/// The place in a connection's stream.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// The start of a line whose end is still to come.
    line: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request line. Empty lines may stand here (RFC 9112, 2.2).
    Start,
    Head,
    /// In a body, with so many bytes to come.
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    /// At the line end after a chunk.
    ChunkEnd,
    Trailers,
    /// The place was lost.
    Over,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self { state: State::Start, line: Vec::new(), length: None, chunked: false }
    }

    /// Takes note of the next bytes. After an error nothing more is looked at.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), Ambiguous> {
        let followed = self.follow(bytes);
        if followed.is_err() {
            self.state = State::Over;
        }
        followed
    }

    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguous> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Over => return Ok(()),
                State::Body(left) => {
                    let (left, rest) = skip(left, bytes);
                    self.state = if left == 0 { State::Start } else { State::Body(left) };
                    rest
                }
                State::ChunkData(left) => {
                    let (left, rest) = skip(left, bytes);
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    rest
                }
                State::Start | State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    self.lines(bytes)?
                }
            };
        }
        Ok(())
    }

    /// Reads a line, and gives what follows it.
    fn lines<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Ambiguous> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return if self.line.len() > LONGEST_LINE { Err(self.place()) } else { Ok(&[]) };
        };
        let (line, rest) = bytes.split_at(end);
        if self.line.is_empty() {
            self.whole(line)?;
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(line);
            self.whole(&whole)?;
        }
        Ok(rest.get(1..).unwrap_or_default())
    }

    /// Reads a line without its LF.
    fn whole(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        let Some(line) = line.strip_suffix(b"\r") else { return Err(self.place()) };
        self.state = match self.state {
            State::Start if line.is_empty() => State::Start,
            State::Start if memchr(b'#', line).is_some() => return Err(Ambiguous::Head),
            State::Start => {
                (self.length, self.chunked) = (None, false);
                State::Head
            }
            State::Head if line.is_empty() => match (self.chunked, self.length) {
                (false, None | Some(0)) => State::Start,
                (false, Some(length)) => State::Body(length),
                (true, None) => State::ChunkSize,
                (true, Some(_)) => return Err(Ambiguous::Head),
            },
            State::Head => {
                self.field(line)?;
                State::Head
            }
            State::ChunkSize => match chunk_size(line).ok_or(Ambiguous::Body)? {
                0 => State::Trailers,
                size => State::ChunkData(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::Trailers if line.is_empty() => State::Start,
            State::Trailers => State::Trailers,
            // A line in any other place is none.
            State::ChunkEnd | State::Body(_) | State::ChunkData(_) | State::Over => {
                return Err(Ambiguous::Body);
            }
        };
        Ok(())
    }

    /// Reads a field of the head, of which two matter.
    fn field(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length:") {
                    let length = decimal(value).ok_or(Ambiguous::Head)?;
                    if self.length.replace(length).is_some() {
                        return Err(Ambiguous::Head);
                    }
                }
            }
            Some(b't' | b'T') => {
                if let Some(value) = value_of(line, b"transfer-encoding:")
                    && (!value.eq_ignore_ascii_case(b"chunked") || std::mem::replace(&mut self.chunked, true))
                {
                    return Err(Ambiguous::Head);
                }
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn place(&self) -> Ambiguous {
        match self.state {
            State::Start | State::Head => Ambiguous::Head,
            State::Body(_)
            | State::ChunkSize
            | State::ChunkData(_)
            | State::ChunkEnd
            | State::Trailers
            | State::Over => Ambiguous::Body,
        }
    }
}

/// What is left to come of `left` bytes after these, and what of these is beyond.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (left.saturating_sub(here as u64), bytes.get(here..).unwrap_or_default())
}

/// The value of a field, if it is this one. `name` is in lower case and ends with the colon, before which no space can
/// stand (RFC 9112, 5.1).
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (here, value) = line.split_at_checked(name.len())?;
    here.eq_ignore_ascii_case(name).then(|| trim(value))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits alone; no sign, no list.
fn decimal(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// The size of a chunk. An extension is passed over (RFC 9112, 7.1.1): nobody behind us gets to see it.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > CHUNK_DIGITS {
        return None;
    }
    let (size, extension) = line.split_at_checked(digits)?;
    if !matches!(trim(extension), [] | [b';', ..]) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}
