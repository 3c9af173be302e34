//! The checker on the reference backend, and on backends that are broken on purpose.

use super::*;
use crate::contract::wrap;
use crate::memory;
use crate::{
    Backend, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, ReadFuture, TransactionOptions,
};
use futures::future::BoxFuture;
use runtime::{SeededRng, SystemClock};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    RangesDoNotConflict,
    RangesConflictWithTheirRowsOnly,
    GetsDoNotConflict,
    AtomicsDoNotConflict,
    CommitsGetLost,
    ClearsOfRangesGetLost,
    ReadsMissOwnWrites,
    StampsAreReused,
    TokensGetLost,
}

struct Broken {
    inner: Arc<dyn Backend>,
    defect: Defect,
}

struct BrokenTransaction {
    inner: Box<dyn BackendTransaction>,
    /// For reads that do not see own writes.
    beside: Box<dyn BackendTransaction>,
    defect: Defect,
}

impl Backend for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    #[allow(clippy::disallowed_methods)]
    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        let (inner, beside) = (self.inner.begin(options), self.inner.begin(options));
        Box::new(BrokenTransaction { inner, beside, defect: self.defect })
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

impl BackendTransaction for BrokenTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        self.inner.read_version()
    }

    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        match self.defect {
            Defect::ReadsMissOwnWrites => self.beside.get(key, snapshot),
            Defect::GetsDoNotConflict => self.inner.get(key, true),
            Defect::TokensGetLost if key[0] == idempotency_tag() => ReadFuture::ready(Ok(None)),
            _ => self.inner.get(key, snapshot),
        }
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        let mut request = request.clone();
        match self.defect {
            Defect::RangesDoNotConflict => request.snapshot = true,
            Defect::RangesConflictWithTheirRowsOnly if !request.snapshot => {
                request.snapshot = true;
                return ReadFuture::boxed(async move {
                    let page = self.inner.range(&request).await?;
                    for (key, _) in &page.rows {
                        self.inner.get(key, false).await?;
                    }
                    Ok(page)
                });
            }
            _ => {}
        }
        self.inner.range(&request)
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
        if self.defect != Defect::ClearsOfRangesGetLost {
            self.inner.clear_range(begin, end);
        }
    }

    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        match (self.defect, op) {
            (Defect::TokensGetLost, _) if key[0] == idempotency_tag() => {}
            // Written as what it gives at present, without reading: the classic lost update.
            (Defect::AtomicsDoNotConflict, AtomicOp::Add) => {
                let present = futures::FutureExt::now_or_never(self.inner.get(key, true));
                let present = present.and_then(Result::ok).flatten();
                self.inner.set(key, &op.apply(present.as_deref(), operand).unwrap_or_default());
            }
            _ => self.inner.atomic(op, key, operand),
        }
    }

    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        self.inner.add_conflict_range(kind, begin, end);
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        self.inner.watch(key)
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(async move {
            match self.defect {
                Defect::CommitsGetLost if self.inner.size().is_multiple_of(16) => {
                    Ok(Versionstamp::new(1 << 40, 0))
                }
                Defect::StampsAreReused => {
                    let stamp = self.inner.commit().await?;
                    Ok(Versionstamp::new(stamp.version() & !1, stamp.order()))
                }
                _ => self.inner.commit().await,
            }
        })
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

fn idempotency_tag() -> u8 {
    crate::idempotency::TAG
}

/// The first violation that one of some seeds shows.
async fn violation(defect: Defect) -> Option<Violation> {
    for seed in 0..40 {
        let (db, faults) = wrap(&memory::database(), Plan::NONE, seed);
        let plan = if defect == Defect::TokensGetLost { Plan::HARSH } else { Plan::NONE };
        faults.set_plan(plan);
        let backend = Arc::new(Broken { inner: Arc::clone(db.backend()), defect });
        let broken = Database::new(backend, SystemClock::shared(), Arc::new(SeededRng::new(seed)));
        let options = Options { seed, faults: Some(faults), ..Options::default() };
        if let Err(violation) = check(&broken, &options).await {
            return Some(violation);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn every_defect_is_found() {
    let defects = [
        Defect::RangesDoNotConflict,
        Defect::RangesConflictWithTheirRowsOnly,
        Defect::GetsDoNotConflict,
        Defect::AtomicsDoNotConflict,
        Defect::CommitsGetLost,
        Defect::ClearsOfRangesGetLost,
        Defect::ReadsMissOwnWrites,
        Defect::StampsAreReused,
        Defect::TokensGetLost,
    ];
    for defect in defects {
        assert!(violation(defect).await.is_some(), "{defect:?} goes unnoticed");
    }
}

#[tokio::test(start_paused = true)]
async fn histories_of_the_reference_backend_are_serializable() {
    let mut sum = Report::default();
    for seed in 0..150 {
        let options = Options { seed, ..Options::default() };
        let report = check(&memory::database(), &options).await.unwrap();
        sum.written += report.written;
        sum.read += report.read;
        sum.aborted += report.aborted;
        assert_eq!(report.given_up, 0);
    }
    // The dice do all they can.
    assert!(sum.written > 5000 && sum.read > 1000 && sum.aborted > 200, "{sum:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_on_several_threads_are_serializable() {
    for seed in 0..10 {
        let options = Options { seed, clients: 8, ..Options::default() };
        check(&memory::database(), &options).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn histories_under_faults_are_serializable() {
    let mut injected = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 1000..1100 {
        let (db, faults) = wrap(&memory::database(), Plan::HARSH, seed);
        let options = Options { seed, faults: Some(Arc::clone(&faults)), ..Options::default() };
        check(&db, &options).await.unwrap();
        faults.injected().into_iter().for_each(|(name, count)| *injected.entry(name).or_default() += count);
    }
    for name in
        ["conflict", "stall", "too_old", "unavailable", "unknown_applied", "unknown_dropped", "unknown_late"]
    {
        assert!(injected[name] > 50, "{name}: {injected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_seed_decides_the_history() {
    let run = |seed| async move {
        let (db, faults) = wrap(&memory::database(), Plan::HARSH, seed);
        let options = Options { seed, faults: Some(Arc::clone(&faults)), ..Options::default() };
        (check(&db, &options).await.unwrap(), faults.injected())
    };
    assert_eq!(run(5).await, run(5).await);
    assert_ne!(run(5).await, run(6).await);
}
