//! One endpoint and one token: the requests that are sent there, in HTTP/1.1 as bytes and in HTTP/2 as a request.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

/// Where to, and as whom.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) path: Arc<str>,
    pub(crate) token: Arc<str>,
}

/// The verb of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Post,
    Get,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, path: &str, token: &str) -> Self {
        Self { address, path: path.into(), token: token.into() }
    }

    /// Header fields, besides those of the connection and of the body's length.
    pub(crate) fn headers(&self, verb: Verb, session: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("accept", "application/json, text/event-stream".to_owned()),
            ("authorization", format!("Bearer {}", self.token)),
        ];
        if verb == Verb::Post {
            headers.push(("content-type", "application/json".to_owned()));
        }
        if let Some(session) = session {
            headers.push(("mcp-session-id", session.to_owned()));
            headers.push(("mcp-protocol-version", "2025-11-25".to_owned()));
        }
        headers
    }

    /// The head of a request in HTTP/1.1, for a body of `length` bytes.
    pub(crate) fn head(&self, verb: Verb, session: Option<&str>, length: usize) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", verb.name(), self.path, self.address);
        for (name, value) in self.headers(verb, session) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if verb == Verb::Post {
            text.push_str(&format!("content-length: {length}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// A whole request in HTTP/1.1.
    pub(crate) fn http_1(&self, verb: Verb, session: Option<&str>, body: &str) -> Vec<u8> {
        let mut bytes = self.head(verb, session, body.len());
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }

    /// A request in HTTP/2.
    pub(crate) fn http_2(
        &self,
        verb: Verb,
        session: Option<&str>,
        body: &str,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request =
            Request::builder().method(verb.name()).uri(format!("http://{}{}", self.address, self.path));
        for (name, value) in self.headers(verb, session) {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(Bytes::from(body.to_owned())))?)
    }
}
