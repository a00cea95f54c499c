use std::collections::BTreeMap;

use narrows_core::{
    change::{Managers, Operation},
    ports::{RevisionEntry, SavedChange, SavedRevision},
    resource::{ObjectKey, ResourceKind},
};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(ResourceKind::McpServer, name).unwrap()
}

fn revision(number: u64, seconds: i64) -> SavedRevision {
    let change = SavedChange {
        id: format!("id{number}"),
        actor: "alice".to_owned(),
        origin: "files".to_owned(),
        reason: number.is_multiple_of(2).then(|| "because".to_owned()),
        objects: vec![(key("dev/files"), Operation::Update)],
    };
    SavedRevision {
        number,
        saved_at: at(seconds),
        digest: format!("d{number}"),
        resources: format!("{{\"n\":{number}}}"),
        managers: Managers::Files(BTreeMap::from([(key("dev/files"), "/a.yaml".into())])),
        change: Some(change),
    }
}

#[test]
fn revisions_are_found_by_number_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    {
        let state = State::open(&path).unwrap();
        assert_eq!(state.latest_revision().unwrap(), None);
        assert_eq!(state.revision_at(At::Time(at(100))).unwrap(), None);
        for (number, seconds) in [(1, 10), (2, 20), (3, 30)] {
            state.save_revision(&revision(number, seconds)).unwrap();
        }
        assert!(matches!(state.save_revision(&revision(3, 40)), Err(StoreError::Database { .. })));
    }
    // After a restart, and from another process.
    for state in [State::open(&path).unwrap(), State::open_existing(&path).unwrap()] {
        let check = |which, expected: Option<(u64, i64)>| {
            assert_eq!(
                state.revision_at(which).unwrap(),
                expected.map(|(number, time)| revision(number, time))
            );
        };
        check(At::Number(2), Some((2, 20)));
        check(At::Number(4), None);
        check(At::Time(at(9)), None);
        check(At::Time(at(10)), Some((1, 10)));
        check(At::Time(at(29)), Some((2, 20)));
        check(At::Time(at(1000)), Some((3, 30)));
        assert_eq!(state.latest_revision().unwrap(), Some(revision(3, 30)));
    }
}

#[test]
fn revisions_are_listed_and_changes_found() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(&directory.path().join("narrows.db")).unwrap();
    for number in 1..=5 {
        state.save_revision(&revision(number, 10)).unwrap();
    }
    let check = |before, limit, expected: &[u64]| {
        let expected: Vec<_> = expected
            .iter()
            .map(|number| revision(*number, 10))
            .map(|SavedRevision { number, saved_at, digest, change, .. }| RevisionEntry {
                number,
                saved_at,
                digest,
                change,
            })
            .collect();
        assert_eq!(state.entries(before, limit).unwrap(), expected);
    };
    check(None, 2, &[5, 4]);
    check(Some(4), 2, &[3, 2]);
    check(Some(2), 9, &[1]);
    check(Some(1), 9, &[]);
    assert!(state.settle("id3").unwrap());
    assert!(!state.settle("id6").unwrap());
    assert!(!state.settle("id6").unwrap(), "and again");
    // What was settled as not applied stays so, also if its save comes late.
    assert!(matches!(state.save_revision(&revision(6, 10)), Err(StoreError::Database { .. })));
    assert!(!state.settle("id6").unwrap());
    assert!(state.settle("id3").unwrap(), "an applied one is not aborted");
    let plan: String = state
        .connection()
        .query_row(
            "EXPLAIN QUERY PLAN SELECT 1 FROM snapshots WHERE change IS NOT NULL AND change ->> '$.id' = 'x'",
            [],
            |row| row.get("detail"),
        )
        .unwrap();
    assert!(plan.contains("SEARCH") && plan.contains("snapshots_change"), "{plan}");
    // A change leads to one state.
    let again = SavedRevision { number: 6, ..revision(5, 10) };
    assert!(matches!(state.save_revision(&again), Err(StoreError::Database { .. })));
    assert_eq!(state.latest_revision().unwrap(), Some(revision(5, 10)));
}

#[test]
fn a_database_of_the_version_before_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::STEPS[0]).unwrap();
    old.execute("INSERT INTO snapshots VALUES (1, 10000000, 'd1', '{\"n\":1}')", []).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let error = State::open_existing(&path).err().unwrap();
    assert_eq!(error.to_string(), "database schema 1 is older than this binary's 3");
    let state = State::open(&path).unwrap();
    let found = state.latest_revision().unwrap().unwrap();
    assert_eq!(found, SavedRevision { managers: Managers::Unknown, change: None, ..revision(1, 10) });
    state.save_revision(&revision(2, 20)).unwrap();
    assert_eq!(State::open_existing(&path).unwrap().latest_revision().unwrap(), Some(revision(2, 20)));
}

#[test]
fn nothing_is_saved_to_a_file_that_is_not_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    let aside = directory.path().join("aside");
    let state = State::open(&path).unwrap();
    state.save_revision(&revision(1, 10)).unwrap();
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(state.save_revision(&revision(2, 20)), Err(StoreError::Io { .. })));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(state.save_revision(&revision(2, 20)), Err(StoreError::Replaced { .. })));
    std::fs::rename(&aside, &path).unwrap();
    state.save_revision(&revision(2, 20)).unwrap();
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
        assert_eq!(error.to_string(), "database schema 7 is newer than this binary's 3");
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

#[test]
fn what_serves_is_kept() {
    use narrows_core::{
        lifecycle::Version,
        ports::Deployments as _,
        resource::{HttpServer, Transport},
    };
    let version = |server: &str, revision: u64| Version {
        server: server.parse().unwrap(),
        transport: Transport::Http(HttpServer { url: format!("https://mcp.example.com/{revision}") }),
        revision,
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narrows.db");
    let state = State::open(&path).unwrap();
    assert_eq!(state.serving().unwrap(), []);
    for kept in [version("dev/b", 1), version("dev/a", 2), version("dev/b", 3)] {
        state.keep(&kept.server, Some(&kept)).unwrap();
    }
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!(state.serving().unwrap(), [version("dev/a", 2), version("dev/b", 3)]);
    for _ in 0..2 {
        state.keep(&"dev/b".parse().unwrap(), None).unwrap();
    }
    assert_eq!(state.serving().unwrap(), [version("dev/a", 2)]);
}
