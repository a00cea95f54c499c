//! From what runs to what should: the next steps. Asking again after they were taken asks for nothing.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Candidate, Check, DRAIN, Draining, Endpoint, Failed, Instance, Live, Observed, Surface, Version, Wanted,
    after, backoff,
};
use crate::resource::Transport;

/// One thing to do. Whoever does it need not know why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run this instance with so many processes. One that runs is left alone.
    Start(Instance, u32),
    /// Ask it whether it answers MCP.
    Probe(Endpoint),
    /// Have it run so many processes from now on.
    Resize(Endpoint, u32),
    /// End it.
    Stop(Endpoint),
    /// Keep in mind that this version serves, for the next start; none: no version does.
    Keep(Option<Arc<Version>>),
}

/// The steps from what was observed to what is wanted; `observed` is then as it is once they are taken. None wanted: the
/// server is not there any more.
pub fn plan(wanted: Option<&Wanted>, observed: &mut Observed, now: Timestamp) -> Vec<Step> {
    let mut steps = Vec::new();
    match wanted.filter(|wanted| wanted.replicas > 0) {
        None => end(observed, &mut steps),
        Some(wanted) => lead(wanted, observed, now, &mut steps),
    }
    steps
}

/// Nothing of it should run. Whoever takes a server away does not wait for its sessions.
fn end(observed: &mut Observed, steps: &mut Vec<Step>) {
    for instance in observed.instances() {
        steps.push(Step::Stop(instance.endpoint()));
    }
    if observed.live.is_some() {
        steps.push(Step::Keep(None));
    }
    *observed = Observed::default();
}

fn lead(wanted: &Wanted, observed: &mut Observed, now: Timestamp, steps: &mut Vec<Step>) {
    drain(observed, now, steps);
    let is_wanted =
        |failed: &Failed| failed.version.is_like(&wanted.version) && failed.restarts == wanted.restarts;
    if observed.failed.as_ref().is_some_and(|failed| !is_wanted(failed)) {
        // What failed is not wanted any more, or somebody wants it tried at once.
        observed.failed = None;
    }
    let is_it = |instance: &Instance, restarts: u64| {
        instance.version.is_like(&wanted.version) && restarts == wanted.restarts
    };
    if let Some(candidate) = observed.candidate.take_if(|old| !is_it(&old.instance, old.restarts)) {
        steps.push(Step::Stop(candidate.instance.endpoint()));
    }
    if let Some(live) = &mut observed.live
        && is_it(&live.instance, live.restarts)
    {
        if let Some(candidate) = observed.candidate.take() {
            // Wanted for a while, and not any more.
            steps.push(Step::Stop(candidate.instance.endpoint()));
        }
        observed.failed = None;
        if live.instance.version != wanted.version {
            // Wanted again as it was before: it serves for this revision now.
            live.instance.version = Arc::clone(&wanted.version);
            steps.push(Step::Keep(Some(Arc::clone(&wanted.version))));
        }
        if live.replicas != wanted.replicas {
            live.replicas = wanted.replicas;
            steps.push(Step::Resize(live.instance.endpoint(), wanted.replicas));
        }
        look(live, now, steps);
        return;
    }
    if let Some(live) = &mut observed.live {
        look(live, now, steps);
    }
    match observed.candidate.take() {
        None => {
            let waits = observed.failed.as_ref().is_some_and(|failed| now < failed.retry);
            if !waits {
                observed.candidate = Some(candidate(wanted, observed, steps));
            }
        }
        Some(mut candidate) => match candidate.check.clone() {
            Check::Unasked => {
                steps.push(Step::Probe(candidate.instance.endpoint()));
                candidate.check = Check::Asked { before: None };
                observed.candidate = Some(candidate);
            }
            Check::Asked { .. } => observed.candidate = Some(candidate),
            Check::Answered(surface) => promote(candidate, surface, observed, now, steps),
            Check::Failed { reason, .. } => {
                steps.push(Step::Stop(candidate.instance.endpoint()));
                let version = Arc::clone(&wanted.version);
                let times = observed.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
                let retry = after(now, backoff(times));
                let restarts = wanted.restarts;
                observed.failed = Some(Failed { version, restarts, times, reason, retry });
            }
        },
    }
}

/// Ends what had its time.
fn drain(observed: &mut Observed, now: Timestamp, steps: &mut Vec<Step>) {
    observed.draining.retain(|draining| {
        let over = now >= draining.until;
        if over {
            steps.push(Step::Stop(draining.instance.endpoint()));
        }
        !over
    });
}

/// Asks what serves, if nobody has, or if it did not answer when it was asked.
fn look(live: &mut Live, now: Timestamp, steps: &mut Vec<Step>) {
    let before = match &live.check {
        Check::Unasked => {
            steps.push(Step::Start(live.instance.clone(), live.replicas));
            None
        }
        Check::Failed { retry, reason } if now >= *retry => Some(Arc::clone(reason)),
        Check::Failed { .. } | Check::Asked { .. } | Check::Answered(_) => return,
    };
    steps.push(Step::Probe(live.instance.endpoint()));
    live.check = Check::Asked { before };
}

fn candidate(wanted: &Wanted, observed: &Observed, steps: &mut Vec<Step>) -> Candidate {
    let version = Arc::clone(&wanted.version);
    let turn = match &version.transport {
        Transport::Http(_) => 0,
        Transport::Stdio(_) => free_turn(&version, observed),
    };
    let instance = Instance { version, turn };
    steps.push(Step::Start(instance.clone(), wanted.replicas));
    steps.push(Step::Probe(instance.endpoint()));
    Candidate {
        instance,
        restarts: wanted.restarts,
        replicas: wanted.replicas,
        check: Check::Asked { before: None },
    }
}

/// The first that no instance of the same version has.
fn free_turn(version: &Version, observed: &Observed) -> u16 {
    let taken =
        |turn: u16| observed.instances().any(|other| other.version.is_like(version) && other.turn == turn);
    (0..u16::MAX).find(|turn| !taken(*turn)).unwrap_or(u16::MAX)
}

/// It answers: from now on it serves, and what served goes on for those who are with it.
fn promote(
    candidate: Candidate,
    surface: Arc<Surface>,
    observed: &mut Observed,
    now: Timestamp,
    steps: &mut Vec<Step>,
) {
    let Candidate { instance, restarts, replicas, .. } = candidate;
    if let Some(old) = observed.live.take()
        && old.instance.endpoint() != instance.endpoint()
    {
        observed.draining.insert(0, Draining { instance: old.instance, until: after(now, DRAIN) });
    }
    observed.failed = None;
    steps.push(Step::Keep(Some(Arc::clone(&instance.version))));
    observed.live = Some(Live {
        instance,
        restarts,
        replicas,
        check: Check::Answered(Arc::clone(&surface)),
        misses: 0,
        surface: Some(surface),
        trouble: None,
    });
}
