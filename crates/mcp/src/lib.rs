//! The wire: strict JSON, JSON-RPC envelopes, MCP methods and revisions, header agreement, server-sent events,
//! streamed responses and sealed handles.
//!
//! Bytes in, values and bytes out. This crate does no I/O, reads no clock, and knows nothing of who is asking:
//! it must never hold a principal, a policy or a connection. What it hands on to be judged is always the same
//! text that is sent on; nothing here forwards bytes that were not scanned.

pub mod envelope;
pub mod handle;
pub mod headers;
pub mod json;
pub mod method;
mod names;
pub mod response;
pub mod revision;
pub mod sse;
