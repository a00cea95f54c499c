//! `narrows policy` as it was said.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Judge files by the policies in them and those that are built in; no running Narrows is needed
    Test(PolicyTestArgs),
    /// Print the policies that are built in, as YAML
    ShowDefaults,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTestArgs {
    /// A file of resources, or a directory of them; everything in it is judged, as if it were new
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What those refer to, such as their namespaces, and further policies; not judged itself
    #[arg(long = "namespace-file", value_name = "FILE|DIR")]
    pub(crate) namespace_files: Vec<PathBuf>,
    /// Who would ask for the change
    #[arg(long = "as", value_name = "SUBJECT", default_value = "")]
    pub(crate) subject: String,
    /// A group of theirs
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: PolicyOutput,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyOutput {
    Table,
    Json,
    Junit,
    Sarif,
}
