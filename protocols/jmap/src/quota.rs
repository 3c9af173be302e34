//! Quotas (RFC 9425): what an account may hold, and what it does.
//!
//! There are two at most, and what a client knew of them is in the state that it was given: what changed since can always be
//! told, to the number, without a log.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use jmap_proto::filter::Filter;
use jmap_proto::mail::MAIL;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{
    Changes, ChangesAnswer, Get, Query, QueryAnswer, QueryChanges, QueryChangesAnswer,
};
use jmap_proto::{Arguments, Id, MethodError, Object};
use mail::Usage;
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::objects;
use crate::registry::Method;

/// The capability.
pub(crate) const QUOTA: &str = "urn:ietf:params:jmap:quota";

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("Quota/get", get),
    ("Quota/changes", changes),
    ("Quota/query", query),
    ("Quota/queryChanges", query_changes),
];

/// RFC 9425 §4.1
const PROPERTIES: [&str; 10] = [
    "id",
    "resourceType",
    "used",
    "hardLimit",
    "scope",
    "name",
    "types",
    "warnLimit",
    "softLimit",
    "description",
];

/// A quota: of which there is one for each limit that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quota {
    id: &'static str,
    kind: &'static str,
    name: &'static str,
    used: u64,
    limit: u64,
}

impl Quota {
    fn of(usage: &Usage) -> Vec<Quota> {
        let octets = usage.octets_limit.map(|limit| Quota {
            id: "octets",
            kind: "octets",
            name: "Mail in octets",
            used: usage.octets,
            limit,
        });
        let messages = usage.messages_limit.map(|limit| Quota {
            id: "messages",
            kind: "count",
            name: "Mail in messages",
            used: usage.messages,
            limit,
        });
        octets.into_iter().chain(messages).collect()
    }

    fn id(&self) -> Id {
        Id::of(self.id)
    }

    fn tell(&self, wanted: &[String]) -> Object {
        let all = json!({
            "id": self.id,
            "resourceType": self.kind,
            "used": self.used,
            "hardLimit": self.limit,
            "scope": "account",
            "name": self.name,
            "types": ["Email"],
            "warnLimit": null,
            "softLimit": null,
            "description": null,
        });
        objects::only(all, wanted)
    }
}

/// What was told to a client: the text of a state.
fn state_text(incarnation: u64, usage: &Usage) -> String {
    let limit = |limit: Option<u64>| limit.map_or_else(|| "n".to_owned(), |limit| format!("{limit:x}"));
    format!(
        "{incarnation:x}.{:x}-{}.{:x}-{}",
        usage.octets,
        limit(usage.octets_limit),
        usage.messages,
        limit(usage.messages_limit)
    )
}

fn usage_of(incarnation: u64, text: &str) -> Option<Usage> {
    let mut parts = text.split('.');
    let own = parts.next().filter(|own| *own == format!("{incarnation:x}"));
    own?;
    let mut pair = || {
        let (used, limit) = parts.next()?.split_once('-')?;
        let limit = if limit == "n" { None } else { Some(u64::from_str_radix(limit, 16).ok()?) };
        Some((u64::from_str_radix(used, 16).ok()?, limit))
    };
    let ((octets, octets_limit), (messages, messages_limit)) = (pair()?, pair()?);
    parts.next().is_none().then_some(Usage { octets, messages, octets_limit, messages_limit })
}

/// What became of quotas.
#[derive(Debug, Default, PartialEq, Eq)]
struct Became {
    created: Vec<Id>,
    updated: Vec<Id>,
    destroyed: Vec<Id>,
    /// Nothing else changed.
    only_used: bool,
}

