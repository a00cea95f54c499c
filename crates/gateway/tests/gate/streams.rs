//! Event streams: relayed, resumed, judged again while they last.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    legacy::{assert_ids_differ, open},
    world::{Answer, ROLES, Script, World, events, status},
};

const CALL: &str = r#"{"jsonrpc":"2.0","id":"c-1","method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"},"_meta":{"progressToken":5}}}"#;

/// The JSON of the events in a piece of stream.
fn messages(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter(|data| !data.trim().is_empty())
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn ids(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("id:")).map(|id| id.trim().to_owned()).collect()
}

fn held(pieces: &[&str]) -> Script {
    Script { hold_open: true, ..events(pieces) }
}

const NOTE: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";

/// A listening stream of a new session, after its first event.
async fn listening(world: &World, token: &str) -> Answer {
    let session = open(world, token).await;
    world.server.will(held(&[NOTE]));
    let mut listening = world.send("GET", token, &[("mcp-session-id", session.as_str())], "").await;
    next(&mut listening).await;
    listening
}

async fn next(answer: &mut Answer) -> String {
    loop {
        let piece = answer.piece().await.expect("the stream goes on").expect("no cut");
        if piece != ":\n\n" {
            return piece;
        }
    }
}

#[tokio::test]
async fn identifiers_are_rewritten_both_ways_and_server_requests_need_a_grant() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    let session = open(&world, &token).await;
    let header = [("mcp-session-id", session.as_str())];
    let stream = concat!(
        "id: e1\ndata:\n\n",
        "event: message\nid: e2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$token,\"progress\":1}}\n\n",
        "event: ping\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":5,\"progress\":2}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"sampling/createMessage\",\"params\":{\"maxTokens\":9}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{\"stray\":true}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[]}}\n\n",
    );
    world.server.will(events(&[stream]));
    let answer = world.post(&token, &header, CALL).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let text = answer.text().await;
    assert!(!text.contains("e1\n") && !text.contains("e2\n") && !text.contains("stray"), "{text}");
    let got = messages(&text);
    assert_eq!(got[0]["params"], json!({"progressToken": 5, "progress": 1}));
    assert_eq!(got[1]["method"], "sampling/createMessage");
    assert_eq!(got[2], json!({"jsonrpc":"2.0","id":"c-1","result":{"content":[]}}));
    assert_eq!(got.len(), 3, "what belongs to nobody is dropped: {text}");

    // The client's answer finds the server's request; a made-up id does not.
    let reply = json!({"jsonrpc":"2.0","id":got[1]["id"],"result":{"role":"assistant"}}).to_string();
    assert_eq!(world.post(&token, &header, &reply).await.status, 202);
    let sent = world.server.seen().last().unwrap().json();
    assert_eq!(sent, json!({"jsonrpc":"2.0","id":0,"result":{"role":"assistant"}}));
    let made_up = json!({"jsonrpc":"2.0","id":0,"result":{}}).to_string();
    assert_eq!(world.post(&token, &header, &made_up).await.status, 400);

    // A cancellation names the request as the server knows it.
    let called = world.server.seen()[1].json()["id"].clone();
    let cancel =
        json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c-1"}}).to_string();
    assert_eq!(world.post(&token, &header, &cancel).await.status, 202);
    assert_eq!(world.server.seen().last().unwrap().json()["params"]["requestId"], called);

    // The stream is resumed by our event id, and the answer on it still has the client's id.
    let resume = format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{called},\"result\":{{\"late\":1}}}}\n\n");
    world.server.will(events(&[&resume]));
    let event = ids(&text)[1].clone();
    let with_event = [("mcp-session-id", session.as_str()), ("last-event-id", event.as_str())];
    let text = world.send("GET", &token, &with_event, "").await.text().await;
    assert_eq!(messages(&text)[0], json!({"jsonrpc":"2.0","id":"c-1","result":{"late":1}}));
    let seen = world.server.seen();
    let resumed = seen.last().unwrap();
    assert_eq!((resumed.method.as_str(), &resumed.headers["last-event-id"]), ("GET", &"e2".parse().unwrap()));
    let forged = [("mcp-session-id", session.as_str()), ("last-event-id", "e2")];
    assert_eq!(world.send("GET", &token, &forged, "").await.status, 400);
    assert_eq!(world.send("GET", &token, &[], "").await.status, 400, "no session, nothing to listen to");
    world.stop().await;
}

