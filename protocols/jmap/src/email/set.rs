//! `Email/set` (RFC 8621 §4.6): flags and mailboxes of emails, and emails that go.

use std::collections::BTreeSet;

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::id::IdRef;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Arguments, Id, Object, SetError};
use mail::{EmailEdit, FlagChange, Place};
use schema::{EmailId, Flags, MailboxId, SystemFlags};
use serde_json::Value;

use super::keywords;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::{Fail, refusal};

pub(crate) fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let access = call.writer(&set.account)?;
    let before = call.services().state_if(access.account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    for creation in set.create.keys() {
        let error = SetError::forbidden().describe("messages are uploaded and imported (Email/import)");
        answer.not_created.insert(creation.clone(), error);
    }
    let (references, edits) = edits(call, &access, &set, &mut answer);
    let edited = call.services().mail.edit_emails(access.account, &edits).await?;
    for ((reference, edit), outcome) in references.iter().zip(&edits).zip(&edited.outcomes) {
        let destroys = edit.place == Place::Nowhere;
        match (outcome, destroys) {
            (Ok(()), true) => answer.destroyed.push(Id::of(edit.email)),
            (Ok(()), false) => {
                answer.updated.insert(Id::of(edit.email), None);
            }
            (Err(error), true) => {
                answer.not_destroyed.insert(reference.to_string(), refusal(error));
            }
            (Err(error), false) => {
                answer.not_updated.insert(reference.to_string(), refusal(error));
            }
        }
    }
    let after = call.services().state_after(access.account, before, &edited.commits).await?;
    answer.new_state = call.services().state_text(after);
    Ok(answer.into_object())
}

/// What is to become of emails; what cannot be is noted at once.
fn edits<'s>(
    call: &Call,
    access: &Access,
    set: &'s Set,
    answer: &mut SetAnswer,
) -> (Vec<&'s IdRef>, Vec<EmailEdit>) {
    let (mut references, mut edits) = (Vec::new(), Vec::new());
    for (reference, patch) in &set.update {
        let edit = match (call.resolve::<EmailId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if set.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(email), Ok(patch)) => edit(call, access, email, patch),
        };
        match edit {
            Ok(edit) => {
                references.push(reference);
                edits.push(edit);
            }
            Err(error) => {
                answer.not_updated.insert(reference.to_string(), error);
            }
        }
    }
    for reference in &set.destroy {
        match call.resolve::<EmailId>(reference) {
            Some(email) if access.may(Rights::DELETE_MESSAGES | Rights::EXPUNGE) => {
                references.push(reference);
                edits.push(EmailEdit { email, flags: None, place: Place::Nowhere });
            }
            found => {
                let error = found.map_or_else(SetError::not_found, |_| SetError::forbidden());
                answer.not_destroyed.insert(reference.to_string(), error);
            }
        }
    }
    (references, edits)
}

/// A patch of an email: keywords and mailboxes, as a whole or one by one (RFC 8621 §4.6).
fn edit(call: &Call, access: &Access, email: EmailId, patch: &Patch) -> Result<EmailEdit, SetError> {
    let unknown: Vec<&str> =
        patch.properties().filter(|name| !["keywords", "mailboxIds"].contains(name)).collect();
    if !unknown.is_empty() {
        return Err(SetError::invalid_properties(unknown).describe("an email is what it is"));
    }
    let (flags, place) = (flags(patch)?, place(call, patch)?);
    if let Some(change) = &flags {
        permit_flags(access, change)?;
    }
    if place != Place::Same && !access.may(Rights::INSERT | Rights::DELETE_MESSAGES | Rights::EXPUNGE) {
        return Err(SetError::forbidden());
    }
    Ok(EmailEdit { email, flags, place })
}

