//! One HTTP/1.1 connection. It has no task of its own: whoever uses it drives it, so that a request costs no switch
//! between tasks, dropping it closes the socket at once, and nothing is left running.
//!
//! hyper hands responses from its connection to its caller through channels inside the process. Both ends are
//! polled here, the connection with the task's waker and the receiving end, which can only change while the
//! connection is polled, with none.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;

use crate::stream::Stream;

/// Bytes of a response's head that are read.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// How long an advertised `Keep-Alive: timeout` is believed.
const MAX_ADVERTISED: Duration = Duration::from_secs(60);
/// Left between what the server advertises and when we stop using the connection.
const MARGIN: Duration = Duration::from_secs(1);

pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// None after it ended: hyper's connections must not be polled again.
    connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    /// How long it may idle, as far as the server said.
    pub(crate) keep: Option<Duration>,
}

/// Why an exchange failed.
pub(crate) struct Failure {
    /// The request, if nothing of it was written: only then may it be sent again.
    pub(crate) unsent: Option<Request<Full<Bytes>>>,
    pub(crate) source: hyper::Error,
}

impl Link {
    pub(crate) async fn new(stream: Stream) -> Result<Box<Self>, hyper::Error> {
        let (sender, connection) =
            http1::Builder::new().max_header_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { sender, connection: Some(connection), keep: None }))
    }

    /// Sends a request and waits for the head of the response. Dropping the future leaves the link unusable.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut response = pin!(unconstrained(self.sender.try_send_request(request)));
        let connection = &mut self.connection;
        let answer = poll_fn(|cx| {
            let _ = drive(connection, cx);
            response.as_mut().poll(&mut no_waker())
        })
        .await;
        match answer {
            Ok(response) => {
                self.keep = advertised(response.headers());
                Ok(response)
            }
            Err(mut error) => Err(Failure { unsent: error.take_message(), source: error.into_error() }),
        }
    }

    /// Lets the connection read and write what it can. Ready when it has ended.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        drive(&mut self.connection, cx)
    }

    /// Whether it is between exchanges and, as far as the kernel has told, open.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.poll_drive(&mut no_waker()).is_pending() && self.sender.is_ready()
    }
}

/// Polls the connection; drops it when it has ended, which answers whatever still waits for it.
fn drive(
    connection: &mut Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match connection {
        None => Poll::Ready(()),
        Some(open) => match Pin::new(open).poll(cx) {
            Poll::Pending => Poll::Pending,
            // The error, if any, goes to the exchange through hyper's channel.
            Poll::Ready(_) => {
                *connection = None;
                Poll::Ready(())
            }
        },
    }
}

pub(crate) fn no_waker() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// `Keep-Alive: timeout=5` (RFC 9112 appendix C.2.2, as Node and others send it), less a margin.
fn advertised(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = text.split(',').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("timeout") { value.parse().ok() } else { None }
    })?;
    Some(Duration::from_secs(seconds).saturating_sub(MARGIN).min(MAX_ADVERTISED))
}