#[tokio::test]
async fn a_server_may_not_ask_the_client_what_no_role_grants() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let stream = concat!(
        "data: {\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"elicitation/create\",\"params\":{\"message\":\"password?\"}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"file:///closed/x\"}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"file:///open/x\"}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[],\"isError\":true}}\n\n",
    );
    world.server.will(events(&[stream]));
    let text = world.post(&token, &[("mcp-session-id", session.as_str())], CALL).await.text().await;
    let got = messages(&text);
    assert!(!text.contains("password") && !text.contains("closed"), "{text}");
    assert_eq!((got.len(), &got[0]["params"]["uri"]), (2, &json!("file:///open/x")));
    let told = world.server.seen().last().unwrap().json();
    assert_eq!((&told["id"], &told["error"]["code"]), (&json!(4), &json!(-32601)));
    let summary = world.log.summary();
    assert!(summary.contains(&"request.denied elicitation/create".to_owned()), "{summary:?}");
    assert!(!summary.contains(&"request.admitted elicitation/create".to_owned()), "{summary:?}");
    assert!(summary.contains(&"request.admitted response".to_owned()), "{summary:?}");
    assert!(summary.contains(&"request.completed tools/call error".to_owned()), "{summary:?}");
    assert_ids_differ(&world.log.records());
    world.stop().await;
}

#[tokio::test]
async fn a_withdrawn_grant_cuts_streams_and_calls_within_a_second() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let header = [("mcp-session-id", session.as_str())];
    let note = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    world.server.will(held(&[note]));
    let mut listening = world.send("GET", &token, &header, "").await;
    assert_eq!(messages(&next(&mut listening).await)[0]["method"], "notifications/tools/list_changed");
    world.server.will(held(&[NOTE]));
    let mut calling = world.post(&token, &header, CALL).await;
    next(&mut calling).await;

    // A change that leaves the grant leaves the streams.
    world.publish("enforce", ROLES);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let without_readers = ROLES.replace("group: readers", "group: others");
    let begun = Instant::now();
    world.publish("enforce", &without_readers);
    for answer in [&mut listening, &mut calling] {
        while let Some(Ok(piece)) = answer.piece().await {
            assert_eq!(piece, ":\n\n");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ended: Vec<_> =
        world.log.records().iter().filter(|r| r["outcome"]["status"] == "cancelled").cloned().collect();
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|record| record["outcome"]["error"] == "the grant was withdrawn"));
    assert_eq!(world.post(&token, &header, CALL).await.status, 404, "the server is not there any more");
    world.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let world = World::start().await;
    let token = super::issue(&world.issuer, "ann", "readers", 2);
    let mut listening = listening(&world, &token).await;
    let begun = Instant::now();
    while let Some(Ok(piece)) = listening.piece().await {
        assert_eq!(piece, ":\n\n");
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    world.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let mut listening = listening(&world, &token).await;
    let begun = Instant::now();
    let revocation = narrows_gateway::identity::Revocation::Subject {
        issuer: "urn:narrows:test".to_owned(),
        subject: "ann".to_owned(),
        issued_before: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60),
    };
    world.authenticator.revoke(revocation).unwrap();
    while let Some(Ok(_)) = listening.piece().await {}
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(world.post(&token, &[], CALL).await.status, 401);
    world.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_server_is_replaced() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let mut listening = listening(&world, &token).await;
    let begun = Instant::now();
    world.publish_at("127.0.0.1:9".parse().unwrap(), "enforce", ROLES);
    while let Some(Ok(piece)) = listening.piece().await {
        assert_eq!(piece, ":\n\n");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    world.closed().await;
    assert_eq!(world.log.records().last().unwrap()["outcome"]["error"], "the server was replaced");
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_is_recorded_as_one() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    for bad in [
        "data: not json\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"id\":$id,\"result\":{}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{},\"extra\":1}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":\"$id\",\"result\":{}}\n\n",
        ": nothing\n\n",
        // What comes after the break is not passed on.
        "data: not json\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{}}\n\n",
    ] {
        world.server.will(events(&[bad]));
        let answer = world.post(&token, &[], CALL).await;
        assert_eq!(answer.status, 200, "{bad}");
        let got = messages(&answer.text().await);
        assert_eq!(got.len(), 1, "{bad}: {got:?}");
        assert_eq!((&got[0]["id"], &got[0]["error"]["code"]), (&json!("c-1"), &json!(-31502)), "{bad}");
        assert_eq!(world.log.summary().last().unwrap(), "request.completed tools/call error");
        let recorded = world.log.records().last().unwrap()["request"]["id"].clone();
        assert_eq!(got[0]["error"]["data"]["requestId"], recorded, "{bad}");
    }
    // One that can be resumed is cut off: the client asks for the rest.
    let mut resumable = events(&["id: e1\ndata:\n\n", "data: not json\n\n"]);
    // Not before its head is on its way, without which it is no stream.
    resumable.pieces[1].0 = Duration::from_millis(200);
    world.server.will(resumable);
    let mut answer = world.post(&token, &[], CALL).await;
    let mut cut = false;
    while let Some(piece) = answer.piece().await {
        cut |= piece.is_err();
    }
    assert!(cut);
    world.server.will(status(405));
    let session = open_after(&world, &token).await;
    assert_eq!(world.send("GET", &token, &[("mcp-session-id", session.as_str())], "").await.status, 405);
    world.stop().await;
}

