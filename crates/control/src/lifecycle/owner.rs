//! The owner: one loop that takes what is wanted, what was answered and what time brings, works out the steps and has them
//! carried out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use narrows_core::{
    ids::ServerId,
    lifecycle::{
        Endpoint, InstanceId, Observed, Phase, Route, ServerState, Step, Surface, Version, Wanted, plan,
        state,
    },
    ports::{AppendError, LogIndex, Pairing},
    resource::Transport,
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    LifecycleParts, ServerError, ServerStatus,
    handle::{Board, Desired},
    record::{self, Restarting},
};
use crate::record::Stamp;

/// Servers that are asked at once: some start heavily.
const AT_ONCE: usize = 8;
/// Restarts that are being recorded at once; more wait.
const RECORDING: usize = 16;
/// How soon a record is tried again that the log did not take, and a state that could not be kept.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest sleep: clocks are stepped.
const LONGEST: Duration = Duration::from_secs(60);

/// Something to be done to a server.
pub(super) enum Asked {
    Restart {
        restarting: Restarting,
        /// The server as it is.
        manifest: Value,
        /// Who waits for it to be recorded and under way.
        answer: Answer<()>,
    },
}

/// Whoever waits may have gone.
pub(super) type Answer<T> = oneshot::Sender<Result<T, ServerError>>;

/// A server to be started anew, and the record that says so.
struct Restart {
    restarting: Restarting,
    intent: LogIndex,
}

/// One that is being recorded.
type Recorded = (Restarting, Answer<()>, Result<LogIndex, AppendError>);

/// One server.
#[derive(Default)]
struct Server {
    wanted: Option<Wanted>,
    observed: Observed,
    /// The way to it, as it was led last.
    route: Route,
    /// As it was recorded last, and since when it fares so.
    recorded: Option<(ServerState, Timestamp)>,
    /// Those under way, each with the number of restarts that it is done with.
    restarts: Vec<(u64, Restart)>,
    /// What is to be kept of it, and is not yet.
    unkept: Option<Option<Arc<Version>>>,
    /// When it is to be looked at though nothing happens.
    wake: Option<Timestamp>,
}

/// A question to an instance.
#[derive(Clone)]
struct Question {
    server: ServerId,
    endpoint: Endpoint,
    number: u64,
}

/// What it answered, or why it did not.
type Answered = (Question, Result<Surface, String>);

/// The owner of the servers' lives.
pub struct Lifecycle {
    parts: LifecycleParts,
    servers: BTreeMap<ServerId, Server>,
    /// To be looked at now.
    due: BTreeSet<ServerId>,
    /// To be looked at later.
    wakes: BTreeSet<(Timestamp, ServerId)>,
    board: Arc<Board>,
    /// To be asked, in this order.
    unasked: VecDeque<Question>,
    /// The newest question to each instance that runs here. An answer to an older one is of one that was stopped.
    newest: HashMap<InstanceId, u64>,
    questions: u64,
    /// What asks each instance that runs here.
    running: HashMap<InstanceId, AbortHandle>,
    probes: JoinSet<Answered>,
    recording: JoinSet<Recorded>,
    /// The time at the start, by both clocks: waits go by the one that is never stepped.
    started: (Timestamp, Instant),
}

impl Lifecycle {
    /// Begins with what served when the last process ended. Nothing is done yet.
    ///
    /// # Errors
    /// [`ServerError::Unreadable`].
    pub fn load(parts: LifecycleParts) -> Result<Self, ServerError> {
        let serving = parts.deployments.serving().map_err(ServerError::Unreadable)?;
        let servers = serving.into_iter().map(|version| {
            let id = version.server.clone();
            // How many processes is not kept: what is wanted says so.
            (id, Server { observed: Observed::resumed(Arc::new(version), 1), ..Server::default() })
        });
        Ok(Self {
            servers: servers.collect(),
            due: BTreeSet::new(),
            wakes: BTreeSet::new(),
            board: Arc::default(),
            unasked: VecDeque::new(),
            newest: HashMap::new(),
            questions: 0,
            running: HashMap::new(),
            probes: JoinSet::new(),
            recording: JoinSet::new(),
            started: ((parts.clock)(), Instant::now()),
            parts,
        })
    }

