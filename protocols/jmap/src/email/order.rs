//! Sorting (RFC 8621 §4.4.2): comparators, and what emails are compared by.

use std::cmp::Ordering;
use std::collections::HashMap;

use jmap_proto::MethodError;
use jmap_proto::sort::{Collation, Comparator};
use mail::{Catalog, RowSet, Traits};
use schema::{EmailId, Flags};

use super::look::Known;
use super::{keywords, select};

/// What emails can be sorted by.
pub(crate) const SORTS: [&str; 11] = [
    "receivedAt",
    "sentAt",
    "size",
    "from",
    "to",
    "subject",
    "hasKeyword",
    "allInThreadHaveKeyword",
    "someInThreadHaveKeyword",
    "id",
    // How well an email fits the texts of the filter: no standard's, as its name is in other servers.
    "relevance",
];

/// A comparator that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct By {
    key: Key,
    ascending: bool,
    collation: Collation,
}

#[derive(Debug, Clone)]
enum Key {
    ReceivedAt,
    SentAt,
    Size,
    From,
    To,
    Subject,
    Has(Flags),
    AllInThread(Flags),
    SomeInThread(Flags),
    Id,
    Relevance,
}

impl By {
    /// Whether what it compares never changes of an email.
    pub(crate) fn is_fixed(&self) -> bool {
        !matches!(self.key, Key::Has(_) | Key::AllInThread(_) | Key::SomeInThread(_) | Key::Relevance)
    }

    /// The emails that come first, where there are only those and the others.
    pub(crate) fn first(&self, catalog: &Catalog) -> Option<RowSet> {
        let set = match &self.key {
            Key::Has(wanted) => select::has(&catalog.all(), wanted),
            Key::AllInThread(wanted) => select::all_in_thread(&catalog.all(), wanted),
            Key::SomeInThread(wanted) => select::some_in_thread(&catalog.all(), wanted),
            _ => return None,
        };
        Some(if self.ascending { set.inverted() } else { set })
    }

    /// Compares two emails by what never changes of them.
    pub(crate) fn compare(&self, catalog: &Catalog, a: usize, b: usize) -> Ordering {
        let order = match self.text() {
            Some(pick) => {
                let traits = catalog.traits().unwrap_or_default();
                let key = |row: usize| {
                    let text = catalog.texts().get(pick(&traits[row]) as usize);
                    self.collation.key(text.map_or("", |text| text))
                };
                key(a).cmp(&key(b))
            }
            None => {
                let column = column(catalog, self, &Known::default()).at_both(a, b);
                column.0.cmp(&column.1)
            }
        };
        if self.ascending { order } else { order.reverse() }
    }

    /// Where the text is that it compares.
    fn text(&self) -> Option<fn(&Traits) -> u32> {
        match self.key {
            Key::From => Some(|traits| traits.from),
            Key::To => Some(|traits| traits.to),
            Key::Subject => Some(|traits| traits.subject),
            _ => None,
        }
    }

    /// Sorts rows; those that are alike stay as they are.
    pub(crate) fn sort(&self, catalog: &Catalog, rows: &mut [u32], known: &Known) {
        let column = column(catalog, self, known);
        let key = |row: &u32| column.at(*row as usize);
        if self.ascending {
            rows.sort_by_key(key);
        } else {
            rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
        }
    }
}

/// Reads the sort of a query.
pub(crate) fn read(sort: &[Comparator]) -> Result<Vec<By>, MethodError> {
    sort.iter().map(one).collect()
}

fn one(comparator: &Comparator) -> Result<By, MethodError> {
    let flags = || {
        let name = comparator.more.get("keyword").and_then(|value| value.as_str());
        name.and_then(keywords::flag).ok_or_else(|| MethodError::invalid("sort", "a keyword is wanted"))
    };
    let key = match comparator.property.as_str() {
        "receivedAt" => Key::ReceivedAt,
        "sentAt" => Key::SentAt,
        "size" => Key::Size,
        "from" => Key::From,
        "to" => Key::To,
        "subject" => Key::Subject,
        "hasKeyword" => Key::Has(flags()?),
        "allInThreadHaveKeyword" => Key::AllInThread(flags()?),
        "someInThreadHaveKeyword" => Key::SomeInThread(flags()?),
        "id" => Key::Id,
        "relevance" => Key::Relevance,
        _ => return Err(MethodError::UnsupportedSort),
    };
    Ok(By { key, ascending: comparator.ascending, collation: comparator.collation })
}

