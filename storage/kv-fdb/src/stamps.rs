//! Which keys hold, or may hold, a versionstamp of the present transaction: they cannot be read before its commit.
//!
//! FoundationDB knows that too, but a read that it refuses for this fails the commit as well. So it is never asked.

use bytes::Bytes;
use kv::{AtomicOp, RangeSet, prefix_end, successor};
use std::collections::BTreeSet;

/// What a transaction has versionstamped.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// Keys whose value is one, and was not written over since.
    values: BTreeSet<Bytes>,
    /// Where keys that have one may end up.
    keys: RangeSet,
}

impl Stamps {
    /// Notes an operation. An offset must lie inside of the key.
    pub(crate) fn atomic(&mut self, op: AtomicOp, key: &[u8]) {
        match op {
            AtomicOp::SetVersionstampedValue { .. } => drop(self.values.insert(Bytes::copy_from_slice(key))),
            AtomicOp::SetVersionstampedKey { offset } => self.keys.insert(
                Bytes::copy_from_slice(&key[..offset]),
                prefix_end(&[&key[..offset], &[0xFF; 10], &key[offset + 10..]].concat()),
            ),
            // What is added to an unknown value is as unknown.
            _ => {}
        }
    }

    /// Notes that `key` was set or cleared; says whether its value was a versionstamp before.
    pub(crate) fn write(&mut self, key: &[u8]) -> bool {
        !self.values.is_empty() && self.values.remove(key)
    }

    /// Notes that each key from `begin` on and below `end` was cleared.
    pub(crate) fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        if !self.values.is_empty() {
            self.values.retain(|key| **key < *begin || **key >= *end);
        }
    }

    /// Whether `key` cannot be read.
    pub(crate) fn hides(&self, key: &[u8]) -> bool {
        self.values.contains(key) || self.keys.contains(key)
    }

    /// The part of `begin..end` that can be read, from its begin on, or from its end backwards if `reverse`; `None`
    /// if that is all of it.
    pub(crate) fn readable(&self, begin: &Bytes, end: &Bytes, reverse: bool) -> Option<(Bytes, Bytes)> {
        if self.values.is_empty() && self.keys.is_empty() {
            return None;
        }
        let mut values = self.values.range::<Bytes, _>(begin..end);
        let ranges = self.keys.iter().filter(|(b, e)| *b < end && *e > begin);
        if reverse {
            let value = values.next_back().map(|key| successor(key));
            let hidden = ranges.map(|(_, e)| e.clone()).chain(value).max()?;
            return Some((hidden.min(end.clone()), end.clone()));
        }
        let value = values.next().cloned();
        let hidden = ranges.map(|(b, _)| b.clone()).chain(value).min()?;
        Some((begin.clone(), hidden.max(begin.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_value_hides_its_key_until_it_is_written_over() {
        let mut stamps = Stamps::default();
        for key in [b"a", b"b", b"c"] {
            stamps.atomic(AtomicOp::SetVersionstampedValue { offset: 0 }, key);
        }
        stamps.atomic(AtomicOp::Add, b"a");
        assert!(stamps.hides(b"a") && !stamps.hides(b"aa"));
        assert!(stamps.write(b"a") && !stamps.write(b"a"));
        stamps.clear_range(b"b", b"c");
        assert!(!stamps.hides(b"a") && !stamps.hides(b"b") && stamps.hides(b"c"));
    }

    #[test]
    fn a_stamped_key_hides_where_it_may_be() {
        let mut stamps = Stamps::default();
        stamps.atomic(AtomicOp::SetVersionstampedKey { offset: 4 }, b"log/0123456789x");
        assert!(
            stamps.hides(b"log/")
                && stamps.hides(b"log/\xff\xffzz")
                && !stamps.hides(b"log")
                && !stamps.hides(b"log0")
        );
        // A stamp of some earlier writing is no way to read it.
        stamps.write(b"log/0123456789x");
        assert!(stamps.hides(b"log/0123456789x"));
    }

    #[test]
    fn ranges_can_be_read_up_to_what_is_hidden() {
        let mut stamps = Stamps::default();
        let readable = |stamps: &Stamps, begin: &str, end: &str, reverse| {
            let part = stamps.readable(&begin.to_owned().into(), &end.to_owned().into(), reverse);
            part.map(|(begin, end)| [begin, end].map(|key| String::from_utf8_lossy(&key).into_owned()))
        };
        let part = |begin: &str, end: &str| Some([begin.to_owned(), end.to_owned()]);
        assert_eq!(readable(&stamps, "a", "z", false), None);
        stamps.atomic(AtomicOp::SetVersionstampedValue { offset: 0 }, b"k");
        stamps.atomic(AtomicOp::SetVersionstampedKey { offset: 4 }, b"log/0123456789");
        assert_eq!(readable(&stamps, "a", "z", false), part("a", "k"));
        assert_eq!(readable(&stamps, "a", "k", false), None);
        assert_eq!(readable(&stamps, "k", "z", false), part("k", "k"));
        assert_eq!(readable(&stamps, "l", "z", false), part("l", "log/"));
        assert_eq!(readable(&stamps, "log/5", "z", false), part("log/5", "log/5"));
        assert_eq!(readable(&stamps, "a", "z", true), part("log0", "z"));
        assert_eq!(readable(&stamps, "a", "l", true), part("k\0", "l"));
        assert_eq!(readable(&stamps, "a", "log/5", true), part("log/5", "log/5"));
        assert_eq!(readable(&stamps, "m", "z", true), None);
    }
}
