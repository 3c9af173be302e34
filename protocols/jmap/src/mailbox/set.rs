//! `Mailbox/set` (RFC 8621 §2.5).

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::arguments::int;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use mail::{Mailbox, MailboxEdit, MailboxRef, NewMailbox, Role};
use schema::MailboxId;
use serde_json::Value;

use super::sharing::{self, SHARE_WITH, Sharing, is_used};
use super::{role_of, update};
use crate::access::{self, Access};
use crate::call::{Answer, Call};
use crate::email::REMOVE;
use crate::fail::{Fail, set_error};

pub(crate) fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    let and_emails = arguments.flag("onDestroyRemoveEmails")?;
    arguments.end()?;
    let mut access = call.viewer(&set.account)?;
    // Of mailboxes that are shared each user has at least the subscription.
    if access.is_whole() && access.only_reads() {
        return Err(MethodError::AccountReadOnly.into());
    }
    let before = call.services().state_if(access.account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    create(call, &mut access, &set, &mut answer).await?;
    update::update(call, &access, &set, &mut answer).await?;
    // Which accounts the session tells of follows from what is subscribed to.
    know(call, &mut access).await?;
    destroy(call, &access, &set, and_emails, &mut answer).await?;
    // Which commits were made is not kept: a state that is too old only makes the client look again.
    let after = call.services().state(access.account).await?;
    let alone = own_only(call, &access, before, &answer).await?;
    answer.new_state = call.services().state_text(if alone { after } else { before });
    Ok(answer.into_object())
}

/// Whether nothing but what this call has done is in the log since a state.
async fn own_only(
    call: &Call,
    access: &Access,
    before: schema::ModSeq,
    answer: &SetAnswer,
) -> Result<bool, Fail> {
    let log = changes::log::read(call.services().mail.database(), access.account, before, 10_000).await?;
    let own = |id: &u32| {
        let id = MailboxId(*id).to_string();
        answer.updated.contains_key(id.as_str())
            || answer.destroyed.iter().any(|one| one.as_str() == id)
            || answer.created.values().any(|one| one.get("id").and_then(Value::as_str) == Some(&id))
    };
    let entries = log.entries.iter();
    Ok(!log.more
        && entries.clone().all(|(_, entry)| entry.emails.is_empty() && entry.mailboxes.iter().all(own)))
}

async fn create(call: &mut Call, access: &mut Access, set: &Set, answer: &mut SetAnswer) -> Result<(), Fail> {
    let mut waiting: Vec<(&Id, &Object)> = set.create.iter().collect();
    // RFC 8620 §5.3: one may lie in another that is made by the same call, in whatever order they are given.
    while !waiting.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|(_, object)| {
            let parent = object.get("parentId").and_then(Value::as_str);
            let awaited = parent.and_then(|text| text.strip_prefix('#'));
            !awaited.is_some_and(|id| waiting.iter().any(|(other, _)| other.as_str() == id))
        });
        if ready.is_empty() {
            for (creation, _) in waiting {
                let error = SetError::invalid_properties(["parentId"]).describe("they lie in each other");
                answer.not_created.insert(creation.clone(), error);
            }
            return Ok(());
        }
        for (creation, object) in ready {
            match create_one(call, access, object).await? {
                Ok(made) => {
                    know(call, access).await?;
                    call.created.insert(creation.clone(), Id::of(made.id));
                    answer.created.insert(creation.clone(), told(&made, access, object));
                }
                Err(error) => {
                    answer.not_created.insert(creation.clone(), error);
                }
            }
        }
        waiting = later;
    }
    Ok(())
}

/// Looks up again what the user may do where that goes by each mailbox: something was made or shared.
async fn know(call: &mut Call, access: &mut Access) -> Result<(), Fail> {
    if access.is_whole() {
        return Ok(());
    }
    if let Some(identity) = call.services().accounts.identity(access.user).await? {
        *access = access::of(&identity, access.account).unwrap_or_else(|| access.clone());
        call.identity = identity;
    }
    Ok(())
}

