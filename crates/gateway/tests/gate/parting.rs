//! Connections: what clients see of a stream that has one for itself, and of all of them when the gateway ends.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use narrows_gateway::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{
    legacy::open,
    world::{Script, World, events, json},
};

const CALL: &str = r#"{"jsonrpc":"2.0","id":"c-1","method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#;

async fn world(parting: Duration) -> World {
    World::with(Limits { parting, drain: Duration::from_secs(10), ..Limits::default() }).await
}

/// A connection that is kept, with raw requests on it.
struct Kept {
    stream: TcpStream,
    request: String,
}

impl Kept {
    async fn open(world: &World) -> Self {
        let token = world.token("ann", "readers");
        let session = open(world, &token).await;
        let request = format!(
            "POST /mcp/dev/files HTTP/1.1\r\nhost: {}\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\nauthorization: Bearer {token}\r\nmcp-session-id: {session}\r\n\
             content-length: {}\r\n\r\n{CALL}",
            world.address,
            CALL.len()
        );
        Self { stream: TcpStream::connect(world.address).await.unwrap(), request }
    }

    async fn send(&mut self) {
        self.stream.write_all(self.request.as_bytes()).await.unwrap();
    }

    /// The next response, as text.
    async fn response(&mut self) -> String {
        let mut text = String::new();
        while !text.contains("\"content\":[]}}") {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await.expect("no reset");
            assert!(count > 0, "the connection ended within a response: {text}");
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        text.to_ascii_lowercase()
    }

    /// How long it takes to a clean end of the connection.
    async fn ends(&mut self) -> Duration {
        let begin = Instant::now();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.stream.read(&mut [0; 64])).await;
        assert_eq!(ended.expect("an end in time").expect("no reset"), 0);
        begin.elapsed()
    }
}

#[tokio::test]
async fn a_request_that_is_on_its_way_is_answered_as_the_last() {
    let world = world(Duration::from_secs(2)).await;
    let mut kept = Kept::open(&world).await;
    world.server.will(json(RESULT));
    kept.send().await;
    assert!(!kept.response().await.contains("connection: close"));
    world.end();
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.server.will(json(RESULT));
    kept.send().await;
    let response = kept.response().await;
    assert!(response.starts_with("http/1.1 200") && response.contains("connection: close"), "{response}");
    assert!(kept.ends().await < Duration::from_millis(500));
    world.has_ended().await;
}

#[tokio::test]
async fn a_request_in_progress_is_answered_as_the_last() {
    let world = world(Duration::from_millis(100)).await;
    let mut kept = Kept::open(&world).await;
    let late = Script { pieces: vec![(Duration::from_millis(600), RESULT.to_owned())], ..json("") };
    world.server.will(late);
    kept.send().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.end();
    let response = kept.response().await;
    assert!(response.starts_with("http/1.1 200") && response.contains("connection: close"), "{response}");
    world.has_ended().await;
}

#[tokio::test]
async fn silent_and_slow_connections_do_not_hold_up_the_end() {
    let world = world(Duration::from_millis(200)).await;
    let (mut idle, mut unused, mut slow) =
        (Kept::open(&world).await, Kept::open(&world).await, Kept::open(&world).await);
    world.server.will(json(RESULT));
    idle.send().await;
    idle.response().await;
    slow.stream.write_all(b"POST /mcp/dev/files HTTP/1.1\r\nhost:").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.end();
    let waited = idle.ends().await;
    assert!(waited > Duration::from_millis(150) && waited < Duration::from_secs(2), "{waited:?}");
    unused.ends().await;
    let begin = Instant::now();
    world.has_ended().await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_listener_over_http_1_has_the_connection_for_itself() {
    let world = world(Duration::from_millis(100)).await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let said = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    world.server.will(Script { hold_open: true, ..events(&[said]) });
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "GET /mcp/dev/files HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\
         authorization: Bearer {token}\r\nmcp-session-id: {session}\r\n\r\n",
        world.address
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("list_changed\"}\n\n\r\n") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("transfer-encoding: chunked"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    let (size, data) = body.split_once("\r\n").unwrap();
    assert_eq!(usize::from_str_radix(size, 16).unwrap() + 2, data.len(), "{body:?}");
    // Another request on it is not one; that the client leaves is noticed at once.
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.log.open(), 1);
    drop(stream);
    world.closed().await;
    assert_eq!(world.log.summary().iter().filter(|line| line.contains("admitted http/GET")).count(), 1);
    world.end();
    world.has_ended().await;
}

#[tokio::test]
async fn a_listener_is_told_when_to_come_again() {
    let world = world(Duration::from_millis(100)).await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    world.server.will(Script {
        hold_open: true,
        ..events(&["data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n"])
    });
    let mut stream = world.send("GET", &token, &[("mcp-session-id", session.as_str())], "").await;
    assert!(stream.piece().await.unwrap().unwrap().contains("list_changed"));
    world.end();
    let text = stream.text().await;
    assert!(text.starts_with("retry: ") && text.ends_with("\n\n"), "{text:?}");
    assert_eq!(world.log.open(), 0, "the stream's outcome is recorded");
    world.has_ended().await;
}

#[tokio::test]
async fn http_2_is_told_with_a_frame() {
    let world = world(Duration::from_millis(100)).await;
    let token = world.token("ann", "readers");
    let session = open(&world, &token).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = || {
        Request::post(format!("http://{}/mcp/dev/files", world.address))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .header("mcp-session-id", &session)
            .body(Full::new(Bytes::from(CALL)))
            .unwrap()
    };
    let late = Script { pieces: vec![(Duration::from_millis(600), RESULT.to_owned())], ..json("") };
    world.server.will(late);
    let answer = sender.send_request(request());
    let ending = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.end();
    };
    let (answer, ()) = tokio::join!(answer, ending);
    let answer = answer.expect("what was in progress is answered");
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().ends_with(b"\"content\":[]}}"));
    driver.join_next().await.unwrap().unwrap().expect("the connection ends without an error");
    assert!(sender.send_request(request()).await.is_err());
    world.has_ended().await;
}
