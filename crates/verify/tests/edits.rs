//! Logs that the store wrote, then edits of them: this program and the store's own check must refuse each. They share
//! no code, so what both accept is not one mistake made twice.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, OnceLock},
    time::Duration,
};

use narrows_core::{
    audit::checkpoint::VerifierKey,
    ports::{AuditLog, LogIndex, Pairing},
};
use narrows_store::{Log, LogOptions, audit, key::SigningKey};
use proptest::prelude::*;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const OTHER: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5b7kdEMpbbLzB1yVTnV/PL9hLdXuYmz6RqP
-----END PRIVATE KEY-----
";
const ORIGIN: &str = "narrows.dev/test/local";

fn verifier(pem: &str) -> VerifierKey {
    SigningKey::from_pem(pem).unwrap().verifier(ORIGIN).unwrap()
}

/// A log's directory, an export of it, and an earlier export.
struct Written {
    _directory: tempfile::TempDir,
    log: PathBuf,
    export: PathBuf,
    earlier: PathBuf,
}

fn write(pem: &str) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let log_path = directory.path().join("log");
    let clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    let mut options = LogOptions::new("local", ORIGIN, SigningKey::from_pem(pem).unwrap(), clock);
    options.segment_bytes = 4000;
    options.checkpoint_interval = Duration::from_millis(10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (export, earlier) = (directory.path().join("export"), directory.path().join("earlier"));
    runtime.block_on(async {
        let (log, _) = Log::open(&log_path, options).unwrap();
        for round in 0..3_u64 {
            for n in 0..30_u64 {
                let line = format!(r#"{{"id":"{round}-{n}","kind":"request.admitted","tool":"read_file"}}"#);
                let intent = log.append(Pairing::Intent, line.into_bytes()).await.unwrap();
                let LogIndex(index) = intent;
                let line =
                    format!(r#"{{"kind":"request.completed","intent":{index},"outcome":{{"status":"ok"}}}}"#);
                log.append_later(Pairing::Outcome(intent), line.into_bytes()).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if round == 1 {
                while log.status().covered < log.status().records {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                audit::export(&log_path, &earlier).unwrap();
            }
        }
        log.close().await.unwrap();
    });
    audit::export(&log_path, &export).unwrap();
    Written { log: log_path, export, earlier, _directory: directory }
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| write(KEY))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_narrows-verify")).args(arguments).output().unwrap()
}

/// The exit status for a directory, under the log's true key.
fn status(directory: &Path, more: &[&str]) -> i32 {
    let key = verifier(KEY).to_string();
    let mut arguments = vec!["--key", &key, directory.to_str().unwrap()];
    arguments.extend(more);
    run(&arguments).status.code().unwrap()
}

/// Copies what is evidence. The search index is not, and its helper files come and go while another test reads it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("index.db") {
            continue;
        }
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Both checks of an edited copy; an export is checked by this program alone.
fn both_refuse(original: &Path, edit: impl FnOnce(&Path)) {
    let place = tempfile::tempdir().unwrap();
    let copied = place.path().join("copy");
    copy(original, &copied);
    edit(&copied.join("local"));
    assert_eq!(status(&copied, &[]), 1);
    if copied.join("local/records.jsonl").exists() {
        return;
    }
    assert!(audit::verify(&copied, &verifier(KEY)).is_ok_and(|report| !report.is_sound()));
}

fn first_segment(log: &Path) -> PathBuf {
    log.join("segment-00000000000000000000.jsonl")
}

#[test]
fn what_was_written_is_accepted() {
    let written = written();
    for directory in [&written.log, &written.export, &written.earlier, &written.export.join("local")] {
        let output = run(&["--key", &verifier(KEY).to_string(), directory.to_str().unwrap()]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.starts_with("OK: "), "{said}");
    }
    assert!(audit::verify(&written.log, &verifier(KEY)).unwrap().is_sound());
    // With the key as a file of either kind, and with checkpoints kept elsewhere.
    for name in ["key.vkey", "key.pem"] {
        let key = written.export.join("local").join(name);
        let output = run(&["--key", key.to_str().unwrap(), written.export.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0));
    }
    let kept = written.earlier.join("local/checkpoint");
    assert_eq!(status(&written.export, &["--checkpoint", kept.to_str().unwrap()]), 0);
}

#[test]
fn the_answer_can_be_read_by_programs() {
    let key = verifier(KEY).to_string();
    let export = written().export.to_str().unwrap();
    let output = run(&["--output=json", "--key", &key, export]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"], "ok");
    let writer = &report["writers"][0];
    assert_eq!((&writer["writer"], &writer["origin"]), (&"local".into(), &ORIGIN.into()));
    assert_eq!(
        (&writer["records"], &writer["covered"], &writer["openIntents"]),
        (&181.into(), &181.into(), &0.into())
    );
    let theirs = &audit::verify(&written().log, &verifier(KEY)).unwrap().writers[0];
    assert_eq!(writer["root"], theirs.root.as_str());
    assert_eq!(writer["checkpoints"], theirs.checkpoints);
}

/// Every byte of the small files, one bit of each.
#[test]
fn no_byte_of_checkpoint_or_key_can_change() {
    for name in ["checkpoint", "key.vkey", "key.pem"] {
        let path = written().export.join("local").join(name);
        let bytes = std::fs::read(path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            both_refuse(&written().export, |copy| std::fs::write(copy.join(name), changed).unwrap());
        }
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Flip(u8),
    Drop,
    Repeat,
    Insert,
    Swap,
    Truncate,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (1..=255_u8).prop_map(Edit::Flip),
        Just(Edit::Drop),
        Just(Edit::Repeat),
        Just(Edit::Insert),
        Just(Edit::Swap),
        Just(Edit::Truncate),
    ]
}

/// Changes a file of lines; false if nothing changed.
fn apply(path: &Path, edit: &Edit, at: prop::sample::Index) -> bool {
    let before = std::fs::read(path).unwrap();
    let mut lines: Vec<Vec<u8>> = before.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = at.index(lines.len());
    let mut after = before.clone();
    match edit {
        Edit::Flip(mask) => after[at.index(before.len())] ^= mask,
        Edit::Truncate => after.truncate(at.index(before.len())),
        Edit::Drop => drop(lines.remove(line)),
        Edit::Repeat => lines.insert(line, lines[line].clone()),
        Edit::Insert => lines.insert(line, b"{\"kind\":\"request.denied\"}\n".to_vec()),
        Edit::Swap => {
            let other = (line + 1) % lines.len();
            lines.swap(line, other);
        }
    }
    if !matches!(edit, Edit::Flip(_) | Edit::Truncate) {
        after = lines.concat();
    }
    std::fs::write(path, &after).unwrap();
    after != before
}

proptest! {
    #[test]
    fn no_edit_of_the_records_is_accepted(edit in edit(), at in any::<prop::sample::Index>(), segment in any::<prop::sample::Index>()) {
        both_refuse(&written().log, |copy| {
            let mut segments: Vec<_> = std::fs::read_dir(copy)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
                .collect();
            segments.sort();
            let segment = segment.get(&segments);
            if !apply(segment, &edit, at) {
                std::fs::remove_file(segment).unwrap();
            }
        });
        both_refuse(&written().export, |copy| {
            let records = copy.join("records.jsonl");
            if !apply(&records, &edit, at) {
                std::fs::remove_file(copy.join("checkpoint")).unwrap();
            }
        });
    }

    #[test]
    fn no_flip_in_the_history_is_accepted(mask in 1..=255_u8, at in any::<prop::sample::Index>()) {
        for original in [&written().log, &written().export] {
            both_refuse(original, |copy| assert!(apply(&copy.join("checkpoints"), &Edit::Flip(mask), at)));
        }
    }
}

#[test]
fn whole_files_can_neither_go_nor_be_replaced() {
    let written = written();
    let other = write(OTHER);
    let replace = |name: &'static str, from: &Path| {
        let from = from.join("local").join(name);
        move |copy: &Path| {
            std::fs::copy(&from, copy.join(name)).unwrap();
        }
    };
    both_refuse(&written.log, |copy| std::fs::remove_file(first_segment(copy)).unwrap());
    both_refuse(&written.log, |copy| {
        std::fs::rename(first_segment(copy), copy.join("segment-00000000000000000001.jsonl")).unwrap()
    });
    both_refuse(&written.export, |copy| std::fs::remove_file(copy.join("checkpoint")).unwrap());
    both_refuse(&written.export, replace("checkpoint", &other.export));
    both_refuse(&written.export, replace("checkpoint", &written.earlier));
    both_refuse(&written.export, replace("checkpoints", &written.earlier));
    both_refuse(&written.export, replace("records.jsonl", &written.earlier));
    both_refuse(&written.log, replace("checkpoint", &other.log));
    both_refuse(&written.log, replace("checkpoints", &other.log));
    // All of it, by one who has another key: sound in itself, but not by the key that was given.
    assert_eq!(status(&other.export, &[]), 1);
    assert_eq!(
        run(&["--key", &verifier(OTHER).to_string(), other.export.to_str().unwrap()]).status.code(),
        Some(0)
    );
}

/// The whole log as it was earlier is sound in itself. Who kept a later checkpoint sees it.
#[test]
fn a_rollback_is_seen_by_who_kept_a_checkpoint() {
    let written = written();
    assert_eq!(status(&written.earlier, &[]), 0);
    let kept = written.export.join("local/checkpoint");
    assert_eq!(status(&written.earlier, &["--checkpoint", kept.to_str().unwrap()]), 1);
    let elsewhere = write(KEY);
    let kept = elsewhere.export.join("local/checkpoint");
    assert_eq!(status(&written.export, &["--checkpoint", kept.to_str().unwrap()]), 1);
}

#[test]
fn wrong_usage_is_told() {
    let check = |arguments: &[&str], code: i32, said: &str| {
        let output = run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    };
    let key = verifier(KEY).to_string();
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    check(&[], 2, "`--key` is missing");
    check(&["--key", &key], 2, "which directory?");
    check(&["--key", &key, "a", "b"], 2, "one directory");
    check(&["--key"], 2, "`--key` needs a value");
    check(&["--key", "a+b+c", empty], 2, "neither a verifier key nor");
    check(&["--key", "/missing", empty], 2, "cannot read the key");
    check(&["--keys", &key, empty], 2, "unknown option `--keys`");
    check(&["--output", "yaml", "--key", &key, empty], 2, "`text` or `json`");
    check(&["--key", &key, empty], 2, "there is no log in");
    check(&["--key", &key, "/missing"], 2, "there is no log in");
    let export = written().export.to_str().unwrap();
    check(&["--key", &key, "--checkpoint", "/missing", export], 1, "cannot read");
    let records = written().export.join("local/records.jsonl");
    check(&["--key", &key, "--checkpoint", records.to_str().unwrap(), export], 1, "not a checkpoint");
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}
