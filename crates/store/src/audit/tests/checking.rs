//! Verifying and exporting: a log as it was written passes, each kind of edit is named.

use std::io::Write as _;

use super::*;
use crate::log::segment::{file_name, list};

async fn written(directory: &Path) {
    let mut options = options();
    options.segment_bytes = 20_000;
    let (log, _) = Log::open(directory, options).unwrap();
    write_traffic(&log, 300).await;
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_log_passes_while_it_is_written_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), options()).unwrap();
    let writing = async {
        for _ in 0..10 {
            write_traffic(&log, 100).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let checking = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for n in 0..10 {
            let report = verify(directory.path(), &verifier()).unwrap();
            assert_eq!(report.writers[0].problems, [], "{n}");
            assert!(report.writers[0].covered > 0);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(writing, checking);
    log.close().await.unwrap();
    let report = verify(directory.path(), &verifier()).unwrap();
    let writer = &report.writers[0];
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((writer.records, writer.covered), (log.status().records, log.status().records));
    assert_eq!(writer.open_intents, log.status().open_intents as u64);
    assert!(writer.checkpoints > 1 && writer.open_intents > 0);
}

#[tokio::test]
async fn each_kind_of_edit_is_named() {
    let whole = tempfile::tempdir().unwrap();
    written(whole.path()).await;
    let check = |edit: &dyn Fn(&Path), expected: &str| {
        let copy = tempfile::tempdir().unwrap();
        let log = copy.path().join("local");
        std::fs::create_dir(&log).unwrap();
        for entry in std::fs::read_dir(whole.path().join("local")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, log.join(path.file_name().unwrap())).unwrap();
            }
        }
        edit(&log);
        let problems = verify(copy.path(), &verifier()).unwrap().writers.remove(0).problems;
        let said: Vec<_> = problems
            .iter()
            .map(|problem| {
                format!("{} {:?}: {}", problem.file, problem.index.map(|index| index.0), problem.message)
            })
            .collect();
        assert!(said.iter().any(|said| said.contains(expected)), "{expected}: {said:#?}");
    };
    let read = |path: &Path, file: &str| std::fs::read_to_string(path.join(file)).unwrap();
    let write = |path: &Path, file: &str, text: &str| std::fs::write(path.join(file), text).unwrap();
    let replace = |path: &Path, file: &str, from: &str, to: &str| {
        let text = read(path, file);
        assert!(text.contains(from));
        write(path, file, &text.replacen(from, to, 1));
    };
    let first = &file_name(0);
    check(&|path| replace(path, first, "alice", "alicf"), "are not those that the checkpoint of");
    check(&|path| replace(path, first, "}}\n", "}]\n"), "Some(0): not a JSON object");
    check(&|path| replace(path, first, "}\n{", "},{"), "not a JSON object");
    check(&|path| replace(path, first, "record-1\"", "record-1\",\"id\":\"x\""), "not a JSON object");
    check(&|path| replace(path, first, "}\n{", "}\n\0{"), "are missing, or damaged, before it");
    check(
        &|path| replace(path, first, "}\n", "}\n{\"kind\":\"request.completed\",\"intent\":0}\n"),
        "closes 0, which is no intent",
    );
    check(
        &|path| {
            let text = read(path, first);
            let line = text.lines().find(|line| line.contains("outcome-0")).unwrap();
            write(path, first, &format!("{text}{line}\n"));
        },
        "closes 1, which was closed before",
    );
    let drop_line = |path: &Path, file: &str| {
        let text = read(path, file);
        write(path, file, text.split_once('\n').unwrap().1);
    };
    check(&|path| drop_line(path, first), "are missing, or damaged, before it: the one before ends at");
    let append = |path: &Path, file: &str, text: &str| write(path, file, &(read(path, file) + text));
    check(&|path| append(path, first, "{"), "are missing, or damaged, before it");
    let last = |path: &Path| file_name(*list(path).unwrap().last().unwrap());
    check(&|path| drop_line(path, &last(path)), "covers");
    check(&|path| std::fs::remove_file(path.join(last(path))).unwrap(), "records, and there are");
    let second = |path: &Path| file_name(list(path).unwrap()[1]);
    check(
        &|path| std::fs::remove_file(path.join(second(path))).unwrap(),
        "records are missing, or damaged, before it",
    );
    check(
        &|path| std::fs::remove_file(path.join(first)).unwrap(),
        "records are missing, or damaged, before it",
    );
    check(
        &|path| replace(path, "checkpoint", "local\n", "locbl\n"),
        "checkpoint None: missing, or not a checkpoint",
    );
    check(&|path| std::fs::remove_file(path.join("checkpoint")).unwrap(), "checkpoint None: missing");
    check(&|path| replace(path, "checkpoints", "local\n", "locbl\n"), "checkpoints None: a note is not");
    check(&|path| replace(path, "checkpoints", "\n\n", "\n"), "checkpoints None: not a list");
    check(&|path| std::fs::remove_file(path.join("checkpoints")).unwrap(), "not among the checkpoints");
    check(&|path| replace(path, "key.vkey", "+A", "+B"), "key.vkey None: not the key");
    check(
        &|path| {
            let text = read(path, "checkpoints");
            write(path, "checkpoints", &format!("{text}{text}"));
        },
        "comes after one of",
    );
}

#[tokio::test]
async fn another_key_is_not_accepted() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let mut public = *verifier().public();
    public[0] ^= 1;
    for key in [
        VerifierKey::new("narrows.dev/test/local", public).unwrap(),
        VerifierKey::new("narrows.dev/other/local", *verifier().public()).unwrap(),
    ] {
        let report = verify(directory.path(), &key).unwrap();
        assert_eq!(report.writers[0].checkpoints, 0);
        assert!(!report.is_sound());
    }
}

#[tokio::test]
async fn an_export_is_the_log_up_to_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), options()).unwrap();
    let out = tempfile::tempdir().unwrap();
    write_traffic(&log, 500).await;
    for n in 0..5 {
        write_traffic(&log, 50).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        let out = out.path().join(format!("{n}"));
        let report = export(directory.path(), &out).unwrap();
        let [writer] = report.writers.as_slice() else { panic!("{report:?}") };
        let copy = std::fs::read(out.join("local/records.jsonl")).unwrap();
        let original = std::fs::read(directory.path().join("local").join(file_name(0))).unwrap();
        assert_eq!(writer.bytes, copy.len() as u64);
        assert_eq!(copy, original[..copy.len()]);
        assert_eq!(copy.iter().filter(|byte| **byte == b'\n').count() as u64, writer.records);
        assert!(writer.records > 500);
        let history = std::fs::read_to_string(out.join("local/checkpoints")).unwrap();
        let checkpoint = std::fs::read_to_string(out.join("local/checkpoint")).unwrap();
        assert!(history.ends_with(&format!("{checkpoint}\n")));
        let vkey = std::fs::read_to_string(out.join("local/key.vkey")).unwrap();
        assert_eq!(vkey, format!("{}\n", verifier()));
    }
    log.close().await.unwrap();
    // What came after the last checkpoint is counted; the last of these is not whole yet.
    let uncovered = |name| export(directory.path(), &out.path().join(name)).unwrap().writers[0].uncovered;
    assert_eq!(uncovered("closed"), 0);
    let path = directory.path().join("local").join(file_name(0));
    let mut segment = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    segment.write_all(b"{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":").unwrap();
    assert_eq!(uncovered("with more"), 2);
    let again = export(directory.path(), &out.path().join("0")).unwrap_err();
    assert!(matches!(again, StoreError::Io { action: "make", .. }), "{again}");
}
