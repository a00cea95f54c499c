//! A gateway on a real socket, between a client that writes HTTP by hand and a server that says what it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, Route},
    policy::Snapshot,
    ports::{AppendError, AuditLog, Durable, LogIndex, Pairing, ServerHealth},
    resource::{SourceFile, parse_files},
};
use narrows_egress::AddressPolicy;
use narrows_gateway::{Gateway, Limits, Listener, Parts, Settings, admin, identity, telemetry::Spans};
use narrows_mcp::handle::HandleKeys;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// The record, kept in memory, that can be told to fail.
#[derive(Default)]
pub(crate) struct MemoryLog {
    lines: Mutex<Vec<(Pairing, Value)>>,
    pub(crate) mode: Mutex<LogMode>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogMode {
    #[default]
    Works,
    Refuses,
    Hangs,
    /// Takes 300 ms.
    Late,
}

fn full() -> AppendError {
    AppendError::Unwritable { reason: "no space left on device".into() }
}

impl MemoryLog {
    pub(crate) fn records(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// `kind method tool` of each, for short comparisons.
    pub(crate) fn summary(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let line = |record: &Value| {
            let request = &record["request"];
            let outcome = if record["outcome"].is_null() {
                String::new()
            } else {
                format!(" {}", text(&record["outcome"]["status"]))
            };
            let tool = if request["tool"].is_null() {
                String::new()
            } else {
                format!(" {}", text(&request["tool"]))
            };
            format!("{} {}{tool}{outcome}", text(&record["kind"]), text(&request["method"]))
        };
        self.records().iter().map(line).collect()
    }

    /// Intents that have no outcome yet.
    pub(crate) fn open(&self) -> usize {
        let lines = self.lines.lock().unwrap();
        let intents = lines.iter().filter(|(pairing, _)| *pairing == Pairing::Intent).count();
        intents - lines.iter().filter(|(pairing, _)| matches!(pairing, Pairing::Outcome(_))).count()
    }

    fn push(&self, pairing: Pairing, line: &[u8]) -> LogIndex {
        let mut lines = self.lines.lock().unwrap();
        lines.push((pairing, serde_json::from_slice(line).unwrap()));
        LogIndex(lines.len() as u64 - 1)
    }
}

impl AuditLog for MemoryLog {
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable {
        let mode = *self.mode.lock().unwrap();
        match mode {
            LogMode::Works => {
                let index = self.push(pairing, &line);
                Box::pin(async move { Ok(index) })
            }
            LogMode::Refuses => Box::pin(async { Err(full()) }),
            LogMode::Hangs => Box::pin(std::future::pending()),
            LogMode::Late => {
                let index = self.push(pairing, &line);
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    Ok(index)
                })
            }
        }
    }

    fn append_later(&self, pairing: Pairing, line: Vec<u8>) -> Result<(), AppendError> {
        self.push(pairing, &line);
        Ok(())
    }

    fn health(&self) -> Result<(), AppendError> {
        match *self.mode.lock().unwrap() {
            LogMode::Refuses => Err(full()),
            LogMode::Works | LogMode::Hangs | LogMode::Late => Ok(()),
        }
    }
}

/// What the server got.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server answers: status, headers, and pieces of body with a pause before each. In a piece, `$id` stands
/// for the id of the request.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) pieces: Vec<(Duration, String)>,
    pub(crate) hold_open: bool,
}

pub(crate) fn json(body: impl Into<String>) -> Script {
    let headers = vec![("content-type", "application/json".to_owned())];
    Script { status: 200, headers, pieces: vec![(Duration::ZERO, body.into())], hold_open: false }
}

pub(crate) fn events(pieces: &[&str]) -> Script {
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    let pieces = pieces.iter().map(|piece| (Duration::ZERO, (*piece).to_owned())).collect();
    Script { status: 200, headers, pieces, hold_open: false }
}

pub(crate) fn status(status: u16) -> Script {
    Script { status, headers: vec![], pieces: vec![], hold_open: false }
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) script: Mutex<VecDeque<Script>>,
}

