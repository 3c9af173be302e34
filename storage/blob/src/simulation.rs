//! Writers, re-users, collectors and a sweep, interleaved from a seed over a store that conflicts, stalls and forgets to
//! say how a commit ended; whoever acts may crash between any two steps, and lists of objects may be old.
//!
//! Invariants, looked at all the time by one who only reads:
//! - a reference that was committed stays until its owner takes it away, and whoever has one can read the body;
//! - in the end, when time has passed and nobody acts any more, there is nothing left but what is referenced.
//!
//! The same run with a flaw put in has to break one of them: each rule of the two phases is there for a reason.

use crate::chunks::ChunkObjects;
use crate::collect::tests::{candidates, delete_without};
use crate::memory::MemoryObjects;
use crate::reference::{meta_in, object_of};
use crate::{BlobOwner, Error, ObjectName, Objects, Options, Pending, Store};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use kv::Database;
use kv::fault::{FaultBackend, Plan};
use parking_lot::Mutex;
use runtime::{ManualClock, Rng, SeededRng, SystemClock, Timestamp};
use schema::keys::blob::BlobReferenceKey;
use schema::{BlobHash, Key, QueueId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(3600);
const ACTORS: u64 = 4;
const STEPS: usize = 25;

/// A rule left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// The collector does not look again whether somebody holds the body.
    NoSecondLook,
    /// It looks, but without a conflict with those who come later.
    SecondLookInASnapshot,
    /// It deletes the object before its commit.
    ObjectFirst,
    /// The sweep takes objects however young.
    EagerSweep,
    /// Equal bytes get an equal name.
    NamesByContent,
    /// There is no sweep.
    NoSweep,
}

/// What a run found.
type Verdict = Result<(), String>;

/// Objects whose lists may be old.
struct Stale {
    objects: Arc<dyn Objects>,
    rng: SeededRng,
    earlier: Mutex<BTreeMap<u8, Vec<ObjectName>>>,
    flaw: Flaw,
}

impl Stale {
    fn name(&self, name: &ObjectName) -> ObjectName {
        match self.flaw {
            Flaw::NamesByContent => ObjectName { nonce: 0, staged: Timestamp(0), ..*name },
            _ => *name,
        }
    }
}

impl Objects for Stale {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
        async move { self.objects.put(&self.name(name), bytes).await }.boxed()
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
        async move { self.objects.get(&self.name(name), range).await }.boxed()
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
        async move { self.objects.delete(&self.name(name)).await }.boxed()
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
        async move {
            let now = self.objects.list(shard).await?;
            let earlier = self.earlier.lock().insert(shard, now.clone());
            Ok(earlier.filter(|_| self.rng.below(2) == 0).unwrap_or(now))
        }
        .boxed()
    }
}

struct World {
    store: Store,
    db: Database,
    faults: Arc<FaultBackend>,
    clock: Arc<ManualClock>,
    rng: SeededRng,
    bodies: Vec<Bytes>,
    flaw: Flaw,
    _spill: tempfile::TempDir,
}

