//! What the commands say, word for word: command, exit code, standard output and standard error together.

use std::os::unix::fs::PermissionsExt as _;

use crate::running::{Place, Up, resources};

fn check(name: &str, place: &Place, commands: &[&[&str]]) {
    let said: Vec<String> = commands.iter().map(|arguments| place.transcript(arguments)).collect();
    insta::assert_snapshot!(name, said.join("\n\n"));
}

#[test]
fn usage() {
    check(
        "usage",
        &Place::new(),
        &[
            &[],
            &["--version"],
            &["applly", "-f", "x.yaml"],
            &["up", "--demo", "-f", "x.yaml"],
            &["audit", "tail", "--output", "xml"],
            &["explain", "--as", "alice", "--server", "nowhere"],
            &["bridge", "--listen", "192.0.2.1:80", "--", "true"],
            &["bridge", "--", "true"],
        ],
    );
}

#[test]
fn nothing_there_yet() {
    check(
        "nothing_there_yet",
        &Place::new(),
        &[
            &["token", "create", "--subject", "alice"],
            &["audit", "tail"],
            &["audit", "verify"],
            &["server", "logs", "dev/demo"],
            &["explain", "--as", "alice", "--server", "dev/demo"],
        ],
    );
}

#[test]
fn files_are_checked() {
    let place = Place::new();
    place.write("good.yaml", &resources(&place, &[("alice@example.com", "\"*\"")]));
    place.write(
        "bad.yaml",
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: Dev }\nspec: { mode: watch }\n\
         ---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: { namespace: dev, name: files }\n\
         spec: { transport: stdio, comand: [x], egress: { allow: [\"a:1\"] } }\n\
         ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: { name: b }\n\
         spec: { role: reeder, subjects: [{ user: alice }] }\n",
    );
    place.write("not.yaml", "a: [1,\n");
    place.write("empty.yaml", "# nothing\n");
    check(
        "files_are_checked",
        &place,
        &[
            &["check", "-f", "good.yaml"],
            &["check", "-f", "good.yaml", "--output", "json"],
            &["check", "-f", "good.yaml", "--output", "yaml"],
            &["check", "-f", "bad.yaml", "-f", "missing.yaml"],
            &["check", "-f", "bad.yaml"],
            &["check", "-f", "empty.yaml"],
            &["check", "-f", "empty.yaml", "--output", "json"],
            &["check", "-f", "not.yaml", "--output", "json"],
            &["check", "-f", "good.yaml", "-f", "good.yaml"],
            &["up", "-f", "bad.yaml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
        ],
    );
}

#[test]
fn decisions_are_explained() {
    let place = Place::new();
    place.write(
        "r.yaml",
        &(resources(&place, &[("alice@example.com", "write_file")])
            + "---\napiVersion: narrows.dev/v1alpha1\nkind: McpRole\nmetadata: { name: role-0-limits }\n\
               spec: { rules: [{ effect: deny, namespaces: [dev], servers: [demo], tools: [write_file], \
               when: 'args.path.startsWith(\"protected/\")' }] }\n\
               ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: { name: limits }\n\
               spec: { role: role-0-limits, subjects: [{ group: dev }] }\n\
               ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: { name: programs }\n\
               spec: { role: role-0, subjects: [{ serviceAccount: ci }] }\n\
               ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRole\nmetadata: { name: notes }\n\
               spec: { rules: [{ effect: allow, namespaces: [dev], servers: [demo], tools: [append_file], \
               when: 'args.path == \"notes.txt\"' }] }\n\
               ---\napiVersion: narrows.dev/v1alpha1\nkind: McpRoleBinding\nmetadata: { name: notes }\n\
               spec: { role: notes, subjects: [{ user: alice@example.com }] }\n"),
    );
    let asked = |more: &[&'static str]| {
        ["explain", "-f", "r.yaml", "--server", "dev/demo", "--group", "dev"]
            .into_iter()
            .chain(more.iter().copied())
            .collect::<Vec<&str>>()
    };
    let commands = [
        asked(&["--as", "alice@example.com", "--tool", "write_file"]),
        asked(&["--as", "alice@example.com", "--tool", "write_file", "--args", r#"{"path":"protected/a"}"#]),
        asked(&["--as", "alice@example.com", "--tool", "write_file", "--args", r#"{"path":1}"#]),
        asked(&["--as", "alice@example.com", "--tool", "write_file", "--args", r#"{"path":"notes.txt"}"#]),
        asked(&["--as", "alice@example.com", "--tool", "append_file", "--output", "json"]),
        asked(&["--as", "alice@example.com", "--tool", "append_file", "--args", r#"{"path":"a"}"#]),
        asked(&["--as", "alice@example.com", "--tool", "append_file", "--args", r#"{"path":"notes.txt"}"#]),
        asked(&["--as", "alice@example.com", "--tool", "delete_file"]),
        asked(&["--as", "alice@example.com", "--resource", "demo://welcome", "--output", "json"]),
        asked(&["--as", "bob@example.com"]),
        asked(&["--as", "system:serviceaccount:ci"]),
        asked(&["--as", "alice@example.com", "--tool", "write_file", "--args", "[1]"]),
        asked(&["--as", "alice@example.com", "--provider", "corp"]),
    ];
    check("decisions_are_explained", &place, &commands.each_ref().map(Vec::as_slice));
}

#[test]
fn what_up_refuses() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.write("file", "");
    check(
        "what_up_refuses",
        &place,
        &[
            &["up", "--listen", "192.0.2.1:443"],
            &["up", "--listen", "0.0.0.0:443", "--insecure-plain-http"],
            &["up", "--admin-listen", "0.0.0.0:7702"],
            &["up", "--allow-upstream", "10.1.2.3/8"],
            &["up", "--listen", &address, "--admin-listen", "127.0.0.1:0"],
            &["up", "--listen", "127.0.0.1:0", "--tls-cert", "file", "--tls-key", "file"],
        ],
    );
}

#[test]
fn a_data_directory_that_is_not_ours_alone_is_refused() {
    let place = Place::new();
    let up = Up::start(&place, &[]);
    let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let start: Vec<&str> = std::iter::once("up").chain(ports).collect();
    let mut said = vec![place.transcript(&start)];
    up.stop();

    let key = place.data().join("keys/token-signing.pem");
    let set_mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&key, 0o644);
    said.push(place.transcript(&start));
    said.push(place.transcript(&["token", "create", "--subject", "alice"]));
    set_mode(&key, 0o600);
    set_mode(&place.data(), 0o755);
    said.push(place.transcript(&start));
    set_mode(&place.data(), 0o700);

    std::fs::write(&key, "not a key").unwrap();
    said.push(place.transcript(&start));
    std::fs::remove_file(&key).unwrap();

    let database = place.data().join("narrows.db");
    let mut bytes = std::fs::read(&database).unwrap();
    // SQLite's `user_version` (file format section 1.3.10), in which the schema's version is kept.
    bytes.get_mut(60..64).unwrap().copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(&database, bytes).unwrap();
    said.push(place.transcript(&start));

    place.write("file", "");
    let elsewhere: Vec<&str> = start.iter().copied().chain(["--data-dir", "file/data"]).collect();
    let output = place.command(&elsewhere).output().unwrap();
    said.push(place.tidy(&String::from_utf8(output.stderr).unwrap()));
    insta::assert_snapshot!("a_data_directory_that_is_not_ours_alone_is_refused", said.join("\n\n"));
}

#[test]
fn a_token_is_alone_on_standard_output() {
    let place = Place::new();
    Up::start(&place, &[]).stop();
    let token = place.token("alice@example.com");
    assert_eq!(token.split('.').count(), 3);
    let ended = place.run(&["token", "create", "--subject", "alice", "--ttl", "1h", "--group", "dev"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    check(
        "tokens_that_are_not_made",
        &place,
        &[
            &["token", "create", "--subject", "alice", "--ttl", "25h"],
            &["token", "create", "--subject", "alice", "--ttl", "soon"],
            &["token", "create", "--subject", ""],
        ],
    );
}

#[test]
fn the_record_is_read() {
    let place = Place::new();
    place.write("r.yaml", &resources(&place, &[("alice@example.com", "todo_list")]));
    let mut up = Up::start(&place, &["-f", "r.yaml"]);
    let token = place.token("alice@example.com");
    assert_eq!(up.call("dev/demo", &token, "todo_list", "{}").status, 200);
    assert_eq!(up.call("dev/demo", &token, "write_file", "{}").status, 403);
    place.write("r.yaml", &resources(&place, &[("alice@example.com", "clock")]));
    up.wait_for("in force revision=\"2-");
    up.stop();
    check(
        "the_record_is_read",
        &place,
        &[
            &["audit", "tail", "-n", "7"],
            &["audit", "search", "--effect", "deny", "--tool", "write_file"],
            &["audit", "search", "--tool", "nothing"],
            &["audit", "search", "--tool", "nothing", "--output", "json"],
            &["audit", "search", "--since", "tomorrow"],
            &["audit", "search", "--kind", "log.opened", "--limit", "1"],
            &["audit", "search", "--kind", "denied"],
            &["audit", "search", "--effect", "no"],
            &["audit", "search", "--status", "fine"],
            &["audit", "show", "12"],
            &["audit", "show", "10", "--output", "yaml"],
            &["audit", "show", "99999"],
            &["audit", "export", "copy"],
            &["audit", "export", "copy"],
            &["explain", "--as", "alice@example.com", "--server", "dev/demo", "--tool", "clock", "--at", "1"],
            &["explain", "--as", "alice@example.com", "--server", "dev/demo", "--tool", "clock"],
            &["explain", "--as", "alice@example.com", "--server", "dev/demo", "--at", "7"],
        ],
    );
    let verified = place.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let log = place.data().join("log/local");
    let key = log.join("key.vkey").display().to_string();
    for directory in [place.data().join("log"), log.clone()] {
        let directory = directory.display().to_string();
        let verified = place.run(&["audit", "verify", "--dir", &directory, "--key", &key]);
        assert_eq!(
            (verified.code, verified.stdout.starts_with("local: ok")),
            (Some(0), true),
            "{}",
            verified.stderr
        );
    }
    for directory in ["copy", "copy/local"] {
        let refused = place.run(&["audit", "verify", "--dir", directory, "--key", &key]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("narrows-verify"), "{}", refused.stderr);
    }

    // A record that no checkpoint covers is left out of an export, which says so.
    let segment = log.join("segment-00000000000000000000.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.clone() + "{}\n").unwrap();
    check("an_export_leaves_out_what_is_newer", &place, &[&["audit", "export", "newer"]]);

    // One byte of the log is another.
    let text = text.replacen("todo_list", "todo_lost", 1);
    std::fs::write(&segment, text).unwrap();
    let refused = place.run(&["audit", "verify"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stdout.contains("NOT OK"), "{}", refused.stdout);
}
