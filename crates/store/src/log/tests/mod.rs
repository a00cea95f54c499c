//! The writing side as a whole, on real files; failures through a disk that fails as it is told.

mod failing;
mod reopening;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

use narrows_core::ports::LogIndex;
use serde_json::{Value, json};

use super::{
    faults::FaultyDisk,
    read::Cursor,
    segment::{file_name, list},
    *,
};

/// RFC 8032's first test key, in PKCS#8.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

fn clock() -> Clock {
    let micros = AtomicI64::new(1_795_339_800_000_000);
    Arc::new(move || jiff::Timestamp::from_microsecond(micros.fetch_add(1000, Ordering::Relaxed)).unwrap())
}

fn options() -> LogOptions {
    let key = SigningKey::from_pem(KEY).unwrap();
    let mut options = LogOptions::new("local", "narrows.dev/test/local", key, clock());
    options.checkpoint_interval = Duration::from_millis(20);
    options.retry_interval = Duration::from_millis(50);
    options
}

fn open(directory: &Path) -> (Log, OpenReport) {
    Log::open(directory, options()).unwrap()
}

fn open_on(directory: &Path, disk: &FaultyDisk, options: LogOptions) -> Log {
    super::open::open(directory, options, Box::new(disk.clone())).unwrap().0
}

fn writer(directory: &Path) -> PathBuf {
    directory.join("local")
}

fn intent(n: u64) -> Vec<u8> {
    json!({
        "id": format!("intent-{n}"), "kind": "request.admitted", "actor": { "subject": "alice" },
        "request": { "id": format!("request-{n}"), "tool": "read_file" }, "outer": 1,
    })
    .to_string()
    .into_bytes()
}

fn outcome(intent: LogIndex) -> Vec<u8> {
    json!({ "kind": "request.completed", "intent": intent, "outcome": { "status": "ok" } })
        .to_string()
        .into_bytes()
}

fn event(n: u64) -> Vec<u8> {
    json!({ "id": format!("event-{n}"), "kind": "request.denied" }).to_string().into_bytes()
}

/// All records, from the files alone; their indexes are checked by the reader's way of moving between segments.
fn records(directory: &Path) -> Vec<Value> {
    let directory = writer(directory);
    let mut cursor = Cursor::at_segment(&directory, 0);
    let mut found = Vec::new();
    while let Some(line) = cursor.next().unwrap() {
        assert_eq!(line.index, found.len() as u64);
        found.push(serde_json::from_slice(line.bytes).unwrap());
    }
    let last = list(&directory).unwrap().last().copied().unwrap();
    assert_eq!(cursor.place().segment, last, "all segments were read");
    found
}

fn kinds(directory: &Path) -> Vec<String> {
    records(directory).iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn records_are_dense_durable_and_covered() {
    let directory = tempfile::tempdir().unwrap();
    let (log, report) = open(directory.path());
    assert_eq!(report, OpenReport::default());
    let mut expected = 1;
    for n in 0..50 {
        let index = log.append(Pairing::Intent, intent(n)).await.unwrap();
        assert_eq!(index, LogIndex(expected));
        log.append_later(Pairing::Outcome(index), outcome(index)).unwrap();
        expected += 2;
    }
    assert_eq!(log.health(), Ok(()));
    log.close().await.unwrap();
    assert_eq!(log.status(), LogStatus { records: 101, covered: 101, open_intents: 0 });
    assert_eq!(log.append(Pairing::Event, event(0)).await, Err(AppendError::Closed));
    assert_eq!(log.append_later(Pairing::Event, event(0)), Err(AppendError::Closed));
    assert_eq!(records(directory.path()).len(), 101);
}

#[tokio::test]
async fn appends_in_flight_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(directory.path(), &disk, options());
    disk.faults().hang = Duration::from_millis(20);
    let before = disk.faults().syncs;
    let appended: Vec<_> = (0..256).map(|n| log.append(Pairing::Event, event(n))).collect();
    let mut indexes = Vec::new();
    for durable in appended {
        indexes.push(durable.await.unwrap().0);
    }
    assert_eq!(indexes, (1..257).collect::<Vec<_>>());
    assert!(disk.faults().syncs - before <= 3, "{} syncs", disk.faults().syncs - before);
}

#[tokio::test]
async fn what_is_no_record_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    options.record_bytes = 100;
    let (log, _) = Log::open(directory.path(), options).unwrap();
    let check = async |line: &[u8], expected: &str| {
        let error = log.append(Pairing::Event, line.to_vec()).await.unwrap_err();
        assert_eq!(log.append_later(Pairing::Event, line.to_vec()), Err(error.clone()));
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"", "not one line").await;
    check(b"{}\n{}", "not one line").await;
    check(b"{\0}", "not one line").await;
    check(&[b'x'; 101], "has 101 bytes, more than the 100").await;
    log.close().await.unwrap();
    assert_eq!(kinds(directory.path()), ["log.opened"]);
}

#[tokio::test]
async fn segments_follow_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    options.segment_bytes = 2000;
    let (log, _) = Log::open(directory.path(), options.clone()).unwrap();
    for n in 0..200 {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    log.close().await.unwrap();
    let segments = list(&writer(directory.path())).unwrap();
    assert!(segments.len() > 4, "{segments:?}");
    assert_eq!(records(directory.path()).len(), 201);
    for first in segments {
        let bytes = std::fs::read(writer(directory.path()).join(file_name(first))).unwrap();
        assert!(bytes.ends_with(b"\n") && !bytes.contains(&0), "segment {first} ends with its last record");
    }
    let (_, report) = Log::open(directory.path(), options).unwrap();
    assert_eq!(report.records, 201);
}

#[tokio::test]
async fn only_one_process_writes() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    let error = Log::open(directory.path(), options()).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    log.close().await.unwrap();
    drop(log);
    open(directory.path());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Log::open(&file, options()).err().unwrap();
    assert!(
        matches!(&error, StoreError::Io { action: "make", path, .. } if path == &file.join("local")),
        "{error:?}"
    );
    let mut named = options();
    named.writer = "../up".to_owned();
    assert!(Log::open(directory.path(), named).is_err());
    named = options();
    named.origin = "two words".to_owned();
    assert!(Log::open(directory.path(), named).is_err());
}
