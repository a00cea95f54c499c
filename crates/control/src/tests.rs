//! The way of a change, with a log and a store that fail as they are told: at every step, the state in force is the one
//! that is kept, nothing is kept before all of it is recorded, and each intent gets its outcome.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use narrows_core::{
    change::{Edits, FollowedFiles, Following, Proposal, Refusal},
    policy::Snapshot,
    ports::{
        AppendError, AuditLog, Durable, LogIndex, Pairing, RevisionEntry, Revisions, SavedRevision,
        StateError,
    },
    resource::{Documents, ObjectKey, ResourceKind, SourceFile},
};
use serde_json::Value;

use super::*;

/// How keeping a state goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Works,
    Fails,
    /// It is kept, and an error is said.
    FailsAfterwards,
    /// So, and nothing can be asked either.
    IsGone,
    /// Nothing is kept, and nothing can be asked.
    IsGoneBefore,
}

struct World {
    records: Mutex<Vec<(Pairing, Value)>>,
    /// Intents that are taken before one is not.
    takes: Mutex<usize>,
    kept: Mutex<Vec<SavedRevision>>,
    keeping: Mutex<Keeping>,
    in_force: Mutex<Vec<u64>>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::default(),
            takes: Mutex::new(usize::MAX),
            kept: Mutex::default(),
            keeping: Mutex::new(Keeping::Works),
            in_force: Mutex::default(),
        })
    }

    fn control(self: &Arc<Self>, following: Following) -> Control {
        let world = Arc::clone(self);
        Control::load(Parts {
            log: Arc::clone(&world) as _,
            revisions: Arc::clone(&world) as _,
            live: world as _,
            following,
            clock: || jiff::Timestamp::from_second(1_800_000_000).unwrap(),
            random: || Ok([7; 10]),
        })
        .unwrap()
    }

    fn push(&self, pairing: Pairing, line: &[u8]) -> LogIndex {
        let mut records = self.records.lock().unwrap();
        records.push((pairing, serde_json::from_slice(line).unwrap()));
        LogIndex(records.len() as u64 - 1)
    }

    /// Kinds of records, each with the place of its intent.
    fn recorded(&self) -> Vec<String> {
        let records = self.records.lock().unwrap();
        let said = |(pairing, record): &(Pairing, Value)| {
            let kind = record["kind"].as_str().unwrap();
            match pairing {
                Pairing::Outcome(intent) => format!("{kind} {}", intent.0),
                Pairing::Intent => format!("{kind} {}", record["object"]["name"].as_str().unwrap()),
                Pairing::Event => kind.to_owned(),
            }
        };
        records.iter().map(said).collect()
    }

    fn assert_consistent(&self) {
        let mut open: BTreeMap<u64, ()> = BTreeMap::new();
        for (index, (pairing, _)) in (0..).zip(self.records.lock().unwrap().iter()) {
            match pairing {
                Pairing::Intent => drop(open.insert(index, ())),
                Pairing::Outcome(intent) => assert_eq!(open.remove(&intent.0), Some(()), "closed once"),
                Pairing::Event => {}
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
        let kept: Vec<u64> = self.kept.lock().unwrap().iter().map(|revision| revision.number).collect();
        assert_eq!(*self.in_force.lock().unwrap(), kept, "what is kept is in force, in order");
    }
}

impl AuditLog for World {
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable {
        let mut takes = self.takes.lock().unwrap();
        let taken = if *takes == 0 { Err(AppendError::Full) } else { Ok(self.push(pairing, &line)) };
        *takes = takes.saturating_sub(1);
        Box::pin(std::future::ready(taken))
    }

    fn append_later(&self, pairing: Pairing, line: Vec<u8>) -> Result<(), AppendError> {
        self.push(pairing, &line);
        Ok(())
    }

    fn health(&self) -> Result<(), AppendError> {
        Ok(())
    }
}

impl Revisions for World {
    fn latest(&self) -> Result<Option<SavedRevision>, StateError> {
        Ok(self.kept.lock().unwrap().last().cloned())
    }

    fn numbered(&self, number: u64) -> Result<Option<SavedRevision>, StateError> {
        Ok(self.kept.lock().unwrap().iter().find(|kept| kept.number == number).cloned())
    }

    fn list(&self, _: Option<u64>, _: usize) -> Result<Vec<RevisionEntry>, StateError> {
        Ok(Vec::new())
    }

    fn save(&self, revision: &SavedRevision) -> Result<(), StateError> {
        let change = revision.change.as_ref().unwrap();
        let records = self.records.lock().unwrap();
        let announced = records.iter().filter(|(pairing, record)| {
            *pairing == Pairing::Intent && record["change"]["id"] == change.id.as_str()
        });
        assert!(announced.count() >= change.objects.len(), "all is recorded before anything is kept");
        let keeping = *self.keeping.lock().unwrap();
        match keeping {
            Keeping::Works | Keeping::FailsAfterwards | Keeping::IsGone => {
                self.kept.lock().unwrap().push(revision.clone());
            }
            Keeping::Fails | Keeping::IsGoneBefore => {}
        }
        match keeping {
            Keeping::Works => Ok(()),
            _ => Err(failure()),
        }
    }

    fn settle(&self, change: &str) -> Result<bool, StateError> {
        match *self.keeping.lock().unwrap() {
            Keeping::IsGone | Keeping::IsGoneBefore => Err(failure()),
            Keeping::Works | Keeping::Fails | Keeping::FailsAfterwards => {
                let kept = self.kept.lock().unwrap();
                Ok(kept.iter().any(|kept| kept.change.as_ref().is_some_and(|led| led.id == change)))
            }
        }
    }
}

impl Live for World {
    fn put_in_force(&self, snapshot: &Arc<Snapshot>) {
        self.in_force.lock().unwrap().push(snapshot.revision().number);
    }
}

fn failure() -> StateError {
    StateError { message: "the disk is gone".to_owned(), hint: None }
}

fn namespaces(names: &[&str]) -> Documents {
    let text: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: {{ name: {name} }}\nspec: {{}}\n"
            )
        })
        .collect();
    Documents::read(&[SourceFile { name: "r.yaml".into(), text: text.join("---\n") }])
}

