//! Whole exchanges: what a hostile client sends on a connection to a gateway, between a record that is kept in
//! memory and a server that answers as the input says. Time is virtual, so that no wait takes any.
//!
//! An input is sections that begin with a line `%` at its start:
//!
//! - `%U200 js` and a body: what the server answers next. The letters: `j` JSON, `e` an event stream, `s` with a
//!   session's id, `h` the body stays open. In the body `$id` is the id of the request, `$token` its progress token.
//! - `%Pr`, header lines, an empty line, and a body: a POST of `ann` (`r`), who may read, of `bob` (`w`), who may do
//!   all but one thing, or without a token (`n`). `%G` and `%D` are GET and DELETE, without a body.
//! - `%R` and anything: bytes of a connection.
//!
//! In what the client sends, `$R` and `$W` are tokens, and `$S` (session), `$E` (event), `$C` (cursor), `$T` (request
//! state) and `$Q` (a request of the server) what it was given last.

mod input;
mod promises;
mod world;

use input::{Section, Verb};
use world::World;

/// What the tests and the fuzzer call.
pub(crate) fn check(data: &[u8]) {
    thread_local! {
        static GATE: Gate = Gate::open();
    }
    GATE.with(|gate| gate.run(data));
}

struct Gate {
    world: World,
    runtime: tokio::runtime::Runtime,
}

impl Gate {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        Self { world: runtime.block_on(World::start()), runtime }
    }

    fn run(&self, data: &[u8]) {
        self.runtime.block_on(async {
            let world = &self.world;
            world.reset();
            let mut given = input::Given::default();
            let mut connections = Vec::new();
            let mut answers = Vec::new();
            for section in input::sections(data) {
                match section {
                    Section::Server(script) => world.server.will(script),
                    Section::Raw(bytes) => {
                        let (answer, open) = world.exchange(&given.fill(bytes, world)).await;
                        given.learn(&answer);
                        answers.push((None, answer));
                        connections.push(open);
                    }
                    Section::Request { verb, who, head, body } => {
                        let body = given.fill(body, world);
                        let bytes = input::request(verb, who, &given.fill(head, world), &body, world);
                        let (answer, open) = world.exchange(&bytes).await;
                        given.learn(&answer);
                        answers.push((matches!(verb, Verb::Post).then_some((who, body)), answer));
                        connections.push(open);
                    }
                }
            }
            drop(connections);
            world.settle().await;
            let events = world.events();
            promises::of_server(&events);
            for (request, answer) in &answers {
                promises::of_client(&events, request.as_ref(), answer);
            }
        });
    }
}
