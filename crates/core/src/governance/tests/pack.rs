//! The policies that are built in: each rule with what complies and what does not.

use super::*;
use crate::governance::{PACK_YAML, pack::pack};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a server with this `spec` is refused for in production.
fn refused(spec: &str) -> Vec<String> {
    let found = violations(&(namespace("prod", "prod") + &server("prod/files", spec)));
    rules(&found).iter().map(|rule| rule.strip_prefix("narrows-").unwrap().to_owned()).collect()
}

fn stdio(rest: &str) -> String {
    format!("{{ transport: stdio, resources: {{ cpu: 1, memory: 64Mi }}, {rest} }}")
}

#[test]
fn the_pack_is_whole() {
    let set = set(PACK_YAML);
    let names: Vec<&str> = set.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "narrows-images",
            "narrows-ownership",
            "narrows-packages",
            "narrows-privileges",
            "narrows-resources",
            "narrows-secrets"
        ]
    );
    assert_eq!(pack().iter().map(|compiled| compiled.policy.clone()).collect::<Vec<_>>(), set.policies);
    assert_eq!(PACK_YAML.matches("kind: GovernancePolicy").count(), names.len(), "each was read");
}

#[test]
fn commands() {
    let check = |command: &str, expected: &[&str]| {
        assert_eq!(refused(&stdio(&format!("command: {command}"))), expected, "{command}");
    };
    let npx = &["packages/npx"];
    let dlx = &["packages/dlx"];
    let uvx = &["packages/uvx"];
    let pipx = &["packages/pipx"];
    let container = &["packages/container"];
    let shell = &["packages/not-in-a-shell"];
    // Programs that fetch nothing.
    for command in [
        "[/usr/bin/files-server]",
        "[node, server.js]",
        "[mynpx, x]",
        "[npm, start]",
        "[uv, run, x]",
        "[yarn, start]",
    ] {
        check(command, &[]);
    }
    for command in [
        "[npx, -y, \"files@1.2.3\"]",
        "[npx, -y, \"@scope/server-filesystem@2026.8.31\", /srv/docs]",
        "[/usr/local/bin/npx, --yes, \"files@1.2.3-rc.1+b2\", --port, \"80\"]",
        "[npx, \"files@1.2.3\", -p, \"8080\"]",
        "[npx, -p, \"files@1.2.3\", files]",
        "[npx, -y, --package, \"@a/b@1.2.3\", b]",
        "[npx, \"--package=a@1.2.3\", \"--package=@b/c@2.0.0\", run]",
        "[bunx, --bun, \"files@1.2.3\"]",
    ] {
        check(command, &[]);
    }
    for command in [
        "[npx]",
        "[npx, files]",
        "[npx, -y, files]",
        "[npx, -y, \"files@latest\"]",
        "[npx, -y, \"files@^1\"]",
        "[npx, -y, \"files@1\"]",
        "[npx, -y, \"files@1.2\"]",
        "[npx, -y, \"files@~1.2.3\"]",
        "[npx, -y, \"files@>=1.2.3\"]",
        "[npx, -y, \"files@1.2.x\"]",
        "[npx, -y, \"@scope/files\"]",
        "[npx, -y, \"@scope/files@next\"]",
        "[npx, -y, \"github:a/b\"]",
        "[npx, -y, ./local]",
        "[npx, -p, a, \"b@1.2.3\"]",
        "[npx, -p, \"a@1.2.3\", -p, b, run]",
        "[npx, \"--package=a\", \"b@1.2.3\"]",
        "[npx, \"--package=a@1.2.3\", \"--package=b\", run]",
        "[npx, --registry, \"a@1.2.3\", evil]",
        "[bunx, files]",
        "[pnpx, files]",
    ] {
        check(command, npx);
    }
    for command in [
        "[pnpm, dlx, \"files@1.2.3\"]",
        "[yarn, dlx, -q, \"@a/b@1.2.3\"]",
        "[npm, exec, -y, --, \"files@1.2.3\", /srv]",
        "[npm, x, \"--package=a@1.2.3\", --, a]",
        "[bun, x, \"files@1.2.3\"]",
    ] {
        check(command, &[]);
    }
    for command in [
        "[pnpm, dlx, files]",
        "[pnpm, --silent, dlx, \"files@1.2.3\"]",
        "[yarn, dlx, \"files@latest\"]",
        "[npm, exec, -y, --, files]",
        "[npm, x, \"--package=a\", --, a]",
        "[bun, x, files]",
    ] {
        check(command, dlx);
    }
    for command in [
        "[uvx, \"files@1.2.3\"]",
        "[uvx, \"files@1.2\"]",
        "[uvx, \"files==1.2.3\"]",
        "[uvx, --from, \"files==1.2.3\", cmd]",
        "[uvx, \"--from=files[all]==1.2.3\", cmd]",
        "[uvx, --python, \"3.12\", -q, \"files@1.2.3\"]",
        "[uvx, \"--with=b==2.0\", \"files@1.2.3\"]",
        "[uvx, --from, \"git+https://git.example/a/b@0123456789abcdef0123456789abcdef01234567\", cmd]",
        "[uv, tool, run, \"files@1.2.3\"]",
    ] {
        check(command, &[]);
    }
    for command in [
        "[uvx, files]",
        "[uvx, \"files@latest\"]",
        "[uvx, \"files>=1.2\"]",
        "[uvx, \"files==1.2.*\"]",
        "[uvx, --from, files, \"cmd@1.2.3\"]",
        "[uvx, --from, \"files~=1.2\", cmd]",
        "[uvx, --from, \"git+https://git.example/a/b@main\", cmd]",
        "[uvx, --with, b, \"files@1.2.3\"]",
        "[uvx, \"--with=b\", \"files@1.2.3\"]",
        "[uv, tool, run, files]",
    ] {
        check(command, uvx);
    }
    check("[pipx, run, \"files==1.2.3\"]", &[]);
    check("[pipx, run, --spec, \"files==1.2.3\", cmd]", &[]);
    check("[pipx, run, files]", pipx);
    check("[pipx, run, --spec, files, \"cmd==1.2.3\"]", pipx);
    check(&format!("[docker, run, -i, --rm, -e, LOG, \"mcp/files@{DIGEST}\", /srv]"), &[]);
    check(&format!("[podman, run, \"quay.io:443/a/b:1.2@{DIGEST}\"]"), &[]);
    check("[docker, run, -i, mcp/files]", container);
    check("[docker, run, -i, \"mcp/files:1.2.3\"]", container);
    check("[docker, run, -i, \"mcp/files@sha256:0123\"]", container);
    check("[docker, start, files]", &[]);
    check("[sh, -c, \"exec /usr/bin/files\"]", &[]);
    check("[sh, -c, \"cd /srv && npx -y files@1.2.3\"]", shell);
    check("[/bin/bash, -lc, \"uvx files\"]", shell);
    check("[env, A=b, npx, -y, \"files@1.2.3\"]", shell);
    let run = |rest: &str| format!("[docker, run, \"mcp/files@{DIGEST}\", {rest}]");
    for rest in [
        "--privileged",
        "--network=host",
        "--net, host",
        "--pid=host",
        "--cap-add, ALL",
        "-v, \"/:/host\"",
        "\"-v/:/host\"",
        "\"--volume=/:/host:ro\"",
        "-v, \"/var/run/docker.sock:/x\"",
        "--mount, \"type=bind,source=/,target=/h\"",
    ] {
        check(&run(rest), &["privileges/container"]);
    }
    for rest in ["-v, \"/srv/docs:/docs:ro\"", "--network=none", "--cap-drop=ALL"] {
        check(&run(rest), &[]);
    }
}