impl Became {
    fn between(before: &Usage, now: &Usage) -> Became {
        let (before, now) = (Quota::of(before), Quota::of(now));
        let mut became = Became { only_used: true, ..Became::default() };
        for quota in &now {
            match before.iter().find(|one| one.id == quota.id) {
                None => became.created.push(quota.id()),
                Some(known) if known != quota => {
                    became.only_used &= known.limit == quota.limit;
                    became.updated.push(quota.id());
                }
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|one| now.iter().all(|quota| quota.id != one.id));
        became.destroyed.extend(gone.map(Quota::id));
        became
    }

    fn all(&self) -> BTreeSet<Id> {
        [&self.created, &self.updated, &self.destroyed].into_iter().flatten().cloned().collect()
    }
}

/// RFC 9425 §4.1: quotas are seen of types whose capability the request uses.
fn are_seen(call: &Call) -> bool {
    call.using.iter().any(|urn| urn == MAIL)
}

/// What the account holds, and the quotas that are seen.
async fn usage(call: &Call, account: &Id) -> Result<(Usage, Vec<Quota>), Fail> {
    let usage = call.services().mail.usage(call.reader(account)?.account).await?;
    let quotas = if are_seen(call) { Quota::of(&usage) } else { Vec::new() };
    Ok((usage, quotas))
}

/// What became of the quotas that are seen.
fn became(call: &Call, before: &Usage, now: &Usage) -> Became {
    if are_seen(call) { Became::between(before, now) } else { Became::default() }
}

/// RFC 9425 §4.2
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_get(call, arguments).await?) })
}

async fn run_get(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let wanted = objects::wanted(get.properties.take(), &PROPERTIES)?;
    let (usage, quotas) = usage(call, &get.account).await?;
    let state = state_text(call.services().incarnation, &usage);
    let each = (|quota: &Quota| quota.id.to_owned(), |quota: &Quota| quota.tell(&wanted));
    Ok(objects::answer(call, get, state, &quotas, each))
}

/// RFC 9425 §4.3
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (usage, _) = usage(call, &changes.account).await?;
    let incarnation = call.services().incarnation;
    let before = usage_of(incarnation, &changes.since).ok_or(MethodError::CannotCalculateChanges)?;
    let became = became(call, &before, &usage);
    let count = became.created.len() + became.updated.len() + became.destroyed.len();
    if changes.max.is_some_and(|max| count > max) {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    let answer = ChangesAnswer {
        account: changes.account,
        old_state: changes.since,
        new_state: state_text(incarnation, &usage),
        more: false,
        created: became.created,
        updated: became.updated,
        destroyed: became.destroyed,
    };
    let only_used = became.only_used && !answer.updated.is_empty();
    let mut object = answer.into_object();
    let properties = if only_used { json!(["used"]) } else { Value::Null };
    object.insert("updatedProperties".to_owned(), properties);
    Ok(object)
}

/// What a quota has to be (RFC 9425 §4.4.1).
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    name: Option<String>,
    scope: Option<String>,
    kind: Option<String>,
    of_type: Option<String>,
}

fn condition(mut members: Object) -> Result<Condition, MethodError> {
    let mut text = |name: &str| match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(MethodError::invalid("filter", "a text is wanted")),
    };
    let found = Condition {
        name: text("name")?,
        scope: text("scope")?,
        kind: text("resourceType")?,
        of_type: text("type")?,
    };
    if members.is_empty() { Ok(found) } else { Err(MethodError::UnsupportedFilter) }
}

fn holds(condition: &Condition, quota: &Quota) -> bool {
    let Condition { name, scope, kind, of_type } = condition;
    name.as_ref().is_none_or(|part| quota.name.to_lowercase().contains(&part.to_lowercase()))
        && scope.as_ref().is_none_or(|scope| scope == "account")
        && kind.as_ref().is_none_or(|kind| kind == quota.kind)
        && of_type.as_ref().is_none_or(|of_type| of_type == "Email")
}

/// Those that match, in order.
fn results(quotas: &[Quota], filter: Value, sort: &[Comparator]) -> Result<Vec<Id>, MethodError> {
    let filter = Filter::parse(filter, &mut condition)?;
    let known = |one: &Comparator| ["name", "used"].contains(&one.property.as_str()) && one.more.is_empty();
    if !sort.iter().all(known) {
        return Err(MethodError::UnsupportedSort);
    }
    let matches = |quota: &&Quota| filter.as_ref().is_none_or(|f| f.holds(&mut |one| holds(one, quota)));
    let mut found: Vec<&Quota> = quotas.iter().filter(matches).collect();
    found.sort_by(|a, b| {
        let by = sort.iter().map(|one| {
            let order = match one.property.as_str() {
                "used" => a.used.cmp(&b.used),
                _ => one.collation.key(a.name).cmp(&one.collation.key(b.name)),
            };
            if one.ascending { order } else { order.reverse() }
        });
        by.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(a.id.cmp(b.id))
    });
    Ok(found.into_iter().map(Quota::id).collect())
}

