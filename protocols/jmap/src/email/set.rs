//! `Email/set` (RFC 8621 §4.6): emails that are composed, flags and mailboxes of emails, and emails that go.

use std::collections::{BTreeMap, BTreeSet};

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::id::IdRef;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use mail::{EmailEdit, FlagChange, Place};
use schema::{EmailId, Flags, MailboxId, ModSeq, SystemFlags};
use serde_json::Value;

use super::{create, keywords};
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
    let access = call.editor(&set.account)?;
    let before = call.services().state_if(access.account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    let mut commits = create_all(call, &access, &set, &mut answer).await?;
    let known = known(call, &access, &set).await?;
    let told = as_they_are(call, &set).await;
    let (references, edits) = edits(call, &access, (&known, &told), &set, &mut answer);
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
    commits.extend(edited.commits);
    let after = call.services().state_after(access.account, before, &commits).await?;
    answer.new_state = call.services().state_text(after);
    Ok(answer.into_object())
}

/// A call of this method that another method makes, answered behind that one (RFC 8620 §5.4).
pub(crate) async fn further(call: &mut Call, arguments: Object) {
    let answer = match Box::pin(run(call, arguments)).await {
        Ok(answer) => ("Email/set", answer),
        Err(fail) => ("error", MethodError::from(fail).to_object()),
    };
    call.further.push(answer);
}

/// Makes what is to be made, one by one. Returns the commits.
async fn create_all(
    call: &mut Call,
    access: &Access,
    set: &Set,
    answer: &mut SetAnswer,
) -> Result<Vec<ModSeq>, Fail> {
    let mut commits = Vec::new();
    for (creation, object) in &set.create {
        match create::create(call, access, object).await? {
            Ok((made, told)) => {
                commits.push(made.modseq);
                call.created.insert(creation.clone(), Id::of(made.email));
                answer.created.insert(creation.clone(), told);
            }
            Err(error) => {
                answer.not_created.insert(creation.clone(), error);
            }
        }
    }
    Ok(commits)
}

/// What is to become of emails; what cannot be is noted at once.
fn edits<'s>(
    call: &Call,
    access: &Access,
    (known, told): (&Known, &Told<'_>),
    set: &'s Set,
    answer: &mut SetAnswer,
) -> (Vec<&'s IdRef>, Vec<EmailEdit>) {
    let (mut references, mut edits) = (Vec::new(), Vec::new());
    for (reference, patch) in &set.update {
        let edit = match (call.resolve::<EmailId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if set.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(email), Ok(patch)) => match changed(patch, told.get(&reference)) {
                Ok(()) => edit(call, access, known, email, patch),
                Err(error) => Err(error),
            },
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
            Some(email) => match destroy(access, known, email) {
                Ok(edit) => {
                    references.push(reference);
                    edits.push(edit);
                }
                Err(error) => {
                    answer.not_destroyed.insert(reference.to_string(), error);
                }
            },
            None => {
                answer.not_destroyed.insert(reference.to_string(), SetError::not_found());
            }
        }
    }
    (references, edits)
}

/// What of an email may become another (RFC 8621 §4.6).
const MUTABLE: [&str; 2] = ["keywords", "mailboxIds"];

/// What patches name besides that, as it is.
type Told<'s> = BTreeMap<&'s IdRef, Object>;

async fn as_they_are<'s>(call: &mut Call, set: &'s Set) -> Told<'s> {
    let mut told = Told::new();
    for (reference, patch) in &set.update {
        let Ok(patch) = patch else { continue };
        let named: Vec<&str> = patch.properties().filter(|name| !MUTABLE.contains(name)).collect();
        if named.is_empty() {
            continue;
        }
        let mut arguments = Object::new();
        arguments.insert("accountId".to_owned(), set.account.as_str().into());
        arguments.insert("ids".to_owned(), vec![reference.to_string()].into());
        arguments.insert("properties".to_owned(), named.into());
        // A property that there is not is no reason to refuse the other emails.
        let list = super::get::get(call, arguments).await.ok().and_then(|mut answer| answer.remove("list"));
        if let Some(Value::Object(email)) = list.as_ref().and_then(|list| list.get(0)) {
            told.insert(reference, email.clone());
        }
    }
    told
}

/// RFC 8620 §5.3: what never changes may be given as it is, since all of an email is a patch too.
fn changed(patch: &Patch, told: Option<&Object>) -> Result<(), SetError> {
    let same = |name: &str| {
        let known = told.and_then(|told| told.get(name));
        patch.changes_of(name).all(|(within, value)| within.is_empty() && known == Some(value))
    };
    let others: Vec<&str> =
        patch.properties().filter(|name| !MUTABLE.contains(name) && !same(name)).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(SetError::invalid_properties(others).describe("an email is what it is"))
}

