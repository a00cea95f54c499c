//! The manifest graph is the architecture. This test holds it to the map in ARCHITECTURE.md: the exact arrows between
//! our crates, and what each may not reach through anything that it imports.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what is not there is to fail it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Our crates and the ones of ours that each imports, no more and no fewer.
const ARROWS: [(&str, &[&str]); 11] = [
    ("narrows-core", &[]),
    ("narrows-mcp", &[]),
    ("narrows-egress", &[]),
    ("narrows-control", &["narrows-core"]),
    ("narrows-console", &["narrows-control", "narrows-core"]),
    ("narrows-store", &["narrows-core"]),
    ("narrows-local", &["narrows-core", "narrows-mcp"]),
    ("narrows-gateway", &["narrows-core", "narrows-egress", "narrows-mcp"]),
    (
        "narrows",
        &[
            "narrows-console",
            "narrows-control",
            "narrows-core",
            "narrows-egress",
            "narrows-gateway",
            "narrows-local",
            "narrows-mcp",
            "narrows-store",
        ],
    ),
    ("narrows-verify", &[]),
    ("narrows-fixture", &[]),
];

/// What a crate must not reach, through whatever it imports.
const OUT_OF_REACH: [(&str, &[&str]); 9] = [
    // No I/O, no clock, no randomness, no runtime. (The parser that `cel` brings carries `uuid` and with it `getrandom`.)
    (
        "narrows-core",
        &["aws-lc-rs", "http", "hyper", "mio", "notify", "rand", "rusqlite", "rustix", "rustls", "tokio"],
    ),
    // No notion of who, and no runtime.
    ("narrows-mcp", &["http", "hyper", "jsonwebtoken", "narrows-core", "rusqlite", "tokio"]),
    ("narrows-egress", &["axum", "jsonwebtoken", "narrows-core", "narrows-mcp", "rusqlite"]),
    // No HTTP, no SQL, no requests of agents.
    ("narrows-control", &["axum", "http", "hyper", "kube", "narrows-gateway", "narrows-store", "rusqlite"]),
    ("narrows-console", &["kube", "narrows-gateway", "narrows-local", "narrows-store", "rusqlite"]),
    ("narrows-store", &["axum", "http", "hyper", "kube", "narrows-gateway", "narrows-mcp", "rustls"]),
    ("narrows-local", &["axum", "jsonwebtoken", "kube", "narrows-gateway", "rusqlite", "rustls"]),
    ("narrows-gateway", &["axum", "clap", "kube", "narrows-local", "narrows-store", "notify", "rusqlite"]),
    // An independent check of the log shares nothing with what wrote it.
    ("narrows-verify", &["hyper", "narrows-core", "narrows-store", "rusqlite", "tokio"]),
];

/// The platform that this is: what building the test has fetched is enough for it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Which package imports which, development-only imports aside.
#[derive(Debug, Clone, Default)]
struct Graph {
    imports: BTreeMap<String, BTreeSet<String>>,
    ours: BTreeSet<String>,
}

impl Graph {
    fn of_workspace() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args(["--filter-platform", &host()])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::of_metadata(&serde_json::from_slice(&output.stdout).unwrap())
    }

    fn of_metadata(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let names: BTreeMap<String, String> = list(&metadata["packages"])
            .iter()
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let name_of = |id: &Value| names.get(&text(id)).cloned().unwrap_or_default();
        let mut graph = Self::default();
        graph.ours.extend(list(&metadata["workspace_members"]).iter().map(name_of));
        for node in list(&metadata["resolve"]["nodes"]) {
            let imports = graph.imports.entry(name_of(&node["id"])).or_default();
            for import in list(&node["deps"]) {
                // `null` is the kind of an ordinary import.
                if list(&import["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                    imports.insert(name_of(&import["pkg"]));
                }
            }
        }
        graph
    }

    fn add(mut self, from: &str, to: &str) -> Self {
        self.imports.entry(from.to_owned()).or_default().insert(to.to_owned());
        self
    }

    fn reach(&self, from: &str) -> BTreeSet<&str> {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(package) = waiting.pop() {
            for import in self.imports.get(package).into_iter().flatten() {
                if reached.insert(import.as_str()) {
                    waiting.push(import);
                }
            }
        }
        reached
    }

    fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        let known: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
        for unknown in self.ours.difference(&known) {
            violations.push(format!("{unknown} is not on the map"));
        }
        for missing in known.difference(&self.ours) {
            violations.push(format!("{missing} is on the map and not in the workspace"));
        }
        for (name, allowed) in ARROWS {
            let imports = self.imports.get(name).cloned().unwrap_or_default();
            let found: BTreeSet<&str> =
                imports.iter().map(String::as_str).filter(|import| self.ours.contains(*import)).collect();
            let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
            for import in found.difference(&allowed) {
                violations.push(format!("{name} imports {import}"));
            }
            for import in allowed.difference(&found) {
                violations.push(format!("{name} does not import {import}, which the map says"));
            }
        }
        for (name, forbidden) in OUT_OF_REACH {
            let reached = self.reach(name);
            for import in forbidden.iter().filter(|import| reached.contains(*import)) {
                violations.push(format!("{name} reaches {import}"));
            }
        }
        violations
    }
}

#[test]
fn the_crates_are_as_on_the_map() {
    assert_eq!(Graph::of_workspace().violations(), [""; 0]);
}

#[test]
fn an_arrow_too_many_is_found() {
    let graph = Graph::of_workspace();
    let check = |from: &str, to: &str, expected: &str| {
        let violations = graph.clone().add(from, to).violations();
        assert!(violations.iter().any(|violation| violation == expected), "{from} -> {to}: {violations:?}");
    };
    check("narrows-core", "narrows-mcp", "narrows-core imports narrows-mcp");
    check("narrows-mcp", "narrows-core", "narrows-mcp reaches narrows-core");
    check("narrows-gateway", "narrows-store", "narrows-gateway imports narrows-store");
    check("narrows-gateway", "narrows-store", "narrows-gateway reaches rusqlite");
    check("narrows-store", "hyper", "narrows-store reaches hyper");
    check("narrows-local", "narrows-gateway", "narrows-local reaches jsonwebtoken");
    // Through something else.
    check("serde", "tokio", "narrows-core reaches tokio");
    check("cel", "rand", "narrows-core reaches rand");
    check("narrows-verify", "narrows-core", "narrows-verify imports narrows-core");
    let mut more = graph.clone();
    more.ours.insert("narrows-utils".to_owned());
    assert_eq!(more.violations(), ["narrows-utils is not on the map"]);
}
