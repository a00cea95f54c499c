//! Requests of the session era, and what holds for requests of any era.

use std::time::Duration;

use serde_json::json;

use super::world::{LogMode, Script, World, events, json as answers, status};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"}}}"#;
const RESULT: &str = r#"{"result":{"content":[{"type":"text","text":"hi"}]},"jsonrpc":"2.0","id":$id}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;

/// Opens a session and gives the client's id of it.
pub(crate) async fn open(world: &World, token: &str) -> String {
    let mut script = answers(INITIALIZED);
    script.headers.push(("mcp-session-id", "server-session-1".to_owned()));
    world.server.will(script);
    let answer = world.post(token, &[], INITIALIZE).await;
    assert_eq!(answer.status, 200);
    let id = answer.header("mcp-session-id").to_owned();
    assert!(!id.is_empty() && !id.contains("server-session"));
    assert_eq!(answer.json().await["result"]["protocolVersion"], "2025-11-25");
    id
}

#[tokio::test]
async fn an_allowed_call_is_recorded_sent_anew_and_answered_under_its_own_id() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    world.server.will(answers(RESULT));
    let spaced = CALL.replace(":", " :\n ").replace("name", "\\u006eame");
    let answer =
        world.post(&token, &[("cookie", "c=1"), ("x-custom", "x"), ("mcp-name", "other")], &spaced).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json().await,
        json!({"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hi"}]}})
    );

    let seen = world.server.seen();
    assert_eq!(seen.len(), 1);
    let names: Vec<&str> = seen[0].headers.keys().map(|name| name.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        ["accept", "content-length", "content-type", "host", "mcp-protocol-version", "user-agent"]
    );
    let sent = seen[0].json();
    assert_ne!(sent["id"], 7);
    assert!(sent["id"].as_u64().unwrap() < 1 << 53);
    assert!(
        !seen[0].body.contains(' ') && seen[0].body.contains(r#""name":"read_file""#),
        "{}",
        seen[0].body
    );
    assert!(!seen[0].body.contains(&token));

    assert_eq!(
        world.log.summary(),
        ["request.admitted tools/call read_file", "request.completed tools/call ok"]
    );
    let admitted = &world.log.records()[0];
    assert_eq!(admitted["actor"]["subject"], "ann");
    assert_eq!(admitted["decision"]["rule"], "reader/rules[0]");
    assert_eq!(admitted["object"], json!({"kind":"McpServer","namespace":"dev","name":"files"}));
    assert!(admitted["request"]["argsDigest"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert!(!admitted.to_string().contains("/a\""), "arguments are not recorded");
    assert_eq!(world.log.records()[1]["intent"], 0);
    world.stop().await;
}

#[tokio::test]
async fn a_record_names_the_session_and_the_trace() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    world.server.will(answers(RESULT));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("mcp-session-id", session.as_str()), ("traceparent", traceparent)];
    assert_eq!(world.post(&token, &headers, CALL).await.status, 200);
    let records = world.log.records();
    let is_call = |record: &&serde_json::Value| record["request"]["tool"] == "read_file";
    let admitted = records.iter().find(is_call).unwrap();
    assert_eq!(admitted["trace"], "0af7651916cd43dd8448eb211c80319c");
    let tag = admitted["request"]["session"].as_str().unwrap();
    assert!(!tag.is_empty() && !session.contains(tag) && !tag.contains(&session), "{tag}");
    world.stop().await;
}

