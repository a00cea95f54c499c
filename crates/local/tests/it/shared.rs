//! One process for all sessions: each sees its own, and nothing of another's.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Bridge, call, initialize, shared};

#[tokio::test]
async fn sessions_share_a_process_and_no_ids() {
    let bridge = Bridge::start(shared()).await;
    let one = bridge.session("2025-11-25").await;
    let two = bridge.session("2025-11-25").await;
    assert_ne!(one.id, two.id);
    assert_eq!(one.text("pid", json!({})).await, two.text("pid", json!({})).await);
    // The same id and token in both, answered in the other order.
    let mut slow = call(1, "progress", json!({"steps": 3, "ms": 300}));
    slow["params"]["_meta"] = json!({"progressToken": "t"});
    let mut fast = call(1, "progress", json!({"steps": 1, "ms": 0}));
    fast["params"]["_meta"] = json!({"progressToken": "t"});
    let (slow, fast) = tokio::join!(one.post(&slow), two.post(&fast));
    let (slow, fast) = tokio::join!(slow.messages(), fast.messages());
    let steps =
        |messages: &[Value]| messages.iter().filter(|m| m["method"] == "notifications/progress").count();
    assert_eq!((steps(&slow), steps(&fast)), (3, 1));
    assert!(slow.iter().chain(&fast).all(|m| m["id"] == 1 || m["params"]["progressToken"] == "t"));
    // The server was initialized once, by the bridge, without capabilities of anyone's.
    let seen: Value = serde_json::from_str(&one.text("seen", json!({"method": "initialize"})).await).unwrap();
    assert_eq!(seen.as_array().unwrap().len(), 1);
    assert_eq!(seen[0]["params"]["capabilities"], json!({}));
    assert_eq!(seen[0]["params"]["clientInfo"]["name"], "narrows-bridge");
    let seen = one.text("seen", json!({"method": "notifications/initialized"})).await;
    assert_eq!(seen.matches("jsonrpc").count(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn a_later_session_is_given_the_revision_that_was_agreed_on_first() {
    let bridge = Bridge::start(shared()).await;
    let _first = bridge.session("2025-06-18").await;
    let answer = bridge.post(&[], &initialize("2025-11-25")).await.json().await;
    assert_eq!((&answer["id"], &answer["result"]["protocolVersion"]), (&json!("init"), &json!("2025-06-18")));
    bridge.stop().await;
}

#[tokio::test]
async fn one_session_can_not_cancel_or_answer_for_another() {
    let bridge = Bridge::start(shared()).await;
    let one = bridge.session("2025-11-25").await;
    let two = bridge.session("2025-11-25").await;
    let waiting = one.post(&call(1, "never", json!({}))).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(two.post(&cancel).await.status, 202);
    assert_eq!(one.text("seen", json!({"method": "notifications/cancelled"})).await, "[]");
    assert_eq!(one.post(&cancel).await.status, 202);
    assert_ne!(one.text("seen", json!({"method": "notifications/cancelled"})).await, "[]");
    drop(waiting);
    // What the server asks, no single session could answer: it is told so at once.
    let told: Value = serde_json::from_str(&one.text("ask", json!({"method": "roots/list"})).await).unwrap();
    assert_eq!(told["error"]["code"], -32601);
    let told: Value = serde_json::from_str(&one.text("ask", json!({"method": "ping"})).await).unwrap();
    assert_eq!(told["result"], json!({}));
    bridge.stop().await;
}

#[tokio::test]
async fn changes_go_to_all_who_listen_and_updates_to_those_who_subscribed() {
    let bridge = Bridge::start(shared()).await;
    let one = bridge.session("2025-06-18").await;
    let two = bridge.session("2025-06-18").await;
    let (mut first, mut second) = (one.listen().await, two.listen().await);
    one.text("notify", json!({"method": "notifications/tools/list_changed"})).await;
    assert_eq!(first.message().await.unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(second.message().await.unwrap()["method"], "notifications/tools/list_changed");
    let request = |id: u32, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"uri": "a://b"}});
    assert_eq!(one.post(&request(1, "resources/subscribe")).await.json().await["result"], json!({}));
    assert_eq!(two.post(&request(1, "resources/subscribe")).await.json().await["result"], json!({}));
    // One gives up its subscription: the other keeps its own.
    assert_eq!(one.post(&request(2, "resources/unsubscribe")).await.json().await["result"], json!({}));
    assert_eq!(two.text("seen", json!({"method": "resources/unsubscribe"})).await, "[]");
    let updated = json!({"method": "notifications/resources/updated", "params": {"uri": "a://b"}});
    one.text("notify", updated).await;
    assert_eq!(second.message().await.unwrap()["params"]["uri"], "a://b");
    one.text("notify", json!({"method": "notifications/prompts/list_changed"})).await;
    assert_eq!(
        first.message().await.unwrap()["method"],
        "notifications/prompts/list_changed",
        "no update came"
    );
    // The last subscriber goes: so does the subscription.
    assert_eq!(two.request(Method::DELETE, &[]).await.status, 204);
    let seen: Value =
        serde_json::from_str(&one.text("seen", json!({"method": "resources/unsubscribe"})).await).unwrap();
    assert_eq!(seen[0]["params"], json!({"uri": "a://b"}));
    bridge.stop().await;
}

#[tokio::test]
async fn a_log_message_that_could_be_anyones_is_nobodys() {
    let bridge = Bridge::start(shared()).await;
    let one = bridge.session("2025-11-25").await;
    let two = bridge.session("2025-11-25").await;
    let log = json!({"method": "notifications/message", "params": {"data": "secret"}});
    // Alone, it is clear whose it is.
    assert_eq!(one.post(&call(1, "notify", log.clone())).await.messages().await.len(), 2);
    let waiting = two.post(&call(2, "never", json!({}))).await;
    assert_eq!(one.post(&call(3, "notify", log)).await.messages().await.len(), 1);
    assert_eq!(two.request(Method::DELETE, &[]).await.status, 204);
    assert_eq!(waiting.messages().await, Vec::<Value>::new());
    bridge.stop().await;
}

#[tokio::test]
async fn a_shared_process_that_dies_is_started_again_for_new_sessions() {
    let bridge = Bridge::start(shared()).await;
    let one = bridge.session("2025-11-25").await;
    let pid = one.text("pid", json!({})).await;
    one.post(&call(1, "exit", json!({"code": 9}))).await.messages().await;
    assert_eq!(one.post(&call(2, "echo", json!({}))).await.status, 404);
    let answer = bridge.post(&[], &initialize("2025-11-25")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "it waits first");
    assert_eq!(answer.json().await["error"]["data"]["reason"], "the server's process ended (exit code 9)");
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    let again = bridge.session("2025-11-25").await;
    assert_ne!(again.text("pid", json!({})).await, pid);
    bridge.stop().await;
}
