//! Opens a log: claims it, finds its end, closes what a crash left open, and starts the threads. When it is done, the
//! log says itself that it was opened and what was found.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex},
};

use narrows_core::{
    audit::{OutcomeRecord, RecordKind, checkpoint::VerifierKey, record_id, record_time},
    ids::ResourceName,
    ports::{LogIndex, Pairing},
};
use rustix::fs::FlockOperation;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    Log, LogOptions, OpenReport,
    disk::{self, Disk},
    follow::Follower,
    line::Repeated,
    progress::OpenIntents,
    queue::{Batch, Bounds, Queue},
    random,
    read::Cursor,
    recover::{self, Found},
    segment::{Place, Segments},
    shared::Shared,
    write::{self, Writer},
};
use crate::{StoreError, index::Indexer, key};

/// The file of the public key.
pub(crate) const KEY_FILE: &str = "key.vkey";
/// The file of the public key for other tools.
pub(crate) const PEM_FILE: &str = "key.pem";
const LOCK_FILE: &str = "lock";
/// Bytes of closing records that are written at a time.
const CHUNK: usize = 1 << 20;

/// See [`Log::open`].
pub(super) fn open(
    directory: &Path,
    options: LogOptions,
    disk: Box<dyn Disk>,
) -> Result<(Log, OpenReport), StoreError> {
    let name: ResourceName = options
        .writer
        .parse()
        .map_err(|_| StoreError::Key("the log's writer is not a name of letters and digits"))?;
    let directory = &directory.join(name.as_str());
    let verifier = options.key.verifier(&options.origin)?;
    let lock = claim(directory, &verifier)?;
    let found = recover::find(directory, &verifier)?;
    if found.torn > 0 {
        tracing::warn!(bytes = found.torn, "cut an unfinished write off the audit log");
    }
    let end = found.end;
    let mut segments = Segments::open(directory, disk, options.segment_bytes, end.segment, end.offset)
        .map_err(StoreError::io("write", directory))?;
    let (report, open) = write_opening(directory, &options, &found, &mut segments)?;
    start(directory, options, verifier, found, segments, open, lock).map(|log| (log, report))
}

/// Makes the directory, takes its lock, and checks that it is this key's.
fn claim(directory: &Path, verifier: &VerifierKey) -> Result<File, StoreError> {
    let make = || -> io::Result<File> {
        disk::make_directory(directory)?;
        for parent in directory.ancestors().skip(1).take(2) {
            disk::sync_directory(parent)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).open(directory.join(LOCK_FILE))
    };
    let lock = make().map_err(StoreError::io("make", directory))?;
    if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(StoreError::Locked { path: directory.to_owned() });
    }
    let path = directory.join(KEY_FILE);
    let expected = format!("{verifier}\n");
    match std::fs::read_to_string(&path) {
        Ok(found) if found == expected => {}
        Ok(_) => return Err(StoreError::OtherKey { path: directory.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk::replace(directory, PEM_FILE, key::public_pem(verifier).as_bytes())
                .and_then(|()| disk::replace(directory, KEY_FILE, expected.as_bytes()))
                .and_then(|()| disk::sync_directory(directory))
                .map_err(StoreError::io("write", directory))?;
        }
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    }
    Ok(lock)
}

/// Records this opening, then closes each open intent of which it is known what became of it, in order. Returns the
/// report, and the next index with what stays open.
fn write_opening(
    directory: &Path,
    options: &LogOptions,
    found: &Found,
    segments: &mut Segments,
) -> Result<(OpenReport, OpenIntents), StoreError> {
    let wrap = |source| StoreError::io("write", directory)(source);
    let mut known = HashMap::new();
    let mut report =
        OpenReport { records: found.open.position, truncated_bytes: found.torn, ..OpenReport::default() };
    for (intent, place) in &found.open.open {
        match closing(directory, options, &mut known, *intent, *place).map_err(wrap)? {
            Some((Fate::Unknown, _)) => report.closed_unknown += 1,
            Some((Fate::Applied | Fate::Aborted, _)) => report.closed_changes += 1,
            None => {}
        }
    }
    let after = json!({
        "records": report.records,
        "closedUnknown": report.closed_unknown,
        "closedChanges": report.closed_changes,
        "truncatedBytes": report.truncated_bytes,
    });
    let opened = write::note(RecordKind::LogOpened, (options.clock)(), &after).map_err(wrap)?;
    let mut next = found.open.position;
    let mut batch = Batch::default();
    batch.push(Pairing::Event, &opened, None);
    let mut open = BTreeMap::new();
    for (intent, place) in &found.open.open {
        let Some((_, closing)) = closing(directory, options, &mut known, *intent, *place).map_err(wrap)?
        else {
            open.insert(*intent, *place);
            continue;
        };
        batch.push(Pairing::Outcome(LogIndex(*intent)), &closing, None);
        if batch.lines.len() > CHUNK {
            next = write_batch(segments, &mut batch, next).map_err(wrap)?;
        }
    }
    let position = write_batch(segments, &mut batch, next).map_err(wrap)?;
    Ok((report, OpenIntents { position, open }))
}

