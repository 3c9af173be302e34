//! `EmailSubmission/query` and `EmailSubmission/queryChanges` (RFC 8621 §7.3, §7.4).

use futures::future::BoxFuture;
use jmap_proto::date::parse_utc;
use jmap_proto::filter::Filter;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{Query, QueryChanges};
use jmap_proto::{Arguments, Id, MethodError, Object};
use schema::keys::mail::ObjectKind;
use schema::records::object::SubmissionRecord;
use schema::{AccountId, EmailId, IdentityId, SubmissionId, ThreadId};
use serde_json::Value;

use super::{all, id_of, undo_status};
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::{objects, results};

pub(super) fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

pub(super) fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

/// What a submission may have to be (RFC 8621 §7.3).
enum Condition {
    Identities(Vec<IdentityId>),
    Emails(Vec<EmailId>),
    Threads(Vec<ThreadId>),
    Undo(String),
    /// Sent before, in milliseconds since the epoch.
    Before(i64),
    After(i64),
}

/// What they are ordered by, and whether ascending.
enum By {
    Email(bool),
    Thread(bool),
    Sent(bool),
}

fn condition(call: &Call, members: Object) -> Result<Vec<Condition>, MethodError> {
    let one = |(name, value): (String, Value)| {
        let wrong = || MethodError::invalid("filter", "a value of another kind is wanted");
        let date = || value.as_str().and_then(parse_utc).ok_or_else(wrong);
        Ok(match name.as_str() {
            "identityIds" => Condition::Identities(ids(call, &value).ok_or_else(wrong)?),
            "emailIds" => Condition::Emails(ids(call, &value).ok_or_else(wrong)?),
            "threadIds" => Condition::Threads(ids(call, &value).ok_or_else(wrong)?),
            "undoStatus" => Condition::Undo(value.as_str().ok_or_else(wrong)?.to_owned()),
            "before" => Condition::Before(date()?),
            "after" => Condition::After(date()?),
            _ => return Err(MethodError::UnsupportedFilter),
        })
    };
    members.into_iter().map(one).collect()
}

/// Ids, those that are of the kind.
fn ids<T: std::str::FromStr>(call: &Call, value: &Value) -> Option<Vec<T>> {
    let texts: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
    Some(texts?.iter().filter_map(|text| call.created.resolve_text(text)?.as_str().parse().ok()).collect())
}

fn holds(record: &SubmissionRecord, condition: &Condition) -> bool {
    match condition {
        Condition::Identities(ids) => ids.contains(&IdentityId(record.identity)),
        Condition::Emails(ids) => ids.contains(&EmailId(record.email)),
        Condition::Threads(ids) => ids.contains(&ThreadId(record.thread)),
        Condition::Undo(status) => undo_status(record) == status,
        Condition::Before(at) => record.send_at < *at,
        Condition::After(at) => record.send_at >= *at,
    }
}

fn order(sort: &[Comparator]) -> Result<Vec<By>, MethodError> {
    let one = |by: &Comparator| match by.property.as_str() {
        "emailId" => Ok(By::Email(by.ascending)),
        "threadId" => Ok(By::Thread(by.ascending)),
        // RFC 8621 §7.3 has this name for `sendAt`.
        "sentAt" | "sendAt" => Ok(By::Sent(by.ascending)),
        _ => Err(MethodError::UnsupportedSort),
    };
    sort.iter().map(one).collect()
}

type Wanted = (Option<Filter<Vec<Condition>>>, Vec<By>);

/// All results, in order.
async fn found(call: &Call, account: AccountId, (filter, sort): &Wanted) -> Result<Vec<Id>, Fail> {
    let mut all: Vec<(SubmissionId, SubmissionRecord)> = all(call.services(), account).await?;
    if let Some(filter) = filter {
        all.retain(|(_, record)| {
            filter.holds(&mut |all: &Vec<Condition>| all.iter().all(|one| holds(record, one)))
        });
    }
    all.sort_by(|(a_id, a), (b_id, b)| {
        let compare = |by: &By| {
            let (order, ascending) = match by {
                By::Email(ascending) => (a.email.cmp(&b.email), ascending),
                By::Thread(ascending) => (a.thread.cmp(&b.thread), ascending),
                By::Sent(ascending) => (a.send_at.cmp(&b.send_at), ascending),
            };
            if *ascending { order } else { order.reverse() }
        };
        sort.iter().map(compare).find(|order| order.is_ne()).unwrap_or_else(|| a_id.cmp(b_id))
    });
    Ok(all.into_iter().map(|(id, _)| Id::of(id)).collect())
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut query = Query::read(&mut arguments)?;
    let filter = Filter::parse(std::mem::take(&mut query.filter), &mut |members| condition(call, members))?;
    let wanted = (filter, order(&query.sort)?);
    arguments.end()?;
    let account = call.reader(&query.account)?.account;
    let state = call.services().state(account).await?;
    let ids = found(call, account, &wanted).await?;
    Ok(results::part(query, call.services().state_text(state), true, &ids)?)
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut asked = QueryChanges::read(&mut arguments)?;
    let filter = Filter::parse(std::mem::take(&mut asked.filter), &mut |members| condition(call, members))?;
    let wanted = (filter, order(&asked.sort)?);
    arguments.end()?;
    let (access, services) = (call.reader(&asked.account)?, call.services());
    let account = access.account;
    for _ in 0..results::TRIES {
        let folded =
            objects::since(services, &access, ObjectKind::Submission, &asked.since, None).await?.whole()?;
        let ids = found(call, account, &wanted).await?;
        if let Some(answer) = results::changes(services, account, &asked, (&folded, id_of), &ids).await? {
            return Ok(answer);
        }
    }
    Err(MethodError::CannotCalculateChanges.into())
}
