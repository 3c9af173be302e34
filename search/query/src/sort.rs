//! SORT (RFC 5256 §3, RFC 5957): messages in an order.

use std::cmp::Ordering;

use content_mail::Summary;
use content_mail::address::{Address, Mailbox};
use mail::{MessageRow, UidSet};

use crate::budget::SUMMARY;
use crate::text::{decoded, sort_key};
use crate::{Error, Query, Spending};

/// By what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// INTERNALDATE.
    Arrival,
    /// First Cc address.
    Cc,
    /// The Date field, INTERNALDATE where there is none.
    Date,
    /// First From address.
    From,
    /// Octets.
    Size,
    /// The base subject.
    Subject,
    /// First To address.
    To,
    /// Name of the first From address.
    DisplayFrom,
    /// Name of the first To address.
    DisplayTo,
}

/// By what, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// By what.
    pub key: SortKey,
    /// From the end.
    pub reverse: bool,
}

/// What a message is sorted by under one criterion.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

/// The messages in order, those that are still there; equal ones in the order of the mailbox (RFC 5256 §3).
///
/// # Errors
/// [`Error::Budget`] when it would cost too much; else the store's.
pub async fn sort(query: &Query<'_>, uids: &UidSet, criteria: &[SortCriterion]) -> Result<Vec<u32>, Error> {
    if let [SortCriterion { key: SortKey::Arrival, reverse }] = criteria {
        return by_index(query, uids, mail::SortKey::Received, *reverse).await;
    }
    let mut spending = Spending::new(query.budget, query.clock.clone());
    let mut valued: Vec<(Vec<Value>, u32)> = Vec::new();
    let (mut next, last) = (uids.first(), uids.last().unwrap_or(0));
    while let Some(first) = next.filter(|first| *first <= last) {
        let page = query.store.messages(query.mailbox, first..=last, 500).await?;
        for row in page.rows.iter().filter(|row| uids.contains(row.uid)) {
            spending.pay(0).await?;
            match values(query, row, criteria, &mut spending).await {
                Ok(values) => valued.push((values, row.uid)),
                // Gone while we looked.
                Err(Error::Mail(mail::Error::NotFound)) => {}
                Err(error) => return Err(error),
            }
        }
        next = page.next;
    }
    valued.sort_by(|(a, m), (b, n)| compare(a, b, criteria).then(m.cmp(n)));
    Ok(valued.into_iter().map(|(_, uid)| uid).collect())
}

/// An order that the mailbox keeps anyway.
async fn by_index(
    query: &Query<'_>,
    uids: &UidSet,
    by: mail::SortKey,
    reverse: bool,
) -> Result<Vec<u32>, Error> {
    let mut sorted = query.store.sorted(query.mailbox, by).await?;
    sorted.retain(|uid| uids.contains(*uid));
    if reverse {
        sorted.reverse();
    }
    Ok(sorted)
}

fn compare(a: &[Value], b: &[Value], criteria: &[SortCriterion]) -> Ordering {
    let each = a.iter().zip(b).zip(criteria);
    let directed = each.map(|((a, b), criterion)| if criterion.reverse { b.cmp(a) } else { a.cmp(b) });
    directed.fold(Ordering::Equal, Ordering::then)
}

async fn values(
    query: &Query<'_>,
    row: &MessageRow,
    criteria: &[SortCriterion],
    spending: &mut Spending,
) -> Result<Vec<Value>, Error> {
    let of_row = |key: SortKey| match key {
        SortKey::Arrival => Some(Value::Number(row.internal_date)),
        SortKey::Size => Some(Value::Number(i64::try_from(row.size).unwrap_or(i64::MAX))),
        _ => None,
    };
    let mut summary = None;
    let mut values = Vec::with_capacity(criteria.len());
    for criterion in criteria {
        values.push(match of_row(criterion.key) {
            Some(value) => value,
            None => {
                if summary.is_none() {
                    spending.pay(SUMMARY).await?;
                    summary = Some(query.store.summary(query.mailbox.account, row.email).await?);
                }
                summary.as_deref().map_or(Value::Number(0), |s| of_summary(s, row, criterion.key))
            }
        });
    }
    Ok(values)
}

fn of_summary(summary: &Summary, row: &MessageRow, key: SortKey) -> Value {
    let envelope = &summary.envelope;
    match key {
        SortKey::Date => Value::Number(summary.sent.map_or(row.internal_date, |ms| ms.div_euclid(1000))),
        SortKey::Subject => Value::Text(sort_key(&summary.base_subject)),
        // RFC 5256 §3: the mailbox, that is the local part, of the first address.
        SortKey::From => first(&envelope.from, |m| m.local.clone()),
        SortKey::To => first(&envelope.to, |m| m.local.clone()),
        SortKey::Cc => first(&envelope.cc, |m| m.local.clone()),
        SortKey::DisplayFrom => first(&envelope.from, display),
        SortKey::DisplayTo => first(&envelope.to, display),
        SortKey::Arrival | SortKey::Size => Value::Number(0),
    }
}

fn first(list: &[Address], text: impl Fn(&Mailbox) -> String) -> Value {
    let text = match list.first() {
        Some(Address::Mailbox(mailbox)) => text(mailbox),
        Some(Address::Group { name, .. }) => name.clone(),
        None => String::new(),
    };
    Value::Text(sort_key(&text))
}

/// RFC 5957 §3: the name, the address where there is none.
fn display(mailbox: &Mailbox) -> String {
    match mailbox.name.as_deref() {
        Some(name) if !name.is_empty() => decoded(name).into_owned(),
        _ => mailbox.address(),
    }
}
