//! Share notifications (RFC 9670 §3): that rights to mailboxes of others were given or taken. They are written with the change
//! itself (`mail::sharing`), and are there until they are dismissed, make room for later ones, or are old.

use futures::future::BoxFuture;
use jmap_proto::date::{parse_utc, render_utc};
use jmap_proto::filter::Filter;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{Changes, Get, Query, QueryChanges, Set, SetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use mail::SHARE_NOTIFICATIONS;
use schema::keys::mail::ObjectKind;
use schema::records::object::ShareNotificationRecord as Record;
use schema::{AccountId, MailboxId, Rights};
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::mailbox::sharing::told;
use crate::principal::own;
use crate::registry::Method;
use crate::{Services, objects, results};

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("ShareNotification/get", get),
    ("ShareNotification/changes", changes),
    ("ShareNotification/set", set),
    ("ShareNotification/query", query),
    ("ShareNotification/queryChanges", query_changes),
];

/// RFC 9670 §3.1
const PROPERTIES: [&str; 9] = [
    "id",
    "created",
    "changedBy",
    "objectType",
    "objectAccountId",
    "objectId",
    "oldRights",
    "newRights",
    "name",
];

const KIND: ObjectKind = ObjectKind::ShareNotification;

/// The type of all that is shared here.
const TYPE: &str = "Mailbox";

type One = (u64, Record);

async fn all(services: &Services, account: AccountId) -> Result<Vec<One>, Fail> {
    Ok(services.mail.objects(account, KIND, SHARE_NOTIFICATIONS).await?)
}

fn text(id: u64) -> String {
    format!("N{id:x}")
}

fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('N')?;
    u64::from_str_radix(digits, 16).ok().filter(|id| self::text(*id) == text)
}

fn id_of(number: u64) -> Id {
    Id::of(text(number))
}

fn object((id, record): &One, wanted: &[String]) -> Object {
    let rights = |bits: u32| match Rights::from_bits(bits) {
        Rights::NONE => Value::Null,
        rights => told(rights, true, false),
    };
    let principal = (record.changed_by != 0).then(|| AccountId(record.changed_by).to_string());
    let changer = record.changer.as_ref();
    let name = changer.map(|one| one.name.as_deref().unwrap_or(&one.email));
    let all = json!({
        "id": text(*id),
        "created": render_utc(record.created),
        "changedBy": {
            "name": name.unwrap_or_default(),
            "email": changer.map(|one| &one.email),
            "principalId": principal,
        },
        "objectType": TYPE,
        "objectAccountId": AccountId(record.owner).to_string(),
        "objectId": MailboxId(record.mailbox).to_string(),
        "oldRights": rights(record.old_rights),
        "newRights": rights(record.new_rights),
        "name": record.name,
    });
    objects::only(all, wanted)
}

/// RFC 9670 §3.2
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_get(call, arguments).await?) })
}

async fn run_get(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let (account, services) = (own(call, &get.account)?.account, call.services());
    let wanted = objects::wanted(get.properties.take(), &PROPERTIES)?;
    let state = services.state_text(services.state(account).await?);
    let all = all(services, account).await?;
    let each = (|one: &One| text(one.0), |one: &One| object(one, &wanted));
    Ok(objects::answer(call, get, state, &all, each))
}

/// RFC 9670 §3.3
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (access, services) = (own(call, &changes.account)?, call.services());
    let folded = objects::since(services, &access, KIND, &changes.since, changes.max).await?;
    Ok(folded.answer(changes, services, id_of).into_object())
}

/// RFC 9670 §3.4: they are dismissed, and nothing else.
fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_set(call, arguments).await?) })
}

async fn run_set(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let (account, services) = (own(call, &set.account)?.account, call.services());
    let before = services.state_if(account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(services.state_text(before));
    answer.not_created = set.create.keys().map(|id| (id.clone(), SetError::forbidden())).collect();
    let refused = set.update.keys().map(|reference| (reference.to_string(), SetError::forbidden()));
    answer.not_updated = refused.collect();
    let mut commits = Vec::new();
    for reference in set.destroy {
        let id = call.created.resolve(&reference).and_then(|id| number(id.as_str()));
        let gone = match id {
            Some(id) => {
                let edit = |before: Option<Record>| (before.is_some(), before.map(|_| None));
                let (was, commit) = services.mail.edit_object(account, KIND, id, &edit).await?;
                commits.extend(commit);
                was.then_some(id)
            }
            None => None,
        };
        match gone {
            Some(id) => answer.destroyed.push(id_of(id)),
            None => {
                answer.not_destroyed.insert(reference.to_string(), SetError::not_found());
            }
        }
    }
    let after = services.state_after(account, before, &commits).await?;
    answer.new_state = services.state_text(after);
    Ok(answer.into_object())
}

/// RFC 9670 §3.5.1
#[derive(Debug, Clone, Default, PartialEq)]
struct Condition {
    after: Option<i64>,
    before: Option<i64>,
    of_type: Option<String>,
    account: Option<String>,
}

fn condition(mut members: Object) -> Result<Condition, MethodError> {
    let wrong = || MethodError::invalid("filter", "a value of another kind is wanted");
    let mut member = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong()),
    };
    let (after, before) = (member("after")?, member("before")?);
    let (of_type, account) = (member("objectType")?, member("objectAccountId")?);
    if !members.is_empty() {
        return Err(MethodError::UnsupportedFilter);
    }
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_utc(&text).map(Some).ok_or_else(wrong),
    };
    Ok(Condition { after: time(after)?, before: time(before)?, of_type, account })
}

