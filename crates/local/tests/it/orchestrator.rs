//! The orchestrator, with bridges in processes of their own.

use std::{path::Path, time::Duration};

use http::{Method, StatusCode};
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, Instance, InstanceId, Version},
    resource::{StdioServer, Transport},
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
            drain: Duration::from_millis(500),
            ..Timing::default()
        },
        caps: Caps::default(),
    })
    .unwrap()
}

fn id(text: &str) -> ServerId {
    text.parse().unwrap()
}

/// An instance of a server that is run so.
fn instance(id: &str, stdio: &StdioServer) -> InstanceId {
    let transport = Transport::Stdio(stdio.clone());
    let version = Version { server: id.parse().unwrap(), transport, revision: 1 };
    let local = match (Instance { version: version.into(), turn: 0 }).endpoint() {
        Endpoint::Local(instance) => Some(instance),
        Endpoint::Remote(_) => None,
    };
    local.expect("it runs here")
}

/// The same, started.
fn start(local: &LocalServers, id: &str, stdio: &StdioServer) -> InstanceId {
    let instance = instance(id, stdio);
    local.start(&instance, stdio, 1);
    instance
}

async fn ready(local: &LocalServers, instance: &InstanceId) {
    until("the server is ready", || std::future::ready(local.status(instance) == Some(ServerStatus::Ready)))
        .await;
}

async fn open(local: &LocalServers, instance: &InstanceId) -> (StatusCode, Value) {
    let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let answer =
        send(&local.socket(instance), Method::POST, &headers, &initialize("2025-06-18").to_string()).await;
    (answer.status, answer.json().await)
}

/// The process of the server that a session was opened with: it says so itself.
fn pid(answer: &(StatusCode, Value)) -> u32 {
    answer.1["result"]["serverInfo"]["version"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_was_started_runs_until_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let (old, new) = (server(&[]), server(&["--changed"]));
    let (a, b) = (start(&local, "dev/a", &old), start(&local, "dev/b", &old));
    assert_eq!(local.status(&a), Some(ServerStatus::Starting));
    assert!(local.unavailable(&a).is_some());
    for started in [&a, &b] {
        local.started(started).await.unwrap();
        assert_eq!(local.unavailable(started), None);
    }
    let first = open(&local, &a).await;
    assert_eq!(first.0, 200);
    // Started again, it is the same; another version runs beside it.
    start(&local, "dev/a", &old);
    assert!(alive(pid(&first)));
    let changed = start(&local, "dev/a", &new);
    assert_ne!(a, changed);
    ready(&local, &changed).await;
    let second = open(&local, &changed).await;
    assert!(second.0 == 200 && alive(pid(&first)));
    local.stop(&a);
    until("the old process is gone", || std::future::ready(!alive(pid(&first)))).await;
    assert_eq!(local.status(&a), None);
    assert!(local.started(&a).await.is_err());
    until("its socket is gone", || std::future::ready(!local.socket(&a).exists())).await;
    assert!(alive(pid(&second)));
    // Stopped and back at once: the new bridge waits for the end of the old one.
    local.stop(&changed);
    start(&local, "dev/a", &new);
    ready(&local, &changed).await;
    let third = open(&local, &changed).await;
    assert!(third.0 == 200 && !alive(pid(&second)));
    let pids = descendants_of_peers(directory.path());
    assert!(!pids.is_empty());
    local.shutdown().await;
    assert!(pids.iter().all(|pid| !alive(*pid)) && !alive(pid(&third)));
    assert!(!local.socket(&changed).exists() && !local.socket(&b).exists());
}

#[tokio::test]
async fn sessions_are_spread_over_as_many_processes_as_there_are_to_be() {
    use narrows_core::resource::Sessions;
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let shared = StdioServer { sessions: Sessions::Shared, ..server(&[]) };
    let a = start(&local, "dev/a", &shared);
    ready(&local, &a).await;
    let process = async || pid(&open(&local, &a).await);
    let first = process().await;
    assert_eq!(process().await, first);
    local.resize(&a, 3);
    let mut pids = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        pids.insert(process().await);
        if pids.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pids.len(), 3);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..30 {
        *counts.entry(process().await).or_insert(0) += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|count| *count >= 5), "{counts:?}");
    local.resize(&a, 1);
    until("only the first is left", || {
        let left: Vec<u32> = pids.iter().copied().filter(|pid| alive(*pid)).collect();
        std::future::ready(left == [first])
    })
    .await;
    assert_eq!(process().await, first);
    local.shutdown().await;
}

#[tokio::test]
async fn a_bridge_that_dies_is_started_again_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let a = start(&local, "dev/a", &server(&["--ignore-end"]));
    ready(&local, &a).await;
    let opened = open(&local, &a).await;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid(&opened))).unwrap();
    let parent = |stat: &str| {
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
    };
    let supervisor = parent(&stat);
    let bridge = parent(&std::fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap());
    kill_process(Pid::from_raw(i32::try_from(bridge).unwrap()).unwrap(), Signal::KILL).unwrap();
    until("it is noticed", || std::future::ready(local.status(&a) != Some(ServerStatus::Ready))).await;
    until("server and supervisor are gone", || {
        std::future::ready(!alive(pid(&opened)) && !alive(supervisor))
    })
    .await;
    ready(&local, &a).await;
    assert_eq!(open(&local, &a).await.0, 200);
    local.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_told_to_whoever_asks() {
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let missing = StdioServer { command: vec!["narrows-no-such-command".to_owned()], ..server(&[]) };
    let (missing, dies) =
        (start(&local, "dev/missing", &missing), start(&local, "dev/dies", &server(&["--exit-at-once"])));
    until("the missing command is noticed before anyone asks", || {
        let failed = matches!(local.status(&missing),
            Some(ServerStatus::Failed { reason, .. }) if reason.starts_with("command `narrows-no-such-command` was not found"));
        std::future::ready(failed)
    })
    .await;
    ready(&local, &dies).await;
    let (status, body) = open(&local, &dies).await;
    assert_eq!(status, 503, "{body}");
    until("its end is told", || {
        let reason = local.unavailable(&dies);
        std::future::ready(reason.as_deref() == Some("the server's process ended (exit code 3)"))
    })
    .await;
    // The wait ends: whether it works again, only an attempt can tell.
    until("the wait is over", || std::future::ready(local.unavailable(&dies).is_none())).await;
    let log = std::fs::read_to_string(local.logs(&id("dev/dies"))).unwrap();
    assert!(log.contains("peer started") && log.contains("exit code 3"), "{log}");
    local.shutdown().await;
}

#[tokio::test]
async fn directories_are_ours_alone_and_sockets_fit() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let local = local(directory.path());
    let a = start(&local, "dev/a", &server(&[]));
    ready(&local, &a).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in ["run", "servers", "servers/dev/a"] {
        assert_eq!(mode(&directory.path().join(path)), 0o700, "{path}");
    }
    assert_eq!(mode(&local.socket(&a)), 0o600);
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
