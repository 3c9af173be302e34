//! Sets of UIDs that are small where UIDs are dense, whatever their number.

use schema::page::{PAGE_UIDS, Page, page_of};
use std::ops::RangeInclusive;

pub use self::bits::UidBits;

mod bits;

/// Runs in one page of 4,096 UIDs that cost more than a bitmap of it.
const MANY: usize = 21;

/// An ordered set of UIDs. Long runs are one entry; a page of many short ones is a bitmap of 512 bytes. So a
/// full mailbox of any size takes a few bytes, and none takes more than an eighth of a byte per UID given out.
#[derive(Clone, Default)]
pub struct UidSet {
    spans: Vec<Span>,
    len: u32,
}

#[derive(Clone)]
struct Span {
    /// Lowest UID it can hold.
    first: u32,
    /// UIDs in the spans before.
    before: u32,
    body: Body,
}

#[derive(Clone)]
enum Body {
    /// All from `first` to this one.
    Run(u32),
    /// The page that begins at `first`.
    Page(Box<Page>),
}

impl Span {
    fn last(&self) -> u32 {
        match &self.body {
            Body::Run(last) => *last,
            Body::Page(_) => self.first + (PAGE_UIDS - 1),
        }
    }

    fn len(&self) -> u32 {
        match &self.body {
            Body::Run(last) => (last - self.first).saturating_add(1),
            Body::Page(page) => page.len(),
        }
    }
}

impl UidSet {
    /// The empty set.
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// The union of ranges, in any order.
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> UidSet {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut builder = Builder::default();
        ranges.into_iter().for_each(|range| builder.push(range));
        builder.finish()
    }

    /// Of UIDs in order.
    pub(crate) fn from_ascending(uids: &[u32]) -> UidSet {
        let mut builder = Builder::default();
        for page in uids.chunk_by(|a, b| page_of(*a) == page_of(*b)) {
            if page.len() < MANY {
                page.iter().for_each(|uid| builder.push(*uid..=*uid));
            } else {
                builder.push_page(page);
            }
        }
        builder.finish()
    }

