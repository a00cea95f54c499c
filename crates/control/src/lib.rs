//! The control plane: the one way of a change. A proposal, whoever it is from, is held against what is in force
//! ([`narrows_core::change`]), recorded durably resource by resource, kept with all that led to it, and put in force. A
//! change that can't be recorded or kept is not put in force, and the last good state stays.
//!
//! No HTTP, no SQL, no processes: where records and states are kept, and what puts a state in force, are ports.

mod control;
mod denied;
mod error;
mod handle;
pub mod lifecycle;
mod record;

#[cfg(test)]
mod tests;

pub use control::{Control, Done, Live, Parts, Run, latest};
pub use error::ControlError;
pub use handle::{Controller, serve};
pub use record::{Origin, Requester};
