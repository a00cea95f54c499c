//! The walls around a server: bounds on what it may use, no new privileges, and a Landlock domain. They are put up in
//! the thread that then starts the server, so that the supervisor itself stays able to watch and to kill.
//!
//! A wall that was asked for and can't be built is an error, never a warning.

use std::{fs, io, path::Path};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use narrows_core::resource::FileAccess;
use rustix::process::{Resource, Rlimit};

use super::{kernel, order::Order};

/// The newest ABI whose rights these rules were written and tested for.
const TESTED: ABI = ABI::V7;

/// What programs need to start, where it exists: libraries, executables and the parts of `/etc` that resolve names,
/// zones and certificates. Read and execute only.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/proc",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/run/systemd/resolve",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

/// Devices that are safe to read and write.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm"];

/// Why a wall could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Open {
    /// `files` needs Landlock.
    #[error(
        "`spec.files` can't be enforced: this kernel has no Landlock\nhint: run Linux 5.13 or later with `landlock` among its security modules, or leave `spec.files` out"
    )]
    NoLandlock,
    /// The kernel enforces less than was asked.
    #[error("`spec.files` can't be enforced: this kernel's Landlock is too old")]
    OldLandlock,
    /// A declared path can't be opened.
    #[error(
        "`spec.files` names `{path}`, which can't be opened: {source}\nhint: it must exist before the server starts"
    )]
    Path {
        /// Which.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The kernel refused a rule.
    #[error("the Landlock rules were refused: {0}")]
    Rules(#[from] RulesetError),
    /// More descriptors than the account may have.
    #[error("`spec.resources.openFiles` is {asked}, more than the {most} that this account may have")]
    Descriptors {
        /// Asked for.
        asked: u64,
        /// The hard limit.
        most: u64,
    },
    /// Any other system call.
    #[error("{0} failed: {1}")]
    Call(&'static str, io::Error),
}

/// What was built, besides what was asked for.
#[derive(Debug)]
pub(crate) struct Walls {
    /// The kernel's Landlock ABI.
    pub(crate) landlock: Option<u32>,
    /// What is missing that was not asked for.
    pub(crate) missing: Vec<String>,
}

/// Bounds that hold for the whole process, and are inherited: no core dumps, open files, first in line when memory
/// runs out, no descriptor left open by some parent.
pub(crate) fn process(order: &Order) -> Result<(), Open> {
    kernel::close_on_exec().map_err(|error| Open::Call("close_range", error))?;
    limit(Resource::Core, 0).map_err(|error| Open::Call("setrlimit", error))?;
    if let Some(asked) = order.open_files.map(u64::from) {
        if let Some(most) = rustix::process::getrlimit(Resource::Nofile).maximum
            && asked > most
        {
            return Err(Open::Descriptors { asked, most });
        }
        limit(Resource::Nofile, asked).map_err(|error| Open::Call("setrlimit", error))?;
    }
    // Best effort: only a preference of the kernel's, and raising it is always allowed.
    let _ = fs::write("/proc/self/oom_score_adj", "500");
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Shuts in the calling thread and what it starts. It can't be undone.
pub(crate) fn thread(order: &Order) -> Result<Walls, Open> {
    rustix::thread::set_no_new_privs(true).map_err(|error| Open::Call("no_new_privs", error.into()))?;
    let landlock = kernel::landlock_abi();
    let mut missing = Vec::new();
    match (&order.files, landlock) {
        (FileAccess::Only { .. }, None) => return Err(Open::NoLandlock),
        (FileAccess::Unrestricted, None) => missing.push(
            "this kernel has no Landlock: the server can signal and trace other processes of this account"
                .to_owned(),
        ),
        (FileAccess::Only { read, write }, Some(_)) => {
            let status = only(read, write, &order.directory)?.restrict_self()?;
            if status.ruleset == RulesetStatus::NotEnforced {
                return Err(Open::OldLandlock);
            }
        }
        // Being in any domain forbids tracing processes outside it, and with that reading their memory and environment.
        (FileAccess::Unrestricted, Some(1..=5)) => {
            Ruleset::default().handle_access(devices())?.create()?.restrict_self()?;
        }
        (FileAccess::Unrestricted, Some(_)) => {
            scoped(Ruleset::default())?.create()?.restrict_self()?;
        }
    }
    if rustix::process::geteuid().is_root() {
        missing.push("the server runs as root: use an account of its own for Narrows".to_owned());
    }
    if let Some(1..=5) = landlock {
        missing.push(
            "this kernel's Landlock is older than ABI 6: the server can signal other processes of this account".to_owned(),
        );
    }
    Ok(Walls { landlock, missing })
}

/// No signals to processes outside, no connections to abstract sockets made outside.
fn scoped(ruleset: Ruleset) -> Result<Ruleset, RulesetError> {
    ruleset.set_compatibility(CompatLevel::BestEffort).scope(Scope::from_all(TESTED))
}

/// Device nodes: nothing that a server needs to make.
fn devices() -> BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock
}

fn only(read: &[String], write: &[String], directory: &Path) -> Result<RulesetCreated, Open> {
    let everything = AccessFs::from_all(TESTED);
    let reading = AccessFs::from_read(TESTED);
    // The rights of the first ABI are what `files` promises; a kernel without them is refused, newer ones are taken
    // where they are.
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?;
    let mut created = scoped(ruleset)?.handle_access(everything)?.create()?;
    for path in SYSTEM {
        created = allow_existing(created, path, reading)?;
    }
    for path in DEVICES {
        created = allow_existing(created, path, (everything ^ devices()) & !AccessFs::IoctlDev)?;
    }
    for path in read {
        created = allow(created, Path::new(path), reading)?;
    }
    for path in write {
        created = allow(created, Path::new(path), everything ^ devices())?;
    }
    allow(created, directory, everything ^ devices())
}

fn allow_existing(
    created: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Open> {
    if fs::metadata(path).is_ok() { allow(created, Path::new(path), access) } else { Ok(created) }
}

fn allow(created: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, Open> {
    let opened = |source: io::Error| Open::Path { path: path.display().to_string(), source };
    let directory = fs::metadata(path).map_err(opened)?.is_dir();
    let access = if directory { access } else { access & AccessFs::from_file(TESTED) };
    let fd = PathFd::new(path).map_err(|error| opened(io::Error::other(error)))?;
    Ok(created.add_rule(PathBeneath::new(fd, access))?)
}