    /// Adds all UIDs of a range, whether or not messages have them.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        *self = self.union(&UidSet::from_ranges([range]));
    }

    /// How many are lower than `uid`.
    pub fn rank(&self, uid: u32) -> u32 {
        let after = self.spans.partition_point(|span| span.first < uid);
        let Some(span) = after.checked_sub(1).and_then(|at| self.spans.get(at)) else { return 0 };
        let inside = match &span.body {
            Body::Run(last) => (uid - 1).min(*last) - span.first + 1,
            Body::Page(page) if uid > span.last() => page.len(),
            Body::Page(page) => page.rank((uid - span.first) as u16),
        };
        span.before + inside
    }

    /// From the pages of a mailbox, ascending.
    pub(crate) fn from_pages(pages: impl IntoIterator<Item = (u32, Page)>) -> UidSet {
        let mut builder = Builder::default();
        for (number, page) in pages {
            let base = number * PAGE_UIDS;
            page.runs()
                .for_each(|(first, last)| builder.push(base + u32::from(first)..=base + u32::from(last)));
        }
        builder.finish()
    }

    /// How many.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one run here covers all of the other set: most often that is all of a mailbox.
    fn spans_all_of(&self, other: &UidSet) -> bool {
        let (Some(first), Some(last)) = (other.first(), other.last()) else { return true };
        self.span_of(first).is_some_and(|span| matches!(span.body, Body::Run(end) if last <= end))
    }

    /// The span that may hold `uid`.
    fn span_of(&self, uid: u32) -> Option<&Span> {
        let after = self.spans.partition_point(|span| span.first <= uid);
        self.spans.get(after.checked_sub(1)?).filter(|span| uid <= span.last())
    }

    /// Whether `uid` is in the set.
    pub fn contains(&self, uid: u32) -> bool {
        self.span_of(uid).is_some_and(|span| match &span.body {
            Body::Run(_) => true,
            Body::Page(page) => page.contains((uid - span.first) as u16),
        })
    }

    /// The UID with this sequence number, which counts from 1.
    pub fn uid_at(&self, seq: u32) -> Option<u32> {
        let rank = seq.checked_sub(1).filter(|&rank| rank < self.len)?;
        let after = self.spans.partition_point(|span| span.before <= rank);
        let span = self.spans.get(after.checked_sub(1)?)?;
        match &span.body {
            Body::Run(_) => Some(span.first + (rank - span.before)),
            Body::Page(page) => page.select(rank - span.before).map(|at| span.first + u32::from(at)),
        }
    }

    /// The sequence number of a UID, counted from 1.
    pub fn seq_of(&self, uid: u32) -> Option<u32> {
        let span = self.span_of(uid)?;
        match &span.body {
            Body::Run(_) => Some(span.before + (uid - span.first) + 1),
            Body::Page(page) => {
                let at = (uid - span.first) as u16;
                page.contains(at).then(|| span.before + page.rank(at) + 1)
            }
        }
    }

    /// The lowest.
    pub fn first(&self) -> Option<u32> {
        self.uid_at(1)
    }

    /// The highest.
    pub fn last(&self) -> Option<u32> {
        self.uid_at(self.len)
    }

    /// Maximal runs, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> + Send + '_ {
        Ranges { spans: self.spans.iter(), runs: None, held: None }
    }

    /// All UIDs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + Send + '_ {
        self.ranges().flatten()
    }

    /// Adds one; whether it was missing. Cheap above the highest, else in proportion to the set's runs.
    pub fn insert(&mut self, uid: u32) -> bool {
        if uid == 0 || self.contains(uid) {
            return false;
        }
        if self.last().is_some_and(|last| last > uid) {
            *self = self.union(&UidSet::from_ranges([uid..=uid]));
            return true;
        }
        self.push_above(uid);
        true
    }

    fn push_above(&mut self, uid: u32) {
        let before = self.len;
        self.len += 1;
        match self.spans.last_mut() {
            Some(Span { body: Body::Run(last), .. }) if last.checked_add(1) == Some(uid) => *last = uid,
            Some(Span { first, body: Body::Page(page), .. }) if uid - *first < PAGE_UIDS => {
                page.insert((uid - *first) as u16);
            }
            _ => self.spans.push(Span { first: uid, before, body: Body::Run(uid) }),
        }
    }

    /// Takes one away; whether it was there. In proportion to the set's runs.
    pub fn remove(&mut self, uid: u32) -> bool {
        let there = self.contains(uid);
        if there {
            *self = self.difference(&UidSet::from_ranges([uid..=uid]));
        }
        there
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &UidSet) -> UidSet {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other } else { self }.clone();
        }
        if let Some(set) = self.by_words(other, |a, b| a | b) {
            return set;
        }
        let (mut a, mut b) = (self.ranges().peekable(), other.ranges().peekable());
        let mut builder = Builder::default();
        loop {
            let take_a = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) => x.start() <= y.start(),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return builder.finish(),
            };
            if let Some(range) = if take_a { a.next() } else { b.next() } {
                builder.push(range);
            }
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &UidSet) -> UidSet {
        if self.is_empty() || other.spans_all_of(self) {
            return self.clone();
        }
        if other.is_empty() || self.spans_all_of(other) {
            return other.clone();
        }
        if let Some(set) = self.by_words(other, |a, b| a & b) {
            return set;
        }
        let (mut a, mut b) = (self.ranges().peekable(), other.ranges().peekable());
        let mut builder = Builder::default();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (low, high) = (*x.start().max(y.start()), *x.end().min(y.end()));
            if low <= high {
                builder.push(low..=high);
            }
            if x.end() <= y.end() {
                a.next();
            } else {
                b.next();
            }
        }
        builder.finish()
    }

    /// What is here and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &UidSet) -> UidSet {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        if other.spans_all_of(self) {
            return UidSet::new();
        }
        if let Some(set) = self.by_words(other, |a, b| a & !b) {
            return set;
        }
        let mut builder = Builder::default();
        if (self.len() as usize) < other.spans.len() {
            self.iter().filter(|uid| !other.contains(*uid)).for_each(|uid| builder.push(uid..=uid));
            return builder.finish();
        }
        let mut holes = other.ranges().peekable();
        for range in self.ranges() {
            let (mut low, high) = (*range.start(), *range.end());
            loop {
                while holes.peek().is_some_and(|hole| *hole.end() < low) {
                    holes.next();
                }
                let Some(hole) = holes.peek().filter(|hole| *hole.start() <= high) else {
                    builder.push(low..=high);
                    break;
                };
                if low < *hole.start() {
                    builder.push(low..=hole.start() - 1);
                }
                match hole.end().checked_add(1).filter(|&next| next <= high) {
                    Some(next) => low = next,
                    None => break,
                }
            }
        }
        builder.finish()
    }
}

impl PartialEq for UidSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.ranges().eq(other.ranges())
    }
}

impl Eq for UidSet {}

impl std::fmt::Debug for UidSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.ranges()).finish()
    }
}

impl Extend<u32> for UidSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, uids: I) {
        *self = self.union(&uids.into_iter().collect());
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        UidSet::from_ranges(uids.into_iter().map(|uid| uid..=uid))
    }
}

/// The maximal runs of a set: those of neighbouring spans are joined.
struct Ranges<'a> {
    spans: std::slice::Iter<'a, Span>,
    runs: Option<(u32, schema::page::PageRuns<'a>)>,
    held: Option<(u32, u32)>,
}

