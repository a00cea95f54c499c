use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn snapshot(number: u64, seconds: i64) -> SavedSnapshot {
    let resources = format!("{{\"n\":{number}}}");
    SavedSnapshot { number, published_at: at(seconds), digest: format!("d{number}"), resources }
}

#[test]
fn snapshots_are_found_by_number_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    {
        let state = State::open(&path).unwrap();
        assert_eq!(state.latest_snapshot().unwrap(), None);
        assert_eq!(state.snapshot_at(At::Time(at(100))).unwrap(), None);
        for (number, seconds) in [(1, 10), (2, 20), (3, 30)] {
            state.save_snapshot(&snapshot(number, seconds)).unwrap();
        }
        assert!(matches!(state.save_snapshot(&snapshot(3, 40)), Err(StoreError::Database { .. })));
    }
    // After a restart, and from another process.
    for state in [State::open(&path).unwrap(), State::open_existing(&path).unwrap()] {
        let check = |which, expected: Option<(u64, i64)>| {
            assert_eq!(
                state.snapshot_at(which).unwrap(),
                expected.map(|(number, time)| snapshot(number, time))
            );
        };
        check(At::Number(2), Some((2, 20)));
        check(At::Number(4), None);
        check(At::Time(at(9)), None);
        check(At::Time(at(10)), Some((1, 10)));
        check(At::Time(at(29)), Some((2, 20)));
        check(At::Time(at(1000)), Some((3, 30)));
        assert_eq!(state.latest_snapshot().unwrap(), Some(snapshot(3, 30)));
    }
}

#[test]
fn nothing_is_saved_to_a_file_that_is_not_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    let aside = directory.path().join("aside");
    let state = State::open(&path).unwrap();
    state.save_snapshot(&snapshot(1, 10)).unwrap();
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(state.save_snapshot(&snapshot(2, 20)), Err(StoreError::Io { .. })));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(state.save_snapshot(&snapshot(2, 20)), Err(StoreError::Replaced { .. })));
    std::fs::rename(&aside, &path).unwrap();
    state.save_snapshot(&snapshot(2, 20)).unwrap();
}

#[test]
fn key_sets_are_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    let state = State::open(&path).unwrap();
    assert_eq!(state.load("corp"), None);
    for n in [1, 2] {
        let keys = StoredKeys { fetched_at: at(n), bytes: vec![n as u8; 3] };
        state.save("corp", &keys);
        assert_eq!(state.load("corp"), Some(keys));
    }
    assert_eq!(state.load("other"), None);
}

#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    let _state = State::open(&path).unwrap();
    for name in ["narrows.db", "narrows.db-wal", "narrows.db-shm"] {
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    drop(State::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    for result in [State::open(&path), State::open_existing(&path)] {
        let error = result.err().unwrap();
        assert_eq!(error.to_string(), "database schema 7 is newer than this binary's 1");
        assert!(error.hint().unwrap().contains("newer binary"));
    }
    // And it was left as it was.
    let version: u32 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 7);
}

#[test]
fn what_is_not_a_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    std::fs::write(&path, "not a database, but long enough to be looked at as one".repeat(100)).unwrap();
    assert!(matches!(State::open(&path), Err(StoreError::Database { .. })));
    let missing = directory.path().join("missing/narrows.db");
    assert!(matches!(State::open(&missing), Err(StoreError::Io { .. })));
    assert!(matches!(State::open_existing(&directory.path().join("none.db")), Err(StoreError::Io { .. })));
}
