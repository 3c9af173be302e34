//! A store that one process, or all, cannot reach for a while: a paused process stands still at its next touch of the store,
//! with the answer of the last one not yet heard.

use bytes::Bytes;
use futures::future::BoxFuture;
use kv::{
    AtomicOp, Backend, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, ReadFuture,
    TransactionOptions, Versionstamp,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Open or shut.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn open() -> Self {
        Gate(Arc::new(watch::Sender::new(true)))
    }

    pub(crate) fn set(&self, open: bool) {
        self.0.send_replace(open);
    }

    pub(crate) async fn pass(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// What a store was asked for.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) reads: AtomicU64,
    pub(crate) commits: AtomicU64,
}

/// A backend behind gates.
pub(crate) struct Gated {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) load: Arc<Load>,
}

async fn pass(gates: &[Gate]) {
    for gate in gates {
        gate.pass().await;
    }
}

impl Backend for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    #[allow(clippy::disallowed_methods)]
    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        Box::new(GatedTransaction {
            inner: self.inner.begin(options),
            gates: self.gates.clone(),
            load: self.load.clone(),
        })
    }

    fn outcome_can_be_unknown(&self) -> bool {
        self.inner.outcome_can_be_unknown()
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.advance_version(version)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.close()
    }
}

struct GatedTransaction {
    inner: Box<dyn BackendTransaction>,
    gates: Vec<Gate>,
    load: Arc<Load>,
}

impl GatedTransaction {
    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&'a dyn BackendTransaction) -> ReadFuture<'a, T> + Send + 'a,
    ) -> ReadFuture<'a, T> {
        self.load.reads.fetch_add(1, Ordering::Relaxed);
        ReadFuture::boxed(async move {
            pass(&self.gates).await;
            let answer = read(&*self.inner).await;
            pass(&self.gates).await;
            answer
        })
    }
}

impl BackendTransaction for GatedTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        self.read(|inner| inner.read_version())
    }

    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        let key = Bytes::copy_from_slice(key);
        self.read(move |inner| inner.get(&key, snapshot))
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        let request = request.clone();
        self.read(move |inner| inner.range(&request))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.inner.set(key, value);
    }

    fn set_bytes(&self, key: Bytes, value: Bytes) {
        self.inner.set_bytes(key, value);
    }

    fn clear(&self, key: &[u8]) {
        self.inner.clear(key);
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.inner.clear_range(begin, end);
    }

    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        self.inner.atomic(op, key, operand);
    }

    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        self.inner.add_conflict_range(kind, begin, end);
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        self.inner.watch(key)
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        if self.size() > 0 {
            self.load.commits.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async move {
            pass(&self.gates).await;
            let answer = self.inner.commit().await;
            pass(&self.gates).await;
            answer
        })
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
