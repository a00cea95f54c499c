//! A server somewhere else that answers MCP's handshake and the list of its tools, so that it is led to, and leaves calls to
//! the test.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
};

use serde_json::{Value, json};

/// The server. Its threads end with the process.
pub(crate) struct Remote {
    pub(crate) url: String,
    calls: Receiver<(TcpStream, String)>,
}

impl Remote {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (called, calls) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let called = called.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &called));
            }
        });
        Self { url, calls }
    }

    /// The connection of the next call, and all that came over it: head and body.
    pub(crate) fn call(&self) -> (TcpStream, String) {
        self.calls.recv_timeout(crate::running::PATIENCE).expect("a call")
    }
}

/// The id of a request, as it stands there.
pub(crate) fn id(request: &str) -> Value {
    body(request)["id"].clone()
}

/// Answers with a JSON body.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
}

fn body(request: &str) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or(Value::Null)
}

fn serve(mut stream: TcpStream, called: &Sender<(TcpStream, String)>) {
    while let Some(request) = read(&mut stream) {
        let message = body(&request);
        let result = match message["method"].as_str() {
            Some("tools/call") => {
                // A test that does not ask for it any more has ended.
                let _ = called.send((stream, request));
                return;
            }
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "remote", "version": "1" },
            }),
            Some("tools/list") => {
                json!({ "tools": [{ "name": "look", "inputSchema": { "type": "object" } }] })
            }
            _ => Value::Null,
        };
        match result {
            Value::Null => answer(&mut stream, "202 Accepted", ""),
            result => {
                let text = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string();
                answer(&mut stream, "200 OK", &text);
            }
        }
    }
}

/// The next request, whole; none where the connection ended.
fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(more.get(..read).unwrap()),
        }
    }
}
