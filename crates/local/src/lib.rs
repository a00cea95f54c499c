//! MCP servers as child processes.
//!
//! Three parts, each usable without the next: the [`supervisor`] is the small process between us and a server, which
//! shuts the server in and never lets anything of it survive; the [`bridge`] serves one stdio server over Streamable
//! HTTP; the [`orchestrator`] keeps a bridge running for each server that is wanted.
//!
//! This crate decides nothing about who may do what: it is told, by the header that names the principal's key, whose
//! process a request belongs to. It never starts a shell and never passes its own environment on.
//!
//! # What a server's process has
//! - Its environment is what it declares, and, where it does not declare them itself: `PATH`, `LANG` (if the bridge
//!   was given one), `HOME` (the server's own directory, made with mode 0700, which is also its working directory and
//!   is the same for all processes of one server) and `TMPDIR` (`tmp` in it). Nothing else.
//! - Descriptors 0, 1 and 2, no core dumps, no new privileges, a session (`setsid`) and process group of its own.
//! - A Landlock domain, where the kernel has Landlock: no signals to processes outside, no abstract sockets of theirs,
//!   no tracing of them. With `files`, nothing of the file system but what is declared, its own directory, and what
//!   programs need to start (libraries, executables, `/proc`, parts of `/etc`, read only; harmless devices). Without
//!   `files`, the file system is as open to it as to the account that runs it.
//! - Bounds: open files by the kernel; memory (proportional set size), processes and threads, and processor time of its
//!   whole tree by measuring several times a second. Between two measurements it can be over. No cgroup is used.
//!
//! # What is refused and what is only said
//! `files` without Landlock and more open files than the account may have are refused. A kernel without (enough of)
//! Landlock where `files` is not asked for, and running as root, are said in the server's log at each start.

pub mod bridge;
pub mod orchestrator;
pub mod supervisor;
mod tree;

pub use orchestrator::{LocalConfig, LocalError, LocalServers, ServerStatus};
pub use supervisor::{Capabilities, capabilities};
