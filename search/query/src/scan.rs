//! The answer: candidates of the plan, and for what it leaves open a look at each message.

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mail::{MailboxRef, MessageRow, UidSet};
use runtime::SharedClock;

use crate::message::Message;
use crate::plan::{Ledger, Plan, Planner};
use crate::{Budget, Error, Filter, SearchIndex, Spending};

/// Rows read at once.
pub(crate) const PAGE: usize = 500;
/// Looks that go on at a time.
const TOGETHER: usize = 16;
/// Messages of more bytes are looked at one after the other, since they are held in memory.
const SMALL: u64 = 256 << 10;

/// Where and at what cost is searched.
pub struct Query<'a> {
    /// The mail store.
    pub store: &'a mail::Store,
    /// What may know the words.
    pub index: &'a dyn SearchIndex,
    /// The mailbox.
    pub mailbox: MailboxRef,
    /// The messages in question; others do not match.
    pub within: &'a UidSet,
    /// The most it may cost.
    pub budget: Budget,
    /// Time.
    pub clock: SharedClock,
}

/// The messages that match.
///
/// # Errors
/// [`Error::Budget`] when it would cost too much; else the store's.
pub async fn search(query: &Query<'_>, filter: &Filter) -> Result<UidSet, Error> {
    let planner = Planner { store: query.store, index: query.index, at: query.mailbox };
    let spending = Spending::new(query.budget, query.clock.clone());
    let mut ledger = Ledger::new(spending);
    let Plan { least: mut found, most } = planner.plan(filter, query.within, &mut ledger).await?;
    // What surely matches is among what may.
    let nothing_is_open = most.len() == found.len();
    let open: Vec<u32> = if nothing_is_open { Vec::new() } else { most.difference(&found).iter().collect() };
    // They come between those that are sure: added one by one, each would have the whole set made anew.
    let mut fitting = Vec::new();
    for page in open.chunks(PAGE) {
        let rows = query.store.messages_at(query.mailbox, page).await?;
        let those = matching(query.store, query.mailbox, &rows, filter, &ledger).await?;
        fitting.extend(those.into_iter().map(|row| row.uid));
    }
    found.extend(fitting);
    Ok(found)
}

/// Those of the messages that match, by a look at each where the ledger does not say.
pub(crate) async fn matching<'a>(
    store: &mail::Store,
    at: MailboxRef,
    rows: &'a [MessageRow],
    filter: &Filter,
    ledger: &Ledger,
) -> Result<Vec<&'a MessageRow>, Error> {
    let (small, large): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.size <= SMALL);
    let looks = small.into_iter().map(|row| look(store, at, row, filter, ledger).boxed());
    let mut found = together(looks.collect()).await?;
    for row in large {
        found.extend(look(store, at, row, filter, ledger).await?);
    }
    Ok(found)
}

/// What looks find, some of them at a time: what messages say may be far away.
pub(crate) async fn together<T>(
    looks: Vec<BoxFuture<'_, Result<Option<T>, Error>>>,
) -> Result<Vec<T>, Error> {
    let found: Vec<Option<T>> = stream::iter(looks).buffered(TOGETHER).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// The message if it matches.
async fn look<'a>(
    store: &mail::Store,
    at: MailboxRef,
    row: &'a MessageRow,
    filter: &Filter,
    ledger: &Ledger,
) -> Result<Option<&'a MessageRow>, Error> {
    match matches(&mut Message::new(store, at, row), filter, ledger).await {
        // Gone while we looked.
        Err(Error::Mail(mail::Error::NotFound)) => Ok(None),
        fits => Ok(fits?.then_some(row)),
    }
}

fn matches<'a>(
    message: &'a mut Message<'_>,
    filter: &'a Filter,
    ledger: &'a Ledger,
) -> BoxFuture<'a, Result<bool, Error>> {
    async move {
        // For each key: a program may have many.
        ledger.spending.pay(0).await?;
        let row = message.row;
        if let Some(said) = ledger.says(filter, row.uid) {
            return Ok(said);
        }
        Ok(match filter {
            Filter::All => true,
            Filter::And(filters) => {
                for filter in cheapest_first(filters) {
                    if !matches(message, filter, ledger).await? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Or(filters) => {
                for filter in cheapest_first(filters) {
                    if matches(message, filter, ledger).await? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::Not(inner) => !matches(message, inner, ledger).await?,
            Filter::Uids(uids) => uids.contains(row.uid),
            Filter::System(flags) => row.flags.has(*flags),
            Filter::Keyword(keyword) => row.flags.keywords.contains(keyword),
            Filter::Arrived(range) => range.contains(&row.internal_date),
            Filter::Sent(range) => range.contains(&message.sent_there(&ledger.spending).await?),
            Filter::Saved(range) => range.contains(&row.save_date),
            Filter::Larger(size) => row.size > *size,
            Filter::Smaller(size) => row.size < *size,
            Filter::Header(field, needle) => message.field_has(field, needle, &ledger.spending).await?,
            Filter::Body(needle) => message.body_has(needle, false, &ledger.spending).await?,
            Filter::Text(needle) => {
                message.header_has(needle, &ledger.spending).await?
                    || message.body_has(needle, false, &ledger.spending).await?
            }
            Filter::BodyOrHint(needle) => message.body_has(needle, true, &ledger.spending).await?,
            Filter::TextOrHint(needle) => {
                message.header_has(needle, &ledger.spending).await?
                    || message.body_has(needle, true, &ledger.spending).await?
            }
            // What fits the words the plan has found.
            Filter::Fuzzy(_, exactly) => matches(message, exactly, ledger).await?,
            Filter::ModSeq(modseq) => row.modseq.0 >= *modseq,
            Filter::Email(email) => row.email == *email,
            Filter::Thread(thread) => row.thread == *thread,
        })
    }
    .boxed()
}

/// Filters in the order of what they read: the row, the summary, the header, the body.
fn cheapest_first(filters: &[Filter]) -> Vec<&Filter> {
    let mut ordered: Vec<&Filter> = filters.iter().collect();
    ordered.sort_by_cached_key(|filter| cost(filter));
    ordered
}

fn cost(filter: &Filter) -> u8 {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().map(cost).max().unwrap_or(0),
        Filter::Not(inner) | Filter::Fuzzy(_, inner) => cost(inner),
        Filter::Sent(_) => 1,
        Filter::Header(crate::Field::Named(_), _) => 2,
        Filter::Header(..) => 1,
        Filter::Body(_) | Filter::Text(_) | Filter::BodyOrHint(_) | Filter::TextOrHint(_) => 3,
        _ => 0,
    }
}
