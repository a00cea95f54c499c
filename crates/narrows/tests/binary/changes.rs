//! Changes of resources by command: the words, what is in force when, and what is left of a change that was cut short.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::running::{Place, Up, eventually, resources};

const ALICE: &str = "alice@example.com";

/// A role and its binding, apart from the files that `up` follows.
fn grant(server: &str, tools: &str) -> String {
    format!(
        "apiVersion: narrows.dev/v1alpha1\nkind: McpRole\nmetadata: {{ name: extra, labels: {{ team: ops }} }}\n\
         spec: {{ rules: [{{ effect: allow, namespaces: [dev], servers: [{server}], tools: [{tools}] }}] }}\n\
         ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: {{ name: extra }}\n\
         spec: {{ role: extra, subjects: [{{ user: \"{ALICE}\" }}] }}\n"
    )
}

fn done(place: &Place, arguments: &[&str]) -> String {
    let ended = place.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// What is in force, as one document for each resource.
fn in_force(place: &Place) -> Vec<Value> {
    let found: Value = serde_json::from_str(&done(place, &["get", "--output", "json"])).unwrap();
    found["items"].as_array().unwrap().iter().map(|item| item["manifest"].clone()).collect()
}

/// What should be in force by the record alone: each applied change, one after the other, from what it was before.
fn by_the_record(place: &Place) -> Vec<Value> {
    let copy = place.path("record");
    let _ = std::fs::remove_dir_all(&copy);
    done(place, &["audit", "export", "record"]);
    let text = std::fs::read_to_string(copy.join("local/records.jsonl")).unwrap();
    let mut intents: BTreeMap<u64, Value> = BTreeMap::new();
    let mut state: BTreeMap<(String, String), Value> = BTreeMap::new();
    for (index, line) in (0..).zip(text.lines()) {
        let record: Value = serde_json::from_str(line).unwrap();
        match record["kind"].as_str().unwrap() {
            "change.applied" => {
                let intent = intents.remove(&record["intent"].as_u64().unwrap()).expect("closed once");
                let key = (intent["object"]["kind"].to_string(), intent["object"].to_string());
                let before = state.remove(&key).unwrap_or(Value::Null);
                assert_eq!(before, *intent.get("before").unwrap_or(&Value::Null), "it began from what was");
                if let Some(after) = intent.get("after") {
                    state.insert(key, after.clone());
                }
            }
            "change.aborted" => {
                intents.remove(&record["intent"].as_u64().unwrap()).expect("closed once");
            }
            "server.state_changed" => {}
            kind if kind.starts_with("server.") || kind.ends_with(".changed") => {
                intents.insert(index, record);
            }
            _ => {}
        }
    }
    assert!(intents.is_empty(), "left open: {intents:?}");
    state.into_values().collect()
}

fn sorted(mut resources: Vec<Value>) -> Vec<Value> {
    resources.sort_by_key(ToString::to_string);
    resources
}

#[test]
fn the_words_of_changes() {
    let place = Place::new();
    place.write(
        "r.yaml",
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\nspec: {}\n---\n\
         apiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: { namespace: dev, name: far }\n\
         spec: { transport: http, url: \"https://mcp.example.com/mcp\" }\n",
    );
    place.write("grant.yaml", &grant("far", "clock"));
    place.write("more.yaml", &grant("far", "clock, todo_list"));
    place.write("nothing.yaml", "# nothing\n");
    place.write("bad.yaml", &grant("far", "clock").replace("role: extra", "role: extr"));
    place.write(
        "dev.yaml",
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\n\
         spec: { environment: prod }\n",
    );
    Up::start(&place, &["-f", "r.yaml"]).stop();
    let commands: &[&[&str]] = &[
        &["get"],
        &["get", "servers", "--output", "yaml"],
        &["get", "roles"],
        &["get", "role", "extra"],
        &["get", "thing"],
        &["diff", "-f", "grant.yaml"],
        &["apply", "-f", "grant.yaml", "--dry-run"],
        &["apply", "-f", "grant.yaml", "--reason", "alice needs the time"],
        &["apply", "-f", "grant.yaml"],
        &["apply", "-f", "more.yaml", "--base", "1"],
        &["apply", "-f", "more.yaml", "--base", "2", "--output", "json"],
        &["apply", "-f", "nothing.yaml"],
        &["apply", "-f", "missing.yaml"],
        &["apply", "-f", "bad.yaml"],
        &["apply", "-f", "dev.yaml"],
        &["apply", "-f", "dev.yaml", "--take-over"],
        &["get", "namespace", "dev", "--output", "json"],
        &["delete", "role", "extra"],
        &["delete", "role"],
        &["delete", "role", "nobody"],
        &["delete", "server", "far"],
        &["delete", "-f", "grant.yaml", "--dry-run"],
        &["delete", "-f", "grant.yaml"],
        &["revisions", "list"],
        &["revisions", "list", "-n", "2", "--before", "3"],
        &["revisions", "list", "-n", "0"],
        &["revisions", "diff", "2", "3"],
        &["revisions", "diff", "4", "4"],
        &["revisions", "diff", "9"],
        &["revisions", "restore", "2", "role", "extra", "--dry-run"],
        &["revisions", "restore", "2", "role", "nobody"],
        &["revisions", "restore", "3", "--reason", "back"],
        &["get", "--at", "2"],
        &["get", "--at", "2-0123456789abcdef"],
        &["get", "--at", "2-x"],
        &["get"],
        &["audit", "search", "--kind", "server.deployed"],
    ];
    let said: Vec<String> = commands.iter().map(|arguments| place.transcript(arguments)).collect();
    insta::assert_snapshot!("the_words_of_changes", said.join("\n\n"));
    assert_eq!(sorted(in_force(&place)), sorted(by_the_record(&place)));
    done(&place, &["audit", "verify"]);
}

#[test]
fn a_change_is_in_force_while_up_runs() {
    let place = Place::new();
    let followed = resources(&place, &[(ALICE, "clock")]);
    place.write("r.yaml", &followed);
    place.write("grant.yaml", &grant("demo", "write_file"));
    let up = Up::start(&place, &["-f", "r.yaml"]);
    let token = place.token(ALICE);
    let write = || up.call("dev/demo", &token, "write_file", r#"{"path":"a","text":"b"}"#).status;
    let becomes = |status: u16| {
        let begin = Instant::now();
        eventually(|| (write() == status).then_some(())).unwrap_or_else(|| panic!("not {status}"));
        assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());
    };
    assert_eq!(write(), 403);
    done(&place, &["apply", "-f", "grant.yaml"]);
    becomes(200);
    done(&place, &["delete", "binding", "extra"]);
    becomes(403);
    done(&place, &["revisions", "restore", "2"]);
    becomes(200);

    // What follows a file is the file's, and the file's changes leave the rest alone.
    let namespace = "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\n\
                     spec: { environment: other }\n";
    place.write("dev.yaml", namespace);
    for more in [&[][..], &["--take-over"][..]] {
        let refused = place.run(&[&["apply", "-f", "dev.yaml"], more].concat());
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        let file = place.path("r.yaml").display().to_string();
        assert!(
            refused.stderr.contains(&format!("GovernedNamespace `dev` follows `{file}`")),
            "{}",
            refused.stderr
        );
    }
    place.write("r.yaml", &resources(&place, &[(ALICE, "todo_list")]));
    let clock = |up: &Up| up.call("dev/demo", &token, "clock", "{}").status;
    eventually(|| (clock(&up) == 403).then_some(())).expect("the file's change came into force");
    assert_eq!(write(), 200, "and the other grant stays");
    // A file that names what is the API's, differently, is refused whole.
    let mut up = up;
    let conflicting = followed + "---\n" + &grant("demo", "clock");
    place.write("r.yaml", &conflicting);
    up.wait_for("McpRole `extra` is managed through the API and is different there");
    let before = in_force(&place);
    // Once what was in its way is gone, it comes into force by itself.
    done(&place, &["delete", "binding", "extra"]);
    done(&place, &["delete", "role", "extra"]);
    eventually(|| (clock(&up) == 200).then_some(())).expect("the file's state came into force");
    done(&place, &["revisions", "list"]);
    place.write("r.yaml", &resources(&place, &[(ALICE, "todo_list")]));
    eventually(|| (clock(&up) == 403).then_some(())).expect("the file's change came into force");
    done(&place, &["apply", "-f", "grant.yaml"]);
    assert_eq!(sorted(in_force(&place)), sorted(before.clone()));
    place.write("r.yaml", &conflicting);
    up.wait_for_another("McpRole `extra` is managed through the API and is different there");
    up.stop();
    // Without `up`, and after it, the same is there.
    assert_eq!(in_force(&place), before);
    assert_eq!(sorted(before), sorted(by_the_record(&place)));
    let refused = place.run(&["up", "-f", "r.yaml", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("is managed through the API"), "{}", refused.stderr);
    done(&place, &["audit", "verify"]);
}

/// A revision is no way around the file: what followed one then would be in its way when the file names it again.
#[test]
fn what_followed_a_file_comes_back_by_the_file() {
    let place = Place::new();
    let namespace = |name: &str, environment: &str| {
        format!(
            "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: {{ name: {name} }}\n\
             spec: {{ environment: {environment} }}\n---\n"
        )
    };
    place.write("r.yaml", &(namespace("dev", "dev") + &namespace("lab", "dev")));
    Up::start(&place, &["-f", "r.yaml"]).stop();
    place.write("r.yaml", &namespace("dev", "dev"));
    Up::start(&place, &["-f", "r.yaml"]).stop();
    for which in [&["1"][..], &["1", "namespace", "lab"][..]] {
        let refused = place.run(&[&["revisions", "restore"], which].concat());
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        let file = place.path("r.yaml").display().to_string();
        assert!(
            refused.stderr.contains(&format!("GovernedNamespace `lab` followed `{file}`")),
            "{}",
            refused.stderr
        );
    }
    done(&place, &["revisions", "restore", "1", "--take-over"]);
    assert_eq!(in_force(&place).len(), 2);
    // The same in the file is no other.
    place.write("r.yaml", &(namespace("dev", "dev") + &namespace("lab", "dev")));
    Up::start(&place, &["-f", "r.yaml"]).stop();
    let list = done(&place, &["revisions", "list", "-n", "1"]);
    assert!(list.contains("1 adopted"), "{list}");
    assert_eq!(sorted(in_force(&place)), sorted(by_the_record(&place)));
}

/// The socket answers whoever shows that it can read the installation's keys, and nobody else of the same account.
#[test]
fn the_socket_alone_is_no_permission() {
    use std::{
        io::{Read as _, Write as _},
        os::unix::{fs::MetadataExt as _, net::UnixStream},
    };
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "clock")]));
    let up = Up::start(&place, &["-f", "r.yaml"]);
    let (socket, key) = (place.data().join("run/api.sock"), place.data().join("keys/api.key"));
    for path in [&socket, &key] {
        assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o600, "{}", path.display());
    }
    let key = std::fs::read_to_string(key).unwrap();
    let ask = |authorization: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let head = "GET /api/v1/resources HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        write!(stream, "{head}{authorization}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap().to_owned()
    };
    assert_eq!(ask(&format!("Authorization: Bearer {key}\r\n")), "HTTP/1.1 200 OK");
    let other = key.replace(|letter: char| letter == key.chars().next().unwrap(), "g");
    for wrong in [
        "",
        "Authorization: Bearer \r\n",
        &format!("Authorization: Bearer {other}\r\n"),
        &format!("Authorization: {key}\r\n"),
    ] {
        assert_eq!(ask(wrong), "HTTP/1.1 401 Unauthorized", "{wrong}");
    }
    up.stop();
    assert!(!socket.exists(), "it is taken away at the end");
    // Another start has another key.
    let up = Up::start(&place, &["-f", "r.yaml"]);
    assert_ne!(std::fs::read_to_string(place.data().join("keys/api.key")).unwrap(), key);
    up.stop();
}

