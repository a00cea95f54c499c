//! Pages of the program that only the start needed.
//!
//! Reading resources, judging them and building the listeners goes through most of the program, and every page of it that
//! was looked at stays in the process's resident memory, though calls use a quarter of them. They are pages of a file that
//! nobody has written to: given back, they cost a fault to those that are used again, and the kernel may use the rest for
//! something else.

#![expect(unsafe_code, reason = "no safe wrapper exists for this call")]

use std::{ffi::c_void, fs, io, ops::Range};

use rustix::mm::{Advice, madvise};

/// Gives back the pages of files that are mapped to be read or executed. Those that are in use are back at once.
pub(super) fn give_back() -> io::Result<()> {
    for range in unwritten(&fs::read_to_string("/proc/self/smaps")?) {
        let start = std::ptr::without_provenance_mut::<c_void>(range.start);
        // SAFETY: the range is one that the kernel has just named, of a file, that can't be written and of which nothing was
        // ever written: what is dropped is read from the file again. It stays mapped for as long as the process lives, for
        // nothing here unloads a library.
        unsafe { madvise(start, range.end.saturating_sub(range.start), Advice::LinuxDontNeed) }?;
    }
    Ok(())
}

/// Where files are mapped that can't be written and are as they are on disk, as `/proc/self/smaps` says it. Addresses that
/// the loader filled in before it made them read-only are anonymous pages, and in no file.
fn unwritten(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(mapped) = mapping(line) {
            current = mapped;
        } else if line.starts_with("Anonymous:") && line.ends_with(" 0 kB") {
            found.extend(current.take());
        }
    }
    found
}

/// The first line of a mapping, and where it is if it is of a file and can't be written; none for other lines.
fn mapping(line: &str) -> Option<Option<Range<usize>>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    let permissions = fields.next()?;
    let inode = fields.nth(2)?;
    Some((matches!(permissions, "r--p" | "r-xp") && inode != "0").then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
5500-5600 r--p 00000000 fe:01 42                         /opt/my tools/narrows
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
5600-5700 r-xp 00100000 fe:01 42                         /opt/my tools/narrows
Anonymous:             0 kB
5700-5800 r--p 00200000 fe:01 42                         /opt/my tools/narrows
Anonymous:           580 kB
5800-5900 rw-p 00300000 fe:01 42                         /opt/my tools/narrows
Anonymous:             0 kB
6000-6100 rw-p 00000000 00:00 0                          [heap]
Anonymous:            20 kB
7000-7100 r-xp 00000000 fe:01 43                         /lib/libc.so.6
Anonymous:             0 kB
7100-7180 r--s 00000000 fe:01 44                         /data/shared
Anonymous:             0 kB
7200-7300 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
";

    #[test]
    fn only_what_is_as_in_its_file_is_given_back() {
        let found: Vec<_> = unwritten(SMAPS).into_iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(found, [(0x5500, 0x5600), (0x5600, 0x5700), (0x7000, 0x7100)]);
    }

    #[test]
    fn a_process_goes_on_after_it() {
        give_back().unwrap();
        give_back().unwrap();
    }
}
