//! What servers send as it comes: event streams, and responses that are passed on while they arrive. How the bytes
//! are cut up makes no difference; what goes on is what was read, and nothing that a server writes becomes a field or
//! a member that it was not.
//!
//! An input's first byte chooses between the two, the second how it is cut up.

use narrows_mcp::{
    envelope::Id,
    response::{Captures, Ending, Fed, Member, Refused, ResponseError, ResponseStream},
    sse::{Event, EventParser, SseError, write_event},
};

use super::{
    scan::same,
    tree::{self, Tree},
};

pub(crate) fn check(data: &[u8]) {
    let [which, cuts, bytes @ ..] = data else { return };
    if which % 2 == 0 { events(bytes, *cuts, usize::from(*which)) } else { response(bytes, *cuts, *which) }
}

/// The pieces of a text: sizes follow from one number.
fn pieces(bytes: &[u8], cuts: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(cuts));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let size = match cuts {
            0 => usize::MAX,
            1 => 1,
            _ => 1 + (state >> 16) as usize % usize::from(cuts),
        };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn parse(bytes: &[u8], cuts: u8, max: usize) -> (Vec<Event>, Result<(), SseError>) {
    let mut parser = EventParser::new(max);
    let mut events = Vec::new();
    let result = pieces(bytes, cuts).try_for_each(|piece| parser.push(piece, &mut events));
    (events, result)
}

fn events(bytes: &[u8], cuts: u8, which: usize) {
    let max = 16 + which * 32;
    let whole = parse(bytes, 0, max);
    for cuts in [1, cuts] {
        assert_eq!(parse(bytes, cuts, max), whole, "cutting made a difference");
    }
    let (events, result) = whole;
    for event in &events {
        let id = event.id.as_deref().unwrap_or_default();
        assert!(!id.contains(['\r', '\n', '\0']) && !event.data.contains('\r'));
        assert!(event.data.len() + id.len() <= max + event.data.matches('\n').count());
    }
    if result.is_ok() {
        let text = std::str::from_utf8(bytes.get(..complete(bytes)).unwrap_or_default());
        assert_eq!(Ok(&events), text.map(by_the_standard).as_ref(), "the standard reads other events");
    }
    // Written anew, one data line each, they are the same events and no others.
    let mut written = Vec::new();
    for event in &events {
        write_event(&mut written, event.id.as_deref(), event.retry, &event.data)
            .expect("the id can be written");
    }
    let again = parse(&written, cuts, usize::MAX / 2);
    let joined = |event: &Event| Event { event: None, data: event.data.replace('\n', " "), ..event.clone() };
    let expected: Vec<Event> = events.iter().map(joined).collect();
    assert_eq!(again, (expected, Ok(())), "what is written is what was read");
}

/// Up to the end of the last line.
fn complete(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1)
}

/// WHATWG HTML, 9.2.6, over whole lines.
fn by_the_standard(text: &str) -> Vec<Event> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();
    for block in lines.split_inclusive(|line| line.is_empty()) {
        if block.last() != Some(&"") {
            break;
        }
        let fields = block.iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name, value.strip_prefix(' ').unwrap_or(value))
        });
        let last = |wanted: &str, good: fn(&str) -> bool| {
            let mut values = fields.clone().filter(|(name, value)| *name == wanted && good(value));
            values.next_back().map(|(_, value)| value.to_owned())
        };
        let digits = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let data: Vec<&str> =
            fields.clone().filter(|(name, _)| *name == "data").map(|(_, value)| value).collect();
        let event = Event {
            id: last("id", |value| !value.contains('\0')),
            event: last("event", |_| true),
            retry: last("retry", digits).and_then(|value| value.parse().ok()),
            data: data.join("\n"),
        };
        if !event.data.is_empty() || event.id.is_some() || event.retry.is_some() {
            events.push(event);
        }
    }
    events
}

const ALL: [Member; 3] = [Member::RequestState, Member::InputRequests, Member::CacheScope];

