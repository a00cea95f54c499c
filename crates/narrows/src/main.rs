//! The `narrows` binary: from flags to a running system. Wiring only: what is right or wrong is decided in the crates
//! that it wires.

mod api;
mod cli;
mod commands;
mod data_dir;
mod demo_server;
mod environment;
mod failure;
mod keys;
mod logging;
mod output;
mod signals;
mod sources;
mod telemetry;
mod times;
mod up;
mod watch;

use std::{future::Future, process::ExitCode, time::Duration};

use clap::Parser as _;

use api::{Api, Purpose};
use cli::{
    AuditCommand, Cli, Command, LogFormat, PolicyCommand, RevisionsCommand, ServerCommand, TokenCommand,
};
use data_dir::DataDir;
use environment::Environment;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::BridgeSupervise) {
        // First of all, while there is one thread.
        return ExitCode::from(narrows_local::supervisor::run());
    }
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let environment = Environment::read();
    let root = || environment.data_dir(cli.data_dir.clone());
    let data_dir = || DataDir::open(root()?);
    match cli.command {
        Command::Up(args) => {
            logging::start(args.log_format, environment.log_filter.as_deref())?;
            let root = if args.demo && cli.data_dir.is_none() { root()?.join("demo") } else { root()? };
            let sockets = environment::handed_over()?;
            on_many_threads(up::run(*args, root, &environment, sockets))
        }
        Command::Check(args) => commands::check::run(&args).map(done),
        Command::Apply(args) => {
            on_api(data_dir, args.how.purpose(), async |api| commands::change::apply(api, args).await)
        }
        Command::Diff(args) => {
            on_api(data_dir, Purpose::Read, async |api| commands::change::diff(api, args).await)
        }
        Command::Delete(args) => {
            on_api(data_dir, args.how.purpose(), async |api| commands::change::delete(api, args).await)
        }
        Command::Get(args) => {
            on_api(data_dir, Purpose::Read, async |api| commands::get::run(api, args).await)
        }
        Command::Revisions(RevisionsCommand::List(args)) => {
            on_api(data_dir, Purpose::Read, async |api| commands::revisions::list(api, args).await)
        }
        Command::Revisions(RevisionsCommand::Diff(args)) => {
            on_api(data_dir, Purpose::Read, async |api| commands::revisions::diff(api, args).await)
        }
        Command::Revisions(RevisionsCommand::Restore(args)) => {
            let purpose = args.how.purpose();
            on_api(data_dir, purpose, async |api| commands::revisions::restore(api, args).await)
        }
        Command::Policy(PolicyCommand::Test(args)) => commands::policy::test(&args).map(done),
        Command::Policy(PolicyCommand::ShowDefaults) => commands::policy::show_defaults().map(done),
        Command::Token(TokenCommand::Create(args)) => commands::token::create(&data_dir()?, &args).map(done),
        Command::Explain(args) => commands::explain::run(data_dir, *args).map(done),
        Command::Audit(command) => match command {
            AuditCommand::Tail(args) => commands::audit::tail(&data_dir()?, &args).map(done),
            AuditCommand::Search(args) => commands::audit::search(&data_dir()?, &args).map(done),
            AuditCommand::Show(args) => commands::audit::show(&data_dir()?, &args).map(done),
            AuditCommand::Verify(args) => commands::audit::verify(data_dir, &args).map(done),
            AuditCommand::Export(args) => commands::audit::export(&data_dir()?, &args).map(done),
        },
        Command::Server(command) => server(data_dir, command),
        Command::Schema => commands::schema::run().map(done),
        Command::DemoServer(args) => on_one_thread(async {
            demo_server::run(&args.root).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Bridge(args) => {
            logging::start(LogFormat::Text, environment.log_filter.as_deref())?;
            on_one_thread(async { commands::bridge::run(*args, root, &environment).await.map(done) })
        }
        Command::BridgeSupervise => Ok(ExitCode::SUCCESS),
    }
}

fn server(
    data_dir: impl FnOnce() -> Result<DataDir, Failure>,
    command: ServerCommand,
) -> Result<ExitCode, Failure> {
    use commands::server;
    match command {
        ServerCommand::List(args) => {
            on_api(data_dir, Purpose::Read, async |api| server::list(api, args).await)
        }
        ServerCommand::Status(args) => {
            on_api(data_dir, Purpose::Read, async |api| server::status(api, args).await)
        }
        ServerCommand::Deploy(args) => {
            on_api(data_dir, args.how.purpose(), async |api| server::deploy(api, args).await)
        }
        ServerCommand::Scale(args) => {
            on_api(data_dir, args.how.purpose(), async |api| server::scale(api, args).await)
        }
        ServerCommand::Restart(args) => {
            on_api(data_dir, Purpose::Read, async |api| server::restart(api, args).await)
        }
        ServerCommand::Update(args) => {
            on_api(data_dir, args.how.purpose(), async |api| server::update(api, args).await)
        }
        ServerCommand::History(args) => {
            on_api(data_dir, Purpose::Read, async |api| server::history(api, args).await)
        }
        ServerCommand::Rollback(args) => {
            on_api(data_dir, args.how.purpose(), async |api| server::rollback(api, args).await)
        }
        ServerCommand::Remove(args) => {
            on_api(data_dir, args.how.purpose(), async |api| server::remove(api, args).await)
        }
        ServerCommand::Logs(args) => commands::server_logs::run(&data_dir()?, &args).map(done),
    }
}

fn done(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// A command that asks the API of the data directory.
fn on_api(
    data_dir: impl FnOnce() -> Result<DataDir, Failure>,
    purpose: Purpose,
    command: impl AsyncFnOnce(&Api) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let data_dir = data_dir()?;
    on_one_thread(async {
        let api = Api::open(&data_dir, purpose).await?;
        let result = command(&api).await;
        // What went wrong first counts.
        let closed = api.close().await;
        result.and(closed).map(done)
    })
}

fn on_many_threads(task: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    on(tokio::runtime::Builder::new_multi_thread(), task)
}

/// For processes of which there are many: one thread is enough, and small.
fn on_one_thread(task: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    on(tokio::runtime::Builder::new_current_thread(), task)
}

fn on(
    mut builder: tokio::runtime::Builder,
    task: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime =
        builder.enable_all().build().map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(task);
    // A read of standard input that nobody waits for any more must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}
