//! SIGINT and SIGTERM: the first asks to drain and end, the second ends at once. SIGXFSZ must not end anything.

use std::future::Future;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Listens for signals. From then on none of them ends the process by itself.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Comes with a write beyond the limit on the size of files. That the write failed is said by the write, as on a
    /// full disk, so that nobody waits for this.
    _file_size: Signal,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            _file_size: listen(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Resolves at the first signal.
pub(crate) fn first() -> Result<impl Future<Output = ()> + Send, Failure> {
    let mut signals = Signals::listen()?;
    Ok(async move { signals.next().await })
}
