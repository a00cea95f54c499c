//! Disks that fail. What must hold for each: nothing that failed is acknowledged, nothing acknowledged is missing,
//! outcomes arrive in the end, and the log goes on by itself.

use super::{
    super::faults::{EIO, EMFILE, ENOSPC, EROFS, Faults},
    *,
};

async fn until_healthy(log: &Log) {
    let began = Instant::now();
    while log.health().is_err() {
        assert!(began.elapsed() < Duration::from_secs(2), "recovers within 2 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Breaks the disk, appends to it, mends it, and looks at what is there after a restart.
async fn check(name: &str, breaks: impl Fn(&mut Faults)) {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(directory.path(), &disk, options());
    let admitted = log.append(Pairing::Intent, intent(0)).await.unwrap();

    breaks(&mut disk.faults());
    log.append_later(Pairing::Outcome(admitted), outcome(admitted)).unwrap();
    for n in 1..20 {
        let error = log.append(Pairing::Intent, intent(n)).await.unwrap_err();
        assert!(matches!(error, AppendError::Unwritable { .. }), "{name}: {error:?}");
        assert_eq!(log.health(), Err(error), "{name}");
    }

    *disk.faults() = Faults::default();
    until_healthy(&log).await;
    let next = log.append(Pairing::Intent, intent(100)).await.unwrap();
    log.append(Pairing::Outcome(next), outcome(next)).await.unwrap();
    log.close().await.unwrap();
    drop(log);

    let all = records(directory.path());
    let ids: Vec<_> = all.iter().filter_map(|record| record["request"]["id"].as_str()).collect();
    assert_eq!(ids, ["request-0", "request-100"], "{name}");
    assert_eq!(
        kinds(directory.path()),
        [
            "log.opened",
            "request.admitted",
            "log.recovered",
            "request.completed",
            "request.admitted",
            "request.completed"
        ],
        "{name}"
    );
    assert_eq!(all[2]["after"]["refused"], 19, "{name}");
    assert_eq!(all[3]["intent"], admitted.0, "{name}");
    let (_, report) = open(directory.path());
    assert_eq!(report, OpenReport { records: 6, ..OpenReport::default() }, "{name}");
}

#[tokio::test]
async fn every_kind_of_failure_refuses_and_recovers() {
    for errno in [ENOSPC, EIO, EROFS] {
        for written in [0, 1, 100, usize::MAX] {
            check("write", |faults| faults.write = Some((written, errno))).await;
        }
        check("sync", |faults| faults.sync = Some(errno)).await;
        check("all", |faults| {
            faults.write = Some((50, errno));
            faults.sync = Some(errno);
            faults.set_len = Some(errno);
            faults.create = Some(errno);
            faults.reserve = Some(errno);
        })
        .await;
    }
    check("write, then no cut", |faults| {
        faults.write = Some((usize::MAX, EIO));
        faults.set_len = Some(EIO);
    })
    .await;
    check("sync, then no new file", |faults| {
        faults.sync = Some(EIO);
        faults.create = Some(EMFILE);
    })
    .await;
}

/// A file that is not in its place takes records all the same, and no reader finds them: they are not acknowledged.
#[tokio::test]
async fn a_file_that_was_taken_away_is_no_log() {
    type Step = fn(&Path, &Path);
    let rename: Step = |from, to| std::fs::rename(from, to).unwrap();
    let copy_over: Step = |path, aside| {
        std::fs::copy(path, path.with_extension("copy")).unwrap();
        std::fs::rename(path, aside).unwrap();
        std::fs::rename(path.with_extension("copy"), path).unwrap();
    };
    for (name, take) in [("moved", rename), ("replaced by a copy", copy_over)] {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = open(directory.path());
        let admitted = log.append(Pairing::Intent, intent(0)).await.unwrap();
        let path = writer(directory.path()).join(file_name(0));
        let aside = path.with_extension("aside");
        take(&path, &aside);
        log.append_later(Pairing::Outcome(admitted), outcome(admitted)).unwrap();
        for n in 1..5 {
            let error = log.append(Pairing::Intent, intent(n)).await.unwrap_err();
            assert!(matches!(error, AppendError::Unwritable { .. }), "{name}: {error:?}");
        }
        assert!(log.health().is_err(), "{name}");

        std::fs::rename(&aside, &path).unwrap();
        until_healthy(&log).await;
        log.append(Pairing::Event, event(5)).await.unwrap();
        log.close().await.unwrap();
        drop(log);
        let kinds = kinds(directory.path());
        assert_eq!(kinds.iter().filter(|kind| *kind == "request.admitted").count(), 1, "{name}: {kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "request.completed").count(), 1, "{name}: {kinds:?}");
        let (_, report) = open(directory.path());
        assert_eq!((report.closed_unknown, report.truncated_bytes), (0, 0), "{name}");
    }
}

/// One that was cut can't be mended by writing on: the records that it had are gone.
#[tokio::test]
async fn a_file_that_was_cut_is_no_log() {
    let large = json!({ "text": "x".repeat(600 << 10) });
    for (name, segment_bytes, next) in [
        ("within what is reserved", 64 << 20, intent(1)),
        ("beyond it", 64 << 20, serde_json::to_vec(&large).unwrap()),
        ("before another segment", 1, intent(1)),
    ] {
        for left in [0, 10] {
            let directory = tempfile::tempdir().unwrap();
            let log = open_on(
                directory.path(),
                &FaultyDisk::default(),
                LogOptions { segment_bytes, record_bytes: 1 << 20, ..options() },
            );
            log.append(Pairing::Event, event(0)).await.unwrap();
            // The one that is written now: the last, where each record has a segment of its own.
            let last = *list(&writer(directory.path())).unwrap().last().unwrap();
            let path = writer(directory.path()).join(file_name(last));
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(left).unwrap();
            for _ in 0..3 {
                let error = log.append(Pairing::Intent, next.clone()).await.unwrap_err();
                assert!(matches!(error, AppendError::Unwritable { .. }), "{name}, cut to {left}: {error:?}");
            }
            let _closed = log.close().await;
            let (now, segments) =
                (std::fs::metadata(&path).unwrap().len(), list(&writer(directory.path())).unwrap());
            assert_eq!(segments.last(), Some(&last), "{name}, cut to {left}");
            assert!(now == left || name == "within what is reserved", "{name}, cut to {left}: {now} bytes");
        }
    }
}

/// The kernel may have dropped what it could not write, and report the next sync of that file as done.
#[tokio::test]
async fn a_file_whose_sync_failed_is_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(directory.path(), &disk, options());
    log.append(Pairing::Event, event(0)).await.unwrap();
    let first = writer(directory.path()).join(file_name(0));
    {
        let mut faults = disk.faults();
        faults.sync = Some(EIO);
        faults.times = Some(1);
    }
    log.append(Pairing::Event, event(1)).await.unwrap_err();
    let sealed = std::fs::read(&first).unwrap();
    for n in 2..5 {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    log.close().await.unwrap();
    assert_eq!(std::fs::read(&first).unwrap(), sealed);
    assert_eq!(list(&writer(directory.path())).unwrap(), [0, 2]);
    assert_eq!(records(directory.path()).len(), 6);
}

#[tokio::test]
async fn a_file_without_records_whose_sync_failed_is_replaced() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut options = options();
    options.segment_bytes = 1;
    let log = open_on(directory.path(), &disk, options);
    log.append(Pairing::Event, event(0)).await.unwrap();
    let next = writer(directory.path()).join(file_name(2));
    // The next append begins segment 2; its first sync fails. (Sealing the one before takes a sync of its own.)
    disk.faults().reserve = Some(EIO);
    {
        let mut faults = disk.faults();
        faults.reserve = None;
        faults.write = None;
    }
    log.append(Pairing::Event, event(1)).await.unwrap();
    let before = std::fs::metadata(&next).unwrap().ino();
    assert!(before > 0);
    {
        let mut faults = disk.faults();
        faults.sync = Some(EIO);
    }
    log.append(Pairing::Event, event(2)).await.unwrap_err();
    *disk.faults() = Faults::default();
    until_healthy(&log).await;
    log.append(Pairing::Event, event(3)).await.unwrap();
    log.close().await.unwrap();
    let ids: Vec<_> = records(directory.path()).iter().map(|record| record["id"].clone()).collect();
    assert!(
        ids.contains(&"event-1".into())
            && ids.contains(&"event-3".into())
            && !ids.contains(&"event-2".into())
    );
}

#[tokio::test]
async fn without_a_new_segment_the_old_one_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut options = options();
    options.segment_bytes = 500;
    let log = open_on(directory.path(), &disk, options);
    disk.faults().create = Some(EMFILE);
    for n in 0..50 {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    assert_eq!(list(&writer(directory.path())).unwrap(), [0]);
    disk.faults().create = None;
    for n in 50..60 {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    log.close().await.unwrap();
    assert!(list(&writer(directory.path())).unwrap().len() > 1);
    assert_eq!(records(directory.path()).len(), 61);
}

#[tokio::test]
async fn outcomes_that_wait_for_the_disk_stop_new_intents() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut options = options();
    options.later_records = 10;
    let log = open_on(directory.path(), &disk, options);
    let mut admitted = Vec::new();
    for n in 0..15 {
        admitted.push(log.append(Pairing::Intent, intent(n)).await.unwrap());
    }
    disk.faults().write = Some((0, ENOSPC));
    // Each finds room, though the bound is ten: they belong to what was let through.
    for index in &admitted {
        log.append_later(Pairing::Outcome(*index), outcome(*index)).unwrap();
    }
    assert_eq!(log.append_later(Pairing::Event, event(0)), Err(AppendError::Full));
    let error = log.append(Pairing::Intent, intent(99)).await.unwrap_err();
    assert!(error.to_string().contains("too many outcomes"), "{error}");
    while log.health().is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    *disk.faults() = Faults::default();
    // What was refused at the door did not reach the writer; it notices by itself.
    until_healthy(&log).await;
    log.append(Pairing::Intent, intent(100)).await.unwrap();
    log.close().await.unwrap();
    let outcomes = kinds(directory.path()).iter().filter(|kind| *kind == "request.completed").count();
    assert_eq!(outcomes, 15);
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut options = options();
    options.waiting_records = 8;
    let log = open_on(directory.path(), &disk, options);
    disk.faults().hang = Duration::from_millis(100);
    let appended: Vec<_> = (0..40).map(|n| log.append(Pairing::Event, event(n))).collect();
    let mut results = Vec::new();
    for durable in appended {
        results.push(durable.await);
    }
    let taken = results.iter().filter(|result| result.is_ok()).count();
    let full = results.iter().filter(|result| **result == Err(AppendError::Full)).count();
    assert_eq!(taken + full, 40);
    assert!((8..=16).contains(&taken), "{taken} were taken");
}

#[tokio::test]
async fn a_disk_that_hangs_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut options = options();
    options.close_deadline = Duration::from_millis(50);
    let log = open_on(directory.path(), &disk, options);
    disk.faults().hang = Duration::from_secs(7);
    let mut pending = log.append(Pairing::Event, event(0));
    let waited = tokio::time::timeout(Duration::from_millis(5500), &mut pending).await;
    assert!(waited.is_err(), "it is neither acknowledged nor refused");
    assert!(log.health().unwrap_err().to_string().contains("does not answer"));
    let began = Instant::now();
    assert!(matches!(log.close().await, Err(StoreError::CloseTimeout)));
    drop(log);
    assert!(began.elapsed() < Duration::from_secs(1));
    disk.faults().hang = Duration::ZERO;
    assert!(pending.await.is_ok());
}

/// A checkpoint that can't be published holds no record up, and is published later.
#[tokio::test]
async fn without_checkpoints_records_are_still_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    while log.status().covered < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let in_the_way = writer(directory.path()).join("checkpoint.new");
    std::fs::create_dir(&in_the_way).unwrap();
    for n in 0..100 {
        log.append(Pairing::Event, event(n)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(log.status().covered, 1);
    std::fs::remove_dir(&in_the_way).unwrap();
    log.close().await.unwrap();
    assert_eq!(log.status().covered, 101);
}
