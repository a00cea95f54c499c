//! The server's answer to a request. What is judged (lists, `initialize`) is read whole; all else is passed on as it
//! comes, with the id restored.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use narrows_egress::Body;
use narrows_mcp::{
    envelope::{self, Id, Message, Payload, Sender},
    json::{Document, Limits},
    response::{Captures, Ending as MessageEnding, Fed, Member, Refused, ResponseStream},
    revision::{Era, Revision},
};

use super::{
    event_response, events, json_response, outgoing,
    relay::{self, Relayed},
    tokens::MarkedCall,
};
use crate::{
    context::Context,
    enforcer::{Ending, OpenCall},
    gathered::Gathered,
    judge::{Claim, Shape},
    lease::{self, Ended, Held},
    refusal::Refusal,
    reply::{Cut, Reply},
    session::{self, SESSION_HEADER},
    upstream::{Answer, Content, UpstreamFailure},
};

/// Up to this size a response is read before it is passed on, which saves a body being driven piece by piece.
const SMALL: usize = 64 * 1024;

/// A request that was sent.
pub(super) struct Call {
    pub(super) context: Arc<Context>,
    pub(super) claim: Claim,
    pub(super) shape: Shape,
    pub(super) method: String,
    pub(super) revision: Revision,
    pub(super) client_id: Id,
    pub(super) upstream_id: Id,
    pub(super) request_id: String,
}

/// Why an answer was not read to its end.
enum Stopped {
    Broken(String),
    Withdrawn(&'static str),
}

/// Brings the answer back.
pub(super) async fn respond(call: Call, answer: Answer) -> Result<Response<Reply>, Refusal> {
    if !answer.status.is_success() {
        return refused(&call, answer).await;
    }
    match (call.shape, answer.content) {
        (_, Content::Other) => {
            Err(call.broken(answer.open, "it is neither `application/json` nor `text/event-stream`"))
        }
        (Shape::Initialize, Content::Json | Content::Events) => initialize(call, answer).await,
        (Shape::Listen, Content::Events) => {
            Ok(event_response(Reply::listening(events::of_call(call, answer))))
        }
        (Shape::Plain | Shape::List(_), Content::Events) => {
            Ok(event_response(Reply::stream(events::of_call(call, answer))))
        }
        (Shape::List(_), Content::Json) => list(&call, answer).await,
        (Shape::Plain | Shape::Listen, Content::Json) => plain(call, answer).await,
    }
}

impl Call {
    /// The refusal for a failure behind the gateway.
    pub(super) fn failed(&self, failure: UpstreamFailure) -> Refusal {
        Refusal::upstream(&self.context, Some(&self.client_id), failure, self.request_id.clone())
    }

    /// Closes the request as one that the server could not take. What the bridge of a local server says of it is for
    /// the client too; what a remote server says is for the log.
    fn unavailable(&self, open: OpenCall, said: &str) -> Refusal {
        let said = said.get(..256).unwrap_or(said);
        tracing::warn!(server = %self.context.server, request = open.request_id(), said, "server unavailable");
        let reason = if self.context.upstream.is_local() { said } else { "it answered with HTTP status 503" };
        let failure = UpstreamFailure::Unavailable(reason.to_owned());
        open.close(Ending::Error(failure.label()), 0);
        self.failed(failure)
    }

    /// Closes the request as broken by the server.
    fn broken(&self, open: OpenCall, reason: impl Into<String>) -> Refusal {
        let failure = UpstreamFailure::Protocol(reason.into());
        tracing::warn!(server = %self.context.server, request = open.request_id(), %failure, "answer not passed on");
        open.close(Ending::Error(failure.label()), 0);
        self.failed(failure)
    }

    /// What event ids of this call's stream carry.
    pub(super) fn mark(&self) -> MarkedCall {
        MarkedCall {
            client_id: self.client_id.clone(),
            upstream_id: self.upstream_id.clone(),
            method: self.method.clone(),
            shape: self.shape,
            claim: self.claim.clone(),
        }
    }

    /// What the right to the answer hangs on.
    pub(super) fn held(&self) -> Held {
        Held { claim: self.claim.clone(), method: self.method.clone(), revision: self.revision.as_str() }
    }

