//! `narrows check`: whether files would be accepted. Reads and compiles exactly as `up` does; starts nothing.

use std::{path::PathBuf, sync::Arc};

use narrows_core::{
    policy::Snapshot,
    problem::Problem,
    resource::{ResourceSet, parse_files},
};
use serde::Serialize;

use crate::{
    cli::{CheckArgs, OutputFormat},
    failure::Failure,
    output, sources,
};

#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Counts>,
    problems: Vec<Said>,
}

/// How many of each kind there are.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    namespaces: usize,
    servers: usize,
    roles: usize,
    bindings: usize,
    identity_providers: usize,
    policies: usize,
    exemptions: usize,
}

#[derive(Debug, Serialize)]
struct Said {
    file: String,
    line: u32,
    column: u32,
    message: String,
    hint: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    match (load(&args.files), args.output) {
        (Ok(set), format) if set.is_empty() => {
            match format {
                OutputFormat::Table => {}
                OutputFormat::Json | OutputFormat::Yaml => {
                    let report = Report { valid: false, resources: Some(count(&set)), problems: Vec::new() };
                    output::print(format, &report, |_| String::new())?;
                }
            }
            Err(Failure::new("there are no resources in these files")
                .hint("of a directory, the *.yaml, *.yml and *.json in it are read"))
        }
        (Ok(set), format) => {
            let report = Report { valid: true, resources: Some(count(&set)), problems: Vec::new() };
            output::print(format, &report, |report| {
                report.resources.as_ref().map(summary).unwrap_or_default()
            })
        }
        (Err(problems), OutputFormat::Table) => Err(Failure::problems(problems, "not valid")),
        (Err(problems), format @ (OutputFormat::Json | OutputFormat::Yaml)) => {
            let said = problems.iter().map(said).collect();
            let report = Report { valid: false, resources: None, problems: said };
            output::print(format, &report, |_| String::new())?;
            Err(Failure::problems(problems, "not valid"))
        }
    }
}

/// Reads, checks and compiles files as one set. A file that can't be read does not hide what is wrong with others.
pub(crate) fn load(files: &[PathBuf]) -> Result<ResourceSet, Vec<Problem>> {
    let (readable, mut problems) = sources::read(files);
    let parsed = parse_files(&readable).and_then(|set| {
        Snapshot::compile(1, Arc::new(set.clone()))?;
        Ok(set)
    });
    match parsed {
        Ok(set) if problems.is_empty() => Ok(set),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

fn count(set: &ResourceSet) -> Counts {
    Counts {
        namespaces: set.namespaces.len(),
        servers: set.servers.len(),
        roles: set.roles.len(),
        bindings: set.bindings.len(),
        identity_providers: set.providers.len(),
        policies: set.policies.len(),
        exemptions: set.exemptions.len(),
    }
}

/// What a set holds, for people.
fn summary(counts: &Counts) -> String {
    let Counts { namespaces, servers, roles, bindings, identity_providers, policies, exemptions } = counts;
    format!(
        "valid: namespaces {namespaces}, servers {servers}, roles {roles}, bindings {bindings}, \
         identity providers {identity_providers}, policies {policies}, exemptions {exemptions}\n"
    )
}

fn said(problem: &Problem) -> Said {
    Said {
        file: problem.place.file.to_string(),
        line: problem.place.line,
        column: problem.place.column,
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}
