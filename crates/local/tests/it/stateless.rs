//! Requests of 2026-07-28, which stand alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    client::Answer,
    harness::{Bridge, alive, call, server, shared, until},
};

fn modern(mut body: Value) -> Value {
    if body["params"].is_null() {
        body["params"] = json!({});
    }
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    body
}

/// Sends a request with the headers that it must have, as this principal.
async fn post_as(bridge: &Bridge, principal: &str, body: Value) -> Answer {
    let body = modern(body);
    let method = body["method"].as_str().unwrap().to_owned();
    let name = body["params"]["name"].as_str().unwrap_or_default().to_owned();
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method.as_str())];
    headers.extend((!principal.is_empty()).then_some(("narrows-principal", principal)));
    headers.extend((!name.is_empty()).then_some(("mcp-name", name.as_str())));
    bridge.post(&headers, &body).await
}

async fn post(bridge: &Bridge, body: Value) -> Answer {
    post_as(bridge, "", body).await
}

async fn text_as(bridge: &Bridge, principal: &str, tool: &str, arguments: Value) -> String {
    let messages = post_as(bridge, principal, call(1, tool, arguments)).await.messages().await;
    messages.last().unwrap()["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_need_no_session_and_find_the_process_of_their_principal() {
    let bridge = Bridge::start(server(&[])).await;
    let discovered = post(&bridge, json!({"jsonrpc": "2.0", "id": "d", "method": "server/discover"})).await;
    assert_eq!(discovered.status, 200);
    assert_eq!(discovered.json().await["result"]["supportedVersions"], json!(["2026-07-28"]));
    let alice = text_as(&bridge, "alice", "pid", json!({})).await;
    assert_eq!(text_as(&bridge, "alice", "pid", json!({})).await, alice);
    assert_ne!(text_as(&bridge, "bob", "pid", json!({})).await, alice);
    // The session that is named says nothing any more.
    let body = modern(call(1, "pid", json!({})));
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "pid"),
        ("narrows-principal", "alice"),
        ("mcp-session-id", "nonsense"),
    ];
    let told = bridge.post(&headers, &body).await.json().await;
    assert_eq!(told["result"]["content"][0]["text"], alice);
    bridge.stop().await;
}

