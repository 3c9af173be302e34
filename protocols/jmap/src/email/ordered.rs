//! The results of a query in their order, of which no more is put in order than is asked for.

use std::cmp::Ordering;
use std::sync::Arc;

use mail::{Catalog, Part, Ranked, RowSet};

use super::look::Known;
use super::order::{self, By};

/// Results: rows of a catalogue.
pub(crate) struct Ordered<'c> {
    catalog: &'c Catalog,
    rows: Rows,
}

enum Rows {
    /// By arrival, the one set behind the other: the n-th is looked up.
    Arrival {
        sets: Vec<Ranked>,
        oldest_first: bool,
    },
    /// All rows, as the catalogue keeps them.
    All(Arc<Vec<u32>>),
    Some(Vec<u32>),
}

impl<'c> Ordered<'c> {
    /// The first `most` results by arrival, of which `matching` says which they are in a part: no more of the catalogue is looked
    /// at than that takes. If `collapse`, the first of each thread (RFC 8621 §4.4.3).
    pub(crate) fn first(
        catalog: &'c Catalog,
        oldest_first: bool,
        collapse: bool,
        most: usize,
        matching: impl Fn(&Part<'_>) -> RowSet,
    ) -> Self {
        let (mut all, mut count) = (RowSet::none(catalog.len()), 0);
        let mut threads = RowSet::none(catalog.thread_count());
        for part in catalog.parts(oldest_first) {
            if count >= most {
                break;
            }
            let mut rows = matching(&part);
            if collapse {
                rows = part.first_of(&rows, oldest_first, &mut threads, most - count);
            }
            count += rows.count();
            all.put(part.rows().start, &rows);
        }
        Ordered { catalog, rows: Rows::Arrival { sets: vec![Ranked::new(all)], oldest_first } }
    }

    /// Puts rows in order. RFC 8620 §5.5: what the comparators leave open is settled always alike; the newest first, then by id.
    pub(crate) fn new(catalog: &'c Catalog, rows: &RowSet, sort: &[By], known: &Known) -> Self {
        Ordered { catalog, rows: of_sort(catalog, rows, sort, known) }
    }

    /// Leaves the first of each thread (RFC 8621 §4.4.3); no more than the first `most` of them have to be right.
    #[must_use]
    pub(crate) fn collapsed(self, most: usize) -> Self {
        let catalog = self.catalog;
        let mut threads = RowSet::none(catalog.thread_count());
        let list = |rows: &[u32], threads: &mut RowSet| {
            let is_first = |row: &u32| threads.add(catalog.threads()[*row as usize] as usize);
            Rows::Some(rows.iter().copied().filter(is_first).take(most).collect())
        };
        let rows = match self.rows {
            Rows::Arrival { sets, oldest_first } => {
                let (mut collapsed, mut left) = (Vec::with_capacity(sets.len()), most);
                for set in sets {
                    let rows = catalog.all().first_of(set.set(), oldest_first, &mut threads, left);
                    let rows = Ranked::new(rows);
                    left = left.saturating_sub(rows.len());
                    collapsed.push(rows);
                }
                Rows::Arrival { sets: collapsed, oldest_first }
            }
            Rows::All(rows) => list(&rows, &mut threads),
            Rows::Some(rows) => list(&rows, &mut threads),
        };
        Ordered { catalog, rows }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match &self.rows {
            Rows::Arrival { sets, .. } => sets.iter().map(Ranked::len).sum(),
            Rows::All(rows) => rows.len(),
            Rows::Some(rows) => rows.len(),
        }
    }

    /// The row at a place.
    pub(crate) fn at(&self, place: usize) -> Option<usize> {
        match &self.rows {
            Rows::Arrival { sets, oldest_first } => {
                let mut place = place;
                let set = sets.iter().find(|set| {
                    let here = place < set.len();
                    place -= if here { 0 } else { set.len() };
                    here
                })?;
                set.nth(if *oldest_first { place } else { self.mirrored(set, place) })
            }
            Rows::All(rows) => rows.get(place).map(|row| *row as usize),
            Rows::Some(rows) => rows.get(place).map(|row| *row as usize),
        }
    }

    /// Places of rows, those that are among the results, in order.
    pub(crate) fn places(&self, wanted: &RowSet) -> Vec<(usize, usize)> {
        let list = |rows: &[u32]| {
            let rows = rows.iter().map(|row| *row as usize).enumerate();
            rows.filter(|(_, row)| wanted.contains(*row)).collect()
        };
        match &self.rows {
            Rows::Arrival { sets, oldest_first } => {
                let (mut places, mut before) = (Vec::new(), 0);
                for set in sets {
                    for row in wanted.iter().filter(|row| set.set().contains(*row)) {
                        let place = if *oldest_first { set.below(row) } else { self.newest_first(set, row) };
                        places.push((before + place, row));
                    }
                    before += set.len();
                }
                places.sort_unstable();
                places
            }
            Rows::All(rows) => list(rows),
            Rows::Some(rows) => list(rows),
        }
    }

    /// The rows of a set that came when a row did: how many come before them, and how many up to the last.
    fn at_once(&self, set: &Ranked, row: usize) -> (usize, usize) {
        let (received, time) = (self.catalog.received(), self.catalog.received()[row]);
        let begin = received.partition_point(|one| *one < time);
        let end = begin + received[begin..].partition_point(|one| *one == time);
        (set.below(begin), set.below(end))
    }

    /// The number in a set of the row that is at a place if the newest comes first; what came at once is by id.
    fn mirrored(&self, set: &Ranked, place: usize) -> usize {
        let number = set.len() - 1 - place;
        let Some(row) = set.nth(number) else { return number };
        let (begin, end) = self.at_once(set, row);
        begin + end - 1 - number
    }

    fn newest_first(&self, set: &Ranked, row: usize) -> usize {
        let (begin, end) = self.at_once(set, row);
        set.len() - end + (set.below(row) - begin)
    }
}

fn of_sort(catalog: &Catalog, rows: &RowSet, sort: &[By], known: &Known) -> Rows {
    let fixed = sort.iter().rposition(|by| !by.is_fixed()).map_or(0, |last| last + 1);
    let (changing, fixed) = sort.split_at(fixed);
    let oldest_first = order::by_arrival(fixed);
    if let Some(oldest_first) = oldest_first
        && let Some(sets) = parted(catalog, rows, changing)
    {
        return Rows::Arrival { sets: sets.into_iter().map(Ranked::new).collect(), oldest_first };
    }
    let all = rows.count() == catalog.len();
    let list = match oldest_first {
        Some(oldest_first) => by_arrival(catalog, rows, oldest_first),
        None => {
            let order = kept(catalog, fixed);
            if all && changing.is_empty() {
                return Rows::All(order);
            }
            order.iter().copied().filter(|row| rows.contains(*row as usize)).collect()
        }
    };
    let mut list = list;
    for by in changing.iter().rev() {
        match by.first(catalog) {
            Some(first) => {
                let (mut rows, others): (Vec<u32>, Vec<u32>) =
                    list.into_iter().partition(|row| first.contains(*row as usize));
                rows.extend(others);
                list = rows;
            }
            None => by.sort(catalog, &mut list, known),
        }
    }
    Rows::Some(list)
}

/// Parts rows by comparators that know only two kinds; none if there is another comparator.
fn parted(catalog: &Catalog, rows: &RowSet, sort: &[By]) -> Option<Vec<RowSet>> {
    let mut sets = vec![rows.clone()];
    for by in sort {
        let first = by.first(catalog)?;
        let others = first.clone().inverted();
        sets = sets.into_iter().flat_map(|set| [set.clone().and(&first), set.and(&others)]).collect();
    }
    Some(sets)
}

/// Rows by arrival, which is a catalogue's own order; what came at once is by id.
fn by_arrival(catalog: &Catalog, rows: &RowSet, oldest_first: bool) -> Vec<u32> {
    let mut list: Vec<u32> = rows.iter().filter_map(|row| u32::try_from(row).ok()).collect();
    if !oldest_first {
        let received = |row: &u32| catalog.received()[*row as usize];
        list.chunk_by_mut(|a, b| received(a) == received(b)).for_each(<[u32]>::reverse);
        list.reverse();
    }
    list
}

/// All rows, by what never changes of emails.
fn kept(catalog: &Catalog, sort: &[By]) -> Arc<Vec<u32>> {
    let compare = |a: u32, b: u32| {
        let (a, b) = (a as usize, b as usize);
        let order = sort.iter().map(|by| by.compare(catalog, a, b)).find(|order| order.is_ne());
        let newest = || catalog.received()[b].cmp(&catalog.received()[a]).then(a.cmp(&b));
        order.unwrap_or_else(newest)
    };
    let make = || {
        let mut rows = by_arrival(catalog, &RowSet::all(catalog.len()), false);
        sort.iter().rev().for_each(|by| by.sort(catalog, &mut rows, &Known::default()));
        rows
    };
    let order: Arc<Vec<u32>> = catalog.in_order(&format!("{sort:?}"), compare, make);
    debug_assert!(order.windows(2).take(100).all(|pair| compare(pair[0], pair[1]) == Ordering::Less));
    order
}
