//! The lives of servers, with a log, a store and processes that do as they are told. Time is tokio's, which the tests step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use narrows_core::{
    lifecycle::{Phase, Version},
    policy::Snapshot,
    ports::{Durable, LogIndex, Pairing},
    resource::{SourceFile, parse_files},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Origin, Requester};

#[derive(Default)]
struct World {
    records: Mutex<Vec<(Pairing, Value)>>,
    /// Whether the log takes what is not waited for.
    log_is_full: Mutex<bool>,
    kept: Mutex<BTreeMap<String, Version>>,
    cannot_keep: Mutex<bool>,
    running: Mutex<BTreeSet<String>>,
    replicas: Mutex<BTreeMap<String, u32>>,
    trouble: Mutex<Option<Arc<str>>>,
    changes: watch::Sender<u64>,
    routes: Mutex<BTreeMap<String, Route>>,
    /// What the command of a server that answers badly ends with, and what it says.
    bad: Mutex<BTreeMap<String, String>>,
}

/// Stands still: waits go by another one.
fn clock() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).unwrap()
}

impl AuditLog for World {
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable {
        let mut records = self.records.lock().unwrap();
        records.push((pairing, serde_json::from_slice(&line).unwrap()));
        Box::pin(std::future::ready(Ok(LogIndex(records.len() as u64 - 1))))
    }

    fn append_later(&self, pairing: Pairing, line: Vec<u8>) -> Result<(), AppendError> {
        if *self.log_is_full.lock().unwrap() {
            return Err(AppendError::Full);
        }
        drop(self.append(pairing, line));
        Ok(())
    }

    fn health(&self) -> Result<(), AppendError> {
        Ok(())
    }
}

impl Deployments for World {
    fn serving(&self) -> Result<Vec<Version>, StateError> {
        Ok(self.kept.lock().unwrap().values().cloned().collect())
    }

    fn keep(&self, server: &ServerId, version: Option<&Version>) -> Result<(), StateError> {
        if *self.cannot_keep.lock().unwrap() {
            return Err(StateError { message: "the disk is full".to_owned(), hint: None });
        }
        let mut kept = self.kept.lock().unwrap();
        match version {
            Some(version) => drop(kept.insert(server.to_string(), version.clone())),
            None => drop(kept.remove(&server.to_string())),
        }
        Ok(())
    }
}

impl Orchestrator for World {
    fn start(&self, instance: &InstanceId, server: &StdioServer, replicas: u32) {
        let name = format!("{} {}", instance, server.command.join(" "));
        self.running.lock().unwrap().insert(name);
        self.replicas.lock().unwrap().insert(instance.to_string(), replicas);
    }

    fn resize(&self, instance: &InstanceId, replicas: u32) {
        self.replicas.lock().unwrap().insert(instance.to_string(), replicas);
    }

    fn stop(&self, instance: &InstanceId) {
        self.running.lock().unwrap().retain(|name| name.split(' ').next() != Some(&instance.to_string()));
    }