#[tokio::test]
async fn many_first_requests_at_once_start_one_process() {
    let bridge = Bridge::start(server(&[])).await;
    let one = || text_as(&bridge, "alice", "pid", json!({}));
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    assert!(a == b && b == c && c == d, "{a} {b} {c} {d}");
    until("its start is logged", || std::future::ready(bridge.log().contains("peer started"))).await;
    assert_eq!(bridge.log().matches("bridge: started").count(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn errors_have_the_status_that_the_revision_gives_them() {
    let bridge = Bridge::start(server(&[])).await;
    for (code, status) in
        [(-32020, 400), (-32021, 400), (-32022, 400), (-32601, 404), (-32602, 200), (-32603, 200), (7, 200)]
    {
        let answer = post(&bridge, call(1, "error", json!({"code": code}))).await;
        assert_eq!(answer.status, status, "{code}");
        assert_eq!(answer.json().await["error"]["code"], code);
    }
    let unknown = post(&bridge, json!({"jsonrpc": "2.0", "id": 1, "method": "no/such"})).await;
    assert_eq!(unknown.status, 404);
    bridge.stop().await;
}

#[tokio::test]
async fn headers_and_metadata_must_agree_with_the_body() {
    let bridge = Bridge::start(server(&[])).await;
    let version = ("mcp-protocol-version", "2026-07-28");
    let method = ("mcp-method", "tools/call");
    let name = ("mcp-name", "echo");
    let good = modern(call(1, "echo", json!({})));
    let mut no_meta = good.clone();
    no_meta["params"]["_meta"] = json!({});
    let mut no_capabilities = good.clone();
    no_capabilities["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let mut future = good.clone();
    future["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    for (headers, body, status, code) in [
        (vec![version, method, name], &good, 200, 0),
        (vec![method, name], &good, 400, -32020),
        (vec![version, name], &good, 400, -32020),
        (vec![version, method], &good, 400, -32020),
        (vec![version, method, ("mcp-name", "other")], &good, 400, -32020),
        (vec![version, ("mcp-method", "tools/list"), name], &good, 400, -32020),
        (vec![("mcp-protocol-version", "2025-11-25"), method, name], &good, 400, -32020),
        (vec![version, method, name], &no_meta, 400, -32602),
        (vec![version, method, name], &no_capabilities, 400, -32602),
        (vec![version, method, name], &future, 400, -32020),
        (vec![("mcp-protocol-version", "2099-01-01"), method, name], &future, 400, -32022),
    ] {
        let answer = bridge.post(&headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {body}");
        let body = answer.json().await;
        assert_eq!(body["error"]["code"].as_i64().unwrap_or(0), code, "{headers:?}");
        assert_eq!(body["id"], 1, "{headers:?}");
    }
    let notification =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(bridge.post(&[version], &notification).await.status, 202);
    bridge.stop().await;
}

#[tokio::test]
async fn progress_streams_and_a_broken_connection_cancels() {
    let bridge = Bridge::start(server(&[])).await;
    let mut body = call("p", "progress", json!({"steps": 2, "ms": 0}));
    body["params"]["_meta"] = json!({"progressToken": "t"});
    let answer = post(&bridge, body).await;
    assert!(answer.is_stream() && answer.status == 200);
    let messages = answer.messages().await;
    assert_eq!(messages.len(), 3);
    assert_eq!((&messages[0]["params"]["progressToken"], &messages[2]["id"]), (&json!("t"), &json!("p")));
    assert_eq!(text_as(&bridge, "", "seen", json!({"method": "notifications/cancelled"})).await, "[]");
    // One that is broken before anything was said, and one after.
    let silent =
        tokio::time::timeout(Duration::from_millis(200), post(&bridge, call(1, "never", json!({})))).await;
    assert!(silent.is_err());
    let mut body = call(2, "progress", json!({"steps": 1, "ms": 600_000}));
    body["params"]["_meta"] = json!({"progressToken": "t"});
    let mut broken = post(&bridge, body).await;
    broken.message().await.unwrap();
    drop(broken);
    until("both are cancelled", async || {
        let seen = text_as(&bridge, "", "seen", json!({"method": "notifications/cancelled"})).await;
        seen.matches("requestId").count() == 2
    })
    .await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_burst_is_not_taken_for_a_client_that_does_not_read() {
    let bridge = Bridge::start_with(server(&[]), |config| config.caps.queue = 16).await;
    let mut body = call(1, "progress", json!({"steps": 5000, "ms": 0}));
    body["params"]["_meta"] = json!({"progressToken": "t"});
    assert_eq!(post(&bridge, body).await.messages().await.len(), 5001);
    bridge.stop().await;
}

#[tokio::test]
async fn what_a_tool_wants_in_a_header_must_be_there_and_be_the_same() {
    let bridge = Bridge::start(server(&[])).await;
    let body = modern(call(1, "annotated", json!({"region": "eu", "other": "us"})));
    let standard =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "annotated")];
    for (more, status) in [
        (vec![], 400),
        (vec![("mcp-param-region", "us")], 400),
        (vec![("mcp-param-region", "eu")], 200),
        (vec![("mcp-param-region", "eu"), ("mcp-param-other", "us")], 200),
        (vec![("mcp-param-region", "eu"), ("mcp-param-other", "asia")], 400),
    ] {
        let headers: Vec<_> = standard.iter().copied().chain(more.iter().copied()).collect();
        let answer = bridge.post(&headers, &body).await;
        assert_eq!(answer.status, status, "{more:?}");
        let expected = if status == 400 { json!(-32020) } else { Value::Null };
        assert_eq!(answer.json().await["error"]["code"], expected, "{more:?}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn logs_go_to_the_request_that_asked_for_them() {
    let bridge = Bridge::start(server(&[])).await;
    let log = json!({"method": "notifications/message", "params": {"data": "x"}});
    assert_eq!(post(&bridge, call(1, "notify", log.clone())).await.messages().await.len(), 1);
    let mut body = call(1, "notify", log);
    body["params"]["_meta"] = json!({"io.modelcontextprotocol/logLevel": "info"});
    assert_eq!(post(&bridge, body).await.messages().await.len(), 2);
    bridge.stop().await;
}

#[tokio::test]
async fn a_subscription_has_the_clients_own_id_on_every_message() {
    for server in [server(&[]), shared()] {
        let bridge = Bridge::start(server).await;
        let id = "io.modelcontextprotocol/subscriptionId";
        let listen = |name: &str| {
            json!({"jsonrpc": "2.0", "id": name, "method": "subscriptions/listen",
                "params": {"notifications": {"toolsListChanged": true}}})
        };
        // Two clients chose the same id.
        let mut one = post(&bridge, listen("sub")).await;
        let mut two = post(&bridge, listen("sub")).await;
        for stream in [&mut one, &mut two] {
            let acknowledged = stream.message().await.unwrap();
            assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
            assert_eq!(acknowledged["params"]["_meta"][id], "sub");
            assert_eq!(acknowledged["params"]["notifications"]["toolsListChanged"], true);
        }
        text_as(&bridge, "", "published", json!({})).await;
        for stream in [&mut one, &mut two] {
            let changed = stream.message().await.unwrap();
            assert_eq!(changed["method"], "notifications/tools/list_changed");
            assert_eq!(changed["params"]["_meta"][id], "sub");
        }
        // One leaves and is cancelled; the other is ended by the server, with a result.
        drop(one);
        until("it is cancelled", async || {
            text_as(&bridge, "", "seen", json!({"method": "notifications/cancelled"}))
                .await
                .contains("requestId")
        })
        .await;
        text_as(&bridge, "", "unlisten", json!({})).await;
        let rest = two.messages().await;
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(rest[0]["id"], "sub");
        assert_eq!(rest[0]["result"]["_meta"][id], "sub");
        bridge.stop().await;
    }
}

#[tokio::test]
async fn a_principals_process_that_nobody_uses_is_ended_and_a_shared_one_is_not() {
    let short =
        |config: &mut narrows_local::bridge::BridgeConfig| config.timing.idle = Duration::from_millis(300);
    let bridge = Bridge::start_with(server(&[]), short).await;
    let pid: u32 = text_as(&bridge, "alice", "pid", json!({})).await.parse().unwrap();
    until("it is ended", || std::future::ready(!alive(pid))).await;
    assert_ne!(text_as(&bridge, "alice", "pid", json!({})).await, pid.to_string());
    bridge.stop().await;
    let bridge = Bridge::start_with(shared(), short).await;
    let pid: u32 = text_as(&bridge, "alice", "pid", json!({})).await.parse().unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(alive(pid));
    assert_eq!(text_as(&bridge, "bob", "pid", json!({})).await, pid.to_string());
    bridge.stop().await;
}

#[tokio::test]
async fn an_idle_process_makes_room_for_another_principals() {
    let bridge = Bridge::start_with(server(&[]), |config| config.caps.processes = 1).await;
    text_as(&bridge, "alice", "pid", json!({})).await;
    until("bob has his", async || post_as(&bridge, "bob", call(1, "pid", json!({}))).await.status == 200)
        .await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_death_is_told_and_waited_out() {
    let bridge = Bridge::start(server(&[])).await;
    let answer = post(&bridge, call(1, "exit", json!({"code": 4}))).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json().await["error"]["message"], "the server's process ended (exit code 4)");
    let answer = post(&bridge, call(2, "echo", json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    until("it works again", async || post(&bridge, call(3, "echo", json!({}))).await.status == 200).await;
    bridge.stop().await;
}
