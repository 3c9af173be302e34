//! What a group of transactions does together: who conflicts, and what is left in the end.
//!
//! Nothing here asks the server: this is what the committer computes between the two round trips of a commit.

use crate::position::Position;
use crate::window::{Window, WriteSet};
use bytes::Bytes;
use kv::{Error, RangeSet, Versionstamp, Write};
use std::collections::BTreeMap;
use std::time::Duration;

/// A transaction that is to be committed.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Where its reads were done; absent if it has none.
    pub(crate) base: Option<Position>,
    pub(crate) reads: RangeSet,
    pub(crate) writes: Vec<Write>,
    /// Declared as written without a write.
    pub(crate) claims: Vec<(Bytes, Bytes)>,
    /// Its version is this one at least.
    pub(crate) least_version: u64,
}

impl Attempt {
    /// The keys whose values decide what it writes.
    pub(crate) fn operands(&self) -> impl Iterator<Item = &Bytes> {
        self.writes.iter().filter_map(|write| match write {
            Write::Atomic(op, key, _) if !op.is_versionstamped() => Some(key),
            _ => None,
        })
    }

    /// About how many bytes it sends.
    pub(crate) fn size(&self) -> usize {
        let size = |write: &Write| match write {
            Write::Set(key, value) | Write::Atomic(_, key, value) => key.len() + value.len(),
            Write::Clear(key) => key.len(),
            Write::ClearRange(begin, end) => begin.len() + end.len(),
        };
        self.writes.iter().map(size).sum()
    }
}

/// What a group does.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// For each transaction in its order.
    pub(crate) outcomes: Vec<Result<Versionstamp, Error>>,
    pub(crate) effects: Effects,
    /// What each accepted transaction wrote, by ascending version.
    pub(crate) commits: Vec<(u64, WriteSet)>,
}

/// What is to be done to the rows: first the clears of ranges, then the keys.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) cleared: RangeSet,
    pub(crate) keys: BTreeMap<Bytes, Option<Bytes>>,
}

/// The state under the lock.
pub(crate) struct Now<'a> {
    pub(crate) position: Position,
    pub(crate) window: &'a Window,
    /// The present values of all [`Attempt::operands`].
    pub(crate) values: &'a BTreeMap<Bytes, Bytes>,
}

/// Decides on each attempt in turn, as if those before it had been committed alone.
pub(crate) fn plan(attempts: &[&Attempt], now: &Now<'_>) -> Plan {
    let (mut plan, mut own) = (Plan::default(), Window::new(0));
    let mut version = now.position.version;
    for attempt in attempts {
        let next = attempt.least_version.max(version + 1);
        let accepted = check(attempt, now, &own).and_then(|()| resolve(attempt, next));
        let outcome = accepted.map(|(writes, written)| {
            version = next;
            writes.into_iter().for_each(|write| plan.effects.apply(write, now.values));
            own.record(version, written.clone(), Duration::ZERO);
            plan.commits.push((version, written));
            Versionstamp::new(version, 0)
        });
        plan.outcomes.push(outcome);
    }
    plan
}

fn check(attempt: &Attempt, now: &Now<'_>, own: &Window) -> Result<(), Error> {
    let Some(base) = attempt.base else { return Ok(()) };
    if base.timeline != now.position.timeline || base.version > now.position.version {
        return Err(Error::too_old());
    }
    now.window.check(&attempt.reads, base.version)?;
    own.check(&attempt.reads, 0)
}

/// The writes with the versionstamp in its place, and what they conflict with.
fn resolve(attempt: &Attempt, version: u64) -> Result<(Vec<Write>, WriteSet), Error> {
    let stamp = Versionstamp::new(version, 0);
    let mut written = WriteSet { keys: Vec::new(), ranges: attempt.claims.clone() };
    let mut writes = Vec::with_capacity(attempt.writes.len());
    for write in &attempt.writes {
        let write = write.stamped(stamp)?;
        match &write {
            Write::Set(key, _) | Write::Clear(key) | Write::Atomic(_, key, _) => {
                written.keys.push(key.clone());
            }
            Write::ClearRange(begin, end) => written.ranges.push((begin.clone(), end.clone())),
        }
        writes.push(write);
    }
    Ok((writes, written))
}

impl Effects {
    fn apply(&mut self, write: Write, values: &BTreeMap<Bytes, Bytes>) {
        match write {
            Write::Set(key, value) => drop(self.keys.insert(key, Some(value))),
            Write::Clear(key) => drop(self.keys.insert(key, None)),
            Write::ClearRange(begin, end) => {
                self.keys.extract_if(&begin..&end, |_, _| true).for_each(drop);
                self.cleared.insert(begin, end);
            }
            Write::Atomic(op, key, operand) => {
                let value = match self.keys.get(&key) {
                    Some(value) => op.apply(value.as_deref(), &operand),
                    None if self.cleared.contains(&key) => op.apply(None, &operand),
                    None => op.apply(values.get(&key).map(|value| &value[..]), &operand),
                };
                self.keys.insert(key, value);
            }
        }
    }

