//! Clients that take their time: with heads, with bodies, with reading. What the gateway ends is begun again, so that
//! as many are there for as long as it lasts.

use std::{io, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use tokio::{net::TcpSocket, sync::mpsc, task::JoinSet, time};

use crate::{
    Target, bodies,
    endpoint::{Endpoint, Verb},
    http1::Connection,
    sessions,
    tallied::Tallied,
};

/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(1500);

#[derive(Args)]
pub(crate) struct Slow {
    #[command(flatten)]
    target: Target,
    /// Heads that don't end
    #[arg(long, default_value_t = 0)]
    heads: usize,
    /// Bodies that don't end
    #[arg(long, default_value_t = 0)]
    bodies: usize,
    /// Bytes of each body that come at once
    #[arg(long, default_value_t = 1)]
    filled: usize,
}

#[derive(Args)]
pub(crate) struct SlowReaders {
    #[command(flatten)]
    target: Target,
    /// How many
    #[arg(long)]
    count: usize,
    /// The size of each answer
    #[arg(long)]
    bytes: usize,
}

/// What is slow.
#[derive(Clone, Copy)]
enum Kind {
    Head,
    Body { filled: usize },
    Reading { bytes: usize },
}

impl Slow {
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        let endpoints = self.target.endpoints()?;
        let body = Kind::Body { filled: self.filled };
        let kinds = std::iter::repeat_n(Kind::Head, self.heads).chain(std::iter::repeat_n(body, self.bodies));
        keep_up(&endpoints, kinds.collect()).await
    }
}

impl SlowReaders {
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        let endpoints = self.target.endpoints()?;
        keep_up(&endpoints, vec![Kind::Reading { bytes: self.bytes }; self.count]).await
    }
}

async fn keep_up(endpoints: &[Endpoint], kinds: Vec<Kind>) -> anyhow::Result<Value> {
    let (said, mut hears) = mpsc::unbounded_channel();
    let (mut workers, wanted) = (JoinSet::new(), kinds.len());
    for (number, (kind, endpoint)) in kinds.into_iter().zip(endpoints.iter().cycle()).enumerate() {
        let (endpoint, said) = (endpoint.clone(), said.clone());
        workers.spawn(async move {
            // Not all in one moment: that would be a queue of connections, not slowness.
            time::sleep(Duration::from_millis(number as u64 / 4)).await;
            loop {
                let ended = match kind {
                    Kind::Head => head(&endpoint, &said).await,
                    Kind::Body { filled } => body(&endpoint, filled, &said).await,
                    Kind::Reading { bytes } => reading(&endpoint, bytes, &said).await,
                };
                let reason = ended.unwrap_or_else(|error| error.kind().to_string());
                if said.send(Some(reason)).is_err() {
                    return;
                }
                time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    let (mut begun, mut ended) = (0_usize, Tallied::default());
    let mut end = std::pin::pin!(crate::told_to_end());
    loop {
        let said = tokio::select! {
            said = hears.recv() => said,
            () = &mut end => break,
        };
        match said {
            Some(None) => {
                begun += 1;
                if begun == wanted {
                    println!("ready");
                }
            }
            Some(Some(reason)) => ended.fail(reason),
            None => break,
        }
    }
    workers.shutdown().await;
    Ok(json!({ "begun": begun, "ended": ended.failed }))
}

/// Says that one has begun, or why one ended.
type Said = mpsc::UnboundedSender<Option<String>>;

async fn head(endpoint: &Endpoint, said: &Said) -> io::Result<String> {
    let mut connection = Connection::open(endpoint).await?;
    connection.write(b"POST /mcp/load/peer HTTP/1.1\r\nhost: ").await?;
    let _heard = said.send(None);
    drip(&mut connection).await
}

async fn body(endpoint: &Endpoint, filled: usize, said: &Said) -> io::Result<String> {
    let mut connection = Connection::open(endpoint).await?;
    let mut request = endpoint.head(Verb::Post, None, filled + 1000);
    request.push(b'{');
    request.resize(request.len() + filled, b' ');
    connection.write(&request).await?;
    let _heard = said.send(None);
    drip(&mut connection).await
}

/// A byte now and then, until the other side has had enough.
async fn drip(connection: &mut Connection) -> io::Result<String> {
    loop {
        match time::timeout(PAUSE, connection.head()).await {
            Ok(head) => return Ok(format!("status {}", head?.status)),
            Err(_) => connection.write(b"x").await?,
        }
    }
}

async fn reading(endpoint: &Endpoint, bytes: usize, said: &Said) -> io::Result<String> {
    let mut connection = Connection::open(endpoint).await?;
    let session = sessions::open(&mut connection, endpoint).await?;
    drop(connection);
    // A small window, so that what is not read stays on the other side.
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut connection = Connection::of(socket.connect(endpoint.address).await?);
    connection.write(&endpoint.http_1(Verb::Post, Some(&session), &bodies::large(bytes))).await?;
    let head = connection.head().await?;
    if head.status != 200 {
        return Ok(format!("status {}", head.status));
    }
    let _heard = said.send(None);
    while connection.sip(256).await? > 0 {
        time::sleep(Duration::from_millis(100)).await;
    }
    Ok("ended".to_owned())
}
