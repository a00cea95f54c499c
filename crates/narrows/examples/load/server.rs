//! The server behind the gateway. It knows every session, answers small and large, and keeps its streams open.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

static SESSIONS: AtomicU64 = AtomicU64::new(1);

pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/mcp", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(async move {
                    // A client that goes away in the middle is no matter.
                    let _ended = http1::Builder::new()
                        .max_buf_size(8192)
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    match *request.method() {
        Method::GET => return Ok(hello()),
        Method::DELETE => return Ok(status(StatusCode::OK)),
        Method::POST => {}
        _ => return Ok(status(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let Ok(body) = request.into_body().collect().await else { return Ok(status(StatusCode::BAD_REQUEST)) };
    let message: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let Some(id) = message.get("id") else { return Ok(status(StatusCode::ACCEPTED)) };
    let params = message.get("params").unwrap_or(&Value::Null);
    let result = match message.get("method").and_then(Value::as_str) {
        Some("initialize") => {
            let text = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"load","version":"1"}}"#;
            let mut response = json(id, text);
            let session = format!("session-{:020}", SESSIONS.fetch_add(1, Ordering::Relaxed));
            if let Ok(value) = session.parse() {
                response.headers_mut().insert("mcp-session-id", value);
            }
            return Ok(response);
        }
        Some("tools/list") => r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#,
        Some("tools/call") => {
            let bytes = params.pointer("/arguments/bytes").and_then(Value::as_u64).unwrap_or(120);
            return Ok(text(id, usize::try_from(bytes).unwrap_or(120)));
        }
        _ => "{}",
    };
    Ok(json(id, result))
}

fn json(id: &Value, result: &str) -> Answer {
    pieces([Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))].into())
}

/// A result of so many bytes of text. All of them are pieces of one text: this server must not be what calls wait for.
fn text(id: &Value, bytes: usize) -> Answer {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from("x".repeat(1 << 16)));
    let begin = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#);
    let mut all = VecDeque::from([Bytes::from(begin)]);
    let mut left = bytes;
    while left > 0 {
        let piece = TEXT.slice(..left.min(TEXT.len()));
        left -= piece.len();
        all.push_back(piece);
    }
    all.push_back(Bytes::from_static(br#""}],"isError":false}}"#));
    pieces(all)
}

fn pieces(all: VecDeque<Bytes>) -> Answer {
    of("application/json", Pieces { all, then: Then::End })
}

/// An event stream that says one thing and then nothing.
fn hello() -> Answer {
    of("text/event-stream", Pieces { all: [Bytes::from_static(b": hello\n\n")].into(), then: Then::Silence })
}

fn of(kind: &'static str, body: Pieces) -> Answer {
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(http_body_util::Empty::new().boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Bytes that are there, and what follows them.
struct Pieces {
    all: VecDeque<Bytes>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    End,
    Silence,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match (self.all.pop_front(), self.then) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, Then::End) => Poll::Ready(None),
            (None, Then::Silence) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.then == Then::End && self.all.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.then {
            Then::End => SizeHint::with_exact(self.all.iter().map(|piece| piece.len() as u64).sum()),
            Then::Silence => SizeHint::default(),
        }
    }
}
