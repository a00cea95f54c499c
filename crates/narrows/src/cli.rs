//! The command line as it was said. What it means is worked out in the commands, which turn these into checked forms;
//! nothing here opens a file or decides anything.

mod policy;
mod server;

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use narrows_control::Run;
use narrows_core::{
    change::Base,
    ids::{NamespaceName, ServerId},
    resource::ResourceKind,
};
use url::Url;

pub(crate) use server::*;

use crate::api::Purpose;
pub(crate) use policy::*;

/// Narrows: the one governed passage between AI agents and MCP servers.
#[derive(Debug, Parser)]
#[command(name = "narrows", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Where keys, state and the audit log are [default: $NARROWS_DATA_DIR, else ~/.local/share/narrows]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, in the foreground
    Up(Box<UpArgs>),
    /// Check files of resources; no running Narrows is needed
    Check(CheckArgs),
    /// Put resources in place; what is in no file of these stays as it is
    Apply(ChangeArgs),
    /// Say what `apply` would change
    Diff(DiffArgs),
    /// Remove resources
    Delete(DeleteArgs),
    /// Print resources as they are
    Get(GetArgs),
    /// All states that were in force: compare them, go back to one
    #[command(subcommand, arg_required_else_help = true)]
    Revisions(RevisionsCommand),
    /// What resources must be like
    #[command(subcommand, arg_required_else_help = true)]
    Policy(PolicyCommand),
    /// Tokens of the built-in issuer
    #[command(subcommand, arg_required_else_help = true)]
    Token(TokenCommand),
    /// Say whether somebody may do something, and by which rule
    Explain(Box<ExplainArgs>),
    /// The audit log
    #[command(subcommand, arg_required_else_help = true)]
    Audit(AuditCommand),
    /// The servers that run here
    #[command(subcommand, arg_required_else_help = true)]
    Server(ServerCommand),
    /// Print the JSON Schema of the resources
    Schema,
    /// A small MCP server over standard input and output, to try things on
    DemoServer(DemoServerArgs),
    /// Serve a stdio MCP server over Streamable HTTP
    Bridge(Box<BridgeArgs>),
    /// Shut a server's process in and start it; for `bridge` alone
    #[command(hide = true)]
    BridgeSupervise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// A file of resources, or a directory of *.yaml, *.yml and *.json; watched for changes
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Bring up a demo server and two people, and print what to try
    #[arg(long, conflicts_with = "files")]
    pub(crate) demo: bool,
    /// Where agents connect [default: the socket that a service manager hands over, else 127.0.0.1:7700]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where /healthz, /readyz and /metrics are; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7702")]
    pub(crate) admin_listen: SocketAddr,
    /// The URL that agents use, without a path [default: made from --listen]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<Url>,
    /// Another `Host` to answer to, besides that of the public URL
    #[arg(long = "allow-host", value_name = "HOST[:PORT]")]
    pub(crate) allow_hosts: Vec<String>,
    /// Another `Origin` whose web pages may connect
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub(crate) allow_origins: Vec<String>,
    /// The certificate chain, PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen beyond this machine without TLS: tokens and data can be read on the way
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) insecure_plain_http: bool,
    /// Private or loopback addresses, or plain http, that servers and issuers may be reached at
    #[arg(long = "allow-upstream", value_name = "CIDR")]
    pub(crate) allow_upstream: Vec<String>,
    /// Send traces to this OpenTelemetry collector over HTTP, for example http://127.0.0.1:4318/v1/traces
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_traces: Option<Url>,
    /// How the log on standard error is written; NARROWS_LOG sets what is logged
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A file of resources, or a directory of them
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// A file of resources, or a directory of *.yaml, *.yml and *.json
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Take resources that follow a file of `narrows up -f` away from it, where none that follows it is running
    #[arg(long)]
    pub(crate) take_over: bool,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// How a change is made.
#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    /// Say what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Refuse if another revision than this one is in force
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<Base>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

impl HowArgs {
    /// Whether it is only to be looked at.
    pub(crate) fn run(&self) -> Run {
        if self.dry_run { Run::Dry } else { Run::Real }
    }

