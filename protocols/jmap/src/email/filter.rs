//! Conditions of a query (RFC 8621 §4.4.1), and which emails they hold for.

use std::collections::{BTreeMap, BTreeSet};

use jmap_proto::date::parse_utc;
use jmap_proto::filter::{Filter, Operator};
use jmap_proto::{MethodError, Object};
use mail::MailboxRef;
use query::{Field, Needle};
use schema::{AccountId, EmailId, Flags, MailboxId, ThreadId};
use serde_json::Value;

use super::keywords;
use super::query::{Candidate, Candidates};
use crate::call::Call;
use crate::fail::Fail;

/// What an email may have to be.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    In(MailboxId),
    /// In a mailbox besides these.
    InOther(BTreeSet<MailboxId>),
    /// Received before, in seconds since the epoch.
    Before(i64),
    /// Received then or later.
    After(i64),
    /// So large at least.
    MinSize(u64),
    /// Smaller than this.
    MaxSize(u64),
    Has(Flags),
    HasNot(Flags),
    AllInThread(Flags),
    SomeInThread(Flags),
    NoneInThread(Flags),
    HasAttachment(bool),
    /// A text is in a field or a body: what messages are asked for one by one.
    Text(query::Filter),
    /// All of these.
    All(Vec<Condition>),
    /// What nothing is.
    Nothing,
}

/// Reads a condition.
pub(crate) fn condition(call: &Call, members: Object) -> Result<Condition, MethodError> {
    let mut all = Vec::with_capacity(members.len());
    for (name, value) in members {
        all.push(one(call, &name, &value)?);
    }
    Ok(Condition::All(all))
}

fn one(call: &Call, name: &str, value: &Value) -> Result<Condition, MethodError> {
    let wrong = || MethodError::invalid("filter", "a value of another kind is wanted");
    let text = || value.as_str().ok_or_else(wrong);
    let date = || text().and_then(|text| parse_utc(text).ok_or_else(wrong)).map(|ms| ms.div_euclid(1_000));
    let flags = || text().and_then(|text| keywords::flag(text).ok_or_else(wrong));
    let size =
        || jmap_proto::arguments::int(value).and_then(|size| u64::try_from(size).ok()).ok_or_else(wrong);
    let needle = || text().map(Needle::new);
    let field = |field: Field| needle().map(|needle| Condition::Text(query::Filter::Header(field, needle)));
    Ok(match name {
        "inMailbox" => keywords::mailbox(call, text()?).map_or(Condition::Nothing, Condition::In),
        "inMailboxOtherThan" => {
            let ids = jmap_proto::arguments::texts(value.clone()).ok_or_else(wrong)?;
            Condition::InOther(ids.iter().filter_map(|id| keywords::mailbox(call, id)).collect())
        }
        "before" => Condition::Before(date()?),
        "after" => Condition::After(date()?),
        "minSize" => Condition::MinSize(size()?),
        "maxSize" => Condition::MaxSize(size()?),
        "hasKeyword" => Condition::Has(flags()?),
        "notKeyword" => Condition::HasNot(flags()?),
        "allInThreadHaveKeyword" => Condition::AllInThread(flags()?),
        "someInThreadHaveKeyword" => Condition::SomeInThread(flags()?),
        "noneInThreadHaveKeyword" => Condition::NoneInThread(flags()?),
        "hasAttachment" => Condition::HasAttachment(value.as_bool().ok_or_else(wrong)?),
        "text" => Condition::Text(query::Filter::Text(needle()?)),
        "body" => Condition::Text(query::Filter::Body(needle()?)),
        "from" => field(Field::From)?,
        "to" => field(Field::To)?,
        "cc" => field(Field::Cc)?,
        "bcc" => field(Field::Bcc)?,
        "subject" => field(Field::Subject)?,
        "header" => header(value).ok_or_else(wrong)?,
        _ => return Err(MethodError::UnsupportedFilter),
    })
}

/// RFC 8621 §4.4.1: a name, and perhaps a text that is in the field.
fn header(value: &Value) -> Option<Condition> {
    let parts = jmap_proto::arguments::texts(value.clone())?;
    let (name, text) = match parts.as_slice() {
        [name] => (name, ""),
        [name, text] => (name, text.as_str()),
        _ => return None,
    };
    let filter = query::Filter::Header(Field::Named(name.clone()), Needle::new(text));
    jmap_proto::mail::header::is_field_name(name).then_some(Condition::Text(filter))
}

/// The one mailbox that every match is in, if the filter says so.
pub(crate) fn only_mailbox(filter: &Filter<Condition>) -> Option<MailboxId> {
    match filter {
        Filter::Operator(Operator::And, parts) => parts.iter().find_map(only_mailbox),
        Filter::Operator(..) => None,
        Filter::Condition(condition) => only_in(condition),
    }
}

fn only_in(condition: &Condition) -> Option<MailboxId> {
    match condition {
        Condition::In(id) => Some(*id),
        Condition::All(all) => all.iter().find_map(only_in),
        _ => None,
    }
}

/// Whether place and match of an email follow from itself: other emails of its thread do not decide.
pub(crate) fn is_of_itself(filter: &Filter<Condition>) -> bool {
    fn of_itself(condition: &Condition) -> bool {
        match condition {
            Condition::AllInThread(_) | Condition::SomeInThread(_) | Condition::NoneInThread(_) => false,
            Condition::All(all) => all.iter().all(of_itself),
            _ => true,
        }
    }
    filter.conditions().into_iter().all(of_itself)
}

