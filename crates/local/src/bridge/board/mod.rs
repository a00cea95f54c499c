//! Who asked what, and where an answer goes: the switchboard of one process. Every request gets an id of our own on its
//! way to the server, and its own back on the way to the client; a message of the server's goes to exactly one stream,
//! or to none and is counted. Pure but for the queues it puts messages into: it never waits, and never reads a clock.
//!
//! Standard input and output have no streams, so the board decides what HTTP would have shown: progress goes to the
//! request that it names; requests and other notifications of the server's go to the newest request in flight of the
//! session, else to the stream that its GET opened; changes of lists and resources go to the GET stream first.

mod client;
mod owner;
mod server;
mod stream;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use narrows_core::resource::Sessions;
use narrows_mcp::envelope::{Id, error_bytes};
use tokio::sync::mpsc;

pub(crate) use stream::{EventId, Frame, FrameKind, LISTENING};

use self::{owner::Owner, stream::Put};
use super::{Caps, annotated::Annotated, counts::Counts, outbox::Outbox, refusal::Refusal};

/// A stream of a session that is finished can be resumed for this long.
const RESUMABLE: Duration = Duration::from_secs(60);
/// A request that its client cancelled is given up if the server has not answered after this.
const CANCELLED: Duration = Duration::from_secs(10);

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum OwnerKey {
    /// A session's.
    Session(u64),
    /// A principal's, without session.
    Principal(Arc<str>),
    /// The bridge's own.
    Bridge,
}

/// Where the answer to a request goes.
#[derive(Debug)]
enum Reply {
    /// To a stream of its session.
    Stream(u32),
    /// To a connection, which is lost if it breaks.
    Direct(mpsc::Sender<Frame>),
    /// Nowhere.
    Nobody,
}

/// What a request is, where the board has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Any other.
    Plain,
    /// `subscriptions/listen`: messages that carry its id belong to its stream.
    Listen,
    /// Of 2026-07-28, and asks for log messages.
    Logging,
    /// `tools/list` of 2026-07-28.
    Tools,
    /// `resources/subscribe` to this URI.
    Subscribe(String),
}

#[derive(Debug)]
struct Pending {
    client: Id,
    owner: OwnerKey,
    reply: Reply,
    /// The client's progress token, as it wrote it.
    token: Option<String>,
    kind: Kind,
    cancelled: Option<Instant>,
}

/// The switchboard of one process.
#[derive(Debug)]
pub(crate) struct Board {
    sharing: Sessions,
    caps: Caps,
    out: Outbox,
    counts: Arc<Counts>,
    next_request: u64,
    next_session: u64,
    pending: BTreeMap<u64, Pending>,
    sessions: HashMap<u64, Owner>,
    /// What requests of 2026-07-28 must say in headers.
    pub(crate) annotated: Annotated,
    /// When something was last asked.
    used: Instant,
    /// Whether the server has ever sent a message that could be understood.
    spoken: bool,
    /// Why the process is gone.
    ended: Option<Arc<str>>,
    /// Queues to connections that the last message filled up.
    congested: Vec<mpsc::Sender<Frame>>,
}

impl Board {
    /// A board for a process that was just started.
    pub(crate) fn new(sharing: Sessions, caps: Caps, out: Outbox, counts: Arc<Counts>, now: Instant) -> Self {
        Self {
            sharing,
            caps,
            out,
            counts,
            next_request: 1,
            next_session: 1,
            pending: BTreeMap::new(),
            sessions: HashMap::new(),
            annotated: Annotated::default(),
            used: now,
            spoken: false,
            ended: None,
            congested: Vec::new(),
        }
    }

