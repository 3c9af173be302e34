//! A backend that misbehaves as real ones may, from a seed.
//!
//! Wraps any backend. Every fault is one that [`crate::Backend`] allows, so that whatever is correct above the
//! contract stays correct above this: lost answers, conflicts out of nothing, slow reads, watches that never
//! wake or wake for nothing.

use crate::{
    AtomicOp, Backend, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, ReadFuture,
    TransactionOptions, Versionstamp,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use runtime::SharedRng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Longest stall, in turns of the scheduler.
const STALL_TURNS: u64 = 12;

/// Most rows of a page that is cut short.
const SHORT_PAGE: u64 = 5;

/// How likely each fault is, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// A commit fails with a conflict that is none.
    pub conflict: u16,
    /// A read fails because the snapshot is too old.
    pub too_old: u16,
    /// A read fails because the store is away.
    pub unavailable: u16,
    /// A commit is applied, and its answer lost.
    pub unknown_applied: u16,
    /// A commit is lost, and nobody says so.
    pub unknown_dropped: u16,
    /// The answer is lost while the commit is still on its way: it is tried at some later time, and may then be
    /// applied or fail.
    pub unknown_late: u16,
    /// A read or commit waits for some turns of the scheduler.
    pub stall: u16,
    /// A page has fewer rows than were asked for, though there are more: stores have limits of their own.
    pub short_page: u16,
    /// A watch never wakes.
    pub lost_watch: u16,
    /// A watch wakes for nothing.
    pub early_watch: u16,
}

impl Plan {
    /// No faults.
    pub const NONE: Plan = Plan {
        conflict: 0,
        too_old: 0,
        unavailable: 0,
        unknown_applied: 0,
        unknown_dropped: 0,
        unknown_late: 0,
        stall: 0,
        short_page: 0,
        lost_watch: 0,
        early_watch: 0,
    };

    /// Nothing fails; everything may take its time.
    pub const STALLS: Plan = Plan { stall: 300, ..Plan::NONE };

    /// All of it, often.
    pub const HARSH: Plan = Plan {
        conflict: 60,
        too_old: 15,
        unavailable: 15,
        unknown_applied: 80,
        unknown_dropped: 80,
        unknown_late: 80,
        stall: 100,
        short_page: 150,
        lost_watch: 200,
        early_watch: 200,
    };
}

/// Open or shut: what is behind a gate that is shut does not answer. A process that cannot reach the store, or that sleeps, stands
/// still at its next touch of it, with the answer of the last one not yet heard.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// One that is open.
    pub fn open() -> Self {
        Gate(Arc::new(watch::Sender::new(true)))
    }

    /// Opens or shuts it.
    pub fn set(&self, open: bool) {
        self.0.send_replace(open);
    }

    /// Waits until it is open.
    pub async fn pass(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// What a store was asked for.
#[derive(Debug, Default)]
pub struct Load {
    /// Reads, of rows and ranges and versions.
    pub reads: AtomicU64,
    /// Commits of something.
    pub commits: AtomicU64,
}

/// The wrapper.
pub struct FaultBackend {
    inner: Arc<dyn Backend>,
    dice: Arc<Dice>,
    gates: Arc<[Gate]>,
    load: Arc<Load>,
}

struct Dice {
    rng: SharedRng,
    plan: Mutex<Plan>,
    injected: Mutex<BTreeMap<&'static str, u64>>,
    /// How long each read takes.
    read_time: Mutex<Duration>,
    /// Commits that are still on their way.
    late: Mutex<Vec<Arc<dyn BackendTransaction>>>,
}

impl FaultBackend {
    /// Wraps `inner`; all chance comes from `rng`.
    pub fn new(inner: Arc<dyn Backend>, rng: SharedRng, plan: Plan) -> Self {
        let dice = Dice {
            rng,
            plan: Mutex::new(plan),
            injected: Mutex::default(),
            read_time: Mutex::default(),
            late: Mutex::default(),
        };
        FaultBackend { inner, dice: Arc::new(dice), gates: Arc::new([]), load: Arc::default() }
    }

    /// The same behind gates, each of which has to be open; what it is asked for is counted in `load`.
    #[must_use]
    pub fn behind(self, gates: &[Gate], load: Arc<Load>) -> Self {
        FaultBackend { gates: gates.into(), load, ..self }
    }

    /// From now on faults come as in `plan`.
    pub fn set_plan(&self, plan: Plan) {
        *self.dice.plan.lock() = plan;
    }

    /// From now on each read takes so long, as from a store behind a network; reads asked for at once wait together.
    pub fn set_read_time(&self, time: Duration) {
        *self.dice.read_time.lock() = time;
    }

    /// How often each fault came, by the name of its field in [`Plan`].
    pub fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.dice.injected.lock().clone()
    }

    /// Lets all commits that are still on their way arrive.
    pub async fn deliver(&self) {
        self.dice.deliver().await;
    }
}

