//! The pooled client against real servers: what is reused, what is not, and what is never sent twice.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use narrows_egress::{Body, Client, EgressError};
use tokio::task::JoinSet;

use crate::peer::{PATIENCE, Peer, client, post, read_request, until_closed, write};

pub(crate) fn whole(text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(text.into()))
}

pub(crate) async fn text_of(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn echo() -> Peer {
    Peer::hyper(|request| async move { whole(request.into_body().collect().await.unwrap().to_bytes()) }).await
}

/// Sends and reads the whole answer, within the patience of a test.
pub(crate) async fn ask(client: &Client, body: impl Into<Bytes>) -> Result<String, EgressError> {
    let exchange = async { Ok(text_of(client.send(post(body)).await?).await) };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the exchange hangs")
}

#[tokio::test]
async fn one_connection_serves_requests_one_after_the_other() {
    let peer = echo().await;
    let client = client(&peer.url("/mcp"));
    for number in 0..50 {
        assert_eq!(ask(&client, number.to_string()).await.unwrap(), number.to_string());
    }
    assert_eq!(peer.opened(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_share_connections_and_never_answers() {
    let peer = echo().await;
    let client = Arc::new(client(&peer.url("/mcp")));
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let client = Arc::clone(&client);
        tasks.spawn(async move {
            for number in 0..60 {
                let text = format!("{task}/{number}/{}", "x".repeat(number * 97));
                assert_eq!(ask(&client, text.clone()).await.unwrap(), text);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(peer.opened() <= 32, "{} connections for 32 tasks", peer.opened());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_pieces_arrives_as_it_is_sent() {
    let peer = Peer::hyper(|_| async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut producer = JoinSet::new();
        producer.spawn(async move {
            for number in 0..200_u32 {
                if number % 7 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let piece = Bytes::from(format!("{number};"));
                if sender.send(Ok::<_, Infallible>(Frame::data(piece))).await.is_err() {
                    return;
                }
            }
        });
        let pieces =
            futures_util::stream::unfold((receiver, producer), |(mut receiver, producer)| async move {
                Some((receiver.recv().await?, (receiver, producer)))
            });
        Response::new(StreamBody::new(pieces))
    })
    .await;
    let client = client(&peer.url("/"));
    let expected: String = (0..200).map(|number| format!("{number};")).collect();
    for _ in 0..5 {
        assert_eq!(ask(&client, "").await.unwrap(), expected);
    }
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn empty_answers_give_their_connection_back_without_being_read() {
    let peer = Peer::hyper(|_| async {
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    })
    .await;
    let client = client(&peer.url("/"));
    let kept: Vec<_> = [client.send(post("a")).await.unwrap(), client.send(post("b")).await.unwrap()].into();
    assert_eq!(peer.opened(), 1, "the second request should not wait for {kept:?}");
}

#[tokio::test]
async fn the_request_is_the_targets_own() {
    let peer = Peer::hyper(|request: Request<_>| async move {
        let (parts, body) = request.into_parts();
        let body: hyper::body::Incoming = body;
        let host = parts.headers.get("host").unwrap().to_str().unwrap().to_owned();
        let framing = parts.headers.contains_key("transfer-encoding");
        let body = body.collect().await.unwrap().to_bytes();
        whole(format!("{} {} {framing} {}", parts.uri, host, body.len()))
    })
    .await;
    let client = client(&peer.url("/mcp?x=1"));
    let mut request = post("12345");
    for (name, value) in [("host", "evil.example"), ("content-length", "2"), ("transfer-encoding", "chunked")]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let expected = format!("/mcp?x=1 {} false 5", peer.address);
    assert_eq!(text_of(client.send(request).await.unwrap()).await, expected);
    let elsewhere = Request::get("/other?y=2").body(Bytes::new()).unwrap();
    assert_eq!(
        text_of(client.send(elsewhere).await.unwrap()).await,
        format!("/other?y=2 {} false 0", peer.address)
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = echo().await;
    let location = elsewhere.url("/");
    let peer = Peer::hyper(move |_| {
        let location = location.clone();
        async move {
            let mut response = whole("");
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert("location", location.parse().unwrap());
            response
        }
    })
    .await;
    let response = client(&peer.url("/")).send(post("x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(elsewhere.opened(), 0);
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A peer that answers `answers[n]` to the n-th request of a connection and closes when there are no more. Gives the
/// bodies of all requests it read.
async fn scripted(answers: &'static [&'static [&'static str]]) -> (Peer, Arc<std::sync::Mutex<Vec<String>>>) {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let peer = Peer::raw(move |number, mut stream| {
        let seen = Arc::clone(&all);
        async move {
            for answer in answers.get(number).copied().unwrap_or_default() {
                let Some((_, body)) = read_request(&mut stream).await else { return };
                seen.lock().unwrap().push(String::from_utf8(body).unwrap());
                write(&mut stream, answer).await;
            }
        }
    })
    .await;
    (peer, seen)
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let (peer, seen) = scripted(&[&[OK], &[OK, OK]]).await;
    let client = client(&peer.url("/"));
    assert_eq!(ask(&client, "1").await.unwrap(), "ok");
    peer.closed(1).await;
    assert_eq!(ask(&client, "2").await.unwrap(), "ok");
    assert_eq!(ask(&client, "3").await.unwrap(), "ok");
    assert_eq!(*seen.lock().unwrap(), ["1", "2", "3"]);
    assert_eq!(peer.opened(), 2);
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    // The second request is read, and then the connection is closed without an answer.
    let (peer, seen) = scripted(&[&[OK, ""], &[OK]]).await;
    let client = client(&peer.url("/"));
    assert_eq!(ask(&client, "1").await.unwrap(), "ok");
    let error = ask(&client, "2").await.unwrap_err();
    assert!(matches!(error, EgressError::Interrupted { .. }), "{error}");
    assert!(!error.is_connect());
    assert_eq!(*seen.lock().unwrap(), ["1", "2"]);
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn what_can_not_be_trusted_again_is_not_reused() {
    for (what, answer) in [
        ("the server closes", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        (
            "it will be closed at once",
            "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            "bytes after the answer",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ),
        ("no length", "HTTP/1.1 200 OK\r\n\r\nok"),
    ] {
        let peer = Peer::raw(move |_, mut stream| async move {
            if read_request(&mut stream).await.is_some() {
                write(&mut stream, answer).await;
                if what != "no length" {
                    until_closed(&mut stream).await;
                }
            }
        })
        .await;
        let client = client(&peer.url("/"));
        for number in 1..=3 {
            assert_eq!(ask(&client, "x").await.unwrap(), "ok", "{what}");
            assert_eq!(peer.opened(), number, "{what}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() {
    let peer = Peer::raw(|number, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            write(&mut stream, OK).await;
            if number == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").await;
            }
        }
    })
    .await;
    let client = client(&peer.url("/"));
    assert_eq!(ask(&client, "1").await.unwrap(), "ok");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ask(&client, "2").await.unwrap(), "ok");
    assert_eq!(peer.opened(), 2);
}

#[tokio::test]
async fn broken_answers_are_errors() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx\0y: z\r\n\r\nok",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nx: y",
        "",
    ] {
        let peer = Peer::raw(move |_, mut stream| async move {
            if read_request(&mut stream).await.is_some() {
                write(&mut stream, answer).await;
            }
        })
        .await;
        let client = client(&peer.url("/"));
        let exchange = async {
            let response = client.send(post("x")).await?;
            response.into_body().collect().await.map(|body| body.to_bytes())
        };
        let error = tokio::time::timeout(PATIENCE, exchange).await.unwrap().expect_err(answer);
        assert!(matches!(error, EgressError::Interrupted { .. }), "{answer:?}: {error}");
        assert_eq!(peer.opened(), 1, "{answer:?} was asked for again");
    }
    let (peer, _) =
        scripted(&[&["HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"]]).await;
    assert!(matches!(client(&peer.url("/")).send(post("x")).await, Err(EgressError::Switched)));
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let peer = Peer::raw(|_, mut stream| async move {
        let _ = read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\n").await;
        loop {
            let line = format!("x: {}\r\n", "y".repeat(8000));
            if tokio::io::AsyncWriteExt::write_all(&mut stream, line.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let error =
        tokio::time::timeout(PATIENCE, client(&peer.url("/")).send(post("x"))).await.unwrap().unwrap_err();
    assert!(matches!(error, EgressError::Interrupted { .. }), "{error}");
    peer.closed(1).await;
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_taken_still_arrives() {
    let peer = Peer::raw(|_, mut stream| async move {
        let mut some = [0; 1000];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut some).await;
        write(&mut stream, "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno").await;
        pending::<()>().await;
    })
    .await;
    let client = client(&peer.url("/"));
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    assert_eq!(ask(&client, body).await.unwrap(), "no");
    let _ = tokio::time::timeout(Duration::from_millis(200), client.send(post("x"))).await;
    assert_eq!(peer.opened(), 2, "half of a request is still in that connection");
}
