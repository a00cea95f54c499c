//! Policies by command: the words, the reports that other programs read, and what `up` makes of them.

use regex::Regex;
use serde_json::Value;

use crate::running::{Place, Up, eventually};

const NAMESPACES: &str = "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: prod }\n\
                          spec: { environment: prod }\n---\n\
                          apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\n\
                          spec: { environment: dev }\n";

fn server(id: &str, labels: &str, command: &str) -> String {
    let (namespace, name) = id.split_once('/').unwrap();
    format!(
        "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\n\
         metadata: {{ namespace: {namespace}, name: {name}, labels: {labels} }}\n\
         spec: {{ transport: stdio, command: {command}, resources: {{ cpu: 1, memory: 64Mi }} }}\n"
    )
}

const OWN: &str = "---\napiVersion: narrows.dev/v1alpha1\nkind: GovernancePolicy\nmetadata: { name: shells }\nspec:\n  \
                   namespaces: [\"*\"]\n  action: warn\n  rules:\n    - name: none\n      \
                   expression: 'object.spec.command[0] != \"sh\"'\n      message: \"run <it> without a \\\"shell\\\" & so on\"\n      \
                   field: spec.command[0]\n      expected: a program\n";

const EXEMPTION: &str = "---\napiVersion: narrows.dev/v1alpha1\nkind: PolicyExemption\nmetadata: { name: moving }\n\
                         spec: { policy: narrows-ownership, rules: [owner], namespaces: [prod], servers: [old], \
                         owner: bob, reason: it moves, expires: 2100-01-01 }\n";

/// Something of everything: denied, warned of, exempted and compliant.
fn mixed() -> String {
    server("prod/new", "{ team: a }", "[npx, -y, files]")
        + &server("prod/old", "{}", "[/usr/bin/old]")
        + &server("dev/try", "{ team: a }", "[sh, -c, \"exec try\"]")
        + OWN
        + EXEMPTION
}

fn place() -> Place {
    let place = Place::new();
    place.write("namespaces.yaml", NAMESPACES);
    place.write("mixed.yaml", &mixed());
    place.write("good.yaml", &server("prod/new", "{ team: a }", "[npx, -y, \"files@1.2.3\"]"));
    place
}