    pub(super) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp { clock: self.parts.clock, random: self.parts.random }
    }

    pub(super) async fn run(
        &mut self,
        mut desired: watch::Receiver<Desired>,
        mut asked: mpsc::Receiver<Asked>,
        end: CancellationToken,
    ) {
        let mut changes = self.parts.orchestrator.changes();
        loop {
            self.work().await;
            let wait = self.wait();
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                changed = desired.changed() => match changed {
                    Ok(()) => {
                        let desired = desired.borrow_and_update().clone();
                        self.want(&desired);
                        self.work().await;
                        let revision = desired.revision.map_or(0, |revision| revision.number);
                        self.board.answers(revision);
                    }
                    Err(_) => return,
                },
                Some(Asked::Restart { restarting, manifest, answer }) = asked.recv(),
                    if self.recording.len() < RECORDING =>
                {
                    self.record(restarting, &manifest, answer);
                }
                Some(recorded) = self.recording.join_next() => {
                    if let Ok((restarting, answer, recorded)) = recorded {
                        let under_way = recorded
                            .map_err(ServerError::Unrecorded)
                            .and_then(|intent| self.restart(Restart { restarting, intent }));
                        self.work().await;
                        let _ = answer.send(under_way);
                    }
                }
                Some(answer) = self.probes.join_next() => match answer {
                    Ok(answer) => self.answered(answer),
                    Err(error) if error.is_cancelled() => {}
                    // Its server would wait for ever.
                    Err(_) => return,
                },
                Ok(()) = changes.changed() => self.look_at_troubles(),
                () = tokio::time::sleep(wait) => self.wake(),
            }
        }
    }

    fn now(&self) -> Timestamp {
        let (wall, steady) = self.started;
        wall.checked_add(steady.elapsed()).unwrap_or(wall)
    }

    fn want(&mut self, desired: &Desired) {
        let Some(revision) = &desired.revision else { return };
        for (id, server) in &mut self.servers {
            if server.wanted.is_some() && !desired.servers.contains_key(id) {
                server.wanted = None;
                self.due.insert(id.clone());
            }
        }
        for (id, declared) in desired.servers.iter() {
            let server = self.servers.entry(id.clone()).or_default();
            let mut wanted = Wanted::next(declared, revision.number, server.wanted.as_ref());
            if server.wanted.is_none()
                && let Some(live) = &mut server.observed.live
            {
                // What was kept of it is what is wanted, or else it is what serves until that has come up.
                live.replicas = wanted.replicas;
                if live.instance.version.is_like(&wanted.version) {
                    wanted.version = Arc::clone(&live.instance.version);
                }
            }
            if server.wanted.as_ref() != Some(&wanted) {
                server.wanted = Some(wanted);
                self.due.insert(id.clone());
            }
        }
        // What served, and is gone since.
        let gone = self.servers.iter().filter(|(_, server)| server.wanted.is_none());
        self.due.extend(gone.map(|(id, _)| id.clone()).collect::<Vec<_>>());
    }

    /// Has it recorded, which is waited for beside everything else: a log that hangs holds up no server.
    fn record(&mut self, restarting: Restarting, manifest: &Value, answer: Answer<()>) {
        match restarting.intent(self.stamp(), manifest) {
            Ok(line) => {
                let durable = self.parts.log.append(Pairing::Intent, line);
                self.recording.spawn(async move { (restarting, answer, durable.await) });
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn restart(&mut self, restart: Restart) -> Result<(), ServerError> {
        let id = restart.restarting.server.clone();
        match self.servers.get_mut(&id) {
            Some(Server { wanted: Some(wanted), restarts, .. }) if wanted.replicas > 0 => {
                wanted.restarts += 1;
                restarts.push((wanted.restarts, restart));
                self.due.insert(id);
                Ok(())
            }
            Some(_) | None => {
                end_restart(&self.parts, self.stamp(), &restart, Err(GONE));
                Err(ServerError::Stopped(id))
            }
        }
    }

    fn answered(&mut self, (question, answer): Answered) {
        let now = self.now();
        if !self.is_open(&question) {
            return;
        }
        if let Some(server) = self.servers.get_mut(&question.server) {
            let answer = answer.map(Arc::new).map_err(Arc::from);
            server.observed.answered(&question.endpoint, answer, now);
            self.due.insert(question.server);
        }
    }

    /// Whether somebody waits for the answer.
    fn is_open(&self, question: &Question) -> bool {
        match &question.endpoint {
            Endpoint::Local(instance) => self.newest.get(instance) == Some(&question.number),
            // It is one and the same, whoever asks.
            Endpoint::Remote(_) => true,
        }
    }

    fn question(&mut self, server: &ServerId, asking: Asking) {
        match asking {
            Asking::Ask(endpoint) => {
                self.questions += 1;
                let number = self.questions;
                if let Endpoint::Local(instance) = &endpoint {
                    self.newest.insert(instance.clone(), number);
                }
                self.unasked.push_back(Question { server: server.clone(), endpoint, number });
            }
            Asking::Forget(instance) => {
                self.newest.remove(&instance);
                if let Some(probe) = self.running.remove(&instance) {
                    probe.abort();
                }
            }
        }
    }

    fn look_at_troubles(&mut self) {
        for (id, server) in &mut self.servers {
            if server.look_at_trouble(&self.parts) {
                self.due.insert(id.clone());
            }
        }
    }

    /// Time has passed.
    fn wake(&mut self) {
        let now = self.now();
        while let Some((at, _)) = self.wakes.first()
            && *at <= now
            && let Some((_, id)) = self.wakes.pop_first()
        {
            if let Some(server) = self.servers.get_mut(&id) {
                server.wake = None;
            }
            self.due.insert(id);
        }
    }

    /// How long nothing is to be done unless something happens.
    fn wait(&self) -> Duration {
        self.wakes.first().map_or(LONGEST, |(at, _)| {
            let left = at.as_millisecond().saturating_sub(self.now().as_millisecond());
            // A millisecond more, so that it is over then.
            Duration::from_millis(u64::try_from(left).unwrap_or(0) + 1).min(LONGEST)
        })
    }

    /// Does what is due, and says how things are then.
    async fn work(&mut self) {
        let now = self.now();
        let stamp = self.stamp();
        let due = std::mem::take(&mut self.due);
        for id in &due {
            let Some(server) = self.servers.get_mut(id) else { continue };
            let (askings, stops) = server.lead_on(id, &self.parts, now);
            let route = server.wanted.as_ref().map(|_| server.observed.route()).unwrap_or_default();
            if route != server.route {
                server.route.clone_from(&route);
                self.parts.routing.lead(id, route);
            }
            // Nobody is led there any more.
            for instance in stops {
                tracing::debug!(server = %id, %instance, "stop");
                self.parts.orchestrator.stop(&instance);
            }
            for (restart, result) in server.ended_restarts() {
                end_restart(
                    &self.parts,
                    stamp,
                    &restart,
                    result.as_ref().map(drop).map_err(|reason| &**reason),
                );
            }
            for asking in askings {
                self.question(id, asking);
            }
        }
        self.ask();
        self.keep(&due).await;
        self.tell(due, stamp, now);
    }

    /// Keeps what serves. What can't be kept now is tried again.
    async fn keep(&mut self, due: &BTreeSet<ServerId>) {
        let unkept = |id: &ServerId| Some((id.clone(), self.servers.get_mut(id)?.unkept.take()?));
        let batch: Vec<_> = due.iter().filter_map(unkept).collect();
        if batch.is_empty() {
            return;
        }
        let (deployments, all) = (Arc::clone(&self.parts.deployments), batch.clone());
        // On a thread that may wait for the disk.
        let kept = tokio::task::spawn_blocking(move || {
            let keep = |(id, version): (ServerId, Option<Arc<Version>>)| {
                let error = deployments.keep(&id, version.as_deref()).err()?;
                tracing::error!(server = %id, %error, "it can't be kept what serves; it is tried again by itself");
                Some((id, version))
            };
            batch.into_iter().filter_map(keep).collect::<Vec<_>>()
        });
        for (id, version) in kept.await.unwrap_or(all) {
            if let Some(server) = self.servers.get_mut(&id) {
                server.unkept = Some(version);
            }
        }
    }

    /// Records and puts up how they fare, and when they are to be looked at next.
    fn tell(&mut self, due: BTreeSet<ServerId>, stamp: Stamp, now: Timestamp) {
        let mut told = false;
        for id in due {
            let Some(server) = self.servers.get_mut(&id) else { continue };
            let status = server.tell(&id, &self.parts, stamp);
            let wake = server.next_wake(status.as_ref().map(|status| &status.state), now);
            told |= self.board.put(&id, status);
            if let Some(before) = server.wake.take() {
                self.wakes.remove(&(before, id.clone()));
            }
            server.wake = wake;
            if let Some(wake) = wake {
                self.wakes.insert((wake, id.clone()));
            }
            if server.wanted.is_none() && server.wake.is_none() {
                self.servers.remove(&id);
            }
        }
        if told {
            self.board.tell();
        }
    }

    /// Asks those that wait, as far as there is room.
    fn ask(&mut self) {
        while self.probes.len() < AT_ONCE
            && let Some(question) = self.unasked.pop_front()
        {
            if !self.is_open(&question) {
                continue;
            }
            let probed = self.parts.prober.probe(&question.endpoint);
            let instance = match &question.endpoint {
                Endpoint::Local(instance) => Some(instance.clone()),
                Endpoint::Remote(_) => None,
            };
            let probe = self.probes.spawn(async move {
                let answer = probed.await;
                (question, answer)
            });
            self.running.extend(instance.map(|instance| (instance, probe)));
        }
    }
}

/// Who is to be asked, or not any more.
enum Asking {
    Ask(Endpoint),
    Forget(InstanceId),
}

impl Server {
    /// Takes the steps to what is wanted; returns who is to be asked or not any more, and what is to be stopped.
    fn lead_on(
        &mut self,
        id: &ServerId,
        parts: &LifecycleParts,
        now: Timestamp,
    ) -> (Vec<Asking>, Vec<InstanceId>) {
        let (mut askings, mut stops) = (Vec::new(), Vec::new());
        // Each round leads further; there are never more than a few.
        loop {
            let steps = plan(self.wanted.as_ref(), &mut self.observed, now);
            if steps.is_empty() {
                break;
            }
            for step in steps {
                match step {
                    Step::Start(instance, replicas) => {
                        if let (Endpoint::Local(running), Transport::Stdio(stdio)) =
                            (instance.endpoint(), &instance.version.transport)
                        {
                            tracing::debug!(server = %id, instance = %running, "start");
                            parts.orchestrator.start(&running, stdio, replicas);
                        }
                    }
                    Step::Probe(endpoint) => askings.push(Asking::Ask(endpoint)),
                    Step::Resize(Endpoint::Local(instance), replicas) => {
                        parts.orchestrator.resize(&instance, replicas);
                    }
                    Step::Stop(Endpoint::Local(instance)) => {
                        askings.push(Asking::Forget(instance.clone()));
                        stops.push(instance);
                    }
                    Step::Resize(Endpoint::Remote(_), _) | Step::Stop(Endpoint::Remote(_)) => {}
                    Step::Keep(version) => self.unkept = Some(version),
                }
            }
        }
        self.look_at_trouble(parts);
        (askings, stops)
    }

    /// What the processes of what serves say; whether that is new.
    fn look_at_trouble(&mut self, parts: &LifecycleParts) -> bool {
        let Some(live) = &self.observed.live else { return false };
        let endpoint = live.instance.endpoint();
        let Endpoint::Local(instance) = &endpoint else { return false };
        let trouble = parts.orchestrator.trouble(instance);
        let is_new = live.trouble != trouble;
        self.observed.troubled(&endpoint, trouble);
        is_new
    }

    /// The restarts that have come to an end, and to which.
    fn ended_restarts(&mut self) -> Vec<(Restart, Result<(), Arc<str>>)> {
        let Self { wanted, observed, restarts, .. } = self;
        let mut ended = Vec::new();
        let done = observed.live.as_ref().map_or(0, |live| live.restarts);
        for (number, restart) in std::mem::take(restarts) {
            if number <= done {
                ended.push((restart, Ok(())));
            } else if wanted.as_ref().is_none_or(|wanted| wanted.replicas == 0) {
                ended.push((restart, Err(GONE.into())));
            } else if let Some(failed) = observed.failed.as_ref().filter(|failed| failed.restarts >= number) {
                ended.push((restart, Err(Arc::clone(&failed.reason))));
            } else {
                restarts.push((number, restart));
            }
        }
        ended
    }

    /// Records how it fares, if that is new, and returns it; none if it is not wanted.
    fn tell(&mut self, id: &ServerId, parts: &LifecycleParts, stamp: Stamp) -> Option<ServerStatus> {
        let current = self.wanted.as_ref().map(|wanted| state(wanted, &self.observed));
        let before = self.recorded.as_ref();
        let now = (stamp.clock)();
        let since = before
            .filter(|(before, _)| current.as_ref().is_some_and(|current| current.phase == before.phase))
            .map_or(now, |(_, since)| *since);
        if !self.is_recorded(current.as_ref()) {
            let before = before.map(|(before, _)| before);
            let line = record::state_changed(id, before, current.as_ref(), stamp);
            match append_later(parts, Pairing::Event, line) {
                Ok(()) => {
                    say(id, current.as_ref());
                    self.recorded = current.clone().map(|current| (current, since));
                }
                // It is tried again, with how things are then.
                Err(error) => tracing::error!(server = %id, error, "a server's state is not recorded"),
            }
        }
        let restarts = self.wanted.as_ref().map_or(0, |wanted| wanted.restarts);
        current.map(|state| ServerStatus { state, since, restarts })
    }

    fn is_recorded(&self, current: Option<&ServerState>) -> bool {
        match (current, &self.recorded) {
            (None, None) => true,
            (Some(current), Some((recorded, _))) => is_same(current, recorded),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// When it is to be looked at though nothing happens to it, which fares so.
    fn next_wake(&self, current: Option<&ServerState>, now: Timestamp) -> Option<Timestamp> {
        let again = (self.unkept.is_some() || !self.is_recorded(current))
            .then(|| now.checked_add(AGAIN).unwrap_or(now));
        again.into_iter().chain(self.observed.wake()).min()
    }
}

const GONE: &str = "the server was removed or stopped";

/// An outcome is not waited for; one that the log did not take is closed by the next start.
fn end_restart(parts: &LifecycleParts, stamp: Stamp, restart: &Restart, result: Result<(), &str>) {
    let line = restart.restarting.outcome(stamp, restart.intent, result);
    if let Err(error) = append_later(parts, Pairing::Outcome(restart.intent), line) {
        tracing::error!(error, "the outcome of a restart is not recorded");
    }
}

/// Appends a record that is not waited for; why it could not be, for the log.
fn append_later(
    parts: &LifecycleParts,
    pairing: Pairing,
    line: Result<Vec<u8>, ServerError>,
) -> Result<(), String> {
    let line = line.map_err(|error| error.to_string())?;
    parts.log.append_later(pairing, line).map_err(|error| error.to_string())
}

/// Whether there is nothing to record between the two. When something is tried again is not.
fn is_same(one: &ServerState, other: &ServerState) -> bool {
    ServerState { retry: None, ..one.clone() } == ServerState { retry: None, ..other.clone() }
}

fn say(id: &ServerId, current: Option<&ServerState>) {
    let Some(ServerState { phase, reason, serving, .. }) = current else {
        tracing::info!(server = %id, "removed");
        return;
    };
    match phase {
        Phase::Degraded | Phase::Failed | Phase::Held => {
            tracing::warn!(server = %id, state = %phase, reason = reason.as_deref(), serving, "server");
        }
        Phase::Running | Phase::Stopped => tracing::info!(server = %id, state = %phase, "server"),
        Phase::Pending | Phase::Probing => tracing::debug!(server = %id, state = %phase, "server"),
    }
}
