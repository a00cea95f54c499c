//! The servers behind the gateway, as HTTP endpoints. Sending takes an [`Admitted`]: what was not judged and recorded
//! can't be sent. A client's headers never come here; each request's headers are made anew.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, InstanceId},
    ports::ServerHealth,
};
use narrows_egress::{AddressPolicy, Body, Client, ClientLimits, EgressError, Target};

use crate::{
    enforcer::{Admitted, Ending, OpenCall},
    session::SESSION_HEADER,
};

/// Tells the bridge of a local server which sessionless requests belong together; opaque, and sent to sockets only.
pub(crate) const PRINCIPAL_HEADER: HeaderName = HeaderName::from_static("narrows-principal");

/// Connections to one server, streams included.
const CONNECTIONS: usize = 20_000;

/// One place where a server is.
pub(crate) struct Upstream {
    id: ServerId,
    /// A digest of the address.
    digest: [u8; 8],
    way: Option<(Endpoint, Client)>,
    health: Arc<dyn ServerHealth>,
}

/// What is needed to reach any server.
pub(crate) struct Reach {
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) health: Arc<dyn ServerHealth>,
    pub(crate) socket_of: Arc<dyn Fn(&InstanceId) -> PathBuf + Send + Sync>,
}

/// Why a server gave no answer that could be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamFailure {
    /// Not running, or not reachable.
    #[error("the server is not available: {0}")]
    Unavailable(String),
    /// Too slow.
    #[error("the server did not answer in time: {0}")]
    Timeout(&'static str),
    /// It answered, but not in MCP.
    #[error("the server's answer can't be passed on: {0}")]
    Protocol(String),
    /// It answered with an HTTP status that means nothing to an MCP client.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
}

impl UpstreamFailure {
    /// What the client's user can do.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => {
                "try again later; who runs the gateway sees why in its log and the server's"
            }
            Self::Timeout(_) => "the call may have had an effect; look before you repeat it",
            Self::Protocol(_) | Self::Status(_) => "this is a fault of the server; tell who runs it",
        }
    }

    /// The same, in a word for the record.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "server unavailable",
            Self::Timeout(_) => "server timed out",
            Self::Protocol(_) => "server broke the protocol",
            Self::Status(_) => "server answered with an unusable status",
        }
    }
}

/// A request to a server.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Opaque key of the principal.
    pub(crate) principal: HeaderValue,
}

/// What a server's response body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Events,
    Other,
}

/// The head of a server's answer; the body is still to come.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    pub(crate) session: Option<String>,
    pub(crate) body: Body,
    pub(crate) open: OpenCall,
}

impl Upstream {
    pub(crate) fn new(id: &ServerId, endpoint: &Endpoint, reach: &Reach) -> Result<Self, EgressError> {
        let client = reach.client(endpoint, CONNECTIONS)?;
        let digest = digest_of(endpoint);
        let health = Arc::clone(&reach.health);
        Ok(Self { id: id.clone(), digest, way: Some((endpoint.clone(), client)), health })
    }

    /// Where a server is to which there is no way yet: what is sent there does not arrive.
    pub(crate) fn nowhere(id: &ServerId, reach: &Reach) -> Self {
        Self { id: id.clone(), digest: [0; 8], way: None, health: Arc::clone(&reach.health) }
    }

    /// A digest of the address, which handles are bound to.
    pub(crate) fn target_digest(&self) -> [u8; 8] {
        self.digest
    }