#[test]
fn the_words_of_policies() {
    let place = place();
    place.write("nothing.yaml", "# nothing\n");
    place.write(
        "bad.yaml",
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernancePolicy\nmetadata: { name: p }\nspec:\n  namespaces: [prod]\n  \
         action: deny\n  rules:\n    - { name: a, expression: 'object.spec.x ==', message: m }\n    \
         - { name: b, expression: 'size(server.tools) < 9', message: m }\n    \
         - { name: c, expression: 'size(objekt.spec)', message: m }\n    \
         - { name: d, expression: 'size(object.spec)', message: m, field: status.x }\n---\n\
         apiVersion: narrows.dev/v1alpha1\nkind: PolicyExemption\nmetadata: { name: e }\n\
         spec: { policy: narrows-package, namespaces: [prod], owner: bob, reason: so, expires: soon }\n",
    );
    place.write(
        "rules.yaml",
        "apiVersion: narrows.dev/v1alpha1\nkind: PolicyExemption\nmetadata: { name: e }\n\
         spec: { policy: narrows-packages, rules: [npm], namespaces: [prod], owner: bob, reason: so, expires: 2100-01-01 }\n---\n\
         apiVersion: narrows.dev/v1alpha1\nkind: PolicyExemption\nmetadata: { name: f }\n\
         spec: { policy: narrows-package, namespaces: [prod], owner: bob, reason: so, expires: 2100-01-01 }\n",
    );
    let around = ["--namespace-file", "namespaces.yaml"];
    let test = |file: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        [&["policy", "test", "-f", file][..], &around, more].concat()
    };
    let commands: Vec<Vec<&str>> = vec![
        vec!["policy"],
        vec!["policy", "test"],
        test("good.yaml", &[]),
        test("mixed.yaml", &[]),
        test("mixed.yaml", &["--output", "json"]),
        test("mixed.yaml", &["--output", "junit"]),
        test("mixed.yaml", &["--output", "sarif"]),
        vec!["policy", "test", "-f", "good.yaml"],
        test("nothing.yaml", &[]),
        test("missing.yaml", &[]),
        test("bad.yaml", &[]),
        test("rules.yaml", &[]),
    ];
    let said: Vec<String> = commands.iter().map(|arguments| place.transcript(arguments)).collect();
    insta::assert_snapshot!("the_words_of_policies", said.join("\n\n"));
    assert!(!place.data().exists(), "no installation is made");
    // What is printed is what can be read again.
    let defaults = place.run(&["policy", "show-defaults"]);
    assert_eq!((defaults.code, defaults.stderr.as_str()), (Some(0), ""));
    place.write("defaults.yaml", &defaults.stdout);
    let checked = place.run(&["check", "-f", "defaults.yaml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
}

/// What `policy test` says of something of everything, in this form.
fn report(form: &str) -> String {
    let files = ["-f", "mixed.yaml", "--namespace-file", "namespaces.yaml"];
    let ended = place().run(&[["policy", "test"].as_slice(), &files, &["--output", form]].concat());
    assert_eq!(ended.code, Some(1));
    ended.stdout
}

/// The form that SARIF 2.1.0 asks for (sections 3.13 to 3.30), as far as it is used.
#[test]
fn the_report_is_sarif() {
    let report = report("sarif");
    let log: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().unwrap().as_slice() else { panic!("{log}") };
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(run["tool"]["driver"]["name"].is_string());
    let results = run["results"].as_array().unwrap();
    let mut levels = Vec::new();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(rules[index]["shortDescription"]["text"].is_string());
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let level = result["level"].as_str().unwrap();
        assert!(["error", "warning", "note"].contains(&level));
        assert_eq!(level == "note", result["suppressions"].is_array());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "mixed.yaml");
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 0));
        levels.push(format!(
            "{level} {} {}",
            result["ruleId"].as_str().unwrap(),
            place["region"]["startLine"]
        ));
    }
    assert_eq!(
        levels,
        ["warning shells/none 15", "error narrows-packages/npx 5", "note narrows-ownership/owner 9",]
    );
}

