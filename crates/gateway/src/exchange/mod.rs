//! One exchange of messages: what a client posts is read, judged, recorded, sent, and its answer brought back.
//! The order is that of the text, in [`request`]: claim, admit, send, answer.

mod answer;
mod events;
mod outgoing;
mod relay;
mod stream;
mod tokens;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use narrows_mcp::{
    envelope::{self, Message, Notification, Payload, Request, Sender},
    json::{Document, Kind, Limits, ScanError, Value},
    revision::{Era, Revision},
    sse::EventParser,
};

use crate::{
    context::Context,
    enforcer::Ending,
    judge::{self, Claim},
    lease,
    refusal::Refusal,
    reply::Reply,
    upstream::{Answer, Outgoing},
};
use answer::Call;

pub(crate) use stream::{delete, listen};

/// Answers a POST.
pub(crate) async fn post(
    context: Arc<Context>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<Reply>, Refusal> {
    let document = Document::parse(body, &Limits::CLIENT).map_err(|error| scan_refusal(&error))?;
    let root = document.root();
    match root.kind() {
        Kind::Array => batch(&context, headers, root).await,
        Kind::Object | Kind::String | Kind::Number | Kind::Bool | Kind::Null => {
            message(&context, headers, root).await
        }
    }
}

fn scan_refusal(error: &ScanError) -> Refusal {
    Refusal::bad_request(None, error.code(), error.to_string())
}

async fn message(
    context: &Arc<Context>,
    headers: &HeaderMap,
    value: Value<'_>,
) -> Result<Response<Reply>, Refusal> {
    match envelope::parse(value, Sender::Client)? {
        Message::Request(request) => self::request(context, headers, &request).await,
        Message::Notification(notification) => self::notification(context, headers, &notification).await,
        Message::Response(response) => self::response(context, headers, &response).await,
    }
}

/// A request: claim, admit, send, answer.
async fn request(
    context: &Arc<Context>,
    headers: &HeaderMap,
    request: &Request<'_>,
) -> Result<Response<Reply>, Refusal> {
    let wire = wire::of_request(context, headers, request)?;
    let (claim, shape) = judge::claim(request, wire.revision.era())?;
    let upstream_id = outgoing::upstream_id(context, wire.revision.era(), &request.id);
    let body = outgoing::request(context, wire.revision.era(), request, &upstream_id, &claim, shape)?;
    let revision = wire.revision.as_str();
    let admitted = context.admit(&claim, &request.method, revision, Some(&request.id)).await?;
    let call = Call {
        context: Arc::clone(context),
        claim,
        shape,
        method: request.method.clone().into_owned(),
        revision: wire.revision,
        client_id: request.id.clone(),
        upstream_id,
        request_id: admitted.request_id().to_owned(),
    };
    let outgoing = outgoing::post(context, wire.headers, body);
    let answer = send(&call, admitted, outgoing).await?;
    answer::respond(call, answer).await
}

/// Sends, and lets go if the right to the answer ends before it begins.
async fn send(
    call: &Call,
    admitted: crate::enforcer::Admitted,
    outgoing: Outgoing,
) -> Result<Answer, Refusal> {
    let context = &call.context;
    let cut = admitted.cut_reason();
    let sending = context.upstream.send(admitted, outgoing, context.limits().upstream_timeout);
    let sending = std::pin::pin!(sending);
    // What is let go of is dropped after the reason is set.
    match lease::during(context, || call.held(), sending).await {
        Ok(sent) => sent.map_err(|failure| call.failed(failure)),
        Err(reason) => {
            cut.set(reason);
            Err(Refusal::Withdrawn { id: Some(call.client_id.clone()), reason })
        }
    }
}

/// A notification: admitted like a request, answered with 202.
async fn notification(
    context: &Arc<Context>,
    headers: &HeaderMap,
    notification: &Notification<'_>,
) -> Result<Response<Reply>, Refusal> {
    let wire = wire::of_notification(context, headers, notification)?;
    let claim = judge::by_method(&notification.method);
    let Some(body) = outgoing::notification(context, notification) else {
        // It speaks of a request or a stream that this caller can't have: nothing to tell the server.
        return Ok(accepted());
    };
    let admitted = context.admit(&claim, &notification.method, wire.revision.as_str(), None).await?;
    deliver(context, admitted, outgoing::post(context, wire.headers, body)).await
}

/// The client's answer to a request of the server, whose id is ours and names the server's own.
async fn response(
    context: &Arc<Context>,
    headers: &HeaderMap,
    response: &envelope::Response<'_>,
) -> Result<Response<Reply>, Refusal> {
    let wire = wire::of_message(context, headers)?;
    let asked = response.id.as_ref().and_then(|id| tokens::open_request_id(context, id));
    let Some(asked) = asked else {
        return Err(Refusal::bad_request(
            response.id.as_ref(),
            -32600,
            "no request of the server has this id",
        ));
    };
    let body = match response.payload {
        Payload::Result(value) => envelope::result_bytes(&asked, value.raw()),
        Payload::Error(value) => outgoing::error_response(&asked, value),
    };
    let admitted =
        context.admit(&Claim::Server, "response", wire.revision.as_str(), response.id.as_ref()).await?;
    deliver(context, admitted, outgoing::post(context, wire.headers, Bytes::from(body))).await
}

/// Sends what needs no answer, and passes on whether the server took it.
async fn deliver(
    context: &Arc<Context>,
    admitted: crate::enforcer::Admitted,
    outgoing: Outgoing,
) -> Result<Response<Reply>, Refusal> {
    let request_id = admitted.request_id().to_owned();
    let answer = context
        .upstream
        .send(admitted, outgoing, context.limits().upstream_timeout)
        .await
        .map_err(|failure| Refusal::upstream(context, None, failure, request_id.clone()))?;
    if answer.status.is_success() {
        answer.open.close(Ending::Ok, 0);
        return Ok(accepted());
    }
    answer.open.close(Ending::Error("the server did not take it"), 0);
    match answer.status {
        StatusCode::NOT_FOUND if context.session.is_some() => Err(Refusal::UnknownSession(None)),
        status => {
            let failure = crate::upstream::UpstreamFailure::Status(status.as_u16());
            Err(Refusal::upstream(context, None, failure, request_id))
        }
    }
}

fn accepted() -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// A batch, which only revision 2025-03-26 has. Each message goes its own way; the answers come back together.
async fn batch(
    context: &Arc<Context>,
    headers: &HeaderMap,
    root: Value<'_>,
) -> Result<Response<Reply>, Refusal> {
    let revision = context.session.as_ref().map(|session| session.revision);
    if revision != Some(Revision::V2025_03_26) {
        let text = "a body is one message: batches are part of revision 2025-03-26 only, within a session";
        return Err(Refusal::bad_request(None, -32600, text));
    }
    let count = root.elements().count();
    let limit = context.limits().batch;
    if count == 0 || count > limit {
        let text = format!("a batch has 1 to {limit} messages");
        return Err(Refusal::bad_request(None, -32600, text));
    }
    let mut answers = Vec::new();
    let mut room = context.limits().buffered_bytes;
    for value in root.elements() {
        let response = match Box::pin(message(context, headers, value)).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        match collect(response, room).await {
            Some(found) => {
                room = room.saturating_sub(found.iter().map(String::len).sum());
                answers.extend(found);
            }
            None => answers.push(cut_answer(value)),
        }
    }
    if answers.is_empty() {
        return Ok(accepted());
    }
    Ok(json_response(StatusCode::OK, format!("[{}]", answers.join(","))))
}

/// What stands in a batch's answer for one that was cut off or for which there was no room.
fn cut_answer(value: Value<'_>) -> String {
    let id = value.get("id").and_then(envelope::Id::of);
    let text = "the answer was cut off or is too large for a batch; the call may have had an effect";
    String::from_utf8_lossy(&envelope::error_bytes(id.as_ref(), -32603, text, None)).into_owned()
}

/// The messages of a response, whichever form they came in; none if it was cut off or is larger than `limit`.
async fn collect(response: Response<Reply>, limit: usize) -> Option<Vec<String>> {
    let events = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == EVENT_STREAM);
    let body = http_body_util::Limited::new(response.into_body(), limit).collect().await.ok()?.to_bytes();
    if body.is_empty() {
        return Some(Vec::new());
    }
    if !events {
        return Some(vec![String::from_utf8(body.into()).ok()?]);
    }
    let mut found = Vec::new();
    EventParser::new(limit).push(&body, &mut found).ok()?;
    Some(found.into_iter().map(|event| event.data).filter(|data| !data.is_empty()).collect())
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

fn json_response(status: StatusCode, body: impl Into<Bytes>) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn event_response(body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Call {
    /// Whether identifiers of this call outlive its stream.
    pub(super) fn has_session(&self) -> bool {
        self.revision.era() == Era::Sessions && self.context.session.is_some()
    }
}
