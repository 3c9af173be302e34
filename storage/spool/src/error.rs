//! What can go wrong with the queue, and who must act.

use kv::TransactError;
use schema::QueueId;

/// What can go wrong with the queue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store: retried by the retry loop if it can be.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A key that this version cannot read: the operator must look.
    #[error(transparent)]
    Key(#[from] schema::KeyError),
    /// A record that this version cannot read: the operator must look.
    #[error(transparent)]
    Record(#[from] schema::RecordError),
    /// The body.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// There is no such entry, any more.
    #[error("there is no queue entry {0}")]
    NotFound(QueueId),
    /// Another owner may work on the slot: what this one was about to do is void.
    #[error("slot {slot} is no longer owned under epoch {epoch}")]
    Fenced {
        /// The slot.
        slot: u32,
        /// The epoch that was asserted.
        epoch: u64,
    },
    /// The lease, in another way.
    #[error(transparent)]
    Lease(leases::Error),
    /// An operator wants the entry gone: no attempt of it may become final. Settle it.
    #[error("queue entry {0} was cancelled")]
    Cancelled(QueueId),
    /// An entry needs at least one recipient, and at most [`crate::Entry::MAX_RECIPIENTS`].
    #[error("a queue entry has one to {} recipients", crate::Entry::MAX_RECIPIENTS)]
    Recipients,
}

impl From<leases::Error> for Error {
    fn from(error: leases::Error) -> Self {
        match error {
            leases::Error::Kv(error) => Error::Kv(error),
            leases::Error::Fenced { duty, epoch } => Error::Fenced { slot: duty.number, epoch },
            other => Error::Lease(other),
        }
    }
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            Error::Blob(error) => error.as_kv(),
            Error::Lease(error) => error.as_kv(),
            _ => None,
        }
    }
}
