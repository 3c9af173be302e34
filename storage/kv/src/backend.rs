//! What a store must offer. Callers use [`crate::Transaction`]; only backends are written against this.

use crate::limits;
use crate::{AtomicOp, Error, ReadFuture, Versionstamp, successor};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;

/// A store.
pub trait Backend: Send + Sync + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// A new transaction. Its snapshot may be taken here or at its first read.
    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction>;

    /// Whether a commit's outcome can be unknown while this process lives. The retry loop then writes
    /// idempotency tokens.
    fn outcome_can_be_unknown(&self) -> bool;

    /// Sees to it, durably, that each commit which begins after this has a version above `version`: for rows that come
    /// from another store and carry its versions. Does no harm where that is so already, or when done twice.
    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits for commits under way and releases the store. What is used afterwards fails.
    fn close(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// A transaction of a backend.
///
/// Keys, values and offsets given here are within [`limits`] and in order: [`crate::Transaction`] has checked.
/// The verbs take `&self`, since the handle above is shared.
pub trait BackendTransaction: Send + Sync {
    /// The version of the snapshot: every commit with this version or a lower one is visible, no other is.
    /// No commit that was acknowledged before this transaction began is missing.
    fn read_version(&self) -> ReadFuture<'_, u64>;

    /// The value of `key`, own writes included. Unless `snapshot`, the commit fails if another commit changed
    /// the key since (also if the key is absent). What this transaction writes with its versionstamp cannot be
    /// read ([`Error::unreadable`]).
    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>>;

    /// A page of rows in key order, own writes included. Unless `snapshot`, the commit fails if another commit
    /// changed anything in the part of the range that this page covers: up to its last row if
    /// [`RangePage::more`], else the whole range.
    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage>;

    /// Sets `key`.
    fn set(&self, key: &[u8], value: &[u8]) {
        self.set_bytes(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }

    /// Sets `key` without a copy.
    fn set_bytes(&self, key: Bytes, value: Bytes);

    /// Clears `key`.
    fn clear(&self, key: &[u8]);

    /// Clears each key from `begin` on and below `end`.
    fn clear_range(&self, begin: &[u8], end: &[u8]);

    /// A write computed at commit. It reads nothing, and so conflicts with nothing.
    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]);

    /// Makes the commit behave as if the range had been read (since the snapshot) or written.
    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]);

    /// Resolves after this transaction has committed and the value of `key` is another than this transaction
    /// saw or wrote. A value that changes and changes back may go unnoticed. Fails with a retryable error if
    /// the transaction ends without a commit or the store goes away.
    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>>;

    /// Applies all writes at once, durably, or fails. Called once. A transaction without writes succeeds with
    /// [`Versionstamp::ZERO`]. It must come to an end by itself; if the future is dropped, the commit may
    /// have been applied or not.
    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>>;

    /// Bytes so far, against [`limits::TRANSACTION`]: for each write its key and value, for each conflict
    /// range (those of reads and writes included) both ends. An estimate that never goes down will do.
    fn size(&self) -> usize;
}

/// A range read of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// First key that may be returned.
    pub begin: Bytes,
    /// All keys returned are below this one.
    pub end: Bytes,
    /// Most rows to return; 0 for [`limits::PAGE_ROWS`].
    pub limit: usize,
    /// The page ends with the row that reaches this many bytes; 0 for [`limits::PAGE_BYTES`].
    pub target_bytes: usize,
    /// From the end downwards.
    pub reverse: bool,
    /// Without conflicts.
    pub snapshot: bool,
}

impl RangeRequest {
    /// The whole range, upwards, serializable, in default pages.
    pub fn new(begin: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        RangeRequest {
            begin: begin.into(),
            end: end.into(),
            limit: 0,
            target_bytes: 0,
            reverse: false,
            snapshot: false,
        }
    }

    /// The limit with its default filled in; at least 1.
    pub fn row_limit(&self) -> usize {
        if self.limit == 0 { limits::PAGE_ROWS } else { self.limit }
    }

    /// The byte target with its default filled in.
    pub fn byte_target(&self) -> usize {
        if self.target_bytes == 0 { limits::PAGE_BYTES } else { self.target_bytes }
    }

    /// The part of the range that `page` speaks for: what a serializable read of it conflicts on.
    pub fn covered(&self, page: &RangePage) -> (Bytes, Bytes) {
        match page.rows.last() {
            Some((last, _)) if page.more && self.reverse => (last.clone(), self.end.clone()),
            Some((last, _)) if page.more => (self.begin.clone(), successor(last)),
            _ => (self.begin.clone(), self.end.clone()),
        }
    }
}

/// The answer to a [`RangeRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangePage {
    /// Keys and values, in the order asked for.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Whether the page was ended by a limit, so that rows may remain behind the last one. Then it has a row.
    pub more: bool,
}

/// What a range is added for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConflictKind {
    /// As if it had been read.
    Read,
    /// As if it had been written.
    Write,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Somebody waits for it.
    #[default]
    Interactive,
    /// Nobody does: it comes after those that somebody waits for.
    Background,
    /// The process is thought dead if it does not come through: it waits behind nothing else. For little, and seldom.
    Vital,
}

/// How a transaction is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// What it is for.
    pub priority: Priority,
    /// When to give up trying.
    pub timeout: Duration,
    /// How often it may lose to another transaction, or grow too old, and still be tried again; for who can do the same
    /// in smaller parts instead, which lose less often.
    pub most_losses: Option<u32>,
    /// Whether it goes on while the store is known to be out of reach ([`crate::Database::set_out_of_reach`]).
    pub holds_out: bool,
    /// A label for the store's own throttling and statistics.
    pub tag: Option<&'static str>,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        TransactionOptions {
            priority: Priority::default(),
            timeout: limits::RETRY_TIME,
            most_losses: None,
            holds_out: false,
            tag: None,
        }
    }
}
