//! Whether a long log stays quick: appending, opening, searching and verifying after many records.
//! `cargo bench -p narrows-store --bench long_log [-- RECORDS [DIRECTORY]]`

#![expect(clippy::unwrap_used, reason = "a measurement, which may stop anywhere")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use narrows_core::{
    audit::record_time,
    ports::{AuditLog, LogIndex, Pairing},
};
use narrows_store::{
    Log, LogOptions,
    audit::{Filter, Which, export, search, show, verify},
    key::SigningKey,
};

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const ORIGIN: &str = "narrows.dev/bench/local";

fn main() {
    // `cargo test` builds and runs it too; only `cargo bench` asks for the measurement.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let records: u64 = arguments.first().map_or(1_000_000, |records| records.parse().unwrap());
    let base = arguments.get(1).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(base).unwrap();
    let log = directory.path().join("log");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(fill(&log, records));

    let began = Instant::now();
    let (opened, _) = Log::open(&log, options()).unwrap();
    println!("open: {:?}", began.elapsed());
    runtime.block_on(append(&opened, "at the end"));
    let began = Instant::now();
    runtime.block_on(opened.close()).unwrap();
    println!("close: {:?}", began.elapsed());
    drop(opened);

    let text = |text: &str| Some(text.to_owned());
    let timed = |what: &str, filter: Filter| {
        let began = Instant::now();
        let found = search(&log, &filter, 20).unwrap();
        println!("search {what}: {} found in {:?}", found.len(), began.elapsed());
    };
    timed("newest", Filter::default());
    timed("one subject", Filter { subject: text("user-17@example.com"), ..Filter::default() });
    timed("rare tool", Filter { tool: text("rare-3"), ..Filter::default() });
    timed("one request", Filter { request: text(&id(records / 4)), ..Filter::default() });
    timed("nothing", Filter { subject: text("nobody"), ..Filter::default() });
    let began = Instant::now();
    let shown = show(&log, &Which::Index { writer: None, index: LogIndex(records / 3) }).unwrap();
    println!("show by index: {} in {:?}", shown.is_some(), began.elapsed());

    let verifier = SigningKey::from_pem(KEY).unwrap().verifier(ORIGIN).unwrap();
    let began = Instant::now();
    let report = verify(&log, &verifier).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert!(report.is_sound());
    println!("verify: {:.0} records/s", records as f64 / seconds);
    let out = directory.path().join("export");
    let began = Instant::now();
    export(&log, &out).unwrap();
    println!("export: {:.0} records/s", records as f64 / began.elapsed().as_secs_f64());
    separate(&out, &verifier.to_string(), records);
    println!("memory at most: {}", peak());
}

/// The separate verifier, if it was built.
fn separate(export: &Path, key: &str, records: u64) {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release").join("narrows-verify");
    let began = Instant::now();
    match Command::new(program).args(["--key", key]).arg(export).output() {
        Ok(output) => {
            assert!(output.status.success());
            println!("narrows-verify: {:.0} records/s", records as f64 / began.elapsed().as_secs_f64());
        }
        Err(error) => {
            println!("narrows-verify: not run ({error}); `cargo build --release -p narrows-verify`")
        }
    }
}

fn options() -> LogOptions {
    LogOptions::new("local", ORIGIN, SigningKey::from_pem(KEY).unwrap(), Arc::new(Timestamp::now))
}

fn id(n: u64) -> String {
    format!("019ab000-0000-7000-8000-{n:012x}")
}

fn record(n: u64) -> Vec<u8> {
    let (id, time) = (
        id(n),
        record_time(Timestamp::from_microsecond(1_795_339_800_000_000 + n.cast_signed() * 250).unwrap()),
    );
    let tool =
        if n % 100_000 == 7 { format!("rare-{}", n / 100_000 % 7) } else { format!("tool-{}", n % 12) };
    format!(
        r#"{{"id":"{id}","time":"{time}","kind":"request.admitted","actor":{{"kind":"user","issuer":"https://login.example.com","subject":"user-{}@example.com","groups":["dev","platform"]}},"source":{{"ip":"127.0.0.1","userAgent":"agent/1.0"}},"object":{{"kind":"McpServer","namespace":"dev","name":"files"}},"request":{{"id":"{id}","method":"tools/call","tool":"{tool}","revision":"2025-06-18","argsDigest":"hmac-sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},"decision":{{"effect":"allow","rule":"file-reader/rules[0]","snapshotRevision":"3-9f86d081884c7d65","mode":"enforce"}}}}"#,
        n / 1000 % 50,
    )
    .into_bytes()
}

async fn fill(directory: &Path, records: u64) {
    let (log, _) = Log::open(directory, options()).unwrap();
    append(&log, "at the beginning").await;
    let began = Instant::now();
    let mut n = 0;
    while log.status().records < records {
        let batch: Vec<_> = (0..1000)
            .map(|_| {
                n += 1;
                log.append(Pairing::Intent, record(n))
            })
            .collect();
        for durable in batch {
            let intent = durable.await.unwrap();
            let line = format!(
                r#"{{"id":"{}","time":"2026-11-22T09:30:00.000001Z","kind":"request.completed","intent":{},"outcome":{{"status":"ok","durationMs":1.5,"bytes":321}}}}"#,
                id(intent.0 + (1 << 40)),
                intent.0
            );
            log.append_later(Pairing::Outcome(intent), line.into_bytes()).unwrap();
        }
    }
    println!("{} records in {:?}", log.status().records, began.elapsed());
    log.close().await.unwrap();
}

/// A second of appends, one at a time.
async fn append(log: &Log, when: &str) {
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let before = Instant::now();
        let event = log.append(Pairing::Event, record(0));
        event.await.unwrap();
        times.push(before.elapsed());
    }
    times.sort_unstable();
    println!("append {when}: p50 {:?}", times.get(times.len() / 2).unwrap());
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.trim_start_matches("VmHWM:").trim().to_owned()
}
