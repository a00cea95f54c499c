//! Streamable HTTP as clients see it: what a request is, whether it is one at all, and who answers it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use narrows_mcp::{
    envelope::{self, Id, Message, Notification, Sender},
    headers::{HeaderMismatch, agree, required_meta, stateless_meta},
    json::{Document, Limits, Value},
    revision::{Era, Revision},
};
use tokio::sync::mpsc;

use super::{
    PRINCIPAL_HEADER,
    answer::{Body, Opening, json, refused, status},
    board::EventId,
    exchange::{META_VERSION, in_session, stand_alone, stream_of},
    host::Host,
    refusal::Refusal,
    sessions::{Session, Sessions},
};

/// Largest body.
const MOST_BODY: usize = 16 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// How a client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// By a Unix socket, to which only our own account has access: its word for a principal is taken.
    Unix,
    /// By TCP: a browser on the same machine could have been talked into it.
    Tcp(std::net::IpAddr),
}

type Answer = Result<Response<Body>, (Refusal, Option<Id>)>;

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn serve(
    host: Arc<Host>,
    door: Door,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let answer = match entrance(door, &request) {
        Err(refusal) => Err((refusal, None)),
        Ok(()) => match *request.method() {
            Method::POST => post(&host, door, request).await,
            Method::GET => get(&host, door, request.headers()).map_err(|refusal| (refusal, None)),
            Method::DELETE => delete(&host, door, request.headers()).map_err(|refusal| (refusal, None)),
            _ => Err((Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, "use POST, GET or DELETE"), None)),
        },
    };
    Ok(answer.unwrap_or_else(|(refusal, id)| refused(&refusal, id.as_ref())))
}

/// What holds for every method. On TCP, a page that a browser loaded from elsewhere must not get in by a name that was
/// made to point here.
fn entrance(door: Door, request: &Request<Incoming>) -> Result<(), Refusal> {
    if !matches!(request.uri().path(), "/" | "/mcp") {
        return Err(Refusal::Http(StatusCode::NOT_FOUND, "there is nothing here; the endpoint is /mcp"));
    }
    let Door::Tcp(own) = door else { return Ok(()) };
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let forbidden = |text| Err(Refusal::Http(StatusCode::FORBIDDEN, text));
    if hosts.next().is_some() || !host.is_some_and(|host| is_local(host, own)) {
        return forbidden("Host is not this listener");
    }
    for origin in headers.get_all(header::ORIGIN) {
        let authority = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
        if !authority.is_some_and(|authority| is_local(authority, own)) {
            return forbidden("Origin is not this machine");
        }
    }
    Ok(())
}

/// Whether an authority names this machine: a loopback host, or the address that we listen on.
fn is_local(authority: &str, own: std::net::IpAddr) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == own)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn principal(door: Door, headers: &HeaderMap) -> Option<&str> {
    match door {
        Door::Unix => headers.get(PRINCIPAL_HEADER).and_then(|value| value.to_str().ok()),
        Door::Tcp(_) => None,
    }
}

/// Whether the client takes this type, or any.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = ranges.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
    let family = wanted.split('/').next().unwrap_or_default();
    types.any(|range| {
        let range = range.trim();
        range.eq_ignore_ascii_case(wanted) || range == "*/*" || range.strip_suffix("/*") == Some(family)
    })
}

