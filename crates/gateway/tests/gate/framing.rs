//! Requests whose end is in question, at the bytes.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::world::{World, json as answers};

pub(crate) const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"}}}"#;
pub(crate) const RESULT: &str = r#"{"result":{"content":[]},"jsonrpc":"2.0","id":$id}"#;

/// A call with these lines in its head and this body.
pub(crate) fn call(world: &World, token: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!(
        "POST /mcp/dev/files HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n",
        world.address
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    format!("{text}\r\n{body}")
}

/// Sends these bytes; all that comes back until the other side ends the connection.
pub(crate) async fn send(world: &World, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // What ends with a reset has ended.
    let _ended = tokio::time::timeout(std::time::Duration::from_secs(10), reading).await.unwrap();
    answer
}

fn statuses(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer);
    text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].to_owned()).collect()
}

#[tokio::test]
async fn a_request_with_two_ends_is_refused_and_its_connection_is_over() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let length = format!("Content-Length: {}", CALL.len());
    let chunked = format!("{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len());
    let sound = call(&world, &token, &[&length], CALL);
    for (lines, body) in [
        (vec![length.as_str(), "Transfer-Encoding: chunked"], chunked.as_str()),
        (vec!["Transfer-Encoding: chunked", "Content-Length: 4"], &chunked),
        (vec!["Transfer-Encoding: identity, chunked"], &chunked),
        (vec![length.as_str(), length.as_str()], CALL),
        (vec!["X: y\nX-Y: z", length.as_str()], CALL),
    ] {
        let hidden = format!("{}{sound}", call(&world, &token, &lines, body));
        let answer = send(&world, hidden).await;
        assert_eq!(statuses(&answer), ["400"], "{lines:?}");
        assert!(String::from_utf8_lossy(&answer).to_ascii_lowercase().contains("connection: close"));
    }
    let fragment = sound.replace("/files HTTP", "/files#x HTTP");
    assert_eq!(statuses(&send(&world, fragment).await), ["400"]);
    assert!(world.server.seen().is_empty());
    assert!(world.log.records().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn what_is_hidden_behind_a_sound_request_is_not_carried_out() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let length = format!("Content-Length: {}", CALL.len());
    let first = call(&world, &token, &[&length], CALL);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    world.server.will(answers(RESULT));
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    stream.write_all(call(&world, &token, &[&length, &length], CALL).as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ended = stream.read_to_end(&mut rest).await;
    assert_eq!(statuses(&rest), ["400"]);
    assert_eq!(world.server.seen().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn chunks_are_followed_and_their_trailers_dropped() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    world.server.will(answers(RESULT));
    let (start, end) = CALL.split_at(20);
    let body = format!("14;x=y\r\n{start}\r\n{:X}\r\n{end}\r\n0\r\nMcp-Name: other\r\n\r\n", end.len());
    let lines = ["Transfer-Encoding: chunked", "Connection: close"];
    assert_eq!(statuses(&send(&world, call(&world, &token, &lines, &body)).await), ["200"]);
    assert_eq!(world.server.seen().len(), 1);
    // A line end that is none is the end of all.
    let answer = send(&world, call(&world, &token, &lines[..1], &body.replace("y\r\n", "y\n"))).await;
    assert!(!statuses(&answer).contains(&"200".to_owned()));
    assert_eq!(world.server.seen().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_no_header_announces_is_a_body_too() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    for method in ["GET", "DELETE"] {
        let mut block = Vec::new();
        let authority = world.address.to_string();
        for (name, value) in [
            (":method", method),
            (":scheme", "http"),
            (":path", "/mcp/dev/files"),
            (":authority", &authority),
            ("accept", "text/event-stream"),
            ("authorization", &format!("Bearer {token}")),
        ] {
            block.push(0);
            for text in [name, value] {
                // RFC 7541, 5.1, for lengths of up to 254 and 16,509 bytes.
                match u8::try_from(text.len()).ok().filter(|length| *length < 127) {
                    Some(length) => block.push(length),
                    None => {
                        let more = text.len() - 127;
                        block.extend([127, (more % 128) as u8 | 128, (more / 128) as u8]);
                    }
                }
                block.extend(text.as_bytes());
            }
        }
        let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
            let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
            let mut frame = length[1..].to_vec();
            frame.extend([kind, flags, 0, 0, 0, stream]);
            frame.extend(payload);
            frame
        };
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // No table, so that a status is a byte of its own.
        bytes.extend(frame(4, 0, 0, &[0, 1, 0, 0, 0, 0]));
        bytes.extend(frame(1, 4, 1, &block));
        bytes.extend(frame(0, 1, 1, CALL.as_bytes()));
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                let status = payload.iter().find(|byte| **byte != 0x20).unwrap();
                assert_eq!(*status, 0x8c, "{method}: `:status` 400 of the static table");
                break;
            }
        }
    }
    assert!(world.server.seen().is_empty());
    world.stop().await;
}