    /// Whether the server has ever sent a message that could be understood.
    pub(crate) fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// Sessions that are open.
    pub(crate) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Requests that are not answered.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Since when nobody has had anything to do with this process; none while somebody has.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.pending.is_empty() && self.sessions.is_empty()).then_some(self.used)
    }

    /// Since when nobody has used a session; none while somebody does, or if there is no such.
    pub(crate) fn unused_since(&self, key: u64) -> Option<Instant> {
        let owner = self.sessions.get(&key)?;
        let waiting = self.pending.values().any(|pending| pending.owner == OwnerKey::Session(key));
        (!waiting && !owner.is_listening()).then_some(owner.used)
    }

    /// Queues to connections that are full since this was last asked. Whoever brings messages waits for them a little, so
    /// that a burst is not taken for a client that does not read.
    pub(crate) fn take_congested(&mut self) -> Vec<mpsc::Sender<Frame>> {
        std::mem::take(&mut self.congested)
    }

    /// The process is gone: everyone who waits is told why, and every stream ends.
    pub(crate) fn end(&mut self, reason: &Arc<str>, now: Instant) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(Arc::clone(reason));
        for (_, pending) in std::mem::take(&mut self.pending) {
            let text = error_bytes(Some(&pending.client), Refusal::UNAVAILABLE, reason, None);
            self.answer(pending, &Bytes::from(text), FrameKind::Ended, now);
        }
        for owner in self.sessions.values_mut() {
            owner.detach();
        }
        self.sessions.clear();
    }

    /// What time brings: requests cancelled long ago are given up, finished streams forgotten. Returns sessions that
    /// nobody has used since `idle` ago.
    pub(crate) fn sweep(&mut self, now: Instant, idle: Duration) -> Vec<u64> {
        let late = |pending: &Pending| pending.cancelled.is_some_and(|at| now.duration_since(at) > CANCELLED);
        let given_up: Vec<u64> = self.pending.iter().filter(|(_, p)| late(p)).map(|(id, _)| *id).collect();
        for id in given_up {
            if let Some(pending) = self.pending.remove(&id) {
                self.close_reply(&pending, now);
            }
        }
        for owner in self.sessions.values_mut() {
            owner.forget_finished(now, RESUMABLE);
        }
        let long = |since: Instant| now.duration_since(since) > idle;
        self.sessions.keys().copied().filter(|key| self.unused_since(*key).is_some_and(long)).collect()
    }

    /// Puts the answer where it is waited for, and ends that wait.
    fn answer(&mut self, pending: Pending, data: &Bytes, kind: FrameKind, now: Instant) {
        match &pending.reply {
            Reply::Direct(to) => {
                if to.try_send(Frame { event: None, data: data.clone(), kind }).is_err() {
                    self.counts.slow.add();
                }
            }
            Reply::Stream(stream) => {
                self.put(&pending.owner, *stream, data, kind);
                self.close_reply(&pending, now);
            }
            Reply::Nobody => {}
        }
    }

    /// One request fewer to be answered on its stream; the last one ends it.
    fn close_reply(&mut self, pending: &Pending, now: Instant) {
        if let (OwnerKey::Session(key), Reply::Stream(stream)) = (&pending.owner, &pending.reply)
            && let Some(stream) = self.sessions.get_mut(key).and_then(|owner| owner.streams.get_mut(stream))
        {
            stream.awaiting = stream.awaiting.saturating_sub(1);
            if stream.awaiting == 0 {
                stream.finished = Some(now);
                stream.detach();
            }
        }
    }

    fn put(&mut self, owner: &OwnerKey, stream: u32, data: &Bytes, kind: FrameKind) {
        let OwnerKey::Session(key) = owner else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        match session.put(stream, data, kind, self.caps.queue) {
            Some((put, lost)) => {
                if put == Put::Slow {
                    self.counts.slow.add();
                }
                self.counts.overflown.add_many(lost);
            }
            None => self.counts.late.add(),
        }
        // An answer ends its stream: nothing comes after it that room would be needed for.
        if kind == FrameKind::Message {
            self.congested.extend(session.full(stream));
        }
    }
}

#[cfg(test)]
mod tests;
