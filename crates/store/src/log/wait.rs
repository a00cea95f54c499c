//! How appenders wait until their records are durable. To wake a task on another thread is a system call, and a batch
//! of the log ends the wait of a dozen calls on each thread. So the writer wakes one of them on each thread, and that
//! one wakes the others, on the thread that they share, where it costs next to nothing.
//!
//! Those that are still to be woken lie in a list that their thread's appenders share. Whoever is in it is in one of its
//! two ways out: it is polled, or it is dropped; in both it empties the list. So it is enough that one is woken after
//! the last was put in, and nobody is forgotten when that one is dropped instead.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use narrows_core::ports::{AppendError, LogIndex};

/// What becomes of a record.
type Written = Result<LogIndex, AppendError>;

/// The writer's end: says what became of a record. Dropped without a word it says that the log is closed.
#[derive(Debug)]
pub(crate) struct Done(Option<Arc<Slot>>);

/// The appender's end.
#[derive(Debug)]
pub(crate) struct Wait {
    slot: Arc<Slot>,
    /// Where its waker goes, once it was polled.
    group: Option<Arc<Group>>,
}

/// The two ends of one record.
pub(crate) fn pair() -> (Done, Wait) {
    let slot = Arc::new(Slot::default());
    (Done(Some(Arc::clone(&slot))), Wait { slot, group: None })
}

#[derive(Debug, Default)]
struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Nothing was said. Who wants to hear it, if it was asked for.
    Open(Option<Waiter>),
    Said(Written),
    /// It was heard, or nobody wants to.
    Over,
}

impl Default for State {
    fn default() -> Self {
        Self::Open(None)
    }
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    group: Arc<Group>,
}

/// Those of one thread whose record is durable, and who were not woken yet.
#[derive(Debug, Default)]
struct Group(Mutex<Vec<Waker>>);

