//! The domain of Narrows: who may do what on which server, and how it is recorded.
//!
//! Values in, values out. This crate does no I/O, reads no clock, draws no random number and knows no runtime;
//! time, randomness and storage reach it as arguments or through the traits in [`ports`].

pub mod action;
pub mod audit;
pub mod change;
pub mod decision;
#[cfg(test)]
mod golden;
pub mod governance;
pub mod ids;
pub mod lifecycle;
pub mod pattern;
pub mod policy;
pub mod ports;
pub mod principal;
pub mod problem;
pub mod resource;
mod suggest;
