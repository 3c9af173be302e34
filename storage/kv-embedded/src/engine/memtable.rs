//! What the log holds and the index does not yet: every version of each key, in memory.
//!
//! Keys and small values are slices of their group's buffer, which goes when the table goes. A reader gets copies,
//! so that a value kept for long does not keep a whole group in memory.
//!
//! One thread writes, many read; a reader holds the lock for one lookup or one short run of entries. What is
//! put in is durable already, and is read once its version is published.

use super::group::{Placed, PlacedBatch};
use super::tombstones::Tombstones;
use super::value::Slot;
use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes an entry costs beside its key and value.
const ENTRY: usize = 144;

/// Versions of one key, ascending.
pub(crate) type Versions = SmallVec<[(u64, Slot); 1]>;

/// Versions of keys and cleared ranges.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    table: RwLock<Table>,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) points: BTreeMap<Bytes, Versions>,
    pub(crate) cleared: Tombstones,
}

/// A run of what one memory table says about a range at a version.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Keys with their slots, in the direction asked for.
    pub(crate) entries: Vec<(Bytes, Slot)>,
    /// Cleared ranges, ascending: they hide what lower tables hold. They may reach beyond the run.
    pub(crate) cleared: Vec<(Bytes, Bytes)>,
    /// Whether the run was ended by its limit, behind its last entry.
    pub(crate) more: bool,
}

impl Memtable {
    /// Takes in what has been placed in the log.
    pub(crate) fn apply(&self, batches: Vec<PlacedBatch>) {
        let mut table = self.table.write();
        let mut bytes = 0;
        for PlacedBatch { version, ops } in batches {
            for op in ops {
                bytes += match op {
                    Placed::Put(key, slot) => table.put(key, slot, version),
                    Placed::ClearRange(begin, end) => table.clear_range(&begin, &end, version),
                };
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What it says about `key` at `version`; `None` if nothing, then the table below is asked.
    pub(crate) fn get(&self, key: &[u8], version: u64) -> Option<Slot> {
        let table = self.table.read();
        let point = table.points.get(key).and_then(|versions| visible(versions, version));
        let cleared = table.cleared.newest(key, version);
        match (point, cleared) {
            (Some((at, _)), Some(clear)) if clear > *at => Some(Slot::Clear),
            (Some((_, slot)), _) => Some(copy(slot)),
            (None, Some(_)) => Some(Slot::Clear),
            (None, None) => None,
        }
    }

    /// What it says about `begin..end` at `version`, at most `limit` entries.
    pub(crate) fn run(&self, begin: &[u8], end: &[u8], version: u64, reverse: bool, limit: usize) -> Run {
        let table = self.table.read();
        if begin >= end {
            return Run::default();
        }
        let cleared = table.cleared.cleared(begin, end, version);
        let range = table.points.range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end)));
        let mut out = Run { entries: Vec::new(), cleared, more: false };
        let mut take = |(key, versions): (&Bytes, &Versions)| {
            let Some((at, slot)) = visible(versions, version) else { return true };
            if out.entries.len() == limit {
                out.more = true;
                return false;
            }
            let hidden = table.cleared.newest(key, version).is_some_and(|clear| clear > *at);
            out.entries.push((Bytes::copy_from_slice(key), if hidden { Slot::Clear } else { copy(slot) }));
            true
        };
        if reverse {
            range.rev().all(&mut take);
        } else {
            let mut range = range;
            range.all(&mut take);
        }
        out
    }

    /// All of it, for the checkpoint.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read()
    }
}

fn copy(slot: &Slot) -> Slot {
    match slot {
        Slot::Inline(value) => Slot::Inline(Bytes::copy_from_slice(value)),
        other => other.clone(),
    }
}

/// The newest of `versions` that is not above `version`.
fn visible(versions: &Versions, version: u64) -> Option<&(u64, Slot)> {
    // The newest one is nearly always the right one.
    versions.last().filter(|(at, _)| *at <= version).or_else(|| {
        let above = versions.partition_point(|(at, _)| *at <= version);
        versions[..above].last()
    })
}

impl Table {
    fn put(&mut self, key: Bytes, slot: Slot, version: u64) -> usize {
        let value = if let Slot::Inline(value) = &slot { value.len() } else { 0 };
        let bytes = key.len() + value + ENTRY;
        self.points.entry(key).or_default().push((version, slot));
        bytes
    }

    /// A clear hides what the same commit wrote before it; a point it writes later is newer by order.
    fn clear_range(&mut self, begin: &Bytes, end: &Bytes, version: u64) -> usize {
        if begin >= end {
            return 0;
        }
        let bytes = begin.len() + end.len() + ENTRY;
        for (_, versions) in self.points.range_mut::<Bytes, _>(begin..end) {
            if versions.last().is_some_and(|(at, _)| *at == version) {
                versions.push((version, Slot::Clear));
            }
        }
        self.cleared.insert(begin, end, version);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, bool),
        Clear(u8, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..20, any::<bool>()).prop_map(|(k, set)| Step::Put(k, set)),
            (0u8..20, 0u8..20).prop_map(|(b, e)| Step::Clear(b, e)),
        ]
    }

    proptest! {
        /// Against a plain map per version: lookups and runs in both directions, at every version.
        #[test]
        fn behaves_as_a_map_per_version(commits in prop::collection::vec(prop::collection::vec(step(), 1..4), 0..20)) {
            let table = Memtable::default();
            let mut state: BTreeMap<u8, Slot> = BTreeMap::new();
            let mut states = vec![state.clone()];
            for (i, steps) in commits.iter().enumerate() {
                let version = i as u64 + 1;
                let mut ops = Vec::new();
                for (n, step) in steps.iter().enumerate() {
                    match step {
                        Step::Put(k, set) => {
                            let slot = if *set { Slot::Inline(Bytes::from(format!("{version}.{n}"))) } else { Slot::Clear };
                            state.insert(*k, slot.clone());
                            ops.push(Placed::Put(key(*k), slot));
                        }
                        Step::Clear(b, e) => {
                            for k in *b..*e {
                                state.insert(k, Slot::Clear);
                            }
                            ops.push(Placed::ClearRange(key(*b), key(*e)));
                        }
                    }
                }
                table.apply(vec![PlacedBatch { version, ops }]);
                states.push(state.clone());
            }
            for (version, state) in states.iter().enumerate() {
                let version = version as u64;
                for k in 0..20 {
                    prop_assert_eq!(table.get(&[k], version), state.get(&k).cloned());
                }
                let run = table.run(&[3], &[15], version, false, 100);
                for k in 3..15u8 {
                    let point = run.entries.iter().find(|(at, _)| **at == [k]).map(|(_, slot)| slot.clone());
                    let hidden = super::super::tombstones::covering(&run.cleared, &[k]).map(|_| Slot::Clear);
                    prop_assert_eq!(point.or(hidden), state.get(&k).cloned());
                }
                let mut back = table.run(&[3], &[15], version, true, 100).entries;
                back.reverse();
                prop_assert_eq!(&back, &run.entries);
                let two = table.run(&[3], &[15], version, false, 2);
                prop_assert_eq!(two.more, run.entries.len() > 2);
                prop_assert_eq!(&two.entries[..], &run.entries[..run.entries.len().min(2)]);
            }
        }
    }
}
