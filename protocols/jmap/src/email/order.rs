//! Sorting (RFC 8621 §4.4.2).

use std::cmp::Ordering;

use content_mail::{Address, Summary, sort_key};
use jmap_proto::MethodError;
use jmap_proto::sort::{Collation, Comparator};
use schema::Flags;

use super::filter::Threads;
use super::keywords;
use super::query::Candidate;

/// What emails can be sorted by.
pub(crate) const SORTS: [&str; 10] = [
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
}

/// What an email is sorted by under one comparator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Number(i64),
    Text(String),
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
        _ => return Err(MethodError::UnsupportedSort),
    };
    Ok(By { key, ascending: comparator.ascending, collation: comparator.collation })
}

/// Whether summaries are needed.
pub(crate) fn needs_summaries(sort: &[By]) -> bool {
    sort.iter().any(|by| matches!(by.key, Key::SentAt | Key::From | Key::To | Key::Subject))
}

/// Whether other emails of a thread decide.
pub(crate) fn is_of_threads(sort: &[By]) -> bool {
    sort.iter().any(|by| matches!(by.key, Key::AllInThread(_) | Key::SomeInThread(_)))
}

/// What an email is sorted by.
pub(crate) fn places(
    sort: &[By],
    email: &Candidate,
    summary: Option<&Summary>,
    threads: &Threads,
) -> Vec<Place> {
    let has = |flags: &Flags, wanted: &Flags| wanted.difference(flags).is_empty();
    let thread = || threads.get(&email.thread).map(Vec::as_slice).unwrap_or_default();
    let place = |by: &By| match &by.key {
        Key::ReceivedAt => Place::Number(email.received),
        Key::SentAt => {
            let sent = summary.and_then(|summary| summary.sent).map(|ms| ms.div_euclid(1_000));
            Place::Number(sent.unwrap_or(email.received))
        }
        Key::Size => Place::Number(i64::try_from(email.size).unwrap_or(i64::MAX)),
        Key::From => Place::Text(by.collation.key(&first(summary.map(|one| one.envelope.from.as_slice())))),
        Key::To => Place::Text(by.collation.key(&first(summary.map(|one| one.envelope.to.as_slice())))),
        // RFC 8621 §4.4.2: the base subject of RFC 5256 §2.1.
        Key::Subject => {
            Place::Text(by.collation.key(&sort_key(summary.map_or("", |one| one.base_subject.as_str()))))
        }
        Key::Has(wanted) => Place::Number(has(&email.flags, wanted).into()),
        Key::AllInThread(wanted) => Place::Number(thread().iter().all(|flags| has(flags, wanted)).into()),
        Key::SomeInThread(wanted) => Place::Number(thread().iter().any(|flags| has(flags, wanted)).into()),
        Key::Id => Place::Text(email.id.to_string()),
    };
    sort.iter().map(place).collect()
}

/// RFC 8621 §4.4.2: the name of the first address or, without one, the address.
fn first(list: Option<&[Address]>) -> String {
    let Some(first) = list.and_then(|list| content_mail::address::mailboxes(list).next()) else {
        return String::new();
    };
    match first.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => content_mail::decode::words(name).into_owned(),
        None => first.address(),
    }
}

/// Compares what two emails are sorted by.
pub(crate) fn compare(sort: &[By], a: &[Place], b: &[Place]) -> Ordering {
    for ((by, a), b) in sort.iter().zip(a).zip(b) {
        let ordering = if by.ascending { a.cmp(b) } else { b.cmp(a) };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}
