//! What a client may take, at the bytes, and what a server may.

use std::time::Duration;

use narrows_gateway::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{
    framing::{CALL, RESULT, call},
    legacy::open,
    world::{Script, World, events, json},
};

/// A connection whose client asks and asks, and reads nothing, is idle: with a token or without one.
#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let world = World::with(Limits { idle_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.address).await.unwrap();
    let request = format!("GET /mcp/dev/files HTTP/1.1\r\nHost: {}\r\n\r\n", world.address).repeat(100);
    let asking = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(10), asking).await;
    ended.expect("the connection is ended from the other side");
    world.stop().await;
}

/// The head of a call and half of its body; the other half is given back.
async fn begin(world: &World, subject: &str, size: usize) -> (TcpStream, String) {
    let text = "x".repeat(size);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"read_file","arguments":{{"path":"{text}"}}}}}}"#
    );
    let (first, rest) = body.split_at(size / 2);
    let length = format!("Content-Length: {}", body.len());
    let head = call(world, &world.token(subject, "readers"), &[&length], "");
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Apart from the head, and in pieces.
    for piece in [&first[..10], &first[10..]] {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(piece.as_bytes()).await.unwrap();
    }
    (stream, rest.to_owned())
}

async fn response(stream: &mut TcpStream) -> String {
    let mut text = vec![0; 4096];
    let count = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut text)).await.unwrap().unwrap();
    String::from_utf8_lossy(&text[..count]).to_ascii_lowercase()
}

#[tokio::test]
async fn bodies_under_way_have_so_much_room_and_one_principal_a_share() {
    const BODY: usize = 20_000;
    let limits = Limits { body_bytes: BODY, bodies_bytes: 4 * BODY, ..Limits::default() };
    let world = World::with(limits).await;
    // Half of a body is under way.
    let first = begin(&world, "ann", 16_000).await;
    let (second, _) = begin(&world, "ann", 16_000).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Of a third one there would be more than her share.
    let (mut third, _) = begin(&world, "ann", 16_000).await;
    let refused = response(&mut third).await;
    assert!(refused.starts_with("http/1.1 503") && refused.contains("\r\nretry-after:"), "{refused}");
    assert!(refused.contains("\"code\":-31503"), "{refused}");
    assert!(world.log.summary().is_empty(), "nothing of it is recorded: {:?}", world.log.summary());
    // Others have room, and so has what was begun.
    for (mut stream, rest) in [begin(&world, "bob", 16_000).await, first] {
        world.server.will(json(RESULT));
        stream.write_all(rest.as_bytes()).await.unwrap();
        assert!(response(&mut stream).await.starts_with("http/1.1 200"));
    }
    // What a client leaves behind is room again.
    drop((second, third));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut again, rest) = begin(&world, "ann", 16_000).await;
    world.server.will(json(RESULT));
    again.write_all(rest.as_bytes()).await.unwrap();
    assert!(response(&mut again).await.starts_with("http/1.1 200"));
    world.stop().await;
}

/// A server that goes beyond a bound is not waited for, and the client is told: by a status, or by the stream's last
/// message.
#[tokio::test]
async fn a_server_may_take_so_much_time_and_room() {
    const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    let long = "x".repeat(2000);
    let list = format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{{"tools":[],"_meta":{{"a":"{long}"}}}}}}"#);
    let said = format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{long}\"}}}}\n\n"
    );
    let short = Duration::from_millis(100);
    let slow = Script { pieces: vec![(Duration::from_secs(20), RESULT.to_owned())], ..json("") };
    for (limits, script, body, status, expected) in [
        (Limits { buffered_bytes: 1000, ..Limits::default() }, json(list), LIST, 502, "it is too large"),
        (Limits { upstream_idle_timeout: short, ..Limits::default() }, slow, CALL, 502, "it stood still"),
        (
            Limits { response_bytes: 1000, ..Limits::default() },
            Script { hold_open: true, ..events(&[&said]) },
            CALL,
            200,
            "event stream is too large",
        ),
        (
            Limits { upstream_idle_timeout: short, keep_alive: short, ..Limits::default() },
            Script { hold_open: true, ..events(&[]) },
            CALL,
            200,
            "event stream stood still",
        ),
    ] {
        let world = World::with(limits).await;
        let token = world.token("ann", "readers");
        world.server.will(script);
        let asked = async {
            let answer = world.post(&token, &[], body).await;
            (answer.status, answer.text().await)
        };
        let told = tokio::time::timeout(Duration::from_secs(5), asked).await.expect(expected);
        assert!(told.0 == status && told.1.contains(expected), "{expected}: {told:?}");
        let last = world.log.records().last().unwrap()["outcome"].clone();
        assert_eq!(last["status"], "error", "{expected}: {last}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_session_lasts_so_long() {
    let limits = Limits { session_lifetime: Duration::from_secs(1), ..Limits::default() };
    let world = World::with(limits).await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(world.post(&token, &[("mcp-session-id", session.as_str())], CALL).await.status, 404);
    world.stop().await;
}