#[tokio::test]
async fn a_request_has_one_id_in_the_record_and_in_what_the_client_is_told() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let late =
        |text: &str| Script { pieces: vec![(Duration::from_millis(1010), text.to_owned())], ..answers("") };
    world.server.will(late(RESULT));
    assert_eq!(world.post(&token, &[], CALL).await.status, 200);
    world.server.will(late("no JSON"));
    let failed = world.post(&token, &[], CALL).await;
    assert_eq!(failed.status, 502);
    let told = failed.json().await["error"]["data"]["requestId"].clone();
    let records = world.log.records();
    let id = |index: usize| records[index]["request"]["id"].as_str().unwrap().to_owned();
    assert_eq!((id(0), id(2)), (id(1), id(3)), "intent and outcome");
    assert_ne!(id(0), id(2));
    assert_eq!((id(0).len(), told.as_str()), (36, Some(id(2).as_str())));
    // Longer than a second, so that a time without its seconds is seen.
    for outcome in [&records[1], &records[3]] {
        let taken = outcome["outcome"]["durationMs"].as_f64().unwrap();
        assert!((1000.0..5000.0).contains(&taken), "{taken}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_is_recorded() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    let template = json!({"type": "ref/resource", "uri": "file:///{x}"});
    for (method, params, resource, prompt, has_digest) in [
        ("resources/read", json!({"uri": "file:///a"}), Some("file:///a"), None, false),
        (
            "completion/complete",
            json!({"ref": template, "argument": {"name": "x", "value": "a"}}),
            Some("file:///{x}"),
            None,
            false,
        ),
        ("prompts/get", json!({"name": "greet", "arguments": {"who": "me"}}), None, Some("greet"), true),
        ("ping", json!({}), None, None, false),
    ] {
        let before = world.log.records().len();
        world.server.will(answers(r#"{"jsonrpc":"2.0","id":$id,"result":{}}"#));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = world.post(&token, &[], &body.to_string()).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(answer.json().await["result"], json!({}), "{method}");
        let request = world.log.records()[before]["request"].clone();
        assert_eq!(request["method"], method);
        assert_eq!(
            (request["resource"].as_str(), request["prompt"].as_str()),
            (resource, prompt),
            "{method}"
        );
        assert_eq!(request["argsDigest"].is_string(), has_digest, "{method}");
    }
    world.stop().await;
}

/// A client that asks, and leaves while its intent is being written.
async fn leave(world: &World, token: &str) {
    let before = world.log.records().len();
    let begun = async {
        while world.log.records().len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = world.post(token, &[], CALL) => panic!("it is answered before its intent is durable"),
        () = begun => {}
    }
}

/// Who leaves before the record is durable leaves an intent, and that is closed before the gateway ends.
#[tokio::test]
async fn an_intent_that_nobody_waits_for_is_closed_at_the_end() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    *world.log.mode.lock().unwrap() = LogMode::Late;
    leave(&world, &token).await;
    let log = std::sync::Arc::clone(&world.log);
    world.end();
    world.has_ended().await;
    assert_eq!(
        log.summary(),
        ["request.admitted tools/call read_file", "request.completed tools/call cancelled"]
    );
}

/// Each record has an id of its own, the full length of one.
pub(crate) fn assert_ids_differ(records: &[serde_json::Value]) {
    let ids: std::collections::BTreeSet<_> =
        records.iter().filter_map(|record| record["id"].as_str()).collect();
    assert!(ids.len() == records.len() && ids.iter().all(|id| id.len() == 36), "{ids:?}");
}

#[tokio::test]
async fn what_is_not_granted_never_reaches_the_server_and_is_recorded() {
    let world = World::start().await;
    let reader = world.token("ann", "readers");
    for (body, what) in [
        (CALL.replace("read_file", "write_file"), "tool `write_file`"),
        (CALL.replace("/a", "/secret/b"), "tool `read_file`"),
        (CALL.replace(r#","arguments":{"path":"/a"}"#, ""), "tool `read_file`"),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"file:///etc"}}"#.to_owned(),
            "resource",
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"other"}}"#.to_owned(),
            "prompt `other`",
        ),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{}}"#.to_owned(), "method `tasks/get`"),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"Tools/call","params":{"name":"read_file"}}"#.to_owned(),
            "method",
        ),
    ] {
        let answer = world.post(&reader, &[], &body).await;
        assert_eq!(answer.status, 403, "{body}");
        let answer = answer.json().await;
        assert_eq!(answer["id"], 7);
        assert_eq!(answer["error"]["code"], -31403);
        assert!(answer["error"]["message"].as_str().unwrap().contains(what), "{answer}");
        assert!(answer["error"]["data"]["requestId"].is_string());
    }
    assert!(world.server.seen().is_empty());
    assert_eq!(world.log.records().len(), 7);
    assert!(world.log.records().iter().all(|record| record["kind"] == "request.denied"));

    // Who has no grant on a server at all, and a server that does not exist, look the same.
    let stranger = world.token("eve", "nobody");
    let forbidden = world.post(&stranger, &[], CALL).await;
    let unknown = world.post(&stranger, &[(":path", "/mcp/dev/nothing")], CALL).await;
    assert_eq!((forbidden.status, unknown.status), (404, 404));
    let (forbidden, unknown) = (forbidden.text().await, unknown.text().await);
    assert_eq!(forbidden.replace("dev/files", "dev/nothing"), unknown);
    let records = world.log.records();
    assert_eq!(records[7]["decision"]["rule"], "no grant");
    assert_eq!(records[7]["request"]["tool"], "read_file");
    assert_eq!(records[8]["decision"]["rule"], "unknown server");
    assert_ids_differ(&records);
    world.stop().await;
}

