//! Sessions: what a client of 2025-03-26 to 2025-11-25 sees.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::{
    client::send,
    harness::{Bridge, alive, call, initialize, server, until},
};

#[tokio::test]
async fn a_session_is_opened_used_and_deleted() {
    let bridge = Bridge::start(server(&[])).await;
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = bridge.session(revision).await;
        let list = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
        let listed = session.post(&list).await.json().await;
        assert_eq!(listed["id"], 7);
        assert_eq!(listed["result"]["tools"][0]["name"], "echo");
        let pid: u32 = session.text("pid", json!({})).await.parse().unwrap();
        assert!(alive(pid));
        assert_eq!(session.request(Method::DELETE, &[]).await.status, 204);
        assert_eq!(session.post(&list).await.status, 404);
        until("the process ends with its session", || std::future::ready(!alive(pid))).await;
    }
    bridge.stop().await;
}

#[tokio::test]
async fn ids_of_any_form_come_back_as_they_were_written() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    for id in ["1", "-5", "9007199254740991", "\"1\"", "\"a\\\"b\\n\"", "\"\"", "0"] {
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}");
        let headers = [("mcp-session-id", session.id.as_str())];
        let answer = bridge.post_text(&headers, &body).await.json().await;
        assert_eq!(answer["id"], serde_json::from_str::<Value>(id).unwrap(), "{id}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn concurrent_calls_get_their_own_answers_even_with_equal_ids() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-11-25").await;
    let one = |number: u64| {
        let session = &session;
        async move {
            // Those that came first answer last.
            let wait = call(5, "slow", json!({"ms": 300 - number * 15}));
            let echo = call(5, "echo", json!({"text": number.to_string()}));
            let (_, echo) = tokio::join!(session.post(&wait), session.post(&echo));
            let messages = echo.messages().await;
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0]["id"], 5);
            assert_eq!(messages[0]["result"]["content"][0]["text"], number.to_string());
        }
    };
    tokio::join!(one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7), one(8), one(9));
    bridge.stop().await;
}

#[tokio::test]
async fn a_request_of_the_servers_goes_to_the_call_in_flight_and_its_answer_back() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let mut listening = session.listen().await;
    let mut stream = session.post(&call(1, "ask", json!({"method": "sampling/createMessage"}))).await;
    let asked = stream.message().await.unwrap();
    assert_eq!(asked["method"], "sampling/createMessage");
    assert_eq!(asked["params"]["question"], 1);
    // An answer that nobody waits for is dropped; the right one arrives.
    let unknown = json!({"jsonrpc": "2.0", "id": 999, "result": {"wrong": true}});
    assert_eq!(session.post(&unknown).await.status, 202);
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"model": "m"}});
    assert_eq!(session.post(&answer).await.status, 202);
    assert_eq!(session.post(&answer).await.status, 202, "a second one is dropped");
    let messages = stream.messages().await;
    let text: Value =
        serde_json::from_str(messages[0]["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text["result"], json!({"model": "m"}));
    assert_eq!(text["id"], "ask-0", "the server sees its own id");
    // Nothing of it was said twice.
    session
        .post(&call(2, "notify", json!({"method": "notifications/tools/list_changed"})))
        .await
        .json()
        .await;
    assert_eq!(listening.message().await.unwrap()["method"], "notifications/tools/list_changed");
    bridge.stop().await;
}

#[tokio::test]
async fn a_clients_refusal_reaches_the_server() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let mut stream = session.post(&call(1, "ask", json!({"method": "elicitation/create"}))).await;
    let asked = stream.message().await.unwrap();
    let error = json!({"code": -1, "message": "no", "data": [1.50]});
    session.post(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error})).await;
    let last = stream.message().await.unwrap();
    let text = last["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap()["error"], error);
    bridge.stop().await;
}

