//! The life of `up`: changes of its files, restarts, ends.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    remote::Remote,
    running::{Place, Up, eventually, handed, resources},
};

const ALICE: &str = "alice@example.com";

fn published(place: &Place) -> usize {
    let ended = place.run(&["audit", "search", "--kind", "snapshot.published", "--output", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str::<Vec<serde_json::Value>>(&ended.stdout).unwrap().len()
}

fn assert_verifies(place: &Place) {
    let ended = place.run(&["audit", "verify"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_changed_file_is_in_force_within_a_second() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "clock")]));
    let up = Up::start(&place, &["-f", "r.yaml"]);
    let token = place.token(ALICE);
    let write = || up.call("dev/demo", &token, "write_file", r#"{"path":"a","text":"b"}"#).status;
    assert_eq!(up.call("dev/demo", &token, "clock", "{}").status, 200, "{}", up.said());
    assert_eq!(write(), 403);

    let grown = resources(&place, &[(ALICE, "clock, write_file")]);
    place.write("r.yaml", &grown);
    let begin = Instant::now();
    eventually(|| (write() == 200).then_some(())).expect("the grant came into force");
    assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());

    // As editors do: another file takes the place of the first.
    place.write("next", &resources(&place, &[(ALICE, "clock")]));
    std::fs::rename(place.path("next"), place.path("r.yaml")).unwrap();
    let begin = Instant::now();
    eventually(|| (write() == 403).then_some(())).expect("the grant was taken back");
    assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());
    up.stop();
    assert_eq!(published(&place), 3);
    assert_verifies(&place);
}

#[test]
fn a_bad_edit_is_refused_whole() {
    let place = Place::new();
    let good = resources(&place, &[(ALICE, "clock")]);
    place.write("r.yaml", &good);
    let mut up = Up::start(&place, &["-f", "r.yaml"]);
    let token = place.token(ALICE);
    assert_eq!(up.call("dev/demo", &token, "clock", "{}").status, 200);

    // The first half takes the grant away; the second is wrong, twice.
    let bad = resources(&place, &[])
        + "---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: { name: b, nmae: c }\n\
           spec: { role: role-0, subjects: [{ user: x }] }\n\
           ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: { name: c }\n\
           spec: { role: nobody, subjects: [{ user: x }] }\n";
    place.write("r.yaml", &bad);
    up.wait_for("the files are refused; the last good state stays in force problems=2");
    assert_eq!(up.call("dev/demo", &token, "clock", "{}").status, 200);
    assert_eq!(up.admin("/readyz").status, 200);

    place.write("r.yaml", &resources(&place, &[]));
    eventually(|| (up.call("dev/demo", &token, "clock", "{}").status == 404).then_some(()))
        .expect("the mended file came into force");
    place.write("r.yaml", "# nothing\n");
    up.wait_for("nothing is configured any more: every request is denied");
    let said = up.stop();
    assert!(said.contains("nmae") && said.contains("nobody"), "both problems are named:\n{said}");
}

#[test]
fn a_restart_is_no_change() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "clock")]));
    Up::start(&place, &["-f", "r.yaml"]).stop();
    let said = Up::start(&place, &["-f", "r.yaml"]).stop();
    assert!(said.contains("in force revision=\"1-"), "{said}");
    // Without files, what was published last goes on.
    let up = Up::start(&place, &[]);
    let token = place.token(ALICE);
    eventually(|| (up.call("dev/demo", &token, "clock", "{}").status == 200).then_some(()))
        .expect("the last state is in force");
    up.stop();
    assert_eq!(published(&place), 1);
    assert_verifies(&place);
}

#[test]
fn with_nothing_configured_everything_is_denied() {
    let place = Place::new();
    let up = Up::start(&place, &[]);
    let token = place.token(ALICE);
    let answer = up.call("dev/demo", &token, "clock", "{}");
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(up.call("dev/demo", "not.a.token", "clock", "{}").status, 401);
    assert_eq!((up.admin("/healthz").status, up.admin("/readyz").status), (200, 200));
    assert!(up.admin("/metrics").body.contains("# EOF"));
    let said = place.tidy(&up.stop());
    insta::assert_snapshot!("with_nothing_configured", said);
}

