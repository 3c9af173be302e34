//! Sets of keys made of half-open ranges.

use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The smallest key above `key`.
pub fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.extend_from_slice(&[0]);
    next.freeze()
}

/// A set of keys, as ranges `begin..end` that neither touch nor overlap.
#[derive(Clone, Debug, Default)]
pub struct RangeSet {
    /// Begin to end.
    ranges: BTreeMap<Bytes, Bytes>,
}

impl RangeSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds `begin..end`; an empty range adds nothing.
    pub fn insert(&mut self, mut begin: Bytes, mut end: Bytes) {
        if begin >= end {
            return;
        }
        // Swallow each range that overlaps or touches: they begin at or before our end, so look from there
        // downwards.
        while let Some((b, e)) = self.ranges.range::<Bytes, _>(..=&end).next_back() {
            if *e < begin {
                break;
            }
            let b = b.clone();
            let e = self.ranges.remove(&b).unwrap_or_default();
            end = end.max(e);
            begin = begin.min(b);
        }
        self.ranges.insert(begin, end);
    }

    /// Adds one key.
    pub fn insert_key(&mut self, key: &[u8]) {
        if !self.contains(key) {
            self.insert(Bytes::copy_from_slice(key), successor(key));
        }
    }

    /// Whether `key` is in the set.
    pub fn contains(&self, key: &[u8]) -> bool {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.ranges.range::<[u8], _>(upto).next_back().is_some_and(|(_, end)| **end > *key)
    }

    /// Whether the set and `begin..end` have a key in common.
    pub fn intersects(&self, begin: &[u8], end: &[u8]) -> bool {
        if begin >= end {
            return false;
        }
        let below = (Bound::Unbounded, Bound::Excluded(end));
        self.ranges.range::<[u8], _>(below).next_back().is_some_and(|(_, e)| **e > *begin)
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.ranges.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn set(ranges: &[(&'static str, &'static str)]) -> RangeSet {
        let mut set = RangeSet::default();
        for (begin, end) in ranges {
            set.insert(Bytes::from(*begin), Bytes::from(*end));
        }
        set
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let s = set(&[("a", "c"), ("e", "g"), ("c", "e")]);
        assert_eq!(s.iter().collect::<Vec<_>>(), [(&Bytes::from("a"), &Bytes::from("g"))]);
        assert_eq!(set(&[("b", "c"), ("d", "e"), ("a", "z")]).iter().count(), 1);
        assert_eq!(set(&[("a", "z"), ("b", "c")]).iter().count(), 1);
        assert!(set(&[("b", "a"), ("c", "c")]).is_empty());
    }

    #[test]
    fn ends_are_outside() {
        let s = set(&[("b", "d")]);
        assert!(s.contains(b"b") && s.contains(b"c\xff") && !s.contains(b"d") && !s.contains(b"a"));
        assert!(s.intersects(b"a", b"b\0") && s.intersects(b"c", b"z"));
        assert!(!s.intersects(b"a", b"b") && !s.intersects(b"d", b"z") && !s.intersects(b"c", b"c"));
    }

    proptest::proptest! {
        /// Against a plain set of one-byte keys.
        #[test]
        fn agrees_with_a_plain_set(ranges in proptest::collection::vec((0u8..40, 0u8..40), 0..20)) {
            let (mut s, mut plain) = (RangeSet::default(), BTreeSet::new());
            for (begin, end) in ranges {
                s.insert(Bytes::from(vec![begin]), Bytes::from(vec![end]));
                plain.extend(begin..end);
            }
            for key in 0..40u8 {
                assert_eq!(s.contains(&[key]), plain.contains(&key));
                for end in key + 1..40 {
                    assert_eq!(s.intersects(&[key], &[end]), plain.range(key..end).next().is_some());
                }
            }
            let flat: Vec<_> = s.iter().flat_map(|(b, e)| [b.clone(), e.clone()]).collect();
            assert!(flat.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