    /// Whether the server runs here, behind a bridge of our own.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.way, Some((Endpoint::Local(_), _)))
    }

    /// Whether there is no way to it.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.way.is_none()
    }

    /// Whether this is there.
    pub(crate) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.way.as_ref().is_some_and(|(own, _)| own == endpoint)
    }

    /// Why it can't be reached now; none if nothing is known against it.
    fn unavailable(&self) -> Option<String> {
        self.health.unavailable(&self.id, self.way.as_ref().map(|(endpoint, _)| endpoint))
    }

    /// Sends what was admitted and waits for the head of the answer. On failure the outcome has been written.
    pub(crate) async fn send(
        &self,
        admitted: Admitted,
        outgoing: Outgoing,
        timeout: Duration,
    ) -> Result<Answer, UpstreamFailure> {
        let open = admitted.into_open();
        let known = self.unavailable();
        let (endpoint, client) = match (&self.way, known) {
            (Some(way), None) => way,
            (_, Some(reason)) => return Err(self.fail(open, UpstreamFailure::Unavailable(reason))),
            (None, None) => {
                let reason = "it is coming up".to_owned();
                return Err(self.fail(open, UpstreamFailure::Unavailable(reason)));
            }
        };
        let request = self.request(endpoint, outgoing, open.traceparent());
        let sending = async {
            match listens(&request) {
                // A listening stream; a box for it, so that other requests don't carry the room.
                true => Box::pin(client.listen(request)).await,
                false => client.send(request).await,
            }
        };
        let response = match tokio::time::timeout(timeout, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.fail(open, self.explain(&error))),
            Err(_) => return Err(self.fail(open, UpstreamFailure::Timeout("no response began"))),
        };
        let (head, body) = response.into_parts();
        let text = |name: &HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status,
            content: content(text(&header::CONTENT_TYPE)),
            session: text(&SESSION_HEADER).filter(|id| is_session_id(id)).map(str::to_owned),
            body,
            open,
        })
    }

    fn request(
        &self,
        endpoint: &Endpoint,
        outgoing: Outgoing,
        traceparent: Option<String>,
    ) -> Request<Bytes> {
        let mut request = Request::new(outgoing.body);
        *request.method_mut() = outgoing.method;
        *request.headers_mut() = outgoing.headers;
        let headers = request.headers_mut();
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("narrows/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(value) = traceparent.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert("traceparent", value);
        }
        match endpoint {
            Endpoint::Local(_) => {
                headers.insert(PRINCIPAL_HEADER, outgoing.principal);
            }
            Endpoint::Remote(_) => {}
        }
        request
    }

    /// Writes the outcome and the log line of a failure.
    fn fail(&self, open: OpenCall, failure: UpstreamFailure) -> UpstreamFailure {
        tracing::warn!(server = %self.id, request = open.request_id(), %failure, "no answer from the server");
        open.close(Ending::Error(failure.label()), 0);
        failure
    }

    fn explain(&self, error: &EgressError) -> UpstreamFailure {
        // What went wrong may name addresses inside; that is for the log alone.
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(server = %self.id, %error, cause, "no exchange with the server");
        if error.is_connect() {
            let known = self.unavailable();
            UpstreamFailure::Unavailable(known.unwrap_or_else(|| "it can't be reached".to_owned()))
        } else if error.is_timeout() {
            UpstreamFailure::Timeout("the connection stood still")
        } else {
            UpstreamFailure::Protocol("the exchange broke off".to_owned())
        }
    }
}

impl Reach {
    /// A client of what is there, with so many connections at most.
    pub(crate) fn client(&self, endpoint: &Endpoint, max_connections: usize) -> Result<Client, EgressError> {
        let target = match endpoint {
            Endpoint::Local(instance) => Target::Unix((self.socket_of)(instance)),
            Endpoint::Remote(url) => Target::Url(narrows_egress::parse_url(url)?),
        };
        let limits = ClientLimits { max_connections, ..ClientLimits::default() };
        Client::new(target, Arc::clone(&self.policy), limits, Arc::clone(&self.tls))
    }
}

/// The first bytes of the SHA-256 of an address's text.
fn digest_of(endpoint: &Endpoint) -> [u8; 8] {
    let text = match endpoint {
        Endpoint::Local(instance) => instance.to_string(),
        Endpoint::Remote(url) => url.to_string(),
    };
    let mut short = [0; 8];
    for (to, from) in short.iter_mut().zip(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    short
}

/// Whether the answer is a stream that goes on for as long as the client listens.
fn listens(request: &Request<Bytes>) -> bool {
    // In 2026-07-28 it is a POST whose method is also in a header, which was made anew from the body.
    let method = request.headers().get("mcp-method");
    *request.method() == Method::GET || method.is_some_and(|method| method == "subscriptions/listen")
}

/// What a body of this media type is.
pub(crate) fn content(media_type: Option<&str>) -> Content {
    let name = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if name.eq_ignore_ascii_case("application/json") {
        Content::Json
    } else if name.eq_ignore_ascii_case("text/event-stream") {
        Content::Events
    } else {
        Content::Other
    }
}

/// Visible ASCII (2025-11-25, Streamable HTTP, session management), of a length that fits a sealed handle.
fn is_session_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 1024 && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}
