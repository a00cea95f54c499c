//! The people's API, `/api/v1`: resources, changes to them, and all revisions. It decides nothing and keeps nothing: a
//! change is the control plane's. Transfer types live and die here.
//!
//! A request needs a [`Caller`], which whoever serves the router puts into its extensions once it knows who that is;
//! without one it is refused.

mod answer;
mod body;
mod problem;
mod router;
mod servers;
mod types;

#[cfg(test)]
mod tests;

pub use problem::{Problem, ResourceProblem};
pub use router::{Caller, Plane, router};
pub use types::*;
