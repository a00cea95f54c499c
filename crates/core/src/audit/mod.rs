//! The record: what is written about each request, and the tree that makes a change to it visible.

pub mod checkpoint;
mod encode;
mod record;
mod stamp;
pub mod tile;
pub mod tree;

pub use record::*;
pub use stamp::*;
