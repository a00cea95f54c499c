//! A bridge in this process, with servers in their own, and what a test does with it.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use http::Method;
use narrows_core::resource::{FileAccess, Limits, Sessions, StdioServer};
use narrows_local::bridge::{BridgeConfig, Caps, Listen, Timing};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinSet};

use crate::client::{Answer, PATIENCE, send};

/// The program that tests run.
pub(crate) const PEER: &str = env!("CARGO_BIN_EXE_narrows-local-peer");

/// A server with these arguments.
pub(crate) fn server(arguments: &[&str]) -> StdioServer {
    let command = [PEER, "server"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    StdioServer {
        command,
        env: Vec::new(),
        limits: Limits::default(),
        sessions: Sessions::Isolated,
        files: FileAccess::Unrestricted,
    }
}

pub(crate) fn shared() -> StdioServer {
    StdioServer { sessions: Sessions::Shared, ..server(&[]) }
}

/// A bridge, and the directory that it lives in.
pub(crate) struct Bridge {
    pub(crate) directory: std::sync::Arc<tempfile::TempDir>,
    pub(crate) socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    task: JoinSet<Result<(), narrows_local::bridge::BridgeError>>,
}

/// A server whose command is a line of the shell. `$PEER` in it is the program that tests run.
pub(crate) fn shell(line: &str) -> StdioServer {
    let command =
        ["/bin/sh".to_owned(), "-c".to_owned(), line.replace("$PEER", &format!("'{PEER}'"))].to_vec();
    StdioServer { command, ..server(&[]) }
}

pub(crate) fn config(directory: &Path, server: StdioServer) -> BridgeConfig {
    BridgeConfig {
        replicas: 1,
        name: "test/peer".to_owned(),
        listen: Listen::Unix(directory.join("s")),
        server,
        launcher: vec![PEER.into(), "bridge-supervise".into()],
        directory: directory.join("server"),
        path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        lang: Some("C.UTF-8".to_owned()),
        timing: Timing {
            close: Duration::from_millis(300),
            terminate: Duration::from_millis(300),
            backoff: Duration::from_millis(200),
            ..Timing::default()
        },
        caps: Caps::default(),
    }
}

impl Bridge {
    pub(crate) async fn start(server: StdioServer) -> Self {
        Self::start_with(server, |_| {}).await
    }

    pub(crate) async fn start_with(server: StdioServer, change: impl FnOnce(&mut BridgeConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path(), server);
        change(&mut config);
        let socket = directory.path().join("s");
        let (stop, stopped) = oneshot::channel::<()>();
        let mut task = JoinSet::new();
        task.spawn(narrows_local::bridge::run(config, async { drop(stopped.await) }));
        until("the bridge listens", || std::future::ready(socket.exists())).await;
        Self { directory: directory.into(), socket, stop: Some(stop), task }
    }

    /// A bridge that runs elsewhere, with the configuration of [`config`].
    pub(crate) async fn attach(directory: &std::sync::Arc<tempfile::TempDir>) -> Self {
        let socket = directory.path().join("s");
        until("the bridge listens", || std::future::ready(socket.exists())).await;
        Self { directory: directory.clone(), socket, stop: None, task: JoinSet::new() }
    }

    /// Ends the bridge and checks that nothing of it is left.
    pub(crate) async fn stop(mut self) {
        let before = descendants_of_peers(self.directory.path());
        drop(self.stop.take());
        let ended =
            tokio::time::timeout(PATIENCE, self.task.join_next()).await.expect("the bridge does not end");
        ended.unwrap().unwrap().unwrap();
        for pid in before {
            assert!(!alive(pid), "process {pid} is left");
        }
        assert!(!self.socket.exists(), "the socket is left");
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("server/stderr.log")).unwrap_or_default()
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.post_text(headers, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all =
            vec![("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        all.extend_from_slice(headers);
        send(&self.socket, Method::POST, &all, body).await
    }

    /// Opens a session of this revision.
    pub(crate) async fn session(&self, revision: &'static str) -> Session<'_> {
        let answer = self.post(&[], &initialize(revision)).await;
        assert_eq!(answer.status, 200);
        let id = answer.header("mcp-session-id").to_owned();
        assert_eq!(id.len(), 32, "{id}");
        let result = answer.json().await;
        assert_eq!(result["result"]["protocolVersion"], revision);
        let session = Session { bridge: self, id, revision };
        let answer = session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(answer.status, 202);
        session
    }
}

pub(crate) fn initialize(revision: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {"sampling": {}}, "clientInfo": {"name": "test", "version": "1"},
    }})
}

pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// An open session.
pub(crate) struct Session<'b> {
    pub(crate) bridge: &'b Bridge,
    pub(crate) id: String,
    revision: &'static str,
}

impl Session<'_> {
    fn headers(&self) -> Vec<(&str, &str)> {
        vec![("mcp-session-id", &self.id), ("mcp-protocol-version", self.revision)]
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.bridge.post(&self.headers(), body).await
    }

    pub(crate) async fn request(&self, method: Method, more: &[(&str, &str)]) -> Answer {
        let mut headers = self.headers();
        headers.push(("accept", "text/event-stream"));
        headers.extend_from_slice(more);
        send(&self.bridge.socket, method, &headers, "").await
    }

    /// Opens the GET stream. It is open when this returns.
    pub(crate) async fn listen(&self) -> Answer {
        let answer = self.request(Method::GET, &[]).await;
        assert_eq!(answer.status, 200);
        answer
    }

    /// Calls a tool whose whole answer is one text.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.post(&call("text", tool, arguments)).await;
        let messages = answer.messages().await;
        let last = messages.last().expect("no answer");
        last["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("no text in {last}"))
            .to_owned()
    }
}

/// Waits for what must come true soon.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Processes whose working directory is beneath a bridge's directory: all that it started, whatever became of them.
pub(crate) fn descendants_of_peers(directory: &Path) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    pids.filter(|pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
    })
    .collect()
}
