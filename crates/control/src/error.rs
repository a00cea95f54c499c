//! Why a change is not in force.

use narrows_core::{
    change::Refusal,
    ports::{AppendError, StateError},
};

/// Why a change is not in force. The last good state is, but for [`ControlError::InDoubt`].
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It is not one that can be carried out; the proposer is to mend it.
    #[error("the change is refused")]
    Refused(Refusal),
    /// It can't be recorded. Try again when the log can be written.
    #[error("the change can't be recorded")]
    Unrecorded(#[source] AppendError),
    /// It can't be kept. Try again when the state can be written.
    #[error("the change can't be saved")]
    Unsaved(#[source] StateError),
    /// Whether it was kept can't be told. The next change finds out first; a restart does, too.
    #[error("it is not known whether the change was saved")]
    InDoubt(#[source] StateError),
    /// The state can't be read.
    #[error("the state can't be read")]
    Unreadable(#[source] StateError),
    /// A kept state can't be understood.
    #[error("revision {number} is damaged: {reason}")]
    Damaged {
        /// Which.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such revision.
    #[error("there is no revision {0}")]
    NoRevision(u64),
    /// Too many changes wait; try again shortly.
    #[error("too many changes are waiting")]
    Busy,
    /// Narrows is ending.
    #[error("no more changes are taken: narrows is ending")]
    Closed,
    /// The operating system gave no random bytes or no thread.
    #[error("the operating system gave no {0}")]
    System(&'static str),
}
