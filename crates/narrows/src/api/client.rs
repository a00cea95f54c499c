//! Asking the API: over the socket of a running `up`, else in this process.

use std::{io::ErrorKind, path::PathBuf, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use narrows_console::Problem;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;
use tower::ServiceExt as _;

use super::{offline::Offline, socket};
use crate::{data_dir::DataDir, failure::Failure, keys::ApiKey};

/// How often, and how long apart, `up` is looked for while it starts or ends.
const ATTEMPTS: u32 = 50;
const APART: Duration = Duration::from_millis(100);

/// How long an answer of `up` is waited for: a change of very many resources takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the API is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What is, what was, what would be.
    Read,
    /// To change something.
    Change,
}

/// The API of one data directory.
pub(crate) enum Api {
    /// That of a running `up`, at this socket, with the key to it.
    Running(PathBuf, ApiKey),
    /// This process's own.
    Offline(Box<Offline>),
}

impl Api {
    /// Finds a running `up`, or takes its place as far as it has to.
    pub(crate) async fn open(data_dir: &DataDir, purpose: Purpose) -> Result<Self, Failure> {
        let mut attempt = 0;
        loop {
            match UnixStream::connect(socket(data_dir)).await {
                Ok(_) => return Ok(Self::Running(socket(data_dir), ApiKey::of_running(data_dir)?)),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(error) => {
                    return Err(Failure::new(format!("cannot ask the running `narrows up`: {error}"))
                        .hint("run this as the user that runs it"));
                }
            }
            match purpose {
                Purpose::Read => {
                    return Offline::reading(data_dir).map(|offline| Self::Offline(Box::new(offline)));
                }
                Purpose::Change => {}
            }
            match data_dir.lock() {
                Ok(lock) => {
                    return Offline::open(data_dir, lock).map(|offline| Self::Offline(Box::new(offline)));
                }
                // It is starting or ending: it answers, or lets go, in a moment.
                Err(_) if attempt < ATTEMPTS => tokio::time::sleep(APART).await,
                Err(failure) => return Err(failure),
            }
            attempt += 1;
        }
    }

    /// Asks for something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Lets go of the data directory.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Running(..) => Ok(()),
            Self::Offline(offline) => offline.close().await,
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let text = body.map(serde_json::to_vec).transpose().map_err(anyhow::Error::from)?;
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("narrows/", env!("CARGO_PKG_VERSION")))
            .body(Body::from(text.unwrap_or_default()))
            .map_err(anyhow::Error::from)?;
        let (status, bytes) = match self {
            Self::Running(path, key) => {
                let mut request = request;
                let shown = HeaderValue::try_from(key.header()).map_err(anyhow::Error::from)?;
                request.headers_mut().insert(header::AUTHORIZATION, shown);
                let stream = UnixStream::connect(path).await.map_err(|error| gone(&error))?;
                tokio::time::timeout(PATIENCE, over(stream, request)).await.unwrap_or_else(|_| Err(late()))?
            }
            Self::Offline(offline) => {
                let response = offline.router.clone().oneshot(request).await.map_err(anyhow::Error::from)?;
                let status = response.status();
                let read = response.into_body().collect().await;
                (status, read.map_err(anyhow::Error::from)?.to_bytes())
            }
        };
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| other_version(&error));
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(Failure::from_api(problem)),
            Err(error) => Err(other_version(&error)),
        }
    }
}

async fn over(
    stream: UnixStream,
    request: Request<Body>,
) -> Result<(StatusCode, axum::body::Bytes), Failure> {
    let lost = |error: hyper::Error| {
        Failure::new(format!("the running `narrows up` did not answer: {error}"))
            .hint("it may have done what was asked nevertheless: `narrows revisions list` shows it")
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let mut connection = std::pin::pin!(connection);
    let exchange = async {
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(lost)?;
        Ok((status, body.to_bytes()))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        done = exchange.as_mut() => done,
        // The connection may end with the answer in hand.
        _ = connection.as_mut() => exchange.await,
    }
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot ask the running `narrows up`: {error}"))
        .hint("it may have ended just now: try again")
}

fn late() -> Failure {
    Failure::new(format!("the running `narrows up` did not answer within {} seconds", PATIENCE.as_secs()))
        .hint("it may do what was asked nevertheless: `narrows revisions list` shows it")
}

fn other_version(error: &serde_json::Error) -> Failure {
    Failure::new(format!("the running `narrows up` answered something else: {error}"))
        .hint("run the same version of `narrows` as it does")
}
