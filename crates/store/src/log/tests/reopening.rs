//! What a restart finds.

use super::*;
use crate::Damage;

async fn write(directory: &Path, records: u64) {
    let (log, _) = open(directory);
    for n in 0..records {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    log.close().await.unwrap();
}

fn damage(directory: &Path) -> Option<Damage> {
    match Log::open(directory, options()) {
        Ok(_) => None,
        Err(StoreError::Damaged { damage, .. }) => Some(damage),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn open_intents_are_closed_in_order_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    let mut open_ones = Vec::new();
    for n in 0..20 {
        let index = log.append(Pairing::Intent, intent(n)).await.unwrap();
        if n % 3 == 0 {
            log.append(Pairing::Outcome(index), outcome(index)).await.unwrap();
        } else {
            open_ones.push((n, index));
        }
    }
    // A checkpoint, and with it the known place, comes between some of the intents and the end.
    while log.status().covered < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(log);
    let before = records(directory.path()).len();
    let (log, report) = open(directory.path());
    assert_eq!(
        report,
        OpenReport { records: before as u64, closed_unknown: 13, closed_changes: 0, truncated_bytes: 0 }
    );
    let all = records(directory.path());
    assert_eq!(all[before]["kind"], "log.opened");
    assert_eq!(
        all[before]["after"],
        json!({ "records": before, "closedUnknown": 13, "closedChanges": 0, "truncatedBytes": 0 })
    );
    for ((n, index), closing) in open_ones.iter().zip(&all[before + 1..]) {
        assert_eq!(closing["kind"], "request.completed");
        assert_eq!(closing["intent"], index.0);
        assert_eq!(closing["outcome"]["status"], "unknown");
        assert_eq!(closing["outcome"]["error"], "crash");
        assert_eq!(closing["request"]["id"], format!("request-{n}"));
        assert_eq!(closing["actor"]["subject"], "alice");
        assert_eq!(closing.get("outer"), None);
    }
    assert_eq!(all.len(), before + 1 + open_ones.len());
    drop(log);
    assert_eq!(open(directory.path()).1.closed_unknown, 0);
}

/// A change is closed as what the state says it was; while that is not known, it stays open.
#[tokio::test]
async fn an_open_change_is_closed_by_what_was_saved() {
    let directory = tempfile::tempdir().unwrap();
    let change = |id: &str| {
        let record = json!({
            "kind": "role.changed", "object": { "kind": "McpRole", "name": "r" }, "change": { "id": id },
            "before": { "a": 1 }, "after": { "a": 2 },
        });
        record.to_string().into_bytes()
    };
    let (log, _) = open(directory.path());
    for id in ["saved", "lost", "doubtful"] {
        log.append(Pairing::Intent, change(id)).await.unwrap();
    }
    drop(log);
    let answers = |doubtful: Option<bool>| {
        let mut options = options();
        options.applied = Arc::new(move |id| match id {
            "saved" => Some(true),
            "lost" => Some(false),
            _ => doubtful,
        });
        options
    };
    let closed = |from: usize| -> Vec<Value> {
        let closing = |record: &Value| {
            json!([
                record["kind"],
                record["intent"],
                record["outcome"]["status"],
                record["change"]["id"],
                record["after"]
            ])
        };
        records(directory.path())[from..].iter().map(closing).collect()
    };
    let (log, report) = Log::open(directory.path(), answers(None)).unwrap();
    assert_eq!(report, OpenReport { records: 4, closed_changes: 2, ..OpenReport::default() });
    assert_eq!(
        closed(5),
        [
            json!(["change.applied", 1, "ok", "saved", null]),
            json!(["change.aborted", 2, "error", "lost", null]),
        ]
    );
    assert_eq!(log.status().open_intents, 1);
    // Long enough that what is known of open intents is on the disk.
    while log.status().covered < 7 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    log.close().await.unwrap();
    let (_log, report) = Log::open(directory.path(), answers(Some(true))).unwrap();
    assert_eq!(report.closed_changes, 1);
    assert_eq!(closed(8), [json!(["change.applied", 3, "ok", "doubtful", null])]);
}

#[tokio::test]
async fn an_unfinished_write_is_cut_off() {
    let check = async |tail: &[u8], torn: u64| {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), 3).await;
        let path = writer(directory.path()).join(file_name(0));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(tail);
        std::fs::write(&path, &bytes).unwrap();
        let (log, report) = open(directory.path());
        assert_eq!(
            report,
            OpenReport { records: 4, closed_unknown: 0, closed_changes: 0, truncated_bytes: torn }
        );
        log.append(Pairing::Event, event(9)).await.unwrap();
        log.close().await.unwrap();
        let all = records(directory.path());
        assert_eq!(all[4]["after"]["truncatedBytes"], torn);
        assert_eq!(all[5]["id"], "event-9");
    };
    check(b"", 0).await;
    check(b"{\"kind\":\"request.adm", 20).await;
    check(b"{}", 2).await;
    check(&[0; 5000], 0).await;
    check(b"{\"a\"\0\0\0}\n{}\n\0\0\0\0", 12).await;
}

