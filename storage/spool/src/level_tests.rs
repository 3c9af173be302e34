//! Who writes what at which feature level, in any order, over a store that loses answers.
//!
//! Writers write, old and new nodes join and leave, somebody raises the level, entries are rewritten; an observer looks at one
//! version of the store after the other. In none of them is there an entry of the new format beside a node that does
//! not know it, and once the level is raised nothing becomes, or becomes again, of the former format. The observer is worth
//! something: a writer that keeps the level in memory is caught.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kv::Database;
use kv::fault::{FaultBackend, Plan};
use leases::{Leases, Node, level_in};
use runtime::{Rng, SeededRng, SystemClock, SystemRng};
use schema::keys::node::{LeaseKey, NodeKey};
use schema::keys::queue::QueueEntryKey;
use schema::records::queue as records;
use schema::{Key, QueueId, Record};

use crate::tests::Fixture;
use crate::{Error, Step};

/// Turns of each of those who are at work.
const TURNS: usize = 8;

struct World {
    f: Fixture,
    leases: Leases,
    rng: SeededRng,
}

/// One version of the store.
struct Seen {
    level: u32,
    /// The lowest of what the nodes with a lease know.
    known: u32,
    old: BTreeSet<QueueId>,
    new: BTreeSet<QueueId>,
    /// Whether all are said to be rewritten.
    finished: bool,
}

