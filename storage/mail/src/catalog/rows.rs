//! A set of rows of a catalogue: a bit for each.

/// Rows of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    len: usize,
}

/// Rows in a word.
pub(super) const WORD: usize = 64;

impl RowSet {
    /// None of `len` rows.
    pub fn none(len: usize) -> Self {
        RowSet { words: vec![0; len.div_ceil(WORD)], len }
    }

    /// All of `len` rows.
    pub fn all(len: usize) -> Self {
        RowSet::none(len).inverted()
    }

    /// The rows from `begin` on, up to `end`.
    pub fn span(len: usize, begin: usize, end: usize) -> Self {
        let below = |end: usize| {
            let word = |at: usize| match end.saturating_sub(at * WORD) {
                WORD.. => u64::MAX,
                some => (1 << some) - 1,
            };
            RowSet { words: (0..len.div_ceil(WORD)).map(word).collect(), len }
        };
        below(end.min(len)).and(&below(begin.min(len)).inverted())
    }

    /// The rows whose value in a column is as wanted.
    pub fn of<T>(column: &[T], wanted: impl Fn(&T) -> bool) -> Self {
        let (whole, rest) = column.as_chunks::<WORD>();
        let mut words = Vec::with_capacity(column.len().div_ceil(WORD));
        words.extend(whole.iter().map(|values| packed(values, &wanted)));
        let bit = |(at, value): (usize, &T)| u64::from(wanted(value)) << at;
        words.extend((!rest.is_empty()).then(|| rest.iter().enumerate().map(bit).sum::<u64>()));
        RowSet { words, len: column.len() }
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds the rows of a part that begins with this row, which is the first of a word.
    pub fn put(&mut self, begin: usize, part: &RowSet) {
        let words = self.words.iter_mut().skip(begin / WORD);
        words.zip(&part.words).for_each(|(word, other)| *word |= other);
    }

    /// Replaces a word; no row of it is beyond the last.
    pub(super) fn put_word(&mut self, at: usize, word: u64) {
        self.words[at] = word;
    }

    /// Adds a row, if there is such a row.
    pub fn insert(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / WORD).filter(|_| row < self.len) {
            *word |= 1 << (row % WORD);
        }
    }

    /// Adds a row; says whether it is new. One that there is not is none.
    pub fn add(&mut self, row: usize) -> bool {
        let Some(word) = self.words.get_mut(row / WORD).filter(|_| row < self.len) else { return false };
        let (old, bit) = (*word, 1 << (row % WORD));
        *word |= bit;
        old & bit == 0
    }

    /// Whether a row is in it.
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / WORD).is_some_and(|word| word & 1 << (row % WORD) != 0)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(mut self, other: &RowSet) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
        self
    }

    /// Those that are in one at least.
    #[must_use]
    pub fn or(mut self, other: &RowSet) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
        self
    }

    /// Those that are not in it.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        if let Some(last) = self.words.last_mut().filter(|_| !self.len.is_multiple_of(WORD)) {
            *last &= (1 << (self.len % WORD)) - 1;
        }
        self
    }

    /// The rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                // Takes the lowest bit away.
                left &= left.wrapping_sub(1);
                (bit < u64::BITS).then(|| at * WORD + bit as usize)
            })
        })
    }

    /// The rows, the last first.
    pub fn iter_back(&self) -> impl Iterator<Item = usize> + '_ {
        self.iter_between(0, self.words.len())
    }

    /// The rows of words from `begin` on up to `end`, the last first.
    pub(super) fn iter_between(&self, begin: usize, end: usize) -> impl Iterator<Item = usize> + '_ {
        (begin..end).rev().flat_map(|at| {
            let mut left = self.words[at];
            std::iter::from_fn(move || {
                let bit = left.checked_ilog2()?;
                left ^= 1 << bit;
                Some(at * WORD + bit as usize)
            })
        })
    }
}