async fn post(host: &Arc<Host>, door: Door, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let http = |status, text| Err((Refusal::Http(status, text), None));
    if !accepts(&headers, "application/json") || !accepts(&headers, "text/event-stream") {
        return http(StatusCode::NOT_ACCEPTABLE, "accept both application/json and text/event-stream");
    }
    let kind =
        text(&headers, &header::CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/json") || headers.contains_key(header::CONTENT_ENCODING)
    {
        return http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json, without an encoding");
    }
    let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, MOST_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return http(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 16 MiB");
        }
        Ok(Err(_)) => return http(StatusCode::BAD_REQUEST, "the body ended early"),
        Err(_) => return http(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
    };
    let document = Document::parse(&body, &Limits::CLIENT).map_err(|fault| (Refusal::Json(fault), None))?;
    drop(body);
    let root = document.root();
    if document.as_str().starts_with('[') {
        return batch(host, door, &headers, root).map_err(|refusal| (refusal, None));
    }
    let refuse = |fault: envelope::EnvelopeError| {
        let id = fault.id().cloned();
        (Refusal::Envelope(fault), id)
    };
    match envelope::parse(root, Sender::Client).map_err(refuse)? {
        Message::Request(request) => {
            let id = request.id.clone();
            let answered = answer(host, door, &headers, document.as_str(), request).await;
            answered.map_err(|refusal| (refusal, Some(id)))
        }
        Message::Notification(notification) => {
            notified(host, door, &headers, &notification).map_err(|refusal| (refusal, None))
        }
        Message::Response(response) => {
            let done = session(host, door, &headers).and_then(|session| {
                let mut board = session.process.board();
                board.client_response(session.key, &response, std::time::Instant::now())
            });
            done.map(|()| status(StatusCode::ACCEPTED)).map_err(|refusal| (refusal, response.id))
        }
    }
}

/// A single request: opens a session, belongs to one, or stands alone.
async fn answer(
    host: &Arc<Host>,
    door: Door,
    headers: &HeaderMap,
    text: &str,
    request: envelope::Request<'_>,
) -> Result<Response<Body>, Refusal> {
    if let Some(said) = headers.get(VERSION)
        && let Some(meant) = request.params.and_then(|params| params.at(&["_meta", META_VERSION]))
        && meant.as_string().is_none_or(|meant| meant.as_bytes() != said.as_bytes())
    {
        // Before anything is made of either: which of the two would count must not be a question.
        return Err(Refusal::Headers(HeaderMismatch::Differs("MCP-Protocol-Version")));
    }
    let stands_alone = is_stateless(headers) || request.method == "server/discover";
    if stands_alone || stateless_meta(&request).map_err(Refusal::Envelope)?.is_some() {
        required_meta(&request).map_err(Refusal::Envelope)?;
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        agree(pairs, &request).map_err(Refusal::Headers)?;
        return stand_alone(host, principal(door, headers), headers, &request).await;
    }
    if request.method == "initialize" {
        let principal = principal(door, headers).map(Into::into);
        let opened = Sessions::open(host, &request, text, principal).await?;
        let mut response = json(StatusCode::OK, opened.text);
        if let Some(id) = opened.id.and_then(|id| http::HeaderValue::from_str(&id).ok()) {
            response.headers_mut().insert(SESSION, id);
        }
        return Ok(response);
    }
    let session = session(host, door, headers)?;
    in_session(host, &session, &request).await
}

/// Whether the header says that this is no request of a session.
fn is_stateless(headers: &HeaderMap) -> bool {
    let named = text(headers, &VERSION).and_then(|named| named.parse::<Revision>().ok());
    named.is_some_and(|revision| revision.era() == Era::Stateless)
}

fn session(host: &Host, door: Door, headers: &HeaderMap) -> Result<Arc<Session>, Refusal> {
    let mut ids = headers.get_all(SESSION).iter();
    let (Some(id), None) = (ids.next(), ids.next()) else { return Err(Refusal::SessionMissing) };
    let id = id.to_str().map_err(|_| Refusal::NoSession)?;
    let session = host.sessions.find(id, principal(door, headers))?;
    let mut versions = headers.get_all(VERSION).iter();
    match (versions.next().map(|version| version.to_str().unwrap_or_default()), versions.next()) {
        (None, _) => Ok(session),
        (Some(named), None) if session.speaks(named) => Ok(session),
        (Some(named), _) => Err(Refusal::Version(named.to_owned())),
    }
}

fn notified(
    host: &Host,
    door: Door,
    headers: &HeaderMap,
    notification: &Notification<'_>,
) -> Result<Response<Body>, Refusal> {
    if is_stateless(headers) {
        // There is no session for it to speak of, and a broken connection is what cancels (2026-07-28).
        return Ok(status(StatusCode::ACCEPTED));
    }
    let session = session(host, door, headers)?;
    session.process.board().client_notification(session.key, notification, std::time::Instant::now())?;
    Ok(status(StatusCode::ACCEPTED))
}

/// Several messages at once: 2025-03-26 only. Requests among them are answered on one stream.
fn batch(
    host: &Arc<Host>,
    door: Door,
    headers: &HeaderMap,
    root: Value<'_>,
) -> Result<Response<Body>, Refusal> {
    let session = session(host, door, headers)?;
    if !session.revision().is_some_and(Revision::has_batches) {
        return Err(Refusal::Batch);
    }
    let messages: Result<Vec<_>, _> =
        root.elements().map(|message| envelope::parse(message, Sender::Client)).collect();
    let mut requests = Vec::new();
    let mut others = Vec::new();
    for message in messages.map_err(Refusal::Envelope)? {
        match message {
            Message::Request(request) if request.method == "initialize" => return Err(Refusal::Batch),
            Message::Request(request) => requests.push(request),
            Message::Notification(_) | Message::Response(_) => others.push(message),
        }
    }
    if requests.is_empty() && others.is_empty() {
        return Err(Refusal::Batch);
    }
    let now = std::time::Instant::now();
    let mut board = session.process.board();
    for message in &others {
        match message {
            Message::Notification(notification) => {
                board.client_notification(session.key, notification, now)?
            }
            Message::Response(response) => board.client_response(session.key, response, now)?,
            Message::Request(_) => {}
        }
    }
    if requests.is_empty() {
        return Ok(status(StatusCode::ACCEPTED));
    }
    let (sender, frames) = mpsc::channel(host.config.caps.queue.max(requests.len()));
    board.session_requests(session.key, &requests, sender, now)?;
    drop(board);
    Ok(stream_of(host, frames, Opening::Plain, None))
}

fn get(host: &Arc<Host>, door: Door, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    if !accepts(headers, "text/event-stream") {
        return Err(Refusal::Http(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream"));
    }
    if is_stateless(headers) {
        return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, "2026-07-28 has no GET"));
    }
    let session = session(host, door, headers)?;
    let now = std::time::Instant::now();
    let (sender, frames) = mpsc::channel(host.config.caps.queue.max(1));
    let opening = match text(headers, &LAST_EVENT) {
        // What can't be resumed ends at once, without an error: at an error a client would ask for ever.
        Some(last) => {
            let last = EventId::parse(last).unwrap_or(EventId { stream: u32::MAX, position: 0 });
            session.process.board().resume(session.key, last, sender, now)?;
            Opening::Plain
        }
        None => {
            let here = session.process.board().listen(session.key, sender, now)?;
            match session.revision() {
                Some(revision) if revision >= Revision::V2025_11_25 => Opening::Priming(here),
                Some(_) | None => Opening::Plain,
            }
        }
    };
    Ok(stream_of(host, frames, opening, None))
}

fn delete(host: &Host, door: Door, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    if is_stateless(headers) {
        return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, "2026-07-28 has no DELETE"));
    }
    let session = session(host, door, headers)?;
    host.sessions.delete(text(headers, &SESSION).unwrap_or_default(), &session);
    Ok(status(StatusCode::NO_CONTENT))
}
