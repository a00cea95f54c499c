//! A bridge on TCP, where a browser on the same machine could have been talked into asking.

use std::{future::pending, time::Duration};

use http::StatusCode;
use narrows_local::bridge::Listen;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::harness::{config, initialize, server, until};

/// The status and the headers of the answer to `initialize` with these headers.
async fn ask(port: u16, headers: &str) -> (StatusCode, String) {
    let body = initialize("2025-06-18").to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test]
async fn only_those_who_know_where_they_are_get_in() {
    let directory = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = config(directory.path(), server(&[]));
    config.listen = Listen::Tcp(([127, 0, 0, 1], port).into());
    let mut bridge = JoinSet::new();
    bridge.spawn(narrows_local::bridge::run(config, pending()));
    until("the bridge listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    for (headers, expected) in [
        (format!("host: 127.0.0.1:{port}\r\n"), 200),
        (format!("host: localhost:{port}\r\n"), 200),
        (format!("host: [::1]:{port}\r\norigin: http://localhost:9\r\n"), 200),
        (format!("host: evil.example:{port}\r\n"), 403),
        ("host: 127.0.0.1.evil.example\r\n".to_owned(), 403),
        ("host: localhost@evil.example\r\n".to_owned(), 403),
        (format!("host: localhost:{port}\r\norigin: http://evil.example\r\n"), 403),
        (format!("host: localhost:{port}\r\norigin: null\r\n"), 403),
        (format!("host: localhost:{port}\r\norigin: http://localhost.evil.example\r\n"), 403),
        (String::new(), 403),
    ] {
        let (status, answer) = ask(port, &headers).await;
        assert_eq!(status, expected, "{headers:?}\n{answer}");
    }
    // Whoever names a principal here is not believed: the session is found without it.
    let (_, answer) = ask(port, &format!("host: localhost:{port}\r\nnarrows-principal: alice\r\n")).await;
    let id = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().trim().to_owned();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\nconnection: close\r\n\
         mcp-session-id: {id}\r\nnarrows-principal: bob\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    bridge.shutdown().await;
}
