//! A part of a catalogue: rows that lie one behind the other. Who wants no more than the first results looks no further.

use std::collections::BTreeSet;
use std::ops::Range;

use schema::{EmailId, Flags, MailboxId};

use super::rows::WORD;
use super::{Catalog, RowSet, Traits};

/// Rows of a part, but for what came at once with the last of them.
const PART: usize = 512 * WORD;
/// Mailboxes below this number are told apart by a bit for each.
const NUMBERED: usize = 1 << 20;

/// Rows one behind the other, with their columns. Sets of rows that are told here count from the first of them.
#[derive(Debug, Clone)]
pub struct Part<'c> {
    catalog: &'c Catalog,
    rows: Range<usize>,
}

impl Catalog {
    /// All rows.
    pub fn all(&self) -> Part<'_> {
        Part { catalog: self, rows: 0..self.len() }
    }

    /// All rows in parts, the oldest first or the newest. Each begins with a word of a [`RowSet`], and what came at once
    /// with an email of one is in it too if the newest come first: they are in the order of their ids either way.
    pub fn parts(&self, oldest_first: bool) -> impl Iterator<Item = Part<'_>> {
        let received = self.received();
        let mut left = 0..self.len();
        std::iter::from_fn(move || {
            let rows = if oldest_first {
                let end = left.end.min(left.start + PART);
                std::mem::replace(&mut left.start, end)..end
            } else {
                let mut begin = left.end.saturating_sub(PART).next_multiple_of(WORD);
                while begin > 0 && received[begin - 1] == received[begin] {
                    begin -= WORD;
                }
                begin..std::mem::replace(&mut left.end, begin)
            };
            (!rows.is_empty()).then_some(Part { catalog: self, rows })
        })
    }
}

impl<'c> Part<'c> {
    /// What it is a part of.
    pub fn catalog(&self) -> &'c Catalog {
        self.catalog
    }

    /// Which rows.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As [`Catalog::ids`].
    pub fn ids(&self) -> &'c [EmailId] {
        &self.catalog.columns.ids[self.rows()]
    }

    /// As [`Catalog::received`].
    pub fn received(&self) -> &'c [i64] {
        &self.catalog.columns.received[self.rows()]
    }

    /// As [`Catalog::sizes`].
    pub fn sizes(&self) -> &'c [u32] {
        &self.catalog.columns.sizes[self.rows()]
    }

    /// As [`Catalog::threads`].
    pub fn threads(&self) -> &'c [u32] {
        &self.catalog.columns.threads[self.rows()]
    }

    /// As [`Catalog::traits`].
    pub fn traits(&self) -> Option<&'c [Traits]> {
        let traits = &self.catalog.columns.traits;
        traits.is_complete().then(|| &traits.rows[self.rows()])
    }

    /// The emails that have such flags, wherever they are seen.
    pub fn with_flags(&self, wanted: impl Fn(&Flags) -> bool) -> RowSet {
        let sets: Vec<bool> = self.catalog.columns.flags.sets.iter().map(wanted).collect();
        let column = &self.catalog.columns.sets[self.rows()];
        RowSet::of(column, |set| sets.get(*set as usize).copied().unwrap_or_default())
    }

    /// The emails that are in a mailbox.
    pub fn in_mailbox(&self, mailbox: MailboxId) -> RowSet {
        self.catalog.columns.within(self.rows(), |at| at == mailbox)
    }

    /// The emails that are in a mailbox besides these.
    pub fn outside(&self, mailboxes: &BTreeSet<MailboxId>) -> RowSet {
        if let (Some(one), 1) = (mailboxes.first(), mailboxes.len()) {
            return self.catalog.columns.within(self.rows(), |at| at != *one);
        }
        // Most are told apart without a look at the tree.
        let length = mailboxes.last().map_or(0, |last| last.0 as usize + 1).min(NUMBERED);
        let mut numbered = RowSet::none(length);
        mailboxes.iter().for_each(|id| numbered.insert(id.0 as usize));
        let is_among = |id: MailboxId| match (id.0 as usize) < length {
            true => numbered.contains(id.0 as usize),
            false => length == NUMBERED && mailboxes.contains(&id),
        };
        self.catalog.columns.within(self.rows(), |at| !is_among(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::of_times;

    #[test]
    fn parts_are_all_rows_and_part_nothing_that_came_at_once() {
        let long = i64::try_from(PART).unwrap() * 3 + 70;
        let cases: [Vec<i64>; 6] = [
            Vec::new(),
            vec![7],
            (0..long).collect(),
            vec![3; long as usize],
            (0..long).map(|n| n / 5_000).collect(),
            (0..long).map(|n| n.max(long - 10)).collect(),
        ];
        for received in cases {
            let catalog = of_times(received, |row| row);
            let oldest: Vec<usize> = catalog.parts(true).flat_map(|part| part.rows()).collect();
            assert_eq!(oldest, (0..catalog.len()).collect::<Vec<_>>());
            let newest: Vec<Range<usize>> = catalog.parts(false).map(|part| part.rows()).collect();
            let mut all: Vec<usize> = newest.iter().rev().flat_map(Clone::clone).collect();
            assert_eq!(all, oldest);
            all.dedup();
            for rows in newest {
                assert_eq!(rows.start % WORD, 0);
                assert!(
                    rows.start == 0 || catalog.received()[rows.start - 1] < catalog.received()[rows.start]
                );
            }
        }
    }
}
