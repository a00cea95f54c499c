//! The record: what is written about each request, and the tree that makes a change to it visible.

mod record;

pub use record::*;
