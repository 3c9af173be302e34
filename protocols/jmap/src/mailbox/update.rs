//! `Mailbox/set` update (RFC 8621 §2.5, RFC 8620 §5.3).
//!
//! One after the other. What cannot be because of what others are is tried once more when these have been changed, and then each
//! that is left with those that are in its way, all at once: mailboxes may exchange their names, their roles and what they lie in,
//! for what comes of a call is what has to be valid.

use std::collections::{BTreeMap, BTreeSet};

use accounts::Rights;
use jmap_proto::id::IdRef;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Id, Object, SetError};
use mail::{Mailbox, MailboxEdit, MailboxRef};
use schema::MailboxId;
use serde_json::Value;

use super::get;
use super::set::{blamed, may_lie_in, properties, role_is_taken, settled};
use super::sharing::{self, SHARE_WITH, is_used};
use crate::access::Access;
use crate::call::Call;
use crate::fail::Fail;

/// Most mailboxes that are changed in one transaction.
const EXCHANGED: usize = 50;

/// One that others may be in the way of, and why it is not changed.
struct Waiting<'s> {
    reference: &'s IdRef,
    id: MailboxId,
    patch: &'s Patch,
    error: SetError,
}

pub(super) async fn update(
    call: &Call,
    access: &Access,
    set: &Set,
    answer: &mut SetAnswer,
) -> Result<(), Fail> {
    let mut waiting = Vec::new();
    for (reference, patch) in &set.update {
        let outcome = match (call.resolve::<MailboxId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if set.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(id), Ok(patch)) => match update_one(call, access, id, patch).await? {
                Err(error) if may_wait(patch) => {
                    waiting.push(Waiting { reference, id, patch, error });
                    continue;
                }
                outcome => outcome.map(|()| id),
            },
        };
        tell(answer, reference, outcome);
    }
    again(call, access, waiting, answer).await
}

fn tell(answer: &mut SetAnswer, reference: &IdRef, outcome: Result<MailboxId, SetError>) {
    match outcome {
        Ok(id) => {
            answer.updated.insert(Id::of(id), None);
        }
        Err(error) => {
            answer.not_updated.insert(reference.to_string(), error);
        }
    }
}

/// Whether other mailboxes decide on it.
fn may_wait(patch: &Patch) -> bool {
    patch.properties().any(|name| ["name", "parentId", "role"].contains(&name))
}

async fn again(
    call: &Call,
    access: &Access,
    waiting: Vec<Waiting<'_>>,
    answer: &mut SetAnswer,
) -> Result<(), Fail> {
    let mut left = Vec::new();
    for one in waiting {
        match update_one(call, access, one.id, one.patch).await? {
            Ok(()) => tell(answer, one.reference, Ok(one.id)),
            Err(error) => left.push(Waiting { error, ..one }),
        }
    }
    let exchanged = exchange(call, access, &left).await?;
    for one in left {
        let outcome = if exchanged.contains(&one.id) { Ok(one.id) } else { Err(one.error) };
        tell(answer, one.reference, outcome);
    }
    Ok(())
}

