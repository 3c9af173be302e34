//! Which keys were written lately, and at which version: what reads are checked against at commit.
//!
//! Writes are kept in generations. A transaction has nearly always read a moment ago, so that only the newest
//! generation can hold a later write; the others are passed over by their highest version. Forgetting is
//! dropping the oldest generation.

use bytes::Bytes;
use kv::limits::TRANSACTION_TIME;
use kv::{Error, RangeSet};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

/// Writes after which a new generation is begun.
const GENERATION_WRITES: usize = 16_384;

/// Time after which a new generation is begun.
const GENERATION_TIME: Duration = Duration::from_secs(1);

/// Generations kept at most: beyond that, transactions get too old sooner than after five seconds.
const GENERATIONS: usize = 64;

/// How a generation outlives the transactions that may have to be checked against it.
const KEEP: Duration = TRANSACTION_TIME.saturating_add(Duration::from_secs(1));

/// Recent writes.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Oldest first.
    generations: VecDeque<Generation>,
    /// Writes up to this version are forgotten.
    floor: u64,
}

#[derive(Debug)]
struct Generation {
    begun: Duration,
    highest: u64,
    keys: BTreeMap<Bytes, u64>,
    ranges: Vec<(Bytes, Bytes, u64)>,
}

impl Window {
    /// A window that knows nothing of the time up to `version`, in which nobody can have read.
    pub(crate) fn new(version: u64) -> Self {
        // A snapshot at exactly this version has missed nothing.
        Window { generations: VecDeque::new(), floor: version }
    }

    /// Fails if any of `ranges` was written after version `since`, or if that is not known any more.
    pub(crate) fn check(&self, ranges: &RangeSet, since: u64) -> Result<(), Error> {
        if since < self.floor {
            return Err(Error::too_old());
        }
        let newer = self.generations.iter().rev().take_while(|generation| generation.highest > since);
        for generation in newer {
            if ranges.iter().any(|(begin, end)| generation.wrote(begin, end, since)) {
                return Err(Error::conflict());
            }
        }
        Ok(())
    }

    /// Takes note of a write at `version`, which is the highest so far.
    pub(crate) fn wrote_key(&mut self, key: Bytes, version: u64, now: Duration) {
        self.current(version, now).keys.insert(key, version);
    }

    /// The same for all keys from `begin` on and below `end`.
    pub(crate) fn wrote_range(&mut self, begin: Bytes, end: Bytes, version: u64, now: Duration) {
        self.current(version, now).ranges.push((begin, end, version));
    }

    fn current(&mut self, version: u64, now: Duration) -> &mut Generation {
        let full = |generation: &Generation| {
            generation.keys.len() >= GENERATION_WRITES
                || generation.ranges.len() >= GENERATION_WRITES / 64
                || now.saturating_sub(generation.begun) >= GENERATION_TIME
        };
        if self.generations.back().is_none_or(full) {
            self.forget(now);
            self.generations.push_back(Generation {
                begun: now,
                highest: version,
                keys: BTreeMap::new(),
                ranges: Vec::new(),
            });
        }
        let last = self.generations.len() - 1;
        let generation = &mut self.generations[last];
        generation.highest = version;
        generation
    }

    /// Forgets what no transaction can have to be checked against.
    pub(crate) fn forget(&mut self, now: Duration) {
        while let Some(oldest) = self.generations.front() {
            // It ended when the next one was begun, or may go on still.
            let ended = self.generations.get(1).map_or(oldest.begun + GENERATION_TIME, |next| next.begun);
            if now.saturating_sub(ended) < KEEP && self.generations.len() < GENERATIONS {
                return;
            }
            self.floor = self.floor.max(oldest.highest);
            self.generations.pop_front();
        }
    }

    /// What was noted above `version`, which is the highest that is visible, was not written. Who has read less than is
    /// visible may still be told of a conflict.
    pub(crate) fn undo(&mut self, version: u64) {
        for generation in self.generations.iter_mut().filter(|generation| generation.highest > version) {
            generation.highest = version;
            generation.keys.values_mut().for_each(|noted| *noted = version.min(*noted));
            generation.ranges.iter_mut().for_each(|(_, _, noted)| *noted = version.min(*noted));
        }
    }

    /// Whether there is nothing to forget.
    pub(crate) fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }
}

impl Generation {
    fn wrote(&self, begin: &Bytes, end: &Bytes, since: u64) -> bool {
        if begin >= end {
            return false;
        }
        let range = (Bound::Included(begin), Bound::Excluded(end));
        self.keys.range::<Bytes, _>(range).any(|(_, version)| *version > since)
            || self.ranges.iter().any(|(b, e, version)| *version > since && b < end && begin < e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFLICT: Result<(), Error> = Err(Error::conflict());
    const TOO_OLD: Result<(), Error> = Err(Error::too_old());

    fn key(key: &'static str) -> Bytes {
        Bytes::from_static(key.as_bytes())
    }

    fn check(window: &Window, begin: &'static str, end: &'static str, since: u64) -> Result<(), Error> {
        let mut ranges = RangeSet::default();
        ranges.insert(key(begin), key(end));
        window.check(&ranges, since)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_later_write_inside_the_range_conflicts() {
        let mut window = Window::new(10);
        window.wrote_key(key("b"), 11, at(0));
        window.wrote_range(key("m"), key("p"), 12, at(0));
        assert_eq!(check(&window, "a", "c", 10), CONFLICT);
        assert_eq!(check(&window, "b", "b\0", 10), CONFLICT);
        assert_eq!(check(&window, "a", "b", 10), Ok(()));
        assert_eq!(check(&window, "a", "c", 11), Ok(()));
        assert_eq!(check(&window, "o", "z", 11), CONFLICT);
        assert_eq!(check(&window, "p", "z", 11), Ok(()));
        assert_eq!(check(&window, "c", "m", 10), Ok(()));
        assert_eq!(check(&window, "a", "c", 9), TOO_OLD);
    }

    #[test]
    fn generations_are_forgotten_after_the_longest_transaction() {
        let mut window = Window::new(0);
        for second in 0..4 {
            window.wrote_key(key("k"), second + 1, at(second));
        }
        assert_eq!(check(&window, "k", "l", 0), CONFLICT);
        assert_eq!(check(&window, "k", "l", 3), CONFLICT, "in the newest of several");
        window.forget(at(7));
        assert_eq!(check(&window, "k", "l", 0), TOO_OLD);
        assert_eq!(check(&window, "k", "l", 2), CONFLICT);
        window.forget(at(20));
        assert!(window.is_empty());
        assert_eq!(check(&window, "k", "l", 4), Ok(()));
        assert_eq!(check(&window, "k", "l", 3), TOO_OLD);
    }

    #[test]
    fn memory_is_bounded() {
        let mut window = Window::new(0);
        let mut version = 0;
        for i in 0..(GENERATIONS + 10) * (GENERATION_WRITES / 64) {
            version += 1;
            let begin = Bytes::from(format!("{i:08}"));
            window.wrote_range(begin.clone(), begin, version, at(0));
        }
        assert!(window.generations.len() <= GENERATIONS);
        assert_eq!(check(&window, "a", "b", 5), TOO_OLD);
        assert_eq!(check(&window, "a", "b", version), Ok(()));
    }
}