impl Server {
    pub(crate) fn will(&self, script: Script) {
        self.script.lock().unwrap().push_back(script);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let id =
            serde_json::from_str::<Value>(&body).map(|value| value["id"].to_string()).unwrap_or_default();
        let token = serde_json::from_str::<Value>(&body)
            .map(|value| value["params"]["_meta"]["progressToken"].to_string())
            .unwrap_or_default();
        self.seen.lock().unwrap().push(Seen {
            method: parts.method.to_string(),
            headers: parts.headers,
            body,
        });
        let next = self.script.lock().unwrap().pop_front();
        let script = next.unwrap_or_else(|| status(202));
        let mut response = Response::builder().status(script.status);
        for (name, value) in &script.headers {
            response = response.header(*name, value);
        }
        let hold = script.hold_open;
        let state = (script.pieces.into_iter(), id, token);
        let body = futures_util::stream::unfold(state, move |(mut pieces, id, token)| async move {
            match pieces.next() {
                Some((pause, piece)) => {
                    tokio::time::sleep(pause).await;
                    let piece = piece.replace("$id", &id).replace("$token", &token);
                    let frame = http_body::Frame::data(Bytes::from(piece));
                    Some((Ok::<_, Infallible>(frame), (pieces, id, token)))
                }
                None if hold => std::future::pending().await,
                None => None,
            }
        });
        response.body(BodyExt::boxed_unsync(StreamBody::new(body))).unwrap()
    }
}

/// Nothing is known against any server, or a reason is.
#[derive(Default)]
pub(crate) struct Health(pub(crate) Mutex<Option<String>>);

impl ServerHealth for Health {
    fn unavailable(&self, _: &ServerId, _: Option<&Endpoint>) -> Option<String> {
        self.0.lock().unwrap().clone()
    }
}

/// All of it.
pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) server: Arc<Server>,
    pub(crate) health: Arc<Health>,
    pub(crate) address: SocketAddr,
    pub(crate) issuer: identity::Issuer,
    pub(crate) authenticator: Arc<identity::Authenticator>,
    pub(crate) upstream: SocketAddr,
    published: std::sync::atomic::AtomicU64,
    stop: CancellationToken,
    ended: CancellationToken,
    tasks: JoinSet<()>,
}

/// Roles of the tests: `reader` may read, `all` may do everything, `none` has no binding.
pub(crate) const ROLES: &str = r#"
---
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: { name: reader }
spec:
  rules:
    - { effect: allow, namespaces: [dev], servers: [files], tools: ["read_*"], resources: ["file:///open/*"], prompts: [greet] }
    - { effect: deny, namespaces: [dev], servers: [files], tools: [read_file], when: 'args.path.contains("/secret/")' }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: { name: all }
