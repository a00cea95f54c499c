//! Searching, showing and following: with the index, without it, and while it is behind, the answers are the same.

use serde_json::Value;

use super::*;
use crate::audit::state::by_reading;

fn value(entry: &Entry) -> Value {
    serde_json::from_str(&entry.line).unwrap()
}

/// The naive way: look at every record.
fn expected(all: &[Entry], limit: usize, matches: impl Fn(&Value) -> bool) -> Vec<Entry> {
    all.iter().rev().filter(|entry| matches(&value(entry))).take(limit).cloned().collect()
}

fn check(directory: &Path) {
    let all = all(directory);
    let text = |text: &str| Some(text.to_owned());
    let same = |filter: Filter, limit: usize, matches: &dyn Fn(&Value) -> bool| {
        let found = search(directory, &filter, limit).unwrap();
        let expected = expected(&all, limit, matches);
        let indexes = |entries: &[Entry]| entries.iter().map(|entry| entry.index.0).collect::<Vec<_>>();
        assert_eq!(indexes(&found), indexes(&expected), "{filter:?}");
        assert_eq!(found, expected);
        assert!(!found.is_empty() || limit == 0, "the test looks for something that is there: {filter:?}");
    };
    for limit in [0, 1, 10, 300, 100_000] {
        same(Filter::default(), limit, &|_| true);
        let filter = Filter { subject: text("alice"), tool: text("rare"), ..Filter::default() };
        same(filter, limit, &|r| r["actor"]["subject"] == "alice" && r["request"]["tool"] == "rare");
        let filter = Filter { subject: text("carol"), ..Filter::default() };
        same(filter, limit, &|r| r["actor"]["onBehalfOf"] == "carol");
        let filter = Filter { kind: text("request.denied"), server: text("git"), ..Filter::default() };
        same(filter, limit, &|r| r["kind"] == "request.denied" && r["object"]["name"] == "git");
        let filter = Filter { status: text("error"), method: text("tools/call"), ..Filter::default() };
        same(filter, limit, &|r| r["outcome"]["status"] == "error");
        let filter = Filter { effect: text("deny"), namespace: text("dev"), ..Filter::default() };
        same(filter, limit, &|r| r["decision"]["effect"] == "deny");
        same(Filter { kind: text("log.opened"), ..Filter::default() }, limit, &|r| r["kind"] == "log.opened");
    }
    for n in [0, 3, 500, 1999] {
        let id = format!("request-{n}");
        let filter = Filter { request: Some(id.clone()), ..Filter::default() };
        same(filter, 10, &|r| r["request"]["id"] == id.as_str());
        let filter = Filter { text: Some(format!("\"record-{n}\"")), ..Filter::default() };
        same(filter, 10, &|r| r["id"] == format!("record-{n}"));
    }
    let at = |n: i64| jiff::Timestamp::from_microsecond(BEGIN + n * 1_000_000).unwrap();
    let filter =
        Filter { since: Some(at(100)), until: Some(at(900)), subject: text("ci"), ..Filter::default() };
    let (since, until) =
        (narrows_core::audit::record_time(at(100)), narrows_core::audit::record_time(at(900)));
    same(filter, 50, &|r| {
        let time = r["time"].as_str().unwrap();
        r["actor"]["subject"] == "ci" && time >= since.as_str() && time <= until.as_str()
    });
    assert_eq!(search(directory, &Filter { tool: text("none"), ..Filter::default() }, 10).unwrap(), []);

    for n in [0, 44, 700, 1500, 1999] {
        let by_id = |id: String| show(directory, &Which::Id(id)).unwrap();
        let shown = by_id(format!("record-{n}")).unwrap();
        assert_eq!(value(&shown.entry)["id"], format!("record-{n}"));
        assert_eq!(by_id(format!("request-{n}")).as_ref(), Some(&shown));
        let which = Which::Index { writer: None, index: shown.entry.index };
        assert_eq!(show(directory, &which).unwrap().as_ref(), Some(&shown));
        // The last ones have no outcome, or one that a restart wrote.
        let outcome = all.iter().find(|entry| value(entry)["intent"] == shown.entry.index.0);
        assert_eq!(outcome, shown.counterpart.as_ref(), "{n}");
        let back = outcome.and_then(|outcome| by_id(value(outcome)["id"].as_str().unwrap().to_owned()));
        assert_eq!(back.and_then(|back| back.counterpart), shown.counterpart.map(|_| shown.entry));
    }
    assert_eq!(show(directory, &Which::Id("nothing".to_owned())).unwrap(), None);
    let past = LogIndex(all.len() as u64);
    for writer in [None, Some("local".to_owned()), Some("other".to_owned())] {
        assert_eq!(show(directory, &Which::Index { writer, index: past }).unwrap(), None);
    }
}

