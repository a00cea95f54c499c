//! Tests of the binary as its users run it: its words, its life, what it tells whom when something goes wrong.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: what is not there is to fail them"
)]

mod changes;
mod cli;
mod documents;
mod messages;
mod policies;
mod remote;
mod running;
mod secrets;
mod tls;
mod up;
