//! Starting one process of a server, behind its supervisor.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::{
    BridgeConfig,
    lines::{Line, Lines},
};
use crate::supervisor::order::{Order, Report};

/// Longest line that a server may write.
const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;
/// How long a supervisor may take before its server runs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that has just been started.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) supervisor: Child,
    pub(crate) pid: u32,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: Lines<ChildStdout>,
    pub(crate) stderr: ChildStderr,
    /// One line about the walls around it.
    pub(crate) walls: String,
    /// What could not be enforced and was not asked for.
    pub(crate) missing: Vec<String>,
}

/// Why a server was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// The supervisor said why.
    #[error("{0}")]
    Refused(String),
    /// The supervisor could not be started, or talked to.
    #[error("its supervisor can't be run: {0}")]
    Supervisor(#[from] io::Error),
    /// The supervisor ended without a word.
    #[error("its supervisor ended before the server was started")]
    Silent,
    /// The supervisor took too long.
    #[error("its supervisor did not start the server in time")]
    Late,
    /// The bridge was made without a launcher.
    #[error("the bridge has no launcher")]
    NoLauncher,
}

/// Makes a directory for us alone, or checks that it is.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The server's working and home directory.
pub(crate) fn work_directory(config: &BridgeConfig) -> PathBuf {
    config.directory.join("work")
}

/// The whole environment of a server: `PATH`, `HOME`, `TMPDIR` and, if there is one, `LANG`, unless declared; and what
/// is declared.
fn environment(config: &BridgeConfig) -> Vec<(String, String)> {
    let work = work_directory(config);
    let mut env = vec![
        ("PATH".to_owned(), config.path.clone()),
        ("HOME".to_owned(), work.display().to_string()),
        ("TMPDIR".to_owned(), work.join("tmp").display().to_string()),
    ];
    env.extend(config.lang.iter().map(|lang| ("LANG".to_owned(), lang.clone())));
    env.retain(|(name, _)| config.server.env.iter().all(|declared| declared.name != *name));
    env.extend(config.server.env.iter().map(|declared| (declared.name.clone(), declared.value.clone())));
    env
}

/// `PATH` as the server will have it.
pub(crate) fn path_of(config: &BridgeConfig) -> &str {
    let declared = config.server.env.iter().find(|variable| variable.name == "PATH");
    declared.map_or(config.path.as_str(), |variable| variable.value.as_str())
}

/// Starts a process. Dropping the future, or what it returns, ends the process: its supervisor sees its input closed.
pub(crate) async fn launch(config: &BridgeConfig) -> Result<Launched, LaunchError> {
    let work = work_directory(config);
    private_directory(&config.directory)?;
    private_directory(&work)?;
    private_directory(&work.join("tmp"))?;
    let order = Order {
        bridge: std::process::id(),
        command: config.server.command.clone(),
        env: environment(config),
        directory: work.clone(),
        open_files: config.server.limits.open_files,
        files: config.server.files.clone(),
        close: config.timing.close,
        terminate: config.timing.terminate,
    };
    let order = order.encode()?;
    let (program, arguments) = config.launcher.split_first().ok_or(LaunchError::NoLauncher)?;
    let mut supervisor = Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir(&work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = supervisor.id().ok_or(LaunchError::Silent)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (supervisor.stdin.take(), supervisor.stdout.take(), supervisor.stderr.take())
    else {
        return Err(LaunchError::Silent);
    };
    let mut stdout = Lines::new(stdout, LONGEST_MESSAGE);
    let started = async {
        stdin.write_all(&order).await?;
        match stdout.next().await? {
            Some(Line::Whole(line)) => {
                serde_json::from_slice::<Report>(&line).map_err(|_| LaunchError::Silent)
            }
            Some(Line::TooLong(_)) | None => Err(LaunchError::Silent),
        }
    };
    let report = tokio::time::timeout(PATIENCE, started).await.map_err(|_| LaunchError::Late)??;
    match report {
        Report::Failed { reason } => {
            supervisor.wait().await?;
            Err(LaunchError::Refused(reason))
        }
        Report::Prepared { landlock, missing } => {
            let walls = match landlock {
                Some(abi) => format!("no new privileges, landlock ABI {abi}"),
                None => "no new privileges, no landlock".to_owned(),
            };
            Ok(Launched { supervisor, pid, stdin, stdout, stderr, walls, missing })
        }
    }
}

/// Reads what a supervisor says after it had prepared everything and the server could still not be run.
pub(crate) fn late_failure(line: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Report>(line) {
        Ok(Report::Failed { reason }) => Some(reason),
        Ok(Report::Prepared { .. }) | Err(_) => None,
    }
}