/// Balanced elements, quoted attributes and escaped texts: what a reader of XML needs.
#[test]
fn the_report_is_junit() {
    let report = report("junit");
    let text = report.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    let tag = Regex::new(r#"<(/?)([a-z-]+)((?: [a-z]+="[^"<&]*(?:&[a-z#0-9]+;[^"<&]*)*")*)(/?)>"#).unwrap();
    let entity = Regex::new("&([a-z]+|#[0-9]+);").unwrap();
    let mut open = Vec::new();
    let mut end = 0;
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for found in tag.captures_iter(text) {
        let between = text.get(end..found.get(0).unwrap().start()).unwrap();
        let plain = entity.replace_all(between, "");
        assert!(!plain.contains(['<', '>', '&']), "{between}");
        end = found.get(0).unwrap().end();
        let name = found[2].to_owned();
        match (&found[1], &found[4]) {
            ("/", _) => assert_eq!(open.pop(), Some(name)),
            (_, "/") => *seen.entry(name).or_default() += 1,
            (_, _) => {
                *seen.entry(name.clone()).or_default() += 1;
                open.push(name);
            }
        }
    }
    assert!(open.is_empty() && text.get(end..).is_some_and(|rest| rest.trim().is_empty()));
    assert_eq!((seen["failure"], seen["skipped"], seen["system-out"], seen["testsuite"]), (1, 1, 1, 3));
    assert!(text.contains("run &lt;it&gt; without a &quot;shell&quot; &amp; so on"), "{text}");
    let cases =
        format!("<testsuites name=\"narrows policy test\" tests=\"{}\" failures=\"1\"", seen["testcase"]);
    assert!(text.starts_with(&cases), "{text}");
}

#[test]
fn what_policies_refuse_is_not_in_force() {
    let place = place();
    let server_file = |command: &str| NAMESPACES.to_owned() + &server("prod/new", "{ team: a }", command);
    place.write("bad.yaml", &server_file("[npx, -y, files, --token, hunter2]"));
    let start = ["up", "-f", "bad.yaml", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
    let refused = place.run(&start);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    for said in ["narrows-packages/npx", "narrows-secrets/command", "2 violations of policies"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    // A file that comes to be so is refused, and the last good state stays.
    place.write("r.yaml", &server_file("[sleep, \"1000\"]"));
    let mut up = Up::start(&place, &["-f", "r.yaml"]);
    place.write("r.yaml", &server_file("[npx, -y, files]"));
    up.wait_for("policies refuse the files; the last good state stays in force violations=1");
    let in_force = place.run(&["get", "server", "prod/new", "--output", "json"]);
    assert!(in_force.stdout.contains("sleep"), "{}", in_force.stdout);
    // An exemption by command lets it in, by itself, and the log says so.
    let exemption =
        EXEMPTION.replace("narrows-ownership, rules: [owner]", "narrows-packages").replace("[old]", "[new]");
    place.write("exemption.yaml", exemption.trim_start_matches("---\n"));
    let applied = place.run(&["apply", "-f", "exemption.yaml"]);
    assert_eq!(applied.code, Some(0), "{}", applied.stderr);
    eventually(|| {
        let in_force = place.run(&["get", "server", "prod/new", "--output", "json"]);
        in_force.stdout.contains("npx").then_some(())
    })
    .expect("the file's state came into force");
    let said = up.stop();
    assert!(said.contains("effect=\"exempted\""), "{said}");
    // A command meets the same, says so, and the record has it.
    place.write("dev.yaml", &server("dev/try", "{}", "[npx, try]"));
    place.write("prod.yaml", &server("prod/other", "{}", "[npx, try]"));
    let commands: [&[&str]; 5] = [
        &["apply", "-f", "dev.yaml", "--dry-run"],
        &["apply", "-f", "dev.yaml"],
        &["diff", "-f", "prod.yaml"],
        &["apply", "-f", "prod.yaml", "--reason", "in a hurry"],
        &["get", "policies"],
    ];
    let said: Vec<String> = commands.iter().map(|arguments| place.transcript(arguments)).collect();
    insta::assert_snapshot!("the_words_of_refusals", said.join("\n\n"));
    let found = place.run(&["audit", "search", "--kind", "change.denied", "--output", "json"]);
    let records: Vec<Value> = serde_json::from_str(&found.stdout).unwrap();
    let subjects: Vec<&str> =
        records.iter().map(|record| record["record"]["actor"]["kind"].as_str().unwrap()).collect();
    assert_eq!(subjects.iter().filter(|kind| **kind == "operator").count(), 1, "{subjects:?}");
    assert!(
        subjects.iter().filter(|kind| **kind == "system").count() >= 2,
        "at start and while it ran: {subjects:?}"
    );
    assert!(!found.stdout.contains("hunter2"));
    let verified = place.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

#[test]
fn the_demo_and_the_first_steps_comply() {
    let place = Place::new();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let blocks = Regex::new(r"(?s)```yaml\n(.*?)```").unwrap();
    let shown: Vec<&str> =
        blocks.captures_iter(&readme).map(|block| block.get(1).unwrap().as_str()).collect();
    place.write("readme.yaml", &shown.join("---\n"));
    let ended = place.run(&["policy", "test", "-f", "readme.yaml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(ended.stdout.starts_with("denied 0, warnings 0, exempted 0,"), "{}", ended.stdout);
    let said = Up::start(&place, &["--demo"]).stop();
    assert!(!said.contains("effect="), "{said}");
}
