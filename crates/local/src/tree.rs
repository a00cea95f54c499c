//! What `/proc` says of processes and their descendants. Read whole each time: a tree is out of date as soon as it is
//! read, so every use of it is repeated until it finds nothing more to do.

use std::{collections::HashMap, fs, io};

use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// Ticks after boot; with the process id, it names a process for good.
    pub(crate) started: u64,
    pub(crate) threads: u32,
    /// Bytes in memory, shared ones included.
    pub(crate) resident: u64,
    /// Ticks of processor time, its own and that of children it has waited for, so that the sum over a tree never falls
    /// while its root lives.
    pub(crate) ticks: u64,
    pub(crate) zombie: bool,
}

/// All processes that can be seen.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: HashMap<u32, Entry>,
    children: HashMap<u32, Vec<u32>>,
}

impl Tree {
    /// Reads `/proc`.
    pub(crate) fn read() -> io::Result<Self> {
        let mut tree = Self::default();
        for file in fs::read_dir("/proc")? {
            let Some(pid) = file?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(entry) = entry(pid) {
                tree.entries.insert(pid, entry);
                tree.children.entry(entry.parent).or_default().push(pid);
            }
        }
        Ok(tree)
    }

    /// The children of `root`, theirs, and so on; not `root` itself.
    pub(crate) fn descendants(&self, root: u32) -> Vec<(u32, Entry)> {
        let mut found = Vec::new();
        let mut next = vec![root];
        while let Some(parent) = next.pop() {
            for pid in self.children.get(&parent).into_iter().flatten().copied() {
                if let Some(entry) = self.entries.get(&pid) {
                    found.push((pid, *entry));
                    next.push(pid);
                }
            }
            if found.len() > self.entries.len() {
                break;
            }
        }
        found
    }

    /// Ticks that `root` and its descendants have used, those included that have ended and were waited for.
    pub(crate) fn processor_time(&self, root: u32) -> u64 {
        let own = self.entries.get(&root).map_or(0, |entry| entry.ticks);
        self.descendants(root).iter().fold(own, |sum, (_, entry)| sum.saturating_add(entry.ticks))
    }

    /// The processes of a session (see `setsid(2)`) whose leader has ended and was waited for. While there are any, the
    /// kernel gives the leader's number to no other process: a leader that is there is another's, and so is its session.
    pub(crate) fn orphaned_session(&self, leader: u32) -> Vec<(u32, Entry)> {
        if self.entries.contains_key(&leader) {
            return Vec::new();
        }
        let member = |(_, entry): &(&u32, &Entry)| entry.session == leader;
        self.entries.iter().filter(member).map(|(pid, entry)| (*pid, *entry)).collect()
    }
}

/// Sends a signal to the very process that was seen, or to none if it has ended since.
pub(crate) fn signal(pid: u32, seen: &Entry, signal: Signal) {
    let Some(raw) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return };
    let Ok(fd) = pidfd_open(raw, PidfdFlags::empty()) else { return };
    if entry(pid).is_some_and(|now| now.started == seen.started) {
        // A process that has just ended takes no signal: that is what was wanted.
        let _ = pidfd_send_signal(fd, signal);
    }
}

/// Bytes that a process has in memory, shared ones divided by how many share them. None where it can't be told.
pub(crate) fn proportional(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn entry(pid: u32) -> Option<Entry> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/PID/stat` (proc_pid_stat(5)). The name may hold anything, a `)` too; it ends with the last.
fn parse(line: &str) -> Option<Entry> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The manual counts from 1, and the first field here is its third.
    let number = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<u64>().ok();
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(Entry {
        parent: u32::try_from(number(4)?).ok()?,
        session: u32::try_from(number(6)?).ok()?,
        ticks: [14, 15, 16, 17].into_iter().filter_map(number).fold(0, u64::saturating_add),
        threads: u32::try_from(number(20)?).ok()?,
        started: number(22)?,
        resident: number(24)?.saturating_mul(page),
        zombie: fields.first().is_some_and(|state| *state == "Z"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b) R) S 7 42 9 0 -1 4194304 1 0 0 0 11 5 3 2 20 0 4 0 12345 1000000 300 18446744073709551615 1";
        let page = u64::try_from(rustix::param::page_size()).unwrap();
        let entry = parse(line).unwrap();
        assert_eq!(
            entry,
            Entry {
                parent: 7,
                session: 9,
                started: 12345,
                threads: 4,
                resident: 300 * page,
                ticks: 21,
                zombie: false
            }
        );
        assert_eq!(parse("42 (cut) S 7 42"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn our_own_child_is_a_descendant_and_can_be_killed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        let tree = Tree::read().unwrap();
        let (pid, entry) = *tree.descendants(own).iter().find(|(pid, _)| *pid == child.id()).unwrap();
        signal(pid, &Entry { started: entry.started + 1, ..entry }, Signal::KILL);
        assert!(child.try_wait().unwrap().is_none(), "another process of the same number must be spared");
        signal(pid, &entry, Signal::KILL);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    }
}
