//! `Mailbox/set` (RFC 8621 §2.5).

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::arguments::int;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Arguments, Id, Object, SetError};
use mail::{Mailbox, MailboxEdit, NewMailbox};
use schema::MailboxId;
use serde_json::Value;

use super::role_of;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::{Fail, set_error};

pub(crate) fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    let and_emails = arguments.flag("onDestroyRemoveEmails")?;
    arguments.end()?;
    let access = call.writer(&set.account)?;
    let before = call.services().state_if(access.account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    create(call, &access, &set, &mut answer).await?;
    update(call, &access, &set, &mut answer).await?;
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

async fn create(call: &mut Call, access: &Access, set: &Set, answer: &mut SetAnswer) -> Result<(), Fail> {
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

/// What the client does not know of what was made.
fn told(made: &Mailbox, access: &Access, given: &Object) -> Object {
    let none = std::collections::BTreeSet::new();
    let tally = mail::Tally::default();
    let mut object = super::object(made, access, &none, Some(&tally), &|name| !given.contains_key(name));
    if !given.contains_key("isSubscribed") {
        object.insert("isSubscribed".to_owned(), false.into());
    }
    object
}

async fn create_one(
    call: &Call,
    access: &Access,
    object: &Object,
) -> Result<Result<Mailbox, SetError>, Fail> {
    if !access.may(Rights::CREATE) {
        return Ok(Err(SetError::forbidden()));
    }
    let edit = match properties(call, object) {
        Ok(edit) => edit,
        Err(error) => return Ok(Err(error)),
    };
    let Some(name) = edit.name else { return Ok(Err(SetError::invalid_properties(["name"]))) };
    let new = NewMailbox {
        parent: edit.parent.flatten(),
        name,
        role: edit.role.flatten(),
        sort_order: edit.sort_order.unwrap_or(0),
        subscribed: edit.subscribed.unwrap_or(false),
    };
    let made = call.services().mail.make_mailbox(access.account, &new).await;
    settled(made, new.parent.is_some())
}

/// What the client has to mend, and what ends the call.
fn settled<T>(done: Result<T, mail::Error>, in_parent: bool) -> Result<Result<T, SetError>, Fail> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(mail::Error::NotFound) if in_parent => Ok(Err(SetError::invalid_properties(["parentId"]))),
        Err(error) => Ok(Err(set_error(error, "name")?)),
    }
}

/// Properties that a client may set (RFC 8621 §2), each of its kind.
fn properties(call: &Call, object: &Object) -> Result<MailboxEdit, SetError> {
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

async fn update(call: &Call, access: &Access, set: &Set, answer: &mut SetAnswer) -> Result<(), Fail> {
    for (reference, patch) in &set.update {
        let outcome = match (call.resolve::<MailboxId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if set.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(id), Ok(patch)) => update_one(call, access, id, patch).await?.map(|()| id),
        };
        match outcome {
            Ok(id) => {
                answer.updated.insert(Id::of(id), None);
            }
            Err(error) => {
                answer.not_updated.insert(reference.to_string(), error);
            }
        }
    }
    Ok(())
}

async fn update_one(
    call: &Call,
    access: &Access,
    id: MailboxId,
    patch: &Patch,
) -> Result<Result<(), SetError>, Fail> {
    let tree = call.services().mail.mailboxes(access.account).await?;
    let Some(mailbox) = tree.iter().find(|one| one.id == id) else { return Ok(Err(SetError::not_found())) };
    let known = super::object(mailbox, access, &std::collections::BTreeSet::new(), None, &|_| true);
    let mut changes = Object::new();
    for name in patch.properties() {
        for (within, value) in patch.changes_of(name) {
            if !within.is_empty() {
                // No property that may be set has parts.
                return Ok(Err(SetError::invalid_properties([name])));
            }
            // RFC 8620 §5.3: what only the server sets may be given as it is.
            let same = known.get(name) == Some(value) && name != "isSubscribed";
            if !same {
                changes.insert(name.to_owned(), value.clone());
            }
        }
    }
    if changes.get("sortOrder").is_some_and(Value::is_null) {
        changes.insert("sortOrder".to_owned(), 0.into());
    }
    let edit = match properties(call, &changes) {
        Ok(edit) => edit,
        Err(error) => return Ok(Err(error)),
    };
    let renames = edit.name.is_some() || edit.parent.is_some() || edit.role.is_some();
    if renames && !access.may(Rights::DELETE_MAILBOX) {
        return Ok(Err(SetError::forbidden()));
    }
    let in_parent = edit.parent.flatten().is_some();
    settled(call.services().mail.edit_mailbox(access.account, id, &edit).await, in_parent)
}

async fn destroy(
    call: &Call,
    access: &Access,
    set: &Set,
    and_emails: bool,
    answer: &mut SetAnswer,
) -> Result<(), Fail> {
    let tree = call.services().mail.mailboxes(access.account).await?;
    // What lies deepest goes first, so that a mailbox may go with all below it.
    let depth =
        |id: Option<MailboxId>| tree.iter().find(|one| Some(one.id) == id).map(|one| one.path.names().len());
    let mut wanted: Vec<_> = set.destroy.iter().map(|one| (one, call.resolve::<MailboxId>(one))).collect();
    wanted.sort_by_key(|(_, id)| std::cmp::Reverse(depth(*id)));
    for (reference, id) in wanted {
        let outcome = match id {
            None => Err(SetError::not_found()),
            Some(_) if !access.may(Rights::DELETE_MAILBOX) => Err(SetError::forbidden()),
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
