//! A transaction: FoundationDB's, with the prefix before each key.

use crate::stamps::Stamps;
use crate::{Shared, error};
use bytes::Bytes;
use foundationdb::future::FdbValues;
use foundationdb::options::{ConflictRangeType, MutationType, StreamingMode};
use foundationdb::{KeySelector, RangeOption, Transaction};
use futures::future::BoxFuture;
use kv::{
    AtomicOp, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, ReadFuture, Row,
    Versionstamp, successor,
};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;

/// What FoundationDB counts for a write beside its bytes, and for a conflict range.
const WRITE: usize = 40;
const RANGE: usize = 32;

/// FoundationDB counts some bytes beside those of keys and values for each row of a page: with so many more asked for,
/// a page of one row has room for it.
const ROW: usize = 48;

pub(crate) struct FdbTransaction {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    /// Until the commit. An error here is what every verb says.
    transaction: Result<Transaction, Error>,
    stamps: Stamps,
    size: usize,
    wrote: bool,
    watches: bool,
    /// Asked for early, where something was declared as read before anything was.
    snapshot: Option<BoxFuture<'static, ()>>,
    /// Whether the snapshot was asked for.
    has_snapshot: bool,
    /// The first write that FoundationDB refused.
    refused: Option<Error>,
}

impl FdbTransaction {
    pub(crate) fn new(shared: Arc<Shared>, transaction: Result<Transaction, Error>) -> Self {
        let state = State {
            transaction,
            stamps: Stamps::default(),
            size: 0,
            wrote: false,
            watches: false,
            snapshot: None,
            has_snapshot: false,
            refused: None,
        };
        FdbTransaction { shared, state: Mutex::new(state) }
    }

    /// `key` as it is stored.
    fn stored<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        let prefix = &self.shared.prefix;
        if prefix.is_empty() { Cow::Borrowed(key) } else { Cow::Owned([prefix, key].concat()) }
    }

    /// Does `write` with the transaction, and counts its `bytes`.
    fn write(&self, bytes: usize, write: impl FnOnce(&Transaction, &mut Stamps)) {
        let state = &mut *self.state.lock();
        let State { transaction: Ok(transaction), stamps, .. } = state else { return };
        write(transaction, stamps);
        state.size += bytes;
        state.wrote = true;
    }

    async fn read_page(&self, mut request: RangeRequest) -> Result<RangePage, Error> {
        let readable = self.state.lock().stamps.readable(&request.begin, &request.end, request.reverse);
        let cut = readable.is_some();
        if let Some((begin, end)) = readable {
            if begin >= end {
                return Err(Error::unreadable());
            }
            (request.begin, request.end) = (begin, end);
        }
        let (begin, end) = (self.stored(&request.begin), self.stored(&request.end));
        let (limit, target) = (request.row_limit(), request.byte_target());
        let options = RangeOption {
            begin: KeySelector::first_greater_or_equal(&*begin),
            end: KeySelector::first_greater_or_equal(&*end),
            limit: Some(limit),
            target_bytes: target.saturating_add(ROW + self.shared.prefix.len()),
            // As many rows as asked for in one answer: who pages has said how much is wanted.
            mode: StreamingMode::Exact,
            reverse: request.reverse,
            ..RangeOption::default()
        };
        let read = {
            let state = &mut *self.state.lock();
            state.has_snapshot = true;
            state.transaction.as_ref().map_err(Clone::clone)?.get_range(&options, 1, request.snapshot)
        };
        let values = read.await.map_err(error::of_read)?;
        let rows = self.rows(&values, target);
        if rows.is_empty() && values.more() {
            return Err(Error::unavailable("FoundationDB: a page without rows"));
        }
        let more = values.more() || rows.len() < values.len() || rows.len() >= limit;
        if cut && !more {
            return Err(Error::unreadable());
        }
        let page = RangePage { rows, more };
        if !request.snapshot {
            let (begin, end) = covered(&request, &page);
            self.state.lock().size += RANGE + 2 * self.shared.prefix.len() + begin.len() + end.len();
        }
        Ok(page)
    }

    /// Rows up to the one that reaches `target` bytes, without the prefix.
    fn rows(&self, values: &FdbValues, target: usize) -> Vec<Row> {
        let (mut rows, mut bytes) = (Vec::with_capacity(values.len()), 0);
        for row in values {
            if bytes >= target && !rows.is_empty() {
                break;
            }
            let key = row.key().get(self.shared.prefix.len()..).unwrap_or_default();
            bytes += key.len() + row.value().len();
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(row.value())));
        }
        rows
    }

    async fn commit_now(&self) -> Result<Versionstamp, Error> {
        // Closing the store waits for this.
        let open = self.shared.open.read().await;
        let (transaction, wrote) = {
            let state = &mut *self.state.lock();
            let transaction = std::mem::replace(
                &mut state.transaction,
                Err(Error::fatal("transaction was committed before")),
            )?;
            if let Some(refused) = state.refused.take() {
                return Err(refused);
            }
            if !state.wrote && !state.watches {
                return Ok(Versionstamp::ZERO);
            }
            (transaction, state.wrote)
        };
        if !*open {
            return Err(error::closed());
        }
        let stamp = wrote.then(|| transaction.get_versionstamp());
        // Kept until the stamp is read.
        let _committed = transaction.commit().await.map_err(|e| error::of_commit(*e))?;
        let Some(stamp) = stamp else { return Ok(Versionstamp::ZERO) };
        // Committed, but when? The token of the transaction says.
        let stamp = stamp.await.map_err(|_| Error::maybe_committed())?;
        Versionstamp::from_slice(&stamp).ok_or_else(Error::maybe_committed)
    }
}