/// A patch of an email: keywords and mailboxes, as a whole or one by one (RFC 8621 §4.6).
fn edit(
    call: &Call,
    access: &Access,
    known: &Known,
    email: EmailId,
    patch: &Patch,
) -> Result<EmailEdit, SetError> {
    let (flags, place) = (flags(patch)?, place(call, patch)?);
    let mut needed = flags.as_ref().map_or(Rights::NONE, rights_to_change);
    if access.is_whole() {
        if place != Place::Same {
            needed = needed | Rights::INSERT | REMOVE;
        }
        return if access.may(needed) {
            Ok(EmailEdit { email, flags, place, within: None })
        } else {
            Err(SetError::forbidden())
        };
    }
    let here = known.get(&email).ok_or_else(SetError::not_found)?;
    // RFC 8621 §2 `maySetSeen`, `maySetKeywords`: in all mailboxes that it is in.
    let may = |ids: &BTreeSet<MailboxId>, rights| ids.iter().all(|id| access.may_in(*id, rights));
    let (added, removed) = moves(&place, here);
    // One that is not seen is not there.
    if !added.iter().all(|id| access.sees(*id)) {
        return Err(SetError::invalid_properties(["mailboxIds"]));
    }
    let carried = if added.is_empty() { Rights::NONE } else { Rights::INSERT | Rights::SEEN | Rights::WRITE };
    if may(here, needed) && may(&removed, REMOVE) && may(&added, carried) {
        Ok(EmailEdit { email, flags, place, within: access.within() })
    } else {
        Err(SetError::forbidden())
    }
}

/// `mayRemoveItems` (RFC 8621 §2).
pub(crate) const REMOVE: Rights = Rights::DELETE_MESSAGES.with(Rights::EXPUNGE);

/// The mailboxes that emails are in, of an account of which some are seen: those alone.
type Known = BTreeMap<EmailId, BTreeSet<MailboxId>>;

/// Where the emails are that a call names; nothing is looked up where all rights are the same.
async fn known(call: &Call, access: &Access, set: &Set) -> Result<Known, Fail> {
    if access.is_whole() {
        return Ok(Known::new());
    }
    let references = set.update.keys().chain(&set.destroy);
    let ids: Vec<EmailId> = references.filter_map(|reference| call.resolve(reference)).collect();
    let emails = call.services().emails(access, &ids).await?;
    Ok(emails.into_iter().map(|email| (email.id, email.mailboxes())).collect())
}

/// An email goes: to who sees some mailboxes, out of all of these.
fn destroy(access: &Access, known: &Known, email: EmailId) -> Result<EmailEdit, SetError> {
    let allowed = match access.is_whole() {
        true => access.may(REMOVE),
        false => {
            let here = known.get(&email).ok_or_else(SetError::not_found)?;
            here.iter().all(|id| access.may_in(*id, REMOVE))
        }
    };
    let within = access.within();
    if allowed {
        Ok(EmailEdit { email, flags: None, place: Place::Nowhere, within })
    } else {
        Err(SetError::forbidden())
    }
}

/// Where an email comes to be that is here, and where it is no more.
fn moves(place: &Place, here: &BTreeSet<MailboxId>) -> (BTreeSet<MailboxId>, BTreeSet<MailboxId>) {
    let (add, remove) = match place {
        Place::Same => Default::default(),
        Place::Change { add, remove } => (add.clone(), remove.clone()),
        Place::Only(there) => (there.clone(), here.difference(there).copied().collect()),
        Place::Nowhere => (BTreeSet::new(), here.clone()),
    };
    let added = add.difference(here).copied().collect();
    (added, remove.intersection(here).copied().collect())
}

/// RFC 4314 §4: `\Seen` and the others are rights of their own.
pub(super) fn rights_for(flags: &Flags) -> Rights {
    let seen = Flags { system: SystemFlags::SEEN, ..Flags::none() };
    let for_seen = if flags.has(SystemFlags::SEEN) { Rights::SEEN } else { Rights::NONE };
    let for_others = if flags.difference(&seen).is_empty() { Rights::NONE } else { Rights::WRITE };
    for_seen | for_others
}

fn rights_to_change(change: &FlagChange) -> Rights {
    match change {
        FlagChange::Add(flags) | FlagChange::Remove(flags) => rights_for(flags),
        _ => Rights::SEEN | Rights::WRITE,
    }
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
            // RFC 8620 §5.3: nothing is below a keyword.
            ([_, _, ..], _) => return Err(SetError::invalid_patch()),
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
            ([_, _, ..], _) => return Err(SetError::invalid_patch()),
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
