//! The data plane: a listener, authentication, the [`enforcer`], and the exchange of messages with servers.
//!
//! A request's way is a straight line: its head is checked, its sender authenticated, its body scanned, its claim
//! judged, its intent made durable, and only then is something sent, made anew from what was judged. This crate
//! knows no processes, no SQL and no files; how a server runs and where a record is kept are others' matters.

pub mod admin;
mod anonymous;
pub mod clock;
mod concurrency;
mod context;
mod cuts;
mod edge;
mod enforcer;
mod exchange;
mod frames;
mod framing;
mod gateway;
mod gathered;
mod handover;
pub mod identity;
mod judge;
mod lease;
pub mod listener;
mod metrics;
mod patience;
pub mod probe;
pub mod refusal;
mod reply;
mod room;
mod route;
mod session;
pub mod settings;
pub mod telemetry;
mod tls;
mod upstream;
mod ways;
mod workers;

pub use gateway::{Gateway, Parts};
pub use listener::{Listener, converse, serve};
pub use settings::{Limits, Settings};
pub use tls::{ServerTls, TlsError};
