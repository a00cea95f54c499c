//! `narrows bridge`: one stdio server over Streamable HTTP, for `up` or by itself.

use std::{ffi::OsString, path::PathBuf};

use narrows_core::resource::{EnvVar, FileAccess, Limits, Sessions, StdioServer};
use narrows_local::bridge::{self, BridgeConfig, Caps, Listen, Timing};

use crate::{
    cli::{BridgeArgs, BridgeSessions},
    data_dir,
    environment::Environment,
    failure::Failure,
    signals,
};

/// Runs the command until a signal, or until whoever started it for `up` is gone.
///
/// `root` finds the data directory, which a bridge of `up` has no need of.
pub(crate) async fn run(
    args: BridgeArgs,
    root: impl FnOnce() -> Result<PathBuf, Failure>,
    environment: &Environment,
) -> Result<(), Failure> {
    let shutdown = signals::first()?;
    let ended = match args.spec.as_deref() {
        Some("-") => bridge::run_orchestrated(shutdown).await,
        Some(other) => return Err(Failure::usage(format!("`--spec {other}`: only `-` can be read"))),
        None => {
            let config = config(args, root, environment)?;
            tracing::info!(listen = ?config.listen, command = ?config.server.command.first(), "bridge starts");
            bridge::run(config, shutdown).await
        }
    };
    ended.map_err(|error| Failure::from_error(&error))
}

fn config(
    args: BridgeArgs,
    root: impl FnOnce() -> Result<PathBuf, Failure>,
    environment: &Environment,
) -> Result<BridgeConfig, Failure> {
    let listen = match (args.socket, args.listen) {
        (Some(path), _) => Listen::Unix(path),
        (None, Some(address)) if address.ip().is_loopback() => Listen::Tcp(address),
        (None, Some(address)) => {
            return Err(Failure::usage(format!("`--listen {address}` reaches beyond this machine"))
                .hint("a bridge asks for no token: listen on loopback or a socket, and let `narrows up` face others"));
        }
        (None, None) => {
            return Err(Failure::usage("it was not said where to listen")
                .hint("give `--socket PATH` or `--listen 127.0.0.1:PORT`"));
        }
    };
    let directory = match args.directory {
        Some(directory) => directory,
        None => root()?.join("bridge").join(&args.name),
    };
    data_dir::make_private(&directory)?;
    let executable = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot tell where this program is: {error}")))?;
    let sessions = match args.sessions {
        BridgeSessions::Isolated => Sessions::Isolated,
        BridgeSessions::Shared => Sessions::Shared,
    };
    Ok(BridgeConfig {
        name: args.name,
        listen,
        server: StdioServer {
            command: args.command,
            env: args.env.iter().map(|text| variable(text)).collect::<Result<_, _>>()?,
            limits: Limits::default(),
            sessions,
            files: FileAccess::Unrestricted,
        },
        replicas: 1,
        launcher: vec![executable.into_os_string(), OsString::from("bridge-supervise")],
        directory,
        path: environment.path.clone(),
        lang: environment.lang.clone(),
        timing: Timing::default(),
        caps: Caps::default(),
    })
}

fn variable(text: &str) -> Result<EnvVar, Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(EnvVar { name: name.to_owned(), value: value.to_owned() })
        }
        _ => {
            Err(Failure::usage(format!("`--env {text}` is not a variable"))
                .hint("write it like `NAME=VALUE`"))
        }
    }
}
