//! Processes on one store, in virtual time.

use godwit_ownership::{Charge, Hints, Ownership, Tenure, Timings, Worker};
use kv::fault::{FaultBackend, Gate, Load, Plan};
use kv::memory::Memory;
use kv::{Database, Transaction};
use leases::{Error, Leases, Node};
use parking_lot::Mutex;
use runtime::{CancellationToken, Clock, SeededRng, SharedClock, SharedRng, Timestamp};
use schema::{Duty, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub(crate) const DUTIES: u32 = 8;

/// Monotonic time is the runtime's; the wall clock is off by as much as a test likes.
pub(crate) struct SkewedClock {
    started: Instant,
    offset: AtomicI64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.monotonic().as_millis()).unwrap();
        Timestamp(1_790_000_000_000 + millis + self.offset.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A row of the log that workers write, in the order of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) epoch: u64,
    pub(crate) process: u64,
    /// When the worker was told of the commit's success at the earliest: virtual milliseconds when it began.
    pub(crate) millis: u64,
}

pub(crate) struct World {
    pub(crate) rng: SharedRng,
    pub(crate) faults: Arc<FaultBackend>,
    pub(crate) store: Gate,
    started: Instant,
    processes: u64,
    pub(crate) running: BTreeMap<usize, Process>,
    pub(crate) load: Arc<Load>,
    /// How many duties there are, and how often each is worked on: in milliseconds, up to twice that.
    pub(crate) duties: u32,
    pub(crate) pace: u64,
    /// What processes think of nodes, by the name of who thinks; 100 where nothing is said.
    pub(crate) views: Views,
    /// How often a worker was sure of a duty that was no longer its own.
    pub(crate) mistaken: Arc<AtomicU64>,
}

pub(crate) type Views = Arc<Mutex<BTreeMap<(usize, NodeId), u32>>>;

/// What gossip has told one process, right or wrong.
struct View {
    name: usize,
    views: Views,
}

impl Hints for View {
    fn weight(&self, node: NodeId) -> u32 {
        self.views.lock().get(&(self.name, node)).copied().unwrap_or(100)
    }
}

pub(crate) struct Process {
    pub(crate) number: u64,
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) ownership: Ownership,
    pub(crate) stop: CancellationToken,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

