//! The limits of one transaction: FoundationDB's, on every backend.
//!
//! What does not fit is a resumable job with a visible cursor, never a silent split.

use std::time::Duration;

/// Longest key, in bytes.
pub const KEY: usize = 10_000;

/// Longest value, in bytes.
pub const VALUE: usize = 100_000;

/// Largest transaction, in bytes: all keys and values written, and both ends of each conflict range.
pub const TRANSACTION: usize = 10_000_000;

/// Longest life of a transaction, from its beginning to its commit.
pub const TRANSACTION_TIME: Duration = Duration::from_secs(5);

/// Keys that start with this byte belong to the store itself; ordinary keys end where it begins.
pub const SYSTEM_KEYS: u8 = 0xFF;

/// Rows in a page of a range read that asks for no limit of its own.
pub const PAGE_ROWS: usize = 10_000;

/// Bytes (keys and values) after which a page of a range read ends, if it asks for no target of its own.
pub const PAGE_BYTES: usize = 128 * 1024;

/// How long [`crate::Database::transact`] tries before it gives up, unless its options say otherwise.
pub const RETRY_TIME: Duration = Duration::from_secs(10);

/// Longest wait before the second attempt of a transaction; doubles with each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(1);

/// Longest wait between two attempts of a transaction.
pub const BACKOFF_LAST: Duration = Duration::from_millis(500);

/// Longest wait after a conflict. Somebody has won it, so that the store is there; and who waits longer the more often it
/// loses would lose to those who come anew.
pub const BACKOFF_CONFLICT: Duration = Duration::from_millis(32);

/// How long an idempotency token is kept: far longer than any transaction can be under way.
pub const IDEMPOTENCY_TIME: Duration = Duration::from_secs(3600);

/// A limit that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// A key longer than [`KEY`].
    #[error("key of {bytes} bytes is over the limit of {KEY}")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// A value longer than [`VALUE`].
    #[error("value of {bytes} bytes is over the limit of {VALUE}")]
    Value {
        /// Its length.
        bytes: usize,
    },
    /// A transaction larger than [`TRANSACTION`].
    #[error("transaction of {bytes} bytes is over the limit of {TRANSACTION}")]
    Transaction {
        /// Its size.
        bytes: usize,
    },
    /// A key that starts with [`SYSTEM_KEYS`].
    #[error("key is in the range that belongs to the store itself")]
    SystemKey,
}
