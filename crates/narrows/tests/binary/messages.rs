//! What is said to whom when something goes wrong: the client, the operator (standard error) and the log each learn
//! what happened and what to do about it.

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::running::{Answer, Place, Up, eventually, resources, server};

const ALICE: &str = "alice@example.com";

/// What the three were told, as one text. An outcome is recorded a moment after its answer.
fn told(place: &Place, up: &Up, before: &str, answer: &Answer, search: &[&str]) -> String {
    let record = eventually(|| found(place, search).into_iter().next()).expect("a record");
    format!("{}\nlog:\n{:#}\n", told_at_once(place, up, before, answer), essential(&record["record"]))
}

/// The newest record that matches, if there is one.
fn found(place: &Place, search: &[&str]) -> Vec<Value> {
    let ended = place.run(&[&["audit", "search", "--output", "json", "--limit", "1"], search].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// What client and operator were told.
fn told_at_once(place: &Place, up: &Up, before: &str, answer: &Answer) -> String {
    let retry = answer.headers.lines().find(|line| line.starts_with("retry-after")).unwrap_or("");
    let operator = up.said().strip_prefix(before).unwrap_or_default().to_owned();
    let operator = if operator.is_empty() { "nothing\n".to_owned() } else { place.tidy(&operator) + "\n" };
    let message = without_ids(answer.message());
    format!("client: {} {retry}\n{message:#}\n\noperator:\n{operator}", answer.status)
}

/// A record without what differs from run to run.
fn essential(record: &Value) -> Value {
    let mut record = record.clone();
    for (parent, name) in [
        ("", "id"),
        ("", "time"),
        ("", "source"),
        ("", "intent"),
        ("/request", "id"),
        ("/request", "argsDigest"),
        ("/outcome", "durationMs"),
    ] {
        if let Some(Value::Object(object)) = record.pointer_mut(parent) {
            object.remove(name);
        }
    }
    if let Some(Value::String(issuer)) = record.pointer_mut("/actor/issuer") {
        *issuer = "ISSUER".to_owned();
    }
    if let Some(Value::String(revision)) = record.pointer_mut("/decision/snapshotRevision") {
        *revision = "REVISION".to_owned();
    }
    record
}

fn without_ids(mut message: Value) -> Value {
    if let Some(data) = message.pointer_mut("/error/data").and_then(Value::as_object_mut)
        && let Some(id) = data.get_mut("requestId")
    {
        *id = "REQUEST".into();
    }
    message
}

fn start(place: &Place) -> (Up, String) {
    let text = resources(place, &[(ALICE, "clock, write_file"), ("bob@example.com", "clock")])
        + &server("gone", &["/no/such/program"])
        + &server("dies", &["/bin/sh", "-c", "echo 'I cannot go on' >&2; exit 3"]);
    place.write("r.yaml", &text);
    let up = Up::start(place, &["-f", "r.yaml"]);
    let token = place.token(ALICE);
    eventually(|| (up.call("dev/demo", &token, "clock", "{}").status == 200).then_some(()))
        .expect("the demo answers");
    (up, token)
}

#[test]
fn a_refused_call() {
    let place = Place::new();
    let (up, _) = start(&place);
    let bob = place.token("bob@example.com");
    let before = up.said();
    let answer = up.call("dev/demo", &bob, "write_file", r#"{"path":"a","text":"b"}"#);
    assert!(!place.path("scratch/a").exists(), "nothing ran");
    insta::assert_snapshot!(
        "a_refused_call",
        told(&place, &up, &before, &answer, &["--kind", "request.denied"])
    );
    up.stop();
}

#[test]
fn an_unknown_server() {
    let place = Place::new();
    let (up, token) = start(&place);
    let before = up.said();
    let answer = up.call("dev/nothing", &token, "clock", "{}");
    insta::assert_snapshot!(
        "an_unknown_server",
        told(&place, &up, &before, &answer, &["--kind", "request.denied"])
    );
    up.stop();
}

#[test]
fn a_server_that_cannot_start() {
    let place = Place::new();
    let (mut up, token) = start(&place);
    let before = up.said();
    let answer = up.call("dev/gone", &token, "clock", "{}");
    up.wait_for("no answer from the server");
    let search = ["--server", "dev/gone", "--kind", "request.completed"];
    let said = told(&place, &up, &before, &answer, &search);
    let status = place.transcript(&["server", "status", "dev/gone"]);
    insta::assert_snapshot!("a_server_that_cannot_start", format!("{said}\n\n{status}"));
    up.stop();
}

#[test]
fn a_server_that_died() {
    let place = Place::new();
    let (mut up, token) = start(&place);
    let before = up.said();
    let answer = up.call("dev/dies", &token, "clock", "{}");
    up.wait_for("no answer from the server");
    let search = ["--server", "dev/dies", "--kind", "request.completed"];
    let said = told(&place, &up, &before, &answer, &search);
    let log = place.run(&["server", "logs", "dev/dies"]);
    assert!(log.stdout.contains("I cannot go on"), "{}", log.stdout);
    let status = place.transcript(&["server", "status", "dev/dies"]);
    insta::assert_snapshot!("a_server_that_died", format!("{said}\n\n{status}"));
    up.stop();
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    let (up, token) = start(&place);
    let before = up.said();
    // No file of the process may grow: what a full disk is to it.
    let limit = |current| {
        prlimit(Some(up.pid()), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    limit(Some(1));
    let call = || up.call("dev/demo", &token, "write_file", r#"{"path":"full","text":"b"}"#);
    let answer = eventually(|| Some(call()).filter(|answer| answer.status == 503)).expect("503");
    assert!(!place.path("scratch/full").exists(), "nothing ran");
    let ready = up.admin("/readyz");
    assert_eq!(found(&place, &["--tool", "write_file"]), [Value::Null; 0], "it can't be recorded");
    let said = told_at_once(&place, &up, &before, &answer);
    insta::assert_snapshot!("a_full_disk", format!("{said}\nreadyz: {} {}", ready.status, ready.body));

    // There is room again: it recovers by itself.
    limit(None);
    eventually(|| (call().status == 200).then_some(())).expect("it recovered");
    assert!(place.path("scratch/full").exists());
    up.stop();
    let ended = place.run(&["audit", "verify"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}
