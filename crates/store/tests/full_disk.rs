//! A disk that is really full: a limit on the size of files, which every user can set, and a small file system of its
//! own where the kernel lets users mount one. Requests are refused, and the same process goes on when there is room.

#![expect(clippy::unwrap_used, reason = "a test: it may stop anywhere")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use narrows_core::ports::{AppendError, AuditLog, LogIndex, Pairing};
use narrows_store::{
    Log, LogOptions,
    audit::{Filter, search, verify},
    key::SigningKey,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const ORIGIN: &str = "narrows.dev/test/local";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["limit", directory] => fill(Path::new(directory), lift_limit),
        ["mount", directory] => {
            let directory = PathBuf::from(directory);
            let ballast = directory.join("ballast");
            std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
            fill(&directory, || std::fs::remove_file(&ballast).unwrap());
        }
        _ => start(),
    }
}

fn start() {
    let this = std::env::current_exe().unwrap();
    let run = |script: &str, words: &[&str]| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&this).args(words).arg(directory.path());
        command.status().unwrap()
    };
    // A write beyond the limit fails once the signal that would end the process is ignored.
    let status = run(r#"trap "" XFSZ; ulimit -S -f 1500; exec "$0" "$@""#, &["limit"]);
    assert!(status.success(), "under a limit on file size: {status}");

    let probe = r#"unshare --user --map-root-user --mount sh -c 'mount -t tmpfs tmpfs "$0"' "$1" 2>&1"#;
    if !run(probe, &[]).success() {
        println!("not run: a full file system, because users can't mount one here");
        return;
    }
    let script = r#"exec unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=4m tmpfs "$2" && exec "$0" "$@"' "$0" "$@""#;
    let status = run(script, &["mount"]);
    assert!(status.success(), "on a full file system: {status}");
}

fn lift_limit() {
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

fn intent(n: u64) -> Vec<u8> {
    format!(r#"{{"id":"{n}","kind":"request.admitted","filler":"{}"}}"#, "x".repeat(2000)).into_bytes()
}

fn outcome(intent: LogIndex) -> Vec<u8> {
    format!(r#"{{"kind":"request.completed","intent":{},"outcome":{{"status":"ok"}}}}"#, intent.0)
        .into_bytes()
}

/// Appends until it fails, makes room, and goes on.
fn fill(directory: &Path, make_room: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let key = SigningKey::from_pem(KEY).unwrap();
        let verifier = key.verifier(ORIGIN).unwrap();
        let options = LogOptions::new("local", ORIGIN, key, Arc::new(Timestamp::now));
        let (log, _) = Log::open(&directory.join("log"), options).unwrap();
        let mut admitted = Vec::new();
        let refused = loop {
            match log.append(Pairing::Intent, intent(admitted.len() as u64)).await {
                Ok(index) => admitted.push(index),
                Err(error) => break error,
            }
            assert!(admitted.len() < 100_000, "the disk becomes full");
        };
        assert!(matches!(refused, AppendError::Unwritable { .. }), "{refused}");
        println!("after {} records: {refused}", admitted.len());
        assert!(admitted.len() > 100);
        for index in &admitted {
            log.append_later(Pairing::Outcome(*index), outcome(*index)).unwrap();
        }
        for n in 0..50 {
            assert!(log.append(Pairing::Intent, intent(1_000_000 + n)).await.is_err(), "nothing passes");
        }
        make_room();
        let began = Instant::now();
        while log.health().is_err() {
            assert!(began.elapsed() < Duration::from_secs(2), "it goes on within 2 s");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let next = log.append(Pairing::Intent, intent(2_000_000)).await.unwrap();
        log.append(Pairing::Outcome(next), outcome(next)).await.unwrap();
        log.close().await.unwrap();

        let report = verify(&directory.join("log"), &verifier).unwrap();
        assert!(report.is_sound(), "{report:?}");
        let writer = report.writers.first().unwrap();
        assert_eq!((writer.covered, writer.open_intents), (log.status().records, 0));
        let count = |kind: &str| {
            let filter = Filter { kind: Some(kind.to_owned()), ..Filter::default() };
            search(&directory.join("log"), &filter, usize::MAX).unwrap().len()
        };
        assert_eq!(count("request.admitted"), admitted.len() + 1, "what was refused is not there");
        assert_eq!(count("request.completed"), admitted.len() + 1, "no outcome is missing");
        assert!(count("log.recovered") >= 1);
    });
}
