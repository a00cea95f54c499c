//! up
mod plan;
use crate::{cli::UpArgs, environment::Environment, failure::Failure};
use std::{path::PathBuf, process::ExitCode};
pub(crate) async fn run(args: UpArgs, _root: PathBuf, _env: &Environment) -> Result<ExitCode, Failure> {
    plan::Plan::check(args)?;
    Ok(ExitCode::SUCCESS)
}