/// RFC 4314 §4: `\Seen` and the others are rights of their own.
fn permit_flags(access: &Access, change: &FlagChange) -> Result<(), SetError> {
    let (FlagChange::Add(flags) | FlagChange::Remove(flags)) = change else {
        let all = access.may(Rights::SEEN | Rights::WRITE);
        return if all { Ok(()) } else { Err(SetError::forbidden()) };
    };
    let seen = Flags { system: SystemFlags::SEEN, ..Flags::none() };
    let others = !flags.difference(&seen).is_empty();
    let allowed =
        (!flags.has(SystemFlags::SEEN) || access.may(Rights::SEEN)) && (!others || access.may(Rights::WRITE));
    if allowed { Ok(()) } else { Err(SetError::forbidden()) }
}

/// What a patch says of keywords. One that sets some and clears others says what is to be.
fn flags(patch: &Patch) -> Result<Option<FlagChange>, SetError> {
    let (mut add, mut remove) = (Flags::none(), Flags::none());
    let mut whole = None;
    let wrong = || SetError::invalid_properties(["keywords"]);
    for (within, value) in patch.changes_of("keywords") {
        match (within, value) {
            // RFC 8620 §5.3: null stands for the default, no keywords.
            ([], Value::Null) => whole = Some(Flags::none()),
            ([], value) => whole = Some(keywords::of_object(value)?),
            ([name], Value::Bool(true)) => add = add.union(&keywords::flag(name).ok_or_else(wrong)?),
            ([name], Value::Null) => remove = remove.union(&keywords::flag(name).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        }
    }
    Ok(match (whole, add.is_empty(), remove.is_empty()) {
        (Some(flags), _, _) => Some(FlagChange::Replace(flags)),
        (None, true, true) => None,
        (None, false, true) => Some(FlagChange::Add(add)),
        (None, true, false) => Some(FlagChange::Remove(remove)),
        (None, false, false) => Some(FlagChange::Change { add, remove }),
    })
}

fn place(call: &Call, patch: &Patch) -> Result<Place, SetError> {
    let (mut add, mut remove) = (BTreeSet::<MailboxId>::new(), BTreeSet::<MailboxId>::new());
    let wrong = || SetError::invalid_properties(["mailboxIds"]);
    for (within, value) in patch.changes_of("mailboxIds") {
        match (within, value) {
            ([], value) => return Ok(Place::Only(keywords::mailboxes(call, value)?)),
            ([id], Value::Bool(true)) => {
                add.insert(keywords::mailbox(call, id).ok_or_else(wrong)?);
            }
            ([id], Value::Null) => {
                remove.extend(keywords::mailbox(call, id));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(if add.is_empty() && remove.is_empty() { Place::Same } else { Place::Change { add, remove } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(patch: Value) -> Result<Option<FlagChange>, SetError> {
        let Value::Object(patch) = patch else { panic!("an object") };
        flags(&Patch::parse(patch)?)
    }

    fn system(flags: SystemFlags) -> Flags {
        Flags { system: flags, ..Flags::none() }
    }

    #[test]
    fn keywords_change_one_by_one_or_all() {
        assert_eq!(change(json!({})).unwrap(), None);
        let seen = system(SystemFlags::SEEN);
        assert_eq!(change(json!({"keywords/$seen": true})).unwrap(), Some(FlagChange::Add(seen.clone())));
        assert_eq!(change(json!({"keywords/$Seen": null})).unwrap(), Some(FlagChange::Remove(seen.clone())));
        assert_eq!(
            change(json!({"keywords": {"$seen": true}})).unwrap(),
            Some(FlagChange::Replace(seen.clone()))
        );
        let both = FlagChange::Change { add: seen, remove: system(SystemFlags::FLAGGED) };
        assert_eq!(change(json!({"keywords/$seen": true, "keywords/$flagged": null})).unwrap(), Some(both));
        for bad in
            [json!({"keywords/$seen": false}), json!({"keywords/a b": true}), json!({"keywords/a/b": true})]
        {
            assert!(change(bad).is_err());
        }
    }
}
