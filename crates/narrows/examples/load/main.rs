//! Traffic for `./acceptance load`: the server behind the gateway, honest clients that measure, and clients that mean
//! harm. Each is a command; what it saw is one line of JSON on standard output. It shares no code with the gateway.

mod bodies;
mod calls;
mod endpoint;
mod floods;
mod frames;
mod http1;
mod server;
mod sessions;
mod slow;
mod streams;
mod tallied;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use endpoint::Endpoint;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The server: any session is good, streams stay open. Says where it listens
    Server,
    /// Honest calls at a rate until standard input ends; latencies
    Calls(calls::Calls),
    /// Idle listening streams until standard input ends
    Streams(streams::Streams),
    /// Sessions, opened one after the other
    Sessions(sessions::Sessions),
    /// Heads and bodies that come byte by byte until standard input ends
    Slow(slow::Slow),
    /// Frames of HTTP/2 that mean harm, for some seconds
    Flood(floods::Flood),
    /// Large answers that are read slowly until standard input ends
    SlowReaders(slow::SlowReaders),
}

/// Where the gateway is, and who asks.
#[derive(Args, Clone)]
struct Target {
    /// Where it listens
    #[arg(long)]
    to: SocketAddr,
    /// The endpoint
    #[arg(long, default_value = "/mcp/load/peer")]
    path: String,
    /// A file with a token in each line; connections take them in turn
    #[arg(long)]
    tokens: std::path::PathBuf,
}

impl Target {
    /// One endpoint for each token.
    fn endpoints(&self) -> anyhow::Result<Vec<Endpoint>> {
        let tokens = std::fs::read_to_string(&self.tokens)?;
        let all: Vec<_> = tokens.lines().map(|token| Endpoint::new(self.to, &self.path, token)).collect();
        anyhow::ensure!(!all.is_empty(), "there is no token in {}", self.tokens.display());
        Ok(all)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let said = match Cli::parse().command {
        Command::Server => return server::run().await,
        Command::Calls(calls) => calls.run().await?,
        Command::Streams(streams) => streams.run().await?,
        Command::Sessions(sessions) => sessions.run().await?,
        Command::Slow(slow) => slow.run().await?,
        Command::Flood(flood) => flood.run().await?,
        Command::SlowReaders(readers) => readers.run().await?,
    };
    println!("{said}");
    Ok(())
}

/// Resolves when standard input ends: whoever started this wants the result.
async fn told_to_end() {
    use tokio::io::AsyncReadExt as _;
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while matches!(input.read(&mut bytes).await, Ok(count) if count > 0) {}
}
