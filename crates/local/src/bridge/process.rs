//! One running process of a server: its board, the tasks that move lines, and its end. When [`Process::tend`] returns,
//! the process is gone, with everything that it started, and everyone who waited for it has been told.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use narrows_core::resource::Sessions;
use narrows_mcp::{
    envelope::{Sender, parse},
    json::{Document, Limits},
};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt,
    process::{ChildStderr, ChildStdin, ChildStdout},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Caps,
    board::{Board, Frame},
    counts::Counts,
    launch::{Launched, late_failure},
    lines::{Line, Lines},
    log::{LONGEST_LINE, Log, Source},
    outbox::{Waiting, outbox},
};
use crate::tree::{self, Tree};

/// How long a supervisor may take to end after the time that it was given for its server.
const OVERTIME: Duration = Duration::from_secs(12);
/// How long a client may hold up its server's messages.
const BURST: Duration = Duration::from_secs(1);
/// How long output is read on after the process has ended.
const REST: Duration = Duration::from_secs(2);

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    board: Mutex<Board>,
    /// Its supervisor's process id.
    pub(crate) pid: u32,
    pub(crate) started: Instant,
    /// Asks for the end: the server's input is closed.
    close: CancellationToken,
    /// Why we ended it, if we did.
    reason: OnceLock<String>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// For people.
    pub(crate) reason: Arc<str>,
    /// Whether it was asked to.
    pub(crate) asked: bool,
    /// Whether it had ever sent a message.
    pub(crate) spoken: bool,
    /// How long it ran.
    pub(crate) lived: Duration,
}

/// What [`Process::tend`] needs of a process that was just started.
#[derive(Debug)]
pub(crate) struct Ends {
    launched: Launched,
    waiting: Waiting,
}

impl Process {
    /// Takes over a process that was just started.
    pub(crate) fn new(
        launched: Launched,
        sharing: Sessions,
        caps: Caps,
        counts: Arc<Counts>,
    ) -> (Arc<Self>, Ends) {
        let (out, waiting) = outbox(caps.queue);
        let started = Instant::now();
        let process = Self {
            board: Mutex::new(Board::new(sharing, caps, out, counts, started)),
            pid: launched.pid,
            started,
            close: CancellationToken::new(),
            reason: OnceLock::new(),
        };
        (Arc::new(process), Ends { launched, waiting })
    }

    /// The board, for as long as no await comes between.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        // A panic elsewhere leaves numbers and queues that are each valid.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the server's input; the supervisor does the rest.
    pub(crate) fn close(&self) {
        self.close.cancel();
    }

    /// Kills the server and all that it started, for a reason that everyone who waits is told.
    pub(crate) fn kill(&self, reason: String) {
        // The first reason is the one that is told.
        let _ = self.reason.set(reason);
        for (pid, entry) in Tree::read().map(|tree| tree.descendants(self.pid)).unwrap_or_default() {
            tree::signal(pid, &entry, Signal::KILL);
        }
        self.close.cancel();
    }

    /// Whether it was asked to end, or has.
    pub(crate) fn is_closing(&self) -> bool {
        self.close.is_cancelled()
    }

    /// Moves lines until the process has ended, and sees to it that it does. `grace` is the time that the supervisor
    /// was given.
    pub(crate) async fn tend(
        self: Arc<Self>,
        ends: Ends,
        log: Log,
        counts: Arc<Counts>,
        grace: Duration,
    ) -> Ended {
        let Ends { launched, waiting } = ends;
        let Launched { mut supervisor, pid, stdin, stdout, stderr, walls, missing } = launched;
        log.write(pid, Source::Bridge, format!("started: {walls}")).await;
        for line in missing {
            log.write(pid, Source::Bridge, line).await;
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(write(stdin, waiting, self.close.clone()));
        tasks.spawn(Arc::clone(&self).read(stdout, log.clone(), counts));
        tasks.spawn(read_stderr(stderr, pid, log.clone()));

        let status = tokio::select! {
            status = supervisor.wait() => status,
            () = self.overtime(grace) => {
                // The supervisor itself hangs. Nothing is asked of it any more.
                let _ = supervisor.start_kill();
                supervisor.wait().await
            }
        };
        let asked = self.close.is_cancelled();
        self.close.cancel();
        self.sweep(&log).await;
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(REST, drained).await.is_err() {
            tasks.shutdown().await;
        }
        let reason: Arc<str> = match (self.reason.get(), status) {
            (Some(reason), _) => reason.as_str().into(),
            (None, Ok(_)) if asked => "the server's process was ended".into(),
            (None, Ok(status)) => format!("the server's process ended ({})", describe(status)).into(),
            (None, Err(error)) => format!("the server's process can't be waited for: {error}").into(),
        };
        log.write(pid, Source::Bridge, reason.as_bytes()).await;
        let spoken = {
            let mut board = self.board();
            board.end(&reason, Instant::now());
            board.has_spoken()
        };
        let asked = asked && self.reason.get().is_none();
        Ended { reason, asked, spoken, lived: self.started.elapsed() }
    }

    /// Resolves when a process that was asked to end has had more than enough time to.
    async fn overtime(&self, grace: Duration) {
        self.close.cancelled().await;
        tokio::time::sleep(grace + OVERTIME).await;
    }

    /// A supervisor leaves nothing behind, unless it was itself killed. What is still of its session then goes too.
    async fn sweep(&self, log: &Log) {
        for _ in 0..100 {
            let left = Tree::read().map(|tree| tree.orphaned_session(self.pid)).unwrap_or_default();
            let left: Vec<_> = left.into_iter().filter(|(_, entry)| !entry.zombie).collect();
            if left.is_empty() {
                return;
            }
            for (pid, entry) in left {
                tree::signal(pid, &entry, Signal::KILL);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        log.write(self.pid, Source::Bridge, "processes of the server are left that can't be killed").await;
    }

    async fn read(self: Arc<Self>, mut lines: Lines<ChildStdout>, log: Log, counts: Arc<Counts>) {
        loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => self.line(line, &log, &counts).await,
                Ok(Some(Line::TooLong(_))) => {
                    self.kill("the server wrote a line of more than 16 MiB".to_owned());
                    break;
                }
                Ok(None) | Err(_) => break,
            }
        }
        // Nothing more can come from it: a server without output is of no use.
        if !self.close.is_cancelled() {
            tokio::select! {
                // Most often it has ended, and says so itself in a moment.
                () = self.close.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    self.kill("the server closed its output".to_owned());
                }
            }
        }
    }

