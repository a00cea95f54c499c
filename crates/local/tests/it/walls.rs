//! What a server can see and reach, and how much it may use.

use std::time::{Duration, Instant};

use narrows_core::resource::{EnvVar, FileAccess, Limits, StdioServer};
use serde_json::{Value, json};

use crate::harness::{Bridge, alive, call, server, shell, until};

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: value.to_owned() }
}

async fn surroundings(server: StdioServer) -> (Value, String) {
    let bridge = Bridge::start(server).await;
    let session = bridge.session("2025-06-18").await;
    let told = serde_json::from_str(&session.text("surroundings", json!({})).await).unwrap();
    let directory = bridge.directory.path().join("server/work").display().to_string();
    bridge.stop().await;
    (told, directory)
}

#[tokio::test]
async fn a_server_sees_what_is_declared_and_nothing_of_ours() {
    // A descriptor of ours that is not closed on exec, as a careless parent would leave it.
    let leaked =
        rustix::fs::open("/etc/hostname", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    assert!(!rustix::io::fcntl_getfd(&leaked).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    let declared = vec![variable("API_KEY", "secret = 'x'\n"), variable("LANG", "de_DE.UTF-8")];
    let limits = Limits { open_files: Some(64), ..Limits::default() };
    let (told, directory) = surroundings(StdioServer { env: declared, limits, ..server(&[]) }).await;
    assert_eq!(
        told["env"],
        json!([
            ["API_KEY", "secret = 'x'\n"],
            ["HOME", directory],
            ["LANG", "de_DE.UTF-8"],
            ["PATH", "/usr/local/bin:/usr/bin:/bin"],
            ["TMPDIR", format!("{directory}/tmp")],
        ])
    );
    assert_eq!(told["cwd"], directory);
    assert_eq!(told["noNewPrivs"], "1");
    assert_eq!(told["core"], json!(["0", "0"]));
    assert_eq!(told["files"], json!(["64", "64"]));
    assert_eq!(told["fds"], json!([0, 1, 2]));
    assert_eq!(told["arguments"][1], "server");
}

#[tokio::test]
async fn no_shell_reads_the_command() {
    let words = ["$HOME", "; exit 1", "a b", "*", "`id`", "--flag=\"x\""];
    let (told, _) = surroundings(server(&words)).await;
    for (index, word) in words.iter().enumerate() {
        assert_eq!(told["arguments"][index + 2], *word);
    }
}

#[tokio::test]
async fn secrets_are_in_no_argument_and_no_environment_but_the_servers() {
    let declared = vec![variable("API_KEY", "narrows-test-secret-value")];
    let bridge = Bridge::start(StdioServer { env: declared, ..server(&[]) }).await;
    let session = bridge.session("2025-06-18").await;
    let server: u32 = session.text("pid", json!({})).await.parse().unwrap();
    for pid in crate::harness::descendants_of_peers(bridge.directory.path()) {
        let read = |file: &str| {
            String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default())
                .into_owned()
        };
        assert!(!read("cmdline").contains("narrows-test-secret-value"));
        assert_eq!(read("environ").contains("narrows-test-secret-value"), pid == server, "process {pid}");
    }
    assert!(!bridge.log().contains("narrows-test-secret-value"));
    bridge.stop().await;
}

fn landlock() -> u32 {
    narrows_local::capabilities().landlock.unwrap_or(0)
}

#[tokio::test]
async fn files_that_are_not_declared_are_out_of_reach() {
    let files = tempfile::tempdir_in("/var/tmp").unwrap();
    for name in ["read/a", "write/a", "other/a"] {
        let path = files.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "four").unwrap();
    }
    let path = |name: &str| files.path().join(name).display().to_string();
    std::os::unix::fs::symlink(path("other"), path("write/link")).unwrap();
    let peer = std::path::Path::new(crate::harness::PEER).parent().unwrap().display().to_string();
    let access = FileAccess::Only { read: vec![path("read"), peer], write: vec![path("write")] };
    let confined = StdioServer { files: access, ..server(&[]) };
    if landlock() == 0 {
        // Where it can't be enforced, it is refused and not ignored.
        let directory = tempfile::tempdir().unwrap();
        let config = crate::harness::config(directory.path(), confined);
        let refused = narrows_local::bridge::run(config, std::future::pending()).await.unwrap_err();
        assert!(refused.to_string().contains("this kernel has no Landlock"), "{refused}");
        return;
    }
    let bridge = Bridge::start(confined).await;
    let session = bridge.session("2025-06-18").await;
    let work = bridge.directory.path().join("server/work");
    let home = |name: &str| work.join(name).display().to_string();
    for (tool, path, expected) in [
        ("read", path("read/a"), "read 4 bytes"),
        ("write", path("read/a"), "permission denied"),
        ("read", path("write/a"), "read 4 bytes"),
        ("write", path("write/new"), "written"),
        ("read", path("other/a"), "permission denied"),
        ("read", path("write/link/a"), "permission denied"),
        ("write", path("write/link/b"), "permission denied"),
        ("read", path("read/../other/a"), "permission denied"),
        ("write", home("new"), "written"),
        ("write", home("tmp/new"), "written"),
        ("write", home("../stderr.log"), "permission denied"),
        ("read", home("../stderr.log"), "permission denied"),
        ("read", "/etc/shadow".to_owned(), "permission denied"),
        ("write", "/tmp/narrows-test-escape".to_owned(), "permission denied"),
        ("write", "/dev/null".to_owned(), "written"),
        ("read", "/etc/hosts".to_owned(), ""),
    ] {
        let told = session.text(tool, json!({"path": path})).await;
        assert!(
            told == expected || expected.is_empty() && told.starts_with("read "),
            "{tool} {path}: {told}"
        );
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_declared_path_that_is_not_there_is_said() {
    let files = FileAccess::Only { read: vec!["/narrows/no/such/path".to_owned()], write: Vec::new() };
    if landlock() == 0 {
        assert!(narrows_local::capabilities().refusal(&StdioServer { files, ..server(&[]) }).is_some());
        return;
    }
    let bridge = Bridge::start(StdioServer { files, ..server(&[]) }).await;
    let answer = bridge.post(&[], &crate::harness::initialize("2025-06-18")).await;
    assert_eq!(answer.status, 503);
    let reason = answer.json().await["error"]["data"]["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.starts_with("`spec.files` names `/narrows/no/such/path`, which can't be opened"),
        "{reason}"
    );
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_can_not_signal_or_read_processes_outside() {
    let bridge = Bridge::start(server(&[])).await;
    let session = bridge.session("2025-06-18").await;
    let own = std::process::id();
    if landlock() < 6 {
        let log = bridge.log();
        assert!(
            log.contains("the server can signal other processes")
                || log.contains("the server can signal and trace"),
            "{log}"
        );
        bridge.stop().await;
        return;
    }
    let told = session.text("signal", json!({"pid": own})).await;
    assert!(told.contains("Err"), "{told}");
    // The memory, since root may read the environment of any process, Landlock or not.
    let told = session.text("read", json!({"path": format!("/proc/{own}/mem")})).await;
    assert_eq!(told, "permission denied");
    bridge.stop().await;
}

async fn killed(limits: Limits, tool: &str, arguments: Value) -> String {
    let bridge = Bridge::start(StdioServer { limits, ..server(&[]) }).await;
    let session = bridge.session("2025-11-25").await;
    let pid: u32 = session.text("pid", json!({})).await.parse().unwrap();
    let told = session.post(&call(1, tool, arguments)).await.messages().await;
    let reason =
        told.last().unwrap()["error"]["message"].as_str().unwrap_or_else(|| panic!("{told:?}")).to_owned();
    assert!(!alive(pid));
    assert_eq!(session.post(&call(2, "echo", json!({}))).await.status, 404);
    until("it is logged", || std::future::ready(bridge.log().contains(&reason))).await;
    bridge.stop().await;
    reason
}

#[tokio::test]
async fn a_server_over_its_memory_is_killed_and_says_why() {
    let limits = Limits { memory_bytes: Some(64 * 1024 * 1024), ..Limits::default() };
    let reason = killed(limits, "eat", json!({"mib": 200, "ms": 20_000})).await;
    assert!(
        reason.starts_with("the server was killed: it used ")
            && reason.ends_with(" of memory, more than 64Mi"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_server_over_its_number_of_processes_is_killed_and_says_why() {
    let limits = Limits { processes: Some(8), ..Limits::default() };
    let reason = killed(limits, "children", json!({"count": 20, "ms": 20_000})).await;
    assert!(reason.ends_with(" processes and threads, more than 8"), "{reason}");
}

#[tokio::test]
async fn a_server_within_its_bounds_is_left_alone() {
    let limits = Limits {
        memory_bytes: Some(512 * 1024 * 1024),
        processes: Some(16),
        open_files: Some(256),
        cpu_millis: Some(4000),
    };
    let bridge = Bridge::start(StdioServer { limits, ..server(&[]) }).await;
    let session = bridge.session("2025-06-18").await;
    session.text("eat", json!({"mib": 16, "ms": 700})).await;
    session.text("children", json!({"count": 2, "ms": 600})).await;
    assert_eq!(session.text("echo", json!({"text": "well"})).await, "well");
    bridge.stop().await;
}

#[tokio::test]
async fn processor_time_is_held_to_its_bound() {
    let limits = Limits { cpu_millis: Some(100), ..Limits::default() };
    let bridge = Bridge::start(StdioServer { limits, ..server(&[]) }).await;
    let session = bridge.session("2025-06-18").await;
    let pid: u32 = session.text("pid", json!({})).await.parse().unwrap();
    let since = Instant::now();
    session.text("spin", json!({"ms": 2000})).await;
    let took = since.elapsed();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let used = Duration::from_millis(ticks * 10);
    assert!(used < took / 4, "{used:?} of {took:?}");
    // It was stopped, and ends all the same when it is to.
    let since = Instant::now();
    bridge.stop().await;
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn more_open_files_than_the_account_may_have_are_refused() {
    let limits = Limits { open_files: Some(u32::MAX), ..Limits::default() };
    let bridge = Bridge::start(StdioServer { limits, ..shell("true") }).await;
    let answer = bridge.post(&[], &crate::harness::initialize("2025-06-18")).await;
    let reason = answer.json().await["error"]["data"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("`spec.resources.openFiles` is 4294967295, more than the "), "{reason}");
    bridge.stop().await;
}
