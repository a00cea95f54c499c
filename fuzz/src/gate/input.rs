//! From an input's bytes to what is sent and answered.

use super::world::{Script, World};

/// Sections of one input that are looked at, so that an execution stays short.
const MOST: usize = 8;

pub(super) enum Section<'d> {
    Server(Script),
    Request { verb: Verb, who: Who, head: &'d [u8], body: &'d [u8] },
    Raw(&'d [u8]),
}

#[derive(Clone, Copy)]
pub(super) enum Verb {
    Get,
    Post,
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Ann,
    Bob,
    Nobody,
}

pub(super) fn sections(data: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let starts = (0..data.len()).filter(|at| data[*at] == b'%' && (*at == 0 || data[*at - 1] == b'\n'));
    let starts: Vec<usize> = starts.collect();
    let ends: Vec<usize> = starts.iter().skip(1).map(|next| next - 1).chain([data.len()]).collect();
    starts
        .into_iter()
        .zip(ends)
        .take(MOST)
        .filter_map(|(start, end)| section(&data[start + 1..end.max(start + 1)]))
}

fn section(bytes: &[u8]) -> Option<Section<'_>> {
    let (line, rest) = split(bytes, b"\n");
    let (kind, options) = line.split_first()?;
    let verb = match kind {
        b'U' => return Some(Section::Server(script(options, rest))),
        b'R' => return Some(Section::Raw(rest)),
        b'P' => Verb::Post,
        b'G' => Verb::Get,
        b'D' => Verb::Delete,
        _ => return None,
    };
    let who = match options.first() {
        Some(b'w') => Who::Bob,
        Some(b'n') => Who::Nobody,
        Some(_) | None => Who::Ann,
    };
    // A head may be empty, and then the section begins with the empty line.
    let (head, body) = match rest.strip_prefix(b"\n") {
        Some(body) => (&rest[..0], body),
        None => split(rest, b"\n\n"),
    };
    Some(Section::Request { verb, who, head, body })
}

fn split<'d>(bytes: &'d [u8], at: &[u8]) -> (&'d [u8], &'d [u8]) {
    match bytes.windows(at.len()).position(|window| window == at) {
        Some(found) => (&bytes[..found], &bytes[found + at.len()..]),
        None => (bytes, &[]),
    }
}

fn script(options: &[u8], body: &[u8]) -> Script {
    let digits = options.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    let status = digits.and_then(|digits| digits.parse().ok()).filter(|status| (200..600).contains(status));
    let has = |letter: u8| options.contains(&letter);
    Script {
        status: status.unwrap_or(200),
        content: if has(b'j') {
            "application/json"
        } else if has(b'e') {
            "text/event-stream"
        } else {
            "text/plain"
        },
        session: has(b's'),
        hold: has(b'h'),
        body: Some(body.to_vec()),
    }
}

/// A request in HTTP/1.1 with what every request must have; its own lines come last.
pub(super) fn request(verb: Verb, who: Who, head: &[u8], body: &[u8], world: &World) -> Vec<u8> {
    let name = match verb {
        Verb::Get => "GET",
        Verb::Post => "POST",
        Verb::Delete => "DELETE",
    };
    let mut text = format!("{name} /mcp/dev/files HTTP/1.1\r\nHost: 127.0.0.1\r\n").into_bytes();
    let token = match who {
        Who::Ann => Some(&world.ann),
        Who::Bob => Some(&world.bob),
        Who::Nobody => None,
    };
    if let Some(token) = token {
        text.extend_from_slice(format!("Authorization: Bearer {token}\r\n").as_bytes());
    }
    let own = |name: &str| {
        head.split(|byte| *byte == b'\n')
            .any(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name.as_bytes()))
    };
    if !own("accept:") {
        text.extend_from_slice(b"Accept: application/json, text/event-stream\r\n");
    }
    if matches!(verb, Verb::Post) {
        if !own("content-type:") {
            text.extend_from_slice(b"Content-Type: application/json\r\n");
        }
        text.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    for line in head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        text.extend_from_slice(line);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    if matches!(verb, Verb::Post) {
        text.extend_from_slice(body);
    }
    text
}

/// What the client was given last, to be brought back.
#[derive(Default)]
pub(super) struct Given {
    session: Vec<u8>,
    event: Vec<u8>,
    cursor: Vec<u8>,
    state: Vec<u8>,
    question: Vec<u8>,
}

impl Given {
    pub(super) fn learn(&mut self, answer: &[u8]) {
        learn(&mut self.session, answer, b"\r\nmcp-session-id: ");
        learn(&mut self.event, answer, b"\nid: ");
        learn(&mut self.cursor, answer, b"\"nextCursor\":\"");
        learn(&mut self.state, answer, b"\"requestState\":\"");
        learn(&mut self.question, answer, b"data: {\"jsonrpc\":\"2.0\",\"id\":\"");
    }

    /// The bytes with the names of these filled in.
    pub(super) fn fill(&self, bytes: &[u8], world: &World) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
            out.extend_from_slice(&rest[..at]);
            let value: Option<&[u8]> = match rest.get(at + 1) {
                Some(b'R') => Some(world.ann.as_bytes()),
                Some(b'W') => Some(world.bob.as_bytes()),
                Some(b'S') => Some(&self.session),
                Some(b'E') => Some(&self.event),
                Some(b'C') => Some(&self.cursor),
                Some(b'T') => Some(&self.state),
                Some(b'Q') => Some(&self.question),
                Some(_) | None => None,
            };
            match value {
                Some(value) => {
                    out.extend_from_slice(value);
                    rest = &rest[at + 2..];
                }
                None => {
                    out.push(b'$');
                    rest = &rest[at + 1..];
                }
            }
        }
        out.extend_from_slice(rest);
        out
    }
}

/// The text that follows `name`, up to what ends a value.
fn learn(value: &mut Vec<u8>, answer: &[u8], name: &[u8]) {
    if let Some(at) = answer.windows(name.len()).rposition(|window| window == name) {
        let rest = &answer[at + name.len()..];
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n' | b'"')).unwrap_or(rest.len());
        *value = rest[..end].to_vec();
    }
}
