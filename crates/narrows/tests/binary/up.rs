//! The life of `up`: changes of its files, restarts, ends.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::running::{Place, Up, eventually, resources};

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
fn a_second_signal_ends_at_once() {
    let place = Place::new();
    // A server that takes a request and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let holder = std::thread::spawn(move || {
        let (mut stream, _) = silent.accept().unwrap();
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).unwrap();
        (stream, read)
    });
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
    let (_stream, read) = holder.join().unwrap();
    assert!(read > 0);
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
