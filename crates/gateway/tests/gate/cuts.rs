//! What goes beyond a bound is counted under its reason, once, and what is within it is not.

use std::time::Duration;

use narrows_gateway::Limits;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

use super::{
    framing::{CALL, RESULT, call, send},
    legacy::open,
    world::{Script, World, events, json},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Those counted until now, with how many: `slow_head 1`.
async fn counted(world: &World) -> Vec<String> {
    let text = world.operator("/metrics").await;
    let lines = text.lines().filter_map(|line| line.strip_prefix("narrows_cut_total{reason=\""));
    lines.map(|line| line.replace("\"}", "")).filter(|line| !line.ends_with(" 0")).collect()
}

/// What the bounds are in these tests, but for one.
fn limits() -> Limits {
    Limits { header_bytes: 8192, body_bytes: 100_000, bodies_bytes: 100_000, ..Limits::default() }
}

/// Sends these bytes and more of others until the gateway ends the connection. Without reading anything.
async fn flood(world: &World, first: &[u8], more: &[u8]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.address).await.unwrap();
    stream.write_all(first).await.unwrap();
    let more = more.repeat(100);
    let flooding = async { while stream.write_all(&more).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), flooding).await.expect("the gateway ends the connection");
}

/// Waits until something is counted, and longer, since nothing is counted twice.
async fn check(world: World, expected: &str) {
    for _ in 0..100 {
        if !counted(&world).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(counted(&world).await, [expected]);
    world.stop().await;
}

#[tokio::test]
async fn what_is_within_the_bounds_is_not_counted() {
    let short = Duration::from_millis(200);
    let world = World::with(Limits { idle_timeout: short, header_timeout: short, ..limits() }).await;
    let token = world.token("ann", "readers");
    let length = format!("Content-Length: {}", CALL.len());
    world.server.will(json(RESULT));
    // It is closed for being idle.
    assert!(send(&world, call(&world, &token, &[&length], CALL)).await.starts_with(b"HTTP/1.1 200"));
    assert!(send(&world, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with(b"HTTP/1.1 421"));
    // A client that leaves in the middle.
    for bytes in ["GET /", &call(&world, &token, &["Content-Length: 100"], "{")] {
        TcpStream::connect(world.address).await.unwrap().write_all(bytes.as_bytes()).await.unwrap();
    }
    tokio::time::sleep(short).await;
    assert_eq!(counted(&world).await, [""; 0]);
    world.stop().await;
}

#[tokio::test]
async fn slow_heads_and_bodies() {
    let short = Duration::from_millis(200);
    for bytes in ["", "GET /mcp/dev/fil"] {
        let world = World::with(Limits { header_timeout: short, ..limits() }).await;
        send(&world, bytes).await;
        check(world, "slow_head 1").await;
    }
    let world = World::with(Limits { body_timeout: short, ..limits() }).await;
    let head = call(&world, &world.token("ann", "readers"), &["Content-Length: 100"], "{");
    assert!(send(&world, head).await.starts_with(b"HTTP/1.1 408"));
    check(world, "slow_body 1").await;
}

#[tokio::test]
async fn large_heads_and_bodies() {
    let world = World::with(limits()).await;
    let long = format!("X: {}", "x".repeat(10_000));
    let answer = send(&world, call(&world, "none", &[&long], "")).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    check(world, "head_too_large 1").await;
    let world = World::with(limits()).await;
    let many = (0..101).map(|number| format!("X-{number}: x")).collect::<Vec<_>>().join("\r\n");
    assert!(send(&world, call(&world, "none", &[&many], "")).await.starts_with(b"HTTP/1.1 431"));
    check(world, "head_too_large 1").await;
    for (bodies_bytes, status, expected) in
        [(400_000, "HTTP/1.1 413", "body_too_large 1"), (1000, "HTTP/1.1 503", "no_room 1")]
    {
        let world = World::with(Limits { bodies_bytes, ..limits() }).await;
        let token = world.token("ann", "readers");
        let body = "x".repeat(150_000);
        let head = call(&world, &token, &["Content-Length: 200000"], &body);
        let answer = send(&world, head).await;
        assert!(answer.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&answer));
        check(world, expected).await;
    }
}

#[tokio::test]
async fn more_requests_than_a_principal_may_have() {
    let world = World::with(Limits { principal_concurrency: 1, ..limits() }).await;
    let token = world.token("ann", "readers");
    let mut held = TcpStream::connect(world.address).await.unwrap();
    held.write_all(call(&world, &token, &["Content-Length: 100"], "{").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.post(&token, &[], CALL).await.status, 429);
    check(world, "too_many_requests 1").await;
}

#[tokio::test]
async fn what_can_be_read_in_two_ways() {
    for (lines, body) in [
        (vec!["Content-Length: 0", "Content-Length: 0"], ""),
        (vec!["Transfer-Encoding: chunked"], "1\n{\r\n0\r\n\r\n"),
    ] {
        let world = World::with(limits()).await;
        send(&world, call(&world, &world.token("ann", "readers"), &lines, body)).await;
        check(world, "ambiguous 1").await;
    }
}

#[tokio::test]
async fn what_is_no_http() {
    let world = World::with(limits()).await;
    assert!(send(&world, "nonsense\r\n\r\n").await.starts_with(b"HTTP/1.1 400"));
    check(world, "malformed 1").await;
}

#[tokio::test]
async fn floods_of_http_2_frames() {
    let authority = [0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84];
    let mut resets = Vec::new();
    for number in 0..100_u8 {
        let stream = 2 * number + 1;
        let mut headers = authority;
        headers[8] = stream;
        resets.extend(headers);
        resets.extend([0, 0, 4, 3, 0, 0, 0, 0, stream, 0, 0, 0, 8]);
    }
    // Windows that open by nothing, which is an error of each stream or of all (RFC 9113, 6.9).
    let nothing = vec![0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // Heads without an end: one of a field again and again, and one of too many with a long name after them.
    let begun = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    let mut long = vec![0, 0, 180, 1, 0, 0, 0, 0, 1];
    long.extend([0x90; 175]);
    long.extend([0, 0x7f, 0xff, 0xff, 0x7f]);
    let name = [&[0, 0x27, 0x10, 9, 0, 0, 0, 0, 1][..], &[b'x'; 10_000]].concat();
    for (first, more, expected) in [
        // Our bound, and those of the library.
        (vec![], vec![0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], "frame_flood 1"),
        (resets, vec![0, 0, 1, 0, 0, 0, 0, 0, 1, 0], "frame_flood 1"),
        (begun.to_vec(), vec![0, 0, 1, 9, 0, 0, 0, 0, 1, 0x90], "frame_flood 1"),
        (long, name, "head_too_large 1"),
        (vec![], nothing, "malformed 1"),
    ] {
        let world = World::with(limits()).await;
        flood(&world, &[PREFACE, &first].concat(), &more).await;
        check(world, expected).await;
    }
}

#[tokio::test]
async fn clients_that_do_not_read() {
    let world = World::with(Limits { idle_timeout: Duration::from_millis(300), ..limits() }).await;
    let request = format!("GET /mcp/dev/files HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    flood(&world, b"", request.as_bytes()).await;
    check(world, "unread 1").await;
}

#[tokio::test]
async fn what_is_sent_where_nothing_is_read() {
    let world = World::with(limits()).await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    world.server.will(Script { hold_open: true, ..events(&[]) });
    let request = format!(
        "GET /mcp/dev/files HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\
         Mcp-Session-Id: {session}\r\n\r\n",
        world.address
    );
    flood(&world, request.as_bytes(), b"x").await;
    check(world, "unasked 1").await;
}