fn put(names: &[&str]) -> Proposal {
    Proposal::Edits(Edits { put: namespaces(names), ..Edits::default() })
}

fn alice() -> Requester {
    Requester {
        kind: "user",
        issuer: "urn:test".into(),
        subject: "alice".into(),
        groups: ["ops".into()].into(),
        source: Some(("127.0.0.1".to_owned(), "test".to_owned())),
        origin: Origin::Api,
        reason: Some("to try it".to_owned()),
    }
}

#[tokio::test]
async fn a_change_is_recorded_whole_then_kept_then_in_force() {
    let world = World::new();
    let mut control = world.control(Following::Nothing);
    let done = control.propose(put(&["a", "b"]), alice(), Run::Dry).await.unwrap();
    assert_eq!((done.base.number, done.revision.number, done.changes.len()), (0, 1, 2));
    assert!(world.recorded().is_empty() && world.in_force.lock().unwrap().is_empty(), "dry is dry");
    control.propose(put(&["a", "b"]), alice(), Run::Real).await.unwrap();
    let remove = ObjectKey::parse(ResourceKind::GovernedNamespace, "a").unwrap();
    let edits = Edits { put: namespaces(&["c"]), remove: vec![remove], ..Edits::default() };
    control.propose(Proposal::Edits(edits), alice(), Run::Real).await.unwrap();
    assert_eq!(
        world.recorded(),
        [
            "namespace.changed a",
            "namespace.changed b",
            "change.applied 0",
            "change.applied 1",
            "snapshot.published",
            "namespace.changed a",
            "namespace.changed c",
            "change.applied 5",
            "change.applied 6",
            "snapshot.published",
        ]
    );
    world.assert_consistent();
    // What a record holds.
    let records = world.records.lock().unwrap().clone();
    let removed = &records[5].1;
    assert_eq!(removed["actor"]["subject"], "alice");
    assert_eq!(removed["source"]["ip"], "127.0.0.1");
    assert_eq!(removed["before"]["metadata"]["name"], "a");
    assert_eq!(removed.get("after"), None);
    assert_eq!(removed["change"]["operation"], "delete");
    assert_eq!(removed["change"]["objects"], 2);
    assert_eq!(removed["change"]["reason"], "to try it");
    assert_eq!(records[6].1["after"]["metadata"]["name"], "c");
    assert_eq!(removed["change"]["id"], records[8].1["change"]["id"]);
    let kept = world.kept.lock().unwrap().clone();
    assert_eq!(removed["change"]["revision"], format!("2-{}", kept[1].digest));
    // A change that changes nothing leaves no trace.
    let done = control.propose(put(&["c"]), alice(), Run::Real).await.unwrap();
    assert_eq!((done.changes.len(), done.revision.number), (0, 2));
    assert_eq!(world.recorded().len(), 10);
}