#[test]
fn bounds_owners_names_and_files() {
    let all = |text: String| {
        let found = violations(&(namespace("prod", "production") + &text));
        rules(&found)
    };
    let check = |spec: &str, expected: &[&str]| assert_eq!(refused(spec), expected, "{spec}");
    check("{ transport: stdio, command: [a], resources: { cpu: 500m, memory: 64Mi } }", &[]);
    check("{ transport: http, url: \"https://mcp.example.com/mcp\" }", &[]);
    for resources in
        ["", ", resources: { cpu: 1 }", ", resources: { memory: 64Mi }", ", resources: { processes: 4 }"]
    {
        check(&format!("{{ transport: stdio, command: [a]{resources} }}"), &["resources/limits"]);
    }
    let labelled =
        |labels: &str| server("prod/files", &stdio("command: [a]")).replace("labels: { team: a }", labels);
    assert_eq!(all(labelled("labels: { owner: b }")), Vec::<String>::new());
    for labels in ["labels: {}", "labels: { app: x }", "labels: { team: \"\" }", "labels: { owner: \" \" }"] {
        assert_eq!(all(labelled(labels)), ["narrows-ownership/owner"], "{labels}");
    }
    assert_eq!(all(server("prod/3d", &stdio("command: [a]"))), ["narrows-ownership/name"]);
    check(&stdio("command: [a], files: { read: [/], write: [/srv] }"), &[]);
    check(&stdio("command: [a], files: { write: [/] }"), &["privileges/files"]);
    check(&stdio("command: [a], files: { write: [/srv, \"//\"] }"), &["privileges/files"]);
}

