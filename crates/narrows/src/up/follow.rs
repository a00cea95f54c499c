//! What follows files while `up` runs: the resources, and the certificate. A state of the files with a problem is
//! refused whole and said; the last good one stays in force until there is a better.

use std::{path::PathBuf, sync::Arc, time::Duration};

use narrows_gateway::ServerTls;
use tokio_util::sync::CancellationToken;

use super::{certificate, publish::Publisher};
use crate::{commands::check, watch::Watch};

/// How long to wait before a good state that could not be recorded is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Publishes each good state of the files until told to end.
pub(super) async fn resources(
    mut publisher: Publisher,
    files: Vec<PathBuf>,
    mut watch: Watch,
    end: CancellationToken,
) {
    let mut pending = Pending::No;
    loop {
        let again = async {
            match pending {
                Pending::No => std::future::pending().await,
                Pending::Yes => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::select! {
            () = watch.changed() => {}
            () = again => {}
            () = end.cancelled() => return,
        }
        pending = Pending::No;
        match check::load(&files) {
            Ok(set) => {
                if let Err(failure) = publisher.publish(set, &origin(&files)).await {
                    tracing::error!("{failure}");
                    pending = Pending::Yes;
                }
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(place = %problem.place, hint = problem.hint, "{}", problem.message);
                }
                tracing::error!(
                    problems = problems.len(),
                    "the files are refused; the last good state stays in force"
                );
            }
        }
    }
}

/// Whether a good state waits to be published.
enum Pending {
    No,
    Yes,
}

/// Takes a changed certificate into use until told to end.
pub(super) async fn tls(tls: Arc<ServerTls>, files: certificate::Files, end: CancellationToken) {
    let mut watch = Watch::new(vec![files.certificate.clone(), files.key.clone()]);
    loop {
        tokio::select! {
            () = watch.changed() => {}
            () = end.cancelled() => return,
        }
        match certificate::reload(&tls, &files) {
            Ok(()) => tracing::info!(certificate = %files.certificate.display(), "certificate in use"),
            Err(failure) => tracing::error!("{failure}; the last certificate stays in use"),
        }
    }
}

/// The files' names, for the record.
pub(super) fn origin(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
