//! Identifiers that cross the gateway, in both directions. A server's are sealed before a client sees them, and a
//! client's before a server does, so that neither can name what is not its own; nothing has to be remembered.

use narrows_mcp::{
    envelope::Id,
    handle::Purpose,
    json::{Document, Limits, Value, write_string},
};

use crate::{context::Context, judge::Shape};
use narrows_mcp::method::ListKind;

/// Longest id that a client may send, in bytes: a sealed id must fit.
const MAX_ID: usize = 128;

/// The id under which the client sees a request of the server; none if it would be longer than clients have to take.
/// Equal ids seal to equal handles, so that the server can withdraw what it asked.
pub(super) fn seal_request_id(context: &Context, id: &Id) -> Option<Id> {
    let handle =
        context.gateway.handles().seal(Purpose::RequestId, &context.binding.parts(), id.raw().as_bytes());
    (handle.len() <= MAX_ID).then(|| Id::string(&handle))
}

/// The server's own id, if the client was given it in this session.
pub(super) fn open_request_id(context: &Context, id: &Id) -> Option<Id> {
    let plain = open_string(context, Purpose::RequestId, id.raw())?;
    read_id(std::str::from_utf8(&plain).ok()?)
}

/// Seals a client's progress token for the server: the raw JSON of a string.
pub(super) fn seal_progress(context: &Context, raw: &str) -> String {
    let handle =
        context.gateway.handles().seal(Purpose::ProgressToken, &context.binding.parts(), raw.as_bytes());
    quoted(&handle)
}

/// The client's own token, as raw JSON. None if the server made it up.
pub(super) fn open_progress(context: &Context, raw: &str) -> Option<String> {
    String::from_utf8(open_string(context, Purpose::ProgressToken, raw)?).ok()
}

/// Seals a list's cursor for the client: the raw JSON of a string.
pub(super) fn seal_cursor(context: &Context, method: &str, cursor: &str) -> String {
    let plain = join(&[method, cursor]);
    quoted(&context.gateway.handles().seal(Purpose::Cursor, &cursor_binding(context), &plain))
}

/// The server's own cursor, as raw JSON.
pub(super) fn open_cursor(context: &Context, method: &str, handle: &str) -> Option<String> {
    let plain = context.gateway.handles().open(Purpose::Cursor, &cursor_binding(context), handle).ok()?;
    match split(&plain)?.as_slice() {
        [sealed_method, cursor] if sealed_method == method => Some(quoted(cursor)),
        _ => None,
    }
}

/// A cursor is good for its principal and endpoint, in any session of theirs.
fn cursor_binding(context: &Context) -> [&[u8]; 2] {
    let [subject, endpoint, _session] = context.binding.parts();
    [subject, endpoint]
}

/// Seals a server's `requestState`, for this call alone and for a time: the raw JSON of a string.
pub(super) fn seal_state(context: &Context, method: &str, target: &str, state: &str) -> String {
    let lifetime = i64::try_from(context.limits().request_state_lifetime.as_secs()).unwrap_or(0);
    let expires = context.gateway.now().as_second().saturating_add(lifetime);
    let plain = join(&[&expires.to_string(), method, target, state]);
    quoted(&context.gateway.handles().seal(Purpose::RequestState, &cursor_binding(context), &plain))
}

/// The server's own `requestState`, as raw JSON, if it was given for this call and is still good.
pub(super) fn open_state(context: &Context, method: &str, target: &str, handle: &str) -> Option<String> {
    let plain =
        context.gateway.handles().open(Purpose::RequestState, &cursor_binding(context), handle).ok()?;
    match split(&plain)?.as_slice() {
        [expires, sealed_method, sealed_target, state]
            if sealed_method == method && sealed_target == target =>
        {
            (expires.parse::<i64>().ok()? > context.gateway.now().as_second()).then(|| quoted(state))
        }
        _ => None,
    }
}