impl Ranges<'_> {
    /// The next run of a span.
    fn piece(&mut self) -> Option<(u32, u32)> {
        loop {
            if let Some((base, runs)) = &mut self.runs {
                if let Some((first, last)) = runs.next() {
                    return Some((*base + u32::from(first), *base + u32::from(last)));
                }
                self.runs = None;
            }
            let span = self.spans.next()?;
            match &span.body {
                Body::Run(last) => return Some((span.first, *last)),
                Body::Page(page) => self.runs = Some((span.first, page.runs())),
            }
        }
    }
}

impl Iterator for Ranges<'_> {
    type Item = RangeInclusive<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match (self.held, self.piece()) {
                (Some((first, last)), Some((next, end))) if last.checked_add(1) == Some(next) => {
                    self.held = Some((first, end));
                }
                (held, piece) => {
                    self.held = piece;
                    match held {
                        Some((first, last)) => return Some(first..=last),
                        None => {
                            piece?;
                        }
                    }
                }
            }
        }
    }
}

/// Makes a set from ranges whose starts ascend; those that overlap or touch are joined.
#[derive(Default)]
struct Builder {
    set: UidSet,
    open: Option<(u32, u32)>,
    /// Finished runs that lie in one page and may become a bitmap.
    short: Vec<(u32, u32)>,
}

impl Builder {
    fn push(&mut self, range: RangeInclusive<u32>) {
        // UID 0 does not exist (RFC 9051 §2.3.1.1).
        let (first, last) = ((*range.start()).max(1), *range.end());
        if first > last {
            return;
        }
        match &mut self.open {
            Some((_, end)) if end.checked_add(1).is_none_or(|next| first <= next) => *end = last.max(*end),
            _ => {
                if let Some(run) = self.open.replace((first, last)) {
                    self.close(run);
                }
            }
        }
    }

    /// UIDs of one page.
    fn push_page(&mut self, uids: &[u32]) {
        let base = page_of(uids[0]) * PAGE_UIDS;
        let mut words = [0u64; 64];
        for at in uids.iter().map(|uid| uid - base) {
            words[(at / 64) as usize] |= 1 << (at % 64);
        }
        self.push_words(base, &words);
    }

    /// The page that begins at a UID, as a bitmap if it has many runs.
    fn push_words(&mut self, base: u32, words: &bits::Words) {
        let mut words = Box::new(*words);
        if base == 0 {
            // UID 0 does not exist (RFC 9051 §2.3.1.1).
            words[0] &= !1;
        }
        // Where one begins the bit before is not set.
        let begins = |(word, before): (&u64, &u64)| (word & !(word << 1 | before >> 63)).count_ones();
        let runs: u32 = words.iter().zip([0].iter().chain(words.iter())).map(begins).sum();
        let page = Page::Bits(words);
        if (runs as usize) < MANY {
            let range = |(first, last): (u16, u16)| base + u32::from(first)..=base + u32::from(last);
            return page.runs().for_each(|run| self.push(range(run)));
        }
        if let Some(run) = self.open.take() {
            self.close(run);
        }
        self.flush();
        self.span(base, Body::Page(Box::new(page)));
    }

    /// Parts a run where pages begin, so that what is short of a page may become part of its bitmap.
    fn close(&mut self, (mut first, last): (u32, u32)) {
        if page_of(first) != page_of(last) {
            if first % PAGE_UIDS != 0 {
                let end = page_of(first) * PAGE_UIDS + (PAGE_UIDS - 1);
                self.keep_short((first, end));
                first = end + 1;
            }
            let whole = last % PAGE_UIDS == PAGE_UIDS - 1;
            let end = if whole { last } else { page_of(last) * PAGE_UIDS - 1 };
            if first <= end {
                self.flush();
                self.span(first, Body::Run(end));
            }
            if whole {
                return;
            }
            first = end + 1;
        }
        self.keep_short((first, last));
    }

    fn keep_short(&mut self, run: (u32, u32)) {
        if self.short.last().is_some_and(|last| page_of(last.0) != page_of(run.0)) {
            self.flush();
        }
        self.short.push(run);
    }

    fn flush(&mut self) {
        let short = std::mem::take(&mut self.short);
        if short.len() < MANY {
            short.into_iter().for_each(|(first, last)| self.span(first, Body::Run(last)));
            return;
        }
        let base = page_of(short[0].0) * PAGE_UIDS;
        let mut words = Box::new([0u64; 64]);
        for at in short.iter().flat_map(|&(first, last)| first - base..=last - base) {
            words[(at / 64) as usize] |= 1 << (at % 64);
        }
        self.span(base, Body::Page(Box::new(Page::Bits(words))));
    }

