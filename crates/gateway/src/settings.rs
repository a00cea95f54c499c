//! What the gateway is told at start: its own address, whom it listens to, and its limits. Values are checked by the
//! binary that builds them; every limit has a safe default.

use std::time::Duration;

use url::Url;

/// The gateway's own configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URL that clients use, without path: `https://mcp.example.com`. Resource identifiers are made from it,
    /// never from a request's `Host`.
    pub public_url: Url,
    /// Values of `Host` that are answered, lower case; without a port, any port matches.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` that are answered, for example `https://console.example.com`; without a port, any port
    /// matches. A request without `Origin` is not a browser's and passes.
    pub allowed_origins: Vec<String>,
    /// Bounds on what one client, one request and one stream may use.
    pub limits: Limits,
}

/// Bounds. None of them can be switched off.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that are open at once.
    pub connections: usize,
    /// From the first byte of a request's head to its end.
    pub header_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Header fields in a request.
    pub headers: usize,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all requests' bodies together that come in pieces.
    pub bodies_bytes: usize,
    /// A kept-alive HTTP/1.1 connection or HTTP/2 connection without requests.
    pub idle_timeout: Duration,
    /// For the audit record to become durable before a request is refused.
    pub audit_timeout: Duration,
    /// From sending a request to the head of the server's response.
    pub upstream_timeout: Duration,
    /// Between two pieces of a server's response.
    pub upstream_idle_timeout: Duration,
    /// Bytes of a response that has to be read whole: a list, an `initialize`, an event.
    pub buffered_bytes: usize,
    /// Bytes of a response that is streamed.
    pub response_bytes: u64,
    /// Requests of one principal that are in progress at once, streams included.
    pub principal_concurrency: u32,
    /// How long a session handle is good for.
    pub session_lifetime: Duration,
    /// How long a `requestState` is good for.
    pub request_state_lifetime: Duration,
    /// Silence on an event stream after which a comment keeps it open.
    pub keep_alive: Duration,
    /// How long an idle connection may still bring a request after shutdown began, which is answered as its last.
    pub parting: Duration,
    /// How long requests in progress may go on after shutdown began.
    pub drain: Duration,
    /// Messages in a JSON-RPC batch (revision 2025-03-26 only).
    pub batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            header_timeout: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            headers: 100,
            body_timeout: Duration::from_secs(30),
            body_bytes: 4 * 1024 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            idle_timeout: Duration::from_secs(120),
            audit_timeout: Duration::from_secs(5),
            upstream_timeout: Duration::from_secs(300),
            upstream_idle_timeout: Duration::from_secs(300),
            buffered_bytes: 16 * 1024 * 1024,
            response_bytes: 256 * 1024 * 1024,
            principal_concurrency: 256,
            session_lifetime: Duration::from_secs(24 * 3600),
            request_state_lifetime: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(25),
            parting: Duration::from_secs(1),
            drain: Duration::from_secs(20),
            batch: 32,
        }
    }
}
