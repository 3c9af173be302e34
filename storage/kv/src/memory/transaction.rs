//! A transaction on the store in memory.

use super::store::{Mutation, Store, Watch};
use crate::overlay::{Lookup, Overlay};
use crate::range_set::successor;
use crate::{
    AtomicOp, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, RangeSet, ReadFuture, Row,
    Versionstamp,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct MemoryTransaction {
    store: Arc<RwLock<Store>>,
    /// Locked before the store, always.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The snapshot, from the first read on.
    snapshot: Option<u64>,
    mutations: Vec<Mutation>,
    overlay: Overlay,
    reads: RangeSet,
    writes: RangeSet,
    watches: Vec<Watch>,
    size: usize,
}

impl MemoryTransaction {
    pub(super) fn new(store: Arc<RwLock<Store>>) -> Self {
        MemoryTransaction { store, state: Mutex::default() }
    }

    fn snapshot(&self, state: &mut State) -> Result<u64, Error> {
        if let Some(version) = state.snapshot {
            self.store.read().check_open()?;
            return Ok(version);
        }
        let version = self.store.write().acquire()?;
        state.snapshot = Some(version);
        Ok(version)
    }

    fn read_key(&self, key: &[u8], snapshot: bool) -> Result<Option<Bytes>, Error> {
        let state = &mut *self.state.lock();
        let version = self.snapshot(state)?;
        let value = match state.overlay.lookup(key) {
            Lookup::Unreadable => return Err(Error::unreadable()),
            Lookup::Known(value) => return Ok(value),
            Lookup::OnStore(operations) => {
                let stored = self.store.read().value_at(key, version);
                operations.iter().fold(stored, |value, (op, operand)| op.apply(value.as_deref(), operand))
            }
        };
        if !snapshot {
            state.reads.insert_key(key);
            state.size += 2 * key.len() + 1;
        }
        Ok(value)
    }

    fn read_range(&self, request: &RangeRequest) -> Result<RangePage, Error> {
        let state = &mut *self.state.lock();
        let version = self.snapshot(state)?;
        let page = self.page(request, &state.overlay, version)?;
        let (begin, end) = covered(request, &page);
        if state.overlay.is_unreadable(&begin, &end) {
            return Err(Error::unreadable());
        }
        if !request.snapshot {
            state.size += begin.len() + end.len();
            state.reads.insert(begin, end);
        }
        Ok(page)
    }

    fn page(&self, request: &RangeRequest, overlay: &Overlay, version: u64) -> Result<RangePage, Error> {
        let store = self.store.read();
        let (limit, target) = (request.row_limit(), request.byte_target());
        let (mut rows, mut bytes) = (Vec::<Row>::new(), 0);
        let stored = store.keys(&request.begin, &request.end);
        let written = overlay.keys(&request.begin, &request.end);
        for key in merge(stored, written, request.reverse) {
            let value = match overlay.lookup(key) {
                Lookup::Unreadable => return Err(Error::unreadable()),
                Lookup::Known(value) => value,
                Lookup::OnStore(operations) => {
                    operations.iter().fold(store.value_at(key, version), |value, (op, operand)| {
                        op.apply(value.as_deref(), operand)
                    })
                }
            };
            let Some(value) = value else { continue };
            if rows.len() >= limit || bytes >= target && !rows.is_empty() {
                return Ok(RangePage { rows, more: true });
            }
            bytes += key.len() + value.len();
            rows.push((key.clone(), value));
        }
        // With the limit reached nothing behind the last row may count as read: who asks for one row must not
        // conflict on a second.
        let more = rows.len() >= limit;
        Ok(RangePage { rows, more })
    }

    fn mutate(&self, mutation: Mutation) {
        let state = &mut *self.state.lock();
        match &mutation {
            Mutation::Set(key, value) => {
                state.size += 3 * key.len() + 1 + value.len();
                state.writes.insert_key(key);
                state.overlay.set(key.clone(), Some(value.clone()));
            }
            Mutation::Clear(key) => {
                state.size += 4 * key.len() + 2;
                state.writes.insert_key(key);
                state.overlay.set(key.clone(), None);
            }
            Mutation::ClearRange(begin, end) => {
                state.size += 2 * (begin.len() + end.len());
                state.writes.insert(begin.clone(), end.clone());
                state.overlay.clear_range(begin, end);
            }
            Mutation::Atomic(op, key, operand) => {
                state.size += 3 * key.len() + 1 + operand.len();
                // A versionstamped key is known, and so conflicts, only at the commit.
                if !matches!(op, AtomicOp::SetVersionstampedKey { .. }) {
                    state.writes.insert_key(key);
                }
                state.overlay.atomic(*op, key.clone(), operand.clone());
            }
        }
        state.mutations.push(mutation);
    }

    fn commit_now(&self) -> Result<Versionstamp, Error> {
        let state = &mut *self.state.lock();
        let mut store = self.store.write();
        store.check_open()?;
        let mut stamp = Versionstamp::ZERO;
        if !(state.mutations.is_empty() && state.writes.is_empty()) {
            if state.snapshot.is_some_and(|since| store.conflicts(&state.reads, since)) {
                return Err(Error::conflict());
            }
            stamp = store.commit(&state.mutations, std::mem::take(&mut state.writes))?;
        }
        state.watches.drain(..).for_each(|watch| store.watch(watch));
        Ok(stamp)
    }
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        if let Some(version) = self.state.get_mut().snapshot {
            self.store.write().release(version);
        }
    }
}