#[tokio::test]
async fn the_answers_are_those_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    options.segment_bytes = 50_000;
    let (log, _) = Log::open(directory.path(), options.clone()).unwrap();
    write_traffic(&log, 2000).await;
    // Outcomes aren't waited for: with one more record that is, all of them are there.
    let time = narrows_core::audit::record_time(jiff::Timestamp::from_microsecond(BEGIN).unwrap());
    let last = serde_json::json!({ "time": time });
    log.append(Pairing::Event, last.to_string().into_bytes()).await.unwrap();
    // Behind: nothing is indexed yet, or some of it.
    check(directory.path());
    until_indexed(directory.path(), 3500).await;
    check(directory.path());
    log.close().await.unwrap();
    drop(log);
    check(directory.path());
    // A restart goes on with the index; without it, one is made anew.
    let (log, _) = Log::open(directory.path(), options.clone()).unwrap();
    check(directory.path());
    log.close().await.unwrap();
    drop(log);
    for nonsense in [false, true] {
        for name in ["index.db", "index.db-wal", "index.db-shm"] {
            let _ = std::fs::remove_file(directory.path().join("local").join(name));
        }
        if nonsense {
            std::fs::write(directory.path().join("local/index.db"), "nonsense ".repeat(1000)).unwrap();
        }
        check(directory.path());
        let (log, _) = Log::open(directory.path(), options.clone()).unwrap();
        until_indexed(directory.path(), 3500).await;
        check(directory.path());
        log.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_tail_sees_each_record_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    options.segment_bytes = 20_000;
    let (log, _) = Log::open(directory.path(), options).unwrap();
    write_traffic(&log, 100).await;
    let mut tail = Tail::open(directory.path(), 5).unwrap();
    let mut seen = tail.poll().unwrap();
    assert_eq!(seen.len(), 5);
    let first = seen[0].index.0;
    let followed = async {
        write_traffic(&log, 2000).await;
        log.close().await.unwrap();
    };
    let follower = async {
        while log.append_later(Pairing::Event, b"{}".to_vec()).is_ok() {
            seen.extend(tail.poll().unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(followed, follower);
    // What was taken before the end is written until the log is closed.
    seen.extend(tail.poll().unwrap());
    let indexes: Vec<_> = seen.iter().map(|entry| entry.index.0).collect();
    assert_eq!(indexes, (first..log.status().records).collect::<Vec<_>>());
    assert!(Tail::open(directory.path(), 0).unwrap().poll().unwrap().is_empty());
}

#[tokio::test]
async fn several_writers_are_searched_by_time() {
    let directory = tempfile::tempdir().unwrap();
    for (writer, offset) in [("one", 0), ("two", 500)] {
        let mut options = options();
        options.writer = writer.to_owned();
        options.origin = format!("narrows.dev/test/{writer}");
        let (log, _) = Log::open(directory.path(), options).unwrap();
        for n in 0..10 {
            let time = jiff::Timestamp::from_millisecond(1_800_000_000_000 + n * 1000 + offset).unwrap();
            let record = json!({ "time": narrows_core::audit::record_time(time), "kind": "note" });
            log.append(Pairing::Event, record.to_string().into_bytes()).await.unwrap();
        }
        log.close().await.unwrap();
    }
    let filter = Filter { kind: Some("note".to_owned()), ..Filter::default() };
    let found = search(directory.path(), &filter, 4).unwrap();
    let order: Vec<_> = found.iter().map(|entry| (&*entry.writer, entry.index.0)).collect();
    assert_eq!(order, [("two", 10), ("one", 10), ("two", 9), ("one", 9)]);
    assert!(verify(directory.path(), &verifier()).unwrap().is_sound());
}

#[test]
fn without_a_log_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_owned(), directory.path().join("missing")] {
        let said = search(&path, &Filter::default(), 1).unwrap_err();
        assert!(matches!(said, StoreError::NoLog { .. }), "{said}");
        assert!(matches!(verify(&path, &verifier()), Err(StoreError::NoLog { .. })));
        assert!(matches!(Tail::open(&path, 1), Err(StoreError::NoLog { .. })));
    }
}

#[tokio::test]
async fn the_last_revision_is_the_newest_that_a_record_names() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), options()).unwrap();
    let check = |expected: Option<&str>| {
        for expects in [expected.unwrap_or(""), "something else"] {
            let found = last_revision(directory.path(), "local", |last| last == expects).unwrap();
            assert_eq!(found.as_deref(), expected);
        }
        assert_eq!(by_reading(directory.path(), "local").unwrap().as_deref(), expected);
        assert_eq!(last_revision(directory.path(), "other", |_| false).unwrap(), None);
    };
    let append = async |record: Value| {
        log.append(Pairing::Event, record.to_string().into_bytes()).await.unwrap();
    };
    check(None);
    append(json!({ "kind": "snapshot.published", "after": { "revision": "1-a" } })).await;
    check(None);
    append(json!({ "kind": "change.applied", "change": { "revision": "2-b" } })).await;
    check(Some("2-b"));
    append(json!({ "kind": "change.aborted", "change": { "revision": "3-c" } })).await;
    append(json!({ "kind": "role.changed", "change": { "revision": "3-d" } })).await;
    check(Some("2-b"));
    append(json!({ "kind": "change.applied", "change": { "revision": "3-e" } })).await;
    check(Some("3-e"));
    // An outcome that was lost is closed after those of newer revisions.
    append(json!({ "kind": "change.applied", "change": { "revision": "2-b" } })).await;
    let found = last_revision(directory.path(), "local", |last| last == "3-e").unwrap();
    assert_eq!(found.as_deref(), Some("3-e"));
}
