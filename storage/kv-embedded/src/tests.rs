//! The store as a whole: power cuts, the contract, versions, limits of time.

// A backend is tested below the retry loop.
#![allow(clippy::disallowed_methods)]

use crate::engine::simdisk::SimDisk;
use crate::{Embedded, Options, open, open_on};
use futures::FutureExt;
use kv::{AtomicOp, Backend, ConflictKind, Database, Error, TransactionOptions};
use runtime::{ManualClock, Rng, SeededRng, SharedClock, SharedRng, SystemClock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

fn options_at(clock: SharedClock) -> Options {
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    Options { engine: crate::power::settings(), ..Options::new(clock, rng) }
}

fn options() -> Options {
    options_at(SystemClock::shared())
}

fn on_sim() -> Database {
    let store = open_on(Arc::new(SimDisk::default()), options()).unwrap();
    Database::new(store, SystemClock::shared(), Arc::new(SeededRng::new(2)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    kv::contract::suite(on_sim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    kv::contract::suite(|| {
        let name = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let store = open(&folder.path().join(name), options()).unwrap();
        Database::new(store, SystemClock::shared(), Arc::new(SeededRng::new(2)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_under_faults() {
    kv::contract::suite_under_faults(on_sim, 0..8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_are_serializable() {
    for seed in 0..12 {
        let options = kv::contract::history::Options { seed, ..Default::default() };
        if let Err(violation) = kv::contract::history::check(&on_sim(), &options).await {
            panic!("{violation}");
        }
    }
}

#[test]
fn sizes_follow_the_memory() {
    let sizes = |memory: u64| crate::engine::Settings::for_memory(memory).memtable_bytes >> 20;
    assert_eq!((sizes(256 << 20), sizes(4 << 30), sizes(1 << 40)), (8, 32, 128));
    assert!(crate::memory().is_some_and(|memory| memory > 64 << 20));
}

#[tokio::test]
async fn versions_follow_time_and_never_go_down() {
    let disk = SimDisk::default();
    let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
    let mut last = 0;
    for round in 0..3u64 {
        let store = open_on(Arc::new(disk.clone()), options_at(clock.clone())).unwrap();
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            let txn = store.begin(&TransactionOptions::default());
            txn.set(b"k", b"v");
            let version = txn.commit().await.unwrap().version();
            assert!(version >= last + 900_000, "{version} in round {round}");
            last = version;
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_version_that_was_advanced_to_outlives_a_power_cut() {
    let disk = SimDisk::default();
    let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
    let store = open_on(Arc::new(disk.clone()), options_at(clock.clone())).unwrap();
    store.advance_version(1 << 40).await.unwrap();
    let after_cut = open_on(Arc::new(disk.after_power_loss(1)), options_at(clock.clone())).unwrap();
    let commit = async |store: &Embedded| {
        let txn = store.begin(&TransactionOptions::default());
        txn.set(b"k", b"v");
        txn.commit().await.unwrap().version()
    };
    assert!(commit(&after_cut).await > 1 << 40);
    store.checkpoint().unwrap();
    store.close().await.unwrap();
    assert!(commit(&open_on(Arc::new(disk), options_at(clock)).unwrap()).await > 1 << 40);
}

#[tokio::test]
async fn a_snapshot_that_is_too_old_cannot_commit() {
    let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
    let store = open_on(Arc::new(SimDisk::default()), options_at(clock.clone())).unwrap();
    let old = store.begin(&TransactionOptions::default());
    assert_eq!(old.get(b"a", false).await.unwrap(), None);
    old.set(b"b", b"1");
    for _ in 0..12 {
        let other = store.begin(&TransactionOptions::default());
        other.set(b"elsewhere", b"1");
        other.commit().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(old.commit().await, Err(Error::too_old()));
}

#[tokio::test]
async fn a_closed_store_refuses_everything_and_lets_go() {
    let disk = SimDisk::default();
    let store = open_on(Arc::new(disk.clone()), options()).unwrap();
    let early = store.begin(&TransactionOptions::default());
    early.set(b"a", b"1");
    let watching = store.begin(&TransactionOptions::default());
    let watch = watching.watch(b"w");
    watching.commit().await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(early.commit().await.unwrap_err().is_retryable());
    assert!(early.get(b"a", true).await.is_err());
    assert!(watch.await.unwrap_err().is_retryable());
    assert!(open_on(Arc::new(disk), options()).is_ok());
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let disk = SimDisk::default();
    let store = open_on(Arc::new(disk.clone()), options()).unwrap();
    disk.faults(|faults| faults.capacity = Some(0));
    let put = async |len: usize| {
        let txn = store.begin(&TransactionOptions::default());
        txn.set(b"key", &vec![7; len]);
        txn.commit().await
    };
    let mut noise = vec![0; 60_000];
    SeededRng::new(3).fill(&mut noise);
    let txn = store.begin(&TransactionOptions::default());
    txn.set(b"big", &noise);
    assert!(txn.commit().await.unwrap_err().is_out_of_space());
    disk.faults(|faults| faults.capacity = None);
    put(100).await.unwrap();
    assert_eq!(store.begin(&TransactionOptions::default()).get(b"big", true).await.unwrap(), None);
}

/// Nobody is in the way of those who want the same key later.
#[tokio::test]
async fn what_a_full_disk_has_refused_conflicts_with_nothing() {
    let disk = SimDisk::default();
    let store = open_on(Arc::new(disk.clone()), options()).unwrap();
    let mut noise = vec![0; 60_000];
    SeededRng::new(3).fill(&mut noise);
    let change = async || {
        let txn = store.begin(&TransactionOptions::default());
        let before = txn.get(b"big", false).await.unwrap();
        txn.add_conflict_range(ConflictKind::Write, b"c", b"d");
        txn.set(b"big", &noise);
        (before, txn.commit().await)
    };
    change().await.1.unwrap();
    disk.faults(|faults| faults.capacity = Some(0));
    assert!(change().await.1.unwrap_err().is_out_of_space());
    disk.faults(|faults| faults.capacity = None);
    let (before, changed) = change().await;
    assert!(before.is_some() && changed.is_ok(), "{changed:?}");
    let txn = store.begin(&TransactionOptions::default());
    txn.get(b"c", false).await.unwrap();
    txn.set(b"c", b"");
    txn.commit().await.unwrap();
}

/// A counter in a value that cannot be read any more: who adds to it fails, those in the same group do not.
#[tokio::test]
async fn what_is_damaged_fails_only_the_commit_that_needs_it() {
    let disk = SimDisk::default();
    let store = open_on(Arc::new(disk.clone()), options()).unwrap();
    let put = |store: &Embedded, key: &[u8], value: &[u8]| {
        let txn = store.begin(&TransactionOptions::default());
        txn.set(key, value);
        async move { txn.commit().await }
    };
    let mut noise = vec![0; 3000];
    SeededRng::new(3).fill(&mut noise);
    put(&store, b"bad", &noise).await.unwrap();
    drop(store);
    disk.damage(&crate::engine::tests::segment(1), |data| data[100] ^= 1);
    let store = open_on(Arc::new(disk.clone()), options()).unwrap();
    let add = async {
        let txn = store.begin(&TransactionOptions::default());
        txn.set(b"own", b"1");
        txn.atomic(AtomicOp::Add, b"bad", &[1]);
        txn.commit().await
    };
    let commits = [put(&store, b"a", b"1").boxed(), add.boxed(), put(&store, b"b", b"1").boxed()];
    let mut all = futures::future::join_all(commits);
    // As long as the disk stands still what comes is gathered into a group.
    disk.faults(|_| assert!((&mut all).now_or_never().is_none()));
    let outcomes = all.await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert!(outcomes[1].as_ref().unwrap_err().to_string().contains("damaged"), "{outcomes:?}");
    for (key, is_there) in [("a", true), ("own", false), ("b", true)] {
        let value = store.begin(&TransactionOptions::default()).get(key.as_bytes(), true).await.unwrap();
        assert_eq!(value.is_some(), is_there, "{key}");
    }
}

/// Power cuts at each of the first changes, when the store is made.
#[test]
fn a_power_cut_in_the_beginning_leaves_a_store_that_opens() {
    for after in 1..60 {
        for seed in 0..4 {
            let disk = SimDisk::default();
            disk.faults(|faults| faults.cut_after = Some(after));
            drop(open_on(Arc::new(disk.clone()), options()));
            disk.faults(|faults| faults.cut_after = Some(1));
            let found = disk.after_power_loss(seed);
            let opened = open_on(Arc::new(found), options());
            assert!(opened.is_ok(), "cut {after}, seed {seed}: {:?}", opened.err());
        }
    }
}

/// Power cuts at any change on the disk, those during recovery included.
#[test]
fn no_power_cut_takes_what_was_acknowledged() {
    for seed in 0..20 {
        crate::power::cuts(seed, 12).unwrap();
    }
}