impl BackendTransaction for MemoryTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        ReadFuture::ready(self.snapshot(&mut self.state.lock()))
    }

    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        ReadFuture::ready(self.read_key(key, snapshot))
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        ReadFuture::ready(self.read_range(request))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.set_bytes(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }

    fn set_bytes(&self, key: Bytes, value: Bytes) {
        self.mutate(Mutation::Set(key, value));
    }

    fn clear(&self, key: &[u8]) {
        self.mutate(Mutation::Clear(Bytes::copy_from_slice(key)));
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.mutate(Mutation::ClearRange(Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end)));
    }

    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        self.mutate(Mutation::Atomic(op, Bytes::copy_from_slice(key), Bytes::copy_from_slice(operand)));
    }

    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        let state = &mut *self.state.lock();
        let (begin, end) = (Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
        state.size += begin.len() + end.len();
        match kind {
            ConflictKind::Read => {
                // "Read" means since now, at the latest. If the store is closed the commit will say so.
                let _ = self.snapshot(state);
                state.reads.insert(begin, end);
            }
            ConflictKind::Write => state.writes.insert(begin, end),
        }
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        let seen = match self.read_key(key, true) {
            Ok(seen) => seen,
            Err(e) => return Box::pin(std::future::ready(Err(e))),
        };
        let (wake, woken) = oneshot::channel();
        self.state.lock().watches.push(Watch { key: Bytes::copy_from_slice(key), seen, wake });
        Box::pin(async move {
            woken.await.unwrap_or_else(|_| Err(Error::unavailable("watch ended without a commit")))
        })
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(async move { self.commit_now() })
    }

    fn size(&self) -> usize {
        self.state.lock().size
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

/// Two ascending sequences as one, ascending or descending, each key once.
fn merge<'a>(
    a: impl DoubleEndedIterator<Item = &'a Bytes> + 'a,
    b: impl DoubleEndedIterator<Item = &'a Bytes> + 'a,
    reverse: bool,
) -> impl Iterator<Item = &'a Bytes> {
    type Keys<'a> = Box<dyn Iterator<Item = &'a Bytes> + 'a>;
    let (a, b): (Keys<'a>, Keys<'a>) =
        if reverse { (Box::new(a.rev()), Box::new(b.rev())) } else { (Box::new(a), Box::new(b)) };
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let next = match (a.peek(), b.peek()) {
            (Some(&x), Some(&y)) if reverse => x.max(y),
            (Some(&x), Some(&y)) => x.min(y),
            (x, y) => *x.or(y)?,
        };
        a.next_if(|key| *key == next);
        b.next_if(|key| *key == next);
        Some(next)
    })
}