impl World {
    fn new(seed: u64, flaw: Flaw) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let memory = Arc::new(kv::memory::Memory::new());
        let faults = Arc::new(FaultBackend::new(memory, Arc::new(SeededRng::new(seed)), Plan::HARSH));
        let db = Database::new(faults.clone(), SystemClock::shared(), Arc::new(SeededRng::new(seed)));
        // Half of the runs have their objects in the same failing store.
        let objects: Arc<dyn Objects> = match seed % 2 {
            0 => Arc::new(MemoryObjects::default()),
            _ => Arc::new(ChunkObjects::new(db.clone())),
        };
        let objects = Stale { objects, rng: SeededRng::new(seed + 2), earlier: Mutex::default(), flaw };
        let spill = tempfile::tempdir().unwrap();
        let options = Options { inline_max: 64, grace: GRACE, ..Options::default() };
        let (objects, rng, clock_) = (Arc::new(objects), Arc::new(SeededRng::new(seed)), clock.clone());
        let store = Store::with_objects(objects, spill.path(), db.clone(), clock_, rng, options).unwrap();
        let bodies = vec![Bytes::from(vec![1; 10]), Bytes::from(vec![2; 100]), Bytes::from(vec![3; 200])];
        World { store, db, faults, clock, rng: SeededRng::new(seed + 1), bodies, flaw, _spill: spill }
    }

    async fn pause(&self) {
        for _ in 0..self.rng.below(6) {
            tokio::task::yield_now().await;
        }
    }

    /// Runs `step` to its end, or now and then only for a while: then it crashes, and what it had begun stays begun.
    async fn unless_it_crashes<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let mut left = if self.rng.below(6) == 0 { Some(self.rng.below(25)) } else { None };
        let mut step = Box::pin(step);
        std::future::poll_fn(|context| {
            if left == Some(0) {
                return Poll::Ready(None);
            }
            left = left.map(|polls| polls - 1);
            step.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Whether it is held now.
    async fn reference(&self, body: &Bytes, owner: BlobOwner) -> bool {
        let Ok(staged) = &self.store.stage(body.clone()).await else { return false };
        self.pause().await;
        self.clock.advance(Duration::from_secs(self.rng.below(600)));
        let done =
            self.db.transact("sim", |txn| async move { self.store.reference_in(&txn, staged, owner).await });
        match done.await {
            Ok(()) => true,
            Err(Error::StagedTooLongAgo(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn dereference(&self, hash: BlobHash, owner: BlobOwner) {
        let done =
            self.db.transact("sim", |txn| async move { self.store.dereference_in(&txn, hash, owner).await });
        done.await.unwrap();
    }

    /// Takes a body over from somebody who may be letting it go right now.
    async fn copy(&self, hash: BlobHash, from: BlobOwner, to: BlobOwner) -> bool {
        let done = self
            .db
            .transact("sim", |txn| async move { self.store.copy_reference_in(&txn, hash, from, to).await });
        match done.await {
            Ok(()) => true,
            Err(Error::NotFound(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// What an owner holds; after a crash it is only known from the store.
    async fn held(&self, owner: BlobOwner) -> Vec<BlobHash> {
        let references = self.references().await;
        references.into_iter().filter(|(_, holder)| *holder == owner).map(|(hash, _)| hash).collect()
    }

    async fn references(&self) -> Vec<(BlobHash, BlobOwner)> {
        let bodies = &self.bodies;
        let rows = self.db.read("sim", |txn| async move {
            let mut found = Vec::new();
            for body in bodies {
                let (begin, end) = BlobReferenceKey::range(hash(body));
                found.extend(txn.range(&begin, &end).collect().await?);
            }
            Ok::<_, Error>(found)
        });
        let decode = |key: &[u8]| BlobReferenceKey::decode(key).map(|key| (key.hash, key.owner)).unwrap();
        rows.await.unwrap().iter().map(|(key, _)| decode(key)).collect()
    }

    /// Holds at most one body at a time, under an owner that nobody else lets go. After a crash it goes on under
    /// another: what the old one had under way may still be committed.
    async fn actor(&self, number: u64) -> Verdict {
        let (mut owner, mut crashed) = (number, Vec::new());
        let mut known: Vec<BlobHash> = Vec::new();
        for _ in 0..STEPS {
            self.pause().await;
            self.clock.advance(Duration::from_secs(self.rng.below(600)));
            for owner in &crashed {
                for hash in self.held(*owner).await {
                    self.dereference(hash, *owner).await;
                }
            }
            let held = self.held(queue(owner)).await;
            if known != held {
                return Err(format!("{owner:?} lost its reference"));
            }
            match self.unless_it_crashes(self.step(queue(owner), held)).await {
                Some(held) => known = held,
                None => {
                    crashed.push(queue(owner));
                    (owner, known) = (owner + ACTORS, Vec::new());
                }
            }
        }
        Ok(())
    }

    /// What is held after it.
    async fn step(&self, owner: BlobOwner, held: Vec<BlobHash>) -> Vec<BlobHash> {
        let body = &self.bodies[self.rng.below(self.bodies.len() as u64) as usize];
        let other = queue(self.rng.below(3 * ACTORS));
        let now_held = match held.first() {
            Some(hash) if self.rng.below(2) == 0 => {
                self.dereference(*hash, owner).await;
                return Vec::new();
            }
            Some(_) => return held,
            None if self.rng.below(3) == 0 => self.copy(hash(body), other, owner).await,
            None => self.reference(body, owner).await,
        };
        now_held.then_some(hash(body)).into_iter().collect()
    }

    async fn collector(&self) {
        for _ in 0..3 * STEPS {
            self.pause().await;
            self.unless_it_crashes(self.clean()).await;
        }
    }

    async fn clean(&self) {
        match self.flaw {
            Flaw::NoSecondLook | Flaw::SecondLookInASnapshot | Flaw::ObjectFirst => {
                self.flawed_collect().await;
            }
            _ => self.collect().await,
        }
        for body in &self.bodies {
            let shard = hash(body).0[0];
            match self.flaw {
                Flaw::NoSweep => {}
                Flaw::EagerSweep => self.eager_sweep(shard).await,
                _ => assert!(self.store.sweep(shard).await.is_ok()),
            }
        }
    }

    async fn collect(&self) {
        self.store.collect(5).await.unwrap();
    }

    async fn flawed_collect(&self) {
        for candidate in candidates(&self.store).await {
            let hash = candidate.hash;
            let object = self.db.read("sim", |txn| async move { meta_in(&txn, hash).await });
            let object = object.await.unwrap().and_then(|meta| object_of(hash, &meta));
            if let (Flaw::ObjectFirst, Some(object)) = (self.flaw, object) {
                self.store.objects().delete(&object).await.unwrap();
                self.collect().await;
                continue;
            }
            let looks = self.flaw == Flaw::SecondLookInASnapshot;
            if let Some(object) = delete_without(&self.store, candidate, looks).await {
                self.store.objects().delete(&object).await.unwrap();
            }
        }
    }

    async fn eager_sweep(&self, shard: u8) {
        for name in self.store.objects().list(shard).await.unwrap() {
            if !self.store.is_live(&name).await.unwrap() {
                self.store.objects().delete(&name).await.unwrap();
            }
        }
    }

    /// Looks at all references again and again, until those who act are done.
    async fn witness(&self, done: &Mutex<bool>) -> Verdict {
        while !*done.lock() {
            self.pause().await;
            self.every_reference_reads().await?;
        }
        Ok(())
    }

    async fn every_reference_reads(&self) -> Verdict {
        for (hash, owner) in self.references().await {
            let read = self.store.read(hash, 0..u64::MAX).await;
            // Let go and collected since? The reference says.
            if let Err(error) = read
                && self.held(owner).await.contains(&hash)
                && let Err(again) = self.store.read(hash, 0..u64::MAX).await
                && self.held(owner).await.contains(&hash)
            {
                return Err(format!("{owner:?} holds {hash}: {error}, {again}"));
            }
        }
        Ok(())
    }

    /// A meta row per body, a piece for a small one, a reference per holder, an object for a large one; nothing else.
    async fn nothing_is_left_over(&self) -> Verdict {
        let references = self.references().await;
        let distinct: BTreeSet<BlobHash> = references.iter().map(|(hash, _)| *hash).collect();
        let small = usize::from(distinct.contains(&hash(&self.bodies[0])));
        let mut objects = 0;
        for body in &self.bodies {
            self.store.objects().list(hash(body).0[0]).await.unwrap();
            objects += self.store.objects().list(hash(body).0[0]).await.unwrap().len();
        }
        let keys = crate::store::tests::keys(&self.db).await;
        let count = |kind: &str| keys.iter().filter(|key| key.starts_with(kind)).count();
        // Each of these bodies has one piece, if its object lies in the store.
        let (names, pieces) = (count("BlobObject"), count("BlobPiece"));
        let rows = distinct.len() + small + references.len();
        let right = objects == distinct.len() - small && keys.len() - names - pieces == rows;
        if right && names == pieces && (names == 0 || names == objects) {
            return Ok(());
        }
        Err(format!("{objects} objects for {} bodies; {keys:#?}", distinct.len() - small))
    }
}

fn queue(number: u64) -> BlobOwner {
    BlobOwner::Queue(QueueId(number))
}

fn hash(body: &Bytes) -> BlobHash {
    BlobHash(*blake3::hash(body).as_bytes())
}

async fn run(seed: u64, flaw: Flaw) -> Verdict {
    let world = World::new(seed, flaw);
    let done = Mutex::new(false);
    let acting = async {
        let actors = futures::future::join_all((0..ACTORS).map(|number| world.actor(number)));
        let (verdicts, ..) = futures::future::join3(actors, world.collector(), world.collector()).await;
        *done.lock() = true;
        verdicts.into_iter().collect::<Verdict>()
    };
    let (acted, seen) = futures::future::join(acting, world.witness(&done)).await;
    acted.and(seen)?;
    world.faults.set_plan(Plan::NONE);
    world.faults.deliver().await;
    for _ in 0..4 {
        world.clock.advance(2 * GRACE);
        world.clean().await;
    }
    world.every_reference_reads().await?;
    world.nothing_is_left_over().await
}

#[tokio::test(start_paused = true)]
async fn no_interleaving_loses_or_leaks_a_body() {
    for seed in 0..120 {
        run(seed, Flaw::None).await.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_rule_is_needed() {
    for flaw in [
        Flaw::NoSecondLook,
        Flaw::SecondLookInASnapshot,
        Flaw::ObjectFirst,
        Flaw::EagerSweep,
        Flaw::NamesByContent,
        Flaw::NoSweep,
    ] {
        let mut found = None;
        for seed in 0..80 {
            if let Err(what) = run(seed, flaw).await {
                found = Some((seed, what));
                break;
            }
        }
        assert!(found.is_some(), "nobody notices {flaw:?}");
    }
}
