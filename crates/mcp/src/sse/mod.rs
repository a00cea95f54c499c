//! Server-sent events (WHATWG HTML, 9.2): an incremental parser, and a writer of one event.
//!
//! Events are read whole and written anew, never copied: a line end smuggled into one field must not become
//! another field. What the standard lets a browser repair (bytes that are not UTF-8, events without end) is
//! refused.

use thiserror::Error;

#[cfg(test)]
mod tests;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its id, if it has one of its own. Without line ends or NUL.
    pub id: Option<String>,
    /// Its type, if it has one of its own.
    pub event: Option<String>,
    /// How many milliseconds to wait before connecting again, if it says so.
    pub retry: Option<u64>,
    /// Its data, lines joined by LF. Empty in an event that only sets an id or the time to wait.
    pub data: String,
}

/// A stream that is refused. No more of it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SseError {
    /// An event is larger than allowed.
    #[error("event is too large")]
    TooLarge,
    /// The stream is not UTF-8.
    #[error("event stream is not UTF-8")]
    Encoding,
    /// An id that can't be written: it has a line end or NUL.
    #[error("event id holds a line end or NUL")]
    Id,
}

/// Reads a stream piece by piece; how it is cut up makes no difference.
#[derive(Debug)]
pub struct EventParser {
    max_event: usize,
    /// The line that is not finished.
    line: Vec<u8>,
    /// Whether nothing of the stream was read, so that a byte order mark may come.
    at_start: bool,
    /// Whether the last byte was CR, so that an LF belongs to it.
    after_cr: bool,
    event: Event,
    has_data: bool,
}

impl EventParser {
    /// A parser for one stream, which refuses events of more than `max_event` bytes, and lines of more, comments
    /// too. It never holds more than twice that.
    #[must_use]
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            line: Vec::new(),
            at_start: true,
            after_cr: false,
            event: Event::default(),
            has_data: false,
        }
    }

    /// Reads the next bytes and appends the events that they complete. An event that the stream's end leaves
    /// unfinished is never given.
    ///
    /// # Errors
    /// [`SseError`]; the parser is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                rest = rest.get(1..).unwrap_or(&[]);
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.check_size(rest.len())?;
                self.line.extend_from_slice(rest);
                return Ok(());
            };
            let (line, ending) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            self.check_size(line.len())?;
            if self.line.is_empty() {
                self.end_line(line, events)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_line(&whole, events)?;
                whole.clear();
                self.line = whole;
            }
            self.after_cr = ending.first() == Some(&b'\r');
            rest = ending.get(1..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Whether so many more bytes of the line are not too much. Only what is kept counts: comments may go on for
    /// as long as the stream does.
    fn check_size(&self, more: usize) -> Result<(), SseError> {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let event = self.event.data.len() + text(&self.event.id) + text(&self.event.event);
        if event + self.line.len() + more > self.max_event { Err(SseError::TooLarge) } else { Ok(()) }
    }

    fn end_line(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        let mut line = std::str::from_utf8(line).map_err(|_| SseError::Encoding)?;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.end_event(events);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "event" => self.event.event = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.event.retry = value.parse().ok();
            }
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self, events: &mut Vec<Event>) {
        self.has_data = false;
        let event = std::mem::take(&mut self.event);
        if !event.data.is_empty() || event.id.is_some() || event.retry.is_some() {
            events.push(event);
        }
    }
}

/// Writes one event with one `data` line. `data` is JSON: its raw line ends can only be white space between
/// tokens, and are written as spaces.
///
/// # Errors
/// [`SseError::Id`] if the id has CR, LF or NUL; nothing is written then.
pub fn write_event(
    out: &mut Vec<u8>,
    id: Option<&str>,
    retry: Option<u64>,
    data: &str,
) -> Result<(), SseError> {
    if id.is_some_and(|id| id.contains(['\r', '\n', '\0'])) {
        return Err(SseError::Id);
    }
    out.reserve(data.len() + 48);
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    if let Some(retry) = retry {
        out.extend_from_slice(b"retry: ");
        out.extend_from_slice(retry.to_string().as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    for (index, line) in data.split(['\r', '\n']).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(line.as_bytes());
    }
    out.extend_from_slice(b"\n\n");
    Ok(())
}