    /// Keys to be cleared one by one.
    pub(crate) fn clears(&self) -> impl Iterator<Item = &[u8]> {
        let gone = |key: &Bytes| self.cleared.contains(key);
        self.keys.iter().filter(move |(key, value)| value.is_none() && !gone(key)).map(|(key, _)| &key[..])
    }

    /// Rows to be written.
    pub(crate) fn puts(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.iter().filter_map(|(key, value)| Some((&key[..], &value.as_ref()?[..])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::AtomicOp;

    fn key(key: &'static str) -> Bytes {
        Bytes::from_static(key.as_bytes())
    }

    fn at(version: u64) -> Position {
        Position { timeline: 1, version }
    }

    fn read(keys: &[&'static str], version: u64, writes: Vec<Write>) -> Attempt {
        let mut attempt = Attempt { base: Some(at(version)), writes, ..Attempt::default() };
        keys.iter().for_each(|key| attempt.reads.insert_key(key.as_bytes()));
        attempt
    }

    fn set(name: &'static str) -> Vec<Write> {
        vec![Write::Set(key(name), key("v"))]
    }

    fn planned(attempts: &[Attempt], window: &Window, values: &[(&'static str, &'static str)]) -> Plan {
        let values = values.iter().map(|(k, v)| (key(k), key(v))).collect();
        let attempts: Vec<&Attempt> = attempts.iter().collect();
        plan(&attempts, &Now { position: at(10), window, values: &values })
    }

    #[test]
    fn a_transaction_conflicts_with_those_before_it_in_the_group() {
        let group = [read(&["a"], 10, set("b")), read(&["b"], 10, set("c")), read(&["c"], 10, set("d"))];
        let plan = planned(&group, &Window::new(10), &[]);
        let stamps = [Ok(Versionstamp::new(11, 0)), Err(Error::conflict()), Ok(Versionstamp::new(12, 0))];
        assert_eq!(plan.outcomes, stamps, "what a refused one would have written is no conflict");
        assert_eq!(plan.commits.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [11, 12]);
        assert_eq!(plan.effects.puts().map(|(key, _)| key).collect::<Vec<_>>(), [b"b", b"d"]);
    }

    #[test]
    fn what_was_read_elsewhere_or_too_long_ago_is_too_old() {
        let mut elsewhere = read(&["a"], 10, set("b"));
        elsewhere.base = Some(Position { timeline: 2, version: 10 });
        let group =
            [elsewhere, read(&["a"], 8, set("b")), read(&["a"], 11, set("b")), read(&["a"], 9, vec![])];
        let plan = planned(&group, &Window::new(9), &[]);
        let old = || Err(Error::too_old());
        assert_eq!(plan.outcomes, [old(), old(), old(), Ok(Versionstamp::new(11, 0))]);
    }

    #[test]
    fn operations_build_on_each_other() {
        let add = |name| Write::Atomic(AtomicOp::Add, key(name), Bytes::from_static(&[1]));
        let clear = Write::ClearRange(key("m"), key("p"));
        let group = [
            read(&[], 10, vec![add("a"), add("n")]),
            read(&[], 10, vec![add("a"), clear, add("n"), add("z")]),
            read(&[], 10, vec![Write::Clear(key("b")), Write::Clear(key("o"))]),
        ];
        let plan = planned(&group, &Window::new(10), &[("a", "\x05"), ("n", "\x07")]);
        let puts: Vec<_> = plan.effects.puts().collect();
        assert_eq!(puts, [(&b"a"[..], &[7u8][..]), (b"n", &[1]), (b"z", &[1])]);
        assert_eq!(plan.effects.clears().collect::<Vec<_>>(), [b"b"]);
    }

    #[test]
    fn versionstamps_are_placed_and_conflict() {
        let op = AtomicOp::SetVersionstampedKey { offset: 1 };
        let stamped = vec![Write::Atomic(op, key("l0123456789"), key("v"))];
        let mut reader = read(&[], 10, set("x"));
        reader.reads.insert(key("l"), key("m"));
        let plan = planned(&[read(&[], 10, stamped), reader], &Window::new(10), &[]);
        assert_eq!(plan.outcomes[1], Err(Error::conflict()));
        let expected = [b"l", &Versionstamp::new(11, 0).as_bytes()[..]].concat();
        assert_eq!(plan.effects.puts().map(|(key, _)| key.to_vec()).collect::<Vec<_>>(), [expected]);
    }
}
