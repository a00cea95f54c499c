//! A stdio MCP server of both eras. It remembers what it was sent, and answers each call in a thread of its own.

use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::tools;

pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What all threads of the server share.
#[derive(Default)]
pub(crate) struct Server {
    next: AtomicU64,
    /// Answers that are waited for, by the id of the question.
    waiting: Mutex<HashMap<String, mpsc::Sender<Value>>>,
    /// Everything that was received, in order.
    pub(crate) seen: Mutex<Vec<Value>>,
    /// Ids of open `subscriptions/listen` requests.
    pub(crate) listening: Mutex<Vec<Value>>,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes one line as it is. In one call, so that what is in it arrives together.
pub(crate) fn raw(line: &str) {
    let mut out = io::stdout().lock();
    if out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).is_err() {
        eprintln!("standard output is closed");
    }
}

pub(crate) fn send(message: &Value) {
    raw(&message.to_string());
}

impl Server {
    /// Asks the client and waits for its answer.
    pub(crate) fn ask(&self, method: &str, params: &Value) -> Value {
        let id = format!("ask-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel();
        locked(&self.waiting).insert(id.clone(), sender);
        send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        receiver.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| json!({"timeout": true}))
    }

    fn receive(self: &Arc<Self>, message: Value) {
        locked(&self.seen).push(message.clone());
        let method = message.get("method").and_then(Value::as_str);
        match (method, message.get("id")) {
            (None, Some(id)) => {
                let id = id.as_str().unwrap_or_default().to_owned();
                if let Some(waiting) = locked(&self.waiting).remove(&id) {
                    let _ = waiting.send(message);
                }
            }
            (Some(method), Some(id)) => self.request(method.to_owned(), id.clone(), &message),
            (Some(_), None) | (None, None) => {}
        }
    }

    fn request(self: &Arc<Self>, method: String, id: Value, message: &Value) {
        let params = message.get("params").cloned().unwrap_or_default();
        let answer = |result: Value| send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
        match method.as_str() {
            "initialize" => answer(json!({
                "protocolVersion": params.get("protocolVersion"),
                "capabilities": {"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true}},
                "serverInfo": {"name": "peer", "version": std::process::id().to_string()},
            })),
            "server/discover" => answer(json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "ttlMs": 0, "cacheScope": "private",
            })),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                answer(json!({}))
            }
            "tools/list" => answer(json!({"tools": [
                {"name": "echo", "inputSchema": {"type": "object"}},
                {"name": "annotated", "inputSchema": {"type": "object", "properties": {
                    "region": {"type": "string", "x-mcp-header": "Region"},
                }}},
            ]})),
            "tools/call" => {
                let server = Arc::clone(self);
                thread::spawn(move || {
                    let name = params.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                    let arguments = params.get("arguments").cloned().unwrap_or_default();
                    let call =
                        tools::Call { server: &server, id: &id, params: &params, arguments: &arguments };
                    match call.run(&name) {
                        tools::Outcome::Text(text) => send(&json!({
                            "jsonrpc": "2.0", "id": id,
                            "result": {"content": [{"type": "text", "text": text}]},
                        })),
                        tools::Outcome::Error(code, text) => send(&json!({
                            "jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text},
                        })),
                        tools::Outcome::Nothing => {}
                    }
                });
            }
            "subscriptions/listen" => {
                locked(&self.listening).push(id.clone());
                send(&json!({
                    "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                    "params": {"notifications": params.get("notifications"), "_meta": {SUBSCRIPTION: id}},
                }));
            }
            _ => send(&json!({
                "jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"},
            })),
        }
    }
}

/// Serves until the input ends, and after that for as long as it was told to.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    eprintln!("peer started");
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--exit-at-once") {
        return ExitCode::from(3);
    }
    if has("--silent") {
        thread::sleep(Duration::from_secs(600));
    }
    let server = Arc::new(Server::default());
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Value::Array(messages)) => messages.into_iter().for_each(|message| server.receive(message)),
            Ok(message) => server.receive(message),
            Err(error) => eprintln!("unreadable: {error}: {line}"),
        }
    }
    eprintln!("peer's input ended");
    if has("--ignore-end") {
        thread::sleep(Duration::from_secs(600));
    }
    ExitCode::SUCCESS
}
