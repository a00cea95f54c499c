//! One request after the other, and each one's answer, as JSON or as the event of a stream.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use narrows_egress::{Body, Client};
use narrows_mcp::{
    envelope::{self, Id, Message, Payload, Sender},
    json::{Document, Limits, Value},
    sse::EventParser,
};

use super::{ProbeFailure, short};
use crate::{
    session::{SESSION_HEADER, VERSION_HEADER},
    upstream::{self, Content, PRINCIPAL_HEADER},
};

/// Bytes of one answer, and of the stream that it comes in.
const MOST: usize = 16 << 20;

/// How long the end of a session is waited for.
const GOODBYE: Duration = Duration::from_secs(3);

/// What is said to one server.
pub(super) struct Conversation {
    client: Client,
    headers: HeaderMap,
    /// Whether each request stands alone, and names its method in a header.
    stands_alone: bool,
    next: u64,
}

impl Conversation {
    /// `principal` is for bridges of our own.
    pub(super) fn new(client: Client, principal: Option<HeaderValue>) -> Self {
        let mut headers = HeaderMap::new();
        let text = HeaderValue::from_static;
        headers.insert(header::ACCEPT, text("application/json, text/event-stream"));
        headers.insert(header::CONTENT_TYPE, text("application/json"));
        headers.insert(header::USER_AGENT, text(concat!("narrows/", env!("CARGO_PKG_VERSION"))));
        headers.extend(principal.map(|principal| (PRINCIPAL_HEADER, principal)));
        Self { client, headers, stands_alone: false, next: 1 }
    }

    /// The revision that was agreed on.
    pub(super) fn speak(&mut self, revision: &str) {
        if let Ok(value) = HeaderValue::from_str(revision) {
            self.headers.insert(VERSION_HEADER, value);
        }
    }

    /// From now on without session.
    pub(super) fn stand_alone(&mut self, revision: &str) {
        self.headers.remove(SESSION_HEADER);
        self.stands_alone = true;
        self.speak(revision);
    }

    /// Asks, and reads the result.
    pub(super) async fn ask<T>(
        &mut self,
        method: &'static str,
        params: &serde_json::Value,
        read: impl FnOnce(Value<'_>) -> Result<T, String>,
    ) -> Result<T, ProbeFailure> {
        let id = Id::number(self.next);
        self.next += 1;
        let body = envelope::request_bytes(&id, method, Some(&params.to_string()));
        let response = self.post(method, body).await?;
        if let Some(session) = response.headers().get(SESSION_HEADER) {
            self.headers.insert(SESSION_HEADER, session.clone());
        }
        let document = answer(method, &id, response).await?;
        let not_mcp = |reason| ProbeFailure::NotMcp { method, reason };
        match envelope::parse(document.root(), Sender::Server) {
            Ok(Message::Response(response)) => match response.payload {
                Payload::Result(result) => read(result).map_err(not_mcp),
                Payload::Error(error) => Err(refused(method, error)),
            },
            Ok(Message::Request(_) | Message::Notification(_)) => {
                Err(not_mcp("it is no response".to_owned()))
            }
            Err(_) => Err(not_mcp("it is no JSON-RPC message".to_owned())),
        }
    }

    /// Says something that has no answer.
    pub(super) async fn tell(&mut self, method: &'static str) -> Result<(), ProbeFailure> {
        let response = self.post(method, envelope::notification_bytes(method, None)).await?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(ProbeFailure::Status { method, status: status.as_u16() })
        }
    }

    /// Ends the session, if there is one. A server that does not know how is left to forget it.
    pub(super) async fn end(&mut self) {
        if !self.headers.contains_key(SESSION_HEADER) {
            return;
        }
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::DELETE;
        request.headers_mut().clone_from(&self.headers);
        request.headers_mut().remove(header::CONTENT_TYPE);
        let _ = tokio::time::timeout(GOODBYE, self.client.send(request)).await;
        self.headers.remove(SESSION_HEADER);
    }

    async fn post(&self, method: &'static str, body: Vec<u8>) -> Result<Response<Body>, ProbeFailure> {
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        request.headers_mut().clone_from(&self.headers);
        if self.stands_alone {
            request.headers_mut().insert("mcp-method", HeaderValue::from_static(method));
        }
        Ok(self.client.send(request).await?)
    }
}

/// The document that answers this request.
async fn answer(method: &'static str, id: &Id, response: Response<Body>) -> Result<Document, ProbeFailure> {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let content = upstream::content(kind);
    let not_mcp = |reason: &str| ProbeFailure::NotMcp { method, reason: reason.to_owned() };
    let body = response.into_body();
    if status == StatusCode::OK && content == Content::Events {
        return event(method, id, body).await;
    }
    let read = whole(method, body).await;
    let document = read.and_then(|bytes| {
        Document::parse(&bytes, &Limits::SERVER).map_err(|_| not_mcp("it is no strict JSON"))
    });
    if status == StatusCode::OK {
        return document;
    }
    // What is wrong may stand in the body (2025-11-25, basic/transports).
    if let Ok(document) = &document
        && let Ok(Message::Response(response)) = envelope::parse(document.root(), Sender::Server)
        && let Payload::Error(error) = response.payload
    {
        return Err(match status {
            StatusCode::SERVICE_UNAVAILABLE => ProbeFailure::Unavailable(message(error)),
            _ => refused(method, error),
        });
    }
    Err(ProbeFailure::Status { method, status: status.as_u16() })
}

async fn whole(method: &'static str, mut body: Body) -> Result<Vec<u8>, ProbeFailure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if data.len() > MOST.saturating_sub(bytes.len()) {
                return Err(too_much(method));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// What comes before the response is for clients, and passed over.
async fn event(method: &'static str, id: &Id, mut body: Body) -> Result<Document, ProbeFailure> {
    let not_mcp = |reason: &str| ProbeFailure::NotMcp { method, reason: reason.to_owned() };
    let mut parser = EventParser::new(MOST);
    let (mut taken, mut events) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        taken += data.len();
        if taken > MOST {
            return Err(too_much(method));
        }
        parser.push(&data, &mut events).map_err(|error| not_mcp(&error.to_string()))?;
        for event in events.drain(..).filter(|event| !event.data.is_empty()) {
            let document = Document::parse(event.data.as_bytes(), &Limits::SERVER)
                .map_err(|_| not_mcp("an event is no strict JSON"))?;
            let is_it = match envelope::parse(document.root(), Sender::Server) {
                Ok(Message::Response(response)) => response.id.as_ref() == Some(id),
                Ok(Message::Request(_) | Message::Notification(_)) => false,
                Err(_) => return Err(not_mcp("an event is no JSON-RPC message")),
            };
            if is_it {
                return Ok(document);
            }
        }
    }
    Err(not_mcp("the stream ended without a response"))
}

fn too_much(method: &'static str) -> ProbeFailure {
    ProbeFailure::NotMcp { method, reason: format!("it has more than {MOST} bytes") }
}

fn refused(method: &'static str, error: Value<'_>) -> ProbeFailure {
    let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
    ProbeFailure::Refused { method, code, message: message(error) }
}

fn message(error: Value<'_>) -> String {
    short(&error.get("message").and_then(Value::as_string).unwrap_or_default())
}
