//! A client that shows what HTTP really said: one connection for each request.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use narrows_mcp::sse::{Event, EventParser};
use serde_json::Value;
use tokio::{net::UnixStream, task::JoinSet};

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, headers read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    parser: EventParser,
    events: std::collections::VecDeque<Event>,
    // Dropping it closes the connection.
    _connection: JoinSet<()>,
}

/// Sends one request.
pub(crate) async fn send(socket: &Path, method: Method, headers: &[(&str, &str)], body: &str) -> Answer {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move { drop(connection.await) });
    let mut request = Request::builder().method(method).uri("/mcp").header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let response: Response<Incoming> = tokio::time::timeout(PATIENCE, sender.send_request(request))
        .await
        .expect("no answer in time")
        .unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        parser: EventParser::new(64 << 20),
        events: std::collections::VecDeque::new(),
        _connection: task,
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type") == "text/event-stream"
    }

    /// The whole body, which must be JSON.
    pub(crate) async fn json(self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "status {}", self.status);
        let bytes =
            tokio::time::timeout(PATIENCE, self.body.collect()).await.expect("no body in time").unwrap();
        serde_json::from_slice(&bytes.to_bytes()).unwrap()
    }

    /// The whole body as it came.
    pub(crate) async fn text(self) -> String {
        let bytes =
            tokio::time::timeout(PATIENCE, self.body.collect()).await.expect("no body in time").unwrap();
        String::from_utf8(bytes.to_bytes().to_vec()).unwrap()
    }

    /// The next event; none when the stream has ended.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        assert!(self.is_stream(), "status {} and {}", self.status, self.header("content-type"));
        // Comments keep a stream alive, but not a test's patience.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let frame =
                tokio::time::timeout_at(deadline, self.body.frame()).await.expect("no event in time")?;
            let Ok(frame) = frame else { return None };
            let mut events = Vec::new();
            self.parser.push(frame.data_ref().unwrap(), &mut events).unwrap();
            self.events.extend(events);
        }
    }

    /// The next message of a stream; none when it has ended.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            let event = self.event().await?;
            if !event.data.is_empty() {
                return Some(serde_json::from_str(&event.data).unwrap());
            }
        }
    }

    /// Every message to the end: those of a stream, or the one of a JSON answer.
    pub(crate) async fn messages(mut self) -> Vec<Value> {
        if !self.is_stream() {
            return vec![self.json().await];
        }
        let mut messages = Vec::new();
        while let Some(message) = self.message().await {
            messages.push(message);
        }
        messages
    }
}
