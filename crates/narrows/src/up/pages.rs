//! Pages of the program that only the start needed.
//!
//! Reading resources, judging them and building the listeners goes through most of the program, and every page of it that
//! was looked at stays in the process's resident memory, though calls use a quarter of them. They are pages of a file that
//! nobody has written to: given back, they cost a fault to those that are used again, and the kernel may use the rest for
//! something else.

#![expect(unsafe_code, reason = "no safe wrapper exists for this call")]

use std::{ffi::c_void, fs, io, path::Path};

use rustix::mm::{Advice, madvise};

/// Gives back the pages of this program's instructions. Those that are in use are back at once.
pub(super) fn give_back() -> io::Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    for range in instructions(&fs::read_to_string("/proc/self/maps")?, &program) {
        let start = std::ptr::without_provenance_mut::<c_void>(range.start);
        // SAFETY: the range is one that the kernel has just named, of a file, never writable: what is dropped is read from
        // the file again. It stays mapped for as long as the process lives.
        unsafe { madvise(start, range.end.saturating_sub(range.start), Advice::LinuxDontNeed) }?;
    }
    Ok(())
}

/// Where a program's instructions are mapped, as `/proc/self/maps` says it. Not what can be written, and not what could
/// have been written before it was made read-only, as addresses that the loader fills in: those aren't in the file.
fn instructions(maps: &str, program: &Path) -> Vec<std::ops::Range<usize>> {
    let range = |line: &str| {
        let mut fields = line.splitn(6, ' ');
        let (addresses, permissions) = (fields.next()?, fields.next()?);
        let path = fields.nth(3)?.trim_start();
        if permissions != "r-xp" || Path::new(path) != program {
            return None;
        }
        let (start, end) = addresses.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    };
    maps.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
5500-5600 r--p 00000000 fe:01 42                         /opt/my tools/narrows
5600-5700 r-xp 00100000 fe:01 42                         /opt/my tools/narrows
5700-5800 r--p 00200000 fe:01 42                         /opt/my tools/narrows
5800-5900 rwxp 00300000 fe:01 42                         /opt/my tools/narrows
7000-7100 r-xp 00000000 fe:01 43                         /lib/libc.so.6
7200-7300 r-xp 00000000 00:00 0                          [vdso]
7400-7500 rw-p 00000000 00:00 0 
";

    #[test]
    fn only_instructions_of_the_program_are_given_back() {
        let found: Vec<_> = instructions(MAPS, Path::new("/opt/my tools/narrows"))
            .into_iter()
            .map(|range| (range.start, range.end))
            .collect();
        assert_eq!(found, [(0x5600, 0x5700)]);
    }

    #[test]
    fn a_process_goes_on_after_it() {
        give_back().unwrap();
        give_back().unwrap();
    }
}
