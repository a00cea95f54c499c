//! Persistence behind the core's ports.
//!
//! The audit log ([`log`]) is the product's evidence: an intent is durable before anything is done, and what was
//! written can't be changed unnoticed. [`audit`] reads it, from this process or another; [`state`] keeps snapshots
//! and key sets in SQLite. This crate knows no HTTP and makes no decision about a request.

pub mod audit;
mod error;
mod index;
pub mod key;
pub mod log;
pub mod state;

pub use error::{Damage, StoreError};
pub use log::{Log, LogOptions, OpenReport};
