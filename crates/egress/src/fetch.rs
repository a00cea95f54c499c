//! Fetches one small document, such as a key set or a discovery document: one connection, one GET, no redirect, no
//! trust in what the other side says of type or length.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use rustls::ClientConfig;
use url::Url;

use crate::{AddressPolicy, Client, ClientLimits, EgressError, Target};

/// Bounds of one fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Most bytes of the document.
    pub bytes: usize,
    /// For the whole of it, from resolving the name to the last byte.
    pub timeout: Duration,
}

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The exchange failed.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The server redirects, which is not followed.
    #[error("the answer is a redirect ({0}), which is not followed\nhint: configure the final address")]
    Redirect(StatusCode),
    /// The answer is not 200.
    #[error("the answer has status {0}")]
    Status(StatusCode),
    /// The document is larger than it may be.
    #[error("the document has more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Time ran out.
    #[error("the document did not arrive within {} ms", within.as_millis())]
    Timeout {
        /// The bound.
        within: Duration,
    },
}

/// Fetches the document at `url` over a connection of its own.
///
/// # Errors
/// [`FetchError`]
pub async fn fetch(
    url: &Url,
    policy: Arc<AddressPolicy>,
    tls: Arc<ClientConfig>,
    limits: FetchLimits,
) -> Result<Bytes, FetchError> {
    match tokio::time::timeout(limits.timeout, get(url, policy, tls, limits)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(FetchError::Timeout { within: limits.timeout }),
    }
}

async fn get(
    url: &Url,
    policy: Arc<AddressPolicy>,
    tls: Arc<ClientConfig>,
    limits: FetchLimits,
) -> Result<Bytes, FetchError> {
    let of_client = ClientLimits {
        connect_timeout: limits.timeout,
        max_idle: 0,
        max_connections: 1,
        max_waiting: 0,
        ..ClientLimits::default()
    };
    let client = Client::new(Target::Url(url.clone()), policy, of_client, tls)?;
    let mut request = Request::new(Bytes::new());
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("narrows/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let response = client.send(request).await?;
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    let too_large = || FetchError::TooLarge { limit: limits.bytes };
    let mut body = response.into_body();
    if body.size_hint().lower() > u64::try_from(limits.bytes).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut document = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if data.len() > limits.bytes.saturating_sub(document.len()) {
                return Err(too_large());
            }
            document.extend_from_slice(&data);
        }
    }
    Ok(document.freeze())
}
