//! One HTTP stream of a session: what was sent on it, what is still to be sent, and who is listening. A client that
//! lost its connection resumes from the last event it saw (2025-11-25, basic/transports, "Resumability and
//! Redelivery"). It must never give an event to two connections at once.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

/// The number of the stream that a GET opens, on which a server speaks unasked.
pub(crate) const LISTENING: u32 = 0;

/// What is sent on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its place, where the stream can be resumed.
    pub(crate) event: Option<EventId>,
    /// One JSON-RPC message.
    pub(crate) data: Bytes,
    /// What the message is.
    pub(crate) kind: FrameKind,
}

/// What a message is to the request that a stream answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A request or a notification of the server's.
    Message,
    /// A result.
    Result,
    /// An error of the server's, with its code.
    Error(i64),
    /// An error of the bridge's own: the server can't answer any more.
    Ended,
}

/// An event's place: stream and position in it, from 1. Position 0 stands before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) stream: u32,
    pub(crate) position: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.stream, self.position)
    }
}

impl EventId {
    /// Reads what [`std::fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, position) = text.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(stream) || !digits(position) {
            return None;
        }
        Some(Self { stream: stream.parse().ok()?, position: position.parse().ok()? })
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// A connection has it.
    Sent,
    /// Nobody listens; it is kept.
    Kept,
    /// The connection did not keep up and was given up. The frame is kept.
    Slow,
}

#[derive(Debug)]
struct Kept {
    position: u64,
    data: Bytes,
    kind: FrameKind,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// Position of the newest event.
    newest: u64,
    /// Position of the newest event that some connection was given.
    given: u64,
    live: Option<mpsc::Sender<Frame>>,
    /// Requests that are to be answered on it.
    pub(super) awaiting: usize,
    /// When the last of them was.
    pub(super) finished: Option<Instant>,
}

impl Stream {
    /// A stream on which so many requests are to be answered.
    pub(super) fn awaiting(requests: usize) -> Self {
        Self { awaiting: requests, ..Self::default() }
    }

    /// Whether a connection listens.
    pub(super) fn is_live(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.is_closed())
    }

    /// The queue of its connection, if nothing more goes in.
    pub(super) fn full(&self) -> Option<mpsc::Sender<Frame>> {
        self.live.clone().filter(|live| live.capacity() == 0)
    }

    /// Bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place before whatever no connection was given yet.
    pub(super) fn here(&self, stream: u32) -> EventId {
        EventId { stream, position: self.given }
    }

    /// Appends, and gives it to the connection if there is one.
    pub(super) fn put(&mut self, stream: u32, data: &Bytes, kind: FrameKind) -> Put {
        self.newest += 1;
        let position = self.newest;
        self.bytes += data.len();
        self.kept.push_back(Kept { position, data: data.clone(), kind });
        let frame = Frame { event: Some(EventId { stream, position }), data: data.clone(), kind };
        match self.live.as_ref().map(|live| live.try_send(frame)) {
            None => Put::Kept,
            Some(Ok(())) => {
                self.given = position;
                Put::Sent
            }
            Some(Err(mpsc::error::TrySendError::Closed(_))) => {
                self.live = None;
                Put::Kept
            }
            Some(Err(mpsc::error::TrySendError::Full(_))) => {
                self.live = None;
                Put::Slow
            }
        }
    }

    /// Forgets the oldest event. The newest is never forgotten before a connection was given it.
    pub(super) fn forget_oldest(&mut self) -> Option<Forgotten> {
        let spare = self.kept.len() > 1 || self.given >= self.newest;
        let kept = if spare { self.kept.pop_front()? } else { return None };
        self.bytes = self.bytes.saturating_sub(kept.data.len());
        Some(if kept.position > self.given { Forgotten::Unseen } else { Forgotten::Seen })
    }

    /// How many events are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Gives what no connection has had to `live`, and what comes.
    pub(super) fn attach(&mut self, stream: u32, live: mpsc::Sender<Frame>) {
        self.resume(stream, self.given, live);
    }

    /// Gives what comes after `position` to `live`, and what comes; an older connection is given up.
    pub(super) fn resume(&mut self, stream: u32, position: u64, live: mpsc::Sender<Frame>) {
        for kept in self.kept.iter().filter(|kept| kept.position > position) {
            let event = Some(EventId { stream, position: kept.position });
            if live.try_send(Frame { event, data: kept.data.clone(), kind: kept.kind }).is_err() {
                // It can come back for the rest.
                self.live = None;
                return;
            }
            self.given = self.given.max(kept.position);
        }
        self.live = if self.finished.is_some() { None } else { Some(live) };
    }

    /// Ends the connection. What is in its queue is still sent.
    pub(super) fn detach(&mut self) {
        self.live = None;
    }
}

/// Whether an event that was forgotten had been given to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgotten {
    Seen,
    Unseen,
}
