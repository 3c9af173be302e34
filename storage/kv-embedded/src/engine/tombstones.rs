//! Cleared ranges with the versions that cleared them.

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Cleared ranges, cut where they overlap, so that each piece has one list of versions: a lookup is one step
/// however many ranges there are.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// Begin of a piece to its end and the versions that cleared it, ascending. Pieces do not overlap.
    pieces: BTreeMap<Bytes, Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    end: Bytes,
    versions: SmallVec<[u64; 2]>,
}

impl Piece {
    fn at(&self, version: u64) -> Option<u64> {
        self.versions.iter().rev().copied().find(|v| *v <= version)
    }
}

impl Tombstones {
    /// Clears `begin..end` at `version`, which is not lower than any before.
    pub(crate) fn insert(&mut self, begin: &Bytes, end: &Bytes, version: u64) {
        if begin >= end {
            return;
        }
        self.split(begin);
        self.split(end);
        let mut gap = begin.clone();
        let mut gaps = Vec::new();
        for (start, piece) in self.pieces.range_mut::<Bytes, _>(begin..end) {
            if gap < *start {
                gaps.push((gap, start.clone()));
            }
            if piece.versions.last() != Some(&version) {
                piece.versions.push(version);
            }
            gap = piece.end.clone();
        }
        if gap < *end {
            gaps.push((gap, end.clone()));
        }
        for (begin, end) in gaps {
            self.pieces.insert(begin, Piece { end, versions: smallvec![version] });
        }
    }

    /// Makes `at` a border of the piece that holds it.
    fn split(&mut self, at: &Bytes) {
        let Some((_, piece)) = self.pieces.range_mut::<Bytes, _>(..at).next_back() else { return };
        if piece.end > *at {
            let right = piece.clone();
            piece.end = at.clone();
            self.pieces.insert(at.clone(), right);
        }
    }

    /// The last version up to `version` that cleared `key`.
    pub(crate) fn newest(&self, key: &[u8], version: u64) -> Option<u64> {
        if self.pieces.is_empty() {
            return None;
        }
        let upto = (Bound::Unbounded, Bound::Included(key));
        let (_, piece) = self.pieces.range::<[u8], _>(upto).next_back()?;
        if *piece.end > *key { piece.at(version) } else { None }
    }

    /// What was cleared up to `version` between `begin` and `end`: in order, neither touching nor overlapping.
    pub(crate) fn cleared(&self, begin: &[u8], end: &[u8], version: u64) -> Vec<(Bytes, Bytes)> {
        let mut out: Vec<(Bytes, Bytes)> = Vec::new();
        if self.pieces.is_empty() || begin >= end {
            return out;
        }
        let upto = (Bound::Unbounded, Bound::Included(begin));
        let first = self.pieces.range::<[u8], _>(upto).next_back().filter(|(_, piece)| *piece.end > *begin);
        let inside = self.pieces.range::<[u8], _>((Bound::Excluded(begin), Bound::Excluded(end)));
        let cleared = first.into_iter().chain(inside).filter(|(_, piece)| piece.at(version).is_some());
        cleared.for_each(|(start, piece)| join(&mut out, start, &piece.end));
        out
    }

    /// All that was ever cleared: in order, neither touching nor overlapping.
    pub(crate) fn all(&self) -> Vec<(Bytes, Bytes)> {
        let mut out = Vec::new();
        self.pieces.iter().for_each(|(start, piece)| join(&mut out, start, &piece.end));
        out
    }
}

/// Adds a range that begins at or behind the end of the last one.
fn join(ranges: &mut Vec<(Bytes, Bytes)>, begin: &Bytes, end: &Bytes) {
    match ranges.last_mut() {
        Some((_, last)) if last == begin => *last = end.clone(),
        _ => ranges.push((begin.clone(), end.clone())),
    }
}

/// The one of sorted ranges that holds `key`.
pub(crate) fn covering<'a>(ranges: &'a [(Bytes, Bytes)], key: &[u8]) -> Option<&'a (Bytes, Bytes)> {
    let after = ranges.partition_point(|(begin, _)| **begin <= *key);
    ranges[..after].last().filter(|(_, end)| **end > *key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    proptest! {
        #[test]
        fn behaves_as_a_list_of_all_ranges(
            ranges in prop::collection::vec((0u8..40, 0u8..40), 0..25),
        ) {
            let mut tombstones = Tombstones::default();
            for (version, (b, e)) in ranges.iter().enumerate() {
                tombstones.insert(&key(*b), &key(*e), version as u64);
            }
            for version in 0..26u64 {
                let expected = |k: u8| {
                    let hits = ranges.iter().enumerate().filter(|(v, (b, e))| *v as u64 <= version && (*b..*e).contains(&k));
                    hits.map(|(v, _)| v as u64).max()
                };
                let cleared = tombstones.cleared(&key(5), &key(30), version);
                for k in 0..40u8 {
                    prop_assert_eq!(tombstones.newest(&[k], version), expected(k));
                    if (5..30).contains(&k) {
                        prop_assert_eq!(covering(&cleared, &[k]).is_some(), expected(k).is_some());
                    }
                }
                prop_assert!(cleared.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
