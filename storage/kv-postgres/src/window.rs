//! Which keys were written lately, and at which version: what reads are checked against at commit.

use bytes::{Buf, BufMut, Bytes};
use kv::{Error, RangeSet, limits};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

/// How long a write is remembered: somewhat longer than any transaction lives.
const KEEP: Duration = limits::TRANSACTION_TIME.saturating_add(Duration::from_secs(2));

/// What one commit wrote, as far as others may conflict with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteSet {
    pub(crate) keys: Vec<Bytes>,
    pub(crate) ranges: Vec<(Bytes, Bytes)>,
}

impl WriteSet {
    /// Appends it as it stands in the log, of which one row holds the commits of a group:
    ///
    /// ```text
    /// version u64 · number of keys u32 · number of ranges u32 · keys and ends of ranges, each after its u16 length
    /// ```
    pub(crate) fn encode(&self, version: u64, out: &mut Vec<u8>) {
        out.put_u64(version);
        out.put_u32(self.keys.len() as u32);
        out.put_u32(self.ranges.len() as u32);
        let ends = self.ranges.iter().flat_map(|(begin, end)| [begin, end]);
        for key in self.keys.iter().chain(ends) {
            // Keys are at most 10,001 bytes long.
            out.put_u16(key.len() as u16);
            out.put_slice(key);
        }
    }

    /// Reads a row of the log.
    pub(crate) fn decode(mut row: Bytes) -> Result<Vec<(u64, WriteSet)>, Error> {
        let mut commits = Vec::new();
        while row.has_remaining() {
            let version = row.try_get_u64().map_err(|_| malformed())?;
            let keys = row.try_get_u32().map_err(|_| malformed())?;
            let ranges = row.try_get_u32().map_err(|_| malformed())?;
            let mut writes = WriteSet::default();
            for _ in 0..keys {
                writes.keys.push(decode_key(&mut row)?);
            }
            for _ in 0..ranges {
                writes.ranges.push((decode_key(&mut row)?, decode_key(&mut row)?));
            }
            commits.push((version, writes));
        }
        Ok(commits)
    }
}

fn decode_key(row: &mut Bytes) -> Result<Bytes, Error> {
    let length = usize::from(row.try_get_u16().map_err(|_| malformed())?);
    if row.remaining() < length {
        return Err(malformed());
    }
    Ok(row.split_to(length))
}

fn malformed() -> Error {
    Error::fatal("malformed row in the log of commits")
}

/// The writes of all commits behind its floor.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The last version that wrote each key.
    keys: BTreeMap<Bytes, u64>,
    /// In the order of versions.
    ranges: VecDeque<(u64, Bytes, Bytes)>,
    /// When each commit was noted, to be forgotten again.
    commits: VecDeque<(Duration, u64, Vec<Bytes>)>,
    floor: u64,
}

impl Window {
    /// A window that knows nothing of the time up to `floor`.
    pub(crate) fn new(floor: u64) -> Self {
        Window { floor, ..Window::default() }
    }

    /// Takes note of the commit at `version`, the highest so far.
    pub(crate) fn record(&mut self, version: u64, writes: WriteSet, now: Duration) {
        for key in &writes.keys {
            self.keys.insert(key.clone(), version);
        }
        self.ranges.extend(writes.ranges.into_iter().map(|(begin, end)| (version, begin, end)));
        self.commits.push_back((now, version, writes.keys));
    }

    /// Fails if any of `reads` was written after version `since`, or if that is not known any more.
    pub(crate) fn check(&self, reads: &RangeSet, since: u64) -> Result<(), Error> {
        if since < self.floor {
            return Err(Error::too_old());
        }
        let newer = self.ranges.iter().rev().take_while(|(version, ..)| *version > since);
        let mut ranges = newer.map(|(_, begin, end)| (begin, end));
        if ranges.any(|(begin, end)| reads.intersects(begin, end)) || self.wrote_key(reads, since) {
            return Err(Error::conflict());
        }
        Ok(())
    }

    fn wrote_key(&self, reads: &RangeSet, since: u64) -> bool {
        // A long range over a large window is better looked at from the side of what was written since.
        let newer = || self.commits.iter().rev().take_while(|(_, version, _)| *version > since);
        let written: usize = newer().map(|(.., keys)| keys.len()).sum();
        if written < 64 {
            return newer().flat_map(|(.., keys)| keys).any(|key| reads.contains(key));
        }
        reads.iter().any(|(begin, end)| {
            let range = (Bound::Included(begin), Bound::Excluded(end));
            self.keys.range::<Bytes, _>(range).any(|(_, version)| *version > since)
        })
    }

