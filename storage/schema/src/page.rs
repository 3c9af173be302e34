//! Sets of UIDs within one page of 4,096, and lists of UID ranges, as they are stored.
//!
//! A mailbox's UIDs are kept as pages so that opening it reads one small value per 4,096 UIDs ever given
//! out. A page is stored as runs or as a bitmap, whichever is shorter; a full or freshly filled page is one
//! run of a few bytes.

use crate::RecordError;
use std::ops::RangeInclusive;

/// UIDs per page.
pub const PAGE_UIDS: u32 = 4096;

/// Runs a page may have before it is a bitmap in memory (where both take 512 bytes).
const MAX_RUNS: usize = 128;

const RUNS: u8 = 1;
const BITS: u8 = 2;

/// The page a UID is on.
pub const fn page_of(uid: u32) -> u32 {
    uid / PAGE_UIDS
}

/// A set of numbers below [`PAGE_UIDS`].
#[derive(Debug, Clone)]
pub enum Page {
    /// Inclusive runs, ascending, not touching each other.
    Runs(Vec<(u16, u16)>),
    /// One bit each, the lowest first.
    Bits(Box<[u64; 64]>),
}

impl Default for Page {
    fn default() -> Self {
        Page::Runs(Vec::new())
    }
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        self.runs().eq(other.runs())
    }
}

impl Eq for Page {}

impl Page {
    /// A page with one run.
    pub fn from_run(first: u16, last: u16) -> Page {
        Page::Runs(vec![(first, last.min(PAGE_UIDS as u16 - 1))])
    }

    /// Whether `at` is in the set.
    pub fn contains(&self, at: u16) -> bool {
        match self {
            Page::Runs(runs) => {
                let next = runs.partition_point(|run| run.0 <= at);
                next > 0 && at <= runs[next - 1].1
            }
            Page::Bits(words) => {
                words.get(usize::from(at / 64)).is_some_and(|word| word >> (at % 64) & 1 == 1)
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        match self {
            Page::Runs(runs) => runs.iter().map(|run| u32::from(run.1 - run.0) + 1).sum(),
            Page::Bits(words) => words.iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs().next().is_none()
    }

    /// How many lie below `at`.
    pub fn rank(&self, at: u16) -> u32 {
        match self {
            Page::Runs(runs) => runs
                .iter()
                .take_while(|run| run.0 < at)
                .map(|run| u32::from(run.1.min(at - 1) - run.0) + 1)
                .sum(),
            Page::Bits(words) => {
                let (word, bit) = (usize::from(at / 64), at % 64);
                let whole: u32 = words.iter().take(word).map(|word| word.count_ones()).sum();
                whole + words.get(word).map_or(0, |word| (word & ((1 << bit) - 1)).count_ones())
            }
        }
    }

    /// The one that has `rank` below it.
    pub fn select(&self, rank: u32) -> Option<u16> {
        let mut left = rank;
        for (first, last) in self.runs() {
            let len = u32::from(last - first) + 1;
            if left < len {
                return Some(first + left as u16);
            }
            left -= len;
        }
        None
    }

    /// Adds one; whether it was missing.
    pub fn insert(&mut self, at: u16) -> bool {
        if u32::from(at) >= PAGE_UIDS || self.contains(at) {
            return false;
        }
        match self {
            Page::Bits(words) => words[usize::from(at / 64)] |= 1 << (at % 64),
            Page::Runs(runs) => {
                insert_in_runs(runs, at);
                if runs.len() > MAX_RUNS {
                    *self = Page::Bits(bits_of(self));
                }
            }
        }
        true
    }

    /// Takes one away; whether it was there.
    pub fn remove(&mut self, at: u16) -> bool {
        if !self.contains(at) {
            return false;
        }
        match self {
            Page::Bits(words) => words[usize::from(at / 64)] &= !(1 << (at % 64)),
            Page::Runs(runs) => {
                remove_from_runs(runs, at);
                if runs.len() > MAX_RUNS {
                    *self = Page::Bits(bits_of(self));
                }
            }
        }
        true
    }

    /// The inclusive runs, ascending.
    pub fn runs(&self) -> PageRuns<'_> {
        PageRuns { page: self, at: 0 }
    }

    /// All numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.runs().flat_map(|(first, last)| first..=last)
    }

    /// The stored bytes: the shorter of both forms.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![RUNS];
        let mut next = 0;
        for (first, last) in self.runs() {
            put_varint(&mut bytes, u32::from(first) - next);
            put_varint(&mut bytes, u32::from(last - first));
            next = u32::from(last) + 1;
            if bytes.len() > 512 {
                let mut bytes = vec![BITS];
                bytes.extend(bits_of(self).iter().flat_map(|word| word.to_le_bytes()));
                return bytes;
            }
        }
        bytes
    }

