//! `narrows up`: everything in one process, from nothing to draining. What is built here in this order is taken down
//! in the opposite one: no more connections, requests in progress end, servers end, the log is closed.

mod certificate;
mod demo;
mod descriptors;
mod follow;
mod handed_over;
mod inputs;
mod live;
#[cfg(target_os = "linux")]
mod pages;
mod plan;
mod servers;
mod system;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use listenfd::ListenFd;
use narrows_core::lifecycle::Phase;

use crate::{
    api,
    cli::{LogFormat, UpArgs},
    data_dir::{DataDir, Lock},
    environment::Environment,
    failure::Failure,
    output,
    signals::Signals,
};
use handed_over::HandedOver;
use plan::{Plan, Source, Transport};
use system::System;

/// The exit code of a process that a second signal ended.
const ENDED_BY_SIGNAL: u8 = 130;
/// How long a command may have the data directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How long the greeting waits for the demo's server.
const DEMO_PATIENCE: Duration = Duration::from_secs(10);

/// For people who have just begun.
const NEXT: &str = "What to do next:
  narrows up --demo                               try it with a demo server and two people
  narrows check -f narrows.yaml                   check resources of your own (docs/configuration.md)
  narrows up -f narrows.yaml                      run with them
  narrows token create --subject you@example.com  make a token";

/// Runs until a signal, or until a part of it fails.
pub(crate) async fn run(
    args: UpArgs,
    root: PathBuf,
    environment: &Environment,
    sockets: ListenFd,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    let log_format = args.log_format;
    let door = handed_over::door(sockets)?;
    let plan = Plan::check(args, door.as_ref().map(HandedOver::address))?;
    let data_dir = DataDir::open_or_create(root)?;
    let _lock = lock(&data_dir).await?;
    let mut system = tokio::select! {
        started = System::start(&plan, &data_dir, environment, door) => started?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    say(&plan, &system, log_format);
    if plan.source == Source::Demo {
        tokio::select! {
            greeted = greet(&data_dir, &system) => greeted?,
            () = signals.next() => return end(system, signals, Ok(())).await,
        }
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = pages::give_back() {
        tracing::debug!(%error, "pages that only the start needed stay in memory");
    }
    let failed = tokio::select! {
        failure = system.failed() => Err(failure),
        () = signals.next() => Ok(()),
    };
    end(system, signals, failed).await
}

/// Takes the data directory. A command that has it lets go of it in a moment.
async fn lock(data_dir: &DataDir) -> Result<Lock, Failure> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match data_dir.lock() {
            Ok(lock) => return Ok(lock),
            Err(_) if api::is_answered(data_dir).await => {
                let directory = data_dir.root().display();
                return Err(Failure::new(format!("another `narrows up` is running on `{directory}`"))
                    .hint("stop it first, or give this one a directory of its own with `--data-dir DIR`"));
            }
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn end(system: System, mut signals: Signals, result: Result<(), Failure>) -> Result<ExitCode, Failure> {
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        drained = system.drain() => result.and(drained).map(|()| ExitCode::SUCCESS),
        () = signals.next() => Ok(ExitCode::from(ENDED_BY_SIGNAL)),
    }
}

/// What an operator should know now that it runs.
fn say(plan: &Plan, system: &System, log_format: LogFormat) {
    tracing::info!(url = %system.public_url, admin = %system.admin_address, "listening");
    match plan.transport {
        Transport::Loopback | Transport::Tls { .. } => {}
        Transport::InsecurePlainHttp => tracing::warn!(
            "plain HTTP beyond this machine, as asked for: whoever is on the way can read tokens and data, and use them"
        ),
    }
    if system.is_empty {
        tracing::warn!("nothing is configured: every request is denied");
        match log_format {
            LogFormat::Text => eprintln!("{NEXT}"),
            LogFormat::Json => {}
        }
    }
}

async fn greet(data_dir: &DataDir, system: &System) -> Result<(), Failure> {
    let wait = async {
        while system.demo_status().map(|status| status.state.phase) != Some(Phase::Running) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(DEMO_PATIENCE, wait).await.is_err() {
        tracing::warn!(status = ?system.demo_status(), "the demo server is not ready");
    }
    output::write(&demo::greeting(data_dir, &system.executable, &system.issuer, &system.public_url)?)
}
