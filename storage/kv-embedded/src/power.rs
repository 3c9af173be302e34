//! Power cuts on a simulated disk: writers commit until the power goes, and what was acknowledged must be there. For the tests
//! of this crate and for drills.

// Below the retry loop, and a failed read ends the run.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::engine::simdisk::SimDisk;
use crate::engine::{Fatality, Settings};
use crate::{Embedded, Options, open_on};
use bytes::Bytes;
use kv::{AtomicOp, Backend, Error, TransactionOptions};
use parking_lot::Mutex;
use runtime::{Rng, SeededRng, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What came of some power cuts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Power cuts.
    pub cuts: u64,
    /// Commits that were acknowledged, all of which were found.
    pub acknowledged: u64,
    /// The longest that opening took after one.
    pub slowest_open: Duration,
}

/// Sizes so small that a few hundred commits see all that an engine does.
pub(crate) fn settings() -> Settings {
    Settings {
        cache_bytes: 1 << 20,
        memtable_bytes: 256 << 10,
        log_bytes: 1 << 20,
        segment_bytes: 64 << 10,
        allocation_step: 8 << 10,
        fatality: Fatality::call(|_| {}),
    }
}

fn options() -> Options {
    Options { engine: settings(), ..Options::new(SystemClock::shared(), Arc::new(SeededRng::new(1))) }
}

/// Cuts the power `count` times, at any change on the disk, those during recovery included; what was not synced survives in
/// part, in any order, torn.
///
/// # Errors
/// What was lost, torn or invented.
pub fn cuts(seed: u64, count: u64) -> Result<Figures, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
    let rng = SeededRng::new(seed);
    let (mut disk, mut known, mut figures) = (SimDisk::default(), [0; WRITERS], Figures::default());
    for cut in 0..count {
        let what = format!("seed {seed}, cut {cut}");
        let after = 1 + rng.u64() % if rng.u64().is_multiple_of(4) { 20 } else { 400 };
        disk.faults(|faults| faults.cut_after = Some(after));
        if let Ok(store) = open_on(Arc::new(disk.clone()), options()) {
            known = storm(&store, known, 60);
        }
        disk.faults(|faults| faults.cut_after = Some(1));
        disk = disk.after_power_loss(rng.u64());
        let begun = Instant::now();
        let store = open_on(Arc::new(disk.clone()), options()).map_err(|error| format!("{what}: {error}"))?;
        figures.slowest_open = figures.slowest_open.max(begun.elapsed());
        known = runtime.block_on(check(&store, &known, &what))?;
        figures.cuts += 1;
        figures.acknowledged = known.iter().sum();
        drop(store);
        if disk.is_dead() {
            return Err(format!("{what}: the power went during the check"));
        }
    }
    Ok(figures)
}

/// Has a sync of the disk fail, and says how often the engine asked the disk for anything after it: never, if it stops for
/// good at once.
///
/// # Errors
/// If the commit succeeds all the same, or the store goes on.
pub fn changes_after_a_failed_sync() -> Result<u64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
    let disk = SimDisk::default();
    let stopped = Arc::new(AtomicU64::new(0));
    let alarm = Arc::clone(&stopped);
    let fatality = Fatality::call(move |_| {
        alarm.fetch_add(1, Ordering::Relaxed);
    });
    let engine = Settings { fatality, ..settings() };
    let store =
        open_on(Arc::new(disk.clone()), Options { engine, ..options() }).map_err(|e| e.to_string())?;
    runtime.block_on(commit(&store, 0, 1)).map_err(|e| e.to_string())?;
    disk.faults(|faults| faults.sync_fails = true);
    if runtime.block_on(commit(&store, 0, 2)).is_ok() {
        return Err("a commit whose sync failed was acknowledged".to_owned());
    }
    if stopped.load(Ordering::Relaxed) == 0 {
        return Err("the process was not ended".to_owned());
    }
    disk.faults(|faults| faults.sync_fails = false);
    let before = disk.changes();
    if runtime.block_on(commit(&store, 0, 3)).is_ok() {
        return Err("the store goes on after a failed sync".to_owned());
    }
    let after = disk.changes();
    // As in a process that has ended: nothing is closed.
    std::mem::forget(store);
    Ok(after - before)
}