fn pass(bytes: &[u8], cuts: u8, captures: Captures) -> (Vec<u8>, Result<Ending, ResponseError>) {
    let mut stream = ResponseStream::new(Id::number(7), Id::string("client"), captures);
    let mut out = Vec::new();
    let mut capture = |member: Member, raw: &str| match member {
        Member::RequestState if raw.starts_with('"') => Ok("\"sealed\"".to_owned()),
        Member::RequestState => Err(Refused),
        Member::InputRequests => Ok(raw.to_owned()),
        Member::CacheScope => Ok("\"private\"".to_owned()),
    };
    let fed = pieces(bytes, cuts).try_for_each(|piece| {
        let before = out.len();
        match stream.feed(piece, &mut out, &mut capture)? {
            Fed::AsItIs => {
                assert_eq!(out.len(), before, "a piece that goes on as it is was appended as well");
                out.extend_from_slice(piece);
            }
            Fed::Appended => {}
        }
        Ok(())
    });
    let ending = fed.and_then(|()| stream.finish());
    (out, ending)
}

fn response(bytes: &[u8], cuts: u8, which: u8) {
    let captured = which & 2 != 0;
    let captures = if captured { Captures::of(&ALL) } else { Captures::NONE };
    let whole = pass(bytes, 0, captures);
    for cuts in [1, cuts] {
        let cut = pass(bytes, cuts, captures);
        // Of two faults, the one met first depends on the cuts.
        assert_eq!(cut.1.is_ok(), whole.1.is_ok(), "cutting made a difference");
        if whole.1.is_ok() {
            assert_eq!(cut, whole, "cutting made a difference");
        } else if !is_followed(bytes) {
            assert!(!tree::is_json(&cut.0), "what was refused is no complete JSON on the other side");
        }
    }
    let (out, Ok(ending)) = whole else { return };
    assert!(tree::is_json(bytes) && tree::is_json(&out), "serde_json reads what is passed on");
    let (Some(read), Some(sent)) = (tree::read(bytes), tree::read(&out)) else { return };
    let id = Tree::Text("client".to_owned());
    let mut expected = read.with(&["id"], Some(&id));
    if captured {
        for (member, new) in [("requestState", "sealed"), ("cacheScope", "private")] {
            if read.at(&["result", member]).is_some() {
                expected = expected.with(&["result", member], Some(&Tree::Text(new.to_owned())));
            }
        }
    }
    assert!(same(&sent, &expected), "only the id and what is judged are other than they were");

    for name in ["jsonrpc", "id", "result", "error"] {
        assert!(
            read.like(name).len() <= 1 && read.like(name).len() == read.all(name).len(),
            "readers differ"
        );
    }
    assert_eq!(read.get("jsonrpc").and_then(Tree::text), Some("2.0"));
    let result = read.get("result");
    assert_ne!(result.is_some(), read.get("error").is_some(), "it is a result or an error");
    match read.get("id") {
        Some(Tree::Whole(7)) => {}
        Some(Tree::Null) | None => assert!(result.is_none(), "a result has the id that was asked with"),
        other => panic!("another request's answer: {other:?}"),
    }
    let says = |name: &str, value: &Tree| result.and_then(|result| result.get(name)) == Some(value);
    assert_eq!(ending.is_error, result.is_none() || says("isError", &Tree::Bool(true)));
    assert_eq!(ending.has_input_required, says("resultType", &Tree::Text("input_required".to_owned())));
    if let Some(result) = result {
        for name in ["requestState", "inputRequests", "cacheScope", "isError", "resultType"] {
            let (all, like) = (result.all(name).len(), result.like(name).len());
            assert!(like == all, "a reader that ignores case finds another `{name}`");
            assert!(all <= 1 || !captured && all == like, "`{name}` is there twice");
        }
    }
}

/// Whether a whole object stands at the start and something after it: then the object is on its way before it is
/// seen that there is more, and the connection is cut instead.
fn is_followed(bytes: &[u8]) -> bool {
    let mut objects = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
    objects.next().is_some_and(|first| first.is_ok()) && objects.byte_offset() < bytes.len()
}