#[tokio::test]
async fn progress_and_logs_come_on_the_stream_of_their_call() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    for token in [json!("token"), json!(7)] {
        let mut body = call(1, "progress", json!({"steps": 3, "ms": 0}));
        body["params"]["_meta"] = json!({"progressToken": token, "other": {"kept": 1}});
        let messages = session.post(&body).await.messages().await;
        let steps: Vec<_> = messages.iter().filter(|m| m["method"] == "notifications/progress").collect();
        assert_eq!(steps.len(), 3);
        assert!(steps.iter().all(|step| step["params"]["progressToken"] == token), "{messages:?}");
        assert_eq!(messages.last().unwrap()["id"], 1);
    }
    let log = json!({"method": "notifications/message", "params": {"level": "info", "data": "x"}});
    let messages = session.post(&call(2, "notify", log)).await.messages().await;
    assert_eq!(messages[0]["params"]["data"], "x");
    assert_eq!(messages[1]["id"], 2);
    // What the server was given is a token of ours, and everything else as it was.
    let seen: Value =
        serde_json::from_str(&session.text("seen", json!({"method": "tools/call"})).await).unwrap();
    assert_eq!(seen[0]["params"]["_meta"]["other"], json!({"kept": 1}));
    assert_eq!(seen[0]["params"]["_meta"]["progressToken"], seen[0]["id"]);
    bridge.stop().await;
}

#[tokio::test]
async fn a_burst_is_not_taken_for_a_client_that_does_not_read() {
    let bridge = Bridge::start_with(server(&[]), |config| config.caps.queue = 16).await;
    let session = bridge.session("2025-06-18").await;
    let mut body = call(1, "progress", json!({"steps": 5000, "ms": 0}));
    body["params"]["_meta"] = json!({"progressToken": "t"});
    let messages = session.post(&body).await.messages().await;
    let steps: Vec<u64> =
        messages.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
    assert_eq!(steps, (1..=5000).collect::<Vec<u64>>());
    assert_eq!(messages.last().unwrap()["id"], 1);
    bridge.stop().await;
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_by_the_id_that_the_server_knows() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-11-25").await;
    let waiting = session.post(&call("c-1", "never", json!({}))).await;
    assert!(waiting.is_stream());
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": "c-1", "reason": "enough"}});
    assert_eq!(session.post(&cancel).await.status, 202);
    let unknown =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "other"}});
    assert_eq!(session.post(&unknown).await.status, 202);
    let calls: Value =
        serde_json::from_str(&session.text("seen", json!({"method": "tools/call"})).await).unwrap();
    let seen = session.text("seen", json!({"method": "notifications/cancelled"})).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen.as_array().unwrap().len(), 1, "a cancellation of nothing is not passed on");
    assert_eq!(seen[0]["params"], json!({"requestId": calls[0]["id"], "reason": "enough"}));
    bridge.stop().await;
}

#[tokio::test]
async fn a_disconnect_does_not_cancel_and_the_stream_can_be_resumed() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-11-25").await;
    let mut body = call(1, "progress", json!({"steps": 2, "ms": 400}));
    body["params"]["_meta"] = json!({"progressToken": "t"});
    let mut stream = session.post(&body).await;
    let first = stream.event().await.unwrap();
    assert!(first.id.is_some() && !first.data.is_empty());
    drop(stream);
    let id = first.id.unwrap();
    let resumed = session.request(Method::GET, &[("last-event-id", &id)]).await;
    let messages = resumed.messages().await;
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[0]["params"]["progress"], 2);
    assert_eq!(messages[1]["id"], 1);
    // A stream that is finished can be resumed too, and one that never was ends at once.
    let again = session.request(Method::GET, &[("last-event-id", &id)]).await;
    assert_eq!(again.messages().await, messages);
    for nonsense in ["77-1", "x", "0-", "-1"] {
        let answer = session.request(Method::GET, &[("last-event-id", nonsense)]).await;
        assert_eq!(answer.messages().await, Vec::<Value>::new(), "{nonsense}");
    }
    let seen = session.text("seen", json!({"method": "notifications/cancelled"})).await;
    assert_eq!(seen, "[]");
    bridge.stop().await;
}

#[tokio::test]
async fn a_slow_call_of_2025_11_25_is_primed_and_an_older_one_is_not() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-11-25").await;
    let mut stream = session.post(&call(1, "slow", json!({"ms": 200}))).await;
    let priming = stream.event().await.unwrap();
    assert_eq!((priming.data.as_str(), priming.retry), ("", Some(1000)));
    let resumed = session.request(Method::GET, &[("last-event-id", &priming.id.unwrap())]).await;
    assert_eq!(resumed.messages().await[0]["id"], 1);
    let older = bridge.session("2025-06-18").await;
    let answer = older.post(&call(1, "slow", json!({"ms": 200}))).await;
    assert_eq!(answer.json().await["id"], 1);
    bridge.stop().await;
}

