//! Processes that outlive a request: the one that all sessions share, and one for each principal whose requests stand
//! alone. They are started when they are first needed; however many ask at once, one start serves them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use narrows_core::resource::Sessions as Sharing;
use tokio::sync::OnceCell;

use super::{
    Timing,
    backoff::Backoff,
    board::{FrameKind, OwnerKey},
    host::Host,
    process::Process,
    refusal::Refusal,
    sessions::{Greeting, greet},
};

/// Waits that are remembered.
const MOST_WAITS: usize = 4096;

/// What a pooled process is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PoolKey {
    /// Sessions of all principals, in the process of this number. A process speaks one era only, so it is another than that
    /// of requests that stand alone.
    SharedSessions(u32),
    /// Requests of all principals that stand alone, in the process of this number.
    SharedStateless(u32),
    /// Those of one principal.
    Principal(Arc<str>),
}

/// A pooled process, and what it answered to the bridge's `initialize`, where it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Pooled {
    pub(crate) process: Arc<Process>,
    pub(crate) greeting: Option<Arc<Greeting>>,
}

/// Whether another process can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starts {
    Now,
    /// There is no room, or the last start failed a moment ago.
    Later,
}

type Slot = Arc<OnceCell<Pooled>>;

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    slots: Mutex<HashMap<PoolKey, Slot>>,
    waits: Mutex<HashMap<PoolKey, Backoff>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is valid after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// The process for `key`, started if there is none. `initialize` is sent to a process that sessions are to share.
    pub(crate) async fn get(
        host: &Arc<Host>,
        key: PoolKey,
        initialize: Option<&str>,
    ) -> Result<Pooled, Refusal> {
        let sharing = match key {
            PoolKey::SharedSessions(_) | PoolKey::SharedStateless(_) => Sharing::Shared,
            PoolKey::Principal(_) => Sharing::Isolated,
        };
        let mut tries = 0;
        loop {
            let slot = Arc::clone(locked(&host.pool.slots).entry(key.clone()).or_default());
            let started = slot
                .get_or_try_init(async || {
                    let process = host.start(sharing, Some(key.clone())).await?;
                    let greeting = match initialize {
                        None => None,
                        Some(params) => Some(Arc::new(introduce(&process, params).await?)),
                    };
                    Ok::<_, Refusal>(Pooled { process, greeting })
                })
                .await;
            match started {
                Ok(pooled) if !pooled.process.is_closing() => return Ok(pooled.clone()),
                // It is on its way out: the next one gets a slot of its own.
                Ok(pooled) if tries < 3 => {
                    tries += 1;
                    host.pool.forget(&pooled.process);
                }
                Ok(_) => return Err(Refusal::Ended("the server's process is ending".into())),
                Err(refusal) => {
                    let mut slots = locked(&host.pool.slots);
                    if slots
                        .get(&key)
                        .is_some_and(|current| Arc::ptr_eq(current, &slot) && !current.initialized())
                    {
                        slots.remove(&key);
                    }
                    return Err(refusal);
                }
            }
        }
    }

    /// The process is gone or going.
    pub(crate) fn forget(&self, process: &Arc<Process>) {
        let is_it = |slot: &Slot| slot.get().is_some_and(|pooled| Arc::ptr_eq(&pooled.process, process));
        locked(&self.slots).retain(|_, slot| !is_it(slot));
    }

    /// Of so many processes that sessions share, the one that has the fewest.
    pub(crate) fn for_session(&self, replicas: u32, starts: Starts) -> PoolKey {
        self.least(replicas, starts, PoolKey::SharedSessions, |process| process.board().session_count())
    }

    /// Of so many processes that requests share which stand alone, the one that has the fewest to answer.
    pub(crate) fn for_request(&self, replicas: u32, starts: Starts) -> PoolKey {
        self.least(replicas, starts, PoolKey::SharedStateless, |process| process.board().pending_count())
    }

    fn least(
        &self,
        replicas: u32,
        starts: Starts,
        key: impl Fn(u32) -> PoolKey,
        load: impl Fn(&Process) -> usize,
    ) -> PoolKey {
        let now = Instant::now();
        let slots = locked(&self.slots);
        let loads = (0..replicas.max(1)).map(|number| {
            let slot = key(number);
            match slots.get(&slot).and_then(|slot| slot.get()) {
                Some(pooled) => (false, load(&pooled.process), number),
                // One that can't be started now is the last resort: others do.
                None => (starts == Starts::Later || self.wait(&slot, now).is_some(), 0, number),
            }
        });
        key(loads.min().map_or(0, |(_, _, number)| number))
    }

    /// Its number, if all use this process.
    pub(crate) fn shared_number(&self, process: &Arc<Process>) -> Option<u32> {
        locked(&self.slots).iter().find_map(|(key, slot)| {
            let number = match key {
                PoolKey::SharedSessions(number) | PoolKey::SharedStateless(number) => *number,
                PoolKey::Principal(_) => return None,
            };
            slot.get().is_some_and(|pooled| Arc::ptr_eq(&pooled.process, process)).then_some(number)
        })
    }

    /// How long `key` must still wait.
    pub(crate) fn wait(&self, key: &PoolKey, now: Instant) -> Option<Duration> {
        locked(&self.waits).get(key)?.wait(now)
    }

    /// The process for `key` ended by itself.
    pub(crate) fn failed(&self, key: &PoolKey, lived_well: bool, timing: &Timing) -> Duration {
        let mut waits = locked(&self.waits);
        if waits.len() >= MOST_WAITS {
            waits.clear();
        }
        let wait = waits.entry(key.clone()).or_default();
        if lived_well {
            wait.recovered();
        }
        wait.failed(Instant::now(), timing)
    }

    /// Forgets waits that are long over.
    pub(crate) fn forget_waits(&self, now: Instant) {
        locked(&self.waits).retain(|_, wait| !wait.is_stale(now));
    }
}

/// Sends `initialize` in the bridge's own name.
async fn introduce(process: &Arc<Process>, params: &str) -> Result<Greeting, Refusal> {
    let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{params}}}");
    let answered = greet(process, OwnerKey::Bridge, &text).await;
    let greeting = match answered {
        Ok((FrameKind::Result, greeting)) => greeting,
        Ok((FrameKind::Ended, greeting)) => return Err(greeting.unavailable()),
        Ok((FrameKind::Error(_) | FrameKind::Message, _)) => {
            process.kill("the server refused to be initialized".to_owned());
            return Err(Refusal::Ended("the server refused to be initialized".into()));
        }
        Err(refusal) => {
            process.kill("the server did not answer `initialize`".to_owned());
            return Err(refusal);
        }
    };
    process.board().say("notifications/initialized")?;
    Ok(greeting)
}
