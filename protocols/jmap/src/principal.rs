//! Principals (RFC 9670 §2): the persons and groups of the directory, as far as whoever asks sees them.
//!
//! They are told in each user's own account, by ids that are those of their accounts. The directory has no log: a state is a hash of
//! what is seen, and what became of it since another state cannot be told (RFC 8620 §5.2).

use std::collections::BTreeSet;

use accounts::{Account, Kind};
use futures::future::BoxFuture;
use jmap_proto::filter::Filter;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{
    Changes, ChangesAnswer, Get, Query, QueryChanges, QueryChangesAnswer, Set, SetAnswer,
};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use schema::AccountId;
use serde_json::{Value, json};

use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::options::Listing;
use crate::registry::Method;
use crate::{Options, objects, results, session};

/// The capability.
pub(crate) const PRINCIPALS: &str = "urn:ietf:params:jmap:principals";
/// What says whose an account is (RFC 9670 §1.5.2).
pub(crate) const OWNER: &str = "urn:ietf:params:jmap:principals:owner";

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("Principal/get", get),
    ("Principal/changes", changes),
    ("Principal/set", set),
    ("Principal/query", query),
    ("Principal/queryChanges", query_changes),
];

/// RFC 9670 §2
const PROPERTIES: [&str; 8] =
    ["id", "type", "name", "description", "email", "timeZone", "capabilities", "accounts"];

/// Principals that are told at most, and accounts read at once.
const MOST: usize = 10_000;
const PAGE: usize = 500;

/// RFC 9670 §1.5.1: principals are in each user's own account.
pub(crate) fn account(_: &Options, access: &Access) -> Value {
    let own = access.account == access.user;
    if own { json!({"currentUserPrincipalId": access.user.to_string()}) } else { Value::Null }
}

/// RFC 9670 §1.5.2
pub(crate) fn owner(_: &Options, access: &Access) -> Value {
    json!({"accountIdForPrincipal": access.user.to_string(), "principalId": access.account.to_string()})
}

/// The user's own account, in which alone there is what RFC 9670 defines.
pub(crate) fn own(call: &Call, account: &Id) -> Result<Access, MethodError> {
    let access = call.viewer(account)?;
    if access.account == access.user { Ok(access) } else { Err(MethodError::AccountNotSupportedByMethod) }
}

fn is_principal(account: &Account) -> bool {
    account.enabled && matches!(account.kind, Kind::Person | Kind::Group)
}

/// A principal, if there is one that the user sees.
pub(crate) async fn find(call: &Call, id: AccountId) -> Result<Option<Account>, Fail> {
    let found = call.services().accounts.account(id).await?.filter(is_principal);
    let Some(found) = found else { return Ok(None) };
    let seen = is_listed(call, &found) || related(call).await?.contains(&id);
    Ok(seen.then_some(found))
}

fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Whether users may list it.
fn is_listed(call: &Call, account: &Account) -> bool {
    match call.server.options.principals {
        Listing::All => true,
        Listing::Domain => domain(&account.address) == domain(&call.identity.address),
        Listing::Related => false,
    }
}

/// The user, its groups, those who share something with it, and those with whom it does.
async fn related(call: &Call) -> Result<BTreeSet<AccountId>, Fail> {
    let identity = &call.identity;
    let lists = call.services().mail.lists(identity.account).await?;
    let groups = identity.groups.iter().map(|group| group.account);
    let shares = identity.shares.iter().map(|share| share.account);
    let given = lists.into_values().flat_map(std::collections::BTreeMap::into_keys);
    Ok(std::iter::once(identity.account).chain(groups).chain(shares).chain(given).collect())
}

/// All that the user sees, by id.
async fn all(call: &Call) -> Result<Vec<Account>, Fail> {
    let accounts = &call.services().accounts;
    let own = domain(&call.identity.address);
    let (mut found, mut after) = (Vec::new(), None);
    let listed = match call.server.options.principals {
        Listing::All => Some(None),
        Listing::Domain => Some(Some(own)),
        Listing::Related => None,
    };
    while let Some(domain) = listed.filter(|_| found.len() < MOST) {
        let page = accounts.list(domain, after.as_deref(), PAGE).await?;
        found.extend(page.items.into_iter().filter(is_principal));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let known: BTreeSet<AccountId> = found.iter().map(|one| one.id).collect();
    for id in related(call).await?.difference(&known) {
        found.extend(accounts.account(*id).await?.filter(is_principal));
    }
    found.sort_by_key(|one| one.id);
    Ok(found)
}

/// What people call it.
fn name(account: &Account) -> &str {
    if account.display_name.is_empty() { &account.address } else { &account.display_name }
}

fn kind(account: &Account) -> &'static str {
    if account.kind == Kind::Group { "group" } else { "individual" }
}