/// A command has the data directory for a moment: a start meanwhile waits, and is not told that another `up` is there.
#[test]
fn a_start_waits_for_a_command() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "clock")]));
    Up::start(&place, &["-f", "r.yaml"]).stop();
    let lock = std::fs::File::options().write(true).open(place.data().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let held = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(800));
        drop(lock);
    });
    let begin = Instant::now();
    let up = Up::start(&place, &["-f", "r.yaml"]);
    assert!(begin.elapsed() > Duration::from_millis(700), "it did not wait");
    held.join().unwrap();
    // One that another `up` has is not waited for.
    let begin = Instant::now();
    let refused = place.run(&["up", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another `narrows up` is running on"), "{}", refused.stderr);
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    up.stop();
}

/// Whatever moment it is killed at, a change is there whole or not at all, and the record says which.
#[test]
fn a_change_that_is_cut_short_is_there_or_not() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[(ALICE, "clock")]));
    let servers = |from: u32| -> String {
        let one = |number: u32| {
            format!(
                "apiVersion: narrows.dev/v1alpha1\nkind: McpServer\n\
                 metadata: {{ namespace: dev, name: s{number} }}\n\
                 spec: {{ transport: http, url: \"https://mcp.example.com/{from}\" }}\n"
            )
        };
        (0..40).map(one).collect::<Vec<_>>().join("---\n")
    };
    for round in 0..8_u64 {
        let up = Up::start(&place, &["-f", "r.yaml"]);
        place.write("s.yaml", &servers(round as u32));
        let mut command = place.command(&["apply", "-f", "s.yaml"]);
        let mut apply =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 + 7 * round));
        up.signal(Signal::KILL);
        drop(up);
        apply.wait().unwrap();
        // It was begun by `up`, or, where that was gone already, done by the command itself.
        done(&place, &["apply", "-f", "r.yaml", "--dry-run"]);
        Up::start(&place, &["-f", "r.yaml"]).stop();
        let state = in_force(&place);
        let urls: Vec<&Value> =
            state.iter().map(|resource| &resource["spec"]["url"]).filter(|url| url.is_string()).collect();
        assert!(urls.is_empty() || urls.len() == 40, "in part: {urls:?}");
        assert!(urls.windows(2).all(|pair| pair[0] == pair[1]), "of two changes: {urls:?}");
        assert_eq!(sorted(state), sorted(by_the_record(&place)), "round {round}");
    }
    done(&place, &["audit", "verify"]);
}
