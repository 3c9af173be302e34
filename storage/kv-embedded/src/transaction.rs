//! A transaction: one snapshot, own writes on top, and what it read and wrote for the check at commit.

use crate::committer::{Committer, Request};
use crate::engine::Snapshot;
use crate::watch::Watch;
use bytes::Bytes;
use futures::future::BoxFuture;
use kv::overlay::{Lookup, Merge, Overlay};
use kv::{
    AtomicOp, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, RangeSet, ReadFuture,
    Versionstamp,
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A write of a transaction, in the order of its calls.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Set(Bytes, Bytes),
    Clear(Bytes),
    ClearRange(Bytes, Bytes),
    Atomic(AtomicOp, Bytes, Bytes),
}

pub(crate) struct EmbeddedTransaction {
    committer: Arc<Committer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Taken at the first read.
    snapshot: Option<Arc<dyn Snapshot>>,
    writes: Vec<Write>,
    overlay: Overlay,
    reads: RangeSet,
    /// Declared as written without a write.
    claims: Vec<(Bytes, Bytes)>,
    watches: Vec<Watch>,
    size: usize,
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
        let operations = match state.overlay.lookup(key) {
            Lookup::Unreadable => return Err(Error::unreadable()),
            Lookup::Known(value) => return Ok(value),
            Lookup::OnStore(operations) => operations,
        };
        let value = AtomicOp::apply_all(operations, stored.get(key)?);
        if !snapshot {
            state.reads.insert_key(key);
            state.size += 2 * key.len() + 1;
        }
        Ok(value)
    }

    fn read_range(&self, request: &RangeRequest) -> Result<RangePage, Error> {
        let state = &mut *self.state.lock();
        let stored = self.snapshot(state)?;
        let page = if state.overlay.is_empty() {
            stored.scan(request)?
        } else {
            let mut merge = Merge::new(request);
            while let Some(rest) = merge.rest() {
                merge.add(&state.overlay, stored.scan(rest)?)?;
            }
            merge.into_page()
        };
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

    fn write(&self, write: Write) {
        let state = &mut *self.state.lock();
        match &write {
            Write::Set(key, value) => {
                state.size += 3 * key.len() + 1 + value.len();
                state.overlay.set(key.clone(), Some(value.clone()));
            }
            Write::Clear(key) => {
                state.size += 4 * key.len() + 2;
                state.overlay.set(key.clone(), None);
            }
            Write::ClearRange(begin, end) => {
                state.size += 2 * (begin.len() + end.len());
                state.overlay.clear_range(begin, end);
            }
            Write::Atomic(op, key, operand) => {
                state.size += 3 * key.len() + 1 + operand.len();
                state.overlay.atomic(*op, key.clone(), operand.clone());
            }
        }
        state.writes.push(write);
    }

    async fn commit_now(&self) -> Result<Versionstamp, Error> {
        let (request, watches) = {
            let state = &mut *self.state.lock();
            let watches = std::mem::take(&mut state.watches);
            let snapshot = state.snapshot.take();
            if state.writes.is_empty() && state.claims.is_empty() {
                self.committer.engine().check()?;
                (None, watches)
            } else {
                let writes = std::mem::take(&mut state.writes);
                let read_version = snapshot.map(|snapshot| snapshot.version());
                let request = Request::new(read_version, std::mem::take(&mut state.reads), writes)
                    .with_claims(std::mem::take(&mut state.claims));
                (Some(request), watches)
            }
        };
        let stamp = match request {
            Some(request) => self.committer.commit(request).await?,
            None => Versionstamp::ZERO,
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

    fn set(&self, key: &[u8], value: &[u8]) {
        self.set_bytes(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
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
        let (begin, end) = (Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
        state.size += begin.len() + end.len();
        match kind {
            ConflictKind::Read => {
                // "Read" means since now, at the latest. If the store is closed the commit will say so.
                let _ = self.snapshot(state);
                state.reads.insert(begin, end);
            }
            ConflictKind::Write => state.claims.push((begin, end)),
        }
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        let seen = match self.read_key(key, true) {
            Ok(seen) => seen,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (wake, woken) = oneshot::channel();
        self.state.lock().watches.push(Watch { key: Bytes::copy_from_slice(key), seen, wake });
        Box::pin(async move {
            woken.await.unwrap_or_else(|_| Err(Error::unavailable("watch ended without a commit")))
        })
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(self.commit_now())
    }

    fn size(&self) -> usize {
        self.state.lock().size
    }
}
