//! Streams that have a connection of their own: as others send them, and as nobody should.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use narrows_egress::{Client, EgressError};

use crate::peer::{PATIENCE, Peer, client, post, read_request, until_closed, write};

/// Everything on the stream.
async fn heard(client: &Client) -> Result<String, EgressError> {
    let listening = async {
        let body = client.listen(post("x")).await?.into_body().collect().await?;
        Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("the stream hangs")
}

async fn answering(answer: &'static [&'static str]) -> Peer {
    Peer::raw(move |_, mut stream| async move {
        let _ = read_request(&mut stream).await;
        for piece in answer {
            write(&mut stream, piece).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_is_heard_as_it_is_sent() {
    let peer = Peer::hyper(|_| async {
        let pieces = futures_util::stream::unfold(0_u32, |number| async move {
            if number % 7 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let piece = Bytes::from(format!("data: {}\n\n", "x".repeat(number as usize * 100)));
            (number < 100).then_some((Ok::<_, Infallible>(Frame::data(piece)), number + 1))
        });
        let mut response = Response::new(StreamBody::new(pieces));
        let value = header::HeaderValue::from_static("text/event-stream; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, value);
        response
    })
    .await;
    let client = client(&peer.url("/"));
    let expected: String = (0..100).map(|number| format!("data: {}\n\n", "x".repeat(number * 100))).collect();
    assert_eq!(heard(&client).await.unwrap(), expected);
    assert_eq!(heard(&client).await.unwrap(), expected);
    assert_eq!(peer.opened(), 2, "a connection that was listened to serves nothing else");
    peer.closed(2).await;
}

#[tokio::test]
async fn what_is_no_stream_is_an_answer() {
    let peer = answering(&["HTTP/1.1 405 No\r\ncontent-length: 2\r\n\r\nno"]).await;
    assert_eq!(heard(&client(&peer.url("/"))).await.unwrap(), "no");
    let peer =
        answering(&["HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: x\n\n", ": y\n\n"]).await;
    assert_eq!(heard(&client(&peer.url("/"))).await.unwrap(), ": x\n\n: y\n\n");
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_end() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    for (answer, expected) in [
        (&[HEAD, "5\r\n: x\n\n\r\n", "0\r\n\r\n"][..], Some(": x\n\n")),
        (&[HEAD, "5\r\n: x\n\n\r\n"], None),
        (&[HEAD, "5\r\n: x"], None),
        (&[HEAD, "5\r\n: x\n\n!0\r\n\r\n"], None),
        (&[HEAD, "x\r\n"], None),
        (&[HEAD], None),
    ] {
        let peer = answering(answer).await;
        let heard = heard(&client(&peer.url("/"))).await;
        match expected {
            Some(text) => assert_eq!(heard.unwrap(), text),
            None => assert!(matches!(heard.unwrap_err(), EgressError::Broken { .. }), "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_closes_its_connection_at_once() {
    let peer = Peer::raw(|_, mut stream| async move {
        let _ = read_request(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        write(&mut stream, &format!("{head}3\r\n: x\r\n")).await;
        until_closed(&mut stream).await;
    })
    .await;
    let client = client(&peer.url("/"));
    let mut body = client.listen(post("x")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ": x");
    assert!(tokio::time::timeout(Duration::from_millis(50), body.frame()).await.is_err());
    drop(body);
    peer.closed(1).await;
}
