//! Connections: accepted up to a number, served within time and size limits, closed gracefully. Knows HTTP and TLS,
//! nothing of MCP.

use std::{
    convert::Infallible, error::Error as _, future::poll_fn, io, net::SocketAddr, pin::Pin, sync::Arc,
    task::Poll, time::Duration,
};

use http::{HeaderValue, Request, Response, Version, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    cuts::{Reason, Whose},
    gateway::Gateway,
    handover::{self, Broken, Handover},
    metrics::Present,
    patience::{Patience, Phase, Protocol},
    reply::Reply,
    tls::ServerTls,
    workers::{Seat, Workers},
};

/// For a TLS handshake to finish.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections that the kernel keeps until they are accepted, as far as it lets us: who comes when it is full waits for a
/// second or more.
const BACKLOG: u32 = 4096;

/// Bytes that the kernel takes for a client beyond what the client's window lets it send. Left alone it takes as much
/// as its buffer holds, which for a client that does not read is megabytes of memory, and of copying, for nothing.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

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
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart need not wait for connections of the process before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket: socket.listen(BACKLOG)?, tls })
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
    let builders = Arc::new(Builders::new(&limits));
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
                        builders: Arc::clone(&builders),
                        peer,
                        _held: Some((place, gateway.metrics().connection(), seat)),
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

fn configure(stream: &std::net::TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "the kernel takes as much for a client as it likes");
    }
    stream.set_nodelay(true)
}

