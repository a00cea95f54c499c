//! One module for each command that does its work and ends.

pub(crate) mod audit;
pub(crate) mod bridge;
pub(crate) mod change;
pub(crate) mod check;
mod differences;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod policy;
pub(crate) mod revisions;
pub(crate) mod schema;
pub(crate) mod server;
pub(crate) mod server_logs;
pub(crate) mod token;