impl Backend for FaultBackend {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    #[allow(clippy::disallowed_methods)]
    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        let inner = Arc::from(self.inner.begin(options));
        let (dice, gates, load) = (Arc::clone(&self.dice), Arc::clone(&self.gates), Arc::clone(&self.load));
        Box::new(FaultTransaction { inner, dice, gates, load })
    }

    fn outcome_can_be_unknown(&self) -> bool {
        true
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.advance_version(version)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.deliver().await;
            self.inner.close().await
        })
    }
}

impl Dice {
    /// Whether the fault `name` comes now.
    fn roll(&self, name: &'static str, chance: impl Fn(&Plan) -> u16) -> bool {
        let chance = u64::from(chance(&self.plan.lock()));
        let comes = chance > 0 && self.rng.below(1000) < chance;
        if comes {
            *self.injected.lock().entry(name).or_default() += 1;
        }
        comes
    }

    /// The error that a read is to fail with.
    fn read_error(&self) -> Option<Error> {
        if self.roll("too_old", |plan| plan.too_old) {
            return Some(Error::too_old());
        }
        self.roll("unavailable", |plan| plan.unavailable).then(|| Error::unavailable("injected"))
    }

    async fn stall(&self) {
        for _ in 0..1 + self.rng.below(STALL_TURNS) {
            tokio::task::yield_now().await;
        }
    }

    async fn deliver(&self) {
        let late = std::mem::take(&mut *self.late.lock());
        for transaction in late {
            // Nobody hears the answer.
            let _ = transaction.commit().await;
        }
    }
}

struct FaultTransaction {
    inner: Arc<dyn BackendTransaction>,
    dice: Arc<Dice>,
    gates: Arc<[Gate]>,
    load: Arc<Load>,
}

async fn pass(gates: &[Gate]) {
    for gate in gates {
        gate.pass().await;
    }
}

impl FaultTransaction {
    /// `read` as it is, or failing, or late.
    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&'a dyn BackendTransaction) -> ReadFuture<'a, T> + Send + 'a,
    ) -> ReadFuture<'a, T> {
        self.load.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = self.dice.read_error() {
            return ReadFuture::ready(Err(error));
        }
        let time = *self.dice.read_time.lock();
        let stalls = self.dice.roll("stall", |plan| plan.stall);
        if stalls || !time.is_zero() || !self.gates.is_empty() {
            return ReadFuture::boxed(async move {
                pass(&self.gates).await;
                if stalls {
                    self.dice.stall().await;
                }
                if !time.is_zero() {
                    tokio::time::sleep(time).await;
                }
                let answer = read(&*self.inner).await;
                pass(&self.gates).await;
                answer
            });
        }
        read(&*self.inner)
    }

    async fn commit_with_faults(&self) -> Result<Versionstamp, Error> {
        let dice = &*self.dice;
        if dice.roll("stall", |plan| plan.stall) {
            dice.stall().await;
        }
        if !dice.late.lock().is_empty() && dice.rng.below(2) == 0 {
            dice.deliver().await;
        }
        if dice.roll("conflict", |plan| plan.conflict) {
            return Err(Error::conflict());
        }
        if dice.roll("unknown_dropped", |plan| plan.unknown_dropped) {
            return Err(Error::maybe_committed());
        }
        if dice.roll("unknown_late", |plan| plan.unknown_late) {
            dice.late.lock().push(Arc::clone(&self.inner));
            return Err(Error::maybe_committed());
        }
        let stamp = self.inner.commit().await?;
        if dice.roll("unknown_applied", |plan| plan.unknown_applied) {
            return Err(Error::maybe_committed());
        }
        Ok(stamp)
    }
}

