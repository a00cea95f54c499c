//! The documents are held to the program: tables of fields and options are those that it has, resources shown are
//! valid, files linked to exist. `UPDATE_DOCUMENTS=1` writes the generated parts anew.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use regex::Regex;
use serde_json::Value;

use crate::running::Place;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documents() -> Vec<PathBuf> {
    let inside = |directory: &Path| {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    [inside(&root()), inside(&root().join("docs"))].concat()
}

#[test]
fn generated_parts_are_fresh() {
    let place = Place::new();
    let schema: Value = serde_json::from_str(&place.run(&["schema"]).stdout).unwrap();
    let parts = Regex::new(r"(?s)<!-- (fields|help) ([\w -]+) -->\n.*?<!-- end -->").unwrap();
    let mut found = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let fresh = parts.replace_all(&text, |part: &regex::Captures<'_>| {
            found += 1;
            let (kind, name) = (part.get(1).unwrap().as_str(), part.get(2).unwrap().as_str());
            let generated = match kind {
                "fields" => fields(&schema, name),
                _ => help(&place, name),
            };
            format!("<!-- {kind} {name} -->\n{generated}<!-- end -->")
        });
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            std::fs::write(&path, fresh.as_bytes()).unwrap();
        } else {
            assert!(text == fresh, "{} is not fresh: run this test with UPDATE_DOCUMENTS=1", path.display());
        }
    }
    assert!(found > 10, "only {found} generated parts were found");
}

/// A table of a definition's fields, with what they are.
fn fields(schema: &Value, name: &str) -> String {
    let definition = &schema["$defs"][name];
    let required: Vec<&str> =
        definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = "| field | form | what |\n|---|---|---|\n".to_owned();
    for (field, value) in definition["properties"].as_object().unwrap() {
        let need = if required.contains(&field.as_str()) { ", required" } else { "" };
        let what = value["description"].as_str().unwrap().replace('\n', " ").replace('|', "\\|");
        writeln!(table, "| `{field}` | {}{need} | {what} |", form(schema, value)).unwrap();
    }
    table
}

fn form(schema: &Value, value: &Value) -> String {
    if let Some(reference) = value["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let definition = &schema["$defs"][name];
        let choices: Vec<String> = definition["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|choice| Some(format!("`{}`", choice["const"].as_str()?)))
            .collect();
        return match (choices.is_empty(), name) {
            (false, _) => choices.join(", "),
            (true, "Quantity") => "quantity".to_owned(),
            (true, _) => "see below".to_owned(),
        };
    }
    if let Some(either) = value["anyOf"].as_array() {
        return form(schema, either.first().unwrap());
    }
    let kind = match &value["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("array") => format!("list of {}", form(schema, &value["items"])),
        Some("object") => "map of text".to_owned(),
        Some("string") => "text".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        other => panic!("no words for {other:?}"),
    }
}

fn help(place: &Place, command: &str) -> String {
    let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let ended = place.run(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    format!("```text\n{}```\n", ended.stdout)
}

#[test]
fn resources_shown_are_valid() {
    let blocks = Regex::new(r"(?s)```yaml\n(.*?)```").unwrap();
    let mut found = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown: Vec<&str> = blocks
            .captures_iter(&text)
            .map(|block| block.get(1).unwrap().as_str())
            .filter(|block| block.contains("apiVersion"))
            .collect();
        if shown.is_empty() {
            continue;
        }
        found += shown.len();
        let place = Place::new();
        place.write("shown.yaml", &shown.join("---\n"));
        let ended = place.run(&["check", "-f", "shown.yaml"]);
        assert_eq!(ended.code, Some(0), "{}:\n{}", path.display(), ended.stderr);
    }
    assert!(found > 1, "only {found} were found");
}

#[test]
fn links_lead_somewhere() {
    let links = Regex::new(r"\]\(([^)#:]+)(#[^)]*)?\)").unwrap();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in links.captures_iter(&text) {
            let target = path.parent().unwrap().join(link.get(1).unwrap().as_str());
            assert!(target.exists(), "{} links to {}", path.display(), target.display());
        }
    }
}

#[test]
fn tests_that_are_named_exist() {
    let named = Regex::new(r"`(core|mcp|egress|gateway|local|store|narrows): ([a-z0-9_]+)`").unwrap();
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let mut found = 0;
    for name in named.captures_iter(&text) {
        found += 1;
        let (directory, function) = (name.get(1).unwrap().as_str(), name.get(2).unwrap().as_str());
        let sources = sources(&root().join("crates").join(directory));
        assert!(
            sources.iter().any(|source| source.contains(&format!("fn {function}("))),
            "{directory} has no test `{function}`"
        );
    }
    assert!(found > 40, "only {found} were found");
}

fn sources(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
    texts
}
