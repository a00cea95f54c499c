use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::ServerId;
use crate::resource::{FileAccess, HttpServer, Limits, Sessions, StdioServer, Transport};

fn id() -> ServerId {
    "dev/files".parse().unwrap()
}

fn stdio(argument: &str) -> Transport {
    Transport::Stdio(StdioServer {
        command: vec!["server".to_owned(), argument.to_owned()],
        env: Vec::new(),
        limits: Limits::default(),
        sessions: Sessions::Shared,
        files: FileAccess::Unrestricted,
    })
}

fn http(path: &str) -> Transport {
    Transport::Http(HttpServer { url: format!("https://mcp.example/{path}") })
}

fn wanted(transport: Transport, revision: u64, replicas: u32, before: Option<&Wanted>) -> Wanted {
    let server = Server { id: id(), labels: Default::default(), transport, replicas };
    Wanted::next(&server, revision, before)
}

/// What runs, as the steps have it, and what is kept.
#[derive(Default)]
struct World {
    observed: Observed,
    running: BTreeMap<String, u32>,
    probes: Vec<Endpoint>,
    kept: Option<u64>,
    now: Timestamp,
}

fn name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Local(instance) => instance.to_string(),
        Endpoint::Remote(url) => url.to_string(),
    }
}

impl World {
    fn work(&mut self, wanted: Option<&Wanted>) {
        for round in 0.. {
            assert!(round < 10, "the steps come to an end");
            let steps = plan(wanted, &mut self.observed, self.now);
            if steps.is_empty() {
                break;
            }
            for step in steps {
                match step {
                    Step::Start(instance, replicas) => {
                        let endpoint = instance.endpoint();
                        let again = self.running.insert(name(&endpoint), replicas);
                        assert!(
                            again.is_none() || matches!(endpoint, Endpoint::Remote(_)),
                            "{endpoint:?} runs already"
                        );
                    }
                    Step::Probe(endpoint) => {
                        assert!(
                            self.running.contains_key(&name(&endpoint)),
                            "{endpoint:?} is asked and does not run"
                        );
                        self.probes.push(endpoint);
                    }
                    Step::Resize(endpoint, replicas) => {
                        assert!(self.running.insert(name(&endpoint), replicas).is_some());
                    }
                    // It runs elsewhere.
                    Step::Stop(Endpoint::Remote(_)) => {}
                    Step::Stop(endpoint) => {
                        assert!(self.running.remove(&name(&endpoint)).is_some(), "{endpoint:?} does not run");
                        self.probes.retain(|probe| *probe != endpoint);
                    }
                    Step::Keep(version) => self.kept = version.map(|version| version.revision),
                }
            }
        }
    }

    fn answer(&mut self, wanted: Option<&Wanted>, answer: Result<&str, &str>) {
        if self.probes.is_empty() {
            return;
        }
        let endpoint = self.probes.remove(0);
        let surface = |server: &str| Arc::new(Surface { server: server.to_owned(), ..Surface::default() });
        self.observed.answered(&endpoint, answer.map(surface).map_err(Arc::from), self.now);
        self.work(wanted);
    }

    fn pass(&mut self, wanted: Option<&Wanted>, seconds: u64) {
        self.now = after(self.now, Duration::from_secs(seconds));
        self.work(wanted);
    }

    fn phase(&self, wanted: &Wanted) -> (Phase, Option<u64>) {
        let state = state(wanted, &self.observed);
        (state.phase, state.serving)
    }
}

#[test]
fn a_version_goes_live_when_it_answers_and_the_old_one_drains() {
    let mut world = World::default();
    let first = wanted(stdio("1"), 1, 1, None);
    world.work(Some(&first));
    assert_eq!((world.phase(&first), world.observed.route()), ((Phase::Probing, None), Route::default()));
    world.answer(Some(&first), Ok("one"));
    assert_eq!((world.phase(&first), world.kept), ((Phase::Running, Some(1)), Some(1)));

    let second = wanted(stdio("2"), 2, 1, Some(&first));
    world.work(Some(&second));
    assert_eq!((world.phase(&second), world.running.len()), ((Phase::Probing, Some(1)), 2));
    world.answer(Some(&second), Ok("two"));
    assert_eq!((world.phase(&second), world.kept), ((Phase::Running, Some(2)), Some(2)));
    let route = world.observed.route();
    assert_eq!((route.draining.len(), world.observed.wake()), (1, Some(after(world.now, DRAIN))));
    world.pass(Some(&second), DRAIN.as_secs());
    assert_eq!((world.running.len(), world.observed.route().draining.len()), (1, 0));
}