/// RFC 9425 §4.4
fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_query(call, arguments).await?) })
}

async fn run_query(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let query = Query::read(&mut arguments)?;
    arguments.end()?;
    let (usage, quotas) = usage(call, &query.account).await?;
    let ids = results(&quotas, query.filter, &query.sort)?;
    let range = query.window.range(ids.len(), ids.len(), |id| ids.iter().position(|one| one == id))?;
    let answer = QueryAnswer {
        account: query.account,
        query_state: state_text(call.services().incarnation, &usage),
        can_calculate_changes: true,
        position: range.start,
        total: query.calculate_total.then_some(ids.len()),
        limit: None,
        ids: ids.get(range).unwrap_or_default().to_vec(),
    };
    Ok(answer.into_object())
}

/// RFC 9425 §4.5
fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_query_changes(call, arguments).await?) })
}

async fn run_query_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let asked = QueryChanges::read(&mut arguments)?;
    arguments.end()?;
    let (usage, quotas) = usage(call, &asked.account).await?;
    let incarnation = call.services().incarnation;
    let before = usage_of(incarnation, &asked.since).ok_or(MethodError::CannotCalculateChanges)?;
    let ids = results(&quotas, asked.filter, &asked.sort)?;
    let answer = QueryChangesAnswer {
        account: asked.account,
        old_state: asked.since,
        new_state: state_text(incarnation, &usage),
        total: asked.calculate_total.then_some(ids.len()),
        removed: Vec::new(),
        added: Vec::new(),
    };
    let changed = became(call, &before, &usage).all();
    Ok(answer.work_out(&changed, &ids, asked.up_to.as_ref(), asked.max)?.into_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage =
        Usage { octets: 5_000, messages: 3, octets_limit: Some(10_000), messages_limit: None };

    #[test]
    fn states_come_back() {
        let text = state_text(0xabc, &USAGE);
        assert_eq!(text, "abc.1388-2710.3-n");
        assert_eq!(usage_of(0xabc, &text), Some(USAGE));
        for bad in
            ["", "abc", "abd.1388-2710.3-n", "abc.1388-2710", "abc.1388.3-n", "abc.1-1.1-1.1", "abc.x-n.1-n"]
        {
            assert_eq!(usage_of(0xabc, bad), None, "{bad}");
        }
    }

    #[test]
    fn what_became_of_them() {
        let more = Usage { octets: 6_000, ..USAGE };
        let became = Became::between(&USAGE, &more);
        assert_eq!((became.updated.len(), became.only_used), (1, true));
        let other = Usage { octets_limit: None, messages_limit: Some(9), ..USAGE };
        let became = Became::between(&USAGE, &other);
        assert_eq!(
            (&became.created[..], &became.destroyed[..]),
            (&[Id::of("messages")][..], &[Id::of("octets")][..])
        );
        let wider = Became::between(&USAGE, &Usage { octets_limit: Some(20_000), ..more });
        assert_eq!((wider.updated.len(), wider.only_used), (1, false));
        assert_eq!(Became::between(&USAGE, &USAGE), Became { only_used: true, ..Became::default() });
    }

    #[test]
    fn which_are_found() {
        let quotas = Quota::of(&Usage { messages_limit: Some(9), ..USAGE });
        let find = |filter: Value, sort: Value| {
            let ids = results(&quotas, filter, &jmap_proto::sort::parse(sort)?)?;
            Ok::<_, MethodError>(ids.iter().map(Id::to_string).collect::<Vec<_>>())
        };
        assert_eq!(find(Value::Null, Value::Null).unwrap(), ["messages", "octets"]);
        assert_eq!(find(json!({"resourceType": "count"}), Value::Null).unwrap(), ["messages"]);
        assert_eq!(
            find(json!({"name": "OCTETS", "scope": "account", "type": "Email"}), Value::Null).unwrap(),
            ["octets"]
        );
        assert!(find(json!({"type": "Calendar"}), Value::Null).unwrap().is_empty());
        let by_used = json!([{"property": "used", "isAscending": false}]);
        assert_eq!(find(Value::Null, by_used).unwrap(), ["octets", "messages"]);
        assert_eq!(find(json!({"color": "red"}), Value::Null), Err(MethodError::UnsupportedFilter));
        assert_eq!(find(Value::Null, json!([{"property": "color"}])), Err(MethodError::UnsupportedSort));
    }
}