    async fn line(&self, line: Bytes, log: &Log, counts: &Counts) {
        let document = match Document::parse(&line, &Limits::SERVER) {
            Ok(document) => document,
            Err(fault) => {
                if let Some(id) = answered(&line) {
                    let reason = format!("the server's answer can't be accepted: {fault}");
                    self.board().unreadable(id, &reason, Instant::now());
                }
                return self.noise(line, log, counts).await;
            }
        };
        let root = document.root();
        // Only 2025-03-26 has batches, and a server of it sends one only in answer to one; each message is taken alone.
        let messages: Vec<_> =
            if document.as_str().starts_with('[') { root.elements().collect() } else { vec![root] };
        let mut refused = messages.is_empty();
        for message in messages {
            match parse(message, Sender::Server) {
                Ok(message) => {
                    let congested = {
                        let mut board = self.board();
                        board.server_message(&message, Instant::now());
                        board.take_congested()
                    };
                    if !congested.is_empty() {
                        relieve(congested).await;
                    }
                }
                Err(fault) => {
                    refused = true;
                    let id = fault.id().and_then(|id| id.raw().parse().ok());
                    if let (Some(id), None) = (id, message.get("method")) {
                        let reason = format!("the server's answer can't be accepted: {fault}");
                        self.board().unreadable(id, &reason, Instant::now());
                    }
                }
            }
        }
        if refused {
            self.noise(line, log, counts).await;
        }
    }

    async fn noise(&self, mut line: Bytes, log: &Log, counts: &Counts) {
        if let (Some(reason), false) = (late_failure(&line), self.board().has_spoken()) {
            // Not a word of the server's, most likely: it could not be run after all.
            let _ = self.reason.set(reason);
            return;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        counts.noise.add();
        line.truncate(LONGEST_LINE);
        log.write(self.pid, Source::Noise, line).await;
    }
}

/// Waits until there is room again, but not for long: one client that does not read must not hold up others.
async fn relieve(congested: Vec<mpsc::Sender<Frame>>) {
    let room = async {
        for queue in congested {
            // A connection that is gone has room for whatever will not be sent to it.
            let _ = queue.reserve().await;
        }
    };
    let _ = tokio::time::timeout(BURST, room).await;
}

/// The id that an answer has which is not JSON as we take it, if another reader can tell.
fn answered(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Answer {
        id: u64,
        method: Option<serde::de::IgnoredAny>,
    }
    let answer: Answer = serde_json::from_slice(line).ok()?;
    answer.method.is_none().then_some(answer.id)
}

async fn write(mut stdin: ChildStdin, mut waiting: Waiting, close: CancellationToken) {
    loop {
        let line = tokio::select! {
            biased;
            () = close.cancelled() => return,
            line = waiting.next() => line,
        };
        let Some(line) = line else { return };
        let written = tokio::select! {
            () = close.cancelled() => return,
            written = stdin.write_all(&line) => written,
        };
        if written.is_err() {
            // It has ended, or will be found to have closed its output.
            return;
        }
    }
}

async fn read_stderr(stderr: ChildStderr, pid: u32, log: Log) {
    let mut lines = Lines::new(stderr, LONGEST_LINE);
    while let Ok(Some(Line::Whole(line) | Line::TooLong(line))) = lines.next().await {
        log.write(pid, Source::Server, line).await;
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(raw)) => match Signal::from_named_raw(raw) {
            Some(Signal::KILL) => "killed".to_owned(),
            Some(Signal::SEGV) => "segmentation fault".to_owned(),
            Some(Signal::ABORT) => "aborted".to_owned(),
            Some(_) | None => format!("signal {raw}"),
        },
        (None, None) => "unknown status".to_owned(),
    }
}
