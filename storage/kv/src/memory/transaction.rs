//! A transaction on the store in memory.

use super::store::{Mutation, Store, Watch};
use crate::overlay::{Lookup, Merge, Overlay};
use crate::{
    AtomicOp, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, RangeSet, ReadFuture,
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
                AtomicOp::apply_all(operations, self.store.read().value_at(key, version))
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
        let (store, mut merge) = (self.store.read(), Merge::new(request));
        while let Some(rest) = merge.rest() {
            merge.add(&state.overlay, store.scan(rest, version))?;
        }
        let page = merge.into_page();
        let (begin, end) = request.covered(&page);
        if state.overlay.is_unreadable(&begin, &end) {
            return Err(Error::unreadable());
        }
        if !request.snapshot {
            state.size += begin.len() + end.len();
            state.reads.insert(begin, end);
        }
        Ok(page)
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
