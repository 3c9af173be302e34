//! `Email/query` and `Email/queryChanges` (RFC 8621 §4.4, §4.5), answered off the account's catalogue.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use jmap_proto::filter::Filter;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{Added, Query, QueryChanges, QueryChangesAnswer, Window};
use jmap_proto::{Arguments, Id, MethodError, Object};
use mail::{Catalog, Part, Remembered, RowSet};
use query::Spending;
use schema::{EmailId, ModSeq, ThreadId};
use serde_json::Value;

use super::changes;
use super::filter::{self, Condition};
use super::look::{self, Known};
use super::order::{self, By};
use super::ordered::Ordered;
use super::select;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::options::RESULTS;
use crate::{results, view};

pub(crate) fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

pub(crate) fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

/// What is asked for, besides which part of it.
struct Wanted {
    filter: Option<Filter<Condition>>,
    sort: Vec<By>,
    collapse: bool,
}

impl Wanted {
    fn read(
        call: &Call,
        arguments: &mut Arguments,
        filter: Value,
        sort: &[Comparator],
    ) -> Result<Self, MethodError> {
        Ok(Wanted {
            filter: Filter::parse(filter, &mut |members| filter::condition(call, members))?,
            sort: order::read(sort)?,
            collapse: arguments.flag("collapseThreads")?,
        })
    }

    /// The results, of which the first `most` have to be right.
    fn results<'c>(&self, catalog: &'c Catalog, known: &Known, most: usize) -> Ordered<'c> {
        let filter = self.filter.as_ref();
        let in_parts = filter.is_none_or(filter::is_of_itself) && most < catalog.len();
        if let Some(oldest_first) = order::by_arrival(&self.sort).filter(|_| in_parts) {
            let matching = |part: &Part<'_>| select::matching(part, filter, known);
            return Ordered::first(catalog, oldest_first, self.collapse, most, matching);
        }
        let rows = select::matching(&catalog.all(), filter, known);
        let ordered = Ordered::new(catalog, &rows, &self.sort, known);
        if self.collapse { ordered.collapsed(most) } else { ordered }
    }

    /// What fits how well is another matter whenever something is indexed.
    fn can_calculate_changes(&self) -> bool {
        !order::is_by_relevance(&self.sort)
    }

    /// Whether nothing that happens to an email but its end changes whether and where it is among the results (RFC 8620 §5.6).
    fn is_fixed(&self) -> bool {
        !self.collapse
            && self.filter.as_ref().is_none_or(filter::is_fixed)
            && self.sort.iter().all(order::By::is_fixed)
    }

    /// Whether something of it is only in summaries.
    fn wants_traits(&self) -> bool {
        order::wants_traits(&self.sort)
            || self.filter.as_ref().is_some_and(|filter| filter::asked(filter).attachments)
    }

    /// Whether other emails of a thread decide whether and where an email is among the results.
    fn is_of_threads(&self) -> bool {
        let of_itself = self.filter.as_ref().is_none_or(filter::is_of_itself);
        !of_itself || self.collapse || order::is_of_threads(&self.sort)
    }
}

/// What is to be read off the results.
#[derive(Clone)]
enum Wish {
    /// A part, and whether it is told how many there are in all.
    Part(Window, bool),
    /// The places of emails that changed, and of all in these threads, and that of one email.
    Places(BTreeSet<EmailId>, BTreeSet<ThreadId>, Option<EmailId>),
}

