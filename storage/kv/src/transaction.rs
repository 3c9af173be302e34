//! The handle that a transaction's closure works with.

use crate::range_set::successor;
use crate::{
    AtomicOp, BackendTransaction, ConflictKind, Error, Limit, RangePage, RangeRequest, RangeStream,
    ReadFuture, Versionstamp, limits, prefix_end,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use runtime::SharedClock;
use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A transaction that is under way: a cheap handle, cloned at will.
///
/// Reads see one snapshot and this transaction's own writes. Writes are collected and applied at the commit,
/// which [`crate::Database::transact`] does when the closure has succeeded. A write that passes a limit fails
/// the commit.
#[derive(Clone)]
pub struct Transaction(Arc<Inner>);

struct Inner {
    backend: Box<dyn BackendTransaction>,
    clock: SharedClock,
    /// Monotonic time at the beginning.
    begun: Duration,
    wrote: AtomicBool,
    /// The first write that was refused; the commit fails with it.
    refused: OnceLock<Error>,
}

impl Transaction {
    pub(crate) fn new(backend: Box<dyn BackendTransaction>, clock: SharedClock) -> Self {
        let begun = clock.monotonic();
        Transaction(Arc::new(Inner {
            backend,
            clock,
            begun,
            wrote: AtomicBool::new(false),
            refused: OnceLock::new(),
        }))
    }

    /// The version of the snapshot that is read: all commits up to and with it are visible, no later one is.
    pub fn read_version(&self) -> ReadFuture<'_, u64> {
        match self.check_age() {
            Ok(()) => self.0.backend.read_version(),
            Err(e) => ReadFuture::ready(Err(e)),
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> ReadFuture<'_, Option<Bytes>> {
        self.get_as(key, false)
    }

    /// The value of `key`, without a conflict if another commit changes it.
    pub fn get_snapshot(&self, key: &[u8]) -> ReadFuture<'_, Option<Bytes>> {
        self.get_as(key, true)
    }

    fn get_as(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        match self.check_age().and_then(|()| check_key(key)) {
            Ok(()) => self.0.backend.get(key, snapshot),
            Err(e) => ReadFuture::ready(Err(e)),
        }
    }

    /// The rows from `begin` on and below `end`, in key order.
    pub fn range(&self, begin: &[u8], end: &[u8]) -> RangeStream {
        RangeStream::new(self.clone(), Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end))
    }

    /// The rows whose keys start with `prefix`, in key order.
    pub fn scan_prefix(&self, prefix: &[u8]) -> RangeStream {
        RangeStream::new(self.clone(), Bytes::copy_from_slice(prefix), prefix_end(prefix))
    }

    /// One page of a range. [`Transaction::range`] reads all of them.
    pub fn page(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        match self.check_age().and_then(|()| check_range(&request.begin, &request.end)) {
            Ok(()) if request.begin == request.end => ReadFuture::ready(Ok(RangePage::default())),
            Ok(()) => self.0.backend.range(request),
            Err(e) => ReadFuture::ready(Err(e)),
        }
    }

    /// Sets `key`.
    pub fn set(&self, key: &[u8], value: &[u8]) {
        if self.admit(check_key(key).and_then(|()| check_value(value))) {
            self.0.backend.set(key, value);
        }
    }

    /// Sets `key` without a copy.
    pub fn set_bytes(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        if self.admit(check_key(&key).and_then(|()| check_value(&value))) {
            self.0.backend.set_bytes(key, value);
        }
    }

    /// Clears `key`.
    pub fn clear(&self, key: &[u8]) {
        if self.admit(check_key(key)) {
            self.0.backend.clear(key);
        }
    }

    /// Clears each key from `begin` on and below `end`.
    pub fn clear_range(&self, begin: &[u8], end: &[u8]) {
        if begin != end && self.admit(check_range(begin, end)) {
            self.0.backend.clear_range(begin, end);
        }
    }

    /// Clears each key that starts with `prefix`.
    pub fn clear_prefix(&self, prefix: &[u8]) {
        self.clear_range(prefix, &prefix_end(prefix));
    }

    /// A write computed at commit.
    pub fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        let checked = check_key(key).and_then(|()| check_value(operand)).and_then(|()| match op {
            AtomicOp::SetVersionstampedKey { offset } => check_offset(key, offset),
            AtomicOp::SetVersionstampedValue { offset } => check_offset(operand, offset),
            _ => Ok(()),
        });
        if self.admit(checked) {
            self.0.backend.atomic(op, key, operand);
        }
    }

    /// Adds `delta` to the little-endian number of 8 bytes at `key`; absent counts as zero.
    pub fn add_i64(&self, key: &[u8], delta: i64) {
        self.atomic(AtomicOp::Add, key, &delta.to_le_bytes());
    }

    /// Raises the little-endian number of 8 bytes at `key` to `value`, if it is lower or absent.
    pub fn max_u64(&self, key: &[u8], value: u64) {
        self.atomic(AtomicOp::Max, key, &value.to_le_bytes());
    }

    /// Lowers the little-endian number of 8 bytes at `key` to `value`, if it is higher or absent.
    pub fn min_u64(&self, key: &[u8], value: u64) {
        self.atomic(AtomicOp::Min, key, &value.to_le_bytes());
    }

    /// Clears `key` if its value is `expected` at commit.
    pub fn compare_and_clear(&self, key: &[u8], expected: &[u8]) {
        self.atomic(AtomicOp::CompareAndClear, key, expected);
    }

    /// Sets `key`, whose ten bytes at `offset` become the commit's versionstamp.
    pub fn set_versionstamped_key(&self, key: &[u8], offset: usize, value: &[u8]) {
        self.atomic(AtomicOp::SetVersionstampedKey { offset }, key, value);
    }

    /// Sets `key` to `value`, whose ten bytes at `offset` become the commit's versionstamp.
    pub fn set_versionstamped_value(&self, key: &[u8], value: &[u8], offset: usize) {
        self.atomic(AtomicOp::SetVersionstampedValue { offset }, key, value);
    }

    /// Makes the commit behave as if `begin..end` had been read or written.
    pub fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        let checked = check_range(begin, end);
        let accepted = match kind {
            ConflictKind::Write => self.admit(checked),
            ConflictKind::Read => self.accept(checked),
        };
        if accepted && begin != end {
            self.0.backend.add_conflict_range(kind, begin, end);
        }
    }

    /// Makes the commit behave as if `key` had been read or written.
    pub fn add_conflict_key(&self, kind: ConflictKind, key: &[u8]) {
        self.add_conflict_range(kind, key, &successor(key));
    }

    /// A future to return from the closure and await after the commit: it resolves when the value of `key` is
    /// another than this transaction saw or wrote. Who waits looks again in a new transaction, and does so from
    /// time to time anyway: a watch may wake for nothing, and is lost when it fails.
    pub fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        match self.check_age().and_then(|()| check_key(key)) {
            Ok(()) => self.0.backend.watch(key),
            Err(e) => Box::pin(std::future::ready(Err(e))),
        }
    }

    /// Bytes so far, against [`limits::TRANSACTION`].
    pub fn size(&self) -> usize {
        self.0.backend.size()
    }

    /// Time since it began, against [`limits::TRANSACTION_TIME`].
    pub fn age(&self) -> Duration {
        self.0.clock.monotonic().saturating_sub(self.0.begun)
    }

    /// Whether anything was written.
    pub(crate) fn wrote(&self) -> bool {
        self.0.wrote.load(Ordering::Relaxed)
    }

    /// Commits: the retry loop and the tests of backends do, nobody else.
    pub(crate) async fn commit(&self) -> Result<Versionstamp, Error> {
        if let Some(refused) = self.0.refused.get() {
            return Err(refused.clone());
        }
        if self.wrote() {
            self.check_age()?;
            let bytes = self.size();
            if bytes > limits::TRANSACTION {
                return Err(Error::limit(Limit::Transaction { bytes }));
            }
        }
        self.0.backend.commit().await
    }

    fn check_age(&self) -> Result<(), Error> {
        if self.age() > limits::TRANSACTION_TIME { Err(Error::too_old()) } else { Ok(()) }
    }

    /// Whether a write may be done; remembers why not.
    fn admit(&self, checked: Result<(), Error>) -> bool {
        let accepted = self.accept(checked);
        if accepted {
            self.0.wrote.store(true, Ordering::Relaxed);
        }
        accepted
    }

    fn accept(&self, checked: Result<(), Error>) -> bool {
        // The first refusal is the one that is reported.
        checked.map_err(|e| self.0.refused.get_or_init(|| e)).is_ok()
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("wrote", &self.wrote()).field("size", &self.size()).finish()
    }
}

