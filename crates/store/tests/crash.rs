//! `kill -9` at any moment: a child process appends from many tasks and writes down each acknowledgement, the parent
//! kills it, opens the log, and compares. Rounds share one log, so each also continues after the crash before.
//!
//! `cargo test -p narrows-store --test crash [-- ROUNDS]`

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: it may stop anywhere")]

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use narrows_core::{
    audit::checkpoint::VerifierKey,
    ports::{AuditLog, LogIndex, Pairing},
};
use narrows_store::{
    Log, LogOptions,
    audit::{Tail, verify},
    key::SigningKey,
};
use serde_json::Value;
use tokio::task::JoinSet;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const ORIGIN: &str = "narrows.dev/test/local";
const TASKS: u64 = 24;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, directory, round] = arguments.as_slice()
        && child == "child"
    {
        return append_until_killed(Path::new(directory), round);
    }
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(20);
    // Not to be repeated exactly anyway, since threads take part.
    let mut random = Timestamp::now().as_nanosecond().cast_unsigned() as u64 | 1;
    let directory = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    for round in 0..rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        run_and_kill(directory.path(), round, Duration::from_micros(random % 250_000));
        known.check(directory.path(), round);
    }
    assert!(known.intents > rounds * 10, "the rounds were long enough to mean something: {known:?}");
    assert!(known.unknown > 0, "some intents were open when the process died: {known:?}");
    println!("{rounds} kills: {known:?}");
}

fn open(directory: &Path) -> (Log, narrows_store::OpenReport) {
    let clock = Arc::new(Timestamp::now);
    let mut options = LogOptions::new("local", ORIGIN, SigningKey::from_pem(KEY).unwrap(), clock);
    options.checkpoint_interval = Duration::from_millis(30);
    options.segment_bytes = 300_000;
    Log::open(&directory.join("log"), options).unwrap()
}

fn append_until_killed(directory: &Path, round: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (log, _) = open(directory);
    let log = Arc::new(log);
    let mut acknowledged = OpenOptions::new();
    let acknowledged =
        Arc::new(acknowledged.create(true).append(true).open(directory.join("acknowledged")).unwrap());
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (log, acknowledged) = (log.clone(), acknowledged.clone());
            let round = round.to_owned();
            tasks.spawn(async move {
                for n in 0_u64.. {
                    let id = format!("{round}-{task}-{n}");
                    let say = |what: &str, index: LogIndex| {
                        // One write, so that lines of several tasks don't mix.
                        let line = format!("{what} {id} {}\n", index.0);
                        (&*acknowledged).write_all(line.as_bytes()).unwrap();
                    };
                    let line = format!(r#"{{"id":"{id}","kind":"request.admitted","request":{{"id":"{id}"}}}}"#);
                    let intent = log.append(Pairing::Intent, line.into_bytes()).await.unwrap();
                    say("intent", intent);
                    let line = format!(
                        r#"{{"id":"{id}-end","kind":"request.completed","intent":{},"outcome":{{"status":"ok"}}}}"#,
                        intent.0
                    );
                    if n % 3 == 0 {
                        log.append_later(Pairing::Outcome(intent), line.into_bytes()).unwrap();
                    } else {
                        let outcome = log.append(Pairing::Outcome(intent), line.into_bytes()).await.unwrap();
                        say("outcome", outcome);
                    }
                }
            });
        }
        tasks.join_next().await
    });
}

fn run_and_kill(directory: &Path, round: u64, after: Duration) {
    let acknowledged = directory.join("acknowledged");
    let size = || std::fs::metadata(&acknowledged).map_or(0, |metadata| metadata.len());
    let before = size();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", directory.to_str().unwrap(), &round.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // Also at once, in the middle of opening, in every fourth round.
    let began = Instant::now();
    while round % 4 != 3 && size() == before {
        assert!(began.elapsed() < Duration::from_secs(60), "the child acknowledges something");
        assert!(child.try_wait().unwrap().is_none(), "the child runs until it is killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What the child wrote down. A line in whose middle it was killed says nothing, and the next begins in its place.
fn whole_lines(path: &Path) -> String {
    let mut text = std::fs::read_to_string(path).unwrap();
    text.truncate(text.rfind('\n').map_or(0, |last| last + 1));
    OpenOptions::new().write(true).open(path).unwrap().set_len(text.len() as u64).unwrap();
    text
}

/// What has been seen in all rounds.
#[derive(Debug, Default)]
struct Known {
    records: u64,
    intents: u64,
    unknown: u64,
    torn: u64,
}

impl Known {
    fn check(&mut self, directory: &Path, round: u64) {
        let began = Instant::now();
        let (log, report) = open(directory);
        let opening = began.elapsed();
        self.torn += u64::from(report.truncated_bytes > 0);
        self.unknown += report.closed_unknown;

        let entries = Tail::open(&directory.join("log"), usize::MAX / 2).unwrap().poll().unwrap();
        let mut records = Vec::new();
        let mut ids = HashMap::new();
        let mut closed = HashMap::new();
        for (n, entry) in (0..).zip(&entries) {
            assert_eq!(entry.index, LogIndex(n), "indexes are dense");
            let record: Value = serde_json::from_str(&entry.line).unwrap();
            let id = record["id"].as_str().unwrap().to_owned();
            assert_eq!(ids.insert(id.clone(), n), None, "{id} is there once");
            if let Some(intent) = record["intent"].as_u64() {
                let status = record["outcome"]["status"].as_str().unwrap().to_owned();
                assert_eq!(closed.insert(intent, status), None, "{intent} is closed once");
            }
            records.push(record);
        }

        // Everything acknowledged, in this and in all earlier rounds, is where it was said to be.
        let acknowledged = whole_lines(&directory.join("acknowledged"));
        self.intents = 0;
        for line in acknowledged.lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let (id, index) = (parts[1], parts[2].parse::<u64>().unwrap());
            let id = if parts[0] == "intent" { id.to_owned() } else { format!("{id}-end") };
            assert_eq!(ids.get(&id), Some(&index), "{line} in round {round}");
            self.intents += u64::from(parts[0] == "intent");
        }

        // Every intent is closed, and those closed by the restart are the report's.
        let mut unknown = 0;
        for (index, record) in (0..).zip(&records) {
            if record["kind"] == "request.admitted" {
                let status: Option<&String> = closed.get(&index);
                assert!(status.is_some(), "{index} is closed in round {round}");
                unknown += u64::from(status.is_some_and(|status| status == "unknown"));
            }
        }
        assert_eq!(unknown, self.unknown);
        self.records = records.len() as u64;
        assert_eq!(log.status().records, self.records);

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(log.close()).unwrap();
        let key: VerifierKey = SigningKey::from_pem(KEY).unwrap().verifier(ORIGIN).unwrap();
        let report = verify(&directory.join("log"), &key).unwrap();
        assert!(report.is_sound(), "round {round}: {:?}", report.writers[0].problems);
        assert_eq!(report.writers[0].covered, self.records);
        assert_eq!(report.writers[0].open_intents, 0);
        assert!(opening < Duration::from_secs(5), "opening took {opening:?}");
    }
}