/// Texts that must not be found anywhere in what is said.
const SECRETS: [&str; 14] = [
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "github_pat_11ABCDEFG0123456789",
    "glpat-0123456789abcdefghij",
    "sk-proj-0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdef",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "npm_0123456789abcdefghijklmnopqrstuvwxyz",
    "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
    "-----BEGIN RSA PRIVATE KEY-----MIIEow",
    "postgres://app:hunter2@db.example/app",
    "sk_live_0123456789",
    "prefix ghs_16C7e42F292c6912E7",
];

#[test]
fn secrets() {
    let check = |rest: &str, expected: &[&str]| assert_eq!(refused(&stdio(rest)), expected, "{rest}");
    let env =
        |name: &str, value: &str| format!("command: [a], env: [{{ name: {name}, value: \"{value}\" }}]");
    for (name, value) in [
        ("LOG_LEVEL", "info"),
        ("API_KEY", ""),
        ("GITHUB_TOKEN_FILE", "/run/secrets/github"),
        ("MAX_TOKENS", "4096"),
        ("KEYBOARD", "us"),
        ("URL", "https://example.com/a@b"),
        ("TASK", "task-management-and-more"),
        ("LIBRARY", "sk-learn"),
    ] {
        check(&env(name, value), &[]);
    }
    for name in [
        "API_KEY",
        "GITHUB_TOKEN",
        "CLIENT_SECRET",
        "PASSWORD",
        "DB_PASSWORD",
        "db_password",
        "KEY",
        "APIKEY",
    ] {
        check(&env(name, "hunter2"), &["secrets/env-names"]);
    }
    for secret in SECRETS {
        check(&env("SETTING", secret), &["secrets/env-values"]);
        check(&format!("command: [a, \"{secret}\"]"), &["secrets/command"]);
    }
    for word in ["--token=hunter2", "--api-key=hunter2", "API_KEY=hunter2", "--header=X-Api-Key: KEY=hunter2"]
    {
        check(&format!("command: [a, \"{word}\"]"), &["secrets/command"]);
    }
    check("command: [a, --api-token, hunter2]", &["secrets/command"]);
    check("command: [a, --password-file, /run/secrets/x, --key=/etc/key.pem, --tokens, \"3\"]", &[]);
    let http = |url: &str| format!("{{ transport: http, url: \"{url}\" }}");
    assert_eq!(refused(&http("https://a.example/mcp?tenant=b")), Vec::<String>::new());
    assert_eq!(refused(&http("https://a.example/mcp?api_key=hunter2")), ["secrets/url"]);
}

#[test]
fn secrets_are_not_shown() {
    let said =
        |spec: &str| format!("{:?}", violations(&(namespace("prod", "prod") + &server("prod/files", spec))));
    for secret in SECRETS {
        let env = format!(
            "command: [a], env: [{{ name: A, value: \"{secret}\" }}, {{ name: B_KEY, value: hunter2 }}]"
        );
        let command = format!("command: [npx, a, \"{secret}\", --token, hunter2, --key=hunter2]");
        for text in [said(&stdio(&env)), said(&stdio(&command))] {
            assert!(text.contains("(not shown)"), "{text}");
            assert!(!text.contains(secret) && !text.contains("hunter2"), "{text}");
        }
    }
    let text = said("{ transport: http, url: \"https://a.example/mcp?api_key=hunter2\" }");
    assert!(text.contains("(not shown)") && !text.contains("hunter2"), "{text}");
}

#[test]
fn it_refuses_in_production_and_warns_elsewhere() {
    let check = |environment: &str, expected: &[&str]| {
        let text = namespace("ns", environment) + &server("ns/files", &stdio("command: [npx, a]"));
        assert_eq!(rules(&violations(&text)), expected, "{environment}");
    };
    for environment in ["prod", "production", "Prod", "PRODUCTION"] {
        check(environment, &["narrows-packages/npx"]);
    }
    for environment in ["dev", "\"\"", "staging", "preprod"] {
        check(environment, &["narrows-packages/npx (warn)"]);
    }
    let nameless = namespace("ns", "x").replace("{ environment: x }", "{}");
    let text = nameless + &server("ns/files", &stdio("command: [npx, a]"));
    assert_eq!(rules(&violations(&text)), ["narrows-packages/npx (warn)"]);
}

#[test]
fn a_policy_of_the_same_name_takes_the_place() {
    let own = format!(
        "---\n{HEAD}kind: GovernancePolicy\nmetadata: {{ name: narrows-packages }}\nspec:\n  namespaces: [\"*\"]\n  \
         action: warn\n  rules: [{{ name: any, expression: 'object.spec.command[0] != \"npx\"', message: no npx }}]\n"
    );
    let text = namespace("prod", "prod") + &server("prod/files", &stdio("command: [npx, a]")) + &own;
    assert_eq!(rules(&violations(&text)), ["narrows-packages/any (warn)"]);
}