/// The part of the requested range that `page` speaks for.
fn covered(request: &RangeRequest, page: &RangePage) -> (Bytes, Bytes) {
    let (begin, end) = (request.begin.clone(), request.end.clone());
    match page.rows.last() {
        Some((last, _)) if page.more && request.reverse => (last.clone(), end),
        Some((last, _)) if page.more => (begin, successor(last)),
        _ => (begin, end),
    }
}

/// `template`, whose ten bytes at `offset` become a versionstamp, as FoundationDB takes it.
fn stamped(template: &[u8], offset: usize) -> Vec<u8> {
    // Offsets are within keys and values, which are short.
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    [template, &offset.to_le_bytes()].concat()
}

impl BackendTransaction for FdbTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        let state = &mut *self.state.lock();
        state.has_snapshot = true;
        let version = match &state.transaction {
            Ok(transaction) => transaction.get_read_version(),
            Err(e) => return ReadFuture::ready(Err(e.clone())),
        };
        ReadFuture::boxed(async move {
            let version = version.await.map_err(error::of_read)?;
            u64::try_from(version).map_err(|_| Error::fatal("FoundationDB: version out of range"))
        })
    }

    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        let state = &mut *self.state.lock();
        if state.stamps.hides(key) {
            return ReadFuture::ready(Err(Error::unreadable()));
        }
        let stored = self.stored(key);
        let value = match &state.transaction {
            Ok(transaction) => transaction.get(&stored, snapshot),
            Err(e) => return ReadFuture::ready(Err(e.clone())),
        };
        state.has_snapshot = true;
        if !snapshot {
            state.size += RANGE + 2 * stored.len() + 1;
        }
        ReadFuture::boxed(async move {
            let value = value.await.map_err(error::of_read)?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        })
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        ReadFuture::boxed(self.read_page(request.clone()))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        let stored = self.stored(key);
        self.write(WRITE + RANGE + 3 * stored.len() + 1 + value.len(), |transaction, stamps| {
            if stamps.write(key) {
                // FoundationDB would hide the key still.
                transaction.clear(&stored);
            }
            transaction.set(&stored, value);
        });
    }

    fn set_bytes(&self, key: Bytes, value: Bytes) {
        self.set(&key, &value);
    }

    fn clear(&self, key: &[u8]) {
        let stored = self.stored(key);
        self.write(WRITE + RANGE + 4 * stored.len() + 2, |transaction, stamps| {
            transaction.clear(&stored);
            stamps.write(key);
        });
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        let (from, to) = (self.stored(begin), self.stored(end));
        self.write(WRITE + RANGE + 2 * (from.len() + to.len()), |transaction, stamps| {
            transaction.clear_range(&from, &to);
            stamps.clear_range(begin, end);
        });
    }

    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        let stored = self.stored(key);
        let plain = |kind| (kind, stored.clone(), Cow::Borrowed(operand));
        let (kind, stored, operand) = match op {
            AtomicOp::Add => plain(MutationType::Add),
            AtomicOp::Max => plain(MutationType::Max),
            AtomicOp::Min => plain(MutationType::Min),
            AtomicOp::CompareAndClear => plain(MutationType::CompareAndClear),
            AtomicOp::SetVersionstampedKey { offset } => {
                let key = stamped(&stored, offset + self.shared.prefix.len());
                (MutationType::SetVersionstampedKey, Cow::Owned(key), Cow::Borrowed(operand))
            }
            AtomicOp::SetVersionstampedValue { offset } => {
                (MutationType::SetVersionstampedValue, stored.clone(), Cow::Owned(stamped(operand, offset)))
            }
        };
        self.write(WRITE + RANGE + 3 * stored.len() + 1 + operand.len(), |transaction, stamps| {
            transaction.atomic_op(&stored, &operand, kind);
            stamps.atomic(op, key);
        });
    }

    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        let (begin, end) = (self.stored(begin), self.stored(end));
        let state = &mut *self.state.lock();
        let Ok(transaction) = &state.transaction else { return };
        let of_kind = match kind {
            ConflictKind::Read => ConflictRangeType::Read,
            ConflictKind::Write => ConflictRangeType::Write,
        };
        if let Err(e) = transaction.add_conflict_range(&begin, &end, of_kind) {
            state.refused.get_or_insert(error::of_read(e));
        }
        if kind == ConflictKind::Read && !state.has_snapshot {
            // "Read" means since now: FoundationDB would take the snapshot at the commit.
            let version = transaction.get_read_version();
            state.snapshot = Some(Box::pin(async move {
                let _ = version.await;
            }));
            state.has_snapshot = true;
        }
        state.size += RANGE + begin.len() + end.len();
        state.wrote |= kind == ConflictKind::Write;
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        let state = &mut *self.state.lock();
        if state.stamps.hides(key) {
            return Box::pin(std::future::ready(Err(Error::unreadable())));
        }
        let changed = match &state.transaction {
            Ok(transaction) => transaction.watch(&self.stored(key)),
            Err(e) => return Box::pin(std::future::ready(Err(e.clone()))),
        };
        (state.watches, state.has_snapshot) = (true, true);
        let stop = self.shared.stop.clone();
        Box::pin(async move {
            tokio::select! {
                changed = changed => changed.map_err(error::of_watch),
                () = stop.cancelled() => Err(Error::unavailable("store is closed")),
            }
        })
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(self.commit_now())
    }

    fn size(&self) -> usize {
        self.state.lock().size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_followed_by_its_offset() {
        assert_eq!(stamped(b"ab0123456789", 2), b"ab0123456789\x02\0\0\0");
    }

    #[test]
    fn a_page_speaks_for_its_part_of_the_range() {
        let page = |more| RangePage { rows: vec![("c".into(), "".into())], more };
        let mut request = RangeRequest::new("a", "z");
        assert_eq!(covered(&request, &page(false)), ("a".into(), "z".into()));
        assert_eq!(covered(&request, &page(true)), ("a".into(), "c\0".into()));
        request.reverse = true;
        assert_eq!(covered(&request, &page(true)), ("c".into(), "z".into()));
    }
}
