//! Peers for tests: a real hyper server, and a raw one that does to the wire what it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use narrows_egress::{AddressPolicy, Client, ClientLimits, Target, parse_url, tls_config};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server on loopback; it and its connections end with it.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Peer {
    /// Serves each connection, given with its number from 0, by `serve`.
    pub(crate) async fn raw<F, S>(serve: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(usize, TcpStream) -> F + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut task = JoinSet::new();
        let (counted, ended) = (Arc::clone(&opened), Arc::clone(&closed));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serve(counted.fetch_add(1, Ordering::SeqCst), stream);
                let ended = Arc::clone(&ended);
                connections.spawn(async move {
                    serving.await;
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, opened, closed, _task: task }
    }

    /// A hyper server.
    pub(crate) async fn hyper<F, S, B>(service: S) -> Self
    where
        F: Future<Output = Response<B>> + Send + 'static,
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        B: http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
    {
        Self::raw(move |_, stream| {
            let service = service.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = service(request);
                    async move { Ok::<_, std::convert::Infallible>(answer.await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
        .await
    }

    /// Connections that were accepted.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Waits until `count` connections have ended.
    pub(crate) async fn closed(&self, count: usize) {
        let all = async {
            while self.closed.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the connection should have been closed");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Reads one request; gives its head and body. None at the end of the stream.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => read.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(read).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

pub(crate) async fn write(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
}

/// Waits until the other side has closed.
pub(crate) async fn until_closed(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while let Ok(1..) = stream.read(&mut rest).await {}
}

pub(crate) fn policy(allowed: &str) -> Arc<AddressPolicy> {
    let allowed = allowed.split_whitespace().map(|block| block.parse().unwrap()).collect();
    Arc::new(AddressPolicy { allowed, own: Vec::new() })
}

pub(crate) fn client_with(url: &str, limits: ClientLimits) -> Client {
    let target = Target::Url(parse_url(url).unwrap());
    Client::new(target, policy("127.0.0.0/8 ::1/128"), limits, tls_config(&[]).unwrap()).unwrap()
}

pub(crate) fn client(url: &str) -> Client {
    client_with(url, ClientLimits { connect_timeout: PATIENCE, ..ClientLimits::default() })
}

pub(crate) fn post(body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post("/").body(body.into()).unwrap()
}
