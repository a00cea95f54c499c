//! The orchestrator, with bridges in processes of their own.

use std::{path::Path, time::Duration};

use http::{Method, StatusCode};
use narrows_core::{
    ids::ServerId,
    ports::ServerHealth,
    resource::{HttpServer, Server, StdioServer, Transport},
};
use narrows_local::{
    LocalConfig, LocalServers, ServerStatus,
    bridge::{Caps, Timing},
    orchestrator::LocalError,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    client::send,
    harness::{PEER, alive, descendants_of_peers, initialize, server, until},
};

fn local(directory: &Path) -> LocalServers {
    LocalServers::new(LocalConfig {
        executable: PEER.into(),
        run_dir: directory.join("run"),
        servers_dir: directory.join("servers"),
        path: "/usr/bin:/bin".to_owned(),
        lang: None,
        timing: Timing {
            backoff: Duration::from_millis(100),
            close: Duration::from_millis(300),
            ..Timing::default()
        },
        caps: Caps::default(),
    })
    .unwrap()
}

fn named(id: &str, stdio: StdioServer) -> Server {
    Server {
        id: id.parse().unwrap(),
        labels: Default::default(),
        transport: Transport::Stdio(stdio),
        replicas: 1,
    }
}

fn id(text: &str) -> ServerId {
    text.parse().unwrap()
}

async fn ready(local: &LocalServers, server: &str) {
    until("the server is ready", || {
        std::future::ready(local.status(&id(server)) == Some(ServerStatus::Ready))
    })
    .await;
}

async fn open(local: &LocalServers, server: &str) -> (StatusCode, Value) {
    let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let answer =
        send(&local.socket(&id(server)), Method::POST, &headers, &initialize("2025-06-18").to_string()).await;
    (answer.status, answer.json().await)
}

/// The process of the server that a session was opened with: it says so itself.
fn pid(answer: &(StatusCode, Value)) -> u32 {
    answer.1["result"]["serverInfo"]["version"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_wanted_runs_and_what_is_not_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let (a, b) = (named("dev/a", server(&[])), named("dev/b", server(&[])));
    let remote = Server {
        transport: Transport::Http(HttpServer { url: "https://mcp.example/".to_owned() }),
        ..named("dev/remote", server(&[]))
    };
    local.apply(&[a.clone(), b.clone(), remote]);
    assert_eq!(local.status(&id("dev/a")), Some(ServerStatus::Starting));
    assert!(local.unavailable(&id("dev/a")).is_some());
    assert_eq!(local.status(&id("dev/remote")), None);
    assert_eq!(local.unavailable(&id("dev/remote")), None);
    local.settled(Duration::from_secs(20)).await;
    for name in ["dev/a", "dev/b"] {
        ready(&local, name).await;
        assert_eq!(local.unavailable(&id(name)), None);
    }
    let first = open(&local, "dev/a").await;
    assert_eq!(first.0, 200);
    // The same again changes nothing; another definition replaces, a missing one ends.
    local.apply(&[a.clone(), b]);
    assert!(alive(pid(&first)));
    let changed = named("dev/a", server(&["--changed"]));
    local.apply(std::slice::from_ref(&changed));
    until("the old process is gone", || std::future::ready(!alive(pid(&first)))).await;
    ready(&local, "dev/a").await;
    assert_eq!(local.status(&id("dev/b")), None);
    until("its socket is gone", || std::future::ready(!local.socket(&id("dev/b")).exists())).await;
    let second = open(&local, "dev/a").await;
    assert_ne!(pid(&first), pid(&second));
    // Gone and back at once: the new bridge waits for the end of the old one.
    local.apply(&[]);
    local.apply(&[changed]);
    ready(&local, "dev/a").await;
    let third = open(&local, "dev/a").await;
    assert!(third.0 == 200 && !alive(pid(&second)));
    let pids = descendants_of_peers(directory.path());
    assert!(!pids.is_empty());
    local.shutdown().await;
    assert!(pids.iter().all(|pid| !alive(*pid)) && !alive(pid(&third)));
    assert!(!local.socket(&id("dev/a")).exists());
}

#[tokio::test]
async fn a_bridge_that_dies_is_started_again_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    local.apply(&[named("dev/a", server(&["--ignore-end"]))]);
    ready(&local, "dev/a").await;
    let opened = open(&local, "dev/a").await;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid(&opened))).unwrap();
    let parent = |stat: &str| {
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
    };
    let supervisor = parent(&stat);
    let bridge = parent(&std::fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap());
    kill_process(Pid::from_raw(i32::try_from(bridge).unwrap()).unwrap(), Signal::KILL).unwrap();
    until("it is noticed", || std::future::ready(local.status(&id("dev/a")) != Some(ServerStatus::Ready)))
        .await;
    until("server and supervisor are gone", || {
        std::future::ready(!alive(pid(&opened)) && !alive(supervisor))
    })
    .await;
    ready(&local, "dev/a").await;
    assert_eq!(open(&local, "dev/a").await.0, 200);
    local.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_told_to_whoever_asks() {
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let missing = StdioServer { command: vec!["narrows-no-such-command".to_owned()], ..server(&[]) };
    local.apply(&[named("dev/missing", missing), named("dev/dies", server(&["--exit-at-once"]))]);
    until("the missing command is noticed before anyone asks", || {
        let failed = matches!(local.status(&id("dev/missing")),
            Some(ServerStatus::Failed { reason, .. }) if reason.starts_with("command `narrows-no-such-command` was not found"));
        std::future::ready(failed)
    })
    .await;
    ready(&local, "dev/dies").await;
    let (status, body) = open(&local, "dev/dies").await;
    assert_eq!(status, 503, "{body}");
    until("its end is told", || {
        let reason = local.unavailable(&id("dev/dies"));
        std::future::ready(reason.as_deref() == Some("the server's process ended (exit code 3)"))
    })
    .await;
    // The wait ends: whether it works again, only an attempt can tell.
    until("the wait is over", || std::future::ready(local.unavailable(&id("dev/dies")).is_none())).await;
    let log = std::fs::read_to_string(local.logs(&id("dev/dies"))).unwrap();
    assert!(log.contains("peer started") && log.contains("exit code 3"), "{log}");
    local.shutdown().await;
}

#[tokio::test]
async fn directories_are_ours_alone_and_sockets_fit() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    local.apply(&[named("dev/a", server(&[]))]);
    ready(&local, "dev/a").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in ["run", "servers", "servers/dev/a"] {
        assert_eq!(mode(&directory.path().join(path)), 0o700, "{path}");
    }
    assert_eq!(mode(&local.socket(&id("dev/a"))), 0o600);
    assert_eq!(mode(&local.logs(&id("dev/a"))), 0o600);
    local.shutdown().await;
    let long = directory.path().join("x".repeat(100));
    let config = LocalConfig {
        executable: PEER.into(),
        run_dir: long.clone(),
        servers_dir: directory.path().join("servers"),
        path: String::new(),
        lang: None,
        timing: Timing::default(),
        caps: Caps::default(),
    };
    assert!(matches!(LocalServers::new(config), Err(LocalError::PathTooLong { path }) if path == long));
}