/// Changes each with those that are in its way, all of these or none. Returns which were changed.
async fn exchange(call: &Call, access: &Access, left: &[Waiting<'_>]) -> Result<BTreeSet<MailboxId>, Fail> {
    let mut edits = BTreeMap::new();
    for one in left {
        // A subscription to what another shares is a row of its own.
        if let Ok(edit) = read(call, access, one.id, one.patch, true).await?
            && (access.is_whole() || edit.subscribed.is_none())
        {
            edits.insert(one.id, edit);
        }
    }
    let tree = call.services().mailboxes(access).await?;
    let mut exchanged = BTreeSet::new();
    for id in edits.keys() {
        let together = if exchanged.contains(id) { None } else { together(&tree, &edits, *id) };
        let Some(together) = together.filter(|all| (2..=EXCHANGED).contains(&all.len())) else { continue };
        let done = call.services().mail.edit_mailboxes(access.account, &together).await;
        if settled(done, false, "name")?.is_ok() {
            exchanged.extend(together.into_iter().map(|(id, _)| id));
        }
    }
    Ok(exchanged)
}

/// A mailbox with those that are in its way, those in theirs, and so on; none if one of them stays as it is.
fn together(
    tree: &[Mailbox],
    edits: &BTreeMap<MailboxId, MailboxEdit>,
    first: MailboxId,
) -> Option<Vec<(MailboxId, MailboxEdit)>> {
    let mut found: Vec<(MailboxId, MailboxEdit)> = Vec::new();
    let mut next = vec![first];
    while let Some(id) = next.pop() {
        if found.iter().any(|(known, _)| *known == id) {
            continue;
        }
        let (own, edit) = (tree.iter().find(|one| one.id == id)?, edits.get(&id)?);
        let parent = edit.parent.unwrap_or(own.parent);
        let above = tree.iter().find(|one| Some(one.id) == parent);
        let (name, role) = (edit.name.as_ref().unwrap_or(&own.name), edit.role.flatten());
        for other in tree.iter().filter(|other| other.id != id) {
            let has_it =
                (other.parent == parent && other.name == *name) || (role.is_some() && other.role == role);
            // Between it and what it is to lie in, where that lies below it: one of these has to move, whichever can.
            let is_between = above
                .is_some_and(|above| above.id == other.id || above.path.is_below(&other.path))
                && other.path.is_below(&own.path)
                && edits.contains_key(&other.id);
            if has_it || is_between {
                next.push(other.id);
            }
        }
        found.push((id, edit.clone()));
    }
    Some(found)
}

async fn update_one(
    call: &Call,
    access: &Access,
    id: MailboxId,
    patch: &Patch,
) -> Result<Result<(), SetError>, Fail> {
    let edit = match read(call, access, id, patch, false).await? {
        Ok(edit) => edit,
        Err(error) => return Ok(Err(error)),
    };
    if role_is_taken(call, access, Some(id), edit.role.flatten()).await? {
        return Ok(Err(SetError::invalid_properties(["role"])));
    }
    write(call, access, id, edit).await
}

/// What is to become of a mailbox, if that is allowed; `with_others` if others change at the same time.
async fn read(
    call: &Call,
    access: &Access,
    id: MailboxId,
    patch: &Patch,
    with_others: bool,
) -> Result<Result<MailboxEdit, SetError>, Fail> {
    let tree = call.services().mailboxes(access).await?;
    let Some(mailbox) = tree.iter().find(|one| one.id == id) else { return Ok(Err(SetError::not_found())) };
    let named: Vec<String> = patch.properties().map(str::to_owned).collect();
    let known = get::objects(call, access, std::slice::from_ref(mailbox), &named).await?.pop();
    let mut changes = Object::new();
    let shares = is_used(call) && patch.properties().any(|name| name == SHARE_WITH);
    for name in patch.properties().filter(|name| !shares || *name != SHARE_WITH) {
        for (within, value) in patch.changes_of(name) {
            if !within.is_empty() {
                // No property that may be set has parts.
                return Ok(Err(SetError::invalid_properties([name])));
            }
            // RFC 8620 §5.3: what only the server sets may be given as it is.
            if known.as_ref().and_then(|known| known.get(name)) != Some(value) {
                changes.insert(name.to_owned(), value.clone());
            }
        }
    }
    if changes.get("sortOrder").is_some_and(Value::is_null) {
        changes.insert("sortOrder".to_owned(), 0.into());
    }
    let mut edit = match properties(call, &changes) {
        Ok(edit) => edit,
        Err(error) => return Ok(Err(error)),
    };
    if let Err(error) = may_become(access, id, &edit) {
        return Ok(Err(error));
    }
    // RFC 8621 §2 `parentId`: there is no loop. Where others move as well, the store looks at what comes of all.
    let parent = tree.iter().find(|one| Some(one.id) == edit.parent.flatten());
    let in_itself = |parent: &Mailbox| !with_others && parent.path.is_below(&mailbox.path);
    if parent.is_some_and(|parent| parent.id == id || in_itself(parent)) {
        return Ok(Err(SetError::invalid_properties(["parentId"])));
    }
    if shares {
        edit.shares = match sharing::of_patch(call, access, id, patch).await? {
            Ok(shares) => Some(shares),
            Err(error) => return Ok(Err(error)),
        };
    }
    Ok(Ok(edit))
}

/// Writes what may be written; a subscription to what another shares is a row of its own.
async fn write(
    call: &Call,
    access: &Access,
    id: MailboxId,
    mut edit: MailboxEdit,
) -> Result<Result<(), SetError>, Fail> {
    let mail = &call.services().mail;
    let subscribed = if access.is_whole() { None } else { edit.subscribed.take() };
    let (in_parent, renames) = (edit.parent.flatten().is_some(), edit.name.is_some());
    let blamed = blamed(edit.shares.is_some(), renames);
    // Nothing is written by who changes nothing and may change nothing.
    if access.is_whole() || edit != MailboxEdit::default() {
        let done = settled(mail.edit_mailbox(access.account, id, &edit).await, in_parent, blamed)?;
        if done.is_err() {
            return Ok(done);
        }
    }
    match subscribed {
        Some(on) => {
            let at = MailboxRef { account: access.account, mailbox: id };
            settled(mail.subscribe_shared(access.user, at, on).await, false, "isSubscribed")
        }
        None => Ok(Ok(())),
    }
}

/// RFC 8621 §2 `mayRename`. What mailboxes are for, and what lies at the top, is the owner's.
fn may_become(access: &Access, id: MailboxId, edit: &MailboxEdit) -> Result<(), SetError> {
    let renames = edit.name.is_some() || edit.parent.is_some() || edit.role.is_some();
    if access.is_whole() {
        let allowed = !renames || access.may(Rights::DELETE_MAILBOX);
        return if allowed { Ok(()) } else { Err(SetError::forbidden()) };
    }
    if (renames || edit.sort_order.is_some()) && !access.may_in(id, Rights::DELETE_MAILBOX) {
        return Err(SetError::forbidden());
    }
    match edit.parent {
        Some(parent) => may_lie_in(access, parent, edit.role.is_some()),
        None if edit.role.is_some() => Err(SetError::forbidden()),
        None => Ok(()),
    }
}