#[tokio::test]
async fn a_record_after_the_checkpoint_that_is_no_json_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 3).await;
    let path = writer(directory.path()).join(file_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{]\n");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(damage(directory.path()), Some(Damage::NotJson));
}

#[tokio::test]
async fn a_log_that_is_not_the_signed_one_is_refused() {
    let check = async |change: &dyn Fn(&Path), expected: Damage| {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options();
        options.segment_bytes = 400;
        let (log, _) = Log::open(directory.path(), options).unwrap();
        for n in 0..40 {
            log.append(Pairing::Event, event(n)).await.unwrap();
        }
        log.close().await.unwrap();
        drop(log);
        change(&writer(directory.path()));
        assert_eq!(damage(directory.path()), Some(expected));
    };
    let last = |path: &Path| path.join(file_name(*list(path).unwrap().last().unwrap()));
    check(&|path| std::fs::remove_file(last(path)).unwrap(), Damage::Shorter).await;
    check(
        &|path| {
            let second = list(path).unwrap()[1];
            std::fs::remove_file(path.join(file_name(second))).unwrap();
            std::fs::remove_file(path.join(progress::FILE)).unwrap();
        },
        Damage::Shorter,
    )
    .await;
    check(
        &|path| {
            let second = list(path).unwrap()[1];
            std::fs::rename(path.join(file_name(second)), path.join(file_name(second + 1))).unwrap();
            std::fs::remove_file(path.join(progress::FILE)).unwrap();
        },
        Damage::Shorter,
    )
    .await;
    check(
        &|path| {
            let bytes = std::fs::read(path.join(file_name(0))).unwrap();
            let text = String::from_utf8(bytes).unwrap().replace("event-2", "event-3");
            std::fs::write(path.join(file_name(0)), text).unwrap();
            // Without it, the records are read from the first.
            std::fs::remove_file(path.join(progress::FILE)).unwrap();
        },
        Damage::Root,
    )
    .await;
    check(&|path| std::fs::write(path.join("checkpoint"), "nonsense").unwrap(), Damage::Checkpoint).await;
    check(
        &|path| {
            std::fs::remove_file(path.join("checkpoint")).unwrap();
            std::fs::remove_file(path.join("checkpoints")).unwrap();
        },
        Damage::Checkpoint,
    )
    .await;
}

/// Everything beside the segments and the checkpoint can be lost.
#[tokio::test]
async fn what_is_derived_is_made_again() {
    for lost in ["tile", "progress.json", "checkpoints", "checkpoint"] {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = open(directory.path());
        let open_one = log.append(Pairing::Intent, intent(0)).await.unwrap();
        for n in 0..600 {
            log.append(Pairing::Event, event(n)).await.unwrap();
        }
        log.close().await.unwrap();
        drop(log);
        let path = writer(directory.path()).join(lost);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap()
        } else {
            std::fs::remove_file(&path).unwrap()
        }
        let (log, report) = open(directory.path());
        assert_eq!(
            report,
            OpenReport { records: 602, closed_unknown: 1, closed_changes: 0, truncated_bytes: 0 },
            "{lost}"
        );
        log.close().await.unwrap();
        assert_eq!(records(directory.path())[603]["intent"], open_one.0);
        assert!(path.exists(), "{lost}");
        drop(log);
        assert_eq!(open(directory.path()).1.records, 604);
    }
}

#[tokio::test]
async fn another_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 3).await;
    let mut other = options();
    other.origin = "narrows.dev/other/local".to_owned();
    let error = Log::open(directory.path(), other).err().unwrap();
    assert!(matches!(error, StoreError::OtherKey { .. }), "{error}");
    assert!(error.hint().unwrap().contains("log-signing.pem"));
}

/// A restart reads what came after the last checkpoint, however long the log is: the file before it is not even there.
#[tokio::test]
async fn a_restart_reads_the_end_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    options.segment_bytes = 4000;
    let (log, _) = Log::open(directory.path(), options).unwrap();
    for n in 0..300 {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    log.close().await.unwrap();
    drop(log);
    std::fs::remove_file(writer(directory.path()).join(file_name(0))).unwrap();
    assert_eq!(open(directory.path()).1.records, 301);
}
