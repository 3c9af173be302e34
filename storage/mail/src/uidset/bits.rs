//! Sets of UIDs by words of 64: what many short runs cost less by than run by run.

use std::iter::Peekable;
use std::slice;

use schema::page::{PAGE_UIDS, Page, page_of};

use super::{Body, Builder, Span, UidSet};

/// One page, one bit each.
pub(super) type Words = [u64; 64];

/// UIDs of a page that its bits are worth.
const PER_PAGE: usize = 64;
/// Pages of which bits are made however few UIDs they have.
const FEW: usize = 256;

/// UIDs that come in any order, one bit each: of those between two of them. Others are kept as they are.
#[derive(Debug, Clone, Default)]
pub struct UidBits {
    /// The UID of the first bit, which begins a page.
    base: u32,
    words: Vec<u64>,
    others: Vec<u32>,
}

impl UidBits {
    /// Of about so many UIDs from one to another. Where these are far apart they have no bits.
    pub fn between(first: u32, last: u32, count: usize) -> UidBits {
        let pages = page_of(last).checked_sub(page_of(first)).map_or(0, |pages| pages as usize + 1);
        let pages = if pages > count / PER_PAGE + FEW { 0 } else { pages };
        UidBits { base: page_of(first) * PAGE_UIDS, words: vec![0; pages * 64], others: Vec::new() }
    }

    /// Adds one.
    pub fn insert(&mut self, uid: u32) {
        let at = uid.wrapping_sub(self.base);
        match self.words.get_mut((at / 64) as usize) {
            Some(word) => *word |= 1 << (at % 64),
            None => self.others.push(uid),
        }
    }

    /// Adds what others have gathered.
    pub fn add(&mut self, other: &UidBits) {
        let from = other.base.wrapping_sub(self.base) as usize / 64;
        match self.words.get_mut(from..).and_then(|words| words.get_mut(..other.words.len())) {
            Some(words) => words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b),
            None => other.set_of_words().iter().for_each(|uid| self.insert(uid)),
        }
        other.others.iter().for_each(|uid| self.insert(*uid));
    }

    /// The set of them.
    pub fn finish(self) -> UidSet {
        let set = self.set_of_words();
        if self.others.is_empty() { set } else { set.union(&self.others.into_iter().collect()) }
    }

    fn set_of_words(&self) -> UidSet {
        let mut builder = Builder::default();
        for (words, page) in self.words.as_chunks::<64>().0.iter().zip(page_of(self.base)..) {
            builder.push_words(page * PAGE_UIDS, words);
        }
        builder.finish()
    }
}

impl UidSet {
    /// Puts two sets together page by page; none where they have few bitmaps for so many pages, and runs say it sooner.
    pub(super) fn by_words(&self, other: &UidSet, both: impl Fn(u64, u64) -> u64) -> Option<UidSet> {
        let bitmaps =
            |set: &UidSet| set.spans.iter().filter(|span| matches!(span.body, Body::Page(_))).count();
        let first = self.first().into_iter().chain(other.first()).min()?;
        let last = self.last().into_iter().chain(other.last()).max()?;
        let (first, last) = (page_of(first), page_of(last));
        if (last - first) as usize >= 2 * (bitmaps(self) + bitmaps(other)) {
            return None;
        }
        let (mut here, mut there) = (Pages::of(self), Pages::of(other));
        let mut builder = Builder::default();
        for base in (first..=last).map(|page| page * PAGE_UIDS) {
            let (mut words, others) = (here.words(base), there.words(base));
            words.iter_mut().zip(&others).for_each(|(a, b)| *a = both(*a, *b));
            builder.push_words(base, &words);
        }
        Some(builder.finish())
    }
}

/// A set page by page.
struct Pages<'a>(Peekable<slice::Iter<'a, Span>>);

