//! SORT (RFC 5256 §3, RFC 5957): messages in an order.

use std::cmp::Ordering;

use content_mail::address::{Address, Mailbox};
use content_mail::{Summary, sort_key};
use futures::future::FutureExt as _;
use mail::{MessageRow, Run, UidSet};

use crate::budget::SUMMARY;
use crate::scan::{PAGE, together};
use crate::text::decoded;
use crate::{Error, Query, Relevancy, Spending};

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
    /// How well it fits what is looked for fuzzily, the best first (RFC 6203 §5).
    Relevancy,
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

/// The messages in order, those that are still there; equal ones in the order of the mailbox, whatever the direction
/// (RFC 5256 §3).
///
/// # Errors
/// [`Error::Budget`] when it would cost too much; else the store's.
pub async fn sort(query: &Query<'_>, uids: &UidSet, criteria: &[SortCriterion]) -> Result<Vec<u32>, Error> {
    sort_by_relevancy(query, uids, criteria, &Relevancy::default()).await
}

/// The same, where it is known how well messages fit: the best come first (RFC 6203 §5).
///
/// # Errors
/// As [`sort`].
pub async fn sort_by_relevancy(
    query: &Query<'_>,
    uids: &UidSet,
    criteria: &[SortCriterion],
    relevancy: &Relevancy,
) -> Result<Vec<u32>, Error> {
    if let [criterion] = criteria
        && let Some(by) = index_of(criterion.key)
    {
        return by_index(query, uids, *criterion, by).await;
    }
    let spending = Spending::new(query.budget, query.clock.clone());
    let mut valued: Vec<(Vec<Value>, u32)> = Vec::new();
    let (mut next, last) = (uids.first(), uids.last().unwrap_or(0));
    while let Some(first) = next.filter(|first| *first <= last) {
        let page = query.store.messages(query.mailbox, first..=last, PAGE).await?;
        let rows = page.rows.iter().filter(|row| uids.contains(row.uid));
        let looks = rows.map(|row| look(query, row, criteria, relevancy, &spending).boxed());
        valued.extend(together(looks.collect()).await?);
        next = page.next;
    }
    valued.sort_by(|(a, m), (b, n)| compare(a, b, criteria).then(m.cmp(n)));
    Ok(valued.into_iter().map(|(_, uid)| uid).collect())
}

/// Orders that a mailbox keeps anyway.
fn index_of(key: SortKey) -> Option<mail::SortKey> {
    Some(match key {
        SortKey::Arrival => mail::SortKey::Received,
        SortKey::Date => mail::SortKey::Sent,
        SortKey::Size => mail::SortKey::Size,
        SortKey::From => mail::SortKey::From,
        SortKey::Subject => mail::SortKey::Subject,
        SortKey::Cc | SortKey::To | SortKey::DisplayFrom | SortKey::DisplayTo | SortKey::Relevancy => {
            return None;
        }
    })
}

/// An order that the mailbox keeps anyway. Of texts it keeps the beginning: messages that agree so far are looked at.
async fn by_index(
    query: &Query<'_>,
    uids: &UidSet,
    criterion: SortCriterion,
    by: mail::SortKey,
) -> Result<Vec<u32>, Error> {
    let spending = Spending::new(query.budget, query.clock.clone());
    let order = query.store.sorted(query.mailbox, by).await?;
    let runs: Box<dyn Iterator<Item = Run<'_>> + Send> =
        if criterion.reverse { Box::new(order.runs().rev()) } else { Box::new(order.runs()) };
    let mut sorted = Vec::with_capacity(uids.len() as usize);
    for run in runs {
        let begin = sorted.len();
        sorted.extend(run.uids.iter().copied().filter(|uid| uids.contains(*uid)));
        if run.cut && sorted.len() > begin + 1 {
            let alike = sorted.split_off(begin);
            sorted.extend(among_themselves(query, &spending, alike, criterion).await?);
        }
    }
    Ok(sorted)
}

/// Messages in order by all of what decides.
async fn among_themselves(
    query: &Query<'_>,
    spending: &Spending,
    mut uids: Vec<u32>,
    criterion: SortCriterion,
) -> Result<Vec<u32>, Error> {
    uids.sort_unstable();
    let criteria = [criterion];
    let (criteria, relevancy) = (&criteria, &Relevancy::default());
    let mut valued = Vec::with_capacity(uids.len());
    for page in uids.chunks(PAGE) {
        let rows = query.store.messages_at(query.mailbox, page).await?;
        let looks = rows.iter().map(|row| look(query, row, criteria, relevancy, spending).boxed());
        valued.extend(together(looks.collect()).await?);
    }
    valued.sort_by(|(a, m), (b, n)| compare(a, b, &[criterion]).then(m.cmp(n)));
    Ok(valued.into_iter().map(|(_, uid)| uid).collect())
}

