//! Processes that can't be started, or end when nobody asked them to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    client::send,
    harness::{Bridge, PEER, alive, call, initialize, server, until},
};

/// Opens a session that can't be had; status, seconds of `Retry-After`, and what is said.
async fn refused(bridge: &Bridge) -> (u16, u64, String) {
    let answer = bridge.post(&[], &initialize("2025-06-18")).await;
    let (status, retry) = (answer.status.as_u16(), answer.header("retry-after").parse().unwrap_or(0));
    let body = answer.json().await;
    assert_eq!(body["id"], "init");
    assert_eq!(body["error"]["code"], -31001);
    let reason = body["error"]["data"]["reason"].as_str().or(body["error"]["message"].as_str());
    (status, retry, reason.unwrap().to_owned())
}

#[tokio::test]
async fn a_command_that_can_not_be_run_is_named_with_a_hint() {
    let files = tempfile::tempdir().unwrap();
    let script = files.path().join("no-shebang");
    std::fs::write(&script, "echo hello\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let interpreter = files.path().join("no-interpreter");
    std::fs::write(&interpreter, "#!/nowhere/sh\n").unwrap();
    std::fs::set_permissions(&interpreter, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (command, expected) in [
        ("narrows-no-such-command", "command `narrows-no-such-command` was not found\nhint: install it"),
        ("/etc/passwd", "command `/etc/passwd` may not be run: permission denied\nhint: is it a file"),
        ("bin/server", "command `bin/server` is a relative path\nhint: write an absolute path"),
        (
            script.to_str().unwrap(),
            "is neither a program nor a script that begins with `#!`\nhint: name the interpreter",
        ),
        (interpreter.to_str().unwrap(), "can't be run: No such file or directory"),
    ] {
        let bridge = Bridge::start(narrows_core::resource::StdioServer {
            command: vec![command.to_owned(), "argument".to_owned()],
            ..server(&[])
        })
        .await;
        let (status, retry, reason) = refused(&bridge).await;
        assert_eq!((status, retry), (503, 1), "{command}");
        assert!(reason.contains(expected), "{command}: {reason}");
        bridge.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_told_and_tried_again_later_and_later() {
    let bridge = Bridge::start(server(&["--exit-at-once"])).await;
    let (status, _, reason) = refused(&bridge).await;
    assert_eq!((status, reason.as_str()), (503, "the server's process ended (exit code 3)"));
    // Within the wait, nothing is started.
    let started = || bridge.log().matches("peer started").count();
    until("its end is in the log", || std::future::ready(bridge.log().contains("exit code 3"))).await;
    assert_eq!(started(), 1);
    let mut waits = Vec::new();
    for attempt in 2..=4 {
        let since = Instant::now();
        until("it is tried again", async || {
            refused(&bridge).await;
            started() == attempt
        })
        .await;
        waits.push(since.elapsed());
    }
    assert!(waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
    assert!(waits[2] > Duration::from_millis(600), "{waits:?}");
    bridge.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_takes_its_session_with_it_and_no_other() {
    let bridge = Bridge::start(server(&[])).await;
    let other = bridge.session("2025-11-25").await;
    for (tool, arguments, reason) in [
        ("exit", json!({"code": 3}), "the server's process ended (exit code 3)"),
        ("exit", json!({"code": 0}), "the server's process ended (exit code 0)"),
        ("abort", json!({}), "the server's process ended (aborted)"),
    ] {
        let session = bridge.session("2025-11-25").await;
        // One call streams already when it happens, one has not been answered at all.
        let mut streaming = session.post(&call(1, "never", json!({}))).await;
        assert_eq!(streaming.event().await.unwrap().data, "");
        let answer = session.post(&call(2, tool, arguments)).await;
        assert_eq!(answer.status, if answer.is_stream() { 200 } else { 503 });
        let told = answer.messages().await;
        assert_eq!(told.last().unwrap()["error"], json!({"code": -31001, "message": reason}));
        assert_eq!(told.last().unwrap()["id"], 2);
        let told = streaming.messages().await;
        assert_eq!(told.last().unwrap()["error"]["message"], reason);
        assert_eq!(session.post(&call(3, "echo", json!({}))).await.status, 404);
        let logged = format!("bridge: {reason}");
        until("it is logged", || std::future::ready(bridge.log().contains(&logged))).await;
    }
    assert_eq!(other.text("echo", json!({"text": "unharmed"})).await, "unharmed");
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_closes_its_output_is_ended() {
    let bridge = Bridge::start(narrows_core::resource::StdioServer {
        command: ["/bin/sh", "-c", "exec >&-; sleep 600"].map(str::to_owned).to_vec(),
        ..server(&[])
    })
    .await;
    let (status, _, reason) = refused(&bridge).await;
    assert_eq!((status, reason.as_str()), (503, "the server closed its output"));
    bridge.stop().await;
}

#[tokio::test]
async fn processes_are_bounded_in_number() {
    let bridge = Bridge::start_with(server(&[]), |config| config.caps.processes = 2).await;
    let first = bridge.session("2025-06-18").await;
    let _second = bridge.session("2025-06-18").await;
    let answer = bridge.post(&[], &initialize("2025-06-18")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json().await["error"]["code"], -31002);
    assert_eq!(first.request(http::Method::DELETE, &[]).await.status, 204);
    until("there is room again", async || bridge.post(&[], &initialize("2025-06-18")).await.status == 200)
        .await;
    bridge.stop().await;
}

/// One principal has a share, and its own unused sessions make way for its new ones; who has none left waits. Others have
/// room meanwhile.
#[tokio::test]
async fn one_principals_sessions_leave_room_for_others() {
    use narrows_core::resource::Sessions as Sharing;
    for sharing in [Sharing::Isolated, Sharing::Shared] {
        let spec = narrows_core::resource::StdioServer { sessions: sharing, ..server(&[]) };
        let bridge =
            Bridge::start_with(spec, |config| (config.caps.processes, config.caps.sessions) = (8, 8)).await;
        let open = async |principal: &'static str| {
            let answer = bridge.post(&[("narrows-principal", principal)], &initialize("2025-06-18")).await;
            (answer.status.as_u16(), answer.header("mcp-session-id").to_owned())
        };
        let ping = async |id: &str| {
            let headers = [("mcp-session-id", id), ("narrows-principal", "bob")];
            bridge.post(&headers, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await.status.as_u16()
        };
        let mut bobs = Vec::new();
        for _ in 0..6 {
            let (status, id) = open("bob").await;
            assert_eq!(status, 200, "{sharing:?}");
            bobs.push(id);
        }
        // The last two are there: a quarter of eight.
        let mut statuses = Vec::new();
        for id in &bobs {
            statuses.push(ping(id).await);
        }
        assert_eq!(statuses, [404, 404, 404, 404, 200, 200], "{sharing:?}");
        // Both in use.
        let mut listening = Vec::new();
        for id in &bobs[4..] {
            let headers = [
                ("mcp-session-id", id.as_str()),
                ("narrows-principal", "bob"),
                ("accept", "text/event-stream"),
            ];
            listening.push(send(&bridge.socket, http::Method::GET, &headers, "").await);
        }
        assert!(listening.iter().all(|answer| answer.status == 200), "{sharing:?}");
        assert_eq!(open("bob").await.0, 503, "{sharing:?}");
        for other in ["alice", "carol"] {
            assert_eq!(open(other).await.0, 200, "{sharing:?}: {other}");
        }
        drop(listening);
        bridge.stop().await;
    }
}

#[tokio::test]
async fn requests_in_flight_are_bounded_in_number() {
    let bridge = Bridge::start_with(server(&[]), |config| config.caps.in_flight = 3).await;
    let session = bridge.session("2025-11-25").await;
    let mut waiting = Vec::new();
    for id in 0..3 {
        waiting.push(session.post(&call(id, "never", json!({}))).await);
    }
    let answer = session.post(&call(4, "echo", json!({}))).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json().await["error"]["code"], -31002);
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_read_costs_its_own_clients_only() {
    let command = vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        // Answers `initialize` and reads no more.
        format!("head -n 1 | \"{PEER}\" server; sleep 600"),
    ];
    let deaf = narrows_core::resource::StdioServer { command, ..server(&[]) };
    let bridge = Bridge::start_with(deaf, |config| config.caps.queue = 4).await;
    let session = bridge.session("2025-06-18").await;
    let large = json!({"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "x".repeat(100_000)}});
    let mut statuses: Vec<u16> = Vec::new();
    for _ in 0..12 {
        statuses.push(session.post(&large).await.status.as_u16());
    }
    assert_eq!((statuses[0], statuses[11]), (202, 503), "{statuses:?}");
    let again = bridge.session("2025-06-18").await;
    assert_eq!(again.post(&large).await.status, 202);
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_session_opens_leaves_no_process() {
    let bridge = Bridge::start(server(&["--silent"])).await;
    let opening = initialize("2025-06-18");
    let opening = bridge.post(&[], &opening);
    let waited = tokio::time::timeout(Duration::from_millis(500), opening).await;
    assert!(waited.is_err(), "a silent server answered");
    until("it is ended", || {
        let left = crate::harness::descendants_of_peers(bridge.directory.path());
        std::future::ready(left.into_iter().all(|pid| !alive(pid)))
    })
    .await;
    bridge.stop().await;
}

#[tokio::test]
async fn what_is_written_to_standard_error_is_in_the_log_with_its_time() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    session.text("stderr", json!({"text": "hello\u{1b}[2J log"})).await;
    until("it is logged", || std::future::ready(bridge.log().contains("hello\\u{1b}[2J log"))).await;
    let log = bridge.log();
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && rest.starts_with('['), "{line}");
    }
    let walls = log.lines().find(|line| line.contains("bridge: started: ")).unwrap();
    assert!(walls.contains("no new privileges"), "{walls}");
    let pid: Value = session.text("pid", json!({})).await.parse().unwrap();
    assert!(pid.is_number());
    bridge.stop().await;
}
