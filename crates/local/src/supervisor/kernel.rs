//! Two system calls for which no library offers a safe function. Nothing else in this crate is `unsafe`.
#![expect(
    unsafe_code,
    reason = "no safe wrapper exists for these two calls; neither is given a pointer that is read or written"
)]

use std::io;

/// Marks every descriptor above standard error as closed on exec, so that a server inherits none that some parent of
/// ours left open. Descriptors stay usable in this process.
pub(super) fn close_on_exec() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC closes nothing and takes no pointer.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The Landlock ABI of the kernel; none where Landlock is absent or switched off.
pub(super) fn landlock_abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with LANDLOCK_CREATE_RULESET_VERSION the attribute pointer must be null and its size 0; the kernel
    // answers with a number and makes no descriptor.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}
