//! How processes end: asked by the end of their input, then by SIGTERM, then not asked any more. Whatever they do, and
//! whoever is killed, nothing is left.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use narrows_core::resource::StdioServer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::{Bridge, PEER, alive, call, config, descendants_of_peers, server, shell, until};

async fn gone(what: &str, pids: &[u32]) {
    until(what, || std::future::ready(pids.iter().all(|pid| !alive(*pid)))).await;
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// Opens a session with such a server, ends it, and returns how long its processes took to be gone.
async fn check(server: StdioServer) -> Duration {
    let bridge = Bridge::start_with(server, |config| {
        config.timing.close = Duration::from_millis(600);
        config.timing.terminate = Duration::from_millis(600);
    })
    .await;
    let session = bridge.session("2025-06-18").await;
    let pids = descendants_of_peers(bridge.directory.path());
    assert!(pids.len() >= 2, "supervisor and server: {pids:?}");
    let since = Instant::now();
    assert_eq!(session.request(Method::DELETE, &[]).await.status, 204);
    gone("the session's processes are gone", &pids).await;
    let took = since.elapsed();
    bridge.stop().await;
    took
}

#[tokio::test]
async fn a_server_that_ends_with_its_input_is_not_killed() {
    let took = check(server(&[])).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn a_server_that_ignores_the_end_of_its_input_is_terminated() {
    let took = check(server(&["--ignore-end"])).await;
    assert!((Duration::from_millis(550)..Duration::from_millis(1100)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_server_that_ignores_termination_too_is_killed() {
    let took = check(shell("trap '' TERM; exec $PEER server --ignore-end")).await;
    assert!((Duration::from_millis(1150)..Duration::from_millis(2500)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_server_behind_a_shell_that_does_not_pass_on_signals_is_ended_too() {
    // The shell waits for its child and is terminated alone; the child ignores everything.
    let took = check(shell("(trap '' TERM; exec $PEER server --ignore-end); true")).await;
    assert!(took < Duration::from_millis(2500), "{took:?}");
}

#[tokio::test]
async fn what_a_server_started_ends_with_it() {
    for how in ["plain", "setsid"] {
        let bridge = Bridge::start(server(&[])).await;
        let session = bridge.session("2025-06-18").await;
        session.text("children", json!({"count": 3, "how": how})).await;
        let pids = descendants_of_peers(bridge.directory.path());
        assert!(pids.len() >= 5, "{how}: {pids:?}");
        // The server ends by itself; its children would not.
        session.post(&call(1, "exit", json!({"code": 0}))).await.messages().await;
        gone("its children are gone", &pids).await;
        bridge.stop().await;
    }
}

#[tokio::test]
async fn what_a_server_abandons_does_not_stay_as_a_zombie() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let server: u32 = session.text("pid", json!({})).await.parse().unwrap();
    assert_eq!(session.text("abandon", json!({"count": 5})).await, "abandoned");
    let supervisor = parent(server);
    let children = || {
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
        pids.filter(|pid: &u32| parent(*pid) == supervisor).count()
    };
    assert!(children() > 1, "nothing was abandoned");
    until("they are buried", || std::future::ready(children() == 1)).await;
    assert_eq!(session.text("echo", json!({"text": "alive"})).await, "alive");
    bridge.stop().await;
}

/// The parent of a process; 0 if it is gone.
fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let field = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
    field.unwrap_or(0)
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_server_with_it() {
    let bridge = Bridge::start(shell("trap '' TERM; exec $PEER server --ignore-end")).await;
    let session = bridge.session("2025-11-25").await;
    session.text("children", json!({"count": 2, "how": "plain"})).await;
    let server: u32 = session.text("pid", json!({})).await.parse().unwrap();
    let pids = descendants_of_peers(bridge.directory.path());
    let supervisor = parent(server);
    let waiting = session.post(&call(1, "never", json!({}))).await;
    kill(supervisor);
    gone("server and children are gone", &pids).await;
    let told = waiting.messages().await;
    assert_eq!(told.last().unwrap()["error"]["message"], "the server's process ended (killed)");
    bridge.stop().await;
}

/// A bridge in a process of its own, as the product runs it.
fn bridge_process(directory: &std::path::Path, server: StdioServer) -> Child {
    let config = config(directory, server);
    let mut bridge = Command::new(PEER)
        .args(["bridge", "--name", "test/peer", "--spec", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = serde_json::to_vec(&config).unwrap();
    line.push(b'\n');
    bridge.stdin.as_mut().unwrap().write_all(&line).unwrap();
    bridge
}

#[tokio::test]
async fn a_bridge_that_is_killed_leaves_no_process() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    // A server that ignores whatever can be ignored, with children in sessions of their own.
    let mut child = bridge_process(directory.path(), shell("trap '' TERM; exec $PEER server --ignore-end"));
    let bridge = Bridge::attach(&directory).await;
    let session = bridge.session("2025-06-18").await;
    session.text("children", json!({"count": 3, "how": "setsid"})).await;
    let pids = descendants_of_peers(directory.path());
    assert!(pids.len() >= 5, "{pids:?}");
    let since = Instant::now();
    kill(child.id());
    child.wait().unwrap();
    gone("everything is gone", &pids).await;
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_bridge_ends_with_its_standard_input_and_says_how_it_fares() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let mut child = bridge_process(directory.path(), server(&[]));
    let bridge = Bridge::attach(&directory).await;
    let session = bridge.session("2025-06-18").await;
    let pid: u32 = session.text("pid", json!({})).await.parse().unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "\"ready\"\n");
    assert!(!alive(pid) && !bridge.socket.exists());
}