    /// Reads what [`Page::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Page, RecordError> {
        let (&format, rest) = bytes.split_first().ok_or(RecordError::Short)?;
        match format {
            RUNS => {
                let mut runs = Vec::with_capacity(rest.len() / 2);
                read_ranges(rest, 0, u64::from(PAGE_UIDS), |first, last| {
                    runs.push((first as u16, last as u16));
                })?;
                let page = Page::Runs(runs);
                Ok(if matches!(&page, Page::Runs(runs) if runs.len() > MAX_RUNS) {
                    Page::Bits(bits_of(&page))
                } else {
                    page
                })
            }
            BITS if rest.len() == 512 => {
                let mut words = Box::new([0; 64]);
                for (word, bytes) in words.iter_mut().zip(rest.chunks_exact(8)) {
                    *word = bytes.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte));
                }
                Ok(Page::Bits(words))
            }
            BITS => Err(RecordError::Short),
            _ => Err(RecordError::Format(format)),
        }
    }
}

fn insert_in_runs(runs: &mut Vec<(u16, u16)>, at: u16) {
    let next = runs.partition_point(|run| run.0 < at);
    let joins_before = next > 0 && runs[next - 1].1 + 1 == at;
    let joins_after = runs.get(next).is_some_and(|run| run.0 == at + 1);
    match (joins_before, joins_after) {
        (true, true) => runs[next - 1].1 = runs.remove(next).1,
        (true, false) => runs[next - 1].1 = at,
        (false, true) => runs[next].0 = at,
        (false, false) => runs.insert(next, (at, at)),
    }
}

fn remove_from_runs(runs: &mut Vec<(u16, u16)>, at: u16) {
    let index = runs.partition_point(|run| run.0 <= at) - 1;
    let (first, last) = runs[index];
    match (first == at, last == at) {
        (true, true) => drop(runs.remove(index)),
        (true, false) => runs[index].0 = at + 1,
        (false, true) => runs[index].1 = at - 1,
        (false, false) => {
            runs[index].1 = at - 1;
            runs.insert(index + 1, (at + 1, last));
        }
    }
}

fn bits_of(page: &Page) -> Box<[u64; 64]> {
    match page {
        Page::Bits(words) => words.clone(),
        Page::Runs(runs) => {
            let mut words = Box::new([0u64; 64]);
            for at in runs.iter().flat_map(|&(first, last)| first..=last) {
                words[usize::from(at / 64)] |= 1 << (at % 64);
            }
            words
        }
    }
}

/// The runs of a page.
#[derive(Debug, Clone)]
pub struct PageRuns<'a> {
    page: &'a Page,
    /// Next run, or next bit to look at.
    at: u32,
}

impl Iterator for PageRuns<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        match self.page {
            Page::Runs(runs) => {
                let run = runs.get(self.at as usize).copied();
                self.at += 1;
                run
            }
            Page::Bits(words) => {
                let first = next_bit(words, self.at, true)?;
                let end = next_bit(words, first, false).unwrap_or(PAGE_UIDS);
                self.at = end;
                Some((first as u16, end as u16 - 1))
            }
        }
    }
}

/// The first bit from `from` on that is set, or clear.
fn next_bit(words: &[u64; 64], from: u32, set: bool) -> Option<u32> {
    let mut at = from;
    while at < PAGE_UIDS {
        let word = words[(at / 64) as usize];
        let looked_for = (if set { word } else { !word }) >> (at % 64);
        if looked_for != 0 {
            return Some(at + looked_for.trailing_zeros());
        }
        at = (at / 64 + 1) * 64;
    }
    None
}

/// Stored form of ascending, disjoint ranges: gaps and lengths, 7 bits to a byte.
pub fn encode_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Vec<u8> {
    let mut bytes = vec![RUNS];
    let mut next = 0;
    for range in ranges {
        put_varint(&mut bytes, range.start().saturating_sub(next));
        put_varint(&mut bytes, range.end().saturating_sub(*range.start()));
        next = range.end().saturating_add(1);
    }
    bytes
}