/// What the client does not know of what was made.
fn told(made: &Mailbox, access: &Access, given: &Object) -> Object {
    let none = std::collections::BTreeSet::new();
    let tally = mail::Tally::default();
    let mut object = super::object(made, access, (&none, &Sharing::unused()), Some(&tally), &|name| {
        !given.contains_key(name)
    });
    if !given.contains_key("isSubscribed") {
        object.insert("isSubscribed".to_owned(), true.into());
    }
    object
}

async fn create_one(
    call: &Call,
    access: &Access,
    object: &Object,
) -> Result<Result<Mailbox, SetError>, Fail> {
    if !access.may_somewhere(Rights::CREATE) {
        return Ok(Err(SetError::forbidden()));
    }
    let mut object = object.clone();
    let share_with = if is_used(call) { object.remove(SHARE_WITH) } else { None };
    let edit = match properties(call, &object) {
        Ok(edit) => edit,
        Err(error) => return Ok(Err(error)),
    };
    if let Err(error) = may_lie_in(access, edit.parent.flatten(), edit.role.flatten().is_some()) {
        return Ok(Err(error));
    }
    let shares = match share_with {
        // Who makes something below a shared mailbox has the rights there that it has in that one.
        Some(_) if !access.may(Rights::ADMINISTER) => return Ok(Err(SetError::forbidden())),
        Some(value) => match sharing::of_new(call, &value).await? {
            Ok(edit) => Some(edit),
            Err(error) => return Ok(Err(error)),
        },
        None => None,
    };
    // RFC 8621 §2 `isSubscribed`: true for what the user makes, unless said otherwise.
    let subscribed = edit.subscribed.unwrap_or(true);
    let Some(name) = edit.name else { return Ok(Err(SetError::invalid_properties(["name"]))) };
    let new = NewMailbox {
        parent: edit.parent.flatten(),
        name,
        role: edit.role.flatten(),
        sort_order: edit.sort_order.unwrap_or(0),
        subscribed: subscribed && access.is_whole(),
        shares,
        made_by: (!access.is_whole()).then_some(access.user),
    };
    if role_is_taken(call, access, None, new.role).await? {
        return Ok(Err(SetError::invalid_properties(["role"])));
    }
    let made = call.services().mail.make_mailbox(access.account, &new).await;
    let made = settled(made, new.parent.is_some(), blamed(new.shares.is_some(), false))?;
    if let (Ok(made), true, false) = (&made, subscribed, access.is_whole()) {
        let at = MailboxRef { account: access.account, mailbox: made.id };
        call.services().mail.subscribe_shared(access.user, at, true).await?;
    }
    Ok(made)
}

/// RFC 8621 §2 `role`: no two mailboxes have the same.
pub(super) async fn role_is_taken(
    call: &Call,
    access: &Access,
    id: Option<MailboxId>,
    role: Option<Role>,
) -> Result<bool, Fail> {
    if role.is_none() {
        return Ok(false);
    }
    let tree = call.services().mailboxes(access).await?;
    Ok(tree.iter().any(|one| one.role == role && Some(one.id) != id))
}

/// What was wrong with the property that is to blame if the store does not take it.
pub(super) fn blamed(shares: bool, renames: bool) -> &'static str {
    if shares && !renames { SHARE_WITH } else { "name" }
}

/// RFC 8621 §2 `mayCreateChild`. The top is the owner's, and so is what mailboxes are for.
pub(super) fn may_lie_in(access: &Access, parent: Option<MailboxId>, has_role: bool) -> Result<(), SetError> {
    if access.is_whole() {
        return if access.may(Rights::CREATE) { Ok(()) } else { Err(SetError::forbidden()) };
    }
    match parent.filter(|_| !has_role) {
        Some(parent) if !access.sees(parent) => Err(SetError::invalid_properties(["parentId"])),
        Some(parent) if access.may_in(parent, Rights::CREATE) => Ok(()),
        _ => Err(SetError::forbidden()),
    }
}

