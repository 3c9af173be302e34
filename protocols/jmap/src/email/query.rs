//! `Email/query` and `Email/queryChanges` (RFC 8621 §4.4, §4.5).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use content_mail::Summary;
use futures::future::BoxFuture;
use jmap_proto::filter::Filter;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{Query, QueryAnswer, QueryChanges, QueryChangesAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object};
use mail::{MailboxRef, UidSet};
use query::Spending;
use schema::{AccountId, EmailId, Flags, MailboxId, SystemFlags, ThreadId};
use serde_json::Value;

use super::changes;
use super::filter::{self, Condition, Threads};
use super::order::{self, By};
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::options::RESULTS;

/// Rows read at once.
const ROWS: usize = 1_000;
/// What a summary costs of the budget, in octets.
const SUMMARY: u64 = 512;

pub(crate) fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

pub(crate) fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

/// An email that may be a result.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) id: EmailId,
    pub(crate) thread: ThreadId,
    pub(crate) received: i64,
    pub(crate) size: u64,
    pub(crate) flags: Flags,
    /// Of those that were looked through.
    pub(crate) mailboxes: BTreeSet<MailboxId>,
}

/// All of them, and where their messages are.
#[derive(Default)]
pub(crate) struct Candidates {
    by_id: BTreeMap<EmailId, Candidate>,
    pub(crate) uids: BTreeMap<MailboxId, UidSet>,
    pub(crate) emails: BTreeMap<(MailboxId, u32), EmailId>,
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

    fn can_calculate_changes(&self) -> bool {
        let of_itself = self.filter.as_ref().is_none_or(filter::is_of_itself);
        of_itself && !self.collapse && !order::is_of_threads(&self.sort)
    }