/// Whether it is by arrival alone, and then whether the oldest come first. RFC 8620 §5.5: what is asked for in no order is told in
/// an order all the same, the newest first.
pub(crate) fn by_arrival(sort: &[By]) -> Option<bool> {
    match sort {
        [] => Some(false),
        [one] => matches!(one.key, Key::ReceivedAt).then_some(one.ascending),
        _ => None,
    }
}

/// Whether it is asked what only summaries say.
pub(crate) fn wants_traits(sort: &[By]) -> bool {
    sort.iter().any(|by| matches!(by.key, Key::SentAt | Key::From | Key::To | Key::Subject))
}

/// Whether other emails of a thread decide.
pub(crate) fn is_of_threads(sort: &[By]) -> bool {
    sort.iter().any(|by| matches!(by.key, Key::AllInThread(_) | Key::SomeInThread(_)))
}

/// Whether the index decides.
pub(crate) fn is_by_relevance(sort: &[By]) -> bool {
    sort.iter().any(|by| matches!(by.key, Key::Relevance))
}

/// A column that emails are sorted by.
enum Column<'c> {
    Seconds(&'c [i64]),
    Octets(&'c [u32]),
    Is(RowSet),
    Ids(&'c [EmailId]),
    Scores(&'c [EmailId], &'c HashMap<EmailId, i64>),
    Sent(&'c [Traits]),
    /// Places of the texts that there are.
    Texts(&'c [Traits], fn(&Traits) -> u32, Vec<u32>),
}

impl Column<'_> {
    fn at(&self, row: usize) -> i128 {
        match self {
            Column::Seconds(seconds) => seconds[row].into(),
            Column::Octets(octets) => octets[row].into(),
            Column::Is(rows) => rows.contains(row).into(),
            Column::Ids(ids) => text_order(ids[row]),
            Column::Scores(ids, scores) => scores.get(&ids[row]).copied().unwrap_or_default().into(),
            Column::Sent(traits) => traits[row].sent.into(),
            Column::Texts(traits, pick, places) => places[pick(&traits[row]) as usize].into(),
        }
    }

    fn at_both(&self, a: usize, b: usize) -> (i128, i128) {
        (self.at(a), self.at(b))
    }
}

/// The order of ids as texts: theirs have no leading zeros, five bits are a letter.
fn text_order(id: EmailId) -> i128 {
    let letters = (64 - id.0.leading_zeros()).div_ceil(5).max(1);
    (i128::from(id.0) << (5 * (13 - letters)) << 4) | i128::from(letters)
}

/// The catalogue has what summaries say, where that is asked: see [`wants_traits`].
fn column<'c>(catalog: &'c Catalog, by: &By, known: &'c Known) -> Column<'c> {
    let traits = || catalog.traits().unwrap_or_default();
    match &by.key {
        Key::ReceivedAt => Column::Seconds(catalog.received()),
        Key::Size => Column::Octets(catalog.sizes()),
        Key::Has(wanted) => Column::Is(select::has(&catalog.all(), wanted)),
        Key::AllInThread(wanted) => Column::Is(select::all_in_thread(&catalog.all(), wanted)),
        Key::SomeInThread(wanted) => Column::Is(select::some_in_thread(&catalog.all(), wanted)),
        Key::Id => Column::Ids(catalog.ids()),
        Key::Relevance => Column::Scores(catalog.ids(), &known.scores),
        Key::SentAt => Column::Sent(traits()),
        Key::From | Key::To | Key::Subject => {
            let pick = by.text().unwrap_or(|_| 0);
            Column::Texts(traits(), pick, places(catalog, by.collation))
        }
    }
}

/// Where each text of a catalogue comes; those that are alike under the collation at the same place.
fn places(catalog: &Catalog, collation: Collation) -> Vec<u32> {
    let texts = catalog.texts();
    let mut keys: Vec<(String, usize)> = texts.iter().map(|text| collation.key(text)).zip(0..).collect();
    keys.sort_unstable();
    let (mut places, mut place) = (vec![0; texts.len()], 0);
    for (at, (key, text)) in keys.iter().enumerate() {
        place += u32::from(at > 0 && keys[at - 1].0 != *key);
        places[*text] = place;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_texts() {
        let numbers = [0, 1, 31, 32, 33, 1023, 1024, 1 << 40, (1 << 60) - 1, 1 << 60, 1 << 63, u64::MAX];
        for (a, b) in numbers.iter().flat_map(|a| numbers.iter().map(move |b| (EmailId(*a), EmailId(*b)))) {
            assert_eq!(text_order(a).cmp(&text_order(b)), a.to_string().cmp(&b.to_string()), "{a} {b}");
        }
    }
}