#[tokio::test]
async fn whatever_fails_the_last_good_state_stays() {
    for takes in 0..3 {
        let world = World::new();
        let mut control = world.control(Following::Nothing);
        control.propose(put(&["a"]), alice(), Run::Real).await.unwrap();
        *world.takes.lock().unwrap() = takes;
        let refused = control.propose(put(&["b", "c", "d"]), alice(), Run::Real).await;
        assert!(matches!(refused, Err(ControlError::Unrecorded(AppendError::Full))), "{refused:?}");
        world.assert_consistent();
        *world.takes.lock().unwrap() = usize::MAX;
        let done = control.propose(put(&["b", "c", "d"]), alice(), Run::Real).await.unwrap();
        assert_eq!(done.revision.number, 2);
        world.assert_consistent();
    }
    let world = World::new();
    let mut control = world.control(Following::Nothing);
    *world.keeping.lock().unwrap() = Keeping::Fails;
    let refused = control.propose(put(&["a"]), alice(), Run::Real).await;
    assert!(matches!(refused, Err(ControlError::Unsaved(_))), "{refused:?}");
    world.assert_consistent();
    assert_eq!(world.recorded(), ["namespace.changed a", "change.aborted 0"]);
    // An error after the fact is none.
    *world.keeping.lock().unwrap() = Keeping::FailsAfterwards;
    control.propose(put(&["a"]), alice(), Run::Real).await.unwrap();
    world.assert_consistent();
    assert_eq!(control.current().borrow().revision.number, 1);
}

