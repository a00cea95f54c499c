//! What a session can do besides posting: listen with GET, resume a broken stream, and end with DELETE.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use narrows_mcp::revision::Era;

use super::{
    event_response, events,
    relay::Relay,
    tokens::EventMark,
    wire::{self, Wire},
};
use crate::{
    context::Context,
    edge,
    enforcer::{Admitted, Ending},
    judge::Claim,
    lease::Held,
    refusal::{EdgeRefusal, Refusal},
    reply::Reply,
    upstream::{Answer, Content, Outgoing, UpstreamFailure},
};

/// Answers GET: the server's own messages, or the rest of a stream that broke.
pub(crate) async fn listen(context: Arc<Context>, headers: &HeaderMap) -> Result<Response<Reply>, Refusal> {
    if !edge::accepts(headers, "text/event-stream") {
        return Err(EdgeRefusal::Accept.into());
    }
    let Wire { revision, headers: mut outbound } = of_session(&context, headers)?;
    outbound.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let mark = resumed(&context, headers)?;
    let call = mark.as_ref().and_then(|mark| mark.call.clone());
    if let Some(mark) = &mark {
        let value = HeaderValue::from_str(&mark.event)
            .map_err(|_| Refusal::bad_request(None, -32600, "the stream can't be resumed"))?;
        outbound.insert("last-event-id", value);
    }
    // The rest of a call's stream takes the same right as the call.
    let held = match &call {
        None => Held { claim: Claim::Server, method: LISTEN.to_owned(), revision: revision.as_str() },
        Some(call) => {
            Held { claim: call.claim.clone(), method: call.method.clone(), revision: revision.as_str() }
        }
    };
    let admitted = context.admit_as(&held.claim, &held.method, LISTEN, revision.as_str(), None).await?;
    let answer = send(&context, admitted, Method::GET, outbound).await?;
    let answer = accept(&context, answer)?;
    if answer.content != Content::Events {
        let request_id = answer.open.request_id().to_owned();
        let failure = UpstreamFailure::Protocol("it is not `text/event-stream`".to_owned());
        answer.open.close(Ending::Error(failure.label()), 0);
        return Err(Refusal::upstream(&context, None, failure, request_id));
    }
    let relay = Relay { context, call, revision };
    Ok(event_response(Reply::listening(events::of_listener(relay, answer, held))))
}

/// The revision and headers of what only a session has: streams to listen to, and an end.
fn of_session(context: &Context, headers: &HeaderMap) -> Result<Wire, Refusal> {
    let mut wire = wire::of_message(context, headers)?;
    if context.session.is_none() {
        return Err(match wire.revision.era() {
            Era::Sessions => Refusal::SessionRequired,
            // 2026-07-28 has no such streams, and no sessions to end.
            Era::Stateless => EdgeRefusal::Method.into(),
        });
    }
    wire.headers.remove(header::CONTENT_TYPE);
    Ok(wire)
}

/// What a listening stream is called in the record.
const LISTEN: &str = "http/GET";

/// The place in a broken stream that a client wants to go on from.
fn resumed(context: &Context, headers: &HeaderMap) -> Result<Option<EventMark>, Refusal> {
    let Some(handle) = headers.get("last-event-id") else { return Ok(None) };
    let mark = handle.to_str().ok().and_then(|handle| EventMark::open(context, handle));
    let text = "`Last-Event-ID` was not given to you in this session, or its stream can't be resumed";
    mark.map(Some).ok_or_else(|| Refusal::bad_request(None, -32600, text))
}

/// Answers DELETE: the session ends at the server.
pub(crate) async fn delete(context: Arc<Context>, headers: &HeaderMap) -> Result<Response<Reply>, Refusal> {
    let Wire { revision, headers: outbound } = of_session(&context, headers)?;
    let admitted = context.admit(&Claim::Server, "http/DELETE", revision.as_str(), None).await?;
    let answer = send(&context, admitted, Method::DELETE, outbound).await?;
    let answer = accept(&context, answer)?;
    answer.open.close(Ending::Ok, 0);
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn send(
    context: &Context,
    admitted: Admitted,
    method: Method,
    headers: HeaderMap,
) -> Result<Answer, Refusal> {
    let request_id = admitted.request_id().to_owned();
    let principal = context.binding.principal_key();
    let outgoing = Outgoing { method, headers, body: bytes::Bytes::new(), principal };
    let sent = context.upstream.send(admitted, outgoing, context.limits().upstream_timeout).await;
    sent.map_err(|failure| Refusal::upstream(context, None, failure, request_id))
}

/// Passes a success on; anything else in the words of the protocol.
fn accept(context: &Context, answer: Answer) -> Result<Answer, Refusal> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let request_id = answer.open.request_id().to_owned();
    answer.open.close(Ending::Error("the server refused"), 0);
    Err(match answer.status {
        StatusCode::METHOD_NOT_ALLOWED => EdgeRefusal::Method.into(),
        StatusCode::NOT_FOUND => Refusal::UnknownSession(None),
        StatusCode::CONFLICT => Refusal::StreamTaken,
        status => Refusal::upstream(context, None, UpstreamFailure::Status(status.as_u16()), request_id),
    })
}
