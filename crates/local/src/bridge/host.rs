//! What all requests to one bridge share: the processes that run, the sessions that are open, the waits after failures.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use narrows_core::resource::Sessions as Sharing;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    BridgeConfig, Timing,
    backoff::Backoff,
    counts::Counts,
    health::Health,
    launch::{launch, path_of},
    log::{Log, Source},
    pool::{Pool, PoolKey, Starts},
    process::{Ended, Process},
    refusal::Refusal,
    sessions::Sessions,
};
use crate::supervisor::runnable;

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) config: BridgeConfig,
    pub(crate) sessions: Sessions,
    pub(crate) pool: Pool,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) counts: Arc<Counts>,
    log: Log,
    running: Mutex<HashMap<u32, Arc<Process>>>,
    room: Arc<Semaphore>,
    /// Of starts: a server that can't be run, or ends before its first word, is not tried at every request.
    starts: Mutex<Backoff>,
    health: watch::Sender<Health>,
    replicas: watch::Receiver<u32>,
    /// The number of processes that there were to be when that was looked at last, and when it became smaller.
    shrunk: Mutex<(u32, Option<Instant>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is valid after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    pub(crate) fn new(
        config: BridgeConfig,
        log: Log,
        health: watch::Sender<Health>,
        replicas: watch::Receiver<u32>,
    ) -> Arc<Self> {
        let shrunk = Mutex::new((*replicas.borrow(), None));
        let room = Arc::new(Semaphore::new(config.caps.processes));
        Arc::new(Self {
            config,
            sessions: Sessions::default(),
            pool: Pool::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            counts: Arc::default(),
            log,
            running: Mutex::default(),
            room,
            starts: Mutex::default(),
            health,
            replicas,
            shrunk,
        })
    }

    /// How many processes are to share what sessions and requests there are, where they are shared.
    pub(crate) fn replicas(&self) -> u32 {
        *self.replicas.borrow()
    }

    /// Whether another process can be started.
    pub(crate) fn starts(&self) -> Starts {
        let waits = locked(&self.starts).wait(Instant::now()).is_some();
        if waits || self.room.available_permits() == 0 { Starts::Later } else { Starts::Now }
    }

    /// Since when there are to be fewer processes than before.
    fn shrunk(&self, now: Instant) -> Option<Instant> {
        let replicas = self.replicas();
        let mut shrunk = locked(&self.shrunk);
        let (before, since) = *shrunk;
        let since = if replicas < before { Some(now) } else { since };
        *shrunk = (replicas, since);
        since
    }

    /// Starts a process. `key` is its place in the pool, if it has one.
    pub(crate) async fn start(
        self: &Arc<Self>,
        sharing: Sharing,
        key: Option<PoolKey>,
    ) -> Result<Arc<Process>, Refusal> {
        if self.closing.is_cancelled() {
            return Err(Refusal::Ended("the bridge is shutting down".into()));
        }
        let now = Instant::now();
        let wait = locked(&self.starts).wait(now).max(key.as_ref().and_then(|key| self.pool.wait(key, now)));
        if let Some(retry) = wait {
            let reason = match &*self.health.borrow() {
                Health::Failed { reason, .. } | Health::Refused { reason } => reason.as_str().into(),
                Health::Ready => "it failed a moment ago".into(),
            };
            return Err(Refusal::Unavailable { reason, retry });
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            self.make_room();
            return Err(Refusal::Busy("the server has as many processes as it may have"));
        };
        let launched = match launch(&self.config).await {
            Ok(launched) => launched,
            Err(error) => {
                let reason = error.to_string();
                self.log.write(0, Source::Bridge, format!("not started: {reason}")).await;
                let retry = self.start_failed(&reason);
                return Err(Refusal::Unavailable { reason: reason.into(), retry });
            }
        };
        let (process, ends) = Process::new(launched, sharing, self.config.caps, Arc::clone(&self.counts));
        locked(&self.running).insert(process.pid, Arc::clone(&process));
        let grace = self.config.timing.close + self.config.timing.terminate;
        let tending = Arc::clone(&process).tend(ends, self.log.clone(), Arc::clone(&self.counts), grace);
        let (host, tended) = (Arc::clone(self), Arc::clone(&process));
        self.tasks.spawn(async move {
            let ended = tending.await;
            host.ended(&tended, key.as_ref(), &ended);
            drop(permit);
        });
        if self.closing.is_cancelled() {
            process.close();
        }
        Ok(process)
    }

    /// The bridge listens. What is wrong with the command is said before anyone asks for it.
    pub(crate) fn tell_listening(&self) {
        let program = self.config.server.command.first().map_or("", String::as_str);
        match runnable(program, path_of(&self.config)) {
            Ok(()) => drop(self.health.send_replace(Health::Ready)),
            Err(reason) => self.failed(&reason, Duration::ZERO),
        }
    }

    /// The processes that run.
    pub(crate) fn running(&self) -> Vec<Arc<Process>> {
        locked(&self.running).values().cloned().collect()
    }

    /// A process sent its first message: what failed before is over.
    pub(crate) fn works(&self) {
        locked(&self.starts).recovered();
        self.health.send_if_modified(|health| std::mem::replace(health, Health::Ready) != Health::Ready);
    }

    /// Ends everything and returns when nothing is left.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        for process in self.running() {
            process.close();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What time brings: sessions and processes that nobody uses are ended.
    pub(crate) fn sweep(&self, now: Instant) {
        let Timing { idle, drain, .. } = self.config.timing;
        let replicas = self.replicas();
        let shrunk = self.shrunk(now);
        for process in self.running() {
            let (unused, idle_since, spoken) = {
                let mut board = process.board();
                (board.sweep(now, idle), board.idle_since(), board.has_spoken())
            };
            if spoken && !process.is_closing() {
                self.works();
            }
            for key in unused {
                self.sessions.end(&process, key, now);
            }
            let ends = match self.pool.shared_number(&process) {
                // It stays, however idle.
                Some(number) if number < replicas => false,
                // There are to be fewer: those that are with it have some time.
                Some(_) => {
                    idle_since.is_some() || shrunk.is_none_or(|since| now.duration_since(since) > drain)
                }
                None => idle_since.is_some_and(|since| now.duration_since(since) > idle),
            };
            if ends {
                process.close();
            }
        }
        self.pool.forget_waits(now);
    }

    fn start_failed(&self, reason: &str) -> Duration {
        let wait = locked(&self.starts).failed(Instant::now(), &self.config.timing);
        self.failed(reason, wait);
        wait
    }

    fn failed(&self, reason: &str, wait: Duration) {
        tracing::warn!(server = self.config.name, reason, wait_ms = wait.as_millis(), "server failed");
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.health.send_replace(Health::Failed { reason: reason.to_owned(), wait_ms });
    }

    fn ended(&self, process: &Arc<Process>, key: Option<&PoolKey>, ended: &Ended) {
        locked(&self.running).remove(&process.pid);
        self.sessions.forget(process);
        self.pool.forget(process);
        let counted = self.counts.nonzero();
        tracing::info!(server = self.config.name, pid = process.pid, reason = %ended.reason, ?counted, "process ended");
        if ended.asked {
            return;
        }
        if !ended.spoken {
            self.start_failed(&ended.reason);
        } else if let Some(key) = key {
            let lived_well = ended.lived >= self.config.timing.healthy;
            let wait = self.pool.failed(key, lived_well, &self.config.timing);
            self.failed(&ended.reason, wait);
        }
    }

    /// Ends the process of the pool that has been idle longest.
    fn make_room(&self) {
        let idle = |process: Arc<Process>| {
            let since = process.board().idle_since()?;
            Some((since, process))
        };
        let running = self
            .running()
            .into_iter()
            .filter(|process| !process.is_closing() && self.pool.shared_number(process).is_none());
        if let Some((_, process)) = running.filter_map(idle).min_by_key(|(since, _)| *since) {
            process.close();
        }
    }
}