fn holds(condition: &Condition, record: &Record) -> bool {
    let Condition { after, before, of_type, account } = condition;
    after.is_none_or(|time| record.created >= time)
        && before.is_none_or(|time| record.created < time)
        && of_type.as_ref().is_none_or(|of_type| of_type == TYPE)
        && account.as_ref().is_none_or(|id| *id == AccountId(record.owner).to_string())
}

/// The results, in order; RFC 9670 §3.5.2: by when they were made.
fn found(mut all: Vec<One>, filter: Value, sort: &[Comparator]) -> Result<Vec<Id>, MethodError> {
    let filter = Filter::parse(filter, &mut condition)?;
    if !sort.iter().all(|one| one.property == "created" && one.more.is_empty()) {
        return Err(MethodError::UnsupportedSort);
    }
    all.retain(|(_, record)| filter.as_ref().is_none_or(|f| f.holds(&mut |one| holds(one, record))));
    // Ids begin with the time at which they were made.
    all.sort_by_key(|(id, record)| (record.created, *id));
    if sort.first().is_some_and(|one| !one.ascending) {
        all.reverse();
    }
    Ok(all.into_iter().map(|(id, _)| id_of(id)).collect())
}

/// RFC 9670 §3.5
fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_query(call, arguments).await?) })
}

async fn run_query(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut query = Query::read(&mut arguments)?;
    arguments.end()?;
    let (account, services) = (own(call, &query.account)?.account, call.services());
    let state = services.state_text(services.state(account).await?);
    let (filter, sort) = (std::mem::take(&mut query.filter), std::mem::take(&mut query.sort));
    let ids = found(all(services, account).await?, filter, &sort)?;
    Ok(results::part(query, state, true, &ids)?)
}

/// RFC 9670 §3.6
fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_query_changes(call, arguments).await?) })
}

async fn run_query_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut asked = QueryChanges::read(&mut arguments)?;
    arguments.end()?;
    let (access, services) = (own(call, &asked.account)?, call.services());
    let (filter, sort) = (std::mem::take(&mut asked.filter), std::mem::take(&mut asked.sort));
    for _ in 0..results::TRIES {
        let folded = objects::since(services, &access, KIND, &asked.since, None).await?.whole()?;
        let ids = found(all(services, access.account).await?, filter.clone(), &sort)?;
        let told = results::changes(services, access.account, &asked, (&folded, id_of), &ids).await?;
        if let Some(told) = told {
            return Ok(told);
        }
    }
    Err(MethodError::CannotCalculateChanges.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        assert_eq!(number(&text(0x1f)), Some(0x1f));
        for bad in ["", "N", "1f", "N01", "N1F", "Nx"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn results_are_those_that_fit() {
        let one = |id, created, owner| (id, Record { created, owner, ..Record::default() });
        let find = |filter: Value, sort: Value| {
            let sort = jmap_proto::sort::parse(sort)?;
            let ids = found(vec![one(1, 5_000, 2), one(2, 3_000, 3), one(3, 9_000, 2)], filter, &sort)?;
            Ok::<_, MethodError>(ids.iter().map(Id::to_string).collect::<Vec<_>>())
        };
        assert_eq!(find(Value::Null, Value::Null).unwrap(), ["N2", "N1", "N3"]);
        let newest = json!([{"property": "created", "isAscending": false}]);
        assert_eq!(find(json!({"objectAccountId": "A2"}), newest).unwrap(), ["N3", "N1"]);
        let between = json!({"after": "1970-01-01T00:00:05Z", "before": "1970-01-01T00:00:09Z"});
        assert_eq!(find(between, Value::Null).unwrap(), ["N1"]);
        assert!(find(json!({"objectType": "Calendar"}), Value::Null).unwrap().is_empty());
        assert_eq!(find(json!({"color": 1}), Value::Null), Err(MethodError::UnsupportedFilter));
        assert_eq!(find(Value::Null, json!([{"property": "name"}])), Err(MethodError::UnsupportedSort));
    }
}
