//! Bounds on a whole tree of processes, which no single system call sets without a cgroup of our own: memory, the
//! number of processes and threads, and processor time. They are measured several times a second. What is over its
//! memory or its number is killed, with a reason; what is over its processor time is stopped until it is within it.
//! Between two measurements a server can be over: that is said in the documents, not hidden.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use narrows_core::resource::Limits;
use rustix::process::Signal;

use super::{host::Host, process::Process};
use crate::tree::{self, Entry, Tree};

/// Between measurements of memory and numbers.
const INTERVAL: Duration = Duration::from_millis(250);
/// Between measurements of processor time.
const SLICE: Duration = Duration::from_millis(100);
/// Processor time that can be saved up, in seconds of the bound.
const SAVED: f64 = 1.0;

/// Measures until the bridge closes.
pub(super) async fn watch(host: Arc<Host>) {
    let limits = host.config.server.limits;
    if limits.memory_bytes.is_none() && limits.processes.is_none() && limits.cpu_millis.is_none() {
        return;
    }
    let between = if limits.cpu_millis.is_some() { SLICE } else { INTERVAL };
    let mut meters: HashMap<u32, Meter> = HashMap::new();
    loop {
        tokio::select! {
            () = host.closing.cancelled() => break,
            () = tokio::time::sleep(between) => {}
        }
        let running = host.running();
        if running.is_empty() {
            meters.clear();
            continue;
        }
        let measured = tokio::task::spawn_blocking(move || {
            measure(&running, &limits, &mut meters, Instant::now());
            meters
        });
        meters = measured.await.unwrap_or_default();
    }
}

fn measure(running: &[Arc<Process>], limits: &Limits, meters: &mut HashMap<u32, Meter>, now: Instant) {
    // Where `/proc` can't be read, the next time is soon.
    let Ok(tree) = Tree::read() else { return };
    meters.retain(|pid, _| running.iter().any(|process| process.pid == *pid));
    for process in running {
        let mut members = tree.descendants(process.pid);
        members.retain(|(_, entry)| !entry.zombie);
        if let Some(reason) = excess(&members, limits, tree::proportional) {
            process.kill(reason);
        } else if let Some(millis) = limits.cpu_millis {
            let used = tree.processor_time(process.pid);
            let meter = meters.entry(process.pid).or_insert_with(|| Meter::new(used, millis, now));
            // One that is to end must run to do so.
            let verdict = if process.is_closing() { Verdict::Run } else { meter.judge(used, millis, now) };
            meter.carry_out(verdict, &members);
        }
    }
}

/// Why a tree is to be killed.
fn excess(members: &[(u32, Entry)], limits: &Limits, exactly: impl Fn(u32) -> Option<u64>) -> Option<String> {
    if let Some(most) = limits.processes {
        let threads: u64 = members.iter().map(|(_, entry)| u64::from(entry.threads)).sum();
        if threads > u64::from(most) {
            return Some(format!(
                "the server was killed: it had {threads} processes and threads, more than {most}"
            ));
        }
    }
    let most = limits.memory_bytes?;
    let resident: u64 = members.iter().map(|(_, entry)| entry.resident).sum();
    if resident <= most {
        return None;
    }
    // What processes share was counted for each of them: look closer before anything is killed.
    let used: u64 = members.iter().map(|(pid, entry)| exactly(*pid).unwrap_or(entry.resident)).sum();
    (used > most).then(|| {
        format!("the server was killed: it used {} of memory, more than {}", mebibytes(used), mebibytes(most))
    })
}

fn mebibytes(bytes: u64) -> String {
    const MI: u64 = 1024 * 1024;
    if bytes.is_multiple_of(MI) { format!("{}Mi", bytes / MI) } else { format!("{}Mi", bytes / MI + 1) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Run,
    Stop,
}

/// Processor time of one tree: a bucket that fills with time and is emptied by use.
#[derive(Debug)]
struct Meter {
    at: Instant,
    /// Ticks that the tree had used by then.
    used: u64,
    /// Seconds that may still be used.
    left: f64,
    stopped: bool,
}

impl Meter {
    fn new(used: u64, millis: u32, now: Instant) -> Self {
        Self { at: now, used, left: SAVED * f64::from(millis) / 1000.0, stopped: false }
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks of a hundredth of a second are far below 2^52")]
    fn judge(&mut self, ticks: u64, millis: u32, now: Instant) -> Verdict {
        let rate = f64::from(millis) / 1000.0;
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let used = ticks.saturating_sub(self.used) as f64 / rustix::param::clock_ticks_per_second() as f64;
        self.at = now;
        self.used = ticks;
        self.left = (self.left + passed * rate - used).min(SAVED * rate);
        if self.left < 0.0 { Verdict::Stop } else { Verdict::Run }
    }

    fn carry_out(&mut self, verdict: Verdict, members: &[(u32, Entry)]) {
        let signal = match (verdict, self.stopped) {
            // Again each time, for those that were started since.
            (Verdict::Stop, _) => Signal::STOP,
            (Verdict::Run, true) => Signal::CONT,
            (Verdict::Run, false) => return,
        };
        self.stopped = verdict == Verdict::Stop;
        for (pid, entry) in members {
            tree::signal(*pid, entry, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MI: u64 = 1024 * 1024;

    fn entry(threads: u32, resident: u64) -> Entry {
        Entry { parent: 1, session: 1, started: 5, threads, resident, ticks: 0, zombie: false }
    }

    fn check(limits: Limits, exact: Option<u64>, expected: Option<&str>) {
        let members = [(10, entry(3, 200 * MI)), (11, entry(1, 100 * MI))];
        assert_eq!(excess(&members, &limits, |_| exact).as_deref(), expected, "{limits:?} {exact:?}");
    }

    #[test]
    fn what_is_over_is_said_with_its_numbers() {
        let memory = |most| Limits { memory_bytes: Some(most), ..Limits::default() };
        let processes = |most| Limits { processes: Some(most), ..Limits::default() };
        check(Limits::default(), None, None);
        check(memory(300 * MI), None, None);
        check(
            memory(256 * MI),
            None,
            Some("the server was killed: it used 300Mi of memory, more than 256Mi"),
        );
        check(memory(256 * MI), Some(100 * MI), None);
        check(
            memory(150 * MI),
            Some(100 * MI),
            Some("the server was killed: it used 200Mi of memory, more than 150Mi"),
        );
        check(processes(4), None, None);
        check(processes(3), None, Some("the server was killed: it had 4 processes and threads, more than 3"));
    }

    #[test]
    fn over_a_long_time_no_more_than_the_bound_is_used() {
        let start = Instant::now();
        let mut meter = Meter::new(0, 250, start);
        let (mut ticks, mut ran) = (0, 0_u32);
        const STEPS: u32 = 1000;
        for step in 1..=STEPS {
            let verdict = meter.judge(ticks, 250, start + SLICE * step);
            if verdict == Verdict::Run {
                // A tenth of a second at full speed.
                ticks += 10;
                ran += 1;
            }
        }
        assert!((STEPS / 4 - 5..=STEPS / 4 + 15).contains(&ran), "ran {ran} of {STEPS} slices");
    }

    #[test]
    fn a_process_that_sleeps_is_never_stopped() {
        let start = Instant::now();
        let mut meter = Meter::new(7, 100, start);
        for step in 1..100 {
            let verdict = meter.judge(7, 100, start + SLICE * step);
            assert_eq!(verdict, Verdict::Run, "step {step}");
        }
    }
}
