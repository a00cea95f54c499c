//! The small process between a bridge and a server. It shuts the server in before it starts, ends it when its input is
//! closed or the bridge is gone, and leaves nothing of it behind: it is a subreaper, so that whatever the server
//! started and abandoned comes back to it and is killed. It never reads what the server reads nor writes what it writes.
//!
//! The bridge needs no control channel. Closing the server's input is the order to end: the supervisor holds the other
//! end of that pipe too, and sees it. The bridge's death closes the same pipe, whatever killed it.

mod find;
mod kernel;
pub(crate) mod order;
mod shut_in;

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use narrows_core::resource::{FileAccess, StdioServer};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group,
        pidfd_open, waitid, waitpid,
    },
};

use crate::tree::{self, Tree};
use order::{Order, Report};

/// How long the supervisor tries to be rid of processes that don't die, before it gives up on the kernel.
const REAP: Duration = Duration::from_secs(10);

/// How often what the server abandoned is reaped.
const TIDY: Duration = Duration::from_secs(2);

/// What this machine can enforce on a server's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The kernel's Landlock ABI; none: the kernel has no Landlock.
    pub landlock: Option<u32>,
}

impl Capabilities {
    /// Why `server` can't be run here as it is declared, for people; none: it can.
    pub fn refusal(&self, server: &StdioServer) -> Option<String> {
        match (&server.files, self.landlock) {
            (FileAccess::Only { .. }, None) => Some(shut_in::Open::NoLandlock.to_string()),
            (FileAccess::Only { .. }, Some(_)) | (FileAccess::Unrestricted, _) => None,
        }
    }
}

/// Asks the kernel. Changes nothing.
pub fn capabilities() -> Capabilities {
    Capabilities { landlock: kernel::landlock_abi() }
}

/// Checks that `program` can be run with this `PATH`, without running it.
///
/// # Errors
/// A sentence for people.
pub fn runnable(program: &str, path: &str) -> Result<(), String> {
    find::find(program, path).map(drop).map_err(|error| error.to_string())
}

/// What the hidden subcommand `bridge-supervise` does: reads one order from standard input, runs the server on what
/// follows, and returns the exit code to end with. A server that was killed by a signal takes this process with it, by
/// the same signal, so that the bridge sees what happened.
pub fn run() -> u8 {
    let order = match Order::read(RawInput) {
        Ok(Some(order)) => order,
        Ok(None) => return 0,
        Err(error) => return fail(&format!("the order can't be read: {error}")),
    };
    match supervise(&order) {
        Ok(Some(status)) => imitate(status),
        Ok(None) => 0,
        Err(reason) => fail(&reason),
    }
}

/// Standard input without a buffer, so that nothing of the server's is taken.
struct RawInput;

impl Read for RawInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut *buffer))?)
    }
}

fn report(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

fn fail(reason: &str) -> u8 {
    // If nobody listens any more, there is nobody to tell.
    let _ = report(&Report::Failed { reason: reason.to_owned() });
    1
}

fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// None: the bridge was gone before the server started.
fn supervise(order: &Order) -> Result<Option<ExitStatus>, String> {
    let said = |call: &str, error: rustix::io::Errno| format!("{call} failed: {error}");
    let bridge = pid(order.bridge).ok_or("the order names no bridge")?;
    let Ok(bridge_fd) = pidfd_open(bridge, PidfdFlags::empty()) else { return Ok(None) };
    if rustix::process::getppid() != Some(bridge) {
        return Ok(None);
    }
    rustix::process::setsid().map_err(|error| said("setsid", error))?;
    let own = Some(rustix::process::getpid());
    rustix::process::set_child_subreaper(own).map_err(|error| said("subreaper", error))?;
    shut_in::process(order).map_err(|error| error.to_string())?;

    let spawned = thread::scope(|scope| scope.spawn(|| spawn(order)).join());
    let mut child = spawned.map_err(|_| "the server's thread ended".to_owned())??;
    let ended = watch(order, &mut child, &bridge_fd).map_err(|error| format!("waiting failed: {error}"));
    let status = sweep(&mut child);
    ended.and(status.map(Some).map_err(|error| format!("waiting failed: {error}")))
}

/// Runs in a thread of its own, which the walls then surround for good.
fn spawn(order: &Order) -> Result<Child, String> {
    let walls = shut_in::thread(order).map_err(|error| error.to_string())?;
    let (program, arguments) = order.command.split_first().ok_or("the command is empty")?;
    let path = order.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value.as_str());
    let file = find::find(program, path).map_err(|error| error.to_string())?;
    report(&Report::Prepared { landlock: walls.landlock, missing: walls.missing })
        .map_err(|error| format!("the bridge can't be told: {error}"))?;
    let child = Command::new(file)
        .arg0(program)
        .args(arguments)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&order.directory)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("command `{program}` can't be run: {error}"))?;
    // From here on, the server alone holds its output: when it closes it, the bridge sees the end.
    let null = File::options().write(true).open("/dev/null").map_err(|error| error.to_string());
    match null.and_then(|null| rustix::stdio::dup2_stdout(null).map_err(|error| error.to_string())) {
        Ok(()) => Ok(child),
        Err(error) => {
            let _ = sweep(&mut { child });
            Err(format!("/dev/null can't be used: {error}"))
        }
    }
}

