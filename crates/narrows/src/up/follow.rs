//! What follows files while `up` runs: the resources, and the certificate. A state of the files with a problem is
//! refused whole and said; the last good one stays in force until there is a better.

use std::{path::PathBuf, sync::Arc, time::Duration};

use narrows_control::{Control, ControlError, Controller, Requester, Run};
use narrows_core::{
    change::{FollowedFiles, Following, Proposal, Refusal},
    governance::{Asked, Purpose, Violation},
    problem::Problem,
    resource::{Documents, parse_files},
};
use narrows_gateway::ServerTls;
use narrows_store::state::State;
use tokio_util::sync::CancellationToken;

use super::{certificate, inputs::Resources};
use crate::{failure::Failure, sources, watch::Watch};

/// One violation with its parts as fields.
macro_rules! log_violation {
    ($level:ident, $violation:expr) => {
        tracing::$level!(
            object = %$violation.object,
            rule = $violation.rule_id(),
            effect = $violation.effect.as_str(),
            field = $violation.field.as_deref(),
            expected = $violation.expected.as_deref(),
            actual = $violation.actual.as_deref(),
            "{}",
            $violation.message
        )
    };
}

/// How long to wait before a good state that could not be recorded or saved is tried again; each time twice as long, up to
/// the longest, for an attempt may leave records.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Whether the files can be in force, beside what was last. Asked before anything is started.
pub(super) fn check(state: &State, resources: &Resources) -> Result<(), Failure> {
    let Some(first) = &resources.first else { return Ok(()) };
    let current = narrows_control::latest(state).map_err(Failure::from_control)?;
    let asked = Asked {
        username: Requester::files(String::new()).subject,
        groups: [].into(),
        purpose: Purpose::Look,
        now: jiff::Timestamp::now(),
    };
    match current.review(followed(first.clone())?, Following::Files, &asked) {
        // What policies refuse is refused when it is proposed, which records it.
        Ok(_) | Err(Refusal::Denied(_)) => Ok(()),
        Err(Refusal::Problems(problems)) => Err(Failure::problems(problems, "not started")),
        Err(other) => Err(Failure::from_control(ControlError::Refused(other))),
    }
}

/// The first state: that of the files, or without files what was in force last. What was in force when the last run
/// ended is no change.
pub(super) async fn begin(control: &mut Control, resources: &mut Resources) -> Result<(), Failure> {
    let Some(first) = resources.first.take() else {
        return resume(control, "what was in force last");
    };
    let requester = Requester::files(origin(&resources.files));
    let done =
        control.propose(followed(first)?, requester, Run::Real).await.map_err(Failure::from_control)?;
    warn(&done.warnings);
    if done.changes.is_empty() { resume(control, &origin(&resources.files)) } else { Ok(()) }
}

fn resume(control: &Control, origin: &str) -> Result<(), Failure> {
    control.resume().map_err(Failure::from_control)?;
    let current = control.current().borrow().revision.clone();
    if current.number > 0 {
        tracing::info!(revision = current.to_string(), origin, "in force");
    }
    Ok(())
}

/// Proposes each state of the files until told to end.
pub(super) async fn resources(
    controller: Controller,
    files: Vec<PathBuf>,
    mut watch: Watch,
    end: CancellationToken,
) {
    let mut current = controller.watch();
    let (mut pending, mut wait) = (Pending::No, AGAIN);
    loop {
        let again = async {
            match pending {
                Pending::No => std::future::pending().await,
                Pending::Soon => tokio::time::sleep(wait).await,
                // What was in the way may be people's, and they may take it away.
                Pending::Refused => match current.changed().await {
                    Ok(()) => {}
                    Err(_) => std::future::pending().await,
                },
            }
        };
        tokio::select! {
            () = watch.changed() => {}
            () = again => {}
            () = end.cancelled() => return,
        }
        current.mark_unchanged();
        pending = propose(&controller, &files).await;
        wait = match pending {
            Pending::Soon => (wait * 2).min(LONGEST),
            Pending::No | Pending::Refused => AGAIN,
        };
    }
}

async fn propose(controller: &Controller, files: &[PathBuf]) -> Pending {
    let documents = match read(files) {
        Ok(documents) => documents,
        Err(problems) => return refused(&problems),
    };
    let proposal = match followed(documents) {
        Ok(proposal) => proposal,
        Err(failure) => {
            tracing::error!("{failure}");
            return Pending::Soon;
        }
    };
    match controller.propose(proposal, Requester::files(origin(files)), Run::Real).await {
        Ok(done) => {
            warn(&done.warnings);
            Pending::No
        }
        Err(ControlError::Closed) => Pending::No,
        Err(ControlError::Refused(Refusal::Problems(problems))) => refused(&problems),
        Err(ControlError::Refused(Refusal::Denied(denied))) => refused_by_policies(&denied.violations),
        Err(error) => {
            tracing::error!("{}; it is tried again by itself", Failure::from_control(error));
            Pending::Soon
        }
    }
}

/// Violations that are logged one by one; the rest is counted.
const LOGGED: usize = 50;

/// What does not comply with policies and is in force.
fn warn(warnings: &[Violation]) {
    for violation in warnings.iter().take(LOGGED) {
        log_violation!(warn, violation);
    }
    if warnings.len() > LOGGED {
        tracing::warn!(
            more = warnings.len() - LOGGED,
            "`narrows policy test` says what else does not comply"
        );
    }
}

fn refused_by_policies(violations: &[Violation]) -> Pending {
    for violation in violations.iter().filter(|violation| violation.denies()).take(LOGGED) {
        log_violation!(error, violation);
    }
    tracing::error!(
        violations = violations.iter().filter(|violation| violation.denies()).count(),
        "policies refuse the files; the last good state stays in force"
    );
    Pending::Refused
}

fn refused(problems: &[Problem]) -> Pending {
    for problem in problems {
        tracing::error!(place = %problem.place, hint = problem.hint, "{}", problem.message);
    }
    tracing::error!(problems = problems.len(), "the files are refused; the last good state stays in force");
    Pending::Refused
}

/// What is in the files. A file that can't be read does not hide what is wrong with others.
pub(super) fn read(files: &[PathBuf]) -> Result<Documents, Vec<Problem>> {
    let (readable, mut problems) = sources::read(files);
    if problems.is_empty() {
        return Ok(Documents::read(&readable));
    }
    problems.extend(parse_files(&readable).err().into_iter().flatten());
    Err(problems)
}

fn followed(documents: Documents) -> Result<Proposal, Failure> {
    let directory = std::env::current_dir()
        .map_err(|error| Failure::new(format!("cannot tell the current directory: {error}")))?;
    Ok(Proposal::Files(FollowedFiles { documents, directory: directory.display().to_string().into() }))
}

/// Whether a state of the files waits to be put in force.
enum Pending {
    No,
    /// A good one, which could not be recorded or saved.
    Soon,
    /// One that is refused beside what is in force now.
    Refused,
}

/// Takes a changed certificate into use until told to end.
pub(super) async fn tls(tls: Arc<ServerTls>, files: certificate::Files, end: CancellationToken) {
    let mut watch = Watch::new(vec![files.certificate.clone(), files.key.clone()]);
    loop {
        tokio::select! {
            () = watch.changed() => {}
            () = end.cancelled() => return,
        }
        match certificate::reload(&tls, &files) {
            Ok(()) => tracing::info!(certificate = %files.certificate.display(), "certificate in use"),
            Err(failure) => tracing::error!("{failure}; the last certificate stays in use"),
        }
    }
}

/// The files' names, for the record.
pub(super) fn origin(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
