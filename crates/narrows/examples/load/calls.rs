//! Honest calls: at a steady rate, each at its time, over connections that are kept. Latency counts from when a call
//! was due. A connection is opened anew only where the last answer said that it is the last, or, in HTTP/2, where the
//! request was given back unsent; a call is never sent twice. A connection that was closed without a word is noted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time};

use crate::{
    Target, bodies,
    endpoint::{Endpoint, Verb},
    http1::Connection,
    sessions,
    tallied::Tallied,
};

/// After which a call has failed.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(crate) struct Calls {
    #[command(flatten)]
    target: Target,
    /// Calls each second, over all connections
    #[arg(long)]
    rate: f64,
    /// Connections of HTTP/1.1
    #[arg(long, default_value_t = 4)]
    http1: u32,
    /// Connections of HTTP/2
    #[arg(long, default_value_t = 0)]
    http2: u32,
}

impl Calls {
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        let endpoints = self.target.endpoints()?;
        let all = self.http1 + self.http2;
        anyhow::ensure!(all > 0, "no connections");
        let pause = Duration::from_secs_f64(f64::from(all) / self.rate);
        let (end, ended) = watch::channel(false);
        let mut workers = JoinSet::new();
        for (number, endpoint) in (0..all).zip(endpoints.iter().cycle()) {
            let session = Arc::from(first_session(endpoint).await?);
            let endpoint = endpoint.clone();
            let clock = Clock { first: Instant::now() + pause * number / all, pause, ended: ended.clone() };
            if number < self.http1 {
                workers.spawn(over_http_1(endpoint, session, clock));
            } else {
                workers.spawn(over_http_2(endpoint, session, clock));
            }
        }
        println!("ready");
        crate::told_to_end().await;
        end.send_replace(true);
        let mut tallied = Tallied::default();
        while let Some(done) = workers.join_next().await {
            tallied.add(done?);
        }
        Ok(tallied.said())
    }
}

async fn first_session(endpoint: &Endpoint) -> anyhow::Result<String> {
    let mut connection = Connection::open(endpoint).await?;
    Ok(sessions::open(&mut connection, endpoint).await?)
}

/// When the calls of one connection are due.
struct Clock {
    first: Instant,
    pause: Duration,
    ended: watch::Receiver<bool>,
}

impl Clock {
    /// Waits until the next call is due; none when it is over. What is late is not left out.
    async fn next(&mut self, number: u32) -> Option<Instant> {
        let due = self.first + self.pause * number;
        tokio::select! {
            () = time::sleep_until(due.into()) => {}
            _ = self.ended.changed() => {}
        }
        (!*self.ended.borrow()).then_some(due)
    }
}

async fn over_http_1(endpoint: Endpoint, session: Arc<str>, mut clock: Clock) -> Tallied {
    let mut tallied = Tallied::default();
    let mut kept: Option<Connection> = None;
    for number in 0.. {
        let Some(due) = clock.next(number).await else { break };
        let request = endpoint.http_1(Verb::Post, Some(&session), &bodies::call(number.into()));
        if kept.as_ref().is_some_and(Connection::is_over) {
            tallied.note("closed without a word");
            kept = None;
        }
        let call = async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(&endpoint).await.map_err(|error| format!("connecting: {error}"))?,
            };
            let (head, body) =
                connection.exchange(&request).await.map_err(|error| format!("in a call: {error}"))?;
            check(head.status, &body, number)?;
            Ok::<_, String>((!head.is_last).then_some(connection))
        };
        match time::timeout(PATIENCE, call).await {
            Ok(Ok(connection)) => {
                if connection.is_none() {
                    tallied.note("answered as the last");
                }
                kept = connection;
                tallied.took(due.elapsed());
            }
            Ok(Err(reason)) => tallied.fail(reason),
            Err(_) => tallied.fail("no answer in time"),
        }
    }
    tallied
}

type Sender = http2::SendRequest<Full<Bytes>>;

async fn over_http_2(endpoint: Endpoint, session: Arc<str>, mut clock: Clock) -> Tallied {
    let mut tallied = Tallied::default();
    let mut drivers = JoinSet::new();
    let mut kept: Option<Sender> = None;
    for number in 0.. {
        let Some(due) = clock.next(number).await else { break };
        let call = async {
            let body = bodies::call(number.into());
            let mut request =
                endpoint.http_2(Verb::Post, Some(&session), &body).map_err(|error| error.to_string())?;
            // Twice at most: the second time on a new connection, with a request that was never sent.
            for _ in 0..2 {
                let mut sender = match still_good(kept.take()).await {
                    Some(sender) => sender,
                    None => connect(&endpoint, &mut drivers).await?,
                };
                match sender.try_send_request(request).await {
                    Ok(response) => {
                        let status = response.status().as_u16();
                        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
                        check(status, &body.to_bytes(), number)?;
                        kept = Some(sender);
                        return Ok(());
                    }
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(format!("in a call: {:?}", error.into_error())),
                    },
                }
            }
            Err("given back unsent twice".to_owned())
        };
        match time::timeout(PATIENCE, call).await {
            Ok(Ok(())) => tallied.took(due.elapsed()),
            Ok(Err(reason)) => tallied.fail(format!("HTTP/2: {reason}")),
            Err(_) => tallied.fail("HTTP/2: no answer in time"),
        }
        while drivers.try_join_next().is_some() {
            tallied.note("HTTP/2 connections ended");
        }
    }
    tallied
}

/// A connection that takes another request.
async fn still_good(kept: Option<Sender>) -> Option<Sender> {
    let mut sender = kept?;
    sender.ready().await.ok().map(|()| sender)
}

async fn connect(endpoint: &Endpoint, drivers: &mut JoinSet<()>) -> Result<Sender, String> {
    let stream =
        TcpStream::connect(endpoint.address).await.map_err(|error| format!("connecting: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| format!("connecting: {error}"))?;
    drivers.spawn(async move {
        // Whatever ended it shows in the calls.
        let _ended = connection.await;
    });
    Ok(sender)
}

/// A call went well if its own answer came back.
fn check(status: u16, body: &[u8], number: u32) -> Result<(), String> {
    if status != 200 {
        return Err(format!("status {status}: {}", String::from_utf8_lossy(body)));
    }
    let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.get("id") == Some(&number.into()) && answer.get("result").is_some() {
        Ok(())
    } else {
        Err(format!("not the answer to call {number}: {answer}"))
    }
}
