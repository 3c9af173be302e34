//! FoundationDB's errors as the store's.
//!
//! Which of them may help when tried again is asked of the library, which knows its own. What it cannot know is where
//! the error came: one that breaks off a commit (a timeout, a cancellation) leaves its outcome open.

use foundationdb::FdbError;
use kv::{Cause, Error, Limit, limits};

const TOO_OLD: i32 = 1007;
const NOT_COMMITTED: i32 = 1020;
const CANCELLED: i32 = 1025;
/// The transaction's own timeout.
const TIMED_OUT: i32 = 1031;
const UNREADABLE: i32 = 1036;
const VERSION_CHANGED: i32 = 1039;
const TRANSACTION_TOO_LARGE: i32 = 2101;
const KEY_TOO_LARGE: i32 = 2102;
const VALUE_TOO_LARGE: i32 = 2103;
/// Errors of the client begin here: it refuses before anything is sent.
const CLIENT: std::ops::Range<i32> = 2000..3000;

/// The message with its number.
pub(crate) fn text(error: FdbError) -> String {
    format!("{} ({})", error.message(), error.code())
}

/// An error at a point where nothing can have been committed.
pub(crate) fn of_read(error: FdbError) -> Error {
    let why = || format!("FoundationDB: {}", text(error));
    match error.code() {
        NOT_COMMITTED => Error::conflict(),
        TOO_OLD => Error::too_old(),
        UNREADABLE => Error::unreadable(),
        TIMED_OUT => Error::unavailable("FoundationDB: no answer in time"),
        CANCELLED | VERSION_CHANGED => Error::unavailable(why()),
        // The limit was checked above; what is too long is so with the prefix, or with the place of its versionstamp.
        TRANSACTION_TOO_LARGE => Error::limit(Limit::Transaction { bytes: limits::TRANSACTION + 1 }),
        KEY_TOO_LARGE => Error::limit(Limit::Key { bytes: limits::KEY + 1 }),
        VALUE_TOO_LARGE => Error::limit(Limit::Value { bytes: limits::VALUE + 1 }),
        _ if error.is_retryable() => Error::unavailable(why()),
        _ => Error::fatal(why()),
    }
}

/// An error of a commit.
pub(crate) fn of_commit(error: FdbError) -> Error {
    let as_read = of_read(error);
    let known = CLIENT.contains(&error.code())
        || error.is_retryable_not_committed()
        || matches!(as_read.cause(), Cause::Conflict | Cause::TooOld | Cause::Unreadable);
    if known { as_read } else { Error::maybe_committed() }
}

/// An error of a watch: who waits looks again.
pub(crate) fn of_watch(error: FdbError) -> Error {
    match error.code() {
        NOT_COMMITTED | CANCELLED => Error::unavailable("watch ended without a commit"),
        _ => Error::unavailable(format!("FoundationDB: watch: {}", text(error))),
    }
}

/// The store was closed before.
pub(crate) fn closed() -> Error {
    Error::fatal("store is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::ErrorKind;

    /// What the library need not be asked about.
    #[test]
    fn where_an_error_comes_decides_what_it_means() {
        let (read, commit) =
            (|code| of_read(FdbError::from_code(code)), |code| of_commit(FdbError::from_code(code)));
        for (code, on_read, on_commit) in [
            (NOT_COMMITTED, ErrorKind::Retryable, ErrorKind::Retryable),
            (TOO_OLD, ErrorKind::Retryable, ErrorKind::Retryable),
            (TIMED_OUT, ErrorKind::Retryable, ErrorKind::MaybeCommitted),
            (CANCELLED, ErrorKind::Retryable, ErrorKind::MaybeCommitted),
            (VERSION_CHANGED, ErrorKind::Retryable, ErrorKind::MaybeCommitted),
            (UNREADABLE, ErrorKind::Fatal, ErrorKind::Fatal),
            (KEY_TOO_LARGE, ErrorKind::Fatal, ErrorKind::Fatal),
            // Something inside of the cluster: what became of the commit nobody knows.
            (4100, ErrorKind::Fatal, ErrorKind::MaybeCommitted),
        ] {
            assert_eq!((read(code).kind(), commit(code).kind()), (on_read, on_commit), "{code}");
        }
        assert!(read(TRANSACTION_TOO_LARGE).is_limit());
    }
}