    fn span(&mut self, first: u32, body: Body) {
        if let (Some(Span { body: Body::Run(end), .. }), Body::Run(last)) = (self.set.spans.last_mut(), &body)
            && end.checked_add(1) == Some(first)
        {
            self.set.len += last - *end;
            *end = *last;
            return;
        }
        let span = Span { first, before: self.set.len, body };
        self.set.len = self.set.len.saturating_add(span.len());
        self.set.spans.push(span);
    }

    fn finish(mut self) -> UidSet {
        if let Some(run) = self.open.take() {
            self.close(run);
        }
        self.flush();
        self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ranges() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
        proptest::collection::vec((1u32..20_000, 0u32..600, 1u32..4), 0..30)
    }

    fn both(parts: &[(u32, u32, u32)]) -> (UidSet, BTreeSet<u32>) {
        let model: BTreeSet<u32> = parts
            .iter()
            .flat_map(|&(first, len, step)| (first..=first + len).step_by(step as usize))
            .collect();
        (model.iter().rev().copied().collect(), model)
    }

    fn check(set: &UidSet, model: &BTreeSet<u32>) {
        assert_eq!(set.len() as usize, model.len());
        assert!(set.iter().eq(model.iter().copied()));
        assert_eq!((set.first(), set.last()), (model.first().copied(), model.last().copied()));
        for (rank, &uid) in model.iter().enumerate().step_by(61) {
            assert_eq!(set.seq_of(uid), Some(rank as u32 + 1));
            assert_eq!(set.uid_at(rank as u32 + 1), Some(uid));
        }
        for uid in (0..21_000).step_by(97) {
            assert_eq!(set.rank(uid) as usize, model.range(..uid).count());
            assert_eq!(set.contains(uid), model.contains(&uid));
            assert_eq!(set.seq_of(uid).is_some(), model.contains(&uid));
        }
        let runs: Vec<_> = set.ranges().collect();
        assert!(runs.windows(2).all(|pair| *pair[0].end() + 1 < *pair[1].start()));
        assert_eq!((set.uid_at(0), set.uid_at(set.len() + 1)), (None, None));
    }

    proptest! {
        #[test]
        fn it_is_a_set(a in ranges(), b in ranges(), uids in proptest::collection::vec(1u32..21_000, 0..20)) {
            let ((mut set_a, mut model_a), (set_b, model_b)) = (both(&a), both(&b));
            check(&set_a, &model_a);
            check(&UidSet::from_ascending(&model_a.iter().copied().collect::<Vec<_>>()), &model_a);
            check(&set_a.union(&set_b), &(&model_a | &model_b));
            check(&set_a.intersection(&set_b), &(&model_a & &model_b));
            check(&set_a.difference(&set_b), &(&model_a - &model_b));
            for uid in uids {
                prop_assert_eq!(set_a.insert(uid), model_a.insert(uid));
                prop_assert_eq!(set_a.remove(uid / 2), model_a.remove(&(uid / 2)));
            }
            for uid in (20_900..29_000).step_by(3) {
                set_a.insert(uid);
                model_a.insert(uid);
            }
            check(&set_a, &model_a);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn so_it_is_with_one_that_is_empty_or_all_of_a_mailbox(a in ranges()) {
            let (set_a, model_a) = both(&a);
            let (wide, model_wide) = (UidSet::from_ranges([100..=15_000]), (100..=15_000).collect());
            for (x, y, model_x, model_y) in [
                (&set_a, &wide, &model_a, &model_wide),
                (&wide, &set_a, &model_wide, &model_a),
                (&set_a, &UidSet::new(), &model_a, &BTreeSet::new()),
                (&UidSet::new(), &set_a, &BTreeSet::new(), &model_a),
            ] {
                check(&x.union(y), &(model_x | model_y));
                check(&x.intersection(y), &(model_x & model_y));
                check(&x.difference(y), &(model_x - model_y));
            }
        }
    }

    #[test]
    fn everything_is_one_span() {
        let all = UidSet::from_ranges([1..=u32::MAX]);
        assert_eq!((all.len(), all.spans.len()), (u32::MAX, 1));
        assert_eq!(all.seq_of(u32::MAX), Some(u32::MAX));
        assert!(all.difference(&all).is_empty());
        let few: UidSet = [3, 5, u32::MAX].into_iter().collect();
        assert_eq!(few.intersection(&all), few);
        assert_eq!(all.difference(&few).ranges().collect::<Vec<_>>(), [1..=2, 4..=4, 6..=u32::MAX - 1]);
    }

    #[test]
    fn holes_cost_a_bitmap_at_most() {
        let set: UidSet = (1..=1_000_000).step_by(2).collect();
        assert_eq!(set.spans.len(), 245);
        let fresh = UidSet::from_ranges([1..=1_000_000]);
        assert_eq!(fresh.spans.len(), 1);
    }
}
