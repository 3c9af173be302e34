//! Writers, re-users, a collector and a sweep, interleaved from a seed over a store that conflicts, stalls and
//! forgets to say how a commit ended.
//!
//! Invariants: whoever holds a body can read it, at any time; in the end nothing is left but what is held.

use crate::memory::MemoryObjects;
use crate::store::tests::keys;
use crate::{BlobOwner, Error, Options, Store};
use bytes::Bytes;
use kv::Database;
use kv::fault::{FaultBackend, Plan};
use runtime::{ManualClock, Rng, SeededRng, SystemClock, Timestamp};
use schema::{BlobHash, QueueId};
use std::sync::Arc;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(3600);
const ACTORS: u64 = 4;
const STEPS: usize = 25;

struct World {
    store: Store,
    db: Database,
    faults: Arc<FaultBackend>,
    objects: Arc<MemoryObjects>,
    clock: Arc<ManualClock>,
    rng: SeededRng,
    bodies: Vec<Bytes>,
    _spill: tempfile::TempDir,
}

impl World {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let memory = Arc::new(kv::memory::Memory::new());
        let faults = Arc::new(FaultBackend::new(memory, Arc::new(SeededRng::new(seed)), Plan::HARSH));
        let db = Database::new(faults.clone(), SystemClock::shared(), Arc::new(SeededRng::new(seed)));
        let objects = Arc::new(MemoryObjects::default());
        let spill = tempfile::tempdir().unwrap();
        let options = Options { inline_max: 64, grace: GRACE, ..Options::default() };
        let rng = Arc::new(SeededRng::new(seed));
        let (objects_, clock_) = (objects.clone(), clock.clone());
        let store = Store::with_objects(objects_, spill.path(), db.clone(), clock_, rng, options).unwrap();
        let bodies = vec![Bytes::from(vec![1; 10]), Bytes::from(vec![2; 100]), Bytes::from(vec![3; 200])];
        World { store, db, faults, objects, clock, rng: SeededRng::new(seed + 1), bodies, _spill: spill }
    }

    async fn pause(&self) {
        for _ in 0..self.rng.below(6) {
            tokio::task::yield_now().await;
        }
    }

    async fn reference(&self, body: &Bytes, owner: BlobOwner) -> Option<BlobHash> {
        let staged = &self.store.stage(body.clone()).await.unwrap();
        self.pause().await;
        let done =
            self.db.transact("sim", |txn| async move { self.store.reference_in(&txn, staged, owner).await });
        match done.await {
            Ok(()) => Some(staged.hash()),
            Err(Error::StagedTooLongAgo(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    async fn dereference(&self, hash: BlobHash, owner: BlobOwner) {
        let done =
            self.db.transact("sim", |txn| async move { self.store.dereference_in(&txn, hash, owner).await });
        done.await.unwrap();
    }

    /// Takes a body over from somebody who may be letting it go right now.
    async fn copy(&self, hash: BlobHash, from: BlobOwner, to: BlobOwner) -> Option<BlobHash> {
        let done = self
            .db
            .transact("sim", |txn| async move { self.store.copy_reference_in(&txn, hash, from, to).await });
        match done.await {
            Ok(()) => Some(hash),
            Err(Error::NotFound(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Holds at most one body at a time, under an owner that nobody else lets go.
    async fn actor(&self, number: u64) -> Option<BlobHash> {
        let owner = BlobOwner::Queue(QueueId(number));
        let mut held = None;
        for _ in 0..STEPS {
            self.pause().await;
            self.clock.advance(Duration::from_secs(self.rng.below(600)));
            let body = &self.bodies[self.rng.below(self.bodies.len() as u64) as usize];
            held = match held {
                None if self.rng.below(3) == 0 => {
                    let other = BlobOwner::Queue(QueueId(self.rng.below(ACTORS)));
                    self.copy(BlobHash(*blake3::hash(body).as_bytes()), other, owner).await
                }
                None => self.reference(body, owner).await,
                Some(hash) => {
                    self.store.read(hash, 0..u64::MAX).await.unwrap();
                    self.pause().await;
                    if self.rng.below(2) == 0 {
                        self.dereference(hash, owner).await;
                        None
                    } else {
                        Some(hash)
                    }
                }
            }
        }
        held
    }

    async fn collector(&self) {
        for _ in 0..3 * STEPS {
            self.pause().await;
            self.clean().await;
        }
    }

    async fn clean(&self) {
        self.store.collect(5).await.unwrap();
        for body in &self.bodies {
            self.store.sweep(blake3::hash(body).as_bytes()[0]).await.unwrap();
        }
    }
}

async fn run(seed: u64) {
    let world = World::new(seed);
    let actors = futures::future::join_all((0..ACTORS).map(|number| world.actor(number)));
    let collectors = futures::future::join(world.collector(), world.collector());
    let (held, _) = futures::future::join(actors, collectors).await;

    world.faults.set_plan(Plan::NONE);
    world.faults.deliver().await;
    for _ in 0..3 {
        world.clock.advance(2 * GRACE);
        world.clean().await;
    }
    let held: Vec<BlobHash> = held.into_iter().flatten().collect();
    for hash in &held {
        world.store.read(*hash, 0..u64::MAX).await.unwrap();
    }
    let distinct: std::collections::BTreeSet<&BlobHash> = held.iter().collect();
    let large = |hash: &&&BlobHash| hash.0 != *blake3::hash(&world.bodies[0]).as_bytes();
    let large = distinct.iter().filter(large).count();
    assert_eq!(world.objects.names().len(), large, "seed {seed}");
    // A meta row each, a piece for the small one, a reference per holder; nothing else.
    let rows = distinct.len() + (distinct.len() - large) + held.len();
    let left = keys(&world.db).await;
    assert_eq!(left.len(), rows, "seed {seed}: {left:#?}");
}

#[tokio::test(start_paused = true)]
async fn no_interleaving_loses_or_leaks_a_body() {
    for seed in 0..60 {
        run(seed).await;
    }
}
