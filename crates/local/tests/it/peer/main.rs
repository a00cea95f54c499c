//! What the tests of this crate run as child processes. `bridge` and `bridge-supervise` are what the product's binary
//! has under those names; `server` is an MCP server that does what it is told, bad manners included.

mod server;
mod tools;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("bridge-supervise") => ExitCode::from(narrows_local::supervisor::run()),
        Some("bridge") => bridge(),
        Some("server") => server::run(&arguments),
        _ => {
            eprintln!("usage: narrows-local-peer bridge | bridge-supervise | server");
            ExitCode::from(2)
        }
    }
}

fn bridge() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(narrows_local::bridge::run_orchestrated(std::future::pending())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