#[test]
fn a_version_that_does_not_answer_leaves_what_serves_and_is_tried_again() {
    let mut world = World::default();
    let first = wanted(stdio("1"), 1, 1, None);
    world.work(Some(&first));
    world.answer(Some(&first), Ok("one"));
    let second = wanted(stdio("2"), 2, 1, Some(&first));
    world.work(Some(&second));
    for (times, wait) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        world.answer(Some(&second), Err("no such command"));
        assert_eq!(world.phase(&second), (Phase::Failed, Some(1)));
        let failed = world.observed.failed.clone().unwrap();
        assert_eq!((failed.times, failed.retry), (times, after(world.now, Duration::from_secs(wait))));
        assert_eq!(world.running.len(), 1);
        world.pass(Some(&second), wait);
        // While it is tried again, it is still one that failed.
        assert_eq!((world.phase(&second), world.running.len()), ((Phase::Failed, Some(1)), 2));
        // Until it has answered, there is nothing to wake up for.
        assert_eq!(world.observed.wake(), None);
    }
    // The same as before is wanted again: nothing has to be asked.
    let third = wanted(stdio("1"), 3, 1, Some(&second));
    world.work(Some(&third));
    assert_eq!(world.running.len(), 1);
    assert_eq!((world.phase(&third), world.kept), ((Phase::Running, Some(3)), Some(3)));
    assert_eq!(backoff(40), BACKOFF_LIMIT);
}

#[test]
fn a_restart_has_a_second_one_of_the_same_version_answer_first() {
    let mut world = World::default();
    let mut wants = wanted(stdio("1"), 1, 1, None);
    world.work(Some(&wants));
    world.answer(Some(&wants), Ok("one"));
    let before = world.observed.route().live;
    wants.restarts = 1;
    world.work(Some(&wants));
    assert_eq!((world.running.len(), world.observed.route().live.as_ref()), (2, before.as_ref()));
    world.answer(Some(&wants), Ok("one"));
    assert_ne!(world.observed.route().live, before);
    assert_eq!(world.observed.live.as_ref().map(|live| live.restarts), Some(1));
}

#[test]
fn a_restart_tries_what_failed_at_once() {
    let mut world = World::default();
    let mut wants = wanted(stdio("1"), 1, 1, None);
    world.work(Some(&wants));
    world.answer(Some(&wants), Err("a file is missing"));
    assert_eq!((world.phase(&wants), world.probes.len()), ((Phase::Failed, None), 0));
    wants.restarts = 1;
    world.work(Some(&wants));
    assert_eq!((world.phase(&wants), world.probes.len()), ((Phase::Probing, None), 1));
    world.answer(Some(&wants), Ok("one"));
    assert_eq!(world.phase(&wants), (Phase::Running, Some(1)));
}

#[test]
fn what_served_serves_again_after_a_restart_of_the_process_and_is_asked() {
    let first = wanted(stdio("1"), 1, 1, None);
    let mut world = World { observed: Observed::resumed(Arc::clone(&first.version), 1), ..World::default() };
    let route = world.observed.route();
    assert!(route.live.is_some());
    world.work(Some(&first));
    assert_eq!(world.phase(&first), (Phase::Probing, Some(1)));
    world.answer(Some(&first), Err("it ended"));
    assert_eq!(world.phase(&first), (Phase::Degraded, Some(1)));
    world.pass(Some(&first), 1);
    // It is asked again, and not well meanwhile.
    assert_eq!((world.phase(&first), world.probes.len()), ((Phase::Degraded, Some(1)), 1));
    world.answer(Some(&first), Ok("one"));
    assert_eq!((world.phase(&first), world.observed.route()), ((Phase::Running, Some(1)), route));
}

