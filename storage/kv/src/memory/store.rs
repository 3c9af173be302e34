//! The rows with their versions, the recent commits, the watches.

use crate::{Error, RangePage, RangeRequest, RangeSet, Versionstamp, Watch, Write};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

#[derive(Default)]
pub(super) struct Store {
    /// Key to values by ascending version; `None` where the key was cleared.
    rows: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// The last commit.
    version: u64,
    /// What recent commits wrote: all that a live transaction may conflict with.
    commits: VecDeque<(u64, RangeSet)>,
    /// Snapshots in use, with the number of their users.
    live: BTreeMap<u64, usize>,
    watches: BTreeMap<Bytes, Vec<Watch>>,
    closed: bool,
}

impl Store {
    /// The latest snapshot; to be given back by [`Store::release`].
    pub(super) fn acquire(&mut self) -> Result<u64, Error> {
        self.check_open()?;
        *self.live.entry(self.version).or_default() += 1;
        Ok(self.version)
    }

    /// Later commits have versions above this one.
    pub(super) fn advance(&mut self, version: u64) -> Result<(), Error> {
        self.check_open()?;
        self.version = self.version.max(version);
        Ok(())
    }

    /// Gives a snapshot back and forgets what nobody can read any more.
    pub(super) fn release(&mut self, version: u64) {
        if let Some(users) = self.live.get_mut(&version) {
            *users -= 1;
            if *users == 0 {
                self.live.remove(&version);
            }
        }
        self.forget();
    }

    pub(super) fn value_at(&self, key: &[u8], version: u64) -> Option<Bytes> {
        let values = self.rows.get(key)?;
        values.iter().rev().find(|(at, _)| *at <= version)?.1.clone()
    }

    /// The first rows of a range, in its direction.
    pub(super) fn scan(&self, request: &RangeRequest, version: u64) -> RangePage {
        let (mut page, mut bytes) = (RangePage::default(), 0);
        let mut keys = self.keys(&request.begin, &request.end);
        while let Some(key) = if request.reverse { keys.next_back() } else { keys.next() } {
            let Some(value) = self.value_at(key, version) else { continue };
            bytes += key.len() + value.len();
            page.rows.push((key.clone(), value));
            page.more = page.rows.len() >= request.row_limit() || bytes >= request.byte_target();
            if page.more {
                break;
            }
        }
        page
    }

    /// Keys that have or had a value, in order.
    fn keys(&self, begin: &Bytes, end: &Bytes) -> impl DoubleEndedIterator<Item = &Bytes> {
        self.rows.range::<Bytes, _>(begin..end).map(|(key, _)| key)
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.closed { Err(Error::fatal("store is closed")) } else { Ok(()) }
    }

    /// Whether a commit after the snapshot `since` wrote anything that is in `reads`.
    pub(super) fn conflicts(&self, reads: &RangeSet, since: u64) -> bool {
        let later = self.commits.iter().rev().take_while(|(version, _)| *version > since);
        later.flat_map(|(_, writes)| writes.iter()).any(|(begin, end)| reads.intersects(begin, end))
    }