/// A principal as it is told.
fn object(call: &Call, account: &Account, wanted: &[String]) -> Object {
    let own = session::seen(&call.server.options, &call.identity).find(|(id, _)| *id == Id::of(account.id));
    let accounts = own.map(|(id, told)| json!({id.as_str(): told}));
    let all = json!({
        "id": account.id.to_string(),
        "type": kind(account),
        "name": name(account),
        "description": null,
        "email": account.address,
        "timeZone": null,
        "capabilities": {},
        "accounts": accounts,
    });
    objects::only(all, wanted)
}

/// A hash of what is seen.
fn state(call: &Call, all: &[Account]) -> String {
    let told: Vec<_> = all.iter().map(|one| (one.id.0, kind(one), name(one), &one.address)).collect();
    let seen: Vec<_> = session::seen(&call.server.options, &call.identity).collect();
    let text = json!([seen, told]).to_string();
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

/// RFC 9670 §2.1
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_get(call, arguments).await?) })
}

async fn run_get(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    own(call, &get.account)?;
    let wanted = objects::wanted(get.properties.take(), &PROPERTIES)?;
    let all = all(call).await?;
    let each = (|one: &Account| one.id.to_string(), |one: &Account| object(call, one, &wanted));
    Ok(objects::answer(call, get, state(call, &all), &all, each))
}

/// RFC 9670 §2.2
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    own(call, &changes.account)?;
    same(call, &changes.since).await?;
    let answer = ChangesAnswer {
        account: changes.account,
        new_state: changes.since.clone(),
        old_state: changes.since,
        more: false,
        created: Vec::new(),
        updated: Vec::new(),
        destroyed: Vec::new(),
    };
    Ok(answer.into_object())
}

/// Fails for another state.
async fn same(call: &Call, since: &str) -> Result<(), Fail> {
    let now = state(call, &all(call).await?);
    if now == since { Ok(()) } else { Err(MethodError::CannotCalculateChanges.into()) }
}

/// RFC 9670 §2.3: the directory is the operator's.
fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_set(call, arguments).await?) })
}

async fn run_set(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    own(call, &set.account)?;
    let all = all(call).await?;
    let state = state(call, &all);
    if set.if_in_state.as_ref().is_some_and(|wanted| *wanted != state) {
        return Err(MethodError::StateMismatch.into());
    }
    let refused = |id: Option<AccountId>| {
        let there = id.is_some_and(|id| all.iter().any(|one| one.id == id));
        if there { SetError::forbidden() } else { SetError::not_found() }
    };
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    (answer.old_state, answer.new_state) = (Some(state.clone()), state);
    answer.not_created = set.create.keys().map(|id| (id.clone(), SetError::forbidden())).collect();
    for reference in set.update.keys() {
        answer.not_updated.insert(reference.to_string(), refused(call.resolve(reference)));
    }
    for reference in &set.destroy {
        answer.not_destroyed.insert(reference.to_string(), refused(call.resolve(reference)));
    }
    Ok(answer.into_object())
}

/// RFC 9670 §2.4.1
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    AccountIds(Vec<String>),
    Email(String),
    Name(String),
    Text(String),
    Type(String),
    TimeZone,
    All(Vec<Condition>),
}

fn condition(members: Object) -> Result<Condition, MethodError> {
    let wrong = || MethodError::invalid("filter", "a value of another kind is wanted");
    let mut all = Vec::new();
    for (name, value) in members {
        let text = || value.as_str().map(str::to_lowercase).ok_or_else(wrong);
        all.push(match name.as_str() {
            "accountIds" => {
                let ids = jmap_proto::arguments::texts(value.clone()).ok_or_else(wrong)?;
                Condition::AccountIds(ids)
            }
            "email" => Condition::Email(text()?),
            "name" => Condition::Name(text()?),
            "text" => Condition::Text(text()?),
            "type" => Condition::Type(text()?),
            "timeZone" => text().map(|_| Condition::TimeZone)?,
            _ => return Err(MethodError::UnsupportedFilter),
        });
    }
    Ok(Condition::All(all))
}

fn holds(condition: &Condition, account: &Account, seen: &BTreeSet<String>) -> bool {
    let has = |text: &str, part: &String| text.to_lowercase().contains(part);
    match condition {
        Condition::AccountIds(ids) => {
            let own = account.id.to_string();
            seen.contains(&own) && ids.contains(&own)
        }
        Condition::Email(part) => has(&account.address, part),
        Condition::Name(part) => has(name(account), part),
        Condition::Text(part) => has(name(account), part) || has(&account.address, part),
        Condition::Type(wanted) => kind(account) == wanted,
        Condition::TimeZone => false,
        Condition::All(all) => all.iter().all(|one| holds(one, account, seen)),
    }
}