    /// Reads something of the answer, for as long as there is a right to it and within the time of a request.
    async fn during<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, Stopped> {
        let limit = self.context.limits().upstream_timeout;
        match lease::during(&self.context, || self.held(), tokio::time::timeout(limit, work)).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(reason))) => Err(Stopped::Broken(reason)),
            Ok(Err(_)) => Err(Stopped::Broken("it took too long".to_owned())),
            Err(reason) => Err(Stopped::Withdrawn(reason)),
        }
    }

    /// Closes the request as stopped.
    fn stopped(&self, open: OpenCall, stopped: Stopped) -> Refusal {
        match stopped {
            Stopped::Broken(reason) => self.broken(open, reason),
            Stopped::Withdrawn(reason) => {
                open.close(Ending::Cancelled(reason), 0);
                Refusal::Withdrawn { id: Some(self.client_id.clone()), reason }
            }
        }
    }
}

/// An answer that is an HTTP error. A JSON-RPC error in it is the server's word and goes to the client with the
/// status, where that status means something in MCP; anything else is said in our words.
async fn refused(call: &Call, answer: Answer) -> Result<Response<Reply>, Refusal> {
    let Answer { status, content, body, open, .. } = answer;
    let meant = matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::SERVICE_UNAVAILABLE
    );
    if meant
        && content == Content::Json
        && let Ok(bytes) = call.during(read(&call.context, body, 256 * 1024)).await
        && let Ok(document) = Document::parse(&bytes, &Limits::SERVER)
        && let Ok(Message::Response(response)) = envelope::parse(document.root(), Sender::Server)
        && let Payload::Error(error) = response.payload
        && response.id.as_ref().is_none_or(|id| *id == call.upstream_id)
        && (response.id.is_some() || !call.has_session())
    {
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let said = error.get("message").and_then(|text| text.as_string()).unwrap_or_default();
            return Err(call.unavailable(open, &said));
        }
        let text = outgoing::error_response(&call.client_id, error);
        open.close(Ending::Error("error result"), text.len() as u64);
        return Ok(json_response(status, text));
    }
    if status == StatusCode::NOT_FOUND && call.has_session() {
        open.close(Ending::Error("the server does not know the session"), 0);
        return Err(Refusal::UnknownSession(Some(call.client_id.clone())));
    }
    let failure = UpstreamFailure::Status(status.as_u16());
    tracing::warn!(server = %call.context.server, request = open.request_id(), %failure, "no usable answer");
    open.close(Ending::Error(failure.label()), 0);
    Err(call.failed(failure))
}

/// A JSON response, passed on with the id restored. One that is small is read before anything is said to the client,
/// so that a bad one becomes a refusal; the rest of a large one is streamed.
async fn plain(call: Call, answer: Answer) -> Result<Response<Reply>, Refusal> {
    let captures = match call.revision.era() {
        Era::Sessions => Captures::NONE,
        Era::Stateless => Captures::of(&[Member::RequestState, Member::InputRequests, Member::CacheScope]),
    };
    let mut stream = ResponseStream::new(call.upstream_id.clone(), call.client_id.clone(), captures);
    let Answer { mut body, open, .. } = answer;
    let start = match call.during(read_start(&call.context, &mut body, SMALL)).await {
        Ok(start) => start,
        Err(stopped) => return Err(call.stopped(open, stopped)),
    };
    let bytes = match &start {
        Start::Whole(bytes) | Start::Part(bytes) => bytes,
    };
    let mut text = Vec::with_capacity(bytes.len() + 64);
    match stream.feed(bytes, &mut text, &mut |member, raw| judge_member(&call, member, raw)) {
        Ok(Fed::Appended) => {}
        Ok(Fed::AsItIs) => text.extend_from_slice(bytes),
        Err(error) => return Err(call.broken(open, error.to_string())),
    }
    match start {
        Start::Part(_) => {
            let mut response = json_response(StatusCode::OK, Bytes::new());
            *response.body_mut() = Reply::stream(Rewrite::new(call, body, open, stream, text));
            Ok(response)
        }
        Start::Whole(_) => match stream.finish() {
            Ok(ending) => {
                open.close(ending_of(&ending), text.len() as u64);
                Ok(json_response(StatusCode::OK, text))
            }
            Err(error) => Err(call.broken(open, error.to_string())),
        },
    }
}