/// How each protocol is served.
struct Builders {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Builders {
    fn new(limits: &crate::settings::Limits) -> Self {
        let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        let (mut http1, mut http2) = (http1::Builder::new(), http2::Builder::new(TokioExecutor::new()));
        http1
            .timer(TokioTimer::new())
            // The library starts this with the silence between requests; heads are timed by `Patience`.
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(limits.header_bytes.max(8192))
            .max_headers(limits.headers)
            .half_close(false);
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(header_bytes)
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(Some(32))
            .max_local_error_reset_streams(Some(64))
            .keep_alive_interval(Some(limits.idle_timeout))
            .keep_alive_timeout(Duration::from_secs(20));
        Self { http1, http2 }
    }
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
    builders: Arc<Builders>,
    peer: SocketAddr,
    /// What it takes of the listener, given back when it ends.
    _held: Option<(OwnedSemaphorePermit, Present, Seat)>,
}

/// Serves one connection on the runtime of the caller, as [`serve`] does each that it accepts, once TLS is off.
pub async fn converse(
    gateway: Arc<Gateway>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
) {
    let builders = Arc::new(Builders::new(&gateway.settings().limits));
    Connection { gateway, builders, peer, _held: None }.http(stream).await;
}

impl Connection {
    async fn run(self, stream: std::net::TcpStream, tls: Option<TlsAcceptor>) {
        let stream = match configure(&stream).and_then(|()| TcpStream::from_std(stream)) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "connection left before it was served"),
        };
        match tls {
            None => self.http(stream).await,
            // In a box: most connections would carry room for it in vain.
            Some(acceptor) => Box::pin(self.https(stream, acceptor)).await,
        }
    }

    async fn https(self, stream: TcpStream, acceptor: TlsAcceptor) {
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
            () = self.parted(1) => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "no TLS handshake"),
            Err(_) => self.cut(Reason::SlowHandshake),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        // In a box that is gone when a stream is all that is left.
        let Some((stream, body)) = Box::pin(self.exchanges(stream)).await else { return };
        let poured = tokio::select! {
            poured = handover::pour(stream, body) => poured,
            // The body has ended by then, and the client does not take it.
            () = self.parted(2) => return,
        };
        if let Err(error) = poured {
            tracing::debug!(%error, peer = %self.peer, "stream ended");
            match error {
                Broken::Unasked => self.cut(Reason::Unasked),
                Broken::Cut(_) | Broken::Io(_) => {}
            }
        }
    }

    /// The client's address, as it is recorded.
    fn ip(&self) -> String {
        self.peer.ip().to_canonical().to_string()
    }

    /// Counts a connection that is closed for going beyond a bound.
    fn cut(&self, reason: Reason) {
        self.gateway.metrics().cuts().note(reason, Whose { ip: &self.ip(), subject: None });
    }

    /// Ends so many times the time of parting after this process began to end.
    async fn parted(&self, times: u32) {
        self.gateway.draining().cancelled().await;
        tokio::time::sleep(self.gateway.settings().limits.parting * times).await;
    }

    /// Answers requests, until there are no more or one is answered with a stream that is to be sent from here.
    async fn exchanges<S>(&self, stream: S) -> Option<(S, Reply)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.gateway.settings().limits;
        let phase = Phase::default();
        let busy = Arc::new(());
        let handover = Arc::new(Handover::default());
        let mut stream = Patience::new(stream, phase.clone(), limits.header_timeout);
        let protocol = tokio::select! {
            protocol = stream.protocol() => protocol,
            () = self.parted(1) => return None,
        };
        let service = self.service(&phase, &busy, &handover);
        let attended = match protocol {
            Ok(Some(Protocol::Http1)) => {
                let mut connection = self.builders.http1.serve_connection(TokioIo::new(stream), service);
                let attended =
                    self.attend(Pin::new(&mut connection), Protocol::Http1, &phase, &busy, &handover).await;
                if let Attended::HandedOver(body) = attended {
                    return Some((connection.into_parts().io.into_inner().into_inner(), body));
                }
                attended
            }
            Ok(Some(Protocol::Http2)) => {
                let connection = self.builders.http2.serve_connection(TokioIo::new(stream), service);
                self.attend(std::pin::pin!(connection), Protocol::Http2, &phase, &busy, &handover).await
            }
            Ok(None) => return None,
            Err(error) => {
                tracing::debug!(%error, peer = %self.peer, "connection ended before it began");
                phase.cut().into_iter().for_each(|reason| self.cut(reason));
                return None;
            }
        };
        match &attended {
            Attended::Ended(Ok(())) | Attended::HandedOver(_) => {}
            Attended::Ended(Err(error)) => tracing::debug!(%error, peer = %self.peer, "connection ended"),
            Attended::Idle => tracing::debug!(peer = %self.peer, "idle connection closed"),
        }
        // One that is told to end may have a client that is slow to take its leave.
        let reason = phase.cut().or_else(|| attended.cut(&phase)).filter(|_| !phase.is_parting());
        reason.into_iter().for_each(|reason| self.cut(reason));
        None
    }

    fn service(
        &self,
        phase: &Phase,
        busy: &Arc<()>,
        handover: &Arc<Handover>,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Reply>,
        Error = Infallible,
        Future: Send + 'static,
    > + use<> {
        let ip: Arc<str> = self.ip().into();
        let (gateway, phase) = (Arc::clone(&self.gateway), phase.clone());
        let (sign, handover) = (Arc::clone(busy), Arc::clone(handover));
        service_fn(move |request: Request<Incoming>| {
            let (gateway, ip) = (Arc::clone(&gateway), Arc::clone(&ip));
            let (phase, sign, handover) = (phase.clone(), Arc::clone(&sign), Arc::clone(&handover));
            phase.head_complete();
            let version = request.version();
            async move {
                let mut response = match phase.is_ambiguous() {
                    false => gateway.answer(&ip, request).await,
                    true => gateway.refuse_framing(&ip),
                };
                response.body_mut().hold(sign);
                match version {
                    // HTTP/2 has a frame for it, and streams beside each other.
                    Version::HTTP_2 => {}
                    _ if phase.is_parting() => {
                        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    Version::HTTP_11 => handover.offer(&mut response),
                    _ => {}
                }
                phase.answered();
                Ok(response)
            }
        })
    }

    /// Lets a connection work until it ends, was idle for too long, or has sent the head of a stream.
    async fn attend<C>(
        &self,
        mut connection: Pin<&mut C>,
        protocol: Protocol,
        phase: &Phase,
        busy: &Arc<()>,
        handover: &Handover,
    ) -> Attended
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let limits = &self.gateway.settings().limits;
        let draining = self.gateway.draining();
        let mut progress = phase.progress();
        let mut parted = Parted::Not;
        loop {
            let pause = if parted == Parted::Not { limits.idle_timeout } else { limits.parting };
            tokio::select! {
                attended = poll_fn(|task| match connection.as_mut().poll(task) {
                    Poll::Ready(ended) => Poll::Ready(Attended::Ended(ended)),
                    Poll::Pending if handover.has_begun() && phase.is_written() => {
                        handover.take().map_or(Poll::Pending, |body| Poll::Ready(Attended::HandedOver(body)))
                    }
                    Poll::Pending => Poll::Pending,
                }) => return attended,
                () = draining.cancelled(), if parted == Parted::Not => {
                    parted = Parted::Said;
                    phase.part();
                    if protocol == Protocol::Http2 {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = tokio::time::sleep(pause) => {
                    if parted == Parted::Said {
                        parted = Parted::Waited;
                        connection.as_mut().graceful_shutdown();
                    } else if phase.progress() == progress && Arc::strong_count(busy) <= 2 {
                        // One is here and one with the service; each request in progress holds another.
                        return Attended::Idle;
                    }
                    progress = phase.progress();
                }
            }
        }
    }
}

/// What became of a connection.
enum Attended {
    Ended(Result<(), hyper::Error>),
    Idle,
    /// The head of a listening stream is sent, and this is its body.
    HandedOver(Reply),
}

impl Attended {
    /// The bound that the client passed, by the HTTP library's account or by ours of what it left unread.
    fn cut(&self, phase: &Phase) -> Option<Reason> {
        let unread = (!phase.is_written()).then_some(Reason::Unread);
        match self {
            Self::Ended(Ok(())) | Self::HandedOver(_) => None,
            Self::Idle => unread,
            Self::Ended(Err(error)) if error.is_parse_too_large() => Some(Reason::HeadTooLarge),
            Self::Ended(Err(error)) if error.is_parse() => Some(Reason::Malformed),
            // Nothing is asked and nothing is answered, a ping for example.
            Self::Ended(Err(error)) if error.is_timeout() => unread,
            Self::Ended(Err(error)) => {
                let error: &h2::Error = error.source()?.downcast_ref()?;
                match error.reason().filter(|_| error.is_library())? {
                    h2::Reason::ENHANCE_YOUR_CALM => Some(Reason::FrameFlood),
                    // Said of a field that goes on and on, where the head is too large already.
                    h2::Reason::COMPRESSION_ERROR => Some(Reason::HeadTooLarge),
                    h2::Reason::NO_ERROR => None,
                    _ => Some(Reason::Malformed),
                }
            }
        }
    }
}
