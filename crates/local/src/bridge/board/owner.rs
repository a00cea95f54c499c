//! One session on a board: its streams, what the server has asked of its client, and what it has subscribed to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use bytes::Bytes;
use narrows_mcp::envelope::Id;
use tokio::sync::mpsc;

use super::stream::{Forgotten, Frame, FrameKind, LISTENING, Put, Stream};

/// Bytes of events that one session keeps for those who resume.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Requests of the server's that one client has not answered.
pub(super) const MOST_ASKED: usize = 256;

#[derive(Debug)]
pub(super) struct Owner {
    pub(super) streams: BTreeMap<u32, Stream>,
    next_stream: u32,
    /// Ids that the client was given for requests of the server's, and the server's own.
    pub(super) asked: HashMap<u64, Id>,
    next_asked: u64,
    /// URIs that it has subscribed to.
    pub(super) subscribed: BTreeSet<String>,
    /// When the client was last heard of.
    pub(super) used: Instant,
}

impl Owner {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            streams: BTreeMap::from([(LISTENING, Stream::default())]),
            next_stream: LISTENING + 1,
            asked: HashMap::new(),
            next_asked: 1,
            subscribed: BTreeSet::new(),
            used: now,
        }
    }

    /// A new stream, for `awaiting` requests.
    pub(super) fn open_stream(&mut self, awaiting: usize) -> (u32, &mut Stream) {
        let number = self.next_stream;
        // Four thousand million requests in one session would meet their oldest streams, long finished.
        self.next_stream = self.next_stream.checked_add(1).unwrap_or(LISTENING + 1);
        let stream = self.streams.entry(number).or_default();
        *stream = Stream::awaiting(awaiting);
        (number, stream)
    }

    /// The id under which the client is asked what the server asks as `id`. None: too much is open already.
    pub(super) fn ask(&mut self, id: &Id) -> Option<Id> {
        if self.asked.len() >= MOST_ASKED {
            return None;
        }
        let number = self.next_asked;
        self.next_asked += 1;
        self.asked.insert(number, id.clone());
        Some(Id::number(number))
    }

    /// Whether the GET stream has a connection.
    pub(super) fn is_listening(&self) -> bool {
        self.streams.get(&LISTENING).is_some_and(Stream::is_live)
    }

    /// Appends to a stream; with it, how many unseen events were forgotten to make room. None: no such stream.
    pub(super) fn put(
        &mut self,
        number: u32,
        data: &Bytes,
        kind: FrameKind,
        most: usize,
    ) -> Option<(Put, u64)> {
        let stream = self.streams.get_mut(&number)?;
        let put = stream.put(number, data, kind);
        let mut lost = 0;
        while stream.len() > most {
            match stream.forget_oldest() {
                Some(Forgotten::Unseen) => lost += 1,
                Some(Forgotten::Seen) => {}
                None => break,
            }
        }
        Some((put, lost + self.make_room()))
    }

    /// The queue of a stream's connection, if nothing more goes in.
    pub(super) fn full(&self, number: u32) -> Option<mpsc::Sender<Frame>> {
        self.streams.get(&number)?.full()
    }

    fn make_room(&mut self) -> u64 {
        let mut lost = 0;
        let mut total: usize = self.streams.values().map(Stream::bytes).sum();
        // Finished streams go first, oldest first.
        let mut order: Vec<u32> = self.streams.keys().copied().collect();
        order.sort_by_key(|number| self.streams.get(number).is_none_or(|stream| stream.finished.is_none()));
        for number in order {
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            while total > KEPT_BYTES {
                let before = stream.bytes();
                match stream.forget_oldest() {
                    Some(Forgotten::Unseen) => lost += 1,
                    Some(Forgotten::Seen) => {}
                    None => break,
                }
                total = total.saturating_sub(before - stream.bytes());
            }
            if total <= KEPT_BYTES {
                break;
            }
        }
        lost
    }

    /// Forgets streams that were finished long enough ago.
    pub(super) fn forget_finished(&mut self, now: Instant, after: Duration) {
        self.streams.retain(|_, stream| stream.finished.is_none_or(|at| now.duration_since(at) <= after));
    }

    /// Ends every connection.
    pub(super) fn detach(&mut self) {
        for stream in self.streams.values_mut() {
            stream.detach();
        }
    }
}