    /// What such a command needs.
    pub(crate) fn purpose(&self) -> Purpose {
        if self.dry_run { Purpose::Read } else { Purpose::Change }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A file of resources, or a directory of them
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Remove the resources that are in this file, or in a directory of them
    #[arg(short, long = "file", value_name = "FILE|DIR", required_unless_present = "kind")]
    pub(crate) files: Vec<PathBuf>,
    /// The kind of one to remove, for example McpServer or server
    #[arg(value_name = "KIND", requires = "name", conflicts_with = "files")]
    pub(crate) kind: Option<KindName>,
    /// Its name; that of a server is NS/NAME
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Only this kind, for example McpServer or server
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<KindName>,
    /// Only this one; a server is NS/NAME
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only servers of this namespace
    #[arg(long, value_name = "NS")]
    pub(crate) namespace: Option<NamespaceName>,
    /// As they were in this revision
    #[arg(long, value_name = "REV")]
    pub(crate) at: Option<Base>,
    /// How they are printed; yaml can be applied again
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RevisionsCommand {
    /// Print the latest, newest first
    List(RevisionsListArgs),
    /// Say what is different between two
    Diff(RevisionsDiffArgs),
    /// Go back to one, whole or in one resource; that is a change like any other
    Restore(RevisionsRestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RevisionsListArgs {
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
pub(crate) struct RevisionsDiffArgs {
    /// The one
    #[arg(value_name = "REV")]
    pub(crate) from: Base,
    /// The other [default: what is in force]
    #[arg(value_name = "REV")]
    pub(crate) to: Option<Base>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct RevisionsRestoreArgs {
    /// Which
    #[arg(value_name = "REV")]
    pub(crate) revision: Base,
    /// Only a resource of this kind
    #[arg(value_name = "KIND", requires = "name")]
    pub(crate) kind: Option<KindName>,
    /// Only the one of this name; a server is NS/NAME
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Let resources that followed a file then come back without it, or be taken from it, where none that follows it is
    /// running
    #[arg(long)]
    pub(crate) take_over: bool,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// A kind of resource, in full or by the short name that people say, in either number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KindName(pub(crate) ResourceKind);

impl FromStr for KindName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let one = match lower.as_str() {
            "policies" => "policy",
            "governancepolicies" => "governancepolicy",
            other => other.strip_suffix('s').unwrap_or(other),
        };
        let short = |kind: ResourceKind| match kind {
            ResourceKind::GovernedNamespace => "namespace",
            ResourceKind::McpServer => "server",
            ResourceKind::McpRole => "role",
            ResourceKind::McpRoleBinding => "binding",
            ResourceKind::IdentityProvider => "provider",
            ResourceKind::GovernancePolicy => "policy",
            ResourceKind::PolicyExemption => "exemption",
        };
        let matches = |kind: &ResourceKind| short(*kind) == one || kind.as_str().eq_ignore_ascii_case(one);
        ResourceKind::ALL.into_iter().find(matches).map(Self).ok_or_else(|| {
            let known = ResourceKind::ALL.map(|kind| format!("{kind} ({})", short(kind))).join(", ");
            format!("there are {known}")
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it alone on standard output
    Create(TokenCreateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// Whose token it is; `system:serviceaccount:NAME` for a program
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// A group of theirs
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// How long it is good for, at most 24h: a number and s, m or h
    #[arg(long, value_name = "TIME", default_value = "8h")]
    pub(crate) ttl: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Who asks; `system:serviceaccount:NAME` for a program
    #[arg(long = "as", value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// A group of theirs
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// The IdentityProvider that vouches for them [default: the built-in issuer]
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Which server
    #[arg(long, value_name = "NS/NAME")]
    pub(crate) server: ServerId,
    /// A tool to call
    #[arg(long, value_name = "TOOL", group = "action")]
    pub(crate) tool: Option<String>,
    /// A resource to read
    #[arg(long, value_name = "URI", group = "action")]
    pub(crate) resource: Option<String>,
    /// A prompt to get
    #[arg(long, value_name = "PROMPT", group = "action")]
    pub(crate) prompt: Option<String>,
    /// Any other method to use
    #[arg(long, value_name = "METHOD", group = "action")]
    pub(crate) method: Option<String>,
    /// The call's arguments, a JSON object; without them, whether some call could be allowed
    #[arg(long = "args", value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// As of a revision's number or a time, for example 2026-11-01T08:00:00Z [default: the latest]
    #[arg(long, value_name = "TIME|REV", conflicts_with = "files")]
    pub(crate) at: Option<String>,
    /// Ask these files instead of what is published
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// How the answer is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print the last records
    Tail(AuditTailArgs),
    /// Find records
    Search(Box<AuditSearchArgs>),
    /// Print one record whole
    Show(AuditShowArgs),
    /// Check that nothing was removed or altered
    Verify(AuditVerifyArgs),
    /// Copy the log to a directory, for a verifier or an archive
    Export(AuditExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditTailArgs {
    /// How many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Go on printing as records come
    #[arg(long)]
    pub(crate) follow: bool,
    /// How records are printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct AuditSearchArgs {
    /// Only this kind
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<SearchKind>,
    /// Only this subject
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
    /// Only this server
    #[arg(long, value_name = "NS/NAME")]
    pub(crate) server: Option<ServerId>,
    /// Only this tool
    #[arg(long, value_name = "TOOL")]
    pub(crate) tool: Option<String>,
    /// Only this JSON-RPC method
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Only records with this text anywhere
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Only this effect of the decision
    #[arg(long, value_name = "EFFECT")]
    pub(crate) effect: Option<SearchEffect>,
    /// Only this outcome
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<SearchStatus>,
    /// Not before: a time, or how long ago (`2h`)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most this many, the latest first
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: usize,
    /// How records are printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

/// The `kind` of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchKind {
    #[value(name = "request.admitted")]
    RequestAdmitted,
    #[value(name = "request.denied")]
    RequestDenied,
    #[value(name = "request.completed")]
    RequestCompleted,
    #[value(name = "authentication.failed")]
    AuthenticationFailed,
    #[value(name = "log.opened")]
    LogOpened,
    #[value(name = "log.recovered")]
    LogRecovered,
    #[value(name = "snapshot.published")]
    SnapshotPublished,
    #[value(name = "server.deployed")]
    ServerDeployed,
    #[value(name = "server.updated")]
    ServerUpdated,
    #[value(name = "server.removed")]
    ServerRemoved,
    #[value(name = "server.scaled")]
    ServerScaled,
    #[value(name = "server.restarted")]
    ServerRestarted,
    #[value(name = "server.rolled_back")]
    ServerRolledBack,
    #[value(name = "server.state_changed")]
    ServerStateChanged,
    #[value(name = "namespace.changed")]
    NamespaceChanged,
    #[value(name = "role.changed")]
    RoleChanged,
    #[value(name = "binding.changed")]
    BindingChanged,
    #[value(name = "provider.changed")]
    ProviderChanged,
    #[value(name = "policy.changed")]
    PolicyChanged,
    #[value(name = "exemption.changed")]
    ExemptionChanged,
    #[value(name = "change.denied")]
    ChangeDenied,
    #[value(name = "change.applied")]
    ChangeApplied,
    #[value(name = "change.aborted")]
    ChangeAborted,
}

/// The `decision.effect` of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchEffect {
    Allow,
    Deny,
}

/// The `outcome.status` of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchStatus {
    Ok,
    Error,
    Cancelled,
    Unknown,
}

/// What a value is called, on the command line and in records alike.
pub(crate) fn value_name<V: ValueEnum>(value: &V) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct AuditShowArgs {
    /// The record's id or its index in the log
    #[arg(value_name = "ID|INDEX")]
    pub(crate) record: String,
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// Another log/ directory, or a log/local/ under that name, such as a copy; an export is checked with narrows-verify
    #[arg(long, value_name = "DIR", requires = "key")]
    pub(crate) dir: Option<PathBuf>,
    /// The public key to check with, which came another way: a file like key.vkey [needed with --dir] [default: this
    /// installation's]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExportArgs {
    /// Where to; must not exist yet
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// In which form
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: ExportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One record a line, with the tree and its checkpoints
    Jsonl,
}

#[derive(Debug, Args)]
pub(crate) struct DemoServerArgs {
    /// The directory to work in
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BridgeArgs {
    /// Listen on this Unix socket
    #[arg(long, value_name = "PATH", group = "door")]
    pub(crate) socket: Option<PathBuf>,
    /// Listen on this loopback address
    #[arg(long, value_name = "ADDR", group = "door")]
    pub(crate) listen: Option<SocketAddr>,
    /// A variable of the server's environment, which is otherwise empty
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A process for each session, or one for all
    #[arg(long, value_name = "HOW", default_value = "isolated")]
    pub(crate) sessions: BridgeSessions,
    /// Where the server works and its log is written [default: beneath the data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// What it is called in logs
    #[arg(long, value_name = "NAME", default_value = "bridge")]
    pub(crate) name: String,
    /// Read everything else from standard input; for `up` alone
    #[arg(long, value_name = "-", hide = true, conflicts_with_all = ["door", "command"])]
    pub(crate) spec: Option<String>,
    /// The server's command
    #[arg(last = true, required_unless_present = "spec", value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BridgeSessions {
    Isolated,
    Shared,
}

#[cfg(test)]
mod tests {
    use narrows_core::audit::RecordKind;

    use super::*;

    #[test]
    fn every_kind_can_be_searched_for() {
        // A match, so that a kind that is new in records does not compile until it is here.
        let searched = |recorded: RecordKind| match recorded {
            RecordKind::RequestAdmitted => SearchKind::RequestAdmitted,
            RecordKind::RequestDenied => SearchKind::RequestDenied,
            RecordKind::RequestCompleted => SearchKind::RequestCompleted,
            RecordKind::AuthenticationFailed => SearchKind::AuthenticationFailed,
            RecordKind::LogOpened => SearchKind::LogOpened,
            RecordKind::LogRecovered => SearchKind::LogRecovered,
            RecordKind::SnapshotPublished => SearchKind::SnapshotPublished,
            RecordKind::ServerDeployed => SearchKind::ServerDeployed,
            RecordKind::ServerUpdated => SearchKind::ServerUpdated,
            RecordKind::ServerRemoved => SearchKind::ServerRemoved,
            RecordKind::ServerScaled => SearchKind::ServerScaled,
            RecordKind::ServerRestarted => SearchKind::ServerRestarted,
            RecordKind::ServerRolledBack => SearchKind::ServerRolledBack,
            RecordKind::ServerStateChanged => SearchKind::ServerStateChanged,
            RecordKind::NamespaceChanged => SearchKind::NamespaceChanged,
            RecordKind::RoleChanged => SearchKind::RoleChanged,
            RecordKind::BindingChanged => SearchKind::BindingChanged,
            RecordKind::ProviderChanged => SearchKind::ProviderChanged,
            RecordKind::PolicyChanged => SearchKind::PolicyChanged,
            RecordKind::ExemptionChanged => SearchKind::ExemptionChanged,
            RecordKind::ChangeDenied => SearchKind::ChangeDenied,
            RecordKind::ChangeApplied => SearchKind::ChangeApplied,
            RecordKind::ChangeAborted => SearchKind::ChangeAborted,
        };
        let recorded = [
            RecordKind::RequestAdmitted,
            RecordKind::RequestDenied,
            RecordKind::RequestCompleted,
            RecordKind::AuthenticationFailed,
            RecordKind::LogOpened,
            RecordKind::LogRecovered,
            RecordKind::SnapshotPublished,
            RecordKind::ServerDeployed,
            RecordKind::ServerUpdated,
            RecordKind::ServerRemoved,
            RecordKind::ServerScaled,
            RecordKind::ServerRestarted,
            RecordKind::ServerRolledBack,
            RecordKind::ServerStateChanged,
            RecordKind::NamespaceChanged,
            RecordKind::RoleChanged,
            RecordKind::BindingChanged,
            RecordKind::ProviderChanged,
            RecordKind::PolicyChanged,
            RecordKind::ExemptionChanged,
            RecordKind::ChangeDenied,
            RecordKind::ChangeApplied,
            RecordKind::ChangeAborted,
        ];
        assert_eq!(recorded.len(), SearchKind::value_variants().len());
        for kind in recorded {
            let name = serde_json::to_value(kind).unwrap();
            assert_eq!(value_name(&searched(kind)).as_deref(), name.as_str());
        }
    }
}
