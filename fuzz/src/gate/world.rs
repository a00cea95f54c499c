//! The gateway and what is around it.

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
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, Route},
    policy::Snapshot,
    ports::{AppendError, AuditLog, Durable, JwksStore, LogIndex, Pairing, ServerHealth, StoredKeys},
    resource::{SourceFile, parse_files},
};
use narrows_egress::AddressPolicy;
use narrows_gateway::{
    Gateway, Limits, Parts, Settings,
    identity::{self, Authenticator, Issuer, KeyPolicy},
};
use narrows_mcp::handle::HandleKeys;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpListener,
    task::JoinSet,
};

/// The key of the digests of arguments.
pub(super) const DIGEST_KEY: [u8; 32] = [9; 32];

/// The one session that the server has.
pub(super) const SESSION: &str = "server-session-1";

const RESOURCES: &str = r#"
---
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: dev }
spec: { mode: enforce }
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
metadata: { name: wide }
spec:
  rules:
    - { effect: allow, namespaces: ["*"], servers: ["*"], tools: ["*"], resources: ["*"], resourceTemplates: ["*"], prompts: ["*"], methods: ["*"] }
    - { effect: deny, namespaces: ["*"], servers: ["*"], tools: [admin_delete] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: { name: readers }
spec: { role: reader, subjects: [{ user: ann }] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: { name: others }
spec: { role: wide, subjects: [{ user: bob }] }
"#;

/// What happened, in the order in which it did.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A record is durable.
    Recorded(Pairing, Value),
    /// The server got a request.
    Seen { method: String, headers: HeaderMap, body: Vec<u8> },
}

#[derive(Default)]
struct Ledger {
    events: Mutex<Vec<Event>>,
    taken: Mutex<u64>,
}

impl Ledger {
    fn push(&self, event: Event) {
        self.events.lock().expect("no panic before").push(event);
    }

    fn number(&self) -> LogIndex {
        let mut taken = self.taken.lock().expect("no panic before");
        *taken += 1;
        LogIndex(*taken)
    }
}

/// The record. An intent takes a moment to be durable, in which nothing may be sent.
struct Log(Arc<Ledger>);

impl AuditLog for Log {
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable {
        let ledger = Arc::clone(&self.0);
        let index = ledger.number();
        let record: Value = serde_json::from_slice(&line).expect("a record is JSON");
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ledger.push(Event::Recorded(pairing, record));
            Ok(index)
        })
    }

    fn append_later(&self, pairing: Pairing, line: Vec<u8>) -> Result<(), AppendError> {
        let record = serde_json::from_slice(&line).expect("a record is JSON");
        self.0.push(Event::Recorded(pairing, record));
        Ok(())
    }

    fn health(&self) -> Result<(), AppendError> {
        Ok(())
    }
}

/// What the server answers.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) status: u16,
    pub(super) content: &'static str,
    pub(super) session: bool,
    pub(super) hold: bool,
    /// None stands for an answer that is right.
    pub(super) body: Option<Vec<u8>>,
}

pub(super) struct Server {
    scripts: Mutex<VecDeque<Script>>,
    ledger: Arc<Ledger>,
}

impl Server {
    pub(super) fn will(&self, script: Script) {
        self.scripts.lock().expect("no panic before").push_back(script);
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return Response::new(UnsyncBoxBody::new(http_body_util::Empty::new()));
        };
        let body = body.to_bytes().to_vec();
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (method, headers) = (parts.method.to_string(), parts.headers);
        self.ledger.push(Event::Seen { method: method.clone(), headers, body });
        let next = self.scripts.lock().expect("no panic before").pop_front();
        let script = next.unwrap_or_else(|| right(&method, &json));
        let text = String::from_utf8_lossy(&script.body.unwrap_or_default()).into_owned();
        let text = text
            .replace("$id", &json["id"].to_string())
            .replace("$token", &json["params"]["_meta"]["progressToken"].to_string());
        let mut response = Response::builder().status(script.status).header("content-type", script.content);
        if script.session {
            response = response.header("mcp-session-id", SESSION);
        }
        response.body(BodyExt::boxed_unsync(StreamBody::new(pieces(text, script.hold)))).expect("a response")
    }
}

type Frame = Result<http_body::Frame<Bytes>, Infallible>;

/// A body in one piece, and nothing after it for as long as it is held open.
fn pieces(text: String, hold: bool) -> impl futures_core::Stream<Item = Frame> {
    futures_util::stream::unfold((Some(text), hold), |(text, hold)| async move {
        match text {
            Some(text) => Some((Ok(http_body::Frame::data(Bytes::from(text))), (None, hold))),
            None if hold => std::future::pending().await,
            None => None,
        }
    })
}

/// The answer of a server that does what it should.
fn right(method: &str, request: &Value) -> Script {
    let body = match (method, request["method"].as_str()) {
        ("POST", Some("initialize")) => {
            r#"{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#
        }
        ("POST", Some("tools/list")) => {
            r#"{"jsonrpc":"2.0","id":$id,"result":{"tools":[{"name":"read_file"},{"name":"admin_delete"},{"name":"read_dir"}],"nextCursor":"n"}}"#
        }
        ("POST", Some(_)) if request.get("id").is_some() => {
            r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"hi"}]}}"#
        }
        _ => "",
    };
    let session = request["method"] == "initialize";
    let status = if body.is_empty() { 202 } else { 200 };
    Script { status, content: "application/json", session, hold: false, body: Some(body.into()) }
}