fn check_key(key: &[u8]) -> Result<(), Error> {
    if key.len() > limits::KEY {
        return Err(Error::limit(Limit::Key { bytes: key.len() }));
    }
    match key.first() {
        Some(&limits::SYSTEM_KEYS) => Err(Error::limit(Limit::SystemKey)),
        _ => Ok(()),
    }
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.len() > limits::VALUE {
        return Err(Error::limit(Limit::Value { bytes: value.len() }));
    }
    Ok(())
}

/// An end may be the successor of the longest key, and the end of the ordinary key space.
fn check_range(begin: &[u8], end: &[u8]) -> Result<(), Error> {
    let longest = begin.len().max(end.len());
    if longest > limits::KEY + 1 {
        return Err(Error::limit(Limit::Key { bytes: longest }));
    }
    if begin.max(end) > &[limits::SYSTEM_KEYS][..] {
        return Err(Error::limit(Limit::SystemKey));
    }
    if begin > end {
        return Err(Error::fatal("range ends before it begins"));
    }
    Ok(())
}

fn check_offset(template: &[u8], offset: usize) -> Result<(), Error> {
    match offset.checked_add(Versionstamp::LEN) {
        Some(end) if end <= template.len() => Ok(()),
        _ => Err(Error::fatal("versionstamp outside of its key or value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_measured() {
        assert!(check_key(&[1; limits::KEY]).is_ok());
        assert_eq!(check_key(&[1; limits::KEY + 1]), Err(Error::limit(Limit::Key { bytes: 10_001 })));
        assert_eq!(check_key(b"\xff"), Err(Error::limit(Limit::SystemKey)));
        assert!(check_key(b"").is_ok());
        assert!(check_value(&[0; limits::VALUE]).is_ok());
        assert!(check_value(&[0; limits::VALUE + 1]).is_err());
    }

    #[test]
    fn ranges_end_with_the_ordinary_key_space() {
        assert!(check_range(b"", b"\xff").is_ok());
        assert_eq!(check_range(b"", b"\xff\0"), Err(Error::limit(Limit::SystemKey)));
        assert!(check_range(b"b", b"a").is_err());
        assert!(check_range(b"", &successor(&[1; limits::KEY])).is_ok());
        assert!(check_range(b"", &[1; limits::KEY + 2]).is_err());
    }

    #[test]
    fn a_versionstamp_fits_into_its_template() {
        assert!(check_offset(&[0; 12], 2).is_ok());
        assert!(check_offset(&[0; 12], 3).is_err());
        assert!(check_offset(&[0; 12], usize::MAX).is_err());
    }
}