struct Writer {
    db: Database,
    clock: SharedClock,
    rng: SharedRng,
    process: u64,
    pace: u64,
    mistaken: Arc<AtomicU64>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let rng: SharedRng = Arc::new(SeededRng::new(seed));
        let faults = Arc::new(FaultBackend::new(Arc::new(Memory::new()), rng.clone(), Plan::NONE));
        faults.set_read_time(Duration::from_millis(3));
        let (store, started) = (Gate::open(), Instant::now());
        World {
            rng,
            faults,
            store,
            started,
            processes: 0,
            running: BTreeMap::new(),
            load: Arc::default(),
            duties: DUTIES,
            pace: 100,
            views: Views::default(),
            mistaken: Arc::default(),
        }
    }

    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// A time between, at random.
    pub(crate) fn between(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.rng.below(high - low))
    }

    /// Begins a process under a name; one that runs under it already is not asked.
    pub(crate) fn start(&mut self, name: usize) {
        self.processes += 1;
        let (number, gate) = (self.processes, Gate::open());
        let gates = [gate.clone(), self.store.clone()];
        let clock = Arc::new(SkewedClock { started: self.started, offset: AtomicI64::new(0) });
        let shared: SharedClock = clock.clone();
        let backend = FaultBackend::new(self.faults.clone(), self.rng.clone(), Plan::NONE);
        let backend = Arc::new(backend.behind(&gates, self.load.clone()));
        let db = Database::new(backend, shared.clone(), self.rng.clone());
        let leases = Leases::new(db.clone(), shared.clone());
        let node = Node { name: format!("n{name}"), level_min: 1, level_max: 1, ..Node::default() };
        let hints = Arc::new(View { name, views: self.views.clone() });
        let ownership = Ownership::new(leases, node, hints, shared.clone(), Timings::default());
        let (stop, tasks) = (CancellationToken::new(), Arc::<Mutex<Vec<AbortHandle>>>::default());
        let worker = Writer {
            db,
            clock: shared,
            rng: self.rng.clone(),
            process: number,
            pace: self.pace,
            mistaken: self.mistaken.clone(),
            tasks: tasks.clone(),
        };
        let charge = Charge { duties: (0..self.duties).map(Duty::queue).collect(), worker: Arc::new(worker) };
        let run = tokio::spawn({
            let (ownership, stop) = (ownership.clone(), stop.clone());
            async move {
                while ownership.join().await.is_err() {}
                // Superseded by its successor, or stopped.
                let _ = ownership.run(vec![charge], stop).await;
            }
        });
        tasks.lock().push(run.abort_handle());
        let process = Process { number, gate, clock, ownership, stop, tasks };
        self.running.insert(name, process);
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self, name: usize) -> Option<u64> {
        let process = self.running.remove(&name)?;
        process.tasks.lock().iter().for_each(AbortHandle::abort);
        Some(process.number)
    }

    pub(crate) fn pause(&self, name: usize, paused: bool) {
        if let Some(process) = self.running.get(&name) {
            process.gate.set(!paused);
        }
    }

    /// The wall clock of a process jumps, by up to a day.
    pub(crate) fn step_clock(&self, name: usize) {
        if let Some(process) = self.running.get(&name) {
            let by = i64::try_from(self.rng.below(172_800_000)).unwrap() - 86_400_000;
            process.clock.offset.store(by, Ordering::Relaxed);
        }
    }

    /// A process comes to think this of a node: 0 that it is dead.
    pub(crate) fn think(&self, name: usize, node: u32, weight: u32) {
        self.views.lock().insert((name, NodeId(node)), weight);
    }

    pub(crate) fn heal(&self) {
        self.views.lock().clear();
        self.store.set(true);
        self.faults.set_plan(Plan::NONE);
        self.running.keys().for_each(|name| self.pause(*name, false));
    }

    /// All that workers wrote, by duty, in the order of commits.
    pub(crate) async fn log(&self) -> BTreeMap<u32, Vec<Entry>> {
        self.faults.deliver().await;
        let clock: SharedClock = Arc::new(SkewedClock { started: self.started, offset: AtomicI64::new(0) });
        let db = Database::new(self.faults.clone(), clock, self.rng.clone());
        let rows = db.read("log", |txn| async move { txn.scan_prefix(b"T").collect().await }).await.unwrap();
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        let mut log: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
        for (key, value) in rows {
            let entry = Entry {
                epoch: number(&value[..8]),
                process: number(&value[8..16]),
                millis: number(&value[16..]),
            };
            log.entry(u32::from_be_bytes(key[1..5].try_into().unwrap())).or_default().push(entry);
        }
        log
    }
}

/// In every epoch one process has written, and no epoch after a later one.
pub(crate) fn check(log: &BTreeMap<u32, Vec<Entry>>, context: &str) {
    for (duty, entries) in log {
        let mut finished = BTreeSet::new();
        for pair in entries.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            if (a.epoch, a.process) != (b.epoch, b.process) {
                finished.insert(a.epoch);
                assert!(
                    b.epoch > a.epoch && !finished.contains(&b.epoch),
                    "{context} duty {duty}: {a:?} {b:?}"
                );
            }
        }
    }
}

impl Worker for Writer {
    /// Ignores that the duty is lost: the fence has to stop it.
    fn begin(&self, tenure: Tenure) {
        let (db, clock, rng) = (self.db.clone(), self.clock.clone(), self.rng.clone());
        let (process, pace, mistaken) = (self.process, self.pace, self.mistaken.clone());
        let task = tokio::spawn(async move {
            while !tenure.ending().is_cancelled() || tenure.lost().is_cancelled() {
                if let Err(Error::Fenced { .. }) = write(&db, &clock, &tenure, process).await {
                    let sure = tenure.sure() && !tenure.ending().is_cancelled();
                    mistaken.fetch_add(u64::from(sure), Ordering::Relaxed);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(pace + rng.below(pace))).await;
            }
        });
        self.tasks.lock().push(task.abort_handle());
    }
}

async fn write(db: &Database, clock: &SharedClock, tenure: &Tenure, process: u64) -> Result<(), Error> {
    db.transact("work", |txn: Transaction| async move {
        leases::assert_in(&txn, tenure.fence()).await?;
        let mut key = vec![b'T'];
        key.extend(tenure.duty().number.to_be_bytes());
        key.extend([0xff; 10]);
        let millis = u64::try_from(clock.monotonic().as_millis()).unwrap();
        let value = [tenure.fence().epoch, process, millis].map(u64::to_be_bytes).concat();
        txn.set_versionstamped_key(&key, 5, &value);
        Ok(())
    })
    .await
}
