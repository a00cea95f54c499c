//! How many files this process may have open, and what follows for how many connections it takes. Each client's
//! connection can need a second one to a server; taking more than there are descriptors would leave none for the log.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for the log, the database, local servers and the operator.
const KEPT: u64 = 256;

/// Raises the soft limit to the hard one, and gives how many client connections fit, at most `wanted`.
pub(super) fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let open_files = getrlimit(Resource::Nofile).current;
    let fit = fitting(open_files, wanted);
    if fit < wanted {
        tracing::debug!(
            open_files,
            connections = fit,
            "fewer connections than usual: raise the limit of open files for more"
        );
    }
    fit
}

/// Connections that fit in a limit; none means there is no limit.
fn fitting(open_files: Option<u64>, wanted: usize) -> usize {
    let Some(open_files) = open_files else { return wanted };
    let fit = usize::try_from(open_files.saturating_sub(KEPT) / 2).unwrap_or(usize::MAX);
    fit.clamp(16, wanted.max(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_log() {
        for (open_files, wanted, expected) in [
            (None, 20_000, 20_000),
            (Some(1_048_576), 20_000, 20_000),
            (Some(1024), 20_000, 384),
            (Some(64), 20_000, 16),
        ] {
            assert_eq!(fitting(open_files, wanted), expected, "{open_files:?}");
        }
    }
}
