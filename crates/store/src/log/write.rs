//! The thread that writes. Everything queued goes to the disk in one write and one sync, then all who wait are told.
//! A record is never acknowledged before it is durable, and an intent that could not be written is never written
//! later: the request that it belongs to was refused. Outcomes are kept and written when the disk takes them again.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use narrows_core::{
    audit::{Actor, Record, RecordKind, record_id, record_time},
    ports::{AppendError, LogIndex, Pairing},
};
use serde_json::json;

use super::{
    Clock,
    queue::{Batch, Queue, Taken},
    random,
    segment::Segments,
    shared::Shared,
    wait::Bells,
};

/// Bytes of kept outcomes that are written at a time.
const CHUNK: usize = 1 << 20;
/// Time from one sync to the next for each call in progress: where many are, the next batch is let grow, since a sync
/// for every few of them takes more of the processor than it gives back in time. A call that is alone never waits.
const GAP: Duration = Duration::from_micros(30);
/// The longest such time.
const LONGEST_GAP: Duration = Duration::from_millis(1);
/// More calls in progress than these make no difference.
const MOST: usize = 34;
/// Calls in progress are looked for among so many last records, of a time between this and twice this; what began
/// before them is a stream.
const RECENT: u64 = 1024;
const RECENTLY: Duration = Duration::from_millis(100);

/// Records after which the followers are woken.
pub(crate) const MANY: u64 = 1000;

/// The actor of the log's own records.
pub(crate) const SYSTEM: Actor<'static> =
    Actor { kind: "system", issuer: "", subject: "narrows", on_behalf_of: None, groups: &[] };

/// A time in which the disk did not take records.
struct Outage {
    since: String,
    reason: Arc<str>,
    refused: u64,
}

/// However the writer ends: nobody is left waiting for it.
struct Farewell {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.queue.abandon();
        self.shared.end();
    }
}

/// The writer.
pub(crate) struct Writer {
    segments: Segments,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    clock: Clock,
    next: u64,
    retry: Duration,
    kept: VecDeque<(Pairing, Vec<u8>)>,
    outage: Option<Outage>,
    /// When the next batch may be taken though it could grow.
    not_before: Instant,
    recent: Recent,
}

/// Where the log ended some time ago.
struct Recent {
    since: Instant,
    then: u64,
    before: u64,
}

impl Recent {
    /// The first record that is recent, of a log that ends here.
    fn first(&mut self, now: Instant, end: u64) -> u64 {
        if now.duration_since(self.since) >= RECENTLY {
            *self = Self { since: now, then: end, before: self.then };
        }
        self.before.max(end.saturating_sub(RECENT))
    }
}