/// Whether a condition asks for what only all mailboxes together say.
pub(crate) fn is_of_all(filter: &Filter<Condition>) -> bool {
    fn of_all(condition: &Condition) -> bool {
        match condition {
            Condition::AllInThread(_)
            | Condition::SomeInThread(_)
            | Condition::NoneInThread(_)
            | Condition::InOther(_) => true,
            Condition::All(all) => all.iter().any(of_all),
            _ => false,
        }
    }
    // A second mailbox is another's rows.
    let mailboxes = filter.conditions().into_iter().filter_map(only_in).collect::<BTreeSet<_>>();
    mailboxes.len() > 1 || filter.conditions().into_iter().any(of_all)
}

/// What text conditions found: for each of them, in the order in which they are met, the emails it holds for.
pub(crate) struct Found(Vec<BTreeSet<EmailId>>);

/// Asks messages for the texts of a filter; all of them share one budget.
pub(crate) async fn look(
    call: &Call,
    account: AccountId,
    filter: &Filter<Condition>,
    candidates: &Candidates,
) -> Result<Found, Fail> {
    let mut texts = Vec::new();
    for condition in filter.conditions() {
        collect(condition, &mut texts);
    }
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        let mut emails = BTreeSet::new();
        for (mailbox, uids) in &candidates.uids {
            let at = MailboxRef { account, mailbox: *mailbox };
            let query = query::Query {
                store: &call.services().mail,
                index: &*call.services().index,
                mailbox: at,
                within: uids,
                budget: call.server.options.query_budget,
                clock: call.services().clock.clone(),
            };
            let matches = query::search(&query, text).await?;
            emails.extend(matches.iter().filter_map(|uid| candidates.emails.get(&(*mailbox, uid)).copied()));
        }
        found.push(emails);
    }
    Ok(Found(found))
}

fn collect<'a>(condition: &'a Condition, texts: &mut Vec<&'a query::Filter>) {
    match condition {
        Condition::Text(filter) => texts.push(filter),
        Condition::All(all) => all.iter().for_each(|one| collect(one, texts)),
        _ => {}
    }
}

/// What threads have in them, by keyword conditions.
pub(crate) type Threads = BTreeMap<ThreadId, Vec<Flags>>;

/// Whether a filter holds for a candidate. Texts are counted off as they are met.
pub(crate) fn holds(
    filter: &Filter<Condition>,
    candidate: &Candidate,
    threads: &Threads,
    found: &Found,
    attached: &BTreeSet<EmailId>,
) -> bool {
    let mut at = 0;
    all_of(filter, &mut |condition| {
        let (holds, texts) = one_holds(condition, candidate, threads, found, attached, at);
        at += texts;
        holds
    })
}

/// As [`Filter::holds`], but every condition is met, so that texts are counted off alike each time.
fn all_of(filter: &Filter<Condition>, condition: &mut dyn FnMut(&Condition) -> bool) -> bool {
    match filter {
        Filter::Condition(one) => condition(one),
        Filter::Operator(operator, parts) => {
            let mut met: Vec<bool> = Vec::with_capacity(parts.len());
            for part in parts {
                met.push(all_of(part, condition));
            }
            match operator {
                Operator::And => met.iter().all(|yes| *yes),
                Operator::Or => met.iter().any(|yes| *yes),
                Operator::Not => !met.iter().any(|yes| *yes),
            }
        }
    }
}

/// Whether a condition holds, and how many texts it has.
fn one_holds(
    condition: &Condition,
    email: &Candidate,
    threads: &Threads,
    found: &Found,
    attached: &BTreeSet<EmailId>,
    at: usize,
) -> (bool, usize) {
    let has = |flags: &Flags, wanted: &Flags| wanted.difference(flags).is_empty();
    let thread = || threads.get(&email.thread).map(Vec::as_slice).unwrap_or_default();
    let holds = match condition {
        Condition::In(id) => email.mailboxes.contains(id),
        Condition::InOther(ids) => !email.mailboxes.is_subset(ids),
        Condition::Before(time) => email.received < *time,
        Condition::After(time) => email.received >= *time,
        Condition::MinSize(size) => email.size >= *size,
        Condition::MaxSize(size) => email.size < *size,
        Condition::Has(wanted) => has(&email.flags, wanted),
        Condition::HasNot(wanted) => !has(&email.flags, wanted),
        Condition::AllInThread(wanted) => thread().iter().all(|flags| has(flags, wanted)),
        Condition::SomeInThread(wanted) => thread().iter().any(|flags| has(flags, wanted)),
        Condition::NoneInThread(wanted) => !thread().iter().any(|flags| has(flags, wanted)),
        Condition::HasAttachment(wanted) => attached.contains(&email.id) == *wanted,
        Condition::Text(_) => return (found.0.get(at).is_some_and(|ids| ids.contains(&email.id)), 1),
        Condition::Nothing => false,
        Condition::All(all) => {
            let (mut holds, mut texts) = (true, 0);
            for one in all {
                let (one, count) = one_holds(one, email, threads, found, attached, at + texts);
                holds &= one;
                texts += count;
            }
            return (holds, texts);
        }
    };
    (holds, 0)
}

/// Whether summaries are asked for whether something is attached.
pub(crate) fn asks_for_attachments(filter: &Filter<Condition>) -> bool {
    fn asks(condition: &Condition) -> bool {
        match condition {
            Condition::HasAttachment(_) => true,
            Condition::All(all) => all.iter().any(asks),
            _ => false,
        }
    }
    filter.conditions().into_iter().any(asks)
}
