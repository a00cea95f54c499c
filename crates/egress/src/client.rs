//! The client of one target: a pool of HTTP/1.1 connections to it, and requests sent over them.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::task::JoinSet;

use crate::{
    AddressPolicy, Body, EgressError, Target,
    connect::connect,
    link::{Failure, Link},
    listen,
    pool::{Pool, Slot},
    stream::Stream,
    target::Destination,
};

/// The shortest time between two sweeps of the idle connections.
const LEAST_SWEEP: Duration = Duration::from_secs(1);

/// Bounds of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// From resolving the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept for servers that don't send `Keep-Alive: timeout`. Shorter than the
    /// five seconds after which common servers close silently, since a request written into a closing connection
    /// can't be sent again.
    pub idle_timeout: Duration,
    /// Idle connections that are kept.
    pub max_idle: usize,
    /// Requests in progress, each of which holds a connection until its response is read to the end.
    pub max_connections: usize,
    /// Requests that wait for a connection; one more is refused with [`EgressError::Busy`].
    pub max_waiting: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            max_idle: 256,
            max_connections: 1024,
            max_waiting: 1024,
        }
    }
}

/// Sends requests to one target. Dropping it closes its idle connections; responses that are being read go on.
pub struct Client {
    destination: Destination,
    policy: Arc<AddressPolicy>,
    tls: Arc<ClientConfig>,
    connect_timeout: Duration,
    pool: Arc<Pool>,
    /// Sweeps idle connections; started with the first connection, ended with the client.
    sweeper: OnceLock<JoinSet<()>>,
}

impl Client {
    /// A client without connections yet.
    ///
    /// # Errors
    /// [`EgressError::Target`]: the URL can't be a target. Addresses are judged when connecting, each time.
    pub fn new(
        target: Target,
        policy: Arc<AddressPolicy>,
        limits: ClientLimits,
        tls: Arc<ClientConfig>,
    ) -> Result<Self, EgressError> {
        Ok(Self {
            destination: Destination::new(target)?,
            policy,
            tls,
            connect_timeout: limits.connect_timeout,
            pool: Pool::new(limits),
            sweeper: OnceLock::new(),
        })
    }

    /// Sends a request and waits for the head of the response, for as long as the caller lets it: dropping the
    /// future closes the connection. A request URI of `/` stands for the target's own path and query; `Host` is
    /// always the target's. Sent twice only if hyper gives it back unwritten.
    ///
    /// # Errors
    /// [`EgressError`]; [`EgressError::is_connect`] tells whether nothing was sent. A response of any status,
    /// redirects included, is a response and not an error.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, EgressError> {
        let slot = self.pool.slot().await?;
        let mut request = self.prepare(request).map(Full::new);
        if let Some(mut link) = self.pool.take() {
            match link.exchange(request).await {
                Ok(response) => return respond(response, link, slot),
                Err(Failure { unsent: Some(unsent), .. }) => request = unsent,
                Err(Failure { unsent: None, source }) => return Err(EgressError::Interrupted { source }),
            }
        }
        let mut link = Box::pin(self.connect()).await?;
        match link.exchange(request).await {
            Ok(response) => respond(response, link, slot),
            Err(Failure { source, .. }) => Err(EgressError::Interrupted { source }),
        }
    }

    /// The same for a response that is expected to go on for long and to be silent for most of the time. It has a
    /// connection of its own, which serves nothing else.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn listen(&self, request: Request<Bytes>) -> Result<Response<Body>, EgressError> {
        let slot = self.pool.slot().await?;
        let request = self.prepare(request);
        let stream = self.reach().await?;
        let exchanged = listen::exchange(stream, &request).await;
        let response = exchanged.map_err(|source| EgressError::Broken { source })?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(EgressError::Switched);
        }
        Ok(response.map(|body| Body::unbuffered(body, slot)))
    }

    /// Closes idle connections and refuses new requests with [`EgressError::Closed`]. Requests in progress go on.
    pub fn close(&self) {
        self.pool.close();
    }

    fn prepare(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let uri = request.uri();
        if uri.path() == "/" && uri.query().is_none() {
            *request.uri_mut() = self.destination.uri.clone();
        }
        let headers = request.headers_mut();
        // How the body is framed is for whoever writes it to say, from the bytes it has.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        headers.insert(header::HOST, self.destination.host_header.clone());
        request
    }

    async fn connect(&self) -> Result<Box<Link>, EgressError> {
        self.sweeper.get_or_init(|| {
            let mut tasks = JoinSet::new();
            tasks.spawn(sweep(Arc::downgrade(&self.pool), self.pool.idle_timeout().max(LEAST_SWEEP)));
            tasks
        });
        Link::new(self.reach().await?).await.map_err(|source| EgressError::Interrupted { source })
    }

    async fn reach(&self) -> Result<Stream, EgressError> {
        connect(&self.destination.place, &self.policy, &self.tls, self.connect_timeout).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pool.close();
    }
}

/// Shows where it sends, without path and query.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.destination.host_header).finish_non_exhaustive()
    }
}

async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match pool.upgrade() {
            Some(pool) => pool.sweep(),
            None => return,
        }
    }
}

fn respond(response: Response<Incoming>, link: Box<Link>, slot: Slot) -> Result<Response<Body>, EgressError> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(EgressError::Switched);
    }
    Ok(response.map(|incoming| Body::new(incoming, link, slot)))
}