/// What the client has to mend, and what ends the call.
pub(super) fn settled<T>(
    done: Result<T, mail::Error>,
    in_parent: bool,
    blamed: &str,
) -> Result<Result<T, SetError>, Fail> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(mail::Error::NotFound) if in_parent => Ok(Err(SetError::invalid_properties(["parentId"]))),
        Err(error) => Ok(Err(set_error(error, blamed)?)),
    }
}

/// Properties that a client may set (RFC 8621 §2), each of its kind.
pub(super) fn properties(call: &Call, object: &Object) -> Result<MailboxEdit, SetError> {
    let mut edit = MailboxEdit::default();
    for (name, value) in object {
        let wrong = || SetError::invalid_properties([name.as_str()]);
        match name.as_str() {
            "name" => {
                let text = value.as_str().filter(|text| !text.is_empty()).ok_or_else(wrong)?;
                edit.name = Some(text.to_owned());
            }
            "parentId" => edit.parent = Some(parent(call, value).ok_or_else(wrong)?),
            "role" if value.is_null() => edit.role = Some(None),
            "role" => edit.role = Some(Some(value.as_str().and_then(role_of).ok_or_else(wrong)?)),
            "sortOrder" => {
                // RFC 8621 §2: below 2^31.
                let order =
                    int(value).and_then(|order| u32::try_from(order).ok()).filter(|order| *order < 1 << 31);
                edit.sort_order = Some(order.ok_or_else(wrong)?);
            }
            "isSubscribed" => edit.subscribed = Some(value.as_bool().ok_or_else(wrong)?),
            _ => return Err(wrong()),
        }
    }
    Ok(edit)
}

#[allow(clippy::option_option, reason = "none for what is no id, none within for the top")]
fn parent(call: &Call, value: &Value) -> Option<Option<MailboxId>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(call.created.resolve_text(text)?.as_str().parse().ok()?)),
        _ => None,
    }
}

/// RFC 8621 §2 `mayDelete`, and `mayRemoveItems` where emails go with it.
fn may_go(access: &Access, id: MailboxId, and_emails: bool) -> bool {
    let emails = if and_emails && !access.is_whole() { REMOVE } else { Rights::NONE };
    access.may_in(id, Rights::DELETE_MAILBOX | emails)
}

async fn destroy(
    call: &Call,
    access: &Access,
    set: &Set,
    and_emails: bool,
    answer: &mut SetAnswer,
) -> Result<(), Fail> {
    let tree = call.services().mailboxes(access).await?;
    // What lies deepest goes first, so that a mailbox may go with all below it.
    let depth =
        |id: Option<MailboxId>| tree.iter().find(|one| Some(one.id) == id).map(|one| one.path.names().len());
    let mut wanted: Vec<_> = set.destroy.iter().map(|one| (one, call.resolve::<MailboxId>(one))).collect();
    wanted.sort_by_key(|(_, id)| std::cmp::Reverse(depth(*id)));
    for (reference, id) in wanted {
        let outcome = match id {
            None => Err(SetError::not_found()),
            Some(id) if !access.is_whole() && !access.sees(id) => Err(SetError::not_found()),
            Some(id) if !may_go(access, id, and_emails) => Err(SetError::forbidden()),
            Some(id) => match call.services().mail.remove_mailbox(access.account, id, and_emails).await {
                Ok(()) => Ok(id),
                Err(error) => Err(set_error(error, "name")?),
            },
        };
        match outcome {
            Ok(id) => answer.destroyed.push(Id::of(id)),
            Err(error) => {
                answer.not_destroyed.insert(reference.to_string(), error);
            }
        }
    }
    Ok(())
}
