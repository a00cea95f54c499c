//! The threads that connections are served on, one for each processor, each with a runtime of its own. A request
//! stays on the thread that its connection was given to, and so do its connection to the server and its timers:
//! nothing is handed from one thread to another on its way, which costs more than most of what is done for it. A
//! connection must never be given to a thread that has ended.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::lease::GRACE;

/// How often each thread wakes for nothing. When a timer is set for nearer than the nearest one that a runtime last slept
/// for, it wakes itself with a system call, though it is awake. So that this does not happen for each request, a nearer
/// one is always there.
const TICK: Duration = Duration::from_millis(200);
/// The shortest timer of a request.
const _: () = assert!(TICK.as_millis() < GRACE.as_millis());

/// The threads. Dropping them ends those that were not ended.
pub(crate) struct Workers {
    all: Vec<Worker>,
    stop: CancellationToken,
}

struct Worker {
    handle: Handle,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// A place on a worker; dropping it gives it back.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts a thread for each processor that this process may use.
    ///
    /// # Errors
    /// The operating system's, when there are no threads or descriptors left.
    pub(crate) fn start() -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Self { all: Vec::with_capacity(count), stop: CancellationToken::new() };
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = workers.stop.clone();
            let body = move || {
                runtime.block_on(async { while timeout(TICK, stop.cancelled()).await.is_err() {} });
                // The end must not wait for a name that is looked up for nobody any more.
                runtime.shutdown_background();
            };
            let thread = std::thread::Builder::new().name(format!("gateway-{number}")).spawn(body)?;
            workers.all.push(Worker { handle, connections: Arc::default(), thread });
        }
        Ok(workers)
    }

    /// Runs what `task` makes on the worker with the fewest connections.
    pub(crate) fn spawn<F>(&self, connections: &mut JoinSet<()>, task: impl FnOnce(Seat) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fewest = self.all.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        if let Some(worker) = fewest {
            worker.connections.fetch_add(1, Ordering::Relaxed);
            connections.spawn_on(task(Seat(Arc::clone(&worker.connections))), &worker.handle);
        }
    }

    /// Ends the threads. What still runs on them is dropped.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let threads: Vec<_> = self.all.drain(..).map(|worker| worker.thread).collect();
        // Each ends as soon as what it runs yields.
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a thread of the gateway ended with a panic");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
