//! Keeps one bridge process running for each stdio server that is wanted, and none for any other. A bridge lives as long
//! as its standard input is open: when this process ends, however it ends, all bridges end, and with them all servers.

mod child;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use narrows_core::{
    ids::ServerId,
    ports::ServerHealth,
    resource::{Server, StdioServer, Transport},
};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::bridge::{BridgeConfig, Caps, LONGEST_SOCKET_PATH, Listen, Timing, log, private_directory};
use child::Child;

/// Everything has ended within this, or is killed.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the orchestrator needs to know.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Our own binary: run as `EXECUTABLE bridge --name NS/NAME --spec -`, and by the bridge as
    /// `EXECUTABLE bridge-supervise`.
    pub executable: PathBuf,
    /// Where the sockets are made, mode 0700. Kept short: a socket's path has at most 107 bytes.
    pub run_dir: PathBuf,
    /// Each server has `<servers_dir>/<namespace>/<name>`, mode 0700, for its log and working directory.
    pub servers_dir: PathBuf,
    /// `PATH` for servers that declare none.
    pub path: String,
    /// `LANG` for servers that declare none.
    pub lang: Option<String>,
    /// How long things may take.
    pub timing: Timing,
    /// How many of anything one server may have.
    pub caps: Caps,
}

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStatus {
    /// Its bridge has not said yet that it listens.
    Starting,
    /// Its bridge listens, and nothing is known against the server.
    Ready,
    /// Its bridge does not run, or its server could not be started or ended by itself.
    Failed {
        /// Why, for people.
        reason: String,
        /// Since when.
        since: jiff::Timestamp,
        /// From when on it is tried again, when it is next asked for.
        retry: jiff::Timestamp,
    },
}

/// Why the orchestrator can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A directory can't be made or is not ours alone.
    #[error("cannot use the directory `{path}`")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Socket paths in this directory would be too long.
    #[error(
        "the directory `{path}` is too long for sockets: a socket's path has at most 107 bytes\nhint: use a data directory with a shorter path"
    )]
    PathTooLong {
        /// The directory.
        path: PathBuf,
    },
}

/// The servers of this machine.
#[derive(Debug)]
pub struct LocalServers {
    config: Arc<LocalConfig>,
    state: Mutex<State>,
    tasks: TaskTracker,
    closing: CancellationToken,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct State {
    wanted: BTreeMap<ServerId, Wanted>,
    /// Ends of bridges that are not wanted any more.
    ending: BTreeMap<ServerId, CancellationToken>,
}

/// One server that is wanted, and what keeps its bridge running.
#[derive(Debug)]
struct Wanted {
    server: StdioServer,
    status: watch::Receiver<ServerStatus>,
    stop: CancellationToken,
    /// Is there when its bridge and all behind it is gone, so that the next one is not in its way.
    ended: CancellationToken,
}

impl LocalServers {
    /// Makes the directories and starts nothing yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A directory can't be used, or is too long for sockets.
    pub fn new(config: LocalConfig) -> Result<Self, LocalError> {
        for path in [&config.run_dir, &config.servers_dir] {
            private_directory(path).map_err(|source| LocalError::Directory { path: path.clone(), source })?;
        }
        if config.run_dir.as_os_str().len() + 1 + SOCKET_NAME > LONGEST_SOCKET_PATH {
            return Err(LocalError::PathTooLong { path: config.run_dir });
        }
        Ok(Self {
            config: Arc::new(config),
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            runtime: Handle::current(),
        })
    }

