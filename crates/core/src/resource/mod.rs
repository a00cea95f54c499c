//! The resources that people write, as text and as checked values. What is wrong with them is reported all at once,
//! each with its place. A value of the checked types has been through every check that needs no other resource;
//! [`parse_files`] does those between resources too. Nothing here reads a file.

mod document;
mod files;
mod governance;
mod kind;
mod manifest;
mod namespace;
mod object;
mod provider;
mod quantity;
mod read;
mod references;
mod report;
mod role;
mod server;
mod set;
mod structure;
mod written;

#[cfg(test)]
mod tests;

pub use files::*;
pub use governance::*;
pub use kind::*;
pub use namespace::*;
pub use object::*;
pub use provider::*;
pub use read::check_key_url;
pub(crate) use references::check_references;
pub use role::*;
pub use server::*;
pub use set::*;

/// The JSON Schema (draft 2020-12) of one resource of any kind, as `schemas/narrows.dev_v1alpha1.json` holds it.
pub fn json_schema() -> serde_json::Value {
    structure::schema().clone()
}