struct Healthy;

impl ServerHealth for Healthy {
    fn unavailable(&self, _: &ServerId, _: Option<&Endpoint>) -> Option<String> {
        None
    }
}

struct NoKeys;

impl JwksStore for NoKeys {
    fn load(&self, _: &str) -> Option<StoredKeys> {
        None
    }

    fn save(&self, _: &str, _: &StoredKeys) {}
}

pub(super) struct World {
    pub(super) server: Arc<Server>,
    pub(super) ann: String,
    pub(super) bob: String,
    ledger: Arc<Ledger>,
    gateway: Arc<Gateway>,
    tasks: Mutex<JoinSet<()>>,
}

/// It is always the same second, so that tokens and handles don't end.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

impl World {
    pub(super) async fn start() -> Self {
        let ledger = Arc::new(Ledger::default());
        let server = Arc::new(Server { scripts: Mutex::default(), ledger: Arc::clone(&ledger) });
        let mut tasks = JoinSet::new();
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let upstream = socket.local_addr().expect("an address");
        tasks.spawn(answer(socket, Arc::clone(&server)));

        let policy =
            Arc::new(AddressPolicy { allowed: vec!["127.0.0.0/8".parse().expect("a block")], own: vec![] });
        let tls = narrows_egress::tls_config(&[]).expect("a configuration");
        let key = Issuer::generate_key().expect("a key");
        let issuer =
            Issuer::load(key.expose(), "urn:narrows:fuzz", "urn:narrows:fuzz:mcp").expect("an issuer");
        let authenticator = Authenticator::new(identity::Settings {
            builtin: issuer.public().clone(),
            addresses: Arc::clone(&policy),
            tls: Arc::clone(&tls),
            store: Arc::new(NoKeys),
            clock: now,
            keys: KeyPolicy::default(),
        });
        let gateway = Gateway::new(Parts {
            settings: Settings {
                public_url: url::Url::parse("http://127.0.0.1").expect("a URL"),
                allowed_hosts: vec!["127.0.0.1".to_owned()],
                allowed_origins: vec!["http://127.0.0.1".to_owned()],
                limits: Limits { body_bytes: 64 * 1024, buffered_bytes: 64 * 1024, ..Limits::default() },
            },
            authenticator: Arc::new(authenticator.expect("an authenticator")),
            audit: Arc::new(Log(Arc::clone(&ledger))),
            health: Arc::new(Healthy),
            handle_keys: HandleKeys::new([7; 32], &[]).expect("keys"),
            digest_key: DIGEST_KEY,
            address_policy: policy,
            upstream_tls: tls,
            socket_of: Arc::new(|_| PathBuf::from("/nonexistent")),
            clock: now,
            spans: None,
        });
        let server_resource = format!(
            "apiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: files }}\n\
             spec: {{ transport: http, url: \"http://{upstream}/mcp\" }}\n"
        );
        let text = format!("{server_resource}{RESOURCES}");
        let set = parse_files(&[SourceFile { name: "fuzz.yaml".into(), text }]).expect("sound resources");
        let snapshot = Arc::new(Snapshot::compile(1, Arc::new(set)).expect("a snapshot"));
        gateway.publish(Arc::clone(&snapshot));
        for server in &snapshot.resources().servers {
            gateway.lead(&server.id, &Route::declared(server));
        }
        let token = |subject: &str| {
            let lifetime = Duration::from_secs(3600);
            issuer.issue(subject, &[], lifetime, now(), subject).expect("a token").expose().to_owned()
        };
        let (ann, bob) = (token("ann"), token("bob"));
        Self { server, ann, bob, ledger, gateway, tasks: Mutex::new(tasks) }
    }

    /// Forgets what happened.
    pub(super) fn reset(&self) {
        self.server.scripts.lock().expect("no panic before").clear();
        self.ledger.events.lock().expect("no panic before").clear();
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.ledger.events.lock().expect("no panic before").clone()
    }

    /// Sends bytes on a connection of their own and reads what comes until nothing more does.
    pub(super) async fn exchange(&self, bytes: &[u8]) -> (Vec<u8>, DuplexStream) {
        let (mut stream, served) = tokio::io::duplex(64 * 1024);
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
        self.tasks().spawn(narrows_gateway::converse(Arc::clone(&self.gateway), served, peer));
        // It may be closed before all is said.
        let _refused = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let mut piece = [0; 8192];
        // Virtual time goes on only when nothing else can.
        while let Ok(Ok(read @ 1..)) =
            tokio::time::timeout(Duration::from_secs(2), stream.read(&mut piece)).await
        {
            answer.extend_from_slice(&piece[..read]);
            if answer.len() > 1 << 20 {
                break;
            }
        }
        (answer, stream)
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().expect("no panic before")
    }

    /// Waits until what was begun is over.
    pub(super) async fn settle(&self) {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {}
            // One task is the server; each connection is another.
            if super::promises::open(&self.events()) == 0 && tasks.len() <= 1 {
                return;
            }
        }
    }
}

async fn answer(socket: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = socket.accept().await {
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let builder = hyper::server::conn::http1::Builder::new();
        connections.spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await });
        while connections.try_join_next().is_some() {}
    }
}
