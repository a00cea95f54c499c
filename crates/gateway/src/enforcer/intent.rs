//! An intent before it is durable. It must never be forgotten: what began to be written can't be taken back.

use narrows_core::ports::{AppendError, Durable};
use tokio_util::task::TaskTracker;

use super::OpenCall;

/// An intent on its way to the disk. It can't be taken back: if its request is given up meanwhile, it is closed as
/// soon as it is durable, so that no intent is left without an outcome.
pub(super) struct Intent {
    pub(super) durable: Option<Durable>,
    pub(super) open: Option<OpenCall>,
    pub(super) tasks: TaskTracker,
}

impl Intent {
    pub(super) async fn durable(&mut self) -> Result<OpenCall, AppendError> {
        let Some(durable) = &mut self.durable else { return Err(AppendError::Closed) };
        let recorded = durable.await;
        self.durable = None;
        let mut open = self.open.take().ok_or(AppendError::Closed)?;
        open.intent = Some(recorded?);
        Ok(open)
    }

    pub(super) fn give_up(&self, reason: &'static str) {
        if let Some(open) = &self.open {
            open.cut.set(reason);
        }
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        let (Some(durable), Some(open)) = (self.durable.take(), self.open.take()) else { return };
        open.cut.set("the client left before it was forwarded");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.spawn_on(
                async move {
                    let mut open = open;
                    open.intent = durable.await.ok();
                    // This writes the outcome, if there is an intent to close.
                    drop(open);
                },
                &runtime,
            );
        }
    }
}
