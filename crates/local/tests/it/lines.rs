//! What servers write that is no message, or not quite one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Bridge, Session, call, server, until};

async fn written(session: &Session<'_>, lines: &[&str]) -> Vec<Value> {
    let body = call(9, "raw", json!({"lines": lines, "quiet": true}));
    session.post(&body).await.messages().await
}

#[tokio::test]
async fn noise_is_logged_and_dropped() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"ok\":1}}";
    for noise in [
        "Server started on port 80",
        "",
        "   ",
        "{\"jsonrpc\":\"2.0\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}",
        "[]",
        "\u{1b}[2J\u{7}",
        "null",
        // The parts of a message with a line feed in it.
        "{\"jsonrpc\":\"2.0\",",
        "\"method\":\"notifications/x\"}",
        // Two messages on one line, apart by nothing or by what some take for a line's end.
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/a\"}{\"jsonrpc\":\"2.0\",\"method\":\"notifications/b\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/a\"}\r{\"jsonrpc\":\"2.0\",\"method\":\"notifications/b\"}",
    ] {
        let messages = written(&session, &[noise, answer]).await;
        assert_eq!(messages, [json!({"jsonrpc": "2.0", "id": 9, "result": {"ok": 1}})], "{noise:?}");
    }
    until("the noise is logged", || std::future::ready(bridge.log().matches("stdout: ").count() >= 11)).await;
    assert!(bridge.log().contains("stdout: Server started on port 80"));
    bridge.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_dropped() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"n\":1}}";
    for lines in [
        ["{\"jsonrpc\":\"2.0\",\"id\":4096,\"result\":{}}", answer],
        ["{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":1,\"message\":\"\"}}", answer],
        [
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1}}",
            answer,
        ],
        ["{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":5}}", answer],
        [answer, "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"n\":2}}"],
        // A number given back as a string is still the number.
        ["", "{\"jsonrpc\":\"2.0\",\"id\":\"$ID\",\"result\":{\"n\":1}}"],
    ] {
        let messages = written(&session, &lines).await;
        assert_eq!(messages.len(), 1, "{lines:?} {messages:?}");
        assert_eq!((&messages[0]["id"], &messages[0]["result"]["n"]), (&json!(9), &json!(1)), "{lines:?}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_strict_json_is_an_error_and_not_a_wait_for_ever() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    for line in [
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"a\":1,\"a\":2}}",
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"a\":\"\\ud800\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":[]}",
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{},\"extra\":1}",
    ] {
        let messages = written(&session, &[line]).await;
        assert_eq!(messages.len(), 1, "{line}");
        assert_eq!(
            (&messages[0]["id"], &messages[0]["error"]["code"]),
            (&json!(9), &json!(-31003)),
            "{line}"
        );
    }
    bridge.stop().await;
}

#[tokio::test]
async fn large_answers_pass_and_a_line_without_end_ends_its_process() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let text = session.text("huge", json!({"bytes": 12_000_000})).await;
    assert_eq!(text.len(), 12_000_000);
    let answer = session.post(&call(1, "huge", json!({"bytes": 17_000_000}))).await;
    let messages = answer.messages().await;
    assert_eq!(messages[0]["error"]["message"], "the server wrote a line of more than 16 MiB");
    assert_eq!(session.post(&call(2, "echo", json!({}))).await.status, 404);
    bridge.stop().await;
}

#[tokio::test]
async fn texts_and_numbers_pass_as_they_are() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let text = "\u{2028}\u{2029}\u{0}\u{1f600} a\nb\r\n\"\\/ \u{85}";
    assert_eq!(session.text("echo", json!({"text": text})).await, text);
    // Numbers are not read and written anew.
    let line =
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"n\":[1.10,1E+2,123456789012345678901234567890]}}";
    let headers = [("mcp-session-id", session.id.as_str())];
    let body = call(9, "raw", json!({"lines": [line], "quiet": true})).to_string();
    let answer = bridge.post_text(&headers, &body).await;
    let raw = answer.text().await;
    assert!(raw.contains("[1.10,1E+2,123456789012345678901234567890]"), "{raw}");
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_and_can_come_back() {
    let bridge = Bridge::start_with(server(&[]), |config| config.caps.queue = 8).await;
    let session = bridge.session("2025-11-25").await;
    // More than sockets and queue hold, all of it while nobody reads.
    let noisy = json!({"method": "notifications/message", "params": {"data": "x".repeat(200_000)}});
    let listening = session.listen().await;
    let line = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"_meta": {"x": "x".repeat(200_000)}}})
    .to_string();
    let lines: Vec<&str> = std::iter::repeat_n(line.as_str(), 40).collect();
    session.post(&call(1, "raw", json!({"lines": lines}))).await.messages().await;
    // Meanwhile the session goes on.
    assert_eq!(session.post(&call(2, "notify", noisy)).await.messages().await.len(), 2);
    let messages = tokio::time::timeout(Duration::from_secs(10), listening.messages()).await.unwrap();
    assert!((1..40).contains(&messages.len()), "{}", messages.len());
    let again = session.listen().await;
    drop(again);
    bridge.stop().await;
}