/// A bit for each value. Octets are put down first and then gathered: a processor does both for many values at once.
#[inline]
fn packed<T>(values: &[T; WORD], wanted: &impl Fn(&T) -> bool) -> u64 {
    let mut octets = [0u8; WORD];
    octets.iter_mut().zip(values).for_each(|(octet, value)| *octet = u8::from(wanted(value)));
    let (eights, _) = octets.as_chunks::<8>();
    // The lowest bit of each of eight octets comes into the highest octet, the first one lowest.
    let gathered = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().zip((0..).step_by(8)).fold(0, |word, (eight, at)| word | gathered(eight) << at)
}

/// A set whose rows have numbers: 0 for the first.
#[derive(Debug)]
pub struct Ranked {
    set: RowSet,
    /// How many rows lie before each word, and at last how many there are.
    before: Vec<u32>,
}

impl Ranked {
    /// Counts the rows of a set.
    pub fn new(set: RowSet) -> Self {
        let mut before = Vec::with_capacity(set.words.len() + 1);
        let mut count = 0;
        for word in &set.words {
            before.push(count);
            count += word.count_ones();
        }
        before.push(count);
        Ranked { set, before }
    }

    /// The rows.
    pub fn set(&self) -> &RowSet {
        &self.set
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.before.last().map_or(0, |count| *count as usize)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many lie before a row.
    pub fn below(&self, row: usize) -> usize {
        let Some(word) = self.set.words.get(row / WORD) else { return self.len() };
        let before = word & ((1 << (row % WORD)) - 1);
        self.before[row / WORD] as usize + before.count_ones() as usize
    }

    /// The row of a number, if there are so many.
    pub fn nth(&self, number: usize) -> Option<usize> {
        if number >= self.len() {
            return None;
        }
        let at = self.before.partition_point(|count| *count as usize <= number) - 1;
        let mut word = self.set.words[at];
        // Takes the lowest bits away.
        (self.before[at] as usize..number).for_each(|_| word &= word.wrapping_sub(1));
        Some(at * WORD + word.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_put_together() {
        let numbers: Vec<usize> = (0..200).collect();
        let even = RowSet::of(&numbers, |n| n % 2 == 0);
        let low = RowSet::span(200, 0, 70);
        let list = |set: &RowSet| set.iter().collect::<Vec<_>>();
        assert_eq!(list(&even.clone().and(&low)), (0..70).step_by(2).collect::<Vec<_>>());
        assert_eq!(list(&even.clone().inverted().and(&low)), (1..70).step_by(2).collect::<Vec<_>>());
        assert_eq!(even.clone().or(&low).count(), 100 + 35);
        assert_eq!(
            (RowSet::all(200).count(), RowSet::all(64).count(), RowSet::none(65).count()),
            (200, 64, 0)
        );
        assert!(even.contains(198) && !even.contains(199) && !even.contains(400));
    }

    #[test]
    fn spans_end_where_they_should() {
        for (len, begin, end) in
            [(0, 0, 0), (64, 0, 64), (65, 64, 65), (200, 3, 3), (200, 63, 130), (200, 190, 999), (9, 5, 2)]
        {
            let found: Vec<usize> = RowSet::span(len, begin, end).iter().collect();
            assert_eq!(found, (begin..end.min(len)).collect::<Vec<_>>(), "{len} {begin} {end}");
        }
    }

    #[test]
    fn rows_of_a_set_have_numbers() {
        let numbers: Vec<usize> = (0..300).collect();
        for divisor in [1, 2, 3, 64, 65, 299, 400] {
            let set = RowSet::of(&numbers, |n| n % divisor == divisor - 1);
            let (rows, ranked) = (set.iter().collect::<Vec<_>>(), Ranked::new(set));
            assert_eq!(ranked.len(), rows.len());
            assert!(ranked.set().iter_back().eq(rows.iter().rev().copied()), "{divisor}");
            for row in 0..300 {
                assert_eq!(
                    ranked.below(row),
                    rows.iter().filter(|one| **one < row).count(),
                    "{divisor} {row}"
                );
            }
            let found: Vec<usize> = (0..=rows.len()).map_while(|number| ranked.nth(number)).collect();
            assert_eq!(found, rows);
        }
    }
}