    /// Makes the running bridges those of the stdio servers among `servers`: starts, replaces what changed, ends what
    /// is gone. Returns at once; the work goes on behind. A server that is as it was is left alone.
    pub fn apply(&self, servers: &[Server]) {
        if self.closing.is_cancelled() {
            return;
        }
        let desired: BTreeMap<&ServerId, &StdioServer> = servers
            .iter()
            .filter_map(|server| match &server.transport {
                Transport::Stdio(stdio) => Some((&server.id, stdio)),
                Transport::Http(_) => None,
            })
            .collect();
        let mut state = self.state();
        let State { wanted, ending } = &mut *state;
        ending.retain(|_, ended| !ended.is_cancelled());
        wanted.retain(|id, current| {
            let stays = desired.get(id).is_some_and(|server| **server == current.server);
            if !stays {
                current.stop.cancel();
                ending.insert(id.clone(), current.ended.clone());
            }
            stays
        });
        for (id, server) in desired {
            if !wanted.contains_key(id) {
                wanted.insert(id.clone(), self.start(id, server, ending.get(id).cloned()));
            }
        }
    }

    /// The socket of a server's bridge, whether or not it runs.
    pub fn socket(&self, id: &ServerId) -> PathBuf {
        self.config.run_dir.join(socket_name(id))
    }

    /// The file that holds what a server's processes wrote to standard error; before it, the same with `.1`.
    pub fn logs(&self, id: &ServerId) -> PathBuf {
        self.directory(id).join(log::FILE)
    }

    /// How a server fares; none if it is not wanted.
    pub fn status(&self, id: &ServerId) -> Option<ServerStatus> {
        self.state().wanted.get(id).map(|wanted| wanted.status.borrow().clone())
    }

    /// Resolves when no wanted server is starting any more, or after `within`.
    pub async fn settled(&self, within: Duration) {
        let starting: Vec<_> = self.state().wanted.values().map(|wanted| wanted.status.clone()).collect();
        let all = async {
            for mut status in starting {
                // One that is not wanted any more is settled, too.
                let _ = status.wait_for(|status| *status != ServerStatus::Starting).await;
            }
        };
        let _ = tokio::time::timeout(within, all).await;
    }

    /// Ends every bridge and its processes, at most within a deadline of ten seconds, and returns when none is left.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        for (_, wanted) in std::mem::take(&mut self.state().wanted) {
            wanted.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The maps are valid after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, id: &ServerId) -> PathBuf {
        self.config.servers_dir.join(id.namespace.as_str()).join(id.name.as_str())
    }

    /// `after` is the end of an older bridge of the same name.
    fn start(&self, id: &ServerId, server: &StdioServer, after: Option<CancellationToken>) -> Wanted {
        let (told, status) = watch::channel(ServerStatus::Starting);
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let config = BridgeConfig {
            name: id.to_string(),
            listen: Listen::Unix(self.socket(id)),
            server: server.clone(),
            launcher: vec![self.config.executable.clone().into(), "bridge-supervise".into()],
            directory: self.directory(id),
            path: self.config.path.clone(),
            lang: self.config.lang.clone(),
            timing: self.config.timing,
            caps: self.config.caps,
        };
        let child = Child::new(self.config.executable.clone(), config, told, stop.clone());
        let over = ended.clone();
        let run = async move {
            // However this task ends, whoever waits for it goes on.
            let _over = over.drop_guard();
            if let Some(after) = after {
                after.cancelled().await;
            }
            child.run().await;
        };
        self.tasks.spawn_on(run, &self.runtime);
        Wanted { server: server.clone(), status, stop, ended }
    }
}

impl ServerHealth for LocalServers {
    fn unavailable(&self, server: &ServerId) -> Option<String> {
        match self.status(server)? {
            ServerStatus::Starting => Some("the server is starting".to_owned()),
            ServerStatus::Ready => None,
            // Once the wait is over, only an attempt can tell whether it works again.
            ServerStatus::Failed { reason, retry, .. } => (jiff::Timestamp::now() < retry).then_some(reason),
        }
    }
}

/// Bytes of a socket's name.
const SOCKET_NAME: usize = 16 + ".sock".len();

/// A short name that two servers share only by an accident of one in 2^64, which their bridges would notice. FNV-1a, so
/// that it is the same in every process and every version.
fn socket_name(id: &ServerId) -> String {
    let hash = id.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}.sock")
}
