//! `narrows server`, as it was said.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use narrows_core::{
    change::Base,
    ids::{NamespaceName, ServerId},
};
use url::Url;

use super::{HowArgs, OutputFormat};

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Say how all servers fare
    List(ServerListArgs),
    /// Say how one fares
    Status(ServerOnlyArgs),
    /// Put what is in files in place, and wait until its servers serve
    Deploy(ServerDeployArgs),
    /// Have so many processes share a server's sessions; 0 stops it
    Scale(ServerScaleArgs),
    /// Start a server anew, as it is; the old one serves until the new one answers
    Restart(ServerRestartArgs),
    /// Change some of a server's fields
    Update(ServerUpdateArgs),
    /// Print a server's changes, newest first
    History(ServerHistoryArgs),
    /// Have a server as it was before its last change, or in a revision
    Rollback(ServerRollbackArgs),
    /// Remove a server
    Remove(ServerRemoveArgs),
    /// Print what a server wrote to its standard error
    Logs(ServerLogsArgs),
}

/// Whether to wait for what comes of it.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Return when it is recorded and under way
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Wait so long for it to serve
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ServerListArgs {
    /// Only those of this namespace
    #[arg(long, value_name = "NS")]
    pub(crate) namespace: Option<NamespaceName>,
    /// How they are printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ServerOnlyArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ServerDeployArgs {
    /// A file of resources, or a directory of *.yaml, *.yml and *.json
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServerScaleArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// How many processes
    #[arg(long, value_name = "NUMBER")]
    pub(crate) replicas: u32,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServerRestartArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ServerUpdateArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// A variable of its environment, new or in place of the one of this name
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A variable that it is to have no more
    #[arg(long, value_name = "NAME")]
    pub(crate) unset_env: Vec<String>,
    /// Where it is reached
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    pub(crate) url: Option<Url>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The command that it is run by
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServerHistoryArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// At most this many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) limit: u64,
    /// Only those before this one
    #[arg(long, value_name = "REV")]
    pub(crate) before: Option<Base>,
    /// How they are printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ServerRollbackArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// As it was in this revision [default: the one before its last change]
    #[arg(long, value_name = "REV")]
    pub(crate) to: Option<Base>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServerRemoveArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServerLogsArgs {
    /// Which server
    #[arg(value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// At most this many lines, the last
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) lines: usize,
}
