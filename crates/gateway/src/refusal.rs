//! The one place where a refusal becomes a response: status, JSON-RPC error, and words that say what happened, whose
//! fault it is and what to do. No part of a token, an argument or an upstream's answer is in it.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use narrows_core::{ids::ServerId, ports::AppendError};
use narrows_mcp::envelope::{EnvelopeError, Id, error_bytes};

use crate::{cuts::Reason, identity::AuthFailure, reply::Reply, upstream::UpstreamFailure};

/// JSON-RPC error codes of our own. MCP reserves -32768 to -32000, so they stand outside of it; the last three
/// digits are those of the HTTP status.
pub mod code {
    /// The request's head is not acceptable.
    pub const BAD_REQUEST: i64 = -31400;
    /// No valid token.
    pub const UNAUTHENTICATED: i64 = -31401;
    /// No grant for this.
    pub const DENIED: i64 = -31403;
    /// No such endpoint for this caller, or the session is not known.
    pub const NOT_FOUND: i64 = -31404;
    /// Too many requests of this principal are in progress.
    pub const BUSY: i64 = -31429;
    /// The server answered what can't be passed on.
    pub const BAD_GATEWAY: i64 = -31502;
    /// The record can't be written, the server is not there, or there is no room for the body.
    pub const UNAVAILABLE: i64 = -31503;
    /// The server did not answer in time.
    pub const TIMEOUT: i64 = -31504;
}

/// What is wrong with a request's head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EdgeRefusal {
    #[error("there is no such path here; a server's endpoint is `/mcp/{{namespace}}/{{server}}`")]
    Path,
    #[error("use POST, GET or DELETE")]
    Method,
    #[error("an MCP endpoint takes no query; send the token in the `Authorization` header")]
    Query,
    #[error("`Host` is missing or is not a name of this gateway (`--allow-host` adds one)")]
    Host,
    #[error("`Origin` is not one that may use this gateway (`--allow-origin` adds one)")]
    Origin,
    #[error("`Mcp_…` is not a header; write it with `-`")]
    HeaderName,
    #[error("the header `{0}` stands there twice")]
    RepeatedHeader(HeaderName),
    #[error("the header `{0}` holds characters that are not visible ASCII")]
    HeaderValue(HeaderName),
    #[error("send `Content-Type: application/json`")]
    ContentType,
    #[error("send the body without `Content-Encoding`")]
    ContentEncoding,
    #[error("send `Accept: application/json, text/event-stream` (for GET: `text/event-stream`)")]
    Accept,
    #[error("GET and DELETE take no body")]
    UnexpectedBody,
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the body did not arrive in time")]
    BodyLate,
    #[error("the body was cut off")]
    BodyIncomplete,
    #[error("too many large bodies are under way; try again shortly")]
    NoRoom,
    #[error(
        "the request can be read in two ways; send one `Content-Length` or `Transfer-Encoding: chunked`, lines that end with CRLF, and a target without `#`"
    )]
    Framing,
}

impl EdgeRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Accept => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLate | Self::BodyIncomplete => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::Query
            | Self::HeaderName
            | Self::RepeatedHeader(_)
            | Self::HeaderValue(_)
            | Self::UnexpectedBody
            | Self::Framing => StatusCode::BAD_REQUEST,
        }
    }

    fn code(&self) -> i64 {
        match self {
            // Not the request's fault: the same one may be sent again.
            Self::NoRoom => code::UNAVAILABLE,
            Self::Path
            | Self::Method
            | Self::Query
            | Self::Host
            | Self::Origin
            | Self::HeaderName
            | Self::RepeatedHeader(_)
            | Self::HeaderValue(_)
            | Self::ContentType
            | Self::ContentEncoding
            | Self::Accept
            | Self::UnexpectedBody
            | Self::BodyTooLarge(_)
            | Self::BodyLate
            | Self::BodyIncomplete
            | Self::Framing => code::BAD_REQUEST,
        }
    }

    /// The bound that was passed, where it is one.
    fn cut(&self) -> Option<Reason> {
        match self {
            Self::BodyTooLarge(_) => Some(Reason::BodyTooLarge),
            Self::BodyLate => Some(Reason::SlowBody),
            Self::NoRoom => Some(Reason::NoRoom),
            Self::Framing => Some(Reason::Ambiguous),
            Self::Path
            | Self::Method
            | Self::Query
            | Self::Host
            | Self::Origin
            | Self::HeaderName
            | Self::RepeatedHeader(_)
            | Self::HeaderValue(_)
            | Self::ContentType
            | Self::ContentEncoding
            | Self::Accept
            | Self::UnexpectedBody
            | Self::BodyIncomplete => None,
        }
    }
}

