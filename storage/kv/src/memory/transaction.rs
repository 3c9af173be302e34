//! A transaction on the store in memory.

use super::store::Store;
use crate::{
    AtomicOp, BackendTransaction, Buffer, ConflictKind, Error, RangePage, RangeRequest, ReadFuture,
    Versionstamp, Watch, Write,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

pub(super) struct MemoryTransaction {
    store: Arc<RwLock<Store>>,
    /// Locked before the store, always.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The snapshot, from the first read on.
    snapshot: Option<u64>,
    buffer: Buffer,
    watches: Vec<Watch>,
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
        state.buffer.get(key, snapshot, || Ok(self.store.read().value_at(key, version)))
    }

    fn read_range(&self, request: &RangeRequest) -> Result<RangePage, Error> {
        let state = &mut *self.state.lock();
        let version = self.snapshot(state)?;
        state.buffer.page(request, |rest| Ok(self.store.read().scan(rest, version)))
    }

    fn write(&self, write: Write) {
        self.state.lock().buffer.write(write);
    }

    fn commit_now(&self) -> Result<Versionstamp, Error> {
        let state = &mut *self.state.lock();
        let mut store = self.store.write();
        store.check_open()?;
        let mut stamp = Versionstamp::ZERO;
        if !state.buffer.is_read_only() {
            if state.snapshot.is_some_and(|since| store.conflicts(&state.buffer.reads, since)) {
                return Err(Error::conflict());
            }
            stamp = store.commit(&state.buffer.writes, &state.buffer.claims)?;
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

    fn set_bytes(&self, key: Bytes, value: Bytes) {
        self.write(Write::Set(key, value));
    }

    fn clear(&self, key: &[u8]) {
        self.write(Write::Clear(Bytes::copy_from_slice(key)));
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.write(Write::ClearRange(Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end)));
    }

    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        self.write(Write::Atomic(op, Bytes::copy_from_slice(key), Bytes::copy_from_slice(operand)));
    }

    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        let state = &mut *self.state.lock();
        if kind == ConflictKind::Read {
            // "Read" means since now, at the latest. If the store is closed the commit will say so.
            let _ = self.snapshot(state);
        }
        state.buffer.declare(kind, begin, end);
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        match self.read_key(key, true) {
            Ok(seen) => {
                let (watch, woken) = Watch::new(key, seen);
                self.state.lock().watches.push(watch);
                woken
            }
            Err(e) => Box::pin(std::future::ready(Err(e))),
        }
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(async move { self.commit_now() })
    }

    fn size(&self) -> usize {
        self.state.lock().buffer.size()
    }
}
