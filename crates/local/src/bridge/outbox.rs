//! The queue of messages to a process, bounded in number and in bytes. A full one refuses at once: a server that does
//! not read must cost its own clients only, and no memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use super::refusal::Refusal;

/// Bytes that may wait for one process.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Where messages are put.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

/// Where they are taken from.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: mpsc::Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

/// A queue for `most` messages.
pub(crate) fn outbox(most: usize) -> (Outbox, Waiting) {
    let (sender, receiver) = mpsc::channel(most.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    (Outbox { queue: sender, bytes: Arc::clone(&bytes) }, Waiting { queue: receiver, bytes })
}

impl Outbox {
    /// Puts one message, without its line feed.
    pub(crate) fn send(&self, mut line: Vec<u8>) -> Result<(), Refusal> {
        const FULL: Refusal = Refusal::Busy("the server does not keep up with its requests");
        line.push(b'\n');
        let size = line.len();
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        // One message always fits, however large the bound on bodies is.
        let sent = if before > 0 && before.saturating_add(size) > MOST_BYTES {
            Err(FULL)
        } else {
            self.queue.try_send(line).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => FULL,
                mpsc::error::TrySendError::Closed(_) => {
                    Refusal::Ended("the server's process is ending".into())
                }
            })
        };
        if sent.is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        sent
    }
}

impl Waiting {
    /// The next line, with its line feed. None when every [`Outbox`] is gone.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        let line = self.queue.recv().await?;
        self.bytes.fetch_sub(line.len(), Ordering::Relaxed);
        Some(line)
    }

    /// The next line, if there is one now.
    #[cfg(test)]
    pub(crate) fn try_next(&mut self) -> Option<Vec<u8>> {
        self.queue.try_recv().ok()
    }
}
