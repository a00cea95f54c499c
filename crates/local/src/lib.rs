//! MCP servers as child processes.
//!
//! Three parts, each usable without the next: the [`supervisor`] is the small process between us and a server, which
//! shuts the server in and never lets anything of it survive; the [`bridge`] serves one stdio server over Streamable
//! HTTP; the [`orchestrator`] keeps a bridge running for each server that is wanted.
//!
//! This crate decides nothing about who may do what: it is told, by the header that names the principal's key, whose
//! process a request belongs to. It never starts a shell and never passes its own environment on.

pub mod bridge;
pub mod orchestrator;
pub mod supervisor;
mod tree;

pub use orchestrator::{LocalConfig, LocalServers, ServerStatus};
pub use supervisor::capabilities;
