//! Connections: accepted up to a number, served within time and size limits, closed gracefully. Knows HTTP and TLS,
//! nothing of MCP.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Version, header};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::Gateway,
    metrics::Present,
    patience::{Patience, Phase},
    tls::ServerTls,
    workers::{Seat, Workers},
};

/// For a TLS handshake to finish.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 256;

/// A bound socket, with TLS or without.
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerTls>>,
}

impl Listener {
    /// Binds.
    ///
    /// # Errors
    /// The operating system's, for example when the port is taken.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<ServerTls>>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls })
    }

    /// Takes a socket that listens already, held open by whoever handed it over.
    ///
    /// # Errors
    /// The operating system's.
    pub fn inherited(socket: std::net::TcpListener, tls: Option<Arc<ServerTls>>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: TcpListener::from_std(socket)?, tls })
    }

    /// The address that was bound, with the port that was chosen.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Accepts until told to stop, then lets requests in progress end within the drain time.
///
/// # Errors
/// If the listening socket fails for good.
pub async fn serve(gateway: Arc<Gateway>, listener: Listener, stop: CancellationToken) -> io::Result<()> {
    let limits = gateway.settings().limits.clone();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let builder = Arc::new(builder(&limits));
    let workers = Workers::start()?;
    let accepted = loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break Ok(()),
        };
        let Ok(place) = place else { break Ok(()) };
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            Some(_ended) = connections.join_next() => continue,
            () = stop.cancelled() => break Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                // It was registered with this runtime, and belongs to a worker's.
                let stream = match stream.into_std() {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::debug!(%error, "connection left before it was served");
                        continue;
                    }
                };
                let tls = listener.tls.as_ref().map(|tls| tls.acceptor());
                workers.spawn(&mut connections, |seat| {
                    Connection {
                        gateway: Arc::clone(&gateway),
                        builder: Arc::clone(&builder),
                        peer,
                        _place: place,
                        _present: gateway.metrics().connection(),
                        _seat: seat,
                    }
                    .run(stream, tls)
                });
            }
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => break Err(error),
        }
    };
    drop(listener);
    gateway.drain();
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(
            left = gateway.metrics().requests_in_progress(),
            "drain deadline passed; requests are cut off"
        );
        // Cutting them off here, while the log is open, lets each write its outcome.
        connections.shutdown().await;
    }
    if tokio::time::timeout(limits.audit_timeout, gateway.enforcer().settle()).await.is_err() {
        tracing::error!("some intents are not durable yet; they are closed at the next start");
    }
    workers.end().await;
    accepted
}

/// Failures of `accept` that pass: the peer left, or files ran out for a moment.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    ) || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS | ENOMEM))
}

const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

fn builder(limits: &crate::settings::Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The library starts this with the silence between requests; heads are timed by `Patience`.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.header_bytes.max(8192))
        .max_headers(limits.headers)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_bytes)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(Some(32))
        .max_local_error_reset_streams(Some(64))
        .keep_alive_interval(Some(limits.idle_timeout))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// How far a connection has come in taking leave when this process ends. A client that keeps connections open may
/// send a request at any moment; one that meets a closed connection is lost (RFC 9112 section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parted {
    /// It serves.
    Not,
    /// It serves what comes within [`Limits::parting`](crate::Limits), and each answer says that it is the last.
    Said,
    /// What is in progress ends; there is nothing new.
    Waited,
}

struct Connection {
    gateway: Arc<Gateway>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
    _present: Present,
    _seat: Seat,
}

impl Connection {
    async fn run(self, stream: std::net::TcpStream, tls: Option<TlsAcceptor>) {
        let stream = match stream.set_nodelay(true).and_then(|()| TcpStream::from_std(stream)) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "connection left before it was served"),
        };
        match tls {
            None => self.http(stream).await,
            Some(acceptor) => {
                let (draining, parting) = (self.gateway.draining(), self.gateway.settings().limits.parting);
                let shaken = tokio::select! {
                    shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
                    () = async { draining.cancelled().await; tokio::time::sleep(parting).await } => return,
                };
                match shaken {
                    Ok(Ok(stream)) => self.http(stream).await,
                    Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "no TLS handshake"),
                    Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
                }
            }
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let ip: Arc<str> = self.peer.ip().to_canonical().to_string().into();
        let gateway = Arc::clone(&self.gateway);
        let phase = Phase::default();
        let progress = phase.clone();
        let (idle, parting) = (gateway.settings().limits.idle_timeout, gateway.settings().limits.parting);
        let draining = gateway.draining().clone();
        let busy = Arc::new(());
        let sign = Arc::clone(&busy);
        let stream = Patience::new(stream, phase.clone(), gateway.settings().limits.header_timeout);
        let service = service_fn(move |request| {
            let (gateway, ip) = (Arc::clone(&gateway), Arc::clone(&ip));
            let (phase, sign) = (phase.clone(), Arc::clone(&sign));
            phase.head_complete();
            // HTTP/2 has a frame for it.
            let version = request.version();
            async move {
                let mut response = gateway.answer(&ip, request).await;
                response.body_mut().hold(sign);
                if phase.is_parting() && version != Version::HTTP_2 {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                phase.answered();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(connection);
        let mut heads = progress.heads();
        let mut parted = Parted::Not;
        let served = loop {
            let pause = if parted == Parted::Not { idle } else { parting };
            tokio::select! {
                served = &mut serving => break served,
                () = draining.cancelled(), if parted == Parted::Not => {
                    parted = Parted::Said;
                    progress.part();
                    if progress.is_http_2() {
                        serving.as_mut().graceful_shutdown();
                    }
                }
                () = tokio::time::sleep(pause) => {
                    if parted == Parted::Said {
                        parted = Parted::Waited;
                        serving.as_mut().graceful_shutdown();
                    } else if progress.is_quiet(heads) && Arc::strong_count(&busy) <= 2 {
                        // One is here and one with the service; each request in progress holds another.
                        return tracing::debug!(peer = %self.peer, "idle connection closed");
                    }
                    heads = progress.heads();
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, peer = %self.peer, "connection ended");
        }
    }
}
