//! `narrows revisions`: what was in force, what is different, and the way back.

use std::collections::BTreeMap;

use narrows_console::{Change, Difference, Named, Resources, RestoreRequest, Revision, Revisions};

use crate::{
    api::{Api, Called as _},
    cli::{RevisionsDiffArgs, RevisionsListArgs, RevisionsRestoreArgs},
    commands::{change, differences},
    failure::Failure,
    output::{self, Table},
};

/// `list`: the latest, newest first.
pub(crate) async fn list(api: &Api, args: RevisionsListArgs) -> Result<(), Failure> {
    let before = args.before.as_ref().map(|before| format!("&before={}", before.number)).unwrap_or_default();
    let found: Revisions = api.get(&format!("/revisions?limit={}{before}", args.limit)).await?;
    if found.items.is_empty() {
        eprintln!("no revisions");
    }
    output::print(args.output, &found, table)?;
    if let Some(next) = found.next {
        eprintln!("there are older ones: `--before {next}`");
    }
    Ok(())
}

/// `diff`: line by line.
pub(crate) async fn diff(api: &Api, args: RevisionsDiffArgs) -> Result<(), Failure> {
    let to = args.to.as_ref().map(|to| format!("?to={}", to.number)).unwrap_or_default();
    let found: Difference = api.get(&format!("/revisions/{}/diff{to}", args.from.number)).await?;
    args.from.called(&found.from)?;
    if let Some(to) = &args.to {
        to.called(&found.to)?;
    }
    if found.changes.is_empty() {
        eprintln!("nothing is different between revisions {} and {}", found.from, found.to);
    }
    output::print(args.output, &found, |found| differences::text(&found.changes))
}

/// `restore`: a change whose aim is an older state.
pub(crate) async fn restore(api: &Api, args: RevisionsRestoreArgs) -> Result<(), Failure> {
    let RevisionsRestoreArgs { revision, kind, name, take_over, how } = args;
    if revision.digest.is_some() {
        let there: Resources = api.get(&format!("/revisions/{}", revision.number)).await?;
        revision.called(&there.revision)?;
    }
    let object = kind.zip(name).map(|(kind, name)| Named { kind: kind.0.to_string(), name });
    let request = RestoreRequest {
        object,
        base: how.base.as_ref().map(ToString::to_string),
        dry_run: how.dry_run,
        take_over,
        reason: how.reason.clone(),
    };
    let done: Change = api.post(&format!("/revisions/{}/restore", revision.number), &request).await?;
    change::print(&done, how.output, how.run())
}

fn table(found: &Revisions) -> String {
    let mut table = Table::new(&["REVISION", "TIME", "ACTOR", "FROM", "CHANGES", "REASON"]);
    for revision in &found.items {
        let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row(vec![
            revision.revision.clone(),
            revision.time.clone(),
            said(&revision.actor),
            said(&revision.origin),
            counts(revision),
            said(&revision.reason),
        ]);
    }
    if found.items.is_empty() { String::new() } else { table.render() }
}

/// `2 created, 1 updated`.
fn counts(revision: &Revision) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for done in &revision.objects {
        *counts.entry(differences::done(done.operation)).or_default() += 1;
    }
    let said: Vec<_> = counts.iter().map(|(operation, count)| format!("{count} {operation}")).collect();
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}
