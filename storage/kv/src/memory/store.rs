//! The rows with their versions, the recent commits, the watches.

use crate::{AtomicOp, Error, RangePage, RangeRequest, RangeSet, Versionstamp};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::oneshot;

/// A write, in the order in which the transaction did it.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Set(Bytes, Bytes),
    Clear(Bytes),
    ClearRange(Bytes, Bytes),
    Atomic(AtomicOp, Bytes, Bytes),
}

/// Someone who waits until the value is not `seen`.
pub(super) struct Watch {
    pub(super) key: Bytes,
    pub(super) seen: Option<Bytes>,
    pub(super) wake: oneshot::Sender<Result<(), Error>>,
}

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

    /// Applies `mutations` in their order as one new version; `writes` is what others conflict with.
    pub(super) fn commit(
        &mut self,
        mutations: &[Mutation],
        mut writes: RangeSet,
    ) -> Result<Versionstamp, Error> {
        let stamp = Versionstamp::new(self.version + 1, 0);
        // All that can fail comes before the first change.
        let mutations: Vec<Mutation> =
            mutations.iter().map(|mutation| resolve(mutation, stamp)).collect::<Result<_, _>>()?;
        self.version += 1;
        for mutation in &mutations {
            match mutation {
                Mutation::Set(key, value) => self.put(key, Some(value.clone())),
                Mutation::Clear(key) => self.put(key, None),
                Mutation::ClearRange(begin, end) => {
                    let keys: Vec<Bytes> = self.keys(begin, end).cloned().collect();
                    keys.iter().for_each(|key| self.put(key, None));
                }
                Mutation::Atomic(op, key, operand) => {
                    let value = op.apply(self.value_at(key, self.version).as_deref(), operand);
                    if op.is_versionstamped() {
                        writes.insert_key(key);
                    }
                    self.put(key, value);
                }
            }
        }
        self.wake(&writes);
        self.commits.push_back((self.version, writes));
        self.forget();
        Ok(stamp)
    }

    /// Registers a watch, or wakes it if the value is another one already.
    pub(super) fn watch(&mut self, watch: Watch) {
        if self.value_at(&watch.key, self.version) != watch.seen {
            // Nobody listens any more if this fails, and that is as good.
            let _ = watch.wake.send(Ok(()));
            return;
        }
        let watches = self.watches.entry(watch.key.clone()).or_default();
        watches.retain(|other| !other.wake.is_closed());
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

/// The mutation with the versionstamp in its place.
fn resolve(mutation: &Mutation, stamp: Versionstamp) -> Result<Mutation, Error> {
    Ok(match mutation {
        Mutation::Atomic(op, key, operand) if op.is_versionstamped() => {
            let (key, operand) = op.resolve(key, operand, stamp)?;
            Mutation::Atomic(*op, key, operand)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(store: &mut Store, mutations: &[Mutation]) {
        let mut writes = RangeSet::default();
        for mutation in mutations {
            match mutation {
                Mutation::Set(key, _) | Mutation::Clear(key) | Mutation::Atomic(_, key, _) => {
                    writes.insert_key(key);
                }
                Mutation::ClearRange(begin, end) => writes.insert(begin.clone(), end.clone()),
            }
        }
        store.commit(mutations, writes).unwrap();
    }

    #[test]
    fn old_values_live_as_long_as_someone_can_read_them() {
        let (mut store, key) = (Store::default(), Bytes::from("k"));
        commit(&mut store, &[Mutation::Set(key.clone(), Bytes::from("1"))]);
        let snapshot = store.acquire().unwrap();
        commit(&mut store, &[Mutation::Set(key.clone(), Bytes::from("2"))]);
        commit(&mut store, &[Mutation::Clear(key.clone())]);
        assert_eq!(store.value_at(&key, snapshot), Some(Bytes::from("1")));
        assert_eq!(store.commits.len(), 2);
        store.release(snapshot);
        assert!(store.rows.is_empty() && store.commits.is_empty() && store.live.is_empty());
    }

    #[test]
    fn a_commit_conflicts_only_with_what_was_read_before_it() {
        let mut store = Store::default();
        let before = store.acquire().unwrap();
        commit(&mut store, &[Mutation::ClearRange(Bytes::from("b"), Bytes::from("d"))]);
        let mut reads = RangeSet::default();
        reads.insert_key(b"c");
        assert!(store.conflicts(&reads, before));
        assert!(!store.conflicts(&reads, before + 1));
    }
}