    /// Applies `writes` in their order as one new version. Others conflict with them and with `claims`.
    pub(super) fn commit(
        &mut self,
        writes: &[Write],
        claims: &[(Bytes, Bytes)],
    ) -> Result<Versionstamp, Error> {
        let stamp = Versionstamp::new(self.version + 1, 0);
        // All that can fail comes before the first change.
        let writes: Vec<Write> = writes.iter().map(|write| write.stamped(stamp)).collect::<Result<_, _>>()?;
        self.version += 1;
        let mut written = RangeSet::default();
        claims.iter().for_each(|(begin, end)| written.insert(begin.clone(), end.clone()));
        for write in &writes {
            match write {
                Write::Set(key, _) | Write::Clear(key) | Write::Atomic(_, key, _) => written.insert_key(key),
                Write::ClearRange(begin, end) => written.insert(begin.clone(), end.clone()),
            }
            self.apply(write);
        }
        self.wake(&written);
        self.commits.push_back((self.version, written));
        self.forget();
        Ok(stamp)
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Set(key, value) => self.put(key, Some(value.clone())),
            Write::Clear(key) => self.put(key, None),
            Write::ClearRange(begin, end) => {
                let keys: Vec<Bytes> = self.keys(begin, end).cloned().collect();
                keys.iter().for_each(|key| self.put(key, None));
            }
            Write::Atomic(op, key, operand) => {
                let value = op.apply(self.value_at(key, self.version).as_deref(), operand);
                self.put(key, value);
            }
        }
    }

    /// Registers a watch, or wakes it if the value is another one already.
    pub(super) fn watch(&mut self, watch: Watch) {
        if self.value_at(&watch.key, self.version) != watch.seen {
            return watch.wake();
        }
        let watches = self.watches.entry(watch.key.clone()).or_default();
        watches.retain(|other| !other.is_abandoned());
        watches.push(watch);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.watches.clear();
    }

    fn put(&mut self, key: &Bytes, value: Option<Bytes>) {
        let version = self.version;
        let values = self.rows.entry(key.clone()).or_default();
        match values.last_mut() {
            Some(last) if last.0 == version => last.1 = value,
            _ => values.push((version, value)),
        }
    }

    fn wake(&mut self, writes: &RangeSet) {
        for (begin, end) in writes.iter() {
            let keys: Vec<Bytes> =
                self.watches.range::<Bytes, _>(begin..end).map(|(key, _)| key.clone()).collect();
            for key in keys {
                let watches = self.watches.remove(&key).unwrap_or_default();
                watches.into_iter().for_each(|watch| self.watch(watch));
            }
        }
    }

    /// Drops commits that no live transaction can conflict with, and the values that they replaced.
    fn forget(&mut self) {
        let oldest = self.live.keys().next().copied().unwrap_or(self.version);
        while self.commits.front().is_some_and(|(version, _)| *version <= oldest) {
            let Some((_, writes)) = self.commits.pop_front() else { return };
            for (begin, end) in writes.iter() {
                let mut emptied = Vec::new();
                for (key, values) in self.rows.range_mut::<Bytes, _>(begin..end) {
                    let replaced = values.iter().rposition(|(at, _)| *at <= oldest).unwrap_or(0);
                    values.drain(..replaced);
                    if let [(at, None)] = values[..]
                        && at <= oldest
                    {
                        emptied.push(key.clone());
                    }
                }
                emptied.iter().for_each(|key| drop(self.rows.remove(key)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(store: &mut Store, writes: &[Write]) {
        store.commit(writes, &[]).unwrap();
    }

    #[test]
    fn old_values_live_as_long_as_someone_can_read_them() {
        let (mut store, key) = (Store::default(), Bytes::from("k"));
        commit(&mut store, &[Write::Set(key.clone(), Bytes::from("1"))]);
        let snapshot = store.acquire().unwrap();
        commit(&mut store, &[Write::Set(key.clone(), Bytes::from("2"))]);
        commit(&mut store, &[Write::Clear(key.clone())]);
        assert_eq!(store.value_at(&key, snapshot), Some(Bytes::from("1")));
        assert_eq!(store.commits.len(), 2);
        store.release(snapshot);
        assert!(store.rows.is_empty() && store.commits.is_empty() && store.live.is_empty());
    }

    #[test]
    fn a_commit_conflicts_only_with_what_was_read_before_it() {
        let mut store = Store::default();
        let before = store.acquire().unwrap();
        commit(&mut store, &[Write::ClearRange(Bytes::from("b"), Bytes::from("d"))]);
        let mut reads = RangeSet::default();
        reads.insert_key(b"c");
        assert!(store.conflicts(&reads, before));
        assert!(!store.conflicts(&reads, before + 1));
    }
}
