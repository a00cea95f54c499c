//! The only place that reads the process's environment. Everything else is told.

use std::path::PathBuf;

use listenfd::ListenFd;

use crate::failure::Failure;

/// Sockets that a service manager hands over, as sd_listen_fds(3) describes: none unless `LISTEN_PID` names this very
/// process. The variables are taken away, so this is called while there is one thread.
pub(crate) fn handed_over() -> Result<ListenFd, Failure> {
    if std::env::var("LISTEN_PID").ok().as_deref() != Some(std::process::id().to_string().as_str()) {
        return Ok(ListenFd::empty());
    }
    let count = std::env::var("LISTEN_FDS").unwrap_or_default();
    let sockets = ListenFd::from_env();
    if count.parse() == Ok(sockets.len()) {
        return Ok(sockets);
    }
    Err(Failure::usage(format!("`LISTEN_FDS={count}` is not a number of sockets"))
        .hint("it is set by the service manager that holds the sockets; without one, leave it away"))
}

/// What of the environment counts.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    data_dir: Option<PathBuf>,
    xdg_data_home: Option<PathBuf>,
    home: Option<PathBuf>,
    /// `PATH`, for servers that declare none.
    pub(crate) path: String,
    /// `LANG`, for servers that declare none.
    pub(crate) lang: Option<String>,
    /// `NARROWS_LOG`: what is logged, as a filter of `tracing`.
    pub(crate) log_filter: Option<String>,
}

impl Environment {
    /// Reads it, once, at start.
    pub(crate) fn read() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            data_dir: path("NARROWS_DATA_DIR"),
            xdg_data_home: path("XDG_DATA_HOME").filter(|path| path.is_absolute()),
            home: path("HOME"),
            path: std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()),
            lang: std::env::var("LANG").ok(),
            log_filter: std::env::var("NARROWS_LOG").ok(),
        }
    }

    /// The data directory: as said, else from the environment, else beneath the home directory.
    pub(crate) fn data_dir(&self, said: Option<PathBuf>) -> Result<PathBuf, Failure> {
        let default = || {
            let share =
                self.xdg_data_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/share")))?;
            Some(share.join("narrows"))
        };
        let path = said.or_else(|| self.data_dir.clone()).or_else(default).ok_or_else(|| {
            Failure::new("there is no place for the data directory: neither HOME nor XDG_DATA_HOME is set")
                .hint("give one with `--data-dir DIR`")
        })?;
        // Servers are started in directories of their own, where a relative path would lead elsewhere.
        std::path::absolute(&path)
            .map_err(|error| Failure::new(format!("cannot use `{}`: {error}", path.display())))
    }
}
