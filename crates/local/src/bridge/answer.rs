//! Bodies of answers: one JSON message, or a stream of events that is written as messages come.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use narrows_mcp::{envelope::Id, sse::write_event};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval_at},
};

use super::{
    board::{EventId, Frame, FrameKind},
    process::Process,
    refusal::Refusal,
};

/// How long a client is asked to wait before it connects again, in milliseconds.
const RETRY: u64 = 1000;

/// A body.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// Events.
    Events(Box<Events>),
}

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    frames: mpsc::Receiver<Frame>,
    /// What is to be sent before any frame.
    first: Vec<u8>,
    keep_alive: Interval,
    /// Cancels a request whose client is gone.
    _abandon: Option<Abandon>,
}

/// Cancels a request when it is dropped. A request that was answered is not there any more to be cancelled.
#[derive(Debug)]
pub(crate) struct Abandon {
    pub(crate) process: Arc<Process>,
    pub(crate) request: u64,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.process.board().abandon(self.request);
    }
}

/// What stands at the beginning of a stream.
#[derive(Debug)]
pub(crate) enum Opening {
    /// A message that has come already.
    Frame(Frame),
    /// An event without data, whose id a client can resume from (2025-11-25, basic/transports).
    Priming(EventId),
    /// Nothing.
    Plain,
}

impl Events {
    pub(crate) fn new(
        frames: mpsc::Receiver<Frame>,
        opening: Opening,
        keep_alive: Duration,
        abandon: Option<Abandon>,
    ) -> Self {
        let mut first = Vec::new();
        match opening {
            Opening::Frame(frame) => write_frame(&mut first, &frame),
            Opening::Priming(id) => write(&mut first, Some(id), Some(RETRY), ""),
            // A comment, so that the headers go out at once.
            Opening::Plain => first.extend_from_slice(b": \n\n"),
        }
        let mut keep_alive = interval_at(tokio::time::Instant::now() + keep_alive, keep_alive);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { frames, first, keep_alive, _abandon: abandon }
    }
}

fn write_frame(out: &mut Vec<u8>, frame: &Frame) {
    // Every message was written as text, by us.
    write(out, frame.event, None, std::str::from_utf8(&frame.data).unwrap_or_default());
}

fn write(out: &mut Vec<u8>, id: Option<EventId>, retry: Option<u64>, data: &str) {
    let id = id.map(|id| id.to_string());
    // Our ids are digits and a hyphen, so they can always be written.
    let written = write_event(out, id.as_deref(), retry, data);
    debug_assert!(written.is_ok(), "an event id of ours was refused");
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Self::Whole(bytes) => bytes.take(),
            Self::Events(events) => ready!(events.poll_next(context)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                http_body::SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Events(_) => http_body::SizeHint::default(),
        }
    }
}

impl Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        /// What is ready at once is sent at once, up to this many bytes.
        const TOGETHER: usize = 64 * 1024;
        let mut out = std::mem::take(&mut self.first);
        let mut over = false;
        while out.len() < TOGETHER {
            match self.frames.poll_recv(context) {
                Poll::Ready(Some(frame)) => write_frame(&mut out, &frame),
                Poll::Ready(None) => {
                    over = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        if !out.is_empty() {
            self.keep_alive.reset();
            return Poll::Ready(Some(out.into()));
        }
        if over {
            return Poll::Ready(None);
        }
        // The queue has left word that it will wake us; the clock must too.
        match self.keep_alive.poll_tick(context) {
            Poll::Ready(_) => Poll::Ready(Some(Bytes::from_static(b": \n\n"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn respond(status: StatusCode, kind: Option<&'static str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One message.
pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    respond(status, Some("application/json"), Body::Whole(Some(text.into())))
}

/// A stream.
pub(crate) fn events(events: Events) -> Response<Body> {
    let mut response = respond(StatusCode::OK, Some("text/event-stream"), Body::Events(Box::new(events)));
    // For proxies that would collect a stream before they pass it on.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A status without a body.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    respond(status, None, Body::Whole(None))
}

/// A refusal, in answer to `id`.
pub(crate) fn refused(refusal: &Refusal, id: Option<&Id>) -> Response<Body> {
    let mut response = json(refusal.status(), refusal.body(id));
    if let Some(wait) = refusal.retry_after() {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(1)));
    }
    if refusal.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
    }
    response
}

/// The status of a session's single answer: errors of the server's are answers like any other.
pub(crate) fn session_status(kind: FrameKind) -> StatusCode {
    match kind {
        FrameKind::Message | FrameKind::Result | FrameKind::Error(_) => StatusCode::OK,
        FrameKind::Ended => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The status of an answer of 2026-07-28 (basic/transports/streamable-http, "Error Handling").
pub(crate) fn stateless_status(kind: FrameKind) -> StatusCode {
    match kind {
        FrameKind::Error(-32022..=-32020) => StatusCode::BAD_REQUEST,
        FrameKind::Error(-32601) => StatusCode::NOT_FOUND,
        FrameKind::Message | FrameKind::Result | FrameKind::Error(_) => StatusCode::OK,
        FrameKind::Ended => StatusCode::SERVICE_UNAVAILABLE,
    }
}
