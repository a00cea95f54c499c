//! `narrows policy`: what policies say of files, before they are put in place, on any machine. No installation is needed,
//! and none is touched.

mod junit;
mod sarif;

use std::{path::PathBuf, sync::Arc};

use narrows_console::Violation;
use narrows_core::{
    change::ObjectChange,
    governance::{self, Asked, Effect, Examined, PACK_YAML, Purpose},
    policy::Snapshot,
    problem::{Place, Problem},
    resource::{Documents, ResourceSet, SourceFile},
};
use serde::Serialize;

use crate::{
    cli::{PolicyOutput, PolicyTestArgs},
    failure::Failure,
    output::{self, Table},
    sources,
};

/// What a rule says of a resource, and where that was written.
struct Tested {
    examined: Examined,
    place: Place,
}

impl Tested {
    fn effect(&self) -> Option<&Effect> {
        self.examined.violation.as_ref().map(|violation| &violation.effect)
    }

    /// `policy/rule`.
    fn rule_id(&self) -> String {
        format!("{}/{}", self.examined.policy, self.examined.rule)
    }

    /// `McpServer prod/files`.
    fn object(&self) -> String {
        format!("{} {}", self.examined.object.kind, self.examined.object.full_name())
    }
}

/// How many results there are of each kind.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Counts {
    denied: usize,
    warnings: usize,
    exempted: usize,
    compliant: usize,
}

impl Counts {
    fn of(tested: &[Tested]) -> Self {
        let mut counts = Self::default();
        for one in tested {
            match one.effect() {
                None => counts.compliant += 1,
                Some(Effect::Deny) => counts.denied += 1,
                Some(Effect::Warn) => counts.warnings += 1,
                Some(Effect::Exempted { .. }) => counts.exempted += 1,
            }
        }
        counts
    }
}

/// The report as JSON: what does not comply, each with its place.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    counts: Counts,
    violations: Vec<Placed>,
}

#[derive(Debug, Serialize)]
struct Placed {
    file: String,
    line: u32,
    column: u32,
    #[serde(flatten)]
    violation: Violation,
}

/// `test`: judges every resource of the files.
pub(crate) fn test(args: &PolicyTestArgs) -> Result<(), Failure> {
    let asked = Asked {
        username: args.subject.as_str().into(),
        groups: args.groups.iter().map(|group| Arc::from(group.as_str())).collect(),
        purpose: Purpose::Look,
        now: jiff::Timestamp::now(),
    };
    let tested = examine(&args.files, &args.namespace_files, &asked)?;
    let counts = Counts::of(&tested);
    output::write(&match args.output {
        PolicyOutput::Table => table(&tested, counts),
        PolicyOutput::Json => output::json(&Report { counts, violations: placed(&tested) })?,
        PolicyOutput::Junit => junit::report(&tested),
        PolicyOutput::Sarif => output::json(&sarif::report(&tested))?,
    })?;
    match counts.denied {
        0 => Ok(()),
        1 => Err(Failure::new("policies would refuse this: 1 violation")),
        count => Err(Failure::new(format!("policies would refuse this: {count} violations"))),
    }
}

/// `show-defaults`: the policies that are built in, to be read and copied.
pub(crate) fn show_defaults() -> Result<(), Failure> {
    output::write(PACK_YAML)
}

fn examine(files: &[PathBuf], around: &[PathBuf], asked: &Asked) -> Result<Vec<Tested>, Failure> {
    let (own, mut problems) = sources::read(files);
    let (others, more) = sources::read(around);
    problems.extend(more);
    let documents = Documents::read(&own);
    if problems.is_empty() && documents.is_empty() {
        return Err(Failure::new("there are no resources in these files")
            .hint("of a directory, the *.yaml, *.yml and *.json in it are read"));
    }
    let all: Vec<SourceFile> = own.into_iter().chain(others).collect();
    let set = match whole(&all) {
        Ok(set) if problems.is_empty() => set,
        Ok(_) => return Err(Failure::problems(problems, "not judged")),
        Err(more) => {
            problems.extend(more);
            let failure = Failure::problems(problems, "not judged");
            // Pipelines often have a part of the resources only.
            return Err(match around {
                [] => failure
                    .hint("give what these files refer to, such as namespaces, with `--namespace-file`"),
                [..] => failure,
            });
        }
    };
    // As if nothing were there yet.
    let changes: Vec<ObjectChange> = documents
        .objects()
        .into_iter()
        .map(|(object, file)| ObjectChange {
            key: object.key(),
            before: None,
            after: Some(object),
            file: Some(file),
        })
        .collect();
    let place = |examined: &Examined| {
        let field = examined.violation.as_ref().and_then(|violation| violation.field.clone());
        let found = documents.place(&examined.object, field.as_deref().unwrap_or("metadata.name"));
        found.unwrap_or_else(|| Place { file: "".into(), line: 0, column: 0 })
    };
    let examined = governance::examine(&changes, &set, asked).into_iter();
    Ok(examined.map(|examined| Tested { place: place(&examined), examined }).collect())
}

/// All of it as one sound set, as `narrows check` wants it.
fn whole(files: &[SourceFile]) -> Result<ResourceSet, Vec<Problem>> {
    let set = Documents::read(files).over(ResourceSet::default())?;
    Snapshot::compile(1, Arc::new(set.clone()))?;
    Ok(set)
}

fn placed(tested: &[Tested]) -> Vec<Placed> {
    tested
        .iter()
        .filter_map(|one| {
            Some(Placed {
                file: one.place.file.to_string(),
                line: one.place.line,
                column: one.place.column,
                violation: one.examined.violation.as_ref()?.into(),
            })
        })
        .collect()
}

/// What does not comply, a line each, and how much does.
fn table(tested: &[Tested], counts: Counts) -> String {
    let mut table = Table::new(&[]);
    for one in tested {
        let Some(violation) = &one.examined.violation else { continue };
        let violation = Violation::from(violation);
        table.row(vec![violation.outcome().to_owned(), one.place.to_string(), violation.to_string()]);
    }
    let Counts { denied, warnings, exempted, compliant } = counts;
    format!(
        "{}denied {denied}, warnings {warnings}, exempted {exempted}, compliant {compliant}\n",
        table.render_rows()
    )
}