    /// The mailbox that all results are in, if only its rows decide.
    fn only_mailbox(&self) -> Option<MailboxId> {
        let filter = self.filter.as_ref()?;
        let alone = !filter::is_of_all(filter) && !order::is_of_threads(&self.sort);
        filter::only_mailbox(filter).filter(|_| alone)
    }
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut query = Query::read(&mut arguments)?;
    let wanted = Wanted::read(call, &mut arguments, std::mem::take(&mut query.filter), &query.sort)?;
    arguments.end()?;
    let account = call.reader(&query.account)?.account;
    let state = call.services().state(account).await?;
    let ids = results(call, account, &wanted).await?;
    let range = query.window.range(ids.len(), RESULTS, |id| ids.iter().position(|one| one == id))?;
    let limited = query.window.limit.is_none_or(|limit| limit > RESULTS as u64);
    let answer = QueryAnswer {
        account: query.account,
        query_state: call.services().state_text(state),
        can_calculate_changes: wanted.can_calculate_changes(),
        position: range.start,
        total: query.calculate_total.then_some(ids.len()),
        limit: (limited && ids.len() > RESULTS).then_some(RESULTS),
        ids: ids.get(range).unwrap_or_default().to_vec(),
    };
    Ok(answer.into_object())
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut asked = QueryChanges::read(&mut arguments)?;
    let wanted = Wanted::read(call, &mut arguments, std::mem::take(&mut asked.filter), &asked.sort)?;
    arguments.end()?;
    let account = call.reader(&asked.account)?.account;
    if !wanted.can_calculate_changes() {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    let folded = changes::since(call.services(), account, &asked.since, None).await?;
    if folded.more {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    let changed: BTreeSet<Id> = [&folded.created, &folded.updated, &folded.destroyed]
        .into_iter()
        .flatten()
        .map(|id| Id::of(EmailId(*id)))
        .collect();
    let ids = results(call, account, &wanted).await?;
    let answer = QueryChangesAnswer {
        account: asked.account,
        old_state: asked.since,
        new_state: call.services().state_text(folded.upto),
        total: asked.calculate_total.then_some(ids.len()),
        removed: Vec::new(),
        added: Vec::new(),
    };
    Ok(answer.work_out(&changed, &ids, asked.up_to.as_ref(), asked.max)?.into_object())
}

/// All results, in order.
async fn results(call: &Call, account: AccountId, wanted: &Wanted) -> Result<Vec<Id>, Fail> {
    let clock = call.services().clock.clone();
    let mut spending = Spending::new(call.server.options.query_budget, clock);
    let candidates = gather(call, account, wanted.only_mailbox(), &mut spending).await?;
    let threads = threads(&candidates);
    let mut matching: Vec<&Candidate> = candidates.by_id.values().collect();
    if let Some(wanted) = &wanted.filter {
        let attached = match filter::asks_for_attachments(wanted) {
            true => attached(call, account, &matching, &mut spending).await?,
            false => BTreeSet::new(),
        };
        let found = filter::look(call, account, wanted, &candidates).await?;
        matching.retain(|one| filter::holds(wanted, one, &threads, &found, &attached));
    }
    let ordered = ordered(call, account, wanted, matching, &threads, &mut spending).await?;
    let mut seen = HashSet::new();
    // RFC 8621 §4.4.3: of each thread the first only.
    let first = |one: &&&Candidate| !wanted.collapse || seen.insert(one.thread);
    Ok(ordered.iter().filter(first).map(|one| Id::of(one.id)).collect())
}

/// Reads the rows of a mailbox, or of all.
async fn gather(
    call: &Call,
    account: AccountId,
    only: Option<MailboxId>,
    spending: &mut Spending,
) -> Result<Candidates, Fail> {
    let mailboxes = match only {
        Some(mailbox) => vec![mailbox],
        None => call.services().mail.mailboxes(account).await?.iter().map(|one| one.id).collect(),
    };
    let mut candidates = Candidates::default();
    for mailbox in mailboxes {
        let at = MailboxRef { account, mailbox };
        let mut from = Some(1);
        while let Some(first) = from {
            let page = call.services().mail.messages(at, first..=u32::MAX, ROWS).await?;
            for row in &page.rows {
                spending.pay(0).await?;
                candidates.add(mailbox, row);
            }
            from = page.next;
        }
    }
    Ok(candidates)
}

impl Candidates {
    fn add(&mut self, mailbox: MailboxId, row: &mail::MessageRow) {
        if row.flags.has(SystemFlags::DELETED) {
            return;
        }
        self.uids.entry(mailbox).or_default().insert(row.uid);
        self.emails.insert((mailbox, row.uid), row.email);
        let candidate = self.by_id.entry(row.email).or_insert_with(|| Candidate {
            id: row.email,
            thread: row.thread,
            received: row.internal_date,
            size: row.size,
            flags: Flags::none(),
            mailboxes: BTreeSet::new(),
        });
        candidate.flags = candidate.flags.union(&row.flags);
        candidate.mailboxes.insert(mailbox);
    }
}

/// The flags of the emails of each thread.
fn threads(candidates: &Candidates) -> Threads {
    let mut threads = Threads::new();
    for one in candidates.by_id.values() {
        threads.entry(one.thread).or_default().push(one.flags.clone());
    }
    threads
}

async fn attached(
    call: &Call,
    account: AccountId,
    candidates: &[&Candidate],
    spending: &mut Spending,
) -> Result<BTreeSet<EmailId>, Fail> {
    let mut attached = BTreeSet::new();
    for one in candidates {
        if summary(call, account, one.id, spending).await?.is_some_and(|summary| summary.has_attachment) {
            attached.insert(one.id);
        }
    }
    Ok(attached)
}

/// The summary of an email; none for one that went meanwhile.
async fn summary(
    call: &Call,
    account: AccountId,
    email: EmailId,
    spending: &mut Spending,
) -> Result<Option<Arc<Summary>>, Fail> {
    spending.pay(SUMMARY).await?;
    match call.services().mail.summary(account, email).await {
        Err(mail::Error::NotFound) => Ok(None),
        summary => Ok(Some(summary?)),
    }
}

async fn ordered<'c>(
    call: &Call,
    account: AccountId,
    wanted: &Wanted,
    matching: Vec<&'c Candidate>,
    threads: &Threads,
    spending: &mut Spending,
) -> Result<Vec<&'c Candidate>, Fail> {
    let mut placed = Vec::with_capacity(matching.len());
    for one in matching {
        let summary = match order::needs_summaries(&wanted.sort) {
            true => summary(call, account, one.id, spending).await?,
            false => None,
        };
        placed.push((order::places(&wanted.sort, one, summary.as_deref(), threads), one));
    }
    // RFC 8620 §5.5: what the comparators leave open is settled always alike; the newest first.
    placed.sort_by(|(a, x), (b, y)| {
        order::compare(&wanted.sort, a, b).then(y.received.cmp(&x.received)).then(x.id.cmp(&y.id))
    });
    Ok(placed.into_iter().map(|(_, one)| one).collect())
}