impl BackendTransaction for FaultTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        self.read(|inner| inner.read_version())
    }

    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        let key = Bytes::copy_from_slice(key);
        self.read(move |inner| inner.get(&key, snapshot))
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        let mut request = request.clone();
        if self.dice.roll("short_page", |plan| plan.short_page) {
            request.limit =
                usize::try_from(1 + self.dice.rng.below(SHORT_PAGE)).unwrap_or(1).min(request.row_limit());
        }
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
        if self.dice.roll("lost_watch", |plan| plan.lost_watch) {
            return Box::pin(std::future::pending());
        }
        if self.dice.roll("early_watch", |plan| plan.early_watch) {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.inner.watch(key)
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        if self.size() > 0 {
            self.load.commits.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async move {
            pass(&self.gates).await;
            let answer = self.commit_with_faults().await;
            pass(&self.gates).await;
            answer
        })
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;
    use crate::memory::Memory;
    use runtime::{SeededRng, SystemClock, Timestamp};

    fn faulty(plan: Plan, seed: u64) -> (Database, Arc<FaultBackend>) {
        let rng = Arc::new(SeededRng::new(seed));
        let backend = Arc::new(FaultBackend::new(Arc::new(Memory::new()), rng.clone(), plan));
        (Database::new(backend.clone(), SystemClock::shared(), rng), backend)
    }

    /// Blind increments: the one thing that shows each application.
    async fn increments_applied(plan: Plan, seed: u64) -> (u64, BTreeMap<&'static str, u64>) {
        let (db, faults) = faulty(plan, seed);
        for _ in 0..100 {
            let increment = db.transact("increment", |txn| async move {
                txn.add_i64(b"count", 1);
                Ok::<_, Error>(())
            });
            increment.await.unwrap();
        }
        faults.set_plan(Plan::NONE);
        faults.deliver().await;
        let count = db.read("count", |txn| async move { txn.get(b"count").await }).await.unwrap().unwrap();
        (u64::from_le_bytes(count[..].try_into().unwrap()), faults.injected())
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_of_unknown_outcome_is_applied_once() {
        let plans = [
            Plan { unknown_applied: 300, ..Plan::NONE },
            Plan { unknown_dropped: 300, ..Plan::NONE },
            Plan { unknown_late: 300, ..Plan::NONE },
            Plan::HARSH,
        ];
        for (seed, plan) in plans.into_iter().enumerate() {
            let (count, injected) = increments_applied(plan, seed as u64).await;
            assert_eq!(count, 100, "{plan:?} {injected:?}");
            assert!(injected.values().sum::<u64>() > 20);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_returned_only_when_nothing_was_or_will_be_applied() {
        // Every commit is lost or late; the second run of the closure always fails.
        for seed in 0..200 {
            let plan = Plan { unknown_late: 400, unknown_dropped: 200, unknown_applied: 200, ..Plan::NONE };
            let (db, faults) = faulty(plan, seed);
            let runs = &Mutex::new(0);
            let outcome = db.transact("once", |txn| async move {
                let mut runs = runs.lock();
                *runs += 1;
                txn.set(b"k", b"v");
                if *runs == 1 { Ok(()) } else { Err(Error::fatal("second thoughts")) }
            });
            let outcome = outcome.await;
            faults.set_plan(Plan::NONE);
            faults.deliver().await;
            let value = db.read("read", |txn| async move { txn.get(b"k").await }).await.unwrap();
            assert_eq!(value.is_some(), outcome.is_ok(), "seed {seed}: {outcome:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_alone_are_settled_without_a_token() {
        let (db, faults) = faulty(Plan { unknown_applied: 500, ..Plan::NONE }, 3);
        for _ in 0..20 {
            db.transact("read", |txn| async move { txn.get(b"k").await }).await.unwrap();
        }
        assert!(faults.injected()["unknown_applied"] > 0);
        let tokens = db.read("tokens", |txn| async move { txn.scan_prefix(b"I").collect().await });
        assert_eq!(tokens.await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_expire_after_their_time() {
        let clock = Arc::new(runtime::ManualClock::new(Timestamp::from_secs(1_000_000)));
        let rng = Arc::new(SeededRng::new(1));
        let backend = FaultBackend::new(Arc::new(Memory::new()), rng.clone(), Plan::NONE);
        let db = Database::new(Arc::new(backend), clock.clone(), rng);
        for _ in 0..10 {
            let write = db.transact("write", |txn| async move {
                txn.add_i64(b"k", 1);
                Ok::<_, Error>(())
            });
            write.await.unwrap();
        }
        assert_eq!(db.expire_idempotency_tokens(100).await, Ok(0));
        clock.advance(crate::limits::IDEMPOTENCY_TIME + std::time::Duration::from_secs(60));
        assert_eq!(db.expire_idempotency_tokens(4).await, Ok(4));
        assert_eq!(db.expire_idempotency_tokens(100).await, Ok(6));
        // What remains is the tokens of those two.
        let tokens = db.read("tokens", |txn| async move { txn.scan_prefix(b"I").collect().await });
        assert_eq!(tokens.await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_that_is_shut_holds_what_was_not_committed_and_the_answer_of_what_was() {
        let memory = Arc::new(Memory::new());
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let (gate, load) = (Gate::open(), Arc::<Load>::default());
        let faults = FaultBackend::new(memory.clone(), rng.clone(), Plan::NONE);
        let gated = Arc::new(faults.behind(std::slice::from_ref(&gate), load.clone()));
        let behind = Database::new(gated, SystemClock::shared(), rng.clone());
        let free = Database::new(memory, SystemClock::shared(), rng);
        let read = || free.read("k", |txn| async move { txn.get(b"k").await });
        gate.set(false);
        let writing = tokio::spawn(async move {
            let write = |txn: crate::Transaction| async move {
                txn.set(b"k", b"v");
                Ok::<_, Error>(())
            };
            behind.transact("write", write).await
        });
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(read().await, Ok(None));
        assert!(!writing.is_finished());
        gate.set(true);
        assert_eq!(writing.await.unwrap(), Ok(()));
        assert_eq!(read().await, Ok(Some(Bytes::from("v"))));
        assert_eq!((load.reads.load(Ordering::Relaxed), load.commits.load(Ordering::Relaxed)), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_seed_decides_every_fault() {
        let (a, b) = (increments_applied(Plan::HARSH, 7).await, increments_applied(Plan::HARSH, 7).await);
        assert_eq!(a, b);
        assert_ne!(a.1, increments_applied(Plan::HARSH, 8).await.1);
    }
}
