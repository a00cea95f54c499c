//! Opening sessions: one for those who need one, very many for those who mean harm.

use std::{io, time::Instant};

use clap::Args;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    Target, bodies,
    endpoint::{Endpoint, Verb},
    http1::Connection,
    tallied::Tallied,
};

#[derive(Args)]
pub(crate) struct Sessions {
    #[command(flatten)]
    target: Target,
    /// How many in all
    #[arg(long)]
    count: usize,
    /// On how many connections
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

impl Sessions {
    pub(crate) async fn run(self) -> anyhow::Result<Value> {
        let endpoints = self.target.endpoints()?;
        let mut workers = JoinSet::new();
        let each = self.count.div_ceil(self.connections);
        for endpoint in endpoints.iter().cycle().take(self.connections).cloned() {
            workers.spawn(many(endpoint, each));
        }
        let mut all = Tallied::default();
        while let Some(done) = workers.join_next().await {
            all.add(done?);
        }
        Ok(all.said())
    }
}

async fn many(endpoint: Endpoint, count: usize) -> Tallied {
    let mut tallied = Tallied::default();
    let mut kept = None;
    for _ in 0..count {
        let begin = Instant::now();
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(&endpoint).await,
        };
        let opened = match connection {
            Ok(mut connection) => open(&mut connection, &endpoint).await.map(|_| connection),
            Err(error) => Err(error),
        };
        match opened {
            Ok(connection) => {
                tallied.took(begin.elapsed());
                kept = Some(connection);
            }
            Err(error) => tallied.fail(error),
        }
    }
    tallied
}

/// Opens one session on a connection.
pub(crate) async fn open(connection: &mut Connection, endpoint: &Endpoint) -> io::Result<String> {
    let (head, _) = connection.exchange(&endpoint.http_1(Verb::Post, None, bodies::INITIALIZE)).await?;
    match (head.status, head.session) {
        (200, Some(session)) => Ok(session),
        (status, _) => Err(io::Error::other(format!("no session: status {status}"))),
    }
}