#[test]
fn what_is_stopped_or_gone_runs_no_more() {
    let mut world = World::default();
    let first = wanted(stdio("1"), 1, 3, None);
    world.work(Some(&first));
    world.answer(Some(&first), Ok("one"));
    let more = wanted(stdio("1"), 2, 5, Some(&first));
    world.work(Some(&more));
    assert_eq!(world.running.values().copied().collect::<Vec<_>>(), [5]);
    let stopped = wanted(stdio("1"), 3, 0, Some(&more));
    world.work(Some(&stopped));
    assert_eq!((world.phase(&stopped), world.running.len(), world.kept), ((Phase::Stopped, None), 0, None));
    world.work(None);
    assert_eq!(world.observed, Observed::default());
}

#[test]
fn instances_have_names_of_their_own_that_stay_the_same() {
    let name = |transport: Transport, turn: u16| {
        name(&Version { server: id(), transport, revision: 1 }.endpoint(turn))
    };
    assert_eq!(name(stdio("1"), 0), name(stdio("1"), 0));
    assert_ne!(name(stdio("1"), 0), name(stdio("2"), 0));
    assert_ne!(name(stdio("1"), 0), name(stdio("1"), 1));
    assert_eq!(name(http("a"), 3), "https://mcp.example/a");
}

#[derive(Debug, Clone)]
enum Event {
    Want(Option<(u8, bool, u32)>),
    Restart,
    Answer(bool),
    Trouble(bool),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => proptest::option::weighted(0.9, (0..3_u8, any::<bool>(), 0..3_u32)).prop_map(Event::Want),
        1 => Just(Event::Restart),
        4 => any::<bool>().prop_map(Event::Answer),
        1 => any::<bool>().prop_map(Event::Trouble),
        3 => (0..100_u64).prop_map(Event::Pass),
    ]
}

proptest! {
    /// Whatever happens: nobody is led to what never answered, nothing is started twice or left running, and in the end
    /// what is wanted serves, alone.
    #[test]
    fn every_life_ends_well(events in proptest::collection::vec(event(), 0..60)) {
        let mut world = World::default();
        let mut wants: Option<Wanted> = None;
        let mut answered: Vec<String> = Vec::new();
        for (revision, event) in (1..).zip(events) {
            match event {
                Event::Want(what) => {
                    wants = what.map(|(which, remote, replicas)| {
                        let which = which.to_string();
                        let transport = if remote { http(&which) } else { stdio(&which) };
                        wanted(transport, revision, replicas, wants.as_ref())
                    });
                    world.work(wants.as_ref());
                }
                Event::Restart => {
                    if let Some(wants) = &mut wants {
                        wants.restarts += 1;
                    }
                    world.work(wants.as_ref());
                }
                Event::Answer(well) => {
                    answered.extend(world.probes.first().filter(|_| well).map(name));
                    world.answer(wants.as_ref(), if well { Ok("well") } else { Err("ill") });
                }
                Event::Trouble(there) => {
                    if let Some(live) = world.observed.route().live {
                        world.observed.troubled(&live, there.then(|| "trouble".into()));
                    }
                }
                Event::Pass(seconds) => world.pass(wants.as_ref(), seconds),
            }
            let route = world.observed.route();
            for endpoint in route.live.iter().chain(&route.draining) {
                prop_assert!(answered.contains(&name(endpoint)), "{endpoint:?} never answered");
                prop_assert!(world.running.contains_key(&name(endpoint)), "{endpoint:?} does not run");
            }
            if let Some(wants) = &wants {
                let state = state(wants, &world.observed);
                prop_assert_eq!(state.phase == Phase::Stopped, wants.replicas == 0);
                prop_assert_eq!(state.serving.is_some(), route.live.is_some());
            }
        }
        // From now on everything answers, and time passes.
        for _ in 0..20 {
            while !world.probes.is_empty() {
                world.answer(wants.as_ref(), Ok("well"));
            }
            world.pass(wants.as_ref(), 400);
        }
        match wants.filter(|wants| wants.replicas > 0) {
            None => {
                prop_assert!(world.running.keys().all(|name| name.starts_with("https:")));
                prop_assert_eq!(world.kept, None);
            }
            Some(wants) => {
                world.observed.live.as_mut().unwrap().trouble = None;
                prop_assert_eq!(world.phase(&wants), (Phase::Running, Some(wants.version.revision)));
                prop_assert_eq!(world.kept, Some(wants.version.revision));
                let local = world.running.keys().filter(|name| !name.starts_with("https:")).count();
                prop_assert!(local <= 1);
            }
        }
    }
}
