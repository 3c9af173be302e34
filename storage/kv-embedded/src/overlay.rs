//! A transaction's own writes, as its own reads see them.

use bytes::Bytes;
use kv::{AtomicOp, RangeSet, Versionstamp};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What a transaction has written to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// A value, or a clear.
    Value(Option<Bytes>),
    /// Operations on what the snapshot holds.
    Operations(Vec<(AtomicOp, Bytes)>),
    /// Something with the versionstamp in it.
    Unreadable,
}

impl Own {
    /// The value on top of what the snapshot holds. Not for [`Own::Unreadable`].
    pub(crate) fn over(&self, stored: Option<Bytes>) -> Option<Bytes> {
        match self {
            Own::Value(value) => value.clone(),
            Own::Operations(ops) => {
                ops.iter().fold(stored, |value, (op, operand)| op.apply(value.as_deref(), operand))
            }
            Own::Unreadable => stored,
        }
    }
}

/// Own writes by key.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    keys: BTreeMap<Bytes, Own>,
    cleared: RangeSet,
    /// First and last key that a versionstamped key can become.
    stamped: Vec<(Bytes, Bytes)>,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.cleared.is_empty() && self.stamped.is_empty()
    }

    pub(crate) fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        self.keys.insert(key, Own::Value(value));
    }

    pub(crate) fn clear_range(&mut self, begin: &Bytes, end: &Bytes) {
        if begin >= end {
            return;
        }
        let inside: Vec<Bytes> =
            self.keys.range::<Bytes, _>(begin..end).map(|(key, _)| key.clone()).collect();
        for key in inside {
            self.keys.remove(&key);
        }
        self.cleared.insert(begin.clone(), end.clone());
    }

    pub(crate) fn atomic(&mut self, op: AtomicOp, key: Bytes, operand: Bytes) {
        let own = match op {
            AtomicOp::SetVersionstampedKey { offset } => {
                let ends = [Versionstamp::ZERO, Versionstamp::MAX].map(|stamp| stamp.place(&key, offset));
                // An offset outside of the key fails the commit.
                if let [Ok(first), Ok(last)] = ends {
                    self.stamped.push((first, last));
                }
                return;
            }
            AtomicOp::SetVersionstampedValue { .. } => Own::Unreadable,
            _ => match self.get(&key) {
                Some(Own::Value(value)) => Own::Value(op.apply(value.as_deref(), &operand)),
                Some(Own::Operations(mut ops)) => {
                    ops.push((op, operand));
                    Own::Operations(ops)
                }
                Some(Own::Unreadable) => Own::Unreadable,
                None => Own::Operations(vec![(op, operand)]),
            },
        };
        self.keys.insert(key, own);
    }

    /// What was written to `key`, if anything was.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Own> {
        let cleared = || self.cleared.contains(key).then_some(Own::Value(None));
        self.keys.get(key).cloned().or_else(cleared)
    }

    /// Keys written one by one in `begin..end`, in order.
    pub(crate) fn keys(&self, begin: &[u8], end: &[u8], reverse: bool) -> Vec<(Bytes, Own)> {
        if begin >= end {
            return Vec::new();
        }
        let range = self.keys.range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end)));
        let own = range.map(|(key, own)| (key.clone(), own.clone()));
        if reverse { own.rev().collect() } else { own.collect() }
    }

    /// Whether something in `begin..end` is known only after the commit.
    pub(crate) fn is_unreadable(&self, begin: &[u8], end: &[u8]) -> bool {
        if begin >= end {
            return false;
        }
        let mut keys = self.keys.range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end)));
        self.stamped.iter().any(|(first, last)| **first < *end && **last >= *begin)
            || keys.any(|(_, own)| *own == Own::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn operations_build_on_what_is_known() {
        let mut overlay = Overlay::default();
        overlay.atomic(AtomicOp::Add, bytes("n"), bytes("\x01"));
        overlay.atomic(AtomicOp::Add, bytes("n"), bytes("\x02"));
        assert_eq!(overlay.get(b"n").unwrap().over(Some(bytes("\x04"))), Some(bytes("\x07")));
        overlay.clear_range(&bytes("a"), &bytes("z"));
        assert_eq!(overlay.get(b"n"), Some(Own::Value(None)));
        overlay.atomic(AtomicOp::Add, bytes("n"), bytes("\x05"));
        assert_eq!(overlay.get(b"n"), Some(Own::Value(Some(bytes("\x05")))));
        assert_eq!(overlay.get(b"z"), None);
        assert_eq!(overlay.keys(b"a", b"z", false).len(), 1);
    }

    #[test]
    fn what_holds_the_versionstamp_is_unreadable() {
        let mut overlay = Overlay::default();
        overlay.atomic(AtomicOp::SetVersionstampedKey { offset: 1 }, bytes("k0123456789"), bytes("v"));
        overlay.atomic(AtomicOp::SetVersionstampedValue { offset: 0 }, bytes("v"), bytes("0123456789"));
        assert!(overlay.is_unreadable(b"k", b"l"));
        assert!(overlay.is_unreadable(b"k\xFE", b"l"));
        assert!(!overlay.is_unreadable(b"a", b"k"));
        assert!(overlay.is_unreadable(b"u", b"w"));
        assert_eq!(overlay.get(b"v"), Some(Own::Unreadable));
        overlay.set(bytes("v"), None);
        assert!(!overlay.is_unreadable(b"u", b"w"));
    }
}