fn node(name: &str, level_max: u32) -> Node {
    Node { name: name.into(), level_min: 1, level_max, ..Node::default() }
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = Arc::new(SeededRng::new(seed));
        let memory = Arc::new(kv::memory::Memory::new());
        let faulty = Arc::new(FaultBackend::new(memory, rng, Plan { stall: 300, ..Plan::HARSH }));
        let db = Database::new(faulty, SystemClock::shared(), SystemRng::shared());
        let leases = Leases::new(db.clone(), SystemClock::shared());
        World { f: Fixture::new(db), leases, rng: SeededRng::new(seed) }
    }

    /// New entries, and old ones that change.
    async fn write(&self) {
        for _ in 0..TURNS {
            let id = self.f.enqueue(1).await;
            self.f.spool.hold(id).await.unwrap();
            let all = self.f.spool.list(None, 100).await.unwrap().entries;
            let other = all[usize::try_from(self.rng.below(all.len() as u64)).unwrap()].id;
            self.f.spool.retry_now(other).await.unwrap();
        }
    }

    /// As [`World::write`], by the level that was read some time before.
    async fn write_carelessly(&self) {
        for _ in 0..2 * TURNS {
            let level = self.f.db.read("test", |txn| async move { level_in(&txn).await }).await.unwrap();
            let all = self.f.spool.list(None, 100).await.unwrap().entries;
            let Some(entry) = all.first() else { continue };
            let key = QueueEntryKey { id: entry.id }.encode();
            let key = &key;
            let written = self.f.db.transact("test", |txn| async move {
                let Some(value) = txn.get(key).await? else { return Ok(()) };
                let entry = records::Entry::from_bytes(&value)?;
                txn.set_bytes(key.clone(), entry.to_bytes_at(level));
                Ok::<_, Error>(())
            });
            written.await.unwrap();
        }
    }

    /// A node of the version before comes and goes, as long as it may come.
    async fn run_old_nodes(&self) {
        for _ in 0..TURNS {
            match self.leases.join(&node("old", 1)).await {
                Ok(standing) => {
                    self.f.spool.list(None, 10).await.unwrap();
                    self.leases.leave(standing).await.unwrap();
                }
                Err(error) => assert_eq!(error, leases::Error::TooOld { level: 2, supports: 1 }),
            }
        }
    }

    async fn raise(&self) {
        self.leases.join(&node("new", 2)).await.unwrap();
        loop {
            match self.leases.raise_level(2).await {
                // That it was raised already is what a lost answer looks like.
                Ok(()) | Err(leases::Error::LevelGoesUp(2)) => return,
                Err(error) => assert!(matches!(error, leases::Error::Unsupported { .. }), "{error}"),
            }
        }
    }

    async fn rewrite(&self) {
        while self.f.spool.rewrite_step().await.unwrap() != Step::Finished {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn look(&self) -> Seen {
        let seen = self.f.db.read("test.look", |txn| async move {
            let (begin, end) = QueueEntryKey::range_after(None);
            let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
            for (key, value) in txn.range(&begin, &end).collect().await? {
                if let Ok(QueueEntryKey { id }) = QueueEntryKey::decode(&key) {
                    if records::Entry::is_current(&value) {
                        new.insert(id)
                    } else {
                        old.insert(id)
                    };
                }
            }
            let (begin, end) = LeaseKey::range();
            let mut known = u32::MAX;
            for (key, _) in txn.range(&begin, &end).collect().await? {
                let node = txn.get(&NodeKey { node: LeaseKey::decode(&key)?.node }.encode()).await?;
                known = known.min(Node::from_bytes(&node.unwrap_or_default())?.level_max);
            }
            let finished = crate::rewrite::finished_in(&txn).await?;
            Ok::<_, Error>(Seen { level: level_in(&txn).await?, known, old, new, finished })
        });
        seen.await.unwrap()
    }

    /// What is wrong, if anything is.
    async fn observe(&self) -> Option<String> {
        let mut before: Option<Seen> = None;
        loop {
            let seen = self.look().await;
            if !seen.new.is_empty() && (seen.level < 2 || seen.known < 2) {
                return Some("an entry that not every node can read".into());
            }
            let raised = before.filter(|before| before.level == 2);
            if let Some(id) = raised.and_then(|before| seen.old.difference(&before.old).next().copied()) {
                return Some(format!("{id:?} is of the former format again"));
            }
            if seen.finished && !seen.old.is_empty() {
                return Some("old entries behind the job that rewrites them".into());
            }
            before = Some(seen);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn play(seed: u64, careless: bool) -> Option<String> {
    let world = &World::new(seed);
    // The store began with the version before.
    let first = world.leases.join(&node("old", 1)).await.unwrap();
    world.leases.leave(first).await.unwrap();
    for _ in 0..5 {
        world.f.enqueue(1).await;
    }
    let careless = async {
        if careless {
            world.write_carelessly().await;
        }
    };
    let work = async {
        tokio::join!(
            world.write(),
            world.write(),
            careless,
            world.run_old_nodes(),
            world.raise(),
            world.rewrite()
        );
        // The observer has looked once more when this is over.
        tokio::time::sleep(Duration::from_millis(20)).await;
        None
    };
    tokio::select! {
        outcome = work => outcome,
        wrong = world.observe() => wrong,
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_that_a_node_cannot_read_or_that_was_rewritten() {
    for seed in 0..40 {
        assert_eq!(play(seed, false).await, None, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_level_that_is_kept_in_memory_is_noticed() {
    for seed in 0..40 {
        if play(seed, true).await.is_some() {
            return;
        }
    }
    panic!("it was not noticed");
}

#[tokio::test]
async fn who_submitted_it_is_kept_from_level_2_on() {
    let f = Fixture::new(kv::memory::database());
    let leases = Leases::new(f.db.clone(), SystemClock::shared());
    let old = leases.join(&node("old", 1)).await.unwrap();
    leases.leave(old).await.unwrap();
    leases.join(&node("new", 2)).await.unwrap();
    let before = f.enqueue(1).await;
    assert_eq!(f.spool.rewrite_step().await.unwrap(), Step::TooEarly);
    assert_eq!(f.spool.rewriting().await.unwrap(), None);
    leases.raise_level(2).await.unwrap();
    let after = f.enqueue(1).await;
    assert_eq!(f.spool.get(before).await.unwrap().submitter, None);
    assert_eq!(f.spool.get(after).await.unwrap().submitter, Some(schema::AccountId(300)));
    while f.spool.rewrite_step().await.unwrap() != Step::Finished {}
    let job = f.spool.rewriting().await.unwrap().unwrap();
    assert_eq!((job.level, job.seen, job.rewritten), (2, 2, 1));
    assert!(job.finished.is_some());
    assert_eq!(f.spool.get(before).await.unwrap().submitter, None);
}

#[tokio::test]
async fn a_long_queue_is_rewritten_in_steps_and_what_is_left_behind_is_found() {
    let f = Fixture::new(kv::memory::database());
    let leases = Leases::new(f.db.clone(), SystemClock::shared());
    let mut ids = Vec::new();
    for _ in 0..250 {
        ids.push(f.enqueue(1).await);
    }
    leases.raise_level(2).await.unwrap();
    assert_eq!(f.spool.rewrite_step().await.unwrap(), Step::More);
    let job = f.spool.rewriting().await.unwrap().unwrap();
    assert_eq!((job.seen, job.rewritten, job.finished), (100, 100, None));
    assert!(!job.cursor.is_empty());
    while f.spool.rewrite_step().await.unwrap() != Step::Finished {}
    assert_eq!(f.spool.rewriting().await.unwrap().unwrap().rewritten, 250);
    // A program that writes what it should not.
    let key = &QueueEntryKey { id: ids[7] }.encode();
    let (findings, spool) = (
        f.db.transact("test", |txn| async move {
            let value = txn.get(key).await?.unwrap_or_default();
            let old = records::Entry::from_bytes(&value)?.to_bytes_at(1);
            txn.set_bytes(key.clone(), old.clone());
            let report = crate::check_row_in(&txn, key, &old).await?;
            Ok::<_, Error>(report.findings)
        }),
        &f.spool,
    );
    let findings = findings.await.unwrap();
    let finding = findings.iter().find(|finding| finding.kind == findings::Kind::FormatOld).unwrap();
    assert_eq!(
        spool.mend(finding, false).await.unwrap(),
        findings::Mended::done("it was written in the current format")
    );
    let value = f.db.read("test", |txn| async move { Ok::<_, Error>(txn.get(key).await?) }).await.unwrap();
    assert!(records::Entry::is_current(&value.unwrap()));
}