#[tokio::test]
async fn without_a_valid_token_nothing_happens_but_a_challenge() {
    let world = World::start().await;
    let answer = world.post("x.y.z", &[], CALL).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").to_owned();
    let metadata = format!(
        "resource_metadata=\"http://{}/.well-known/oauth-protected-resource/mcp/dev/files\"",
        world.address
    );
    assert!(challenge.starts_with("Bearer ") && challenge.contains(&metadata), "{challenge}");
    assert!(world.server.seen().is_empty() && world.log.records().is_empty());
    let path = (":path", "/.well-known/oauth-protected-resource/mcp/dev/files");
    let answer = world.send("GET", "none", &[path], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await["resource"], format!("http://{}/mcp/dev/files", world.address));
    world.stop().await;
}

#[tokio::test]
async fn when_the_record_cannot_be_written_nothing_is_forwarded() {
    let limits = narrows_gateway::Limits { audit_timeout: Duration::from_millis(200), ..Default::default() };
    let world = World::with(limits).await;
    let token = world.token("ann", "readers");
    for mode in [LogMode::Refuses, LogMode::Hangs] {
        *world.log.mode.lock().unwrap() = mode;
        let answer = world.post(&token, &[], CALL).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
        assert_eq!(answer.json().await["error"]["code"], -31503);
    }
    assert!(world.server.seen().is_empty());
    *world.log.mode.lock().unwrap() = LogMode::Works;
    world.server.will(answers(RESULT));
    assert_eq!(world.post(&token, &[], CALL).await.status, 200);
    world.stop().await;
}

