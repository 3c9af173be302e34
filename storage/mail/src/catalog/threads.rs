//! One email of each thread (RFC 8621 §4.4.3), by arrival.

use super::rows::WORD;
use super::{Part, RowSet};

impl Part<'_> {
    /// Of rows of a part the first of each thread that is not in `seen` yet, a set of numbers of threads, which has them then.
    /// By arrival: the oldest first, or the newest, those that came at once by their ids either way. No more than the first
    /// `most` have to be right.
    #[must_use]
    pub fn first_of(&self, rows: &RowSet, oldest_first: bool, seen: &mut RowSet, most: usize) -> RowSet {
        let mut firsts = Firsts { threads: self.threads(), seen, first: RowSet::none(self.len()), count: 0 };
        let words = rows.words().len();
        if oldest_first {
            for at in 0..words {
                if firsts.count >= most {
                    break;
                }
                firsts.ascending(at, rows.words()[at]);
            }
            return firsts.first;
        }
        let mut end = words;
        while end > 0 && firsts.count < most {
            let at = end - 1;
            if !self.has_alike(at) {
                firsts.descending(at, rows.words()[at]);
                end = at;
                continue;
            }
            // Nothing outside of these came at once with anything in them.
            let begin = (0..at).rev().find(|at| !self.has_alike(*at)).map_or(0, |at| at + 1);
            newest_first(self.received(), rows.iter_between(begin, end), |row| firsts.take(row));
            end = begin;
        }
        firsts.first
    }

    /// Whether a row of a word came at once with the one before or behind it.
    fn has_alike(&self, word: usize) -> bool {
        let begin = (word * WORD).saturating_sub(1);
        let some = self.received().get(begin..self.len().min((word + 1) * WORD + 1)).unwrap_or_default();
        // All are compared, so that a processor can compare several at once.
        some.iter().zip(some.iter().skip(1)).fold(0, |alike, (a, b)| alike | u64::from(a == b)) != 0
    }
}

/// Gives rows, which are the last first, to `take` with what came at once by id.
fn newest_first(received: &[i64], back: impl Iterator<Item = usize>, mut take: impl FnMut(usize)) {
    let mut alike: Vec<usize> = Vec::new();
    for row in back {
        if alike.last().is_some_and(|last| received[*last] != received[row]) {
            alike.drain(..).rev().for_each(&mut take);
        }
        alike.push(row);
    }
    alike.into_iter().rev().for_each(take);
}

/// What was found so far. A million rows have no order that a processor could guess, so nothing branches on what is new.
struct Firsts<'a> {
    threads: &'a [u32],
    seen: &'a mut RowSet,
    first: RowSet,
    count: usize,
}

impl Firsts<'_> {
    fn ascending(&mut self, at: usize, word: u64) {
        let (mut left, mut first) = (word, 0);
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            first |= u64::from(self.is_new(at * WORD + bit as usize)) << bit;
        }
        self.put(at, first);
    }

    fn descending(&mut self, at: usize, word: u64) {
        let (mut left, mut first) = (word, 0);
        while left != 0 {
            let bit = u64::BITS - 1 - left.leading_zeros();
            left ^= 1 << bit;
            first |= u64::from(self.is_new(at * WORD + bit as usize)) << bit;
        }
        self.put(at, first);
    }

    fn take(&mut self, row: usize) {
        if self.is_new(row) {
            self.first.insert(row);
            self.count += 1;
        }
    }

    fn is_new(&mut self, row: usize) -> bool {
        self.seen.add(self.threads[row] as usize)
    }

    fn put(&mut self, at: usize, first: u64) {
        self.first.put_word(at, first);
        self.count += first.count_ones() as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::tests::of_times;
    use runtime::{Rng, SeededRng};

    /// Emails of which `at_once` come at once on average.
    fn catalog(random: &SeededRng, len: u64, at_once: u64) -> Catalog {
        let mut received: Vec<i64> =
            (0..len).map(|_| i64::try_from(random.below(len / at_once + 1)).unwrap()).collect();
        received.sort_unstable();
        of_times(received, |_| random.below(len / 3 + 1))
    }

    #[test]
    fn the_first_of_each_thread_is_left() {
        for seed in 0..200 {
            let random = SeededRng::new(seed);
            let len = random.below(600);
            let catalog = catalog(&random, len, [1, 3, 1_000][seed as usize % 3]);
            let mut rows = RowSet::none(catalog.len());
            let share = 1 + random.below(3);
            (0..catalog.len()).filter(|_| random.below(share) == 0).for_each(|row| rows.insert(row));
            for oldest_first in [true, false] {
                let mut order: Vec<usize> = rows.iter().collect();
                let received = catalog.received();
                if !oldest_first {
                    order.sort_by(|a, b| received[*b].cmp(&received[*a]).then(a.cmp(b)));
                }
                let mut known = RowSet::none(catalog.thread_count());
                known.insert(1);
                let mut seen = known.clone();
                let wanted: Vec<usize> =
                    order.into_iter().filter(|row| known.add(catalog.threads()[*row] as usize)).collect();
                let most = [usize::MAX, 10][seed as usize % 2];
                let found = catalog.all().first_of(&rows, oldest_first, &mut seen, most);
                assert!(wanted.iter().take(most).all(|row| found.contains(*row)), "{seed} {oldest_first}");
                let first = |rows: &RowSet| rows.iter().filter(|row| !wanted.contains(row)).count();
                assert_eq!(first(&found), 0, "{seed} {oldest_first}: {wanted:?}");
            }
        }
    }

    #[test]
    fn it_is_the_same_in_parts() {
        for (at_once, share) in [(1, 1), (1, 5), (50, 2)] {
            let random = SeededRng::new(at_once);
            let catalog = catalog(&random, 100_000, at_once);
            let mut rows = RowSet::none(catalog.len());
            (0..catalog.len()).filter(|_| random.below(share) == 0).for_each(|row| rows.insert(row));
            for oldest_first in [true, false] {
                let (mut seen, most) = (RowSet::none(catalog.thread_count()), usize::MAX);
                let whole = catalog.all().first_of(&rows, oldest_first, &mut seen, most);
                let (mut seen, mut all) = (RowSet::none(catalog.thread_count()), RowSet::none(catalog.len()));
                for part in catalog.parts(oldest_first) {
                    let within: Vec<usize> = part.rows().collect();
                    let some = RowSet::of(&within, |row| rows.contains(*row));
                    all.put(part.rows().start, &part.first_of(&some, oldest_first, &mut seen, most));
                }
                assert!(all == whole, "{at_once} {share} {oldest_first}");
            }
        }
    }
}
