//! `Mailbox/query` and `Mailbox/queryChanges` (RFC 8621 §2.3, §2.4).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use jmap_proto::filter::Filter;
use jmap_proto::sort::Comparator;
use jmap_proto::standard::{Query, QueryChanges};
use jmap_proto::{Arguments, Id, MethodError, Object};
use mail::{Mailbox, Role};
use schema::MailboxId;
use serde_json::Value;

use super::changes::{id_of, told, with_children};
use super::role_of;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::log;
use crate::results;

/// RFC 8621 §2.3: what a mailbox may have to be.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Parent(Option<MailboxId>),
    Name(String),
    Role(Option<Role>),
    HasAnyRole(bool),
    IsSubscribed(bool),
    /// All of these.
    All(Vec<Condition>),
    /// An id or a role that nothing has.
    Nothing,
}

pub(crate) fn query(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

pub(crate) fn query_changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

/// What is asked for, besides which part of it.
struct Wanted {
    filter: Option<Filter<Condition>>,
    sort: Vec<Comparator>,
    sort_as_tree: bool,
    filter_as_tree: bool,
}

impl Wanted {
    fn read(
        call: &Call,
        arguments: &mut Arguments,
        filter: Value,
        sort: Vec<Comparator>,
    ) -> Result<Self, MethodError> {
        let known = ["sortOrder", "name", "parentId"];
        if sort.iter().any(|one| !known.contains(&one.property.as_str()) || !one.more.is_empty()) {
            return Err(MethodError::UnsupportedSort);
        }
        let filter = Filter::parse(filter, &mut |members| condition(call, members))?;
        let sort_as_tree = arguments.flag("sortAsTree")?;
        Ok(Wanted { filter, sort, sort_as_tree, filter_as_tree: arguments.flag("filterAsTree")? })
    }

    /// Whether place and match of a mailbox follow from itself: not so where others decide.
    fn can_calculate_changes(&self) -> bool {
        !self.sort_as_tree && !self.filter_as_tree && self.sort.iter().all(|one| one.property != "parentId")
    }
}

fn condition(call: &Call, members: Object) -> Result<Condition, MethodError> {
    let wrong = || MethodError::invalid("filter", "a value of another kind is wanted");
    let mut all = Vec::new();
    for (name, value) in members {
        let text = value.as_str();
        all.push(match name.as_str() {
            "parentId" if value.is_null() => Condition::Parent(None),
            "parentId" => {
                let id = text.and_then(|text| call.created.resolve_text(text)).ok_or_else(wrong)?;
                id.as_str().parse().map_or(Condition::Nothing, |id| Condition::Parent(Some(id)))
            }
            "name" => Condition::Name(text.ok_or_else(wrong)?.to_lowercase()),
            "role" if value.is_null() => Condition::Role(None),
            "role" => role_of(text.ok_or_else(wrong)?)
                .map_or(Condition::Nothing, |role| Condition::Role(Some(role))),
            "hasAnyRole" => Condition::HasAnyRole(value.as_bool().ok_or_else(wrong)?),
            "isSubscribed" => Condition::IsSubscribed(value.as_bool().ok_or_else(wrong)?),
            _ => return Err(MethodError::UnsupportedFilter),
        });
    }
    Ok(Condition::All(all))
}

fn holds(condition: &Condition, mailbox: &Mailbox, subscribed: &BTreeSet<String>) -> bool {
    match condition {
        Condition::Parent(parent) => mailbox.parent == *parent,
        Condition::Name(part) => mailbox.name.to_lowercase().contains(part),
        Condition::Role(role) => mailbox.role == *role,
        Condition::HasAnyRole(any) => mailbox.role.is_some() == *any,
        Condition::IsSubscribed(on) => subscribed.contains(&mailbox.path.to_string()) == *on,
        Condition::All(all) => all.iter().all(|one| holds(one, mailbox, subscribed)),
        Condition::Nothing => false,
    }
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut query = Query::read(&mut arguments)?;
    let (filter, sort) = (std::mem::take(&mut query.filter), std::mem::take(&mut query.sort));
    let wanted = Wanted::read(call, &mut arguments, filter, sort)?;
    arguments.end()?;
    let access = call.viewer(&query.account)?;
    let state = call.services().state(access.account).await?;
    let ids = results(call, &access, &wanted).await?;
    let state = call.services().state_text(state);
    Ok(results::part(query, state, wanted.can_calculate_changes(), &ids)?)
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut asked = QueryChanges::read(&mut arguments)?;
    let (filter, sort) = (std::mem::take(&mut asked.filter), std::mem::take(&mut asked.sort));
    let wanted = Wanted::read(call, &mut arguments, filter, sort)?;
    arguments.end()?;
    let access = call.viewer(&asked.account)?;
    if !wanted.can_calculate_changes() {
        return Err(MethodError::CannotCalculateChanges.into());
    }
    for _ in 0..results::TRIES {
        let folded = folded(call, &access, &asked.since).await?;
        let ids = results(call, &access, &wanted).await?;
        let told = results::changes(call.services(), access.account, &asked, (&folded, id_of), &ids).await?;
        if let Some(told) = told {
            return Ok(told);
        }
    }
    Err(MethodError::CannotCalculateChanges.into())
}

/// All that changed since a state.
async fn folded(call: &Call, access: &Access, since: &str) -> Result<log::Folded, Fail> {
    let mut moved = false;
    let folded = log::fold(call.services(), access, since, None, |entry| {
        moved |= access.share_of(entry).is_some();
        told(access, entry)
    });
    let folded = folded.await?.whole()?;
    with_children(call.services(), access, folded, moved && !access.is_whole()).await
}

/// The paths of mailboxes that the user wants to see.
async fn subscribed(call: &Call, access: &Access, tree: &[Mailbox]) -> Result<BTreeSet<String>, Fail> {
    if access.is_whole() {
        return Ok(call.services().mail.subscriptions(access.account).await?);
    }
    let wanted = tree.iter().filter(|mailbox| access.is_subscribed(mailbox.id));
    Ok(wanted.map(|mailbox| mailbox.path.to_string()).collect())
}

/// All results, in order.
async fn results(call: &Call, access: &Access, wanted: &Wanted) -> Result<Vec<Id>, Fail> {
    let mut tree = call.services().mailboxes(access).await?;
    let subscribed = subscribed(call, access, &tree).await?;
    order(&mut tree, wanted);
    let matching: BTreeSet<MailboxId> = tree
        .iter()
        .filter(|mailbox| {
            wanted
                .filter
                .as_ref()
                .is_none_or(|filter| filter.holds(&mut |one| holds(one, mailbox, &subscribed)))
        })
        .map(|mailbox| mailbox.id)
        .collect();
    let parents: BTreeMap<MailboxId, Option<MailboxId>> =
        tree.iter().map(|one| (one.id, one.parent)).collect();
    // RFC 8621 §2.3: a mailbox is left out if one above it is.
    let whole = |mut id: MailboxId| loop {
        if !matching.contains(&id) {
            break false;
        }
        match parents.get(&id).copied().flatten() {
            Some(parent) if wanted.filter_as_tree => id = parent,
            _ => break true,
        }
    };
    Ok(tree.iter().filter(|one| whole(one.id)).map(|one| Id::of(one.id)).collect())
}

/// RFC 8621 §2.3: siblings by the comparators and, if wanted, each right before what lies in it.
fn order(tree: &mut [Mailbox], wanted: &Wanted) {
    if !wanted.sort_as_tree {
        tree.sort_by(|a, b| compare(a, b, &wanted.sort));
        return;
    }
    tree.sort_by(|a, b| compare(a, b, &wanted.sort));
    let rank: BTreeMap<MailboxId, usize> = tree.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
    let parents: BTreeMap<MailboxId, Option<MailboxId>> =
        tree.iter().map(|one| (one.id, one.parent)).collect();
    let way = |one: &Mailbox| {
        let mut way = vec![rank.get(&one.id).copied()];
        let mut parent = one.parent;
        while let Some(above) = parent {
            way.push(rank.get(&above).copied());
            parent = parents.get(&above).copied().flatten();
        }
        way.reverse();
        way
    };
    tree.sort_by_cached_key(way);
}

fn compare(a: &Mailbox, b: &Mailbox, sort: &[Comparator]) -> Ordering {
    for one in sort {
        let ordering = match one.property.as_str() {
            "sortOrder" => a.sort_order.cmp(&b.sort_order),
            "name" => one.collation.key(&a.name).cmp(&one.collation.key(&b.name)),
            _ => a.parent.cmp(&b.parent),
        };
        let ordering = if one.ascending { ordering } else { ordering.reverse() };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    // RFC 8620 §5.5: whatever the server likes, but always the same.
    a.id.cmp(&b.id)
}