/// What decides where the message is; nothing if it went while we looked.
async fn look(
    query: &Query<'_>,
    row: &MessageRow,
    criteria: &[SortCriterion],
    relevancy: &Relevancy,
    spending: &Spending,
) -> Result<Option<(Vec<Value>, u32)>, Error> {
    spending.pay(0).await?;
    match values(query, row, criteria, relevancy, spending).await {
        Ok(values) => Ok(Some((values, row.uid))),
        Err(Error::Mail(mail::Error::NotFound)) => Ok(None),
        Err(error) => Err(error),
    }
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
    relevancy: &Relevancy,
    spending: &Spending,
) -> Result<Vec<Value>, Error> {
    let of_row = |key: SortKey| match key {
        SortKey::Arrival => Some(Value::Number(row.internal_date)),
        SortKey::Size => Some(Value::Number(i64::try_from(row.size).unwrap_or(i64::MAX))),
        SortKey::Relevancy => Some(Value::Number(-i64::from(relevancy.score(row.email)))),
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
        SortKey::Arrival | SortKey::Size | SortKey::Relevancy => Value::Number(0),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::{Budget, NoIndex};
    use content_mail::{Limits, summarize};
    use mail::{Incoming, MailboxPath, MailboxRef, Store};
    use runtime::{ManualClock, Rng, SeededRng, SharedClock, Timestamp};
    use schema::{AccountId, Flags};

    const ACCOUNT: AccountId = AccountId(1);

    struct Fixture {
        store: Store,
        inbox: MailboxRef,
        clock: SharedClock,
        _dir: tempfile::TempDir,
    }

    async fn fixture() -> Fixture {
        let (db, dir) = (kv::memory::database(), tempfile::tempdir().unwrap());
        let clock: SharedClock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let rng = Arc::new(SeededRng::new(1));
        let options = blob::Options::default();
        let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
        let feed = Arc::new(changes::LocalFeed::new());
        let store = Store::new(db.clone(), blobs, feed, clock.clone(), rng);
        let provisioned = &store;
        db.transact("test", |txn| async move { provisioned.provision_in(&txn, ACCOUNT).await })
            .await
            .unwrap();
        let inbox = store.resolve(ACCOUNT, &MailboxPath::inbox()).await.unwrap().unwrap().id;
        Fixture { store, inbox: MailboxRef { account: ACCOUNT, mailbox: inbox }, clock, _dir: dir }
    }

    impl Fixture {
        async fn append(&self, header: &str, date: i64) {
            let text = format!("{header}\r\n\r\n{}\r\n", "x".repeat(usize::try_from(date).unwrap()));
            let summary = Arc::new(summarize(text.as_bytes(), &Limits::default()));
            let staged = self.store.blobs().stage(text.into_bytes().into()).await.unwrap();
            self.store.append(self.inbox, &Incoming { staged, summary }, &Flags::none(), date).await.unwrap();
        }

        async fn sort(&self, criteria: &[SortCriterion], bytes: u64) -> Result<Vec<u32>, Error> {
            let all = self.store.open(self.inbox).await.unwrap().uids;
            let query = Query {
                store: &self.store,
                index: &NoIndex,
                mailbox: self.inbox,
                within: &all,
                budget: Budget { bytes, time: Duration::from_secs(1) },
                clock: self.clock.clone(),
            };
            sort(&query, &all, criteria).await
        }
    }

    /// Texts that differ early, late, behind what an index keeps, in their case, in their blanks, or not at all.
    fn text(rng: &SeededRng) -> String {
        let pick = |from: &[&'static str]| from[usize::try_from(rng.u64() % from.len() as u64).unwrap()];
        let begin = pick(&["a", "A", "b", "\u{3c3}", "\u{3a3}", "\u{e4}", "\u{1f600}", ""]);
        let middle = pick(&[
            "",
            "z",
            "0123456789012345678901234567890",
            "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{20ac}\u{20ac}",
        ]);
        let end = pick(&["", "x", "y", "\u{20ac}", "  X"]);
        format!("{begin}{middle}{middle}{end}")
    }

    const KEYS: [SortKey; 5] =
        [SortKey::Arrival, SortKey::Date, SortKey::From, SortKey::Size, SortKey::Subject];

    /// Asked for the same order twice, the indexes are not used.
    #[tokio::test]
    async fn the_indexes_say_what_the_messages_say() {
        let (f, rng) = (fixture().await, SeededRng::new(7));
        for n in 0..120 {
            let (subject, from, second) = (text(&rng), text(&rng), rng.u64() % 5);
            let header = format!(
                "Subject: {subject}\r\nFrom: \"{from}\"@example.org\r\nDate: Sat, 21 Nov 2026 10:00:0{second} +0000"
            );
            let header = if n % 7 == 0 { "X: y" } else { &header };
            f.append(header, i64::try_from(rng.u64() % 9).unwrap()).await;
        }
        for key in KEYS {
            for reverse in [false, true] {
                let criterion = SortCriterion { key, reverse };
                let (one, two) =
                    (f.sort(&[criterion], 1 << 20).await, f.sort(&[criterion, criterion], 1 << 20).await);
                assert_eq!(one.unwrap(), two.unwrap(), "{criterion:?}");
            }
        }
    }

    /// RFC 5256 §3: REVERSE turns the criterion round, not the order of equal messages.
    #[tokio::test]
    async fn equal_messages_keep_their_order() {
        let f = fixture().await;
        for date in [5, 5, 3] {
            f.append("Subject: s\r\nFrom: a@example.org", date).await;
        }
        for (key, forward, backward) in [
            (SortKey::Arrival, [3, 1, 2], [1, 2, 3]),
            (SortKey::Date, [3, 1, 2], [1, 2, 3]),
            (SortKey::Size, [3, 1, 2], [1, 2, 3]),
            (SortKey::Subject, [1, 2, 3], [1, 2, 3]),
            (SortKey::From, [1, 2, 3], [1, 2, 3]),
        ] {
            // Nothing may be spent: no message is looked at.
            assert_eq!(
                f.sort(&[SortCriterion { key, reverse: false }], 0).await.unwrap(),
                forward,
                "{key:?}"
            );
            assert_eq!(
                f.sort(&[SortCriterion { key, reverse: true }], 0).await.unwrap(),
                backward,
                "{key:?}"
            );
        }
    }
}