#[tokio::test]
async fn a_change_in_doubt_is_settled_before_the_next() {
    for (keeping, expected) in [(Keeping::IsGone, 1), (Keeping::IsGoneBefore, 0)] {
        let world = World::new();
        let mut control = world.control(Following::Nothing);
        *world.keeping.lock().unwrap() = keeping;
        for _ in 0..2 {
            let doubtful = control.propose(put(&["a"]), alice(), Run::Real).await;
            assert!(matches!(doubtful, Err(ControlError::InDoubt(_))), "{doubtful:?}");
        }
        assert_eq!(world.recorded(), ["namespace.changed a"], "one intent, and no outcome yet");
        *world.keeping.lock().unwrap() = Keeping::Works;
        let done = control.propose(put(&["b"]), alice(), Run::Real).await.unwrap();
        assert_eq!(done.base.number, expected);
        world.assert_consistent();
        assert_eq!(world.kept.lock().unwrap().len() as u64, expected + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_in_doubt_is_settled_though_nobody_asks() {
    let world = World::new();
    let end = tokio_util::sync::CancellationToken::new();
    let (controller, run) = serve(world.control(Following::Nothing), end.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(run);
    *world.keeping.lock().unwrap() = Keeping::IsGone;
    let doubtful = controller.propose(put(&["a"]), alice(), Run::Real).await;
    assert!(matches!(doubtful, Err(ControlError::InDoubt(_))), "{doubtful:?}");
    let mut current = controller.watch();
    *world.keeping.lock().unwrap() = Keeping::Works;
    current.changed().await.unwrap();
    assert_eq!(controller.current().revision.number, 1);
    end.cancel();
    while tasks.join_next().await.is_some() {}
    world.assert_consistent();
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_kept() {
    let world = World::new();
    let mut control = world.control(Following::Nothing);
    control.propose(put(&["a"]), alice(), Run::Real).await.unwrap();
    drop(control);
    let records = world.recorded().len();
    let mut control = world.control(Following::Files);
    control.resume().unwrap();
    assert_eq!(*world.in_force.lock().unwrap(), [1, 1]);
    assert_eq!(world.recorded().len(), records, "a restart is no change");
    let files = Proposal::Files(FollowedFiles { documents: namespaces(&["b"]), directory: "/etc".into() });
    control.propose(files, Requester::files("r.yaml".to_owned()), Run::Real).await.unwrap();
    let refused = control.propose(put(&["a", "b"]), alice(), Run::Real).await.unwrap();
    assert!(refused.changes.is_empty());
    let edits = Edits {
        remove: vec![ObjectKey::parse(ResourceKind::GovernedNamespace, "b").unwrap()],
        ..Edits::default()
    };
    let refused = control.propose(Proposal::Edits(edits), alice(), Run::Real).await;
    assert!(matches!(refused, Err(ControlError::Refused(Refusal::Followed(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_state_that_was_altered_is_refused() {
    let world = World::new();
    let mut control = world.control(Following::Nothing);
    control.propose(put(&["a"]), alice(), Run::Real).await.unwrap();
    let mut kept = world.kept.lock().unwrap();
    let resources = &mut kept.last_mut().unwrap().resources;
    *resources = resources.replace("\"a\"", "\"b\"");
    drop(kept);
    let error = latest(&*world).unwrap_err();
    assert_eq!(error.to_string(), "revision 1 is damaged: its resources are not those that were saved");
}

#[tokio::test]
async fn proposals_wait_for_their_turn_and_are_seen_to_their_end() {
    let world = World::new();
    let end = tokio_util::sync::CancellationToken::new();
    let (controller, run) = serve(world.control(Following::Nothing), end.clone());
    let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
    let mut asking = tokio::task::JoinSet::new();
    for name in &names {
        let (controller, name) = (controller.clone(), name.clone());
        asking.spawn(async move { controller.propose(put(&[&name]), alice(), Run::Real).await });
    }
    // Who gave up asking does not undo it.
    let given_up = {
        let controller = controller.clone();
        async move {
            let asked = controller.propose(put(&["given-up"]), alice(), Run::Real);
            let _ = tokio::time::timeout(std::time::Duration::ZERO, asked).await;
        }
    };
    given_up.await;
    asking.spawn(async move {
        run.await;
        Err(ControlError::Closed)
    });
    let mut done = 0;
    while let Some(asked) = asking.join_next().await {
        if asked.unwrap().is_ok() {
            done += 1;
        }
        if done == names.len() {
            end.cancel();
        }
    }
    assert_eq!(done, names.len());
    assert_eq!(controller.current().resources.namespaces.len(), names.len() + 1);
    let after = controller.propose(put(&["late"]), alice(), Run::Real).await;
    assert!(matches!(after, Err(ControlError::Closed)), "{after:?}");
    assert_eq!(controller.revision(1).await.unwrap().revision.number, 1);
    assert!(matches!(controller.revision(99).await, Err(ControlError::NoRevision(99))));
    world.assert_consistent();
}

/// A namespace for production, and servers in it that run whatever version of a package was published last.
fn unpinned(names: &[&str]) -> String {
    let mut text = "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: prod }\n\
                    spec: { environment: prod }\n"
        .to_owned();
    for name in names {
        text.push_str(&format!(
            "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\n\
             metadata: {{ namespace: prod, name: {name}, labels: {{ team: a }} }}\n\
             spec: {{ transport: stdio, command: [npx, -y, {name}], resources: {{ cpu: 1, memory: 64Mi }} }}\n"
        ));
    }
    text
}

fn put_text(text: &str) -> Proposal {
    let put = Documents::read(&[SourceFile { name: "r.yaml".into(), text: text.to_owned() }]);
    Proposal::Edits(Edits { put, ..Edits::default() })
}

fn is_denied(proposed: Result<Done, ControlError>) -> bool {
    match proposed {
        Err(ControlError::Refused(Refusal::Denied(denied))) => {
            assert!(denied.violations.iter().any(narrows_core::governance::Violation::denies));
            true
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => false,
    }
}

#[tokio::test]
async fn what_policies_refuse_is_recorded_and_not_done() {
    let world = World::new();
    let mut control = world.control(Following::Nothing);
    let text = unpinned(&["a", "b"]);
    assert!(is_denied(control.propose(put_text(&text), alice(), Run::Dry).await));
    assert!(world.recorded().is_empty(), "dry is dry");
    assert!(is_denied(control.propose(put_text(&text), alice(), Run::Real).await));
    assert_eq!(world.recorded(), ["change.denied", "change.denied"]);
    assert!(world.kept.lock().unwrap().is_empty());
    world.assert_consistent();
    let records = world.records.lock().unwrap().clone();
    let first = &records[0].1;
    assert_eq!(first["actor"]["subject"], "alice");
    assert_eq!(first["source"]["ip"], "127.0.0.1");
    assert_eq!(first["object"], serde_json::json!({ "kind": "McpServer", "namespace": "prod", "name": "a" }));
    assert_eq!(first["decision"]["effect"], "deny");
    assert_eq!(first["decision"]["rule"], "narrows-packages/npx");
    assert_eq!(first["change"]["operation"], "create");
    assert_eq!(first["change"]["reason"], "to try it");
    assert_eq!(first["change"]["id"], records[1].1["change"]["id"]);
    let found = &first["after"]["violations"][0];
    assert_eq!(found["policy"], "narrows-packages");
    assert_eq!(found["field"], "spec.command");
    assert_eq!(found["actual"], "[\"npx\",\"-y\",\"a\"]");
    // With an exemption it is done, and said.
    let exempted = text
        + "---\napiVersion: narrows.dev/v1alpha1\nkind: PolicyExemption\nmetadata: { name: moving }\n\
           spec: { policy: narrows-packages, namespaces: [prod], owner: bob, reason: moving, expires: 2100-01-01 }\n";
    let done = control.propose(put_text(&exempted), alice(), Run::Real).await.unwrap();
    let warned: Vec<_> = done.warnings.iter().map(|violation| violation.effect.as_str()).collect();
    assert_eq!((done.changes.len(), warned), (4, vec!["exempted", "exempted"]));
    world.assert_consistent();
}

/// A refusal that can't be recorded is answered as a change that can't be.
#[tokio::test]
async fn a_refusal_is_durable_before_it_is_answered() {
    for takes in 0..2 {
        let world = World::new();
        let mut control = world.control(Following::Nothing);
        *world.takes.lock().unwrap() = takes;
        let refused = control.propose(put_text(&unpinned(&["a", "b"])), alice(), Run::Real).await;
        assert!(matches!(refused, Err(ControlError::Unrecorded(AppendError::Full))), "{refused:?}");
        assert!(world.kept.lock().unwrap().is_empty());
    }
}

/// However much is refused, what is recorded of it is bounded.
#[tokio::test]
async fn the_records_of_a_refusal_are_bounded() {
    let world = World::new();
    let mut control = world.control(Following::Nothing);
    let names: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(is_denied(control.propose(put_text(&unpinned(&names)), alice(), Run::Real).await));
    let records = world.records.lock().unwrap();
    assert_eq!(records.len(), 64);
    assert!(records.iter().all(|(_, record)| record["after"]["objectsDenied"] == 100));
}

/// What is in force is not judged again: a start with the same files is no change, and is not refused.
#[tokio::test]
async fn a_restart_is_not_judged() {
    let world = World::new();
    let mut control = world.control(Following::Files);
    let followed = |text: &str| {
        let documents = Documents::read(&[SourceFile { name: "r.yaml".into(), text: text.to_owned() }]);
        Proposal::Files(FollowedFiles { documents, directory: "/etc".into() })
    };
    let files = || Requester::files("r.yaml".to_owned());
    let text = unpinned(&["a"]);
    let staging = text.replace("environment: prod", "environment: staging");
    let done = control.propose(followed(&staging), files(), Run::Real).await.unwrap();
    assert_eq!(done.warnings.len(), 1);
    // The namespace is what changes then, and the server stays as it is.
    let done = control.propose(followed(&text), files(), Run::Real).await.unwrap();
    assert_eq!((done.changes.len(), done.warnings.len()), (1, 0));
    drop(control);
    let mut control = world.control(Following::Files);
    let done = control.propose(followed(&text), files(), Run::Real).await.unwrap();
    assert!(done.changes.is_empty());
    // Another server is judged, and refused with the whole of the files.
    assert!(is_denied(control.propose(followed(&unpinned(&["a", "b"])), files(), Run::Real).await));
    assert_eq!(control.current().borrow().revision.number, 2);
    world.assert_consistent();
}