/// Returns when the server has ended by itself or is to be killed.
fn watch(order: &Order, child: &mut Child, bridge: &OwnedFd) -> io::Result<()> {
    let group = pid(child.id()).ok_or(io::ErrorKind::InvalidData)?;
    let server = Server { pid: group, fd: pidfd_open(group, PidfdFlags::empty())? };
    match wait(&server, bridge, Input::Watched, None)? {
        Woken::Ended | Woken::Orphaned => return Ok(()),
        Woken::InputClosed | Woken::Late => {}
    }
    match wait(&server, bridge, Input::Closed, Some(order.close))? {
        Woken::Ended | Woken::Orphaned => return Ok(()),
        Woken::InputClosed | Woken::Late => {}
    }
    // A group that is gone takes no signal. One that was stopped must run to hear this one.
    let _ = kill_process_group(group, Signal::TERM);
    let _ = kill_process_group(group, Signal::CONT);
    wait(&server, bridge, Input::Closed, Some(order.terminate)).map(drop)
}

struct Server {
    pid: Pid,
    fd: OwnedFd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Watched,
    Closed,
}

enum Woken {
    /// The server's process has ended.
    Ended,
    /// The bridge is gone.
    Orphaned,
    /// The bridge has closed the server's input.
    InputClosed,
    /// Time is up.
    Late,
}

/// Reaps what the server abandoned and what has ended since. The server itself is left to [`sweep`].
fn bury(server: Pid) {
    let any = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if !matches!(waitid(WaitId::All, any), Ok(Some(_))) {
        return;
    }
    // That there is one is known; which, only `/proc` says.
    let own = std::process::id();
    for (raw, entry) in Tree::read().map(|tree| tree.descendants(own)).unwrap_or_default() {
        if entry.zombie && entry.parent == own && pid(raw) != Some(server) {
            // It is a zombie of ours: this can't fail, and if it did, the next round would find it.
            let _ = waitpid(pid(raw), WaitOptions::NOHANG);
        }
    }
}

fn wait(server: &Server, bridge: &OwnedFd, input: Input, within: Option<Duration>) -> io::Result<Woken> {
    let deadline = within.map(|within| Instant::now() + within);
    loop {
        let mut fds = vec![
            PollFd::new(&server.fd, PollFlags::IN),
            PollFd::new(bridge, PollFlags::IN),
            // No event is asked for: hang-up is always told, and input is not ours.
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::empty()),
        ];
        if input == Input::Closed {
            fds.truncate(2);
        }
        let left =
            deadline.map_or(TIDY, |deadline| deadline.saturating_duration_since(Instant::now()).min(TIDY));
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(Woken::Late),
            Ok(0) => {
                bury(server.pid);
                continue;
            }
            Ok(_) => {}
        }
        let told = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        match (told(0), told(1), told(2)) {
            (true, _, _) => return Ok(Woken::Ended),
            (_, true, _) => return Ok(Woken::Orphaned),
            (_, _, true) => return Ok(Woken::InputClosed),
            (false, false, false) => {}
        }
    }
}

/// Kills the server and everything that came from it, and returns how the server ended.
fn sweep(child: &mut Child) -> io::Result<ExitStatus> {
    let own = std::process::id();
    if let Some(group) = pid(child.id()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let status = child.wait();
    let deadline = Instant::now() + REAP;
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline {
        for (pid, entry) in Tree::read().map(|tree| tree.descendants(own)).unwrap_or_default() {
            tree::signal(pid, &entry, Signal::KILL);
        }
        loop {
            match waitpid(None, WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return status,
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    status
}

/// Ends as the server did.
fn imitate(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(raw)) => {
            if let Some(signal) = Signal::from_named_raw(raw) {
                let _ = kill_process(rustix::process::getpid(), signal);
            }
            u8::try_from(128 + raw).unwrap_or(1)
        }
        (None, None) => 1,
    }
}

#[cfg(test)]
mod tests;
