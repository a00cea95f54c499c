//! The server behind the proxies that `bench/run` measures: as small and fast as a hyper server that answers MCP can
//! be, so that what is measured is the way to it. One thread. Knows nothing of Narrows.
//!
//! `tools/call` answers by the tool's name: `echo` with 200 bytes of text, `big` with 100 KB of it, `sse` with the
//! small answer as one event. `GET` is a stream that stays open and says nothing. `GET /count` is the number of calls
//! and lists that were executed, by which the benchmark sees that none was refused on the way.

use std::{
    borrow::Cow,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

/// About 200 bytes of text: the result of every small call.
const TEXT: &str = "The quick brown fox jumps over the lazy dog while two hundred bytes of text are being \
counted one by one, so that each answer of this server is as long as the last and no longer than it says: end of text.";

/// Bytes of the text of a large result.
const LARGE: usize = 100 * 1024;

/// 20 tools, of which the roles of the benchmark grant six.
static TOOLS: LazyLock<String> = LazyLock::new(|| {
    let names = ["echo", "big", "sse", "read_file", "read_lines", "read_tree"].map(str::to_owned);
    let others = (0..14).map(|number| format!("delete_{number}"));
    let tool = |name: String| {
        format!(
            r#"{{"name":"{name}","description":"{TEXT}","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string"}}}}}}}}"#
        )
    };
    names.into_iter().chain(others).map(tool).collect::<Vec<_>>().join(",")
});

static LARGE_TEXT: LazyLock<String> = LazyLock::new(|| {
    let line = format!("{TEXT}\\n");
    line.repeat(LARGE / line.len() + 1)
});

static CALLS: AtomicU64 = AtomicU64::new(0);
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// A response's body.
enum Reply {
    Whole(Full<Bytes>),
    /// A stream that says one comment and then stays open; whether it has been said.
    Open(bool),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            // Nobody wakes it: it ends with its connection.
            Self::Open(true) => Poll::Pending,
            Self::Open(said) => {
                *said = true;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": open\n\n")))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Open(_) => SizeHint::default(),
        }
    }
}

/// As much of a message as it takes to answer it.
#[derive(serde::Deserialize)]
struct Message<'a> {
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(serde::Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address: SocketAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(async move {
                    let service = service_fn(answer);
                    // A client that goes away in the middle is no matter.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
    if request.method() == Method::GET {
        return Ok(match request.uri().path() {
            "/count" => whole("text/plain", CALLS.load(Ordering::Relaxed).to_string()),
            _ => of(StatusCode::OK, "text/event-stream", Reply::Open(false)),
        });
    }
    if request.method() != Method::POST {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let Ok(body) = request.into_body().collect().await else { return Ok(empty(StatusCode::BAD_REQUEST)) };
    let body = body.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let Some(id) = message.id else { return Ok(empty(StatusCode::ACCEPTED)) };
    Ok(match message.method.as_deref() {
        Some("tools/call") => call(&id, message.params.and_then(|params| params.name).as_deref()),
        Some("tools/list") => {
            CALLS.fetch_add(1, Ordering::Relaxed);
            let tools = TOOLS.as_str();
            let result =
                format!(r#"{{"resultType":"complete","tools":[{tools}],"ttlMs":0,"cacheScope":"private"}}"#);
            whole("application/json", result_of(&id, &result))
        }
        Some("initialize") => {
            let result = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}"#;
            let mut response = whole("application/json", result_of(&id, result));
            let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
            response.headers_mut().insert("mcp-session-id", HeaderValue::from(session));
            response
        }
        _ => {
            let error = r#"{"code":-32601,"message":"no such method"}"#;
            whole("application/json", format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
        }
    })
}

fn call(id: &Value, name: Option<&str>) -> Response<Reply> {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let text = if name == Some("big") { LARGE_TEXT.as_str() } else { TEXT };
    let result = format!(
        r#"{{"resultType":"complete","content":[{{"type":"text","text":"{text}"}}],"isError":false}}"#
    );
    let message = result_of(id, &result);
    match name {
        Some("sse") => whole("text/event-stream", format!("event: message\ndata: {message}\n\n")),
        _ => whole("application/json", message),
    }
}

fn result_of(id: &Value, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn whole(content: &'static str, text: String) -> Response<Reply> {
    of(StatusCode::OK, content, Reply::Whole(Full::new(Bytes::from(text))))
}

fn of(status: StatusCode, content: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Full::default()));
    *response.status_mut() = status;
    response
}
