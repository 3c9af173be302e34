//! What a transaction has written, as its own reads see it: for backends that collect writes in memory.

use crate::{AtomicOp, RangeSet, prefix_end};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What is known of a key from the transaction's own writes.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// All: the store need not be asked.
    Known(Option<Bytes>),
    /// These operations on what the store has.
    OnStore(&'a [(AtomicOp, Bytes)]),
    /// It will hold the versionstamp.
    Unreadable,
}

#[derive(Debug)]
enum Write {
    Value(Option<Bytes>),
    Pending(Vec<(AtomicOp, Bytes)>),
    Stamped,
}

/// A transaction's own writes.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Keys written after the last clear of a range around them.
    keys: BTreeMap<Bytes, Write>,
    cleared: RangeSet,
    /// Where versionstamped keys may end up.
    unreadable: RangeSet,
}

impl Overlay {
    /// Notes that `key` was set, or cleared.
    pub fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        self.keys.insert(key, Write::Value(value));
    }

    /// Notes that each key from `begin` on and below `end` was cleared.
    pub fn clear_range(&mut self, begin: &Bytes, end: &Bytes) {
        let gone: Vec<Bytes> = self.keys.range::<Bytes, _>(begin..end).map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| drop(self.keys.remove(key)));
        self.cleared.insert(begin.clone(), end.clone());
    }

    /// Notes an operation. An offset must lie inside its key, which [`crate::Transaction`] has checked.
    pub fn atomic(&mut self, op: AtomicOp, key: Bytes, operand: Bytes) {
        match op {
            AtomicOp::SetVersionstampedKey { offset } => self.unreadable.insert(
                Bytes::copy_from_slice(&key[..offset]),
                // From all zeros to all ones in place of the versionstamp: some more than that is no harm.
                prefix_end(&[&key[..offset], &[0xFF; 10], &key[offset + 10..]].concat()),
            ),
            AtomicOp::SetVersionstampedValue { .. } => {
                self.keys.insert(key, Write::Stamped);
            }
            _ => self.compute(op, key, operand),
        }
    }

    fn compute(&mut self, op: AtomicOp, key: Bytes, operand: Bytes) {
        match self.keys.get_mut(&key) {
            Some(Write::Value(value)) => *value = op.apply(value.as_deref(), &operand),
            Some(Write::Pending(operations)) => operations.push((op, operand)),
            Some(Write::Stamped) => {}
            None if self.cleared.contains(&key) => self.set(key, op.apply(None, &operand)),
            None => drop(self.keys.insert(key, Write::Pending(vec![(op, operand)]))),
        }
    }

    /// What is known of `key`.
    pub fn lookup(&self, key: &[u8]) -> Lookup<'_> {
        if self.unreadable.contains(key) {
            return Lookup::Unreadable;
        }
        match self.keys.get(key) {
            Some(Write::Value(value)) => Lookup::Known(value.clone()),
            Some(Write::Pending(operations)) => Lookup::OnStore(operations),
            Some(Write::Stamped) => Lookup::Unreadable,
            None if self.cleared.contains(key) => Lookup::Known(None),
            None => Lookup::OnStore(&[]),
        }
    }

    /// Keys written one by one, in order.
    pub fn keys(&self, begin: &Bytes, end: &Bytes) -> impl DoubleEndedIterator<Item = &Bytes> {
        self.keys.range::<Bytes, _>(begin..end).map(|(key, _)| key)
    }

    /// Whether a versionstamped key may end up in `begin..end`.
    pub fn is_unreadable(&self, begin: &[u8], end: &[u8]) -> bool {
        self.unreadable.intersects(begin, end)
    }
}