    fn trouble(&self, _: &InstanceId) -> Option<Arc<str>> {
        self.trouble.lock().unwrap().clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

struct Asks(Arc<World>);

impl Prober for Asks {
    fn probe(&self, endpoint: &Endpoint) -> Probed {
        let command = match endpoint {
            Endpoint::Remote(url) => url.to_string(),
            Endpoint::Local(instance) => {
                let running = self.0.running.lock().unwrap();
                let found = running.iter().find(|name| name.split(' ').next() == Some(&instance.to_string()));
                found.expect("who is asked runs").clone()
            }
        };
        let bad = self.0.bad.lock().unwrap();
        let answer = match bad.iter().find(|(end, _)| command.ends_with(*end)) {
            Some((_, reason)) => Err(reason.clone()),
            None => {
                Ok(Surface { server: command.clone(), tools: vec!["echo".to_owned()], ..Surface::default() })
            }
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer
        })
    }
}

struct Leads(Arc<World>);

impl Routing for Leads {
    fn lead(&self, server: &ServerId, route: Route) {
        self.0.routes.lock().unwrap().insert(server.to_string(), route);
    }
}

/// A plane of these servers that runs.
struct Plane {
    world: Arc<World>,
    servers: Servers,
    revision: Mutex<u64>,
    end: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Plane {
    fn begin(world: &Arc<World>) -> Self {
        let lifecycle = Lifecycle::load(LifecycleParts {
            log: Arc::clone(world) as _,
            deployments: Arc::clone(world) as _,
            orchestrator: Arc::clone(world) as _,
            prober: Arc::new(Asks(Arc::clone(world))),
            routing: Arc::new(Leads(Arc::clone(world))),
            clock,
            random: || Ok([7; 10]),
        })
        .unwrap();
        let end = CancellationToken::new();
        let (servers, run) = serve(lifecycle, end.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(run);
        Self { world: Arc::clone(world), servers, revision: Mutex::new(0), end, tasks }
    }

    /// Wants one server that is run so, or none.
    async fn want(&self, spec: Option<&str>) {
        let revision = {
            let mut revision = self.revision.lock().unwrap();
            *revision += 1;
            *revision
        };
        let mut text =
            "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\nspec: { mode: enforce }\n".to_owned();
        if let Some(spec) = spec {
            text += &format!(
                "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: files }}\nspec: {{ {spec} }}\n"
            );
        }
        let set = parse_files(&[SourceFile { name: "test.yaml".into(), text }]).unwrap();
        self.servers.want(&Snapshot::compile(revision, Arc::new(set)).unwrap());
        self.servers.answered(revision).await;
    }

    fn phase(&self) -> Option<(Phase, Option<u64>)> {
        let status = self.servers.status(&files())?;
        Some((status.state.phase, status.state.serving))
    }

    fn running(&self) -> Vec<String> {
        let running = self.world.running.lock().unwrap();
        let mut commands: Vec<_> =
            running.iter().map(|name| name.split_once(' ').unwrap().1.to_owned()).collect();
        commands.sort();
        commands
    }

    fn records(&self) -> Vec<String> {
        let records = self.world.records.lock().unwrap();
        let told = |(pairing, record): &(Pairing, Value)| match (pairing, record["kind"].as_str().unwrap()) {
            (Pairing::Event, "server.state_changed") => {
                format!("{} > {}", text(&record["before"]["state"]), text(&record["after"]["state"]))
            }
            (Pairing::Outcome(intent), kind) => {
                format!("{kind} {} {}", intent.0, text(&record["outcome"]["error"]))
            }
            (_, kind) => kind.to_owned(),
        };
        records.iter().map(told).collect()
    }

    async fn end(mut self) {
        self.end.cancel();
        while self.tasks.join_next().await.is_some() {}
        // Its processes end with it.
        self.world.running.lock().unwrap().clear();
    }
}

fn files() -> ServerId {
    "dev/files".parse().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn somebody() -> Requester {
    Requester {
        kind: "operator",
        issuer: "".into(),
        subject: "unix:1000".into(),
        groups: [].into(),
        source: None,
        origin: Origin::Api,
        reason: Some("it hangs".to_owned()),
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

const FIRST: &str = "transport: stdio, command: [one]";
const SECOND: &str = "transport: stdio, command: [two]";

#[tokio::test(start_paused = true)]
async fn a_server_is_asked_before_anyone_is_led_to_it() {
    let world = Arc::new(World::default());
    let plane = Plane::begin(&world);
    plane.want(Some(FIRST)).await;
    assert_eq!(plane.phase(), Some((Phase::Probing, None)));
    assert_eq!(world.routes.lock().unwrap().get("dev/files").and_then(|route| route.live.clone()), None);
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(1))));
    assert!(world.routes.lock().unwrap()["dev/files"].live.is_some());
    assert_eq!(plane.records(), ["- > Probing", "Probing > Running"]);
    // Another version takes its place, and the old one drains.
    plane.want(Some(SECOND)).await;
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(2))));
    assert_eq!(plane.running(), ["one", "two"]);
    pass(60).await;
    assert_eq!(plane.running(), ["two"]);
    plane.want(None).await;
    assert_eq!((plane.phase(), plane.running()), (None, Vec::new()));
    assert_eq!(plane.records().last().map(String::as_str), Some("Running > -"));
    assert_eq!(world.routes.lock().unwrap()["dev/files"], Route::default());
    plane.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_leaves_what_serves() {
    let world = Arc::new(World::default());
    world.bad.lock().unwrap().insert("two".to_owned(), "it exits at once".to_owned());
    let plane = Plane::begin(&world);
    plane.want(Some(FIRST)).await;
    pass(1).await;
    let route = world.routes.lock().unwrap()["dev/files"].clone();
    plane.want(Some(SECOND)).await;
    pass(40).await;
    assert_eq!(plane.phase(), Some((Phase::Failed, Some(1))));
    assert_eq!(world.routes.lock().unwrap()["dev/files"], route);
    // However often it is tried, it is recorded once.
    assert_eq!(
        plane.records(),
        ["- > Probing", "Probing > Running", "Running > Probing", "Probing > Failed"]
    );
    world.bad.lock().unwrap().clear();
    pass(60).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(2))));
    plane.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_recorded_before_and_after() {
    let world = Arc::new(World::default());
    let plane = Plane::begin(&world);
    let missing = plane.servers.restart(&files(), somebody()).await;
    assert!(matches!(missing, Err(ServerError::NoServer(_))), "{missing:?}");
    plane.want(Some(FIRST)).await;
    pass(1).await;
    plane.servers.restart(&files(), somebody()).await.unwrap();
    assert_eq!(plane.phase(), Some((Phase::Probing, Some(1))));
    assert_eq!(plane.running(), ["one", "one"]);
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(1))));
    assert_eq!(plane.servers.status(&files()).map(|status| status.restarts), Some(1));
    let records = plane.records();
    assert!(records.contains(&"server.restarted".to_owned()), "{records:?}");
    assert!(records.contains(&"change.applied 2 -".to_owned()), "{records:?}");
    // One that does not come up ends so, too, and what ran goes on.
    world.bad.lock().unwrap().insert("one".to_owned(), "it exits at once".to_owned());
    plane.servers.restart(&files(), somebody()).await.unwrap();
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Failed, Some(1))));
    assert!(
        plane
            .records()
            .iter()
            .any(|record| record.starts_with("change.aborted") && record.ends_with("it exits at once"))
    );
    // Once it can come up, the next one is tried at once, and ends well.
    world.bad.lock().unwrap().clear();
    plane.servers.restart(&files(), somebody()).await.unwrap();
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(1))));
    assert!(
        plane
            .records()
            .last()
            .is_some_and(|record| record.starts_with("change.applied") || record.ends_with("> Running"))
    );
    let applied = plane.records().iter().filter(|record| record.starts_with("change.applied")).count();
    assert_eq!(applied, 2);
    plane.want(Some("transport: stdio, command: [one], replicas: 0")).await;
    let stopped = plane.servers.restart(&files(), somebody()).await;
    assert!(matches!(stopped, Err(ServerError::Stopped(_))), "{stopped:?}");
    assert_eq!((plane.phase(), plane.running()), (Some((Phase::Stopped, None)), Vec::new()));
    plane.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_served_serves_again_after_the_process_ended() {
    let world = Arc::new(World::default());
    let plane = Plane::begin(&world);
    plane.want(Some(FIRST)).await;
    pass(1).await;
    world.bad.lock().unwrap().insert("two".to_owned(), "it exits at once".to_owned());
    plane.want(Some(SECOND)).await;
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Failed, Some(1))));
    plane.end().await;

    let plane = Plane::begin(&world);
    *plane.revision.lock().unwrap() = 2;
    plane.want(Some(SECOND)).await;
    // At once, before anything was asked.
    assert!(world.routes.lock().unwrap()["dev/files"].live.is_some());
    pass(2).await;
    assert_eq!(plane.phase(), Some((Phase::Failed, Some(1))));
    plane.end().await;

    // And what nobody wants any more does not.
    let plane = Plane::begin(&world);
    plane.want(None).await;
    pass(1).await;
    assert!(world.kept.lock().unwrap().is_empty() && plane.running().is_empty());
    plane.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_against_it_is_told_and_recorded_when_it_can_be() {
    let world = Arc::new(World::default());
    let plane = Plane::begin(&world);
    plane.want(Some("transport: stdio, command: [one], sessions: shared, replicas: 3")).await;
    pass(1).await;
    let trouble = |trouble: Option<&str>| {
        *world.trouble.lock().unwrap() = trouble.map(Into::into);
        world.changes.send_modify(|count| *count += 1);
    };
    *world.log_is_full.lock().unwrap() = true;
    trouble(Some("its process ended"));
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Degraded, Some(1))));
    assert_eq!(plane.records().len(), 2);
    *world.log_is_full.lock().unwrap() = false;
    pass(2).await;
    assert_eq!(plane.records().last().map(String::as_str), Some("Running > Degraded"));
    trouble(None);
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(1))));
    // Only another number: nothing is started, and nothing asked.
    *world.cannot_keep.lock().unwrap() = true;
    plane.want(Some("transport: stdio, command: [one], sessions: shared, replicas: 5")).await;
    assert_eq!((plane.phase(), plane.running().len()), (Some((Phase::Running, Some(1))), 1));
    assert_eq!(world.replicas.lock().unwrap().values().copied().collect::<Vec<_>>(), [5]);
    // What can't be kept is kept later.
    plane.want(Some(SECOND)).await;
    pass(1).await;
    assert_eq!(plane.phase(), Some((Phase::Running, Some(3))));
    assert_eq!(world.kept.lock().unwrap()["dev/files"].revision, 1);
    *world.cannot_keep.lock().unwrap() = false;
    pass(2).await;
    assert_eq!(world.kept.lock().unwrap()["dev/files"].revision, 3);
    plane.end().await;
}