fn found(
    call: &Call,
    mut all: Vec<Account>,
    filter: Value,
    sort: &[Comparator],
) -> Result<Vec<Id>, MethodError> {
    let filter = Filter::parse(filter, &mut condition)?;
    let known =
        |one: &Comparator| ["name", "email", "type"].contains(&one.property.as_str()) && one.more.is_empty();
    if !sort.iter().all(known) {
        return Err(MethodError::UnsupportedSort);
    }
    let seen: BTreeSet<String> =
        session::seen(&call.server.options, &call.identity).map(|(id, _)| id.into_string()).collect();
    all.retain(|one| filter.as_ref().is_none_or(|f| f.holds(&mut |condition| holds(condition, one, &seen))));
    all.sort_by(|a, b| {
        let by = sort.iter().map(|one| {
            let of = |account: &Account| match one.property.as_str() {
                "email" => one.collation.key(&account.address),
                "type" => kind(account).to_owned(),
                _ => one.collation.key(name(account)),
            };
            let order = of(a).cmp(&of(b));
            if one.ascending { order } else { order.reverse() }
        });
        by.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(a.id.cmp(&b.id))
    });
    Ok(all.into_iter().map(|one| Id::of(one.id)).collect())
}

/// RFC 9670 §2.4
fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_query(call, arguments).await?) })
}

async fn run_query(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut query = Query::read(&mut arguments)?;
    arguments.end()?;
    own(call, &query.account)?;
    let all = all(call).await?;
    let state = state(call, &all);
    let (filter, sort) = (std::mem::take(&mut query.filter), std::mem::take(&mut query.sort));
    let ids = found(call, all, filter, &sort)?;
    Ok(results::part(query, state, false, &ids)?)
}

/// RFC 9670 §2.5
fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_query_changes(call, arguments).await?) })
}

async fn run_query_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let asked = QueryChanges::read(&mut arguments)?;
    arguments.end()?;
    own(call, &asked.account)?;
    same(call, &asked.since).await?;
    let ids = found(call, all(call).await?, asked.filter, &asked.sort)?;
    let answer = QueryChangesAnswer {
        account: asked.account,
        new_state: asked.since.clone(),
        old_state: asked.since,
        total: asked.calculate_total.then_some(ids.len()),
        removed: Vec::new(),
        added: Vec::new(),
    };
    Ok(answer.into_object())
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounts::Quota;

    fn one(id: u32, kind: Kind, address: &str, display_name: &str) -> Account {
        let (address, display_name) = (address.to_owned(), display_name.to_owned());
        let (enabled, quota, created) = (true, Quota::default(), 0);
        Account { id: AccountId(id), kind, address, display_name, enabled, quota, created }
    }

    #[test]
    fn conditions_hold() {
        let bob = one(2, Kind::Person, "bob@example.test", "Robert");
        let team = one(3, Kind::Group, "team@example.test", "");
        let seen = BTreeSet::from(["A3".to_owned()]);
        let holds = |filter: Value, account: &Account| {
            let Value::Object(members) = filter else { panic!("an object") };
            holds(&condition(members).unwrap(), account, &seen)
        };
        assert!(holds(json!({"name": "rob", "email": "BOB@"}), &bob));
        assert!(holds(json!({"text": "example"}), &bob) && !holds(json!({"text": "team"}), &bob));
        assert!(
            holds(json!({"type": "group", "name": "team@"}), &team) && !holds(json!({"type": "group"}), &bob)
        );
        assert!(holds(json!({"accountIds": ["A2", "A3"]}), &team));
        assert!(!holds(json!({"accountIds": ["A2"]}), &bob), "nothing of it is seen");
        assert!(!holds(json!({"timeZone": "Europe/Berlin"}), &bob));
        let unknown = json!({"color": "red"}).as_object().cloned().unwrap();
        assert_eq!(condition(unknown), Err(MethodError::UnsupportedFilter));
    }

    #[test]
    fn lists_are_no_principals() {
        assert!(
            is_principal(&one(1, Kind::Person, "a@b", "")) && is_principal(&one(1, Kind::Group, "a@b", ""))
        );
        assert!(!is_principal(&one(1, Kind::List, "a@b", "")));
        assert!(!is_principal(&Account { enabled: false, ..one(1, Kind::Person, "a@b", "") }));
    }
}
