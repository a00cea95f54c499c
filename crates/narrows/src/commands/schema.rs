//! `narrows schema`: the JSON Schema of the resources, for editors and pipelines.

use crate::{failure::Failure, output};

/// Runs the command.
pub(crate) fn run() -> Result<(), Failure> {
    output::write(&output::json(&narrows_core::resource::json_schema())?)
}
