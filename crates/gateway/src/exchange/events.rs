//! An event stream on its way through: read event by event, each message relayed, each id sealed, and the whole cut
//! off when the right to it ends. Nothing of the server's framing is copied. Where a server breaks off before its answer,
//! the client gets an error in its place: a connection that just ends looks like a fault of ours, and invites a repetition.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use narrows_egress::Body;
use narrows_mcp::{
    revision::Era,
    sse::{Event, EventParser, write_event},
};
use tokio::time::Instant;

use super::{
    answer::Call,
    relay::{Relay, Relayed},
    tokens::EventMark,
};
use crate::{
    context::Context,
    enforcer::{Ending, OpenCall},
    lease::{self, Ended, Held},
    refusal::Refusal,
    reply::Cut,
    upstream::{Answer, UpstreamFailure},
};

/// Milliseconds after which a listener comes again when the gateway was replaced, and over how many they are spread.
const RETRY: u64 = 500;
const RETRY_SPREAD: u64 = 1500;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// The answer to a request ends it.
    Answer,
    /// It goes on until someone ends it.
    Listen,
}

struct Pump {
    relay: Relay,
    body: Body,
    parser: EventParser,
    pending: VecDeque<Event>,
    lease: Ended,
    open: Option<OpenCall>,
    aim: Aim,
    bytes: u64,
    received: u64,
    resumable: bool,
    ended: bool,
    heard: Instant,
}

/// The body of a stream that answers a request.
pub(super) fn of_call(call: Call, answer: Answer) -> impl http_body::Body<Data = Bytes, Error = Cut> + Send {
    let aim = match call.shape {
        crate::judge::Shape::Listen => Aim::Listen,
        crate::judge::Shape::Plain | crate::judge::Shape::List(_) | crate::judge::Shape::Initialize => {
            Aim::Answer
        }
    };
    let lease = lease::watch(Arc::clone(&call.context), call.held());
    run(Pump::new(relay_of(&call), answer, lease, aim))
}

/// The body of a stream that a client opened with GET.
pub(super) fn of_listener(
    relay: Relay,
    answer: Answer,
    held: Held,
) -> impl http_body::Body<Data = Bytes, Error = Cut> + Send {
    let lease = lease::watch(Arc::clone(&relay.context), held);
    run(Pump::new(relay, answer, lease, Aim::Listen))
}

/// The judge of a call's messages.
pub(super) fn relay_of(call: &Call) -> Relay {
    Relay { context: Arc::clone(&call.context), call: Some(call.mark()), revision: call.revision }
}

fn run(pump: Pump) -> impl http_body::Body<Data = Bytes, Error = Cut> + Send {
    let pieces = stream::unfold(pump, |mut pump| async move { pump.next().await.map(|piece| (piece, pump)) });
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data)))
}

/// Reads a stream to the answer of the call, which must come with nothing before it that the client would miss.
pub(super) async fn read_to_answer(call: &Call, mut body: Body) -> Result<(Vec<u8>, bool), String> {
    let limits = call.context.limits();
    let mut parser = EventParser::new(limits.buffered_bytes);
    let mut events = Vec::new();
    loop {
        let frame = match tokio::time::timeout(limits.upstream_idle_timeout, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_)) | None) => return Err("the stream ended before the answer".to_owned()),
            Err(_) => return Err("the stream stood still".to_owned()),
        };
        let Ok(data) = frame.into_data() else { continue };
        parser.push(&data, &mut events).map_err(|error| error.to_string())?;
        for event in events.drain(..).filter(|event| !event.data.is_empty()) {
            if let Ok(answer) = read_answer(call, event.data.as_bytes()).await {
                return Ok(answer);
            }
        }
    }
}