/// Opens a session although a script is waiting: the waiting one is put behind.
async fn open_after(world: &World, token: &str) -> String {
    let waiting = world.server.script.lock().unwrap().pop_front();
    let session = open(world, token).await;
    world.server.script.lock().unwrap().extend(waiting);
    session
}

/// Roles in which `read_*` is not granted any more, but something on the server is.
fn without_reading() -> String {
    ROLES.replace(r#"tools: ["read_*"], "#, r#"tools: [other], "#)
}

#[tokio::test]
async fn a_resumed_stream_takes_the_right_of_its_call() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let header = [("mcp-session-id", session.as_str())];
    world.server.will(events(&["id: e1\ndata:\n\n"]));
    let text = world.post(&token, &header, CALL).await.text().await;
    let event = ids(&text)[0].clone();
    let resume = [("mcp-session-id", session.as_str()), ("last-event-id", event.as_str())];
    world.server.will(events(&[
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n",
    ]));
    assert_eq!(world.send("GET", &token, &resume, "").await.status, 200);
    let admitted =
        world.log.records().iter().rev().find(|r| r["kind"] == "request.admitted").unwrap().clone();
    assert_eq!(
        (&admitted["request"]["method"], &admitted["request"]["tool"]),
        (&json!("http/GET"), &json!("read_file"))
    );
    let before = world.server.seen().len();
    world.publish("enforce", &without_reading());
    assert_eq!(world.send("GET", &token, &resume, "").await.status, 403);
    assert_eq!(world.server.seen().len(), before);
    // Arguments that are not carried can't be judged again.
    world.publish("enforce", ROLES);
    world.server.will(events(&["id: e2\ndata:\n\n"]));
    let long = CALL.replace("/a", &"/a".repeat(1000));
    let event = ids(&world.post(&token, &header, &long).await.text().await)[0].clone();
    let resume = [("mcp-session-id", session.as_str()), ("last-event-id", event.as_str())];
    assert_eq!(world.send("GET", &token, &resume, "").await.status, 400);
    world.stop().await;
}

#[tokio::test]
async fn a_change_in_the_first_moments_of_a_request_counts() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let header = [("mcp-session-id", session.as_str())];
    let mut late = held(&[NOTE]);
    late.pieces[0].0 = Duration::from_millis(150);
    world.server.will(late);
    let change = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.publish("enforce", &without_reading());
    };
    let (mut answer, ()) = tokio::join!(world.post(&token, &header, CALL), change);
    let begun = Instant::now();
    while let Some(Ok(_)) = answer.piece().await {}
    assert!(begun.elapsed() < Duration::from_secs(1));

    // And so does one while the record is being written: nothing is sent then.
    world.publish("enforce", ROLES);
    *world.log.mode.lock().unwrap() = super::world::LogMode::Late;
    let before = world.server.seen().len();
    let change = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.publish("enforce", &without_reading());
    };
    let (answer, ()) = tokio::join!(world.post(&token, &header, CALL), change);
    assert_eq!(answer.status, 403);
    assert_eq!(world.server.seen().len(), before);
    assert_eq!(world.log.summary().last().unwrap(), "request.completed tools/call cancelled");
    assert_eq!(world.log.records().last().unwrap()["outcome"]["error"], "the grant was withdrawn");
    world.stop().await;
}

#[tokio::test]
async fn a_json_answer_that_is_under_way_is_cut_when_the_grant_goes() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    for size in [10, 100_000] {
        world.publish("enforce", ROLES);
        let mut slow = super::world::json(format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{{\"a\":\"{}\",",
            "x".repeat(size)
        ));
        slow.pieces.push((Duration::from_secs(3), "\"b\":1}}".to_owned()));
        world.server.will(slow);
        let change = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.publish("enforce", &without_reading());
        };
        let asked = async {
            let begun = Instant::now();
            let mut answer = world.post(&token, &[], CALL).await;
            let mut cut = answer.status == 403;
            while let Some(piece) = answer.piece().await {
                cut |= piece.is_err();
            }
            assert!(cut && begun.elapsed() < Duration::from_millis(1500), "{size}: {:?}", begun.elapsed());
        };
        tokio::join!(asked, change);
    }
    assert_eq!(world.log.open(), 0);
    world.stop().await;
}

#[tokio::test]
async fn nothing_comes_after_the_answer() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    let session = open(&world, &token).await;
    world.server.will(events(&[concat!(
        "data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"n\":1}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"n\":2}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n",
    )]));
    let text = world.post(&token, &[("mcp-session-id", session.as_str())], CALL).await.text().await;
    assert_eq!(messages(&text).len(), 1, "{text}");
    world.stop().await;
}
