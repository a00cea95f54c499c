//! How fast records become durable, beside what the disk itself takes. Prints one line for each number of waiters.
//! `cargo bench -p narrows-store --bench append [-- DIRECTORY]`; the directory chooses the disk.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement, which may stop anywhere")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use narrows_core::ports::{AuditLog, Pairing};
use narrows_store::{Log, LogOptions, key::SigningKey};
use tokio::task::JoinSet;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const TIME: Duration = Duration::from_secs(4);

fn main() {
    // `cargo test` builds and runs it too; only `cargo bench` asks for the measurement.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let base = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let base = base.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    println!(
        "waiters  calls/s  records/s  p50 us  p99 us  cpu us/record  not covered  fdatasync p50/p99 us beside"
    );
    for waiters in [1, 8, 64, 512] {
        let directory = tempfile::tempdir_in(&base).unwrap();
        let (p50, p99) = fdatasync(directory.path());
        run(directory.path(), waiters, p50, p99);
    }
}

/// What an intent looks like: about 600 bytes.
fn record(n: u64) -> Vec<u8> {
    let id = format!("019ab000-0000-7000-8000-{n:012x}");
    format!(
        r#"{{"id":"{id}","time":"2026-11-22T09:30:00.000001Z","kind":"request.admitted","actor":{{"kind":"user","issuer":"https://login.example.com","subject":"alice@example.com","groups":["dev","platform"]}},"source":{{"ip":"127.0.0.1","userAgent":"agent/1.0"}},"object":{{"kind":"McpServer","namespace":"dev","name":"files"}},"request":{{"id":"{id}","method":"tools/call","tool":"read_file","revision":"2025-06-18","argsDigest":"hmac-sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},"decision":{{"effect":"allow","rule":"file-reader/rules[0]","snapshotRevision":"3-9f86d081884c7d65","mode":"enforce"}}}}"#
    )
    .into_bytes()
}

fn fdatasync(directory: &Path) -> (u128, u128) {
    let file = File::create(directory.join("beside")).unwrap();
    let line = record(0);
    let mut times = Vec::new();
    for n in 0..500 {
        let began = Instant::now();
        file.write_all_at(&line, n * line.len() as u64).unwrap();
        file.sync_data().unwrap();
        times.push(began.elapsed());
    }
    percentiles(&mut times)
}

fn percentiles(times: &mut [Duration]) -> (u128, u128) {
    times.sort_unstable();
    (times[times.len() / 2].as_micros(), times[times.len() * 99 / 100].as_micros())
}

/// Processor time of this process so far, in microseconds.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
}

fn run(directory: &Path, waiters: u64, sync_p50: u128, sync_p99: u128) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    let options =
        LogOptions::new("local", "narrows.dev/bench/local", SigningKey::from_pem(KEY).unwrap(), clock);
    let (log, _) = Log::open(&directory.join("log"), options).unwrap();
    let log = Arc::new(log);
    let (cpu_before, began) = (cpu(), Instant::now());
    let mut times = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for waiter in 0..waiters {
            let log = log.clone();
            tasks.spawn(async move {
                let mut times = Vec::new();
                while began.elapsed() < TIME {
                    let line = record(waiter);
                    let before = Instant::now();
                    let index = log.append(Pairing::Intent, line).await.unwrap();
                    times.push(before.elapsed());
                    let line = format!(r#"{{"id":"019ab000-0000-7000-8000-{:012x}","time":"2026-11-22T09:30:00.000001Z","kind":"request.completed","intent":{},"outcome":{{"status":"ok","durationMs":1.5,"bytes":321}}}}"#, index.0, index.0);
                    log.append_later(Pairing::Outcome(index), line.into_bytes()).unwrap();
                }
                times
            });
        }
        let mut all = Vec::new();
        while let Some(times) = tasks.join_next().await {
            all.extend(times.unwrap());
        }
        all
    });
    let seconds = began.elapsed().as_secs_f64();
    let lag = log.status();
    runtime.block_on(log.close()).unwrap();
    let records = log.status().records as f64;
    let (p50, p99) = percentiles(&mut times);
    println!(
        "{waiters:7}  {:7.0}  {:9.0}  {p50:6}  {p99:6}  {:13.1}  {:11}  {sync_p50}/{sync_p99}",
        times.len() as f64 / seconds,
        records / seconds,
        (cpu() - cpu_before) as f64 / records,
        lag.records - lag.covered,
    );
}