impl Writer {
    /// A writer whose next record is `next` and which tries a disk that failed every `retry`.
    pub(crate) fn new(
        segments: Segments,
        queue: Arc<Queue>,
        shared: Arc<Shared>,
        clock: Clock,
        next: u64,
        retry: Duration,
    ) -> Self {
        Self {
            segments,
            queue,
            shared,
            clock,
            next,
            retry,
            kept: VecDeque::new(),
            outage: None,
            not_before: Instant::now(),
            recent: Recent { since: Instant::now(), then: next, before: next },
        }
    }

    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _farewell = Farewell { queue: self.queue.clone(), shared: self.shared.clone() };
        let mut batch = Batch::default();
        loop {
            let patience = self.outage.as_ref().map(|_| self.retry);
            match self.queue.take(&mut batch, patience, self.not_before) {
                Taken::Records => self.write(&mut batch),
                Taken::Nothing => drop(self.recover()),
                Taken::Closed => break,
            }
        }
        if self.outage.is_some() && self.recover().is_err() {
            tracing::error!(outcomes = self.kept.len(), "the audit log ends without these outcomes");
        }
        if let Err(error) = self.segments.seal() {
            tracing::warn!(%error, "cannot cut the audit log's segment to its length");
        }
    }

    fn write(&mut self, batch: &mut Batch) {
        let written = self.recover().and_then(|()| self.commit(batch));
        match written {
            Ok(first) => self.acknowledge(first, batch),
            Err(reason) => self.refuse(&reason, batch),
        }
        batch.clear();
    }

    /// Makes a batch durable and returns its first index.
    fn commit(&mut self, batch: &Batch) -> Result<u64, Arc<str>> {
        let began = Instant::now();
        self.shared.busy();
        let committed = self.segments.commit(&batch.lines, self.next);
        self.shared.idle();
        let mut place = committed.map_err(|error| self.failed(&error))?;
        let mut open = self.shared.open();
        for record in &batch.records {
            open.apply(record.pairing, place);
            place.offset += record.length as u64 + 1;
        }
        let recent = self.recent.first(began, open.position);
        let in_progress = open.open.range(recent..).take(MOST).count();
        drop(open);
        self.not_before = began + LONGEST_GAP.min(GAP * u32::try_from(in_progress).unwrap_or(0));
        let first = self.next;
        self.next += batch.records.len() as u64;
        self.shared.set_durable(self.next, MANY);
        Ok(first)
    }

    fn acknowledge(&mut self, first: u64, batch: &mut Batch) {
        let (mut settled, mut bytes) = (0, 0);
        let mut bells = Bells::default();
        for (index, record) in (first..).zip(batch.records.drain(..)) {
            match record.done {
                Some(done) => bells.say(done, Ok(LogIndex(index))),
                None => {
                    settled += 1;
                    bytes += record.length;
                }
            }
        }
        drop(bells);
        self.queue.settled(settled, bytes);
    }

    fn refuse(&mut self, reason: &Arc<str>, batch: &mut Batch) {
        let mut rest = batch.lines.as_slice();
        let mut bells = Bells::default();
        for record in batch.records.drain(..) {
            let (line, after) = rest.split_at_checked(record.length).unwrap_or((rest, &[]));
            rest = after.get(1..).unwrap_or_default();
            match record.done {
                Some(done) => {
                    if let Some(outage) = &mut self.outage {
                        outage.refused += 1;
                    }
                    bells.say(done, Err(AppendError::Unwritable { reason: reason.clone() }));
                }
                None => self.kept.push_back((record.pairing, line.to_vec())),
            }
        }
        drop(bells);
    }

    fn failed(&mut self, error: &io::Error) -> Arc<str> {
        let reason: Arc<str> = error.to_string().into();
        if self.outage.is_none() {
            tracing::error!(%error, "the audit log can't be written; requests are refused until it can");
        }
        let since = || record_time((self.clock)());
        let outage =
            self.outage.get_or_insert_with(|| Outage { since: since(), reason: reason.clone(), refused: 0 });
        outage.reason = reason.clone();
        self.shared.set_failure(Some(&reason));
        reason
    }

    /// After an outage: records it, which is also the test whether the disk works, then writes what was kept.
    fn recover(&mut self) -> Result<(), Arc<str>> {
        let Some(outage) = &self.outage else { return Ok(()) };
        let note = recovery(outage, (self.clock)()).map_err(|error| Arc::from(error.to_string()))?;
        let mut batch = Batch::default();
        batch.push(Pairing::Event, &note, None);
        self.commit(&batch)?;
        // The note is durable, so it is not to be repeated, whatever happens to what was kept.
        if let Some(outage) = &mut self.outage {
            outage.refused = 0;
        }
        while !self.kept.is_empty() {
            batch.clear();
            fill(&mut batch, &self.kept);
            let first = self.commit(&batch)?;
            self.kept.drain(..batch.records.len());
            self.acknowledge(first, &mut batch);
        }
        self.outage = None;
        self.shared.set_failure(None);
        tracing::info!("the audit log is written again");
        Ok(())
    }
}

/// As many records as are written at a time, at least one.
fn fill(batch: &mut Batch, kept: &VecDeque<(Pairing, Vec<u8>)>) {
    for (pairing, line) in kept {
        if !batch.records.is_empty() && batch.lines.len() + line.len() > CHUNK {
            return;
        }
        batch.push(*pairing, line, None);
    }
}

fn recovery(outage: &Outage, now: jiff::Timestamp) -> io::Result<Vec<u8>> {
    let after = json!({ "since": outage.since, "reason": &*outage.reason, "refused": outage.refused });
    note(RecordKind::LogRecovered, now, &after)
}

/// A record of the log about itself.
pub(crate) fn note(kind: RecordKind, now: jiff::Timestamp, after: &serde_json::Value) -> io::Result<Vec<u8>> {
    let (id, time) = (record_id(now, random()?), record_time(now));
    let record = Record { actor: Some(SYSTEM), after: Some(after), ..Record::new(kind, &id, &time) };
    Ok(record.encode()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_long_ago_is_a_stream() {
        let begin = Instant::now();
        let mut recent = Recent { since: begin, then: 10, before: 10 };
        let mut check = |millis, end, expected| {
            assert_eq!(
                recent.first(begin + Duration::from_millis(millis), end),
                expected,
                "after {millis} ms"
            );
        };
        check(99, 20, 10);
        check(100, 30, 10);
        check(199, 40, 10);
        check(200, 50, 30);
        check(210, 5000, 5000 - RECENT);
        check(900, 5000, 5000 - RECENT);
        check(1000, 5001, 5000);
    }
}
