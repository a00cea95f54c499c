//! The idle connections of one client, last in, first out, and the slots that bound how many are in use.
//!
//! Connections are kept apart by the thread that gave them back: what a connection hears arrives at the runtime that it
//! was made on, and a request on another thread would be woken across threads for each piece of its answer. A lock is
//! held to push or pop and never while a connection is polled or awaited.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, TryAcquireError};

use crate::{ClientLimits, EgressError, link::Link};

pub(crate) struct Pool {
    limits: ClientLimits,
    slots: Semaphore,
    waiting: AtomicUsize,
    shelves: Box<[Mutex<Shelf>]>,
    /// Connections that one shelf keeps.
    shelf_limit: usize,
}

/// The idle connections of some threads, mostly of one. None when the pool is closed.
type Shelf = Option<Vec<Idle>>;

struct Idle {
    link: Box<Link>,
    until: Instant,
}

/// The right to have one request in progress.
pub(crate) struct Slot {
    pool: Arc<Pool>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.slots.add_permits(1);
    }
}

impl Slot {
    /// Gives the connection back for the next request, then the slot. Closes it if it can't be used again.
    pub(crate) fn give_back(self, mut link: Box<Link>) {
        if link.is_idle() {
            self.pool.put(link);
        }
    }
}

impl Pool {
    pub(crate) fn new(limits: ClientLimits) -> Arc<Self> {
        let shelves = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            limits,
            slots: Semaphore::new(limits.max_connections.clamp(1, Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            shelves: (0..shelves).map(|_| Mutex::new(Some(Vec::new()))).collect(),
            shelf_limit: limits.max_idle.div_ceil(shelves),
        })
    }

    /// Waits for a slot, in a queue of bounded length.
    pub(crate) async fn slot(self: &Arc<Self>) -> Result<Slot, EgressError> {
        match self.slots.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::Closed) => return Err(EgressError::Closed),
            Err(TryAcquireError::NoPermits) => {
                let _place = self.queue()?;
                self.slots.acquire().await.map_err(|_| EgressError::Closed)?.forget();
            }
        }
        Ok(Slot { pool: Arc::clone(self) })
    }

    fn queue(&self) -> Result<Queued<'_>, EgressError> {
        let place = Queued(&self.waiting);
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting < self.limits.max_waiting { Ok(place) } else { Err(EgressError::Busy { waiting }) }
    }

    /// The connection of this thread's shelf that was used last and is still good.
    pub(crate) fn take(&self) -> Option<Box<Link>> {
        let now = Instant::now();
        loop {
            let Idle { mut link, until } = lock(self.shelf()?).as_mut()?.pop()?;
            if now < until && link.is_idle() {
                return Some(link);
            }
        }
    }

    fn put(&self, link: Box<Link>) {
        let keep = link.keep.unwrap_or(self.limits.idle_timeout);
        let idle = Idle { link, until: Instant::now() + keep };
        let Some(shelf) = self.shelf() else { return };
        let mut shelf = lock(shelf);
        match shelf.as_mut() {
            Some(all) if all.len() < self.shelf_limit => all.push(idle),
            Some(_) | None => drop(shelf),
        }
    }

    /// The shelf of this thread, if anything is kept.
    fn shelf(&self) -> Option<&Mutex<Shelf>> {
        if self.shelf_limit == 0 {
            // A thread that keeps nothing has no number, so that the numbers of those that do are dense.
            return None;
        }
        self.shelves.get(thread_number() % self.shelves.len().max(1))
    }

    /// Closes what idled too long or was closed by the other side.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for shelf in &self.shelves {
            let all = lock(shelf).as_mut().map(std::mem::take).unwrap_or_default();
            let kept: Vec<Idle> = all
                .into_iter()
                .filter_map(|mut idle| (now < idle.until && idle.link.is_idle()).then_some(idle))
                .collect();
            if let Some(all) = lock(shelf).as_mut() {
                // What came back in the meantime was used later and stays on top.
                let newer = std::mem::replace(all, kept);
                all.extend(newer);
                all.truncate(self.shelf_limit);
            }
        }
    }

    /// Closes all idle connections and lets no new request begin. Requests in progress go on.
    pub(crate) fn close(&self) {
        self.slots.close();
        for shelf in &self.shelves {
            let idle = lock(shelf).take();
            drop(idle);
        }
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.limits.idle_timeout
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number of the calling thread's own, small and dense, so that few threads share a shelf.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        let own = number.get().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        number.set(Some(own));
        own
    })
}

/// A place in the queue for a slot.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
