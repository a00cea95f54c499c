//! One module for each command that does its work and ends.

pub(crate) mod audit;
pub(crate) mod bridge;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod schema;
pub(crate) mod server_logs;
pub(crate) mod token;
