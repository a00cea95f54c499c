//! Keeps one bridge process running for each instance of a stdio server that was started, until it is stopped. A bridge lives
//! as long as its standard input is open: when this process ends, however it ends, all bridges end, and with them all
//! servers.

mod child;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use narrows_core::{ids::ServerId, lifecycle::InstanceId, resource::StdioServer};
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
    changes: watch::Sender<u64>,
    tasks: TaskTracker,
    closing: CancellationToken,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<InstanceId, Instance>,
    /// Ends of bridges that were stopped.
    ending: BTreeMap<InstanceId, CancellationToken>,
}

/// An instance that was started, and what keeps its bridge running.
#[derive(Debug)]
struct Instance {
    status: watch::Receiver<ServerStatus>,
    replicas: watch::Sender<u32>,
    stop: CancellationToken,
    /// Is there when its bridge and all behind it is gone, so that the next one is not in its way.
    ended: CancellationToken,
}

/// How an instance fares, for whoever would like to know.
#[derive(Debug)]
struct Told {
    status: watch::Sender<ServerStatus>,
    changes: watch::Sender<u64>,
}

impl Told {
    fn tell(&self, status: ServerStatus) {
        self.status.send_replace(status);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
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
            changes: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            runtime: Handle::current(),
        })
    }

    /// Has an instance run, with so many processes where sessions share them. Returns at once; the work goes on behind. One
    /// that runs is left alone.
    pub fn start(&self, id: &InstanceId, server: &StdioServer, replicas: u32) {
        if self.closing.is_cancelled() {
            return;
        }
        let mut state = self.state();
        state.ending.retain(|_, ended| !ended.is_cancelled());
        if !state.running.contains_key(id) {
            let instance = self.run(id, server, replicas, state.ending.get(id).cloned());
            state.running.insert(id.clone(), instance);
        }
    }

    /// Has it have so many processes from now on, where sessions share them.
    pub fn resize(&self, id: &InstanceId, replicas: u32) {
        if let Some(instance) = self.state().running.get(id) {
            instance.replicas.send_replace(replicas);
        }
    }

    /// Ends an instance, and everything behind it. Returns at once.
    pub fn stop(&self, id: &InstanceId) {
        let mut state = self.state();
        if let Some(instance) = state.running.remove(id) {
            instance.stop.cancel();
            state.ending.insert(id.clone(), instance.ended);
        }
    }

    /// The socket of an instance's bridge, whether or not it runs.
    pub fn socket(&self, id: &InstanceId) -> PathBuf {
        self.config.run_dir.join(socket_name(id))
    }

    /// The file that holds what a server's processes wrote to standard error; before it, the same with `.1`.
    pub fn logs(&self, id: &ServerId) -> PathBuf {
        self.directory(id).join(log::FILE)
    }

    /// How an instance fares; none if it was not started.
    pub fn status(&self, id: &InstanceId) -> Option<ServerStatus> {
        self.state().running.get(id).map(|instance| instance.status.borrow().clone())
    }

    /// Why requests to an instance can't be answered now, for people; none if nothing is known against it.
    pub fn unavailable(&self, id: &InstanceId) -> Option<String> {
        match self.status(id)? {
            ServerStatus::Starting => Some("the server is starting".to_owned()),
            ServerStatus::Ready => None,
            // Once the wait is over, only an attempt can tell whether it works again.
            ServerStatus::Failed { reason, retry, .. } => (jiff::Timestamp::now() < retry).then_some(reason),
        }
    }

    /// Resolves when an instance's bridge listens.
    ///
    /// # Errors
    /// It does not, or its server can't be started: why, for people.
    pub async fn started(&self, id: &InstanceId) -> Result<(), String> {
        const GONE: &str = "it was stopped";
        let status = self.state().running.get(id).map(|instance| instance.status.clone());
        let mut status = status.ok_or(GONE)?;
        let now = status.wait_for(|status| *status != ServerStatus::Starting).await.map_err(|_| GONE)?;
        match &*now {
            ServerStatus::Starting | ServerStatus::Ready => Ok(()),
            ServerStatus::Failed { reason, .. } => Err(reason.clone()),
        }
    }

    /// What went wrong with an instance, if that is known or becomes known within this time: whoever asks it for something
    /// may be answered sooner.
    pub async fn failure(&self, id: &InstanceId, within: Duration) -> Option<String> {
        let mut status = self.state().running.get(id).map(|instance| instance.status.clone())?;
        let known = status.wait_for(|status| matches!(status, ServerStatus::Failed { .. }));
        match &*tokio::time::timeout(within, known).await.ok()?.ok()? {
            ServerStatus::Failed { reason, .. } => Some(reason.clone()),
            ServerStatus::Starting | ServerStatus::Ready => None,
        }
    }

    /// Changes whenever an instance fares otherwise.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends every bridge and its processes, at most within a deadline of ten seconds, and returns when none is left.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        for (_, instance) in std::mem::take(&mut self.state().running) {
            instance.stop.cancel();
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
    fn run(
        &self,
        id: &InstanceId,
        server: &StdioServer,
        replicas: u32,
        after: Option<CancellationToken>,
    ) -> Instance {
        let (status, seen) = watch::channel(ServerStatus::Starting);
        let told = Told { status, changes: self.changes.clone() };
        let (resize, replicas) = watch::channel(replicas);
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let config = BridgeConfig {
            name: id.server.to_string(),
            listen: Listen::Unix(self.socket(id)),
            server: server.clone(),
            replicas: *replicas.borrow(),
            launcher: vec![self.config.executable.clone().into(), "bridge-supervise".into()],
            directory: self.directory(&id.server),
            path: self.config.path.clone(),
            lang: self.config.lang.clone(),
            timing: self.config.timing,
            caps: self.config.caps,
        };
        let child = Child::new(self.config.executable.clone(), config, told, replicas, stop.clone());
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
        Instance { status: seen, replicas: resize, stop, ended }
    }
}

/// Bytes of a socket's name.
const SOCKET_NAME: usize = 16 + ".sock".len();

/// A short name that two instances share only by an accident of one in 2^64, which their bridges would notice. FNV-1a, so
/// that it is the same in every process and every version.
fn socket_name(id: &InstanceId) -> String {
    let hash = id.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}.sock")
}