/// Why a request is not, or not any longer, carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The head or the body's delivery.
    #[error(transparent)]
    Edge(#[from] EdgeRefusal),
    /// No valid token. `challenge` is the value of `WWW-Authenticate`.
    #[error("{failure}")]
    Unauthenticated { failure: AuthFailure, challenge: Option<HeaderValue> },
    /// Unknown, disabled and forbidden servers look the same.
    #[error("there is no server `{0}` for you here")]
    UnknownServer(ServerId),
    /// `/mcp` has no servers behind it in this version.
    #[error("`/mcp` lists no servers yet; use a server's own endpoint, `/mcp/{{namespace}}/{{server}}`")]
    NoAggregate,
    /// The session handle is not valid for this caller, endpoint and time.
    #[error("the session is not known; initialize a new one")]
    UnknownSession(Option<Id>),
    /// GET without a session: there is nothing to listen to.
    #[error("a stream needs a session; send `Mcp-Session-Id`")]
    SessionRequired,
    /// The body is not a message that can be judged.
    #[error("{message}")]
    Message { status: StatusCode, id: Option<Id>, code: i64, message: String, data: Option<String> },
    /// The roles don't allow it.
    #[error("{what} is not there for you on `{server}`")]
    Denied { id: Option<Id>, what: String, server: ServerId, request_id: String },
    /// The right to the answer ended while it was awaited.
    #[error("the request was cut off: {reason}")]
    Withdrawn { id: Option<Id>, reason: &'static str },
    /// A session has one listening stream at a time.
    #[error("the session has a listening stream already")]
    StreamTaken,
    /// Too many at once.
    #[error("{limit} of your requests are in progress; wait for one to end")]
    Busy { id: Option<Id>, limit: u32 },
    /// The record could not be made durable, so nothing was forwarded.
    #[error("the request can't be recorded, so it was not forwarded: {source}")]
    Unrecorded { id: Option<Id>, source: AppendError },
    /// The record did not become durable in time, so nothing was forwarded.
    #[error("the request was not recorded in time, so it was not forwarded")]
    RecordTimeout { id: Option<Id> },
    /// The server behind.
    #[error("`{server}`: {failure}")]
    Upstream { id: Option<Id>, server: ServerId, failure: UpstreamFailure, request_id: String },
}

impl From<EnvelopeError> for Refusal {
    /// What can't be read or is not a message is HTTP 400, in both protocol eras.
    fn from(error: EnvelopeError) -> Self {
        Self::Message {
            status: StatusCode::BAD_REQUEST,
            id: error.id().cloned(),
            code: error.code(),
            message: error.to_string(),
            data: error.data(),
        }
    }
}

impl Refusal {
    /// A JSON-RPC error of HTTP status 400.
    pub(crate) fn bad_request(id: Option<&Id>, code: i64, message: impl Into<String>) -> Self {
        Self::Message {
            status: StatusCode::BAD_REQUEST,
            id: id.cloned(),
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The refusal for a failure behind the gateway.
    pub(crate) fn upstream(
        context: &crate::context::Context,
        id: Option<&Id>,
        failure: UpstreamFailure,
        request_id: String,
    ) -> Self {
        Self::Upstream { id: id.cloned(), server: context.server.clone(), failure, request_id }
    }

    /// The bound that was passed, where it is one.
    pub(crate) fn cut(&self) -> Option<Reason> {
        match self {
            Self::Edge(refusal) => refusal.cut(),
            Self::Busy { .. } => Some(Reason::TooManyRequests),
            Self::Unauthenticated { .. }
            | Self::UnknownServer(_)
            | Self::NoAggregate
            | Self::UnknownSession(_)
            | Self::SessionRequired
            | Self::Message { .. }
            | Self::Denied { .. }
            | Self::Withdrawn { .. }
            | Self::StreamTaken
            | Self::Unrecorded { .. }
            | Self::RecordTimeout { .. }
            | Self::Upstream { .. } => None,
        }
    }

    /// The id of the request that is refused, where it is known.
    fn id(&self) -> Option<&Id> {
        match self {
            Self::UnknownSession(id)
            | Self::Denied { id, .. }
            | Self::Withdrawn { id, .. }
            | Self::Message { id, .. }
            | Self::Busy { id, .. }
            | Self::Unrecorded { id, .. }
            | Self::RecordTimeout { id }
            | Self::Upstream { id, .. } => id.as_ref(),
            Self::Edge(_)
            | Self::Unauthenticated { .. }
            | Self::UnknownServer(_)
            | Self::NoAggregate
            | Self::SessionRequired
            | Self::StreamTaken => None,
        }
    }

    /// The JSON-RPC error alone, for a stream whose status was sent long ago.
    pub(crate) fn to_message(&self) -> Vec<u8> {
        let (_, code) = self.status_and_code();
        error_bytes(self.id(), code, &self.to_string(), self.data().as_deref())
    }

    /// The response. The only function that chooses a status for a refusal.
    pub(crate) fn into_response(self) -> Response<Reply> {
        let (status, _) = self.status_and_code();
        let body = self.to_message();
        let challenge = match self {
            Self::Unauthenticated { challenge, .. } => challenge,
            Self::Edge(_)
            | Self::UnknownServer(_)
            | Self::NoAggregate
            | Self::UnknownSession(_)
            | Self::SessionRequired
            | Self::Message { .. }
            | Self::Denied { .. }
            | Self::Withdrawn { .. }
            | Self::StreamTaken
            | Self::Busy { .. }
            | Self::Unrecorded { .. }
            | Self::RecordTimeout { .. }
            | Self::Upstream { .. } => None,
        };
        let mut response = Response::new(Reply::whole(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
            }
            _ => {}
        }
        response
    }

    fn status_and_code(&self) -> (StatusCode, i64) {
        match self {
            Self::Edge(refusal) => (refusal.status(), refusal.code()),
            Self::Unauthenticated { failure, .. } => match failure.http_status() {
                401 => (StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED),
                _ => (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE),
            },
            Self::UnknownServer(_) | Self::NoAggregate | Self::UnknownSession(_) => {
                (StatusCode::NOT_FOUND, code::NOT_FOUND)
            }
            Self::SessionRequired => (StatusCode::BAD_REQUEST, code::BAD_REQUEST),
            Self::Message { status, code, .. } => (*status, *code),
            // No `insufficient_scope` challenge: grants are roles here, and no scope that a client could go and ask
            // for would change the answer. With one, clients send their users to log in again, in vain.
            Self::Denied { .. } | Self::Withdrawn { .. } => (StatusCode::FORBIDDEN, code::DENIED),
            Self::StreamTaken => (StatusCode::CONFLICT, code::BAD_REQUEST),
            Self::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, code::BUSY),
            Self::Unrecorded { .. } | Self::RecordTimeout { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE)
            }
            Self::Upstream { failure, .. } => match failure {
                UpstreamFailure::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE),
                UpstreamFailure::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, code::TIMEOUT),
                UpstreamFailure::Protocol(_) | UpstreamFailure::Status(_) => {
                    (StatusCode::BAD_GATEWAY, code::BAD_GATEWAY)
                }
            },
        }
    }

    /// `error.data`: a hint for people and, where there is one, the request's id in the record.
    fn data(&self) -> Option<String> {
        let (hint, request_id) = match self {
            Self::Denied { request_id, .. } => (
                "ask who governs this namespace for a role that allows it, and name the request id",
                Some(request_id),
            ),
            Self::Upstream { failure, request_id, .. } => (failure.hint(), Some(request_id)),
            Self::Unrecorded { .. } | Self::RecordTimeout { .. } => {
                ("try again shortly; if it stays, tell who runs the gateway: its log says why", None)
            }
            Self::UnknownServer(_) => {
                ("check the URL, or ask who governs the namespace for a role there", None)
            }
            Self::Message { data, .. } => return data.clone(),
            Self::Edge(_)
            | Self::Unauthenticated { .. }
            | Self::NoAggregate
            | Self::UnknownSession(_)
            | Self::SessionRequired
            | Self::StreamTaken
            | Self::Withdrawn { .. }
            | Self::Busy { .. } => return None,
        };
        let mut data = String::from("{\"hint\":");
        narrows_mcp::json::write_string(&mut data, hint);
        if let Some(request_id) = request_id {
            data.push_str(",\"requestId\":");
            narrows_mcp::json::write_string(&mut data, request_id);
        }
        data.push('}');
        Some(data)
    }
}
