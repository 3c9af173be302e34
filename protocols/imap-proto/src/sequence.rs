//! Sets of message numbers as a client writes them (RFC 9051 §9 `sequence-set`).

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use crate::Problem;
use crate::cursor::{Cursor, Result};

/// One end of a range: a number or `*`, the largest in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeqNumber {
    /// A message number or UID.
    Number(NonZeroU32),
    /// `*`
    Largest,
}

impl SeqNumber {
    fn resolve(self, largest: u32) -> u32 {
        match self {
            SeqNumber::Number(number) => number.get(),
            SeqNumber::Largest => largest,
        }
    }
}

/// A set of message numbers or UIDs: never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// `$`: the saved search result (RFC 5182 §2.1, RFC 9051 §6.4.4.1).
    Saved,
    /// Ranges in the order written; both ends may come in either order (RFC 9051 §9 `seq-range`).
    Ranges(Vec<(SeqNumber, SeqNumber)>),
}

impl SequenceSet {
    /// `sequence-set = (seq-number / seq-range) ["," sequence-set] / seq-last-command`;
    /// `seq-last-command = "$"`
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<SequenceSet> {
        if cursor.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = seq_number(cursor)?;
            let last = if cursor.eat(b':') { seq_number(cursor)? } else { first };
            ranges.push((first, last));
            if !cursor.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// A set from its text, such as `1:4,7,9:*`.
    pub fn from_text(text: &str) -> Option<SequenceSet> {
        let mut cursor = Cursor::new(text.as_bytes(), false);
        let set = Self::parse(&mut cursor).ok()?;
        cursor.rest().is_empty().then_some(set)
    }

    /// `known-uids`, `known-sequence-set` (RFC 7162 §7): as `sequence-set`, but `*` and `$` are not allowed.
    pub(crate) fn parse_known(cursor: &mut Cursor<'_>) -> Result<SequenceSet> {
        let set = Self::parse(cursor)?;
        if set.is_saved() || set.mentions_largest() {
            return Err(Problem::Syntax("* and $ are not allowed here"));
        }
        Ok(set)
    }

    /// Whether this is `$`.
    pub fn is_saved(&self) -> bool {
        matches!(self, SequenceSet::Saved)
    }

    /// Whether `*` is in the set.
    pub fn mentions_largest(&self) -> bool {
        match self {
            SequenceSet::Saved => false,
            SequenceSet::Ranges(ranges) => {
                ranges.iter().any(|(a, b)| *a == SeqNumber::Largest || *b == SeqNumber::Largest)
            }
        }
    }

    /// Ascending ranges that neither overlap nor touch, `*` standing for `largest`. Empty for `$`; with
    /// `largest` 0 (an empty mailbox) `*` stands for nothing.
    pub fn resolve(&self, largest: u32) -> Vec<RangeInclusive<u32>> {
        let SequenceSet::Ranges(ranges) = self else { return Vec::new() };
        let mut spans: Vec<(u32, u32)> = ranges
            .iter()
            .map(|(a, b)| (a.resolve(largest), b.resolve(largest)))
            .map(|(a, b)| (a.min(b), a.max(b)))
            .filter(|(low, _)| *low > 0)
            .collect();
        spans.sort_unstable();
        let mut merged: Vec<RangeInclusive<u32>> = Vec::with_capacity(spans.len());
        for (low, high) in spans {
            match merged.last_mut() {
                Some(last) if low <= last.end().saturating_add(1) => {
                    *last = *last.start()..=high.max(*last.end());
                }
                _ => merged.push(low..=high),
            }
        }
        merged
    }
}

/// `seq-number = nz-number / "*"`
fn seq_number(cursor: &mut Cursor<'_>) -> Result<SeqNumber> {
    if cursor.eat(b'*') {
        return Ok(SeqNumber::Largest);
    }
    cursor.nz_number().map(SeqNumber::Number).map_err(|_| Problem::Syntax("invalid message set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, largest: u32) -> Vec<(u32, u32)> {
        let set = SequenceSet::from_text(text).unwrap();
        set.resolve(largest).into_iter().map(|r| (*r.start(), *r.end())).collect()
    }

    /// The examples of RFC 9051 §9 (seq-range, sequence-set).
    #[test]
    fn examples_of_the_rfc() {
        assert_eq!(resolved("2,4:7,9,12:*", 15), [(2, 2), (4, 7), (9, 9), (12, 15)]);
        assert_eq!(resolved("*:4,5:7", 10), [(4, 10)]);
        assert_eq!(resolved("2:4", 10), resolved("4:2", 10));
    }

    #[test]
    fn star_below_the_range_start_still_names_the_largest() {
        // RFC 9051 §9: 3291:* includes the UID of the last message even if that is below 3291.
        assert_eq!(resolved("3291:*", 100), [(100, 3291)]);
        assert_eq!(resolved("*", 0), []);
        assert_eq!(resolved("*:*", 7), [(7, 7)]);
    }

    #[test]
    fn overlaps_and_neighbours_merge() {
        assert_eq!(resolved("5,1:3,2:4,1", 9), [(1, 5)]);
        assert_eq!(resolved("1:4294967295,4294967295", 9), [(1, u32::MAX)]);
    }

    #[test]
    fn refused() {
        for bad in
            ["", "0", "1:0", "a", "1,", ",1", "1:", ":1", "1:2:3", "4294967296", "-1", "$,1", "1,$", "1 2"]
        {
            assert_eq!(SequenceSet::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn saved_and_known() {
        assert!(SequenceSet::from_text("$").unwrap().is_saved());
        assert!(SequenceSet::from_text("$").unwrap().resolve(5).is_empty());
        let known = |text: &str| SequenceSet::parse_known(&mut Cursor::new(text.as_bytes(), false));
        assert!(known("1:5,9").is_ok());
        assert!(known("1:*").is_err());
        assert!(known("$").is_err());
    }
}