/// Reads what [`encode_ranges`] wrote.
pub fn decode_ranges(bytes: &[u8]) -> Result<Vec<RangeInclusive<u32>>, RecordError> {
    let (&format, rest) = bytes.split_first().ok_or(RecordError::Short)?;
    if format != RUNS {
        return Err(RecordError::Format(format));
    }
    let mut ranges = Vec::new();
    read_ranges(rest, 0, 1 << 32, |first, last| ranges.push(first..=last))?;
    Ok(ranges)
}

/// Reads ranges below `end` and gives each to `found`.
fn read_ranges(
    mut rest: &[u8],
    from: u64,
    end: u64,
    mut found: impl FnMut(u32, u32),
) -> Result<(), RecordError> {
    let mut next = from;
    while !rest.is_empty() {
        let first = next + u64::from(take_varint(&mut rest)?);
        let last = first + u64::from(take_varint(&mut rest)?);
        if last >= end {
            return Err(RecordError::Value("range"));
        }
        found(first as u32, last as u32);
        next = last + 1;
    }
    Ok(())
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Result<u32, RecordError> {
    let mut value = 0u64;
    for shift in 0..5 {
        let (&byte, tail) = rest.split_first().ok_or(RecordError::Short)?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return u32::try_from(value).map_err(|_| RecordError::Value("varint"));
        }
    }
    Err(RecordError::Value("varint"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn check(page: &Page, model: &BTreeSet<u16>) {
        assert_eq!(page.len() as usize, model.len());
        assert_eq!(page.is_empty(), model.is_empty());
        assert!(page.iter().eq(model.iter().copied()));
        for (rank, &at) in model.iter().enumerate().step_by(37) {
            assert_eq!(page.select(rank as u32), Some(at));
            assert_eq!(page.rank(at) as usize, rank);
            assert!(page.contains(at));
        }
        assert_eq!(page.select(model.len() as u32), None);
        assert_eq!(page.rank(4095) as usize, model.range(..4095).count());
        let bytes = page.to_bytes();
        assert!(bytes.len() <= 514);
        assert_eq!(&Page::from_bytes(&bytes).unwrap(), page);
    }

    proptest! {
        #[test]
        fn a_page_is_a_set(steps in proptest::collection::vec((any::<bool>(), 0u16..4096, 1u16..300), 0..60)) {
            let (mut page, mut model) = (Page::default(), BTreeSet::new());
            for (insert, first, len) in steps {
                // Every second number of some stretches makes many runs.
                for at in (first..first.saturating_add(len).min(4096)).step_by(1 + usize::from(len % 2)) {
                    if insert {
                        assert_eq!(page.insert(at), model.insert(at));
                    } else {
                        assert_eq!(page.remove(at), model.remove(&at));
                    }
                }
            }
            check(&page, &model);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(page) = Page::from_bytes(&bytes) {
                prop_assert!(page.len() <= PAGE_UIDS);
            }
            let _ = decode_ranges(&bytes);
        }
    }

    #[test]
    fn golden_bytes() {
        let mut page = Page::from_run(1, 299);
        page.insert(1000);
        assert_eq!(page.to_bytes(), [1, 1, 0xaa, 2, 0xbc, 5, 0]);
        for at in (0..4096).step_by(2) {
            page.insert(at);
        }
        let bytes = page.to_bytes();
        assert_eq!((bytes.len(), bytes[0], bytes[1], bytes[200]), (513, 2, 0xff, 0x55));
        assert_eq!(encode_ranges([5..=5, 7..=u32::MAX]), [1, 5, 0, 1, 0xf8, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(
            decode_ranges(&[1, 5, 0, 1, 0xf8, 0xff, 0xff, 0xff, 0x0f]).unwrap(),
            [5..=5, 7..=u32::MAX]
        );
    }

    #[test]
    fn a_full_page_is_five_bytes() {
        let bytes = Page::from_run(0, 4095).to_bytes();
        assert_eq!(bytes, [1, 0, 0xff, 0x1f]);
        assert_eq!(Page::from_bytes(&bytes).unwrap().len(), 4096);
    }

    #[test]
    fn out_of_range_is_an_error() {
        assert!(Page::from_bytes(&[1, 0, 0x80, 0x20]).is_err());
        assert_eq!(Page::from_bytes(&[2, 0]).unwrap_err(), RecordError::Short);
        assert_eq!(Page::from_bytes(&[9]).unwrap_err(), RecordError::Format(9));
        assert!(decode_ranges(&[1, 0xff, 0xff, 0xff, 0xff, 0x1f, 0]).is_err());
    }
}