    /// Forgets what no transaction can have to be checked against.
    pub(crate) fn forget(&mut self, now: Duration) {
        while let Some((noted, version, _)) = self.commits.front() {
            if now.saturating_sub(*noted) < KEEP {
                return;
            }
            self.floor = *version;
            let Some((_, version, keys)) = self.commits.pop_front() else { return };
            for key in keys {
                if self.keys.get(&key) == Some(&version) {
                    self.keys.remove(&key);
                }
            }
            while self.ranges.front().is_some_and(|(at, ..)| *at <= version) {
                self.ranges.pop_front();
            }
        }
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

    fn writes(keys: &[&'static str], ranges: &[(&'static str, &'static str)]) -> WriteSet {
        WriteSet {
            keys: keys.iter().map(|k| key(k)).collect(),
            ranges: ranges.iter().map(|(begin, end)| (key(begin), key(end))).collect(),
        }
    }

    fn check(window: &Window, begin: &'static str, end: &'static str, since: u64) -> Result<(), Error> {
        let mut reads = RangeSet::default();
        reads.insert(key(begin), key(end));
        window.check(&reads, since)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_later_write_inside_what_was_read_conflicts() {
        let mut window = Window::new(10);
        window.record(11, writes(&["b"], &[]), at(0));
        window.record(12, writes(&[], &[("m", "p")]), at(0));
        assert_eq!(check(&window, "a", "c", 10), CONFLICT);
        assert_eq!(check(&window, "b", "b\0", 10), CONFLICT);
        assert_eq!(check(&window, "a", "b", 10), Ok(()));
        assert_eq!(check(&window, "a", "c", 11), Ok(()));
        assert_eq!(check(&window, "o", "z", 11), CONFLICT);
        assert_eq!(check(&window, "o", "z", 12), Ok(()));
        assert_eq!(check(&window, "p", "z", 10), Ok(()));
        assert_eq!(check(&window, "a", "c", 9), TOO_OLD);
    }

    #[test]
    fn few_and_many_writes_are_judged_alike() {
        let mut window = Window::new(0);
        for version in 1..=200u64 {
            let name = Bytes::from(format!("{version:03}"));
            window.record(version, WriteSet { keys: vec![name], ranges: vec![] }, at(0));
        }
        for since in [0, 100, 180, 199] {
            assert_eq!(check(&window, "2", "3", since), CONFLICT);
            assert_eq!(check(&window, "100", "101", since), { if since < 100 { CONFLICT } else { Ok(()) } });
        }
    }

    #[test]
    fn writes_are_forgotten_after_the_longest_transaction() {
        let mut window = Window::new(0);
        window.record(1, writes(&["k", "l"], &[("x", "y")]), at(0));
        window.record(2, writes(&["k"], &[]), at(5));
        window.forget(at(8));
        assert_eq!(check(&window, "k", "z", 0), TOO_OLD);
        assert_eq!(check(&window, "k", "z", 1), CONFLICT);
        assert_eq!(check(&window, "l", "z", 1), Ok(()));
        window.forget(at(60));
        assert!(window.keys.is_empty() && window.ranges.is_empty() && window.commits.is_empty());
        assert_eq!(check(&window, "k", "z", 2), Ok(()));
        assert_eq!(check(&window, "k", "z", 1), TOO_OLD);
    }

    #[test]
    fn the_log_reads_back() {
        let commits =
            [(7, writes(&["a", ""], &[("b", "c")])), (8, WriteSet::default()), (9, writes(&["z"], &[]))];
        let mut row = Vec::new();
        commits.iter().for_each(|(version, writes)| writes.encode(*version, &mut row));
        assert_eq!(WriteSet::decode(row.clone().into()).unwrap(), commits);
        let golden = b"\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\x01\0\x01a\0\0\0\x01b\0\x01c";
        assert_eq!(row[..golden.len()], golden[..]);
        for cut in 1..golden.len() {
            assert!(WriteSet::decode(Bytes::from_static(&golden[..cut])).is_err(), "{cut}");
        }
    }
}
