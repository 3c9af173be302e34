//! The answer: candidates of the plan, and for what it leaves open a look at each message.

use futures::future::{BoxFuture, FutureExt};
use mail::{MailboxRef, UidSet};
use runtime::SharedClock;

use crate::message::Message;
use crate::plan::{Ledger, Plan, Planner};
use crate::{Budget, Error, Filter, SearchIndex, Spending};

/// Rows read at once.
const PAGE: usize = 500;

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
        for row in &query.store.messages_at(query.mailbox, page).await? {
            let mut message = Message::new(query.store, query.mailbox, row);
            match matches(&mut message, filter, &mut ledger).await {
                Ok(true) => fitting.push(row.uid),
                // Gone while we looked.
                Ok(false) | Err(Error::Mail(mail::Error::NotFound)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.extend(fitting);
    Ok(found)
}

pub(crate) fn matches<'a>(
    message: &'a mut Message<'_>,
    filter: &'a Filter,
    ledger: &'a mut Ledger,
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
            Filter::Sent(range) => range.contains(&message.sent_there(&mut ledger.spending).await?),
            Filter::Saved(range) => range.contains(&row.save_date),
            Filter::Larger(size) => row.size > *size,
            Filter::Smaller(size) => row.size < *size,
            Filter::Header(field, needle) => message.field_has(field, needle, &mut ledger.spending).await?,
            Filter::Body(needle) => message.body_has(needle, false, &mut ledger.spending).await?,
            Filter::Text(needle) => {
                message.header_has(needle, &mut ledger.spending).await?
                    || message.body_has(needle, false, &mut ledger.spending).await?
            }
            Filter::BodyOrHint(needle) => message.body_has(needle, true, &mut ledger.spending).await?,
            Filter::TextOrHint(needle) => {
                message.header_has(needle, &mut ledger.spending).await?
                    || message.body_has(needle, true, &mut ledger.spending).await?
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