fn judge_member(call: &Call, member: Member, raw: &str) -> Result<String, Refused> {
    relay::member_of_result(&call.context, &call.method, &call.claim.target(), member, raw).map_err(|reason| {
        tracing::warn!(server = %call.context.server, request = call.request_id, reason, "result refused");
        Refused
    })
}

fn ending_of(ending: &MessageEnding) -> Ending {
    if ending.is_error { Ending::Error("error result") } else { Ending::Ok }
}

/// A list, read whole and filtered.
async fn list(call: &Call, answer: Answer) -> Result<Response<Reply>, Refusal> {
    let Answer { body, open, .. } = answer;
    let bytes = match call.during(read(&call.context, body, call.context.limits().buffered_bytes)).await {
        Ok(bytes) => bytes,
        Err(stopped) => return Err(call.stopped(open, stopped)),
    };
    let relay = events::relay_of(call);
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(_) => return Err(call.broken(open, "it is not UTF-8")),
    };
    match relay.message(text).await {
        Ok(Relayed::Last { text, is_error }) => {
            let ending = if is_error { Ending::Error("error result") } else { Ending::Ok };
            open.close(ending, text.len() as u64);
            Ok(json_response(StatusCode::OK, text))
        }
        Ok(Relayed::Pass(_) | Relayed::Drop) => {
            Err(call.broken(open, "it is not the answer to this request"))
        }
        Err(error) => Err(call.broken(open, error.to_string())),
    }
}

/// The answer to `initialize`: the negotiated revision and the server's session go into a handle.
async fn initialize(call: Call, answer: Answer) -> Result<Response<Reply>, Refusal> {
    let Answer { content, body, session, open, .. } = answer;
    let context = Arc::clone(&call.context);
    let reading = async {
        match content {
            Content::Events => events::read_to_answer(&call, body).await,
            Content::Json | Content::Other => {
                let bytes = read(&context, body, context.limits().buffered_bytes).await?;
                events::read_answer(&call, &bytes).await
            }
        }
    };
    let (text, is_error) = match call.during(reading).await {
        Ok(read) => read,
        Err(stopped) => return Err(call.stopped(open, stopped)),
    };
    let mut response = json_response(StatusCode::OK, text.clone());
    if !is_error {
        let revision = match negotiated(&text) {
            Ok(revision) => revision,
            Err(reason) => return Err(call.broken(open, reason)),
        };
        if let Some(id) = session {
            let limits = context.limits();
            let now = context.gateway.now();
            let handle = session::seal(
                context.gateway.handles(),
                &context.binding,
                &id,
                revision,
                now,
                limits.session_lifetime,
            );
            match HeaderValue::from_str(&handle) {
                Ok(value) => response.headers_mut().insert(SESSION_HEADER, value),
                Err(_) => return Err(call.broken(open, "its session id can't be carried")),
            };
        }
    }
    let ending = if is_error { Ending::Error("error result") } else { Ending::Ok };
    open.close(ending, text.len() as u64);
    Ok(response)
}

fn negotiated(text: &[u8]) -> Result<Revision, String> {
    let document = Document::parse(text, &Limits::SERVER).map_err(|error| error.to_string())?;
    let said = document.root().at(&["result", "protocolVersion"]).and_then(|value| value.as_string());
    let said = said.ok_or("its `initialize` result has no `protocolVersion`")?;
    let revision = said.parse::<Revision>().ok().filter(|revision| revision.era() == Era::Sessions);
    revision.ok_or_else(|| format!("it speaks a revision with sessions that is not supported: `{said}`"))
}

/// The start of a body.
enum Start {
    /// All of it.
    Whole(Bytes),
    /// More than was asked for, and there may be more to come.
    Part(Bytes),
}

/// Reads a whole body, within a size and with a limit on silence.
async fn read(context: &Context, mut body: Body, limit: usize) -> Result<Bytes, String> {
    match read_start(context, &mut body, limit).await? {
        Start::Whole(bytes) => Ok(bytes),
        Start::Part(_) => Err("it is too large".to_owned()),
    }
}