#[tokio::test]
async fn unasked_messages_wait_for_the_get_stream_of_which_there_is_one() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    // Said while nothing is in flight: the line comes after the answer.
    let changed = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}";
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{}}";
    let arguments = json!({"lines": [answer, changed], "quiet": true});
    session.post(&call(1, "raw", arguments)).await.json().await;
    session.text("echo", json!({"text": "after"})).await;
    let mut listening = session.listen().await;
    assert_eq!(listening.message().await.unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(session.request(Method::GET, &[]).await.status, 409);
    drop(listening);
    until("another may listen", async || session.request(Method::GET, &[]).await.status == 200).await;
    bridge.stop().await;
}

#[tokio::test]
async fn what_is_no_request_of_this_transport_is_refused_with_its_reason() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let id = session.id.as_str();
    let list = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
    let wrong = "0".repeat(32);
    for (headers, body, status, code) in [
        (vec![], list, 400, -32600),
        (vec![("mcp-session-id", wrong.as_str())], list, 404, -31005),
        (vec![("mcp-session-id", id), ("mcp-session-id", id)], list, 400, -32600),
        (vec![("mcp-session-id", id), ("mcp-protocol-version", "1999-01-01")], list, 400, -32600),
        (vec![("mcp-session-id", id), ("mcp-protocol-version", "2026-07-28")], list, 400, -32602),
        (vec![("mcp-session-id", id), ("narrows-principal", "other")], list, 404, -31005),
        (
            vec![("mcp-session-id", id)],
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}",
            400,
            -32600,
        ),
        (vec![("mcp-session-id", id)], "{\"jsonrpc\":\"2.0\",\"method\":\"tools/list\"}", 400, -32600),
        (vec![("mcp-session-id", id)], "nonsense", 400, -32700),
        (vec![("mcp-session-id", id)], "[]", 400, -32600),
        (vec![("mcp-session-id", id)], &format!("{list}{list}"), 400, -32700),
        (vec![("mcp-session-id", id), ("content-encoding", "gzip")], list, 415, -32600),
    ] {
        let answer = bridge.post_text(&headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {body}");
        assert_eq!(answer.json().await["error"]["code"], code, "{headers:?} {body}");
    }
    let socket = &bridge.socket;
    let json = ("content-type", "application/json");
    let both = ("accept", "application/json, text/event-stream");
    for (method, headers, status) in [
        (Method::POST, vec![json], 406),
        (Method::POST, vec![json, ("accept", "application/json")], 406),
        (Method::POST, vec![both, ("content-type", "text/plain")], 415),
        (Method::GET, vec![("accept", "application/json")], 406),
        (Method::GET, vec![both], 400),
        (Method::GET, vec![both, ("mcp-protocol-version", "2026-07-28")], 405),
        (Method::DELETE, vec![], 400),
        (Method::DELETE, vec![("mcp-protocol-version", "2026-07-28")], 405),
        (Method::PUT, vec![both], 405),
    ] {
        let answer = send(socket, method.clone(), &headers, "").await;
        assert_eq!(answer.status, status, "{method} {headers:?}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_batch_is_taken_in_2025_03_26_only() {
    let bridge = Bridge::start(server(&[])).await;
    let batch = json!([
        call(1, "echo", json!({"text": "one"})),
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        call(2, "slow", json!({"ms": 100})),
    ]);
    let session = bridge.session("2025-03-26").await;
    let messages = session.post(&batch).await.messages().await;
    let ids: Vec<&Value> = messages.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2)]);
    assert_eq!(
        session
            .text("seen", json!({"method": "notifications/roots/list_changed"}))
            .await
            .matches("jsonrpc")
            .count(),
        1
    );
    assert_eq!(session.post(&json!([initialize("2025-03-26")])).await.status, 400);
    assert_eq!(bridge.session("2025-06-18").await.post(&batch).await.status, 400);
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_ended_and_one_that_listens_is_not() {
    let bridge =
        Bridge::start_with(server(&[]), |config| config.timing.idle = Duration::from_millis(400)).await;
    let kept = bridge.session("2025-06-18").await;
    let _listening = kept.listen().await;
    let left = bridge.session("2025-06-18").await;
    let pid: u32 = left.text("pid", json!({})).await.parse().unwrap();
    until("the idle session's process ends", || std::future::ready(!alive(pid))).await;
    assert_eq!(left.post(&call(1, "echo", json!({}))).await.status, 404);
    assert_eq!(kept.text("echo", json!({"text": "here"})).await, "here");
    bridge.stop().await;
}