/// What an event id of ours carries: the server's own, and of which call the stream is, so that a resumed stream can
/// be understood by any replica.
pub(super) struct EventMark {
    pub(super) event: String,
    pub(super) call: Option<MarkedCall>,
}

/// The call that a resumed stream belongs to.
#[derive(Clone)]
pub(super) struct MarkedCall {
    pub(super) client_id: Id,
    pub(super) upstream_id: Id,
    pub(super) method: String,
    pub(super) shape: Shape,
}

impl EventMark {
    pub(super) fn seal(context: &Context, event: &str, call: Option<&MarkedCall>) -> String {
        let plain = match call {
            None => join(&[event]),
            Some(call) => join(&[
                event,
                call.client_id.raw(),
                call.upstream_id.raw(),
                &call.method,
                shape_text(call.shape),
            ]),
        };
        context.gateway.handles().seal(Purpose::EventId, &context.binding.parts(), &plain)
    }

    pub(super) fn open(context: &Context, handle: &str) -> Option<Self> {
        let plain =
            context.gateway.handles().open(Purpose::EventId, &context.binding.parts(), handle).ok()?;
        match split(&plain)?.as_slice() {
            [event] => Some(Self { event: event.clone(), call: None }),
            [event, client, upstream, method, shape] => {
                let call = MarkedCall {
                    client_id: read_id(client)?,
                    upstream_id: read_id(upstream)?,
                    method: method.clone(),
                    shape: read_shape(shape)?,
                };
                Some(Self { event: event.clone(), call: Some(call) })
            }
            _ => None,
        }
    }
}

fn shape_text(shape: Shape) -> &'static str {
    match shape {
        Shape::Plain | Shape::Initialize | Shape::Listen => "plain",
        Shape::List(kind) => kind.member(),
    }
}

fn read_shape(text: &str) -> Option<Shape> {
    let lists = [ListKind::Tools, ListKind::Resources, ListKind::ResourceTemplates, ListKind::Prompts];
    match text {
        "plain" => Some(Shape::Plain),
        _ => lists.into_iter().find(|kind| kind.member() == text).map(Shape::List),
    }
}

fn quoted(text: &str) -> String {
    let mut raw = String::with_capacity(text.len() + 2);
    write_string(&mut raw, text);
    raw
}

/// Opens a handle that stands as a JSON string.
fn open_string(context: &Context, purpose: Purpose, raw: &str) -> Option<Vec<u8>> {
    let handle = raw.strip_prefix('"')?.strip_suffix('"')?;
    context.gateway.handles().open(purpose, &context.binding.parts(), handle).ok()
}

/// Reads an id from its raw JSON.
fn read_id(raw: &str) -> Option<Id> {
    let document = Document::parse(format!("[{raw}]").as_bytes(), &Limits::SERVER).ok()?;
    let value: Value<'_> = document.root().elements().next()?;
    Id::of(value)
}

/// Texts, each behind its length.
fn join(parts: &[&str]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(part.as_bytes());
    }
    plain
}

fn split(mut plain: &[u8]) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    while !plain.is_empty() {
        let (length, rest) = plain.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(String::from_utf8(part.to_vec()).ok()?);
        plain = rest;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_texts_come_apart_again_and_nothing_else_does() {
        for parts in [vec![], vec![""], vec!["a", "", "bc"], vec!["\u{1f}", "\"7\""]] {
            assert_eq!(split(&join(&parts)).unwrap(), parts);
        }
        for bad in [&b"\0\0\0\x02a"[..], b"\0\0\0", b"\0\0\0\x01\xff"] {
            assert!(split(bad).is_none());
        }
    }

    #[test]
    fn shapes_survive_a_resumption() {
        for shape in [Shape::Plain, Shape::List(ListKind::Tools), Shape::List(ListKind::ResourceTemplates)] {
            assert_eq!(read_shape(shape_text(shape)), Some(shape));
        }
        assert_eq!(read_shape("anything"), None);
    }
}