/// Reads a body until it ends or is larger than `limit`.
async fn read_start(context: &Context, body: &mut Body, limit: usize) -> Result<Start, String> {
    let idle = context.limits().upstream_idle_timeout;
    // What is said to be larger need not be gathered to be found so.
    let limit = if body.size_hint().lower() > limit as u64 { 0 } else { limit };
    let mut gathered = Gathered::default();
    loop {
        let frame = match tokio::time::timeout(idle, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err("it was cut off".to_owned()),
            Ok(None) => break,
            Err(_) => return Err("it stood still".to_owned()),
        };
        let Ok(data) = frame.into_data() else { continue };
        gathered.push(data);
        if gathered.len() > limit {
            return Ok(Start::Part(gathered.finish()));
        }
    }
    Ok(Start::Whole(gathered.finish()))
}

/// A large JSON response on its way through. Dropping it drops the request to the server.
struct Rewrite {
    call: Call,
    body: Body,
    stream: Option<ResponseStream>,
    open: Option<OpenCall>,
    bytes: u64,
    limit: u64,
    idle: Duration,
    silence: Pin<Box<tokio::time::Sleep>>,
    /// What was made of the start, to be sent first.
    ready: Option<Vec<u8>>,
    lease: Ended,
}

impl Rewrite {
    fn new(call: Call, body: Body, open: OpenCall, stream: ResponseStream, ready: Vec<u8>) -> Self {
        let limits = call.context.limits();
        let (limit, idle) = (limits.response_bytes, limits.upstream_idle_timeout);
        let lease = lease::watch(Arc::clone(&call.context), call.held());
        Self {
            call,
            body,
            stream: Some(stream),
            open: Some(open),
            bytes: ready.len() as u64,
            limit,
            idle,
            silence: Box::pin(tokio::time::sleep(idle)),
            ready: Some(ready),
            lease,
        }
    }

    fn fail(&mut self, reason: impl std::fmt::Display) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.stop(Ending::Error("response cut off"), reason)
    }

    fn stop(
        &mut self,
        ending: Ending,
        reason: impl std::fmt::Display,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        tracing::warn!(server = %self.call.context.server, request = self.call.request_id, %reason, "response cut off");
        self.stream = None;
        if let Some(open) = self.open.take() {
            open.close(ending, self.bytes);
        }
        Poll::Ready(Some(Err(Cut)))
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(stream) = self.stream.take() else { return Poll::Ready(None) };
        match stream.finish() {
            Ok(ending) => {
                if let Some(open) = self.open.take() {
                    open.close(ending_of(&ending), self.bytes);
                }
                Poll::Ready(None)
            }
            Err(error) => self.fail(error),
        }
    }
}

impl http_body::Body for Rewrite {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        if let Some(ready) = this.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(ready.into()))));
        }
        loop {
            if this.stream.is_none() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(reason) = this.lease.as_mut().poll(task) {
                return this.stop(Ending::Cancelled(reason), reason);
            }
            let polled = Pin::new(&mut this.body).poll_frame(task);
            if polled.is_pending() && this.silence.as_mut().poll(task).is_ready() {
                return this.fail("it stood still");
            }
            let data = match ready!(polled) {
                None => return this.end(),
                Some(Err(error)) => return this.fail(error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            this.silence.as_mut().reset(tokio::time::Instant::now() + this.idle);
            this.bytes = this.bytes.saturating_add(data.len() as u64);
            if this.bytes > this.limit {
                return this.fail("it is too large");
            }
            let mut out = Vec::new();
            let call = &this.call;
            let mut capture = |member: Member, raw: &str| judge_member(call, member, raw);
            let fed = match &mut this.stream {
                Some(stream) => stream.feed(&data, &mut out, &mut capture),
                None => return Poll::Ready(None),
            };
            let passed = match fed {
                Ok(Fed::AsItIs) => data,
                Ok(Fed::Appended) => out.into(),
                Err(error) => return this.fail(error),
            };
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
            }
        }
    }
}