#[test]
fn a_socket_that_is_handed_over_outlives_the_process() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "clock")]));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let up = Up::start_on(&place, &socket, &["-f", "r.yaml"]);
    assert_eq!(up.agents, address);
    let token = place.token(ALICE);
    assert_eq!(up.call("dev/demo", &token, "clock", "{}").status, 200, "{}", up.said());
    up.stop();
    // Nobody accepts now, and nobody is refused: it waits for the next process.
    let waiting = TcpStream::connect(address).unwrap();
    let up = Up::start_on(&place, &socket, &["-f", "r.yaml"]);
    waiting.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("GET /mcp/dev/demo HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    (&waiting).write_all(request.as_bytes()).unwrap();
    (&waiting).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    up.stop();
}

#[test]
fn only_a_listening_socket_is_taken() {
    let place = Place::new();
    let check = |mut command: std::process::Command, expected: &str| {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{expected}: {said}");
        assert!(said.contains(expected), "{said}");
    };
    let up = |socket: std::os::fd::OwnedFd| handed(&place, socket, &["up", "--admin-listen=127.0.0.1:0"]);
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let held = listener();
    check(up(std::fs::File::open("/dev/null").unwrap().into()), "is not a socket");
    check(up(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into()), "can't be used");
    check(up(TcpStream::connect(held.local_addr().unwrap()).unwrap().into()), "it does not listen");
    check(up(TcpListener::bind("0.0.0.0:0").unwrap().into()), "reaches beyond this machine without TLS");
    let mut two = up(listener().into());
    two.env("FDS", "2");
    check(two, "2 sockets were handed over");
    let mut none = up(listener().into());
    none.env("FDS", "x");
    check(none, "`LISTEN_FDS=x` is not a number of sockets");
    check(
        handed(&place, listener(), &["up", "--listen=127.0.0.1:1", "--admin-listen=127.0.0.1:0"]),
        "is not the socket that was handed over",
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::new();
    // A server that takes a call and never answers.
    let silent = Remote::start();
    let url = silent.url.clone();
    place.write(
        "r.yaml",
        &(resources(&place, &[(ALICE, "\"*\"")])
            + &format!(
                "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\n\
                 metadata: {{ namespace: dev, name: silent }}\nspec: {{ transport: http, url: {url:?} }}\n"
            )),
    );
    let mut up = Up::start(&place, &["-f", "r.yaml", "--allow-upstream", "127.0.0.1/32"]);
    let token = place.token(ALICE);
    let mut waiting = up.begin_call("dev/silent", &token, "wait", "{}");
    let _call = silent.call();
    let begin = Instant::now();
    up.signal(Signal::INT);
    let refused = || TcpStream::connect(up.agents).is_err().then_some(());
    eventually(refused).expect("no more connections are accepted");
    up.signal(Signal::INT);
    let (status, said) = up.ended();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    let mut answer = Vec::new();
    // Cut off, whether with a reset or in order.
    let _ = waiting.read_to_end(&mut answer);
    assert_eq!(answer, b"", "there is no answer");

    // The next one closes what was on its way, if this one could not, and the log is whole.
    Up::start(&place, &["-f", "r.yaml", "--allow-upstream", "127.0.0.1/32"]).stop();
    let search =
        ["audit", "search", "--server", "dev/silent", "--kind", "request.completed", "--output", "json"];
    let completed: Vec<serde_json::Value> = serde_json::from_str(&place.run(&search).stdout).unwrap();
    let status: Vec<_> = completed.iter().map(|found| &found["record"]["outcome"]["status"]).collect();
    assert!(status == ["unknown"] || status == ["cancelled"], "{status:?}");
    assert_verifies(&place);
}

#[test]
fn a_killed_process_leaves_a_log_that_verifies() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "append_file")]));
    let mut up = Up::start(&place, &["-f", "r.yaml"]);
    let token = place.token(ALICE);
    for number in 0..20 {
        let answer =
            up.call("dev/demo", &token, "append_file", &format!(r#"{{"path":"a","text":"{number},"}}"#));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    up.signal(Signal::KILL);
    up.ended();
    Up::start(&place, &["-f", "r.yaml"]).stop();
    assert_verifies(&place);
    let ended = place.run(&[
        "audit",
        "search",
        "--kind",
        "request.admitted",
        "--tool",
        "append_file",
        "--output",
        "json",
    ]);
    let admitted: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
    let executed = std::fs::read_to_string(place.path("scratch/a")).unwrap().matches(',').count();
    assert_eq!((executed, admitted.len()), (20, 20), "what ran is what was recorded");
}