impl<'a> Pages<'a> {
    fn of(set: &'a UidSet) -> Pages<'a> {
        Pages(set.spans.iter().peekable())
    }

    /// What the set has of a page; of each page after the one before.
    fn words(&mut self, base: u32) -> Words {
        let (mut words, end) = ([0; 64], base + (PAGE_UIDS - 1));
        while let Some(span) = self.0.peek().filter(|span| span.first <= end) {
            match &span.body {
                Body::Run(last) => fill(&mut words, span.first.max(base) - base, (*last).min(end) - base),
                Body::Page(page) => match page.as_ref() {
                    Page::Bits(bits) => words.iter_mut().zip(bits.iter()).for_each(|(a, b)| *a |= b),
                    page => page.runs().for_each(|(a, b)| fill(&mut words, u32::from(a), u32::from(b))),
                },
            }
            if span.last() > end {
                break;
            }
            self.0.next();
        }
        words
    }
}

/// Sets all bits from one to another.
fn fill(words: &mut Words, first: u32, last: u32) {
    for at in first / 64..=last / 64 {
        let low = first.saturating_sub(at * 64);
        let high = (last - at * 64).min(63);
        words[at as usize] |= (u64::MAX << low) & (u64::MAX >> (63 - high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn bits_are_a_set(
            near in proptest::collection::vec(0u32..30_000, 0..3_000),
            far in proptest::collection::vec(any::<u32>(), 0..9),
            first in 0u32..20_000,
            last in 0u32..30_000,
            most in any::<u32>(),
        ) {
            let (mut bits, mut others) = (UidBits::between(first, last, 0), UidBits::between(last, most, 9));
            for (at, uid) in near.iter().chain(&far).enumerate() {
                if at % 2 == 0 { bits.insert(*uid) } else { others.insert(*uid) }
            }
            bits.add(&others);
            // UID 0 does not exist.
            let model: BTreeSet<u32> = near.into_iter().chain(far).filter(|uid| *uid != 0).collect();
            let set = bits.finish();
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert!(set.iter().eq(model));
        }

        #[test]
        fn by_words_and_by_runs_it_is_the_same(
            a in proptest::collection::vec((0u32..40_000, 0u32..9_000, 1u32..5), 0..9),
            b in proptest::collection::vec((0u32..40_000, 0u32..9_000, 1u32..5), 0..9),
        ) {
            let model = |parts: &[(u32, u32, u32)]| -> BTreeSet<u32> {
                let each = parts.iter().flat_map(|(first, len, step)| (*first..first + len).step_by(*step as usize));
                each.filter(|uid| *uid != 0).collect()
            };
            let (x, y) = (model(&a), model(&b));
            let (p, q): (UidSet, UidSet) = (x.iter().copied().collect(), y.iter().copied().collect());
            for (set, expected) in [
                (p.by_words(&q, |a, b| a | b), &x | &y),
                (p.by_words(&q, |a, b| a & b), &x & &y),
                (p.by_words(&q, |a, b| a & !b), &x - &y),
            ] {
                if let Some(set) = set {
                    prop_assert_eq!(set.len() as usize, expected.len());
                    prop_assert!(set.iter().eq(expected));
                }
            }
        }
    }

    #[test]
    fn sets_of_many_short_runs_are_put_together_by_words() {
        let even: UidSet = (2..=100_000).step_by(2).collect();
        let some: UidSet = (1..=100_000).filter(|uid| uid % 3 == 0 || *uid > 90_000).collect();
        assert!(even.by_words(&some, |a, b| a & b).is_some());
        // Bitmaps of few of the pages between would be one of each.
        let wide = UidSet::from_ranges([1..=100, 4_000_000_000..=u32::MAX]);
        assert!(even.by_words(&wide, |a, b| a | b).is_none());
        assert_eq!(even.union(&wide).last(), Some(u32::MAX));
        let last = UidSet::from_ranges((0..2_000).map(|at| u32::MAX - at * 2..=u32::MAX - at * 2));
        assert_eq!(last.intersection(&last.union(&UidSet::from_ranges([u32::MAX - 1..=u32::MAX]))), last);
    }
}
