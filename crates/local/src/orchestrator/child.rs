//! One bridge process: started, listened to, started again with growing waits, and ended.

use std::{path::PathBuf, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::AsyncWriteExt,
    process::{Child as Process, ChildStdin, ChildStdout, Command},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use super::{DEADLINE, Instant, ServerStatus, Told};
use crate::{
    bridge::{Backoff, BridgeConfig, Line, Lines, Order, health::Health},
    tree::{self, Tree},
};

/// Longest line of health.
const LONGEST: usize = 64 * 1024;
/// How long a bridge that was killed may take to be gone.
const REAP: Duration = Duration::from_secs(5);

/// What keeps a bridge running.
#[derive(Debug)]
pub(super) struct Child {
    executable: PathBuf,
    config: BridgeConfig,
    status: Told,
    replicas: watch::Receiver<u32>,
    stop: CancellationToken,
}

/// A bridge that runs. It ends when its standard input is closed.
#[derive(Debug)]
struct Running {
    process: Process,
    stdin: ChildStdin,
    stdout: Lines<ChildStdout>,
}

impl Child {
    pub(super) fn new(
        executable: PathBuf,
        config: BridgeConfig,
        status: Told,
        replicas: watch::Receiver<u32>,
        stop: CancellationToken,
    ) -> Self {
        Self { executable, config, status, replicas, stop }
    }

    /// Runs until it is asked to stop; then its bridge is gone, and everything behind it.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let started = Instant::now();
            let reason = match self.start().await {
                Ok(running) => match self.attend(running).await {
                    Some(reason) => reason,
                    None => return,
                },
                Err(error) => format!("the bridge can't be run: {error}"),
            };
            if started.elapsed() >= self.config.timing.healthy {
                backoff.recovered();
            }
            let wait = backoff.failed(Instant::now(), &self.config.timing);
            tracing::warn!(server = self.config.name, reason, wait_ms = wait.as_millis(), "bridge failed");
            self.failed(reason, wait);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn failed(&self, reason: String, wait: Duration) {
        let since = jiff::Timestamp::now();
        let retry = since.checked_add(wait).unwrap_or(since);
        self.status.tell(ServerStatus::Failed { reason, since, retry });
    }

    async fn start(&mut self) -> std::io::Result<Running> {
        self.config.replicas = *self.replicas.borrow_and_update();
        let mut order = serde_json::to_vec(&self.config)?;
        order.push(b'\n');
        let mut process = Command::new(&self.executable)
            .args(["bridge", "--name", &self.config.name, "--spec", "-"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // Ctrl-C in a terminal is for us: we end the bridges, in our order.
            .process_group(0)
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        // A bridge that ends before it has read this says why by its exit code and on standard error.
        let _ = stdin.write_all(&order).await;
        Ok(Running { process, stdin, stdout: Lines::new(stdout, LONGEST) })
    }

    /// Takes what the bridge says until it ends. None: it was asked to.
    async fn attend(&mut self, running: Running) -> Option<String> {
        let Running { process, mut stdin, mut stdout } = running;
        loop {
            let line = tokio::select! {
                biased;
                Ok(()) = self.replicas.changed() => {
                    let replicas = *self.replicas.borrow_and_update();
                    // A bridge that can't be told is ending, which its output says.
                    let _ = stdin.write_all(&resized(replicas)).await;
                    continue;
                }
                () = self.stop.cancelled() => {
                    drop(stdin);
                    self.end(process).await;
                    return None;
                }
                line = stdout.next() => line,
            };
            match line {
                Ok(Some(Line::Whole(line))) => match serde_json::from_slice::<Health>(&line) {
                    Ok(Health::Ready) => self.status.tell(ServerStatus::Ready),
                    Ok(Health::Failed { reason, wait_ms }) => {
                        self.failed(reason, Duration::from_millis(wait_ms))
                    }
                    Ok(Health::Refused { reason }) => {
                        self.failed(reason.clone(), Duration::ZERO);
                        self.reap(process).await;
                        return Some(reason);
                    }
                    Err(_) => {}
                },
                Ok(Some(Line::TooLong(_))) => {}
                Ok(None) | Err(_) => {
                    // It is ending, or has no more to say: either way it is of no use.
                    drop(stdin);
                    let status = self.reap(process).await;
                    return Some(format!(
                        "the bridge ended ({})",
                        status.unwrap_or_else(|| "unknown status".to_owned())
                    ));
                }
            }
        }
    }

    /// Waits for a bridge that was asked to end; kills it, and what it ran, when it does not.
    async fn end(&self, mut process: Process) {
        if tokio::time::timeout(DEADLINE, process.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(server = self.config.name, "the bridge does not end and is killed");
        // Its supervisors see that it is gone and kill what they run.
        let own = process.id();
        let family = own.and_then(|own| Some(Tree::read().ok()?.descendants(own))).unwrap_or_default();
        let _ = process.start_kill();
        let _ = tokio::time::timeout(REAP, process.wait()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (pid, entry) in family {
            tree::signal(pid, &entry, Signal::KILL);
        }
    }

    async fn reap(&self, mut process: Process) -> Option<String> {
        match tokio::time::timeout(REAP, process.wait()).await {
            Ok(status) => Some(status.ok()?.to_string()),
            Err(_) => {
                self.end(process).await;
                None
            }
        }
    }
}

/// The line that says how many processes there are to be.
fn resized(replicas: u32) -> Vec<u8> {
    // A number can be written.
    let mut line = serde_json::to_vec(&Order::Replicas(replicas)).unwrap_or_default();
    line.push(b'\n');
    line
}
