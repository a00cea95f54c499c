//! Opening connections: the policy in force, TLS, Unix sockets, timeouts; and the bounded fetch.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use narrows_egress::{
    AddressRefusal, Client, ClientLimits, EgressError, FetchError, FetchLimits, Target, fetch, parse_url,
    tls_config,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{PATIENCE, Peer, client_with, policy, post, read_request, until_closed, write};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn answering(answer: &'static str) -> Peer {
    Peer::raw(move |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            write(&mut stream, answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_address_that_is_not_allowed_sees_no_connection() {
    let peer = answering(OK).await;
    let port = peer.address.port();
    for (url, allowed) in [
        (format!("http://127.0.0.1:{port}/"), ""),
        (format!("https://127.0.0.1:{port}/"), ""),
        (format!("http://127.1:{port}/"), "10.0.0.0/8"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), ""),
        (format!("http://localhost:{port}/"), ""),
        (format!("http://0.0.0.0:{port}/"), "0.0.0.0/0"),
    ] {
        let target = Target::Url(parse_url(&url).unwrap());
        let client =
            Client::new(target, policy(allowed), ClientLimits::default(), tls_config(&[]).unwrap()).unwrap();
        let error = client.send(post("x")).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { .. }), "{url}: {error}");
        assert!(error.is_connect());
    }
    assert_eq!(peer.opened(), 0);
}

#[tokio::test]
async fn our_own_listener_is_refused_even_where_loopback_is_allowed() {
    let peer = answering(OK).await;
    let mut guarded = policy("127.0.0.0/8").as_ref().clone();
    guarded.own.push(peer.address);
    let target = Target::Url(parse_url(&peer.url("/")).unwrap());
    let client =
        Client::new(target, Arc::new(guarded), ClientLimits::default(), tls_config(&[]).unwrap()).unwrap();
    let error = client.send(post("x")).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused { refusal: AddressRefusal::Own, .. }), "{error}");
    assert_eq!(peer.opened(), 0);
}

#[tokio::test]
async fn a_name_is_resolved_and_its_address_connected_to() {
    let peer = answering(OK).await;
    let client = client_with(&format!("http://localhost:{}/", peer.address.port()), ClientLimits::default());
    let response = client.send(post("x")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn no_address_and_no_listener_are_told_apart() {
    let client = client_with("http://no-such-host.invalid/", ClientLimits::default());
    let error = client.send(post("x")).await.unwrap_err();
    assert!(matches!(error, EgressError::Resolve { .. }) && error.is_connect(), "{error}");
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let client = client_with(&format!("http://127.0.0.1:{port}/"), ClientLimits::default());
    let error = client.send(post("x")).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }) && error.is_connect(), "{error}");
}

#[tokio::test]
async fn connecting_takes_no_longer_than_allowed() {
    // The TCP connection is made; the TLS handshake is never answered.
    let peer = Peer::raw(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let limits = ClientLimits { connect_timeout: Duration::from_millis(100), ..ClientLimits::default() };
    let client = client_with(&format!("https://127.0.0.1:{}/", peer.address.port()), limits);
    let error = tokio::time::timeout(PATIENCE, client.send(post("x"))).await.unwrap().unwrap_err();
    assert!(matches!(error, EgressError::ConnectTimeout { .. }), "{error}");
    assert!(error.is_connect() && error.is_timeout());
    peer.closed(1).await;
}

#[tokio::test]
async fn a_unix_socket_is_a_target() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let connect = || {
        Client::new(Target::Unix(path.clone()), policy(""), ClientLimits::default(), tls_config(&[]).unwrap())
            .unwrap()
    };
    let error = connect().send(post("x")).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }) && error.is_connect(), "{error}");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let client = connect();
    let asking = async {
        let response = client.send(Request::post("/mcp").body(Bytes::from("x")).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let read = stream.read(&mut head).await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
        (String::from_utf8(head[..read].to_vec()).unwrap(), stream)
    };
    let (answer, (head, _stream)) = tokio::join!(asking, answering);
    assert_eq!(answer, "ok");
    assert!(head.starts_with("POST /mcp HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: localhost\r\n"), "{head}");
}

/// A TLS server with a certificate of its own for `names`; gives the certificate as well.
async fn tls_peer(names: &[&str]) -> (Peer, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let certificate = cert.der().clone();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let peer = Peer::raw(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut some = [0; 1024];
            while let Ok(1..) = stream.read(&mut some).await {
                if stream.write_all(OK.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (peer, certificate)
}

#[tokio::test]
async fn tls_is_for_the_name_in_the_url_and_by_a_trusted_root() {
    let (peer, certificate) = tls_peer(&["localhost"]).await;
    let port = peer.address.port();
    let send = async |url: String, roots: &[CertificateDer<'static>]| {
        let target = Target::Url(parse_url(&url).unwrap());
        let tls = tls_config(roots).unwrap();
        let client =
            Client::new(target, policy("127.0.0.0/8 ::1/128"), ClientLimits::default(), tls).unwrap();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let response = client.send(post("x")).await?;
            answers.push(response.into_body().collect().await?.to_bytes());
        }
        Ok::<_, EgressError>(answers)
    };
    let trusted = [certificate];
    assert_eq!(send(format!("https://localhost:{port}/"), &trusted).await.unwrap(), ["ok", "ok", "ok"]);
    assert_eq!(peer.opened(), 1, "the connection should be reused");
    let untrusted = send(format!("https://localhost:{port}/"), &[]).await.unwrap_err();
    assert!(matches!(untrusted, EgressError::Connect { .. }), "{untrusted}");
    let other_name = send(format!("https://127.0.0.1:{port}/"), &trusted).await.unwrap_err();
    assert!(matches!(other_name, EgressError::Connect { .. }), "{other_name}");
}

async fn fetched(peer: &Peer, bytes: usize) -> Result<Bytes, FetchError> {
    let limits = FetchLimits { bytes, timeout: Duration::from_millis(500) };
    let url = parse_url(&peer.url("/keys")).unwrap();
    tokio::time::timeout(PATIENCE, fetch(&url, policy("127.0.0.0/8"), tls_config(&[]).unwrap(), limits))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_document_is_fetched_whole_or_not_at_all() {
    assert_eq!(fetched(&answering(OK).await, 2).await.unwrap(), "ok");
    let check = async |answer: &'static str, expected: fn(&FetchError) -> bool| {
        let error = fetched(&answering(answer).await, 2).await.expect_err(answer);
        assert!(expected(&error), "{answer:?}: {error}");
    };
    let too_large = |error: &FetchError| matches!(error, FetchError::TooLarge { limit: 2 });
    check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", too_large).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n", too_large).await;
    check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", too_large).await;
    check("HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nok", |error| matches!(error, FetchError::Status(_)))
        .await;
    check("HTTP/1.1 204 No Content\r\n\r\n", |error| matches!(error, FetchError::Status(_))).await;
    check("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", |error| {
        matches!(error, FetchError::Redirect(_))
    })
    .await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", |error| {
        matches!(error, FetchError::Timeout { .. })
    })
    .await;
    check("", |error| matches!(error, FetchError::Timeout { .. })).await;
}

#[tokio::test]
async fn a_document_that_drips_does_not_outlast_its_time() {
    let peer = Peer::raw(|_, mut stream| async move {
        let _ = read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(matches!(fetched(&peer, 1000).await, Err(FetchError::Timeout { .. })));
    peer.closed(1).await;
}