#[tokio::test]
async fn an_intent_whose_request_was_given_up_is_closed_all_the_same() {
    let limits = narrows_gateway::Limits { audit_timeout: Duration::from_millis(200), ..Default::default() };
    let world = World::with(limits).await;
    let token = world.token("ann", "readers");
    *world.log.mode.lock().unwrap() = LogMode::Late;
    assert_eq!(world.post(&token, &[], CALL).await.status, 503, "too late for the limit");
    world.closed().await;
    leave(&world, &token).await;
    world.closed().await;
    assert!(world.server.seen().is_empty());
    let reasons: Vec<_> = world
        .log
        .records()
        .iter()
        .filter_map(|r| r["outcome"]["error"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        reasons,
        ["it was not recorded in time, and not forwarded", "the client left before it was forwarded"]
    );
    world.stop().await;
}

#[tokio::test]
async fn what_is_listed_is_what_can_be_called() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let tools = r#"{"jsonrpc":"2.0","id":$id,"result":{"tools":[{"name":"read_file","inputSchema":{"$defs":{"x":{}},"n":1.50}},{"name":"write_file"},{"name":"read_dir"},{"noname":1}],"nextCursor":"c2","other":true}}"#;
    world.server.will(answers(tools));
    let answer = world.post(&token, &[], list).await.text().await;
    assert!(
        answer.contains(
            r#"{"name":"read_file","inputSchema":{"$defs":{"x":{}},"n":1.50}},{"name":"read_dir"}]"#
        ),
        "{answer}"
    );
    assert!(!answer.contains("write_file") && answer.contains(r#""other":true"#) && !answer.contains("c2\""));
    let cursor = serde_json::from_str::<serde_json::Value>(&answer).unwrap()["result"]["nextCursor"]
        .as_str()
        .unwrap()
        .to_owned();
    // The cursor comes back as the server's own, and only for whom and what it was given.
    world.server.will(events(&["event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"tools\":[{\"name\":\"write_file\"}]}}\n\n"]));
    let next =
        format!(r#"{{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{{"cursor":"{cursor}"}}}}"#);
    let answer = world.post(&token, &[], &next).await.text().await;
    assert!(answer.contains(r#""tools":[]"#), "{answer}");
    assert_eq!(world.server.seen()[1].json()["params"]["cursor"], "c2");
    assert_eq!(world.post(&token, &[], &next.replace("tools/list", "prompts/list")).await.status, 400);
    assert_eq!(world.post(&world.token("bob", "readers"), &[], &next).await.status, 400);
    assert_eq!(world.server.seen().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn a_session_is_its_principals_own() {
    let world = World::start().await;
    let ann = world.token("ann", "readers");
    let session = open(&world, &ann).await;
    let header = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    world.server.will(answers(RESULT));
    assert_eq!(world.post(&ann, &header, CALL).await.status, 200);
    assert_eq!(world.server.seen()[1].headers["mcp-session-id"], "server-session-1");
    assert_eq!(world.server.seen()[1].headers["mcp-protocol-version"], "2025-11-25");

    let other = world.token("bob", "readers");
    let mut flipped = session.clone().into_bytes();
    let last = flipped.len() - 2;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let before = world.server.seen().len();
    for (token, id) in [
        (&other, session.as_str()),
        (&ann, &flipped),
        (&ann, &session[..20]),
        (&ann, "server-session-1"),
        (&ann, ""),
    ] {
        for method in ["POST", "GET", "DELETE"] {
            let body = if method == "POST" { CALL } else { "" };
            let answer = world.send(method, token, &[("mcp-session-id", id)], body).await;
            assert_eq!(answer.status, 404, "{method} {id}");
        }
    }
    let wrong = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-06-18")];
    assert_eq!(world.post(&ann, &wrong, CALL).await.status, 400);
    let unknown = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2024-01-01")];
    assert_eq!(world.post(&ann, &unknown, CALL).await.status, 400);
    assert_eq!(world.server.seen().len(), before);

    world.server.will(status(404));
    let answer = world.post(&ann, &header, CALL).await;
    assert_eq!(answer.status, 404, "a session that the server lost is lost to the client");
    world.server.will(status(200));
    assert_eq!(world.send("DELETE", &ann, &header, "").await.status, 204);
    world.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_the_answer_is_not_passed_on() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    for (script, expected) in [
        (answers(r#"{"jsonrpc":"2.0","id":999,"result":{}}"#), 502),
        (answers(r#"{"jsonrpc":"2.0","id":"$id","result":{}}"#), 502),
        (answers(r#"{"jsonrpc":"2.0","id":$id,"result":{}}{"#), 502),
        (answers(r#"{"jsonrpc":"2.0","id":$id,"result":{},"result":{}}"#), 502),
        (answers(r#"{"jsonrpc":"2.0","id":$id,"result":{}"#), 502),
        (answers(""), 502),
        (answers("[]"), 502),
        (status(202), 502),
        (status(200), 502),
        (status(500), 502),
        (status(401), 502),
        (status(301), 502),
    ] {
        world.server.will(script);
        let answer = world.post(&token, &[], CALL).await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("www-authenticate"), "");
        let body = answer.json().await;
        assert_eq!((&body["id"], &body["error"]["code"]), (&json!(7), &json!(-31502)));
    }
    assert_eq!(world.log.open(), 0, "each intent has its outcome");
    *world.health.0.lock().unwrap() = Some("its process ended (exit code 3)".to_owned());
    let answer = world.post(&token, &[], CALL).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().await.contains("its process ended (exit code 3)"));
    assert_eq!(world.log.summary().last().unwrap(), "request.completed tools/call error");
    world.stop().await;
}

#[tokio::test]
async fn a_large_result_is_streamed_with_its_id_restored() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let text = "x".repeat(300_000);
    let body =
        format!(r#"{{"result":{{"content":[{{"type":"text","text":"{text}"}}]}},"jsonrpc":"2.0","id":$id}}"#);
    world.server.will(answers(body));
    let answer = world.post(&token, &[], CALL).await.json().await;
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["result"]["content"][0]["text"].as_str().unwrap().len(), 300_000);
    let wrong =
        format!(r#"{{"result":{{"content":[{{"type":"text","text":"{text}"}}]}},"jsonrpc":"2.0","id":3}}"#);
    let mut late = answers("");
    late.pieces = wrong
        .as_bytes()
        .chunks(50_000)
        .map(|piece| (Duration::from_millis(20), String::from_utf8(piece.to_vec()).unwrap()))
        .collect();
    world.server.will(late);
    let mut answer = world.post(&token, &[], CALL).await;
    let mut last = Ok(String::new());
    while let Some(piece) = answer.piece().await {
        last = piece;
    }
    assert!(last.is_err(), "the response is cut off, not completed");
    assert_eq!(world.log.summary().last().unwrap(), "request.completed tools/call error");
    world.stop().await;
}

#[tokio::test]
async fn observe_lets_through_what_it_records_as_denied() {
    let world = World::start().await;
    world.publish("observe", super::world::ROLES);
    let token = world.token("ann", "readers");
    world.server.will(answers(RESULT));
    let answer = world.post(&token, &[], &CALL.replace("read_file", "write_file")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        world.log.summary(),
        [
            "request.denied tools/call write_file",
            "request.admitted tools/call write_file",
            "request.completed tools/call ok"
        ]
    );
    let records = world.log.records();
    assert_eq!(records[0]["decision"]["mode"], "observe");
    assert_eq!(records[1]["decision"]["effect"], "deny");
    assert_eq!(world.post("x.y.z", &[], CALL).await.status, 401, "identity is still required");
    world.stop().await;
}

#[tokio::test]
async fn batches_belong_to_one_revision_and_each_message_goes_its_own_way() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let denied = CALL.replace("read_file", "write_file").replace("\"id\":7", "\"id\":8");
    let batch = format!("[{CALL},{denied}]");
    assert_eq!(world.post(&token, &[], &batch).await.status, 400);
    let mut script = answers(INITIALIZED.replace("2025-11-25", "2025-03-26"));
    script.headers.push(("mcp-session-id", "old".to_owned()));
    world.server.will(script);
    let session = world.post(&token, &[], INITIALIZE).await.header("mcp-session-id").to_owned();
    world.server.will(answers(RESULT));
    let header = [("mcp-session-id", session.as_str())];
    let answer = world.post(&token, &header, &batch).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json().await;
    assert_eq!(answer[0]["result"]["content"][0]["text"], "hi");
    assert_eq!((&answer[1]["id"], &answer[1]["error"]["code"]), (&json!(8), &json!(-31403)));
    assert_eq!(world.post(&token, &header, "[]").await.status, 400);
    let flood = format!("[{}]", vec![CALL; 33].join(","));
    assert_eq!(world.post(&token, &header, &flood).await.status, 400);
    assert_eq!(
        world.post(&token, &header, &format!("[[{CALL}]]")).await.json().await[0]["error"]["code"],
        -32600
    );
    world.stop().await;
}

#[tokio::test]
async fn a_session_is_initialized_once() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let answer = world.post(&token, &[("mcp-session-id", &session)], INITIALIZE).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().await["error"]["code"], -32600);
    assert_eq!(world.server.seen().len(), 1);
    world.stop().await;
}
