//! An issuer's key server on loopback that can be as bad as servers are, and counts.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What is answered for a path.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Json(String),
    Html,
    Status(u16),
    Redirect(String),
    /// Never.
    Hang,
    /// More than anybody should read.
    Huge,
    /// A byte now and then.
    Drip,
}

#[derive(Default)]
struct Served {
    answers: HashMap<String, Answer>,
    hits: HashMap<String, usize>,
}

pub(super) struct KeyServer {
    address: SocketAddr,
    served: Arc<Mutex<Served>>,
    _task: JoinSet<()>,
}

impl KeyServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(Mutex::new(Served::default()));
        let mut task = JoinSet::new();
        let shared = Arc::clone(&served);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, served, _task: task }
    }

    pub(super) fn set(&self, path: &str, answer: Answer) {
        self.served.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    pub(super) fn hits(&self, path: &str) -> usize {
        self.served.lock().unwrap().hits.get(path).copied().unwrap_or(0)
    }

    /// Waits until a path was asked for this often.
    pub(super) async fn asked(&self, path: &str, times: usize) {
        let waiting = async {
            while self.hits(path) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, waiting).await.expect("the keys were not asked for");
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn serve(mut stream: TcpStream, served: Arc<Mutex<Served>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut served = served.lock().unwrap();
        *served.hits.entry(path.clone()).or_default() += 1;
        served.answers.get(&path).cloned().unwrap_or(Answer::Status(404))
    };
    let whole = |status: &str, kind: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let text = match answer {
        Answer::Json(ref body) => whole("200 OK", "application/json", body),
        Answer::Html => whole("200 OK", "application/json", "<!doctype html><title>Log in</title>"),
        Answer::Status(status) => whole(&format!("{status} Nope"), "text/plain", "{\"keys\":[]}"),
        Answer::Redirect(ref to) => {
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
        }
        Answer::Hang => {
            let _ = stream.read(&mut byte).await;
            return;
        }
        Answer::Huge | Answer::Drip => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
    };
    if stream.write_all(text.as_bytes()).await.is_err() {
        return;
    }
    match answer {
        Answer::Huge => {
            let padding = [b' '; 4096];
            while stream.write_all(&padding).await.is_ok() {}
        }
        Answer::Drip => {
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Answer::Json(_) | Answer::Html | Answer::Status(_) | Answer::Redirect(_) | Answer::Hang => {}
    }
}