/// Takes one message as the answer of the call.
pub(super) async fn read_answer(call: &Call, bytes: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    match relay_of(call).message(text).await {
        Ok(Relayed::Last { text, is_error }) => Ok((text, is_error)),
        Ok(Relayed::Pass(_) | Relayed::Drop) => Err("it is not the answer to this request".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Pump {
    fn new(relay: Relay, answer: Answer, lease: Ended, aim: Aim) -> Self {
        let parser = EventParser::new(relay.context.limits().buffered_bytes);
        Self {
            relay,
            body: answer.body,
            parser,
            pending: VecDeque::new(),
            lease,
            open: Some(answer.open),
            aim,
            bytes: 0,
            received: 0,
            resumable: false,
            ended: false,
            heard: Instant::now(),
        }
    }

    /// The next piece for the client.
    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            while let Some(event) = self.pending.pop_front() {
                // A server that always has more to say does not put off the end of the right to hear it.
                if let Poll::Ready(reason) = poll_fn(|task| Poll::Ready(self.lease.as_mut().poll(task))).await
                {
                    return self.cut(Ending::Cancelled(reason));
                }
                match self.event(&event).await {
                    Ok(Some(piece)) => return Some(Ok(piece)),
                    Ok(None) => {}
                    Err(Cut) => return Some(Err(Cut)),
                }
            }
            if self.ended {
                return None;
            }
            let context = Arc::clone(&self.relay.context);
            match self.wait(&context).await {
                Heard::Data(data) => {
                    self.heard = Instant::now();
                    self.received = self.received.saturating_add(data.len() as u64);
                    if self.aim == Aim::Answer && self.received > context.limits().response_bytes {
                        return self.cut(Ending::Error("the server's event stream is too large"));
                    }
                    let mut events = Vec::new();
                    if self.parser.push(&data, &mut events).is_err() {
                        return self.cut(Ending::Error("the server's event stream is malformed"));
                    }
                    self.pending.extend(events);
                }
                Heard::End => return self.end(),
                Heard::Broken => return self.cut(Ending::Error("the server's event stream was cut off")),
                Heard::Withdrawn(reason) => return self.cut(Ending::Cancelled(reason)),
                Heard::Drain => {
                    self.close(Ending::Ok);
                    return self.farewell(&context).map(Ok);
                }
                Heard::Silence => {
                    if self.aim == Aim::Answer
                        && self.heard.elapsed() > context.limits().upstream_idle_timeout
                    {
                        return self.cut(Ending::Error("the server's event stream stood still"));
                    }
                    return Some(Ok(Bytes::from_static(b":\n\n")));
                }
            }
        }
    }

    async fn wait(&mut self, context: &Context) -> Heard {
        let draining = context.gateway.draining();
        let keep_alive: Duration = context.limits().keep_alive;
        tokio::select! {
            biased;
            reason = self.lease.as_mut() => Heard::Withdrawn(reason),
            () = draining.cancelled(), if self.aim == Aim::Listen => Heard::Drain,
            frame = self.body.frame() => match frame {
                Some(Ok(frame)) => frame.into_data().map_or(Heard::Data(Bytes::new()), Heard::Data),
                Some(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(server = %context.server, %error, cause, "the server's event stream broke off");
                    Heard::Broken
                }
                None => Heard::End,
            },
            () = tokio::time::sleep(keep_alive) => Heard::Silence,
        }
    }

    /// One event for the client, if it is to see it.
    async fn event(&mut self, event: &Event) -> Result<Option<Bytes>, Cut> {
        if event.event.as_deref().is_some_and(|kind| kind != "message") {
            return Ok(None);
        }
        let text = if event.data.is_empty() {
            Vec::new()
        } else {
            match self.relay.message(&event.data).await {
                Ok(Relayed::Pass(text)) => text,
                Ok(Relayed::Drop) => return Ok(None),
                Ok(Relayed::Last { text, is_error }) => {
                    self.bytes = self.bytes.saturating_add(text.len() as u64);
                    // Nothing comes after the answer: neither another one nor a question.
                    for _ in self.pending.drain(..) {
                        self.relay.context.gateway.metrics().dropped_message();
                    }
                    let ending = if is_error { Ending::Error("error result") } else { Ending::Ok };
                    self.close(ending);
                    text
                }
                Err(broken) => {
                    tracing::warn!(server = %self.relay.context.server, %broken, "event stream cut off");
                    return self.break_off(Ending::Error("the server broke the protocol")).map(Some);
                }
            }
        };
        let id = event.id.as_deref().filter(|id| !id.is_empty());
        if text.is_empty() && id.is_none() && event.retry.is_none() {
            return Ok(None);
        }
        self.resumable |= id.is_some();
        let sealed = id.map(|id| EventMark::seal(&self.relay.context, id, self.relay.call.as_ref()));
        let mut piece = Vec::with_capacity(text.len() + 128);
        let data = std::str::from_utf8(&text).map_err(|_| Cut)?;
        write_event(&mut piece, sealed.as_deref(), event.retry, data).map_err(|_| Cut)?;
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        Ok(Some(piece.into()))
    }

    /// The last words on a stream that ends because the gateway does: when to come again (2025-11-25, basic/transports:
    /// before a server closes a connection it sends `retry`). All streams end at once, and should not all come back at
    /// once. 2026-07-28 knows no coming back to a stream.
    fn farewell(&self, context: &Context) -> Option<Bytes> {
        let wait = RETRY + context.gateway.next_number().wrapping_mul(7) % RETRY_SPREAD;
        match self.relay.revision.era() {
            Era::Sessions => Some(format!("retry: {wait}\n\n").into()),
            Era::Stateless => None,
        }
    }

    /// The server ended the stream.
    fn end(&mut self) -> Option<Result<Bytes, Cut>> {
        match (self.aim, self.resumable) {
            (Aim::Listen, _) => self.close(Ending::Ok),
            (Aim::Answer, true) => {
                self.close(Ending::Cancelled("the server ended the stream, to be resumed"))
            }
            (Aim::Answer, false) => {
                return self.cut(Ending::Error("the server ended the stream without an answer"));
            }
        }
        None
    }

    fn cut(&mut self, ending: Ending) -> Option<Result<Bytes, Cut>> {
        if self.ended { None } else { Some(self.break_off(ending)) }
    }

    /// Ends it before its time: with an error that answers the call, if it is the server that can't go on and the client
    /// has no means to ask for the rest.
    fn break_off(&mut self, ending: Ending) -> Result<Bytes, Cut> {
        let request_id = self.open.as_ref().map(|open| open.request_id().to_owned());
        self.pending.clear();
        self.close(ending);
        let (Ending::Error(reason), Aim::Answer, false) = (ending, self.aim, self.resumable) else {
            return Err(Cut);
        };
        let (Some(call), Some(request_id)) = (&self.relay.call, request_id) else { return Err(Cut) };
        let failure = UpstreamFailure::Protocol(reason.to_owned());
        let refusal = Refusal::upstream(&self.relay.context, Some(&call.client_id), failure, request_id);
        let message = String::from_utf8(refusal.to_message()).map_err(|_| Cut)?;
        let mut piece = Vec::with_capacity(message.len() + 16);
        write_event(&mut piece, None, None, &message).map_err(|_| Cut)?;
        Ok(piece.into())
    }

    fn close(&mut self, ending: Ending) {
        self.ended = true;
        if let Some(open) = self.open.take() {
            open.close(ending, self.bytes);
        }
    }
}

enum Heard {
    Data(Bytes),
    End,
    Broken,
    Withdrawn(&'static str),
    Drain,
    Silence,
}
