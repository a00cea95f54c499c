//! Idle listening streams: each a session with an open GET, over HTTP/1.1 on a connection of its own, over HTTP/2
//! beside others.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time,
};

use crate::{
    Target, bodies,
    endpoint::{Endpoint, Verb},
    http1::Connection,
    sessions,
    tallied::Tallied,
};

/// For a session and the head of its stream.
const PATIENCE: Duration = Duration::from_secs(30);
/// Streams that are being opened at once.
const AT_ONCE: usize = 32;

#[derive(Args)]
pub(crate) struct Streams {
    #[command(flatten)]
    target: Target,
    /// Streams over HTTP/1.1
    #[arg(long, default_value_t = 0)]
    http1: usize,
    /// Streams over HTTP/2
    #[arg(long, default_value_t = 0)]
    http2: usize,
    /// Streams on each connection of HTTP/2
    #[arg(long, default_value_t = 200)]
    beside: usize,
}

/// What a stream has to say.
enum Said {
    Open,
    /// It could not be opened, or how it ended.
    Over(String),
}

/// What the streams share.
#[derive(Clone)]
struct Shared {
    opening: Arc<Semaphore>,
    said: mpsc::UnboundedSender<Said>,
    ended: watch::Receiver<bool>,
}

impl Streams {
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        let endpoints = self.target.endpoints()?;
        let (said, mut hears) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(false);
        let shared = Shared { opening: Arc::new(Semaphore::new(AT_ONCE)), said, ended };
        let mut workers = JoinSet::new();
        // The streams beside each other are different people's, as behind a proxy: one has a limit of its own.
        let mut endpoints = endpoints.into_iter().cycle();
        for endpoint in endpoints.by_ref().take(self.http1) {
            workers.spawn(over_http_1(endpoint, shared.clone()));
        }
        let mut left = self.http2;
        while left > 0 {
            let count = left.min(self.beside);
            left -= count;
            workers.spawn(over_http_2(endpoints.by_ref().take(count).collect(), shared.clone()));
        }
        drop(shared);
        let (mut open, mut over) = (0_usize, Tallied::default());
        let wanted = self.http1 + self.http2;
        while open + usize::try_from(over.failed.values().sum::<u64>())? < wanted {
            match hears.recv().await {
                Some(Said::Open) => open += 1,
                Some(Said::Over(reason)) => over.fail(format!("not opened: {reason}")),
                None => break,
            }
        }
        println!("ready {}", json!({ "open": open, "failed": over.failed }));
        crate::told_to_end().await;
        // What ended before it was told to.
        let mut ended_early = Tallied::default();
        while let Ok(said) = hears.try_recv() {
            if let Said::Over(reason) = said {
                ended_early.fail(reason);
            }
        }
        end.send_replace(true);
        workers.shutdown().await;
        Ok(json!({ "opened": open, "notOpened": over.failed, "ended": ended_early.failed }))
    }
}

async fn over_http_1(endpoint: Endpoint, shared: Shared) {
    let turn = shared.opening.acquire().await;
    let opened = time::timeout(PATIENCE, async {
        let mut connection = Connection::open(&endpoint).await.map_err(|error| error.to_string())?;
        let session = sessions::open(&mut connection, &endpoint).await.map_err(|error| error.to_string())?;
        let request = endpoint.http_1(Verb::Get, Some(&session), "");
        connection.write(&request).await.map_err(|error| error.to_string())?;
        let head = connection.head().await.map_err(|error| error.to_string())?;
        if head.status == 200 { Ok(connection) } else { Err(format!("status {}", head.status)) }
    });
    let mut connection = match opened.await.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(connection) => connection,
        Err(reason) => return shared.over(reason),
    };
    drop(turn);
    let _heard = shared.said.send(Said::Open);
    let mut parting = Parting::default();
    loop {
        match connection.chunk().await {
            Ok(Some(chunk)) => parting.hear(&chunk),
            Ok(None) => return shared.over(parting.at_a_clean_end()),
            Err(error) => return shared.over(format!("cut: {error}")),
        }
    }
}

async fn over_http_2(endpoints: Vec<Endpoint>, shared: Shared) {
    let shaken = async {
        let endpoint = endpoints.first().ok_or_else(|| "nothing to open".to_owned())?;
        let stream = TcpStream::connect(endpoint.address).await.map_err(|error| error.to_string())?;
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        shaken.map_err(|error| error.to_string())
    };
    let (sender, connection) = match shaken.await {
        Ok(shaken) => shaken,
        Err(reason) => return endpoints.iter().for_each(|_| shared.over(reason.clone())),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Whatever ended it shows in the streams.
        let _ended = connection.await;
    });
    for endpoint in &endpoints {
        tasks.spawn(beside(endpoint.clone(), sender.clone(), shared.clone()));
    }
    let mut ended = shared.ended.clone();
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        _ = ended.changed() => {}
    }
}

/// One stream beside others.
async fn beside(endpoint: Endpoint, mut sender: http2::SendRequest<Full<Bytes>>, shared: Shared) {
    let turn = shared.opening.acquire().await;
    let opened = time::timeout(PATIENCE, async {
        let request =
            endpoint.http_2(Verb::Post, None, bodies::INITIALIZE).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let session = response.headers().get("mcp-session-id").and_then(|value| value.to_str().ok());
        let session = session.ok_or_else(|| format!("no session: status {}", response.status()))?.to_owned();
        response.into_body().collect().await.map_err(|error| error.to_string())?;
        let request = endpoint.http_2(Verb::Get, Some(&session), "").map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() == 200 { Ok(response) } else { Err(format!("status {}", response.status())) }
    });
    let response = match opened.await.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(response) => response,
        Err(reason) => return shared.over(reason),
    };
    drop(turn);
    let _heard = shared.said.send(Said::Open);
    let mut body = response.into_body();
    let mut parting = Parting::default();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => parting.hear(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(error)) => return shared.over(format!("cut: {error}")),
            None => return shared.over(parting.at_a_clean_end()),
        }
    }
}

impl Shared {
    fn over(&self, reason: String) {
        let _heard = self.said.send(Said::Over(reason));
    }
}

/// Whether the last thing that was heard said when to come again.
#[derive(Default)]
struct Parting {
    retry: bool,
}

impl Parting {
    fn hear(&mut self, chunk: &[u8]) {
        // The last frame may have nothing in it.
        if !chunk.is_empty() {
            self.retry = chunk.starts_with(b"retry: ");
        }
    }

    fn at_a_clean_end(&self) -> String {
        if self.retry { "told to come again".to_owned() } else { "ended".to_owned() }
    }
}
