//! Identifiers that cross the gateway, in both directions. A server's are sealed before a client sees them, and a
//! client's before a server does, so that neither can name what is not its own; nothing has to be remembered.

use std::time::Duration;

use narrows_mcp::{
    envelope::Id,
    handle::Purpose,
    json::{Document, Limits, Value, write_string},
};

use crate::{
    context::Context,
    judge::{Claim, Shape},
};
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

/// Seals a list's cursor for the client, for a time: the raw JSON of a string.
pub(super) fn seal_cursor(context: &Context, method: &str, cursor: &str) -> String {
    let plain = join(&[&expiry(context, context.limits().session_lifetime), method, cursor]);
    quoted(&context.gateway.handles().seal(Purpose::Cursor, &context.binding.outside(), &plain))
}

/// The server's own cursor, as raw JSON.
pub(super) fn open_cursor(context: &Context, method: &str, handle: &str) -> Option<String> {
    let plain = context.gateway.handles().open(Purpose::Cursor, &context.binding.outside(), handle).ok()?;
    match split(&plain)?.as_slice() {
        [expires, sealed_method, cursor] if sealed_method == method => {
            is_good(context, expires).then(|| quoted(cursor))
        }
        _ => None,
    }
}

/// When something that is sealed now and good for this long ends, in seconds since 1970.
fn expiry(context: &Context, lifetime: Duration) -> String {
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(0);
    context.gateway.now().as_second().saturating_add(seconds).to_string()
}

fn is_good(context: &Context, expires: &str) -> bool {
    expires.parse::<i64>().is_ok_and(|expires| expires > context.gateway.now().as_second())
}

/// Seals a server's `requestState`, for this call alone and for a time: the raw JSON of a string.
pub(super) fn seal_state(context: &Context, method: &str, target: &str, state: &str) -> String {
    let plain = join(&[&expiry(context, context.limits().request_state_lifetime), method, target, state]);
    quoted(&context.gateway.handles().seal(Purpose::RequestState, &context.binding.outside(), &plain))
}

/// The server's own `requestState`, as raw JSON, if it was given for this call and is still good.
pub(super) fn open_state(context: &Context, method: &str, target: &str, handle: &str) -> Option<String> {
    let plain =
        context.gateway.handles().open(Purpose::RequestState, &context.binding.outside(), handle).ok()?;
    match split(&plain)?.as_slice() {
        [expires, sealed_method, sealed_target, state]
            if sealed_method == method && sealed_target == target =>
        {
            is_good(context, expires).then(|| quoted(state))
        }
        _ => None,
    }
}

/// What an event id of ours carries: the server's own, and of which call the stream is, so that a resumed stream can
/// be understood, and judged, by any replica.
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
    pub(super) claim: Claim,
}

/// Arguments up to this length are carried in an event id; a call with longer ones can't be judged again, and so its
/// stream can't be resumed.
const CARRIED: usize = 1024;

impl EventMark {
    pub(super) fn seal(context: &Context, event: &str, call: Option<&MarkedCall>) -> String {
        let expires = expiry(context, context.limits().session_lifetime);
        let plain = match call {
            None => join(&[&expires, event]),
            Some(call) => {
                let (kind, name, arguments) = claim_texts(&call.claim);
                join(&[
                    &expires,
                    event,
                    call.client_id.raw(),
                    call.upstream_id.raw(),
                    &call.method,
                    shape_text(call.shape),
                    kind,
                    name,
                    if arguments.len() <= CARRIED { arguments } else { "" },
                ])
            }
        };
        context.gateway.handles().seal(Purpose::EventId, &context.binding.parts(), &plain)
    }

    pub(super) fn open(context: &Context, handle: &str) -> Option<Self> {
        let plain =
            context.gateway.handles().open(Purpose::EventId, &context.binding.parts(), handle).ok()?;
        let parts = split(&plain)?;
        let (expires, rest) = parts.split_first()?;
        if !is_good(context, expires) {
            return None;
        }
        match rest {
            [event] => Some(Self { event: event.clone(), call: None }),
            [event, client, upstream, method, shape, kind, name, arguments] => {
                let call = MarkedCall {
                    client_id: read_id(client)?,
                    upstream_id: read_id(upstream)?,
                    method: method.clone(),
                    shape: read_shape(shape)?,
                    claim: read_claim(kind, name, arguments)?,
                };
                Some(Self { event: event.clone(), call: Some(call) })
            }
            _ => None,
        }
    }
}

/// A claim as kind, name and arguments.
fn claim_texts(claim: &Claim) -> (&'static str, &str, &str) {
    match claim {
        Claim::Server => ("server", "", ""),
        Claim::Tool { name, arguments } => ("tool", name, arguments),
        Claim::Resource { uri } => ("resource", uri, ""),
        Claim::Template { uri_template } => ("template", uri_template, ""),
        Claim::Prompt { name, arguments } => ("prompt", name, arguments),
        Claim::Method { name } => ("method", name, ""),
    }
}

fn read_claim(kind: &str, name: &str, arguments: &str) -> Option<Claim> {
    let name = name.to_owned();
    // Arguments are never empty text: those of a call without any are `{}`.
    let arguments = (!arguments.is_empty()).then(|| arguments.to_owned());
    match kind {
        "server" => Some(Claim::Server),
        "tool" => Some(Claim::Tool { name, arguments: arguments? }),
        "resource" => Some(Claim::Resource { uri: name }),
        "template" => Some(Claim::Template { uri_template: name }),
        "prompt" => Some(Claim::Prompt { name, arguments: arguments? }),
        "method" => Some(Claim::Method { name }),
        _ => None,
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
    fn claims_survive_a_resumption_and_are_never_made_up() {
        let (name, arguments) = ("x".to_owned(), "{\"a\":1}".to_owned());
        for claim in [
            Claim::Server,
            Claim::Tool { name: name.clone(), arguments: arguments.clone() },
            Claim::Resource { uri: name.clone() },
            Claim::Template { uri_template: name.clone() },
            Claim::Prompt { name: name.clone(), arguments },
            Claim::Method { name },
        ] {
            let (kind, name, arguments) = claim_texts(&claim);
            assert_eq!(read_claim(kind, name, arguments), Some(claim.clone()));
        }
        assert_eq!(read_claim("tool", "x", ""), None, "the arguments were too long to be carried");
        assert_eq!(read_claim("else", "x", ""), None);
    }

    #[test]
    fn shapes_survive_a_resumption() {
        for shape in [Shape::Plain, Shape::List(ListKind::Tools), Shape::List(ListKind::ResourceTemplates)] {
            assert_eq!(read_shape(shape_text(shape)), Some(shape));
        }
        assert_eq!(read_shape("anything"), None);
    }
}