thread_local! {
    static GROUP: Arc<Group> = Arc::default();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Group {
    fn wake_one(&self) {
        let one = lock(&self.0).pop();
        if let Some(waker) = one {
            waker.wake();
        }
    }

    fn wake_all(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        all.into_iter().for_each(Waker::wake);
    }
}

/// The threads on which somebody is to be woken when a batch is done. Dropping it wakes one on each.
#[derive(Debug, Default)]
pub(crate) struct Bells(Vec<Arc<Group>>);

impl Bells {
    /// Says what became of a record. Who waits for it is woken at the end.
    pub(crate) fn say(&mut self, mut done: Done, written: Written) {
        if let Some(group) = done.0.take().and_then(|slot| slot.say(written))
            && !self.0.iter().any(|known| Arc::ptr_eq(known, &group))
        {
            self.0.push(group);
        }
    }
}

impl Drop for Bells {
    fn drop(&mut self) {
        self.0.iter().for_each(|group| group.wake_one());
    }
}

impl Slot {
    /// The group that the waiter was put into, if there is one.
    fn say(&self, written: Written) -> Option<Arc<Group>> {
        let mut state = lock(&self.0);
        let State::Open(waiter) = &mut *state else { return None };
        let waiter = waiter.take();
        *state = State::Said(written);
        let Waiter { waker, group } = waiter?;
        // Within the lock: whoever finds the word said also finds itself in the list.
        lock(&group.0).push(waker);
        drop(state);
        Some(group)
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(group) = self.0.take().and_then(|slot| slot.say(Err(AppendError::Closed))) {
            group.wake_one();
        }
    }
}

impl Wait {
    /// Wakes the others of its thread, if it may have been the one that was woken for them.
    fn pass_on(&mut self) {
        if let Some(group) = self.group.take() {
            group.wake_all();
        }
    }
}

impl Future for Wait {
    type Output = Written;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Written> {
        let this = &mut *self;
        let mut state = lock(&this.slot.0);
        if let State::Open(waiter) = &mut *state {
            let group = GROUP.try_with(Arc::clone).unwrap_or_default();
            this.group = Some(Arc::clone(&group));
            match waiter {
                Some(known) if known.waker.will_wake(cx.waker()) => known.group = group,
                Some(_) | None => *waiter = Some(Waiter { waker: cx.waker().clone(), group }),
            }
            return Poll::Pending;
        }
        let said = std::mem::replace(&mut *state, State::Over);
        drop(state);
        this.pass_on();
        match said {
            State::Said(written) => Poll::Ready(written),
            // It was polled again after it was ready.
            State::Open(_) | State::Over => Poll::Ready(Err(AppendError::Closed)),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // The waker is dropped outside the lock.
        let _state = std::mem::replace(&mut *lock(&self.slot.0), State::Over);
        self.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        task::Wake,
        time::Duration,
    };

    use tokio::task::JoinSet;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Waiting {
        count: Arc<Count>,
        wait: Wait,
    }

    impl Waiting {
        fn poll(&mut self) -> Poll<Written> {
            let waker = Waker::from(Arc::clone(&self.count));
            Pin::new(&mut self.wait).poll(&mut Context::from_waker(&waker))
        }

        fn woken(&self) -> usize {
            self.count.0.load(Ordering::SeqCst)
        }
    }

    /// So many that were polled once.
    fn waiting(number: usize) -> (Vec<Done>, Vec<Waiting>) {
        let pairs = (0..number).map(|_| {
            let (done, wait) = pair();
            let mut waiting = Waiting { count: Arc::default(), wait };
            assert_eq!(waiting.poll(), Poll::Pending);
            (done, waiting)
        });
        pairs.unzip()
    }

    fn say_all(dones: Vec<Done>) {
        let mut bells = Bells::default();
        for (index, done) in (0..).zip(dones) {
            bells.say(done, Ok(LogIndex(index)));
        }
        drop(bells);
    }

    fn woken(all: &[Waiting]) -> Vec<usize> {
        all.iter().map(Waiting::woken).collect()
    }

    #[test]
    fn one_is_woken_for_all_and_wakes_the_others() {
        let (dones, mut all) = waiting(4);
        say_all(dones);
        assert_eq!(woken(&all).iter().sum::<usize>(), 1);
        let first = all.iter().position(|waiting| waiting.woken() == 1).unwrap();
        assert_eq!(all[first].poll(), Poll::Ready(Ok(LogIndex(first as u64))));
        assert_eq!(woken(&all), [1; 4]);
        for (index, waiting) in all.iter_mut().enumerate().filter(|(index, _)| *index != first) {
            assert_eq!(waiting.poll(), Poll::Ready(Ok(LogIndex(index as u64))));
        }
        assert_eq!(woken(&all), [1; 4]);
    }

    #[test]
    fn one_that_is_dropped_instead_wakes_the_others_too() {
        let (dones, mut all) = waiting(4);
        say_all(dones);
        let first = all.iter().position(|waiting| waiting.woken() == 1).unwrap();
        drop(all.remove(first));
        assert_eq!(woken(&all), [1; 3]);
    }

    #[test]
    fn one_that_was_dropped_before_is_not_woken_and_not_the_one() {
        let (dones, mut all) = waiting(4);
        drop(all.split_off(1));
        say_all(dones);
        assert_eq!(woken(&all), [1]);
    }

    #[test]
    fn one_that_looks_by_itself_wakes_the_others() {
        let (mut dones, mut all) = waiting(2);
        let mut bells = Bells::default();
        bells.say(dones.remove(0), Ok(LogIndex(0)));
        assert!(all[0].poll().is_ready());
        bells.say(dones.remove(0), Ok(LogIndex(1)));
        drop(bells);
        assert_eq!(woken(&all), [1, 1]);
        assert!(all[1].poll().is_ready());
    }

    #[test]
    fn a_word_before_the_first_look_is_heard_and_none_at_all_is_the_end() {
        let (done, wait) = pair();
        let mut waiting = Waiting { count: Arc::default(), wait };
        say_all(vec![done]);
        assert_eq!(waiting.poll(), Poll::Ready(Ok(LogIndex(0))));
        assert_eq!(waiting.poll(), Poll::Ready(Err(AppendError::Closed)));
        let (dones, mut all) = self::waiting(2);
        drop(dones);
        assert_eq!(woken(&all), [1, 1]);
        assert_eq!(all[0].poll(), Poll::Ready(Err(AppendError::Closed)));
    }

    /// Many tasks on some threads, of which each third loses patience sooner or later; batches as they come.
    #[test]
    fn nobody_is_forgotten() {
        const TASKS: u64 = 32;
        const ROUNDS: u64 = 400;
        let (send, receive) = mpsc::channel::<Done>();
        let writer = std::thread::spawn(move || {
            while let Ok(first) = receive.recv() {
                let mut bells = Bells::default();
                bells.say(first, Ok(LogIndex(0)));
                for done in receive.try_iter().take(64) {
                    bells.say(done, Ok(LogIndex(0)));
                }
            }
        });
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let send = send.clone();
                std::thread::spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    let task = |number: u64| {
                        let send = send.clone();
                        async move {
                            for round in 0..ROUNDS {
                                let (done, wait) = pair();
                                send.send(done).unwrap();
                                let impatient = (number + round).is_multiple_of(3);
                                let patience =
                                    if impatient { Duration::ZERO } else { Duration::from_secs(60) };
                                let heard = tokio::time::timeout(patience, wait).await;
                                assert!(impatient || heard.unwrap() == Ok(LogIndex(0)));
                            }
                        }
                    };
                    runtime.block_on(async {
                        let mut tasks: JoinSet<()> = (0..TASKS).map(task).collect();
                        while let Some(ended) = tasks.join_next().await {
                            ended.unwrap();
                        }
                    });
                })
            })
            .collect();
        drop(send);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        writer.join().unwrap();
    }
}
