//! A transaction: one snapshot, own writes on top, and what it read and wrote for the check at commit.

use crate::committer::{Committer, Request};
use crate::engine::Snapshot;
use bytes::Bytes;
use futures::future::BoxFuture;
use kv::{
    AtomicOp, BackendTransaction, Buffer, ConflictKind, Error, RangePage, RangeRequest, ReadFuture,
    Versionstamp, Watch, Write,
};
use parking_lot::Mutex;
use std::sync::Arc;

pub(crate) struct EmbeddedTransaction {
    committer: Arc<Committer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Taken at the first read.
    snapshot: Option<Arc<dyn Snapshot>>,
    buffer: Buffer,
    watches: Vec<Watch>,
}

impl EmbeddedTransaction {
    pub(crate) fn new(committer: Arc<Committer>) -> Self {
        EmbeddedTransaction { committer, state: Mutex::default() }
    }

    fn snapshot(&self, state: &mut State) -> Result<Arc<dyn Snapshot>, Error> {
        self.committer.engine().check()?;
        Ok(state.snapshot.get_or_insert_with(|| self.committer.engine().snapshot()).clone())
    }

    fn read_key(&self, key: &[u8], snapshot: bool) -> Result<Option<Bytes>, Error> {
        let state = &mut *self.state.lock();
        let stored = self.snapshot(state)?;
        state.buffer.get(key, snapshot, || Ok(stored.get(key)?))
    }

    fn read_range(&self, request: &RangeRequest) -> Result<RangePage, Error> {
        let state = &mut *self.state.lock();
        let stored = self.snapshot(state)?;
        state.buffer.page(request, |rest| Ok(stored.scan(rest)?))
    }

    fn write(&self, write: Write) {
        self.state.lock().buffer.write(write);
    }

    async fn commit_now(&self) -> Result<Versionstamp, Error> {
        let (request, watches) = {
            let state = &mut *self.state.lock();
            let read_version = state.snapshot.take().map(|snapshot| snapshot.version());
            let writes = !state.buffer.is_read_only();
            let request = writes.then(|| Request::new(read_version, &mut state.buffer));
            (request, std::mem::take(&mut state.watches))
        };
        let stamp = match request {
            Some(request) => self.committer.commit(request).await?,
            None => {
                self.committer.engine().check()?;
                Versionstamp::ZERO
            }
        };
        watches.into_iter().for_each(|watch| self.committer.watch(watch));
        Ok(stamp)
    }
}

impl BackendTransaction for EmbeddedTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        ReadFuture::ready(self.snapshot(&mut self.state.lock()).map(|snapshot| snapshot.version()))
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
        Box::pin(self.commit_now())
    }

    fn size(&self) -> usize {
        self.state.lock().buffer.size()
    }
}