fn write_batch(segments: &mut Segments, batch: &mut Batch, next: u64) -> io::Result<u64> {
    if batch.records.is_empty() {
        return Ok(next);
    }
    segments.commit(&batch.lines, next)?;
    let after = next + batch.records.len() as u64;
    batch.clear();
    Ok(after)
}

/// The outcome of an intent that a crash left without. It repeats who asked for what, as the intent has it.
#[derive(Serialize)]
struct Closing<'a> {
    id: &'a str,
    time: &'a str,
    kind: RecordKind,
    intent: LogIndex,
    #[serde(flatten)]
    repeated: Repeated<'a>,
    outcome: OutcomeRecord<'a>,
}

/// What became of an intent without outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A call: nobody knows.
    Unknown,
    /// A change that was saved.
    Applied,
    /// A change that was not.
    Aborted,
}

/// None if what became of it can't be known yet. `known` are the changes that were asked about.
fn closing(
    directory: &Path,
    options: &LogOptions,
    known: &mut HashMap<String, Option<bool>>,
    intent: u64,
    place: Place,
) -> io::Result<Option<(Fate, Vec<u8>)>> {
    let now = (options.clock)();
    let mut cursor = Cursor::new(directory, intent, place);
    let line = cursor.next()?;
    let repeated = line.and_then(|line| serde_json::from_slice::<Repeated<'_>>(line.bytes).ok());
    let repeated = repeated.unwrap_or_default();
    let fate = match repeated.change_id() {
        None => Fate::Unknown,
        // Of one change there may be thousands of intents.
        Some(change) => match *known.entry(change).or_insert_with_key(|change| (options.applied)(change)) {
            Some(true) => Fate::Applied,
            Some(false) => Fate::Aborted,
            None => return Ok(None),
        },
    };
    let (kind, status, error) = match fate {
        Fate::Unknown => (RecordKind::RequestCompleted, "unknown", Some("crash")),
        Fate::Applied => (RecordKind::ChangeApplied, "ok", None),
        Fate::Aborted => (RecordKind::ChangeAborted, "error", Some("crash")),
    };
    let closing = Closing {
        id: &record_id(now, random()?),
        time: &record_time(now),
        kind,
        intent: LogIndex(intent),
        repeated,
        outcome: OutcomeRecord { status, error, duration_ms: 0.0, bytes: 0 },
    };
    Ok(Some((fate, serde_json::to_vec(&closing)?)))
}

fn start(
    directory: &Path,
    options: LogOptions,
    verifier: VerifierKey,
    found: Found,
    segments: Segments,
    open: OpenIntents,
    lock: File,
) -> Result<Log, StoreError> {
    let next = open.position;
    let queue = Arc::new(Queue::new(Bounds {
        record_bytes: options.record_bytes,
        waiting: options.waiting_records,
        waiting_bytes: 16 << 20,
        later: options.later_records,
        later_bytes: 32 << 20,
    }));
    let shared = Arc::new(Shared::new(open));
    shared.set_covered(found.covered);
    let writer = Writer::new(
        segments,
        queue.clone(),
        shared.clone(),
        options.clock.clone(),
        next,
        options.retry_interval,
    );
    let follower = Follower {
        directory: directory.to_owned(),
        shared: shared.clone(),
        key: options.key.clone(),
        verifier,
        cursor: Cursor::new(directory, found.tiles.size(), found.end),
        tiles: found.tiles,
        history: found.history,
        published: found.covered,
        noted: None,
        interval: options.checkpoint_interval,
    };
    let indexer = Indexer { directory: directory.to_owned(), shared: shared.clone() };
    let (alive, ended) = mpsc::channel(1);
    let threads = (|| {
        Ok(vec![
            spawn("log-write", alive.clone(), move || writer.run())?,
            spawn("log-follow", alive.clone(), move || follower.run())?,
            spawn("log-index", alive, move || indexer.run())?,
        ])
    })();
    // Without all of them there is no log; those that began end with the queue.
    let threads = threads.inspect_err(|_| queue.close())?;
    Ok(Log {
        queue,
        shared,
        threads: Mutex::new(threads),
        ended: Mutex::new(Some(ended)),
        close_deadline: options.close_deadline,
        lock: Mutex::new(Some(lock)),
    })
}

/// A named thread that holds on to `alive` until it ends.
fn spawn(
    name: &str,
    alive: mpsc::Sender<std::convert::Infallible>,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, StoreError> {
    let run = move || {
        let _alive = alive;
        body();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|_| StoreError::System("thread"))
}
