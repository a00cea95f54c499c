//! The bytes that a server gets: made anew from what was read and judged, with identifiers of our own.

use bytes::Bytes;
use http::{HeaderMap, Method};
use narrows_core::decision::Effect;
use narrows_mcp::{
    envelope::{self, Id, Notification, Request},
    json::{Kind, Value, replace},
    revision::{Era, Revision},
};

use super::tokens;
use crate::{
    context::Context,
    judge::{Claim, Shape},
    refusal::Refusal,
    upstream::Outgoing,
};

/// The id under which the server sees a request. In a session it follows from the client's own, so that a
/// cancellation finds it; without a session nothing refers back to it, and it is only unique.
pub(super) fn upstream_id(context: &Context, era: Era, id: &Id) -> Id {
    Id::number(match era {
        Era::Sessions => context.gateway.handles().request_number(&context.binding.parts(), id),
        Era::Stateless => context.gateway.next_number(),
    })
}

/// A POST to the server.
pub(super) fn post(context: &Context, headers: HeaderMap, body: Bytes) -> Outgoing {
    Outgoing { method: Method::POST, headers, body, principal: context.binding.principal_key() }
}

/// A request's body. Only members that carry identifiers across are changed.
pub(super) fn request(
    context: &Context,
    era: Era,
    request: &Request<'_>,
    upstream_id: &Id,
    claim: &Claim,
    shape: Shape,
) -> Result<Bytes, Refusal> {
    let Some(params) = request.params else {
        return Ok(envelope::request_bytes(upstream_id, &request.method, None).into());
    };
    let mut edits = Edits::of(params);
    if let Some(token) = request.meta.and_then(|meta| meta.get("progressToken")) {
        if !matches!(token.kind(), Kind::String | Kind::Number) {
            return Err(invalid(request, "`_meta.progressToken` must be a string or a number"));
        }
        edits.set(&["_meta", "progressToken"], Some(&tokens::seal_progress(context, token.raw())));
    }
    if let (Shape::List(_), Some(cursor)) = (shape, params.get("cursor")) {
        let opened =
            cursor.as_string().and_then(|handle| tokens::open_cursor(context, &request.method, &handle));
        let opened =
            opened.ok_or_else(|| invalid(request, "`cursor` was not given by this endpoint to you"))?;
        edits.set(&["cursor"], Some(&opened));
    }
    if let (Era::Stateless, Some(state)) = (era, params.get("requestState")) {
        let opened = state
            .as_string()
            .and_then(|handle| tokens::open_state(context, &request.method, &claim.target(), &handle));
        let opened = opened.ok_or_else(|| {
            invalid(request, "`requestState` was not given to you for this call, or is over")
        })?;
        edits.set(&["requestState"], Some(&opened));
    }
    if shape == Shape::Listen {
        listen_filter(context, request, params, &mut edits)?;
    }
    Ok(envelope::request_bytes(upstream_id, &request.method, Some(edits.text())).into())
}

/// Leaves only those resources in a subscription that the caller may read. The server's acknowledgement then tells
/// the client what it got.
fn listen_filter(
    context: &Context,
    request: &Request<'_>,
    params: Value<'_>,
    edits: &mut Edits<'_>,
) -> Result<(), Refusal> {
    let path = ["notifications", "resourceSubscriptions"];
    let Some(asked) = params.at(&path) else { return Ok(()) };
    if asked.kind() != Kind::Array {
        return Err(invalid(request, "`notifications.resourceSubscriptions` must be an array"));
    }
    let mut kept = String::from("[");
    for element in asked.elements() {
        let Some(uri) = element.as_string() else { continue };
        let claim = Claim::Resource { uri: uri.into_owned() };
        let revision = Revision::V2026_07_28.as_str();
        let decision = context.decide(&claim.action(), &request.method, revision);
        let passes = match decision.effect() {
            Effect::Proceed { would_deny: None, .. } => true,
            Effect::Proceed { would_deny: Some(_), .. } => {
                context.note_denial(&claim, &request.method, revision, &decision);
                true
            }
            Effect::Refuse(_) => {
                context.note_denial(&claim, &request.method, revision, &decision);
                false
            }
        };
        if passes {
            if kept.len() > 1 {
                kept.push(',');
            }
            kept.push_str(element.raw());
        }
    }
    kept.push(']');
    edits.set(&path, Some(&kept));
    Ok(())
}

fn invalid(request: &Request<'_>, text: &str) -> Refusal {
    Refusal::bad_request(Some(&request.id), -32602, text)
}

/// A notification's body. None if it refers to something that this caller has not.
pub(super) fn notification(context: &Context, notification: &Notification<'_>) -> Option<Bytes> {
    let Some(params) = notification.params else {
        return Some(envelope::notification_bytes(&notification.method, None).into());
    };
    let mut edits = Edits::of(params);
    if notification.method == "notifications/cancelled" {
        let id = Id::of(params.get("requestId")?)?;
        let number = upstream_id(context, Era::Sessions, &id);
        edits.set(&["requestId"], Some(number.raw()));
    }
    Some(envelope::notification_bytes(&notification.method, Some(edits.text())).into())
}

/// An error response's body, the error kept whole.
pub(super) fn error_response(id: &Id, error: Value<'_>) -> Vec<u8> {
    let mut body = String::with_capacity(error.raw().len() + 48);
    body.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    body.push_str(id.raw());
    body.push_str(",\"error\":");
    body.push_str(error.raw());
    body.push('}');
    body.into_bytes()
}

/// Changes to an object, made one after the other; without any, the text is the object's own.
pub(super) struct Edits<'a> {
    object: Value<'a>,
    edited: Option<String>,
}

impl<'a> Edits<'a> {
    pub(super) fn of(object: Value<'a>) -> Self {
        Self { object, edited: None }
    }

    pub(super) fn set(&mut self, path: &[&str], raw: Option<&str>) {
        let edited = match &self.edited {
            None => replace(self.object, path, raw),
            Some(text) => replace(Value::of(text), path, raw),
        };
        self.edited = Some(edited);
    }

    pub(super) fn text(&self) -> &str {
        self.edited.as_deref().unwrap_or(self.object.raw())
    }
}
