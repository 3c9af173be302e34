//! What can go wrong in a store, and who must act on it.

use crate::limits::Limit;
use std::sync::Arc;

/// What the caller of a failed transaction can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing was applied; the same transaction may succeed when run again.
    Retryable,
    /// The commit may have been applied or not, and may still be under way.
    MaybeCommitted,
    /// Nothing was applied, and running the same transaction again will fail again.
    Fatal,
}

/// An error of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Error {
    cause: Cause,
}

/// Why an [`Error`] happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Another commit changed what this transaction had read.
    #[error("conflict with another transaction")]
    Conflict,
    /// The transaction lived longer than [`crate::limits::TRANSACTION_TIME`].
    #[error("transaction is too old")]
    TooOld,
    /// The store cannot be reached or is too busy at present. The operator acts if it lasts.
    #[error("store unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The store has no room for the commit, nothing of which was kept. Reads go on, and commits succeed again as
    /// soon as the operator has made room; until then waiting is of no use.
    #[error("out of space")]
    OutOfSpace,
    /// The answer to a commit was lost.
    #[error("commit outcome unknown")]
    MaybeCommitted,
    /// A limit of [`crate::limits`] was passed. The calling code must cut its work into smaller pieces.
    #[error("{0}")]
    Limit(Limit),
    /// A versionstamped key or value was read in the transaction that wrote it; it is known only after commit.
    #[error("read of a versionstamped key or value before its commit")]
    Unreadable,
    /// A broken store or a mistake in the calling code.
    #[error("store failure: {0}")]
    Fatal(Arc<str>),
}

impl Error {
    /// Another commit changed what this transaction had read.
    pub const fn conflict() -> Self {
        Error { cause: Cause::Conflict }
    }

    /// The transaction lived too long, or the store no longer keeps its snapshot.
    pub const fn too_old() -> Self {
        Error { cause: Cause::TooOld }
    }

    /// The store cannot be used at present; `why` is for the operator.
    pub fn unavailable(why: impl Into<Arc<str>>) -> Self {
        Error { cause: Cause::Unavailable(why.into()) }
    }

    /// The store has no room.
    pub const fn out_of_space() -> Self {
        Error { cause: Cause::OutOfSpace }
    }

    /// A limit was passed.
    pub const fn limit(limit: Limit) -> Self {
        Error { cause: Cause::Limit(limit) }
    }

    /// A versionstamped key or value was read before its commit.
    pub const fn unreadable() -> Self {
        Error { cause: Cause::Unreadable }
    }

    /// The store is broken or was used wrongly; `why` is for the operator.
    pub fn fatal(why: impl Into<Arc<str>>) -> Self {
        Error { cause: Cause::Fatal(why.into()) }
    }

    /// The answer to a commit was lost.
    pub const fn maybe_committed() -> Self {
        Error { cause: Cause::MaybeCommitted }
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Conflict | Cause::TooOld | Cause::Unavailable(_) => ErrorKind::Retryable,
            Cause::MaybeCommitted => ErrorKind::MaybeCommitted,
            Cause::OutOfSpace | Cause::Limit(_) | Cause::Unreadable | Cause::Fatal(_) => ErrorKind::Fatal,
        }
    }

    /// Why it happened.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Whether the transaction lost to another one or took too long: one that is smaller may not.
    pub fn is_lost(&self) -> bool {
        matches!(self.cause, Cause::Conflict | Cause::TooOld)
    }

    /// Whether running the transaction again may help.
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Retryable
    }

    /// Whether another commit got in the way.
    pub fn is_conflict(&self) -> bool {
        self.cause == Cause::Conflict
    }

    /// Whether the store has no room.
    pub fn is_out_of_space(&self) -> bool {
        self.cause == Cause::OutOfSpace
    }

    /// Whether a limit of [`crate::limits`] was passed.
    pub fn is_limit(&self) -> bool {
        matches!(self.cause, Cause::Limit(_))
    }
}

/// An error that a transaction's closure may return: it says whether a store error is inside.
pub trait TransactError: From<Error> + Send {
    /// The store error that caused this one, if that is the cause.
    fn as_kv(&self) -> Option<&Error>;
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&Error> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_the_kind_that_says_who_acts() {
        assert_eq!(Error::conflict().kind(), ErrorKind::Retryable);
        assert_eq!(Error::too_old().kind(), ErrorKind::Retryable);
        assert_eq!(Error::unavailable("socket closed").kind(), ErrorKind::Retryable);
        assert_eq!(Error::maybe_committed().kind(), ErrorKind::MaybeCommitted);
        assert_eq!(Error::unreadable().kind(), ErrorKind::Fatal);
        assert_eq!(Error::fatal("checksum").kind(), ErrorKind::Fatal);
        assert!(Error::limit(Limit::Key { bytes: 10_001 }).is_limit());
    }

    #[test]
    fn messages_name_the_cause() {
        assert_eq!(Error::unavailable("disk full").to_string(), "store unavailable: disk full");
        assert_eq!(
            Error::limit(Limit::Value { bytes: 100_001 }).to_string(),
            "value of 100001 bytes is over the limit of 100000"
        );
    }
}
