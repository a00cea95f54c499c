//! The bridge and the orchestrator with real processes, driven over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

mod client;
mod closing;
mod harness;
mod lines;
mod orchestrator;
mod processes;
mod sessions;
mod shared;
mod stateless;
mod tcp;
mod walls;