spec:
  rules:
    - { effect: allow, namespaces: ["*"], servers: ["*"], tools: ["*"], resources: ["*"], resourceTemplates: ["*"], prompts: ["*"], methods: ["*"] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: { name: readers }
spec: { role: reader, subjects: [{ group: readers }] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: { name: admins }
spec: { role: all, subjects: [{ group: admins }] }
"#;

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::traced(limits, None).await
    }

    /// The same, with spans.
    pub(crate) async fn traced(limits: Limits, spans: Option<Arc<dyn Spans>>) -> Self {
        let server = Arc::new(Server::default());
        let mut tasks = JoinSet::new();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = socket.local_addr().unwrap();
        let upstream_server = Arc::clone(&server);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = socket.accept().await {
                let server = Arc::clone(&upstream_server);
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                connections
                    .spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        let policy = Arc::new(AddressPolicy { allowed: vec!["127.0.0.0/8".parse().unwrap()], own: vec![] });
        let tls = narrows_egress::tls_config(&[]).unwrap();
        let (issuer, authenticator) = super::identity_parts(&policy, &tls);
        let log = Arc::new(MemoryLog::default());
        let health = Arc::new(Health::default());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Gateway::new(Parts {
            settings: Settings {
                public_url: url::Url::parse(&format!("http://{address}")).unwrap(),
                allowed_hosts: vec!["127.0.0.1".to_owned()],
                allowed_origins: vec!["http://127.0.0.1".to_owned()],
                limits,
            },
            authenticator: Arc::clone(&authenticator),
            audit: Arc::clone(&log) as Arc<dyn AuditLog>,
            health: Arc::clone(&health) as Arc<dyn ServerHealth>,
            handle_keys: HandleKeys::new([7; 32], &[]).unwrap(),
            digest_key: [9; 32],
            address_policy: policy,
            upstream_tls: tls,
            socket_of: Arc::new(|_| PathBuf::from("/nonexistent")),
            clock: jiff::Timestamp::now,
            spans,
        });
        let stop = CancellationToken::new();
        let (served, stopped) = (Arc::clone(&gateway), stop.clone());
        let ended = CancellationToken::new();
        let end = ended.clone();
        tasks.spawn(async move {
            narrows_gateway::serve(served, listener, stopped).await.unwrap();
            end.cancel();
        });
        let published = std::sync::atomic::AtomicU64::new(0);
        let world = Self {
            gateway,
            log,
            server,
            health,
            address,
            issuer,
            authenticator,
            upstream,
            published,
            stop,
            ended,
            tasks,
        };
        world.publish("enforce", ROLES);
        world
    }

    /// Publishes the server with these roles.
    pub(crate) fn publish(&self, mode: &str, roles: &str) {
        self.publish_at(self.upstream, mode, roles);
    }

    /// The same, with the server at another address.
    pub(crate) fn publish_at(&self, server: SocketAddr, mode: &str, roles: &str) {
        let text = format!(
            "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: {{ name: dev }}\nspec: {{ mode: {mode} }}\n\
             ---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: files }}\n\
             spec: {{ transport: http, url: \"http://{server}/mcp\" }}\n{roles}"
        );
        let set = parse_files(&[SourceFile { name: "test.yaml".into(), text }]).unwrap();
        let number = self.published.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let snapshot = Arc::new(Snapshot::compile(number, Arc::new(set)).unwrap());
        self.gateway.publish(Arc::clone(&snapshot));
        for server in &snapshot.resources().servers {
            self.gateway.lead(&server.id, &Route::declared(server));
        }
    }

    pub(crate) fn token(&self, subject: &str, group: &str) -> String {
        super::issue(&self.issuer, subject, group, 3600)
    }

    /// Sends a POST with the headers every request has, and more.
    pub(crate) async fn post(&self, token: &str, more: &[(&str, &str)], body: &str) -> Answer {
        self.send("POST", token, more, body).await
    }

    pub(crate) async fn send(&self, method: &str, token: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri("/mcp/dev/files");
        let mut headers = vec![
            ("host".to_owned(), self.address.to_string()),
            ("accept".to_owned(), "application/json, text/event-stream".to_owned()),
            ("authorization".to_owned(), format!("Bearer {token}")),
        ];
        if method == "POST" {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        for (name, value) in more {
            headers.retain(|(present, _)| present != name);
            headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        let path = headers.iter().position(|(name, _)| name == ":path").map(|index| headers.remove(index).1);
        if let Some(path) = path {
            request = request.uri(path);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let _closed = connection.await;
        });
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, _driver: driver }
    }

    /// Waits until each intent has its outcome.
    pub(crate) async fn closed(&self) {
        let closed = async {
            while self.log.open() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(2), closed).await.expect("each intent has its outcome");
    }

    /// What the operator's listener answers, head and body.
    pub(crate) async fn operator(&self, path: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(admin::serve(Arc::clone(&self.gateway), listener, CancellationToken::new()));
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Tells the gateway to end, as a signal does.
    pub(crate) fn end(&self) {
        self.stop.cancel();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn has_ended(self) {
        let waited = tokio::time::timeout(Duration::from_secs(5), self.ended.cancelled()).await;
        assert!(waited.is_ok(), "the gateway ended");
        self.stop().await;
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A response, its body still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _driver: JoinSet<()>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next piece; none at the end, an error as `Err`.
    pub(crate) async fn piece(&mut self) -> Option<Result<String, String>> {
        let frame = tokio::time::timeout(Duration::from_secs(5), self.body.frame())
            .await
            .expect("a piece in time")?;
        Some(match frame {
            Ok(frame) => Ok(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()),
            Err(error) => Err(error.to_string()),
        })
    }

    pub(crate) async fn text(mut self) -> String {
        let mut text = String::new();
        while let Some(piece) = self.piece().await {
            text.push_str(&piece.expect("a whole body"));
        }
        text
    }

    pub(crate) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