impl Wish {
    /// So many of the first results decide what is read off.
    fn most(&self) -> usize {
        match self {
            Wish::Part(Window { anchor: None, position, limit, .. }, false) if *position >= 0 => {
                let limit = limit.map_or(RESULTS, |limit| usize::try_from(limit).unwrap_or(RESULTS));
                let end =
                    usize::try_from(*position).ok().and_then(|begin| begin.checked_add(limit.min(RESULTS)));
                // One more, for it is told whether there are more than `RESULTS`.
                end.and_then(|end| end.checked_add(1)).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        }
    }
}

/// What was read off the results.
struct Found {
    /// Of when they are; none where some of it is of later.
    as_of: ModSeq,
    exact: bool,
    total: usize,
    /// The part that was wanted, and where it begins.
    part: (usize, Vec<EmailId>),
    /// What changed, where it is among the results, and where the one email is.
    changed: BTreeSet<EmailId>,
    places: Vec<(usize, EmailId)>,
    last: Option<usize>,
}

/// The same for other methods.
pub(crate) async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut query = Query::read(&mut arguments)?;
    let wanted = Wanted::read(call, &mut arguments, std::mem::take(&mut query.filter), &query.sort)?;
    arguments.end()?;
    let access = call.viewer(&query.account)?;
    let wish = Wish::Part(query.window.clone(), query.calculate_total);
    let can_calculate_changes = wanted.can_calculate_changes();
    let found = found(call, &access, wanted.into(), wish).await?;
    let state = call.services().state_text(found.as_of);
    let (position, emails) = found.part;
    let ids = emails.into_iter().map(Id::of).collect();
    Ok(results::answer(query, state, can_calculate_changes, found.total, (position, ids)))
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut asked = QueryChanges::read(&mut arguments)?;
    let wanted = Wanted::read(call, &mut arguments, std::mem::take(&mut asked.filter), &asked.sort)?;
    arguments.end()?;
    let (access, wanted) = (call.viewer(&asked.account)?, Arc::new(wanted));
    if !wanted.can_calculate_changes() {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    for _ in 0..results::TRIES {
        if let Some(told) = changed_results(call, &access, &asked, &wanted).await? {
            return Ok(told);
        }
    }
    Err(MethodError::CannotCalculateChanges.into())
}

/// What became of the results; none if something changed while that was found out. Places that are told have to be those of
/// the state that is told, or a client that goes on from there keeps what has moved in the wrong place for ever.
async fn changed_results(
    call: &Call,
    access: &Access,
    asked: &QueryChanges,
    wanted: &Arc<Wanted>,
) -> Result<Option<Object>, Fail> {
    let services = call.services();
    if services.mail.is_emptying(access.account).await? {
        // What a mailbox had that was deleted is not among the results, and the log does not tell yet.
        return Err(MethodError::CannotCalculateChanges.into());
    }
    let (folded, threads) = changes::since(services, access, &asked.since, None).await?;
    let folded = folded.whole()?;
    let threads = if wanted.is_of_threads() { threads } else { BTreeSet::new() };
    let changed = [&folded.created, &folded.updated, &folded.destroyed];
    let changed = changed.into_iter().flatten().map(|id| EmailId(*id)).collect();
    let up_to = asked.up_to.as_ref().filter(|_| wanted.is_fixed());
    let last = up_to.and_then(|id| id.as_str().parse().ok());
    let found = found(call, access, Arc::clone(wanted), Wish::Places(changed, threads, last)).await?;
    if !found.exact || found.as_of != folded.upto {
        return Ok(None);
    }
    let answer = QueryChangesAnswer {
        account: asked.account.clone(),
        old_state: asked.since.clone(),
        new_state: services.state_text(folded.upto),
        total: asked.calculate_total.then_some(found.total),
        removed: Vec::new(),
        added: Vec::new(),
    };
    let changed = found.changed.into_iter().map(Id::of).collect();
    let added = found.places.into_iter().map(|(index, email)| Added { id: Id::of(email), index });
    let last = up_to.zip(found.last);
    Ok(Some(answer.of_places(&changed, added.collect(), last, asked.max)?.into_object()))
}

/// Works out the results, and reads off them what is wished.
async fn found(call: &Call, access: &Access, wanted: Arc<Wanted>, wish: Wish) -> Result<Found, Fail> {
    let clock = call.services().clock.clone();
    let spending = Spending::new(call.server.options.query_budget, clock);
    let by_relevance = order::is_by_relevance(&wanted.sort);
    let known = match &wanted.filter {
        Some(filter) => look::look(call, access, filter, by_relevance, &spending).await?,
        None => Known::default(),
    };
    let (looked, known) = (known.as_of, Arc::new(known));
    for _ in 0..results::TRIES {
        let catalog = call.services().catalog(access).await?;
        if wanted.wants_traits() {
            look::learn(call, access.account, &catalog, &spending).await?;
        }
        let found = off_catalog(catalog, Arc::clone(&wanted), Arc::clone(&known), wish.clone()).await?;
        let Some(mut found) = found else { continue };
        if let Some(looked) = looked {
            // Messages that came after they were asked are not among the results.
            found.exact &= looked == found.as_of;
            found.as_of = looked.min(found.as_of);
        }
        return Ok(found);
    }
    // Each time there were new emails again, whose summaries were not read.
    Err(MethodError::ServerUnavailable.into())
}

/// None where the catalogue lacks what summaries say.
async fn off_catalog(
    catalog: Arc<Remembered>,
    wanted: Arc<Wanted>,
    known: Arc<Known>,
    wish: Wish,
) -> Result<Option<Found>, Fail> {
    let work = move |catalog: &Catalog| {
        if wanted.wants_traits() && catalog.traits().is_none() {
            return Ok(None);
        }
        let ordered = wanted.results(catalog, &known, wish.most());
        Found::read(catalog, wish, &ordered).map(Some)
    };
    Ok(view::look_at(catalog, work).await??)
}

impl Found {
    /// Reads off the results what is wished.
    fn read(catalog: &Catalog, wish: Wish, ordered: &Ordered<'_>) -> Result<Found, MethodError> {
        let total = ordered.len();
        let mut found = Found {
            as_of: catalog.as_of(),
            exact: catalog.is_whole(),
            total,
            part: (0, Vec::new()),
            changed: BTreeSet::new(),
            places: Vec::new(),
            last: None,
        };
        let place = |email: EmailId| {
            let mut one = RowSet::none(catalog.len());
            one.insert(catalog.row_of(email)?);
            ordered.places(&one).first().map(|(place, _)| *place)
        };
        match wish {
            Wish::Part(window, _) => {
                let range: Range<usize> =
                    window.range(total, RESULTS, |id| id.as_str().parse().ok().and_then(place))?;
                let rows = range.clone().filter_map(|place| ordered.at(place));
                found.part = (range.start, rows.map(|row| catalog.ids()[row]).collect());
            }
            Wish::Places(mut changed, threads, last) => {
                let numbers = threads.into_iter().filter_map(|thread| catalog.thread_number(thread));
                let mut touched = RowSet::none(catalog.thread_count());
                numbers.for_each(|number| touched.insert(number as usize));
                let rows = RowSet::of(catalog.threads(), |thread| touched.contains(*thread as usize));
                changed.extend(rows.iter().map(|row| catalog.ids()[row]));
                let rows =
                    select::among(&catalog.all(), |id| changed.contains(id), changed.first(), changed.last());
                let places = ordered.places(&rows).into_iter();
                found.places = places.map(|(place, row)| (place, catalog.ids()[row])).collect();
                found.last = last.and_then(place);
                found.changed = changed;
            }
        }
        Ok(found)
    }
}
