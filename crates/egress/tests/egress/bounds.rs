//! What is bounded and what is given back: connections, the queue for them, idle time, early ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use http_body_util::BodyExt;
use narrows_egress::{ClientLimits, EgressError};
use tokio::task::JoinSet;

use crate::{
    client::{ask, echo, text_of, whole},
    peer::{PATIENCE, Peer, client, client_with, post, read_request, until_closed, write},
};

async fn silent_stream() -> Peer {
    Peer::raw(|_, mut stream| async move {
        let _ = read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n: x\r\n").await;
        until_closed(&mut stream).await;
    })
    .await
}

#[tokio::test]
async fn a_body_that_is_dropped_early_closes_its_connection_at_once() {
    let peer = silent_stream().await;
    let client = client(&peer.url("/"));
    let mut body = client.send(post("x")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ": x");
    let waiting = tokio::time::timeout(Duration::from_millis(50), body.frame()).await;
    assert!(waiting.is_err(), "there is nothing more to read");
    drop(body);
    peer.closed(1).await;
}

/// One thread serves many connections: what one server pours out may not put off the others for long.
#[tokio::test]
async fn a_body_without_end_gives_way_to_others() {
    const ALL: usize = 32 << 20;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // On a thread of its own, so that there is always more to read.
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {ALL}\r\n\r\n").as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..ALL >> 20 {
            stream.write_all(&piece).unwrap();
        }
    });
    let mut body = client(&url).send(post("x")).await.unwrap().into_body();
    let turn = AtomicUsize::new(0);
    let others = async {
        loop {
            turn.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        let (mut all, mut last, mut without, mut most) = (0, 0, 0, 0);
        while let Some(frame) = body.frame().await {
            let length = frame.unwrap().into_data().unwrap().len();
            let now = turn.load(Ordering::Relaxed);
            without = if now == last { without + length } else { length };
            (all, last, most) = (all + length, now, most.max(without));
        }
        assert_eq!(all, ALL);
        most
    };
    let most = tokio::select! {
        biased;
        most = reading => most,
        () = others => 0,
    };
    server.join().unwrap();
    assert!(most < 1 << 20, "{most} bytes without a turn for others");
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_connection_at_once() {
    let peer = Peer::raw(|_, mut stream| async move {
        let _ = read_request(&mut stream).await;
        until_closed(&mut stream).await;
    })
    .await;
    let client = client(&peer.url("/"));
    assert!(tokio::time::timeout(Duration::from_millis(100), client.send(post("x"))).await.is_err());
    peer.closed(1).await;
}

#[tokio::test]
async fn connections_and_the_queue_for_them_are_bounded() {
    let peer = silent_stream().await;
    let limits = ClientLimits { max_connections: 2, max_waiting: 1, ..ClientLimits::default() };
    let client = Arc::new(client_with(&peer.url("/"), limits));
    let first = client.send(post("1")).await.unwrap();
    let _second = client.send(post("2")).await.unwrap();
    let mut third = JoinSet::new();
    let sender = Arc::clone(&client);
    third.spawn(async move { sender.send(post("3")).await.map(|response| response.status()) });
    // The third stands in the queue before the fourth comes.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = tokio::time::timeout(PATIENCE, client.send(post("4"))).await.unwrap().unwrap_err();
    assert!(matches!(error, EgressError::Busy { waiting: 1 }), "{error}");
    assert!(error.is_connect());
    assert_eq!(peer.opened(), 2);
    drop(first);
    let status = tokio::time::timeout(PATIENCE, third.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn giving_up_in_the_queue_leaves_it() {
    let peer = silent_stream().await;
    let limits = ClientLimits { max_connections: 1, max_waiting: 1, ..ClientLimits::default() };
    let client = client_with(&peer.url("/"), limits);
    let held = client.send(post("1")).await.unwrap();
    for _ in 0..5 {
        let waiting = tokio::time::timeout(Duration::from_millis(20), client.send(post("2"))).await;
        assert!(waiting.is_err(), "it should wait and not be refused: {waiting:?}");
    }
    drop(held);
    assert!(tokio::time::timeout(PATIENCE, client.send(post("3"))).await.unwrap().is_ok());
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time_without_traffic() {
    let peer = echo().await;
    let limits = ClientLimits { idle_timeout: Duration::from_millis(50), ..ClientLimits::default() };
    let client = client_with(&peer.url("/"), limits);
    assert_eq!(ask(&client, "x").await.unwrap(), "x");
    peer.closed(1).await;
}

#[tokio::test]
async fn a_connection_that_idled_too_long_is_not_used_even_before_it_is_swept() {
    let peer = echo().await;
    let limits = ClientLimits { idle_timeout: Duration::from_millis(50), ..ClientLimits::default() };
    let client = client_with(&peer.url("/"), limits);
    assert_eq!(ask(&client, "1").await.unwrap(), "1");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&client, "2").await.unwrap(), "2");
    assert_eq!(peer.opened(), 2);
}

#[tokio::test]
async fn closing_closes_idle_connections() {
    let peer = echo().await;
    let limits = ClientLimits { idle_timeout: PATIENCE * 2, ..ClientLimits::default() };
    let client = client_with(&peer.url("/"), limits);
    assert_eq!(ask(&client, "1").await.unwrap(), "1");
    client.close();
    peer.closed(1).await;
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_allowed() {
    let peer = echo().await;
    let limits = ClientLimits { max_idle: 1, idle_timeout: PATIENCE * 2, ..ClientLimits::default() };
    let client = client_with(&peer.url("/"), limits);
    let (a, b) = tokio::join!(ask(&client, "a"), ask(&client, "b"));
    assert_eq!((a.unwrap(), b.unwrap()), ("a".to_owned(), "b".to_owned()));
    peer.closed(1).await;
}

#[tokio::test]
async fn a_closed_client_finishes_what_it_began_and_begins_nothing() {
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    let peer = Peer::hyper(move |_| {
        let counter = Arc::clone(&counter);
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            whole("x".repeat(1 << 20))
        }
    })
    .await;
    let client = client(&peer.url("/"));
    let response = client.send(post("x")).await.unwrap();
    client.close();
    assert!(matches!(client.send(post("y")).await, Err(EgressError::Closed)));
    drop(client);
    assert_eq!(text_of(response).await.len(), 1 << 20);
    peer.closed(1).await;
    assert_eq!(served.load(Ordering::SeqCst), 1);
}