const WRITERS: usize = 4;
const KEPT: u64 = 6;

fn big(writer: usize, n: u64) -> Vec<u8> {
    let rng = SeededRng::new((writer as u64) << 32 | n);
    let mut value = vec![b'x'; 900 + (rng.u64() % 6000) as usize];
    let noisy = value.len() / 2;
    rng.fill(&mut value[..noisy]);
    value
}

fn key(writer: usize, kind: &str, n: u64) -> Vec<u8> {
    format!("w{writer}/{kind}/{n:06}").into_bytes()
}

/// Commit `n` of a writer: a small and a large value, its number, a common sum, and the end of an old commit.
async fn commit(store: &Embedded, writer: usize, n: u64) -> Result<(), Error> {
    let txn = store.begin(&TransactionOptions::default());
    txn.set(format!("w{writer}/last").as_bytes(), &n.to_le_bytes());
    txn.set(&key(writer, "big", n), &big(writer, n));
    txn.set(&key(writer, "small", n), &n.to_le_bytes());
    txn.atomic(AtomicOp::Add, b"sum", &1u64.to_le_bytes());
    let old = n.saturating_sub(KEPT);
    txn.clear_range(&key(writer, "big", 0), &key(writer, "big", old + 1));
    txn.clear(&key(writer, "small", old));
    txn.commit().await.map(|_| ())
}

async fn number(store: &Embedded, key: &[u8]) -> u64 {
    let value = store.begin(&TransactionOptions::default()).get(key, true).await.unwrap();
    value.map_or(0, |value| u64::from_le_bytes(value[..].try_into().unwrap()))
}

async fn rows(store: &Embedded, prefix: &str) -> Vec<(Bytes, Bytes)> {
    let request = kv::RangeRequest::new(prefix.to_owned(), format!("{prefix}\u{7F}"));
    let page = store.begin(&TransactionOptions::default()).range(&request).await.unwrap();
    assert!(!page.more);
    page.rows
}

/// All that was acknowledged is there, whole; of the commit after it all or nothing; of later ones nothing.
async fn check(
    store: &Embedded,
    acknowledged: &[u64; WRITERS],
    what: &str,
) -> Result<[u64; WRITERS], String> {
    let mut found = [0; WRITERS];
    for writer in 0..WRITERS {
        let last = number(store, format!("w{writer}/last").as_bytes()).await;
        let promised = acknowledged[writer];
        if last != promised && last != promised + 1 {
            return Err(format!("{what}: writer {writer}: {last}, promised {promised}"));
        }
        let numbers: Vec<u64> = (last.saturating_sub(KEPT) + 1..=last).collect();
        let expected: Vec<_> = numbers.iter().map(|n| (key(writer, "big", *n), big(writer, *n))).collect();
        let stored = rows(store, &format!("w{writer}/big/")).await;
        if !stored.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).eq(expected) {
            return Err(format!("{what}: large values of writer {writer}"));
        }
        let small: Vec<_> = numbers.iter().map(|n| key(writer, "small", *n)).collect();
        let stored = rows(store, &format!("w{writer}/small/")).await;
        if !stored.iter().map(|(k, _)| k.to_vec()).eq(small) {
            return Err(format!("{what}: small values of writer {writer}"));
        }
        found[writer] = last;
    }
    if number(store, b"sum").await != found.iter().sum::<u64>() {
        return Err(format!("{what}: sum"));
    }
    Ok(found)
}

/// Writers commit until the power goes. Returns what was acknowledged.
fn storm(store: &Arc<Embedded>, from: [u64; WRITERS], each: u64) -> [u64; WRITERS] {
    let acknowledged = Mutex::new(from);
    std::thread::scope(|scope| {
        for (writer, last) in from.into_iter().enumerate() {
            let (store, acknowledged) = (store.clone(), &acknowledged);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for n in last + 1..=last + each {
                    if runtime.block_on(commit(&store, writer, n)).is_err() {
                        break;
                    }
                    acknowledged.lock()[writer] = n;
                }
            });
        }
    });
    acknowledged.into_inner()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_failed_sync_is_the_end() {
        assert_eq!(super::changes_after_a_failed_sync(), Ok(0));
    }
}
