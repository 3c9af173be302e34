//! `EmailSubmission/set` (RFC 8621 §7.5).

use std::collections::BTreeMap;

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::id::IdRef;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use schema::{AccountId, EmailId, ModSeq, SubmissionId};
use serde_json::Value;

use super::{PROPERTIES, create, object, record};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::email;
use crate::fail::Fail;
use crate::submit::Undone;

pub(super) fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

/// What becomes of emails whose submissions were set (RFC 8621 §7.5).
struct OnSuccess {
    update: Vec<(IdRef, Value)>,
    destroy: Vec<IdRef>,
}

impl OnSuccess {
    fn read(arguments: &mut Arguments) -> Result<Self, MethodError> {
        let update = arguments.opt_object("onSuccessUpdateEmail")?.unwrap_or_default();
        let update: Option<_> =
            update.into_iter().map(|(id, patch)| Some((IdRef::new(&id)?, patch))).collect();
        let update = update.ok_or_else(|| MethodError::invalid("onSuccessUpdateEmail", "patches by id"))?;
        let destroy = arguments.opt_id_refs("onSuccessDestroyEmail")?.unwrap_or_default();
        Ok(OnSuccess { update, destroy })
    }
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    let after = OnSuccess::read(&mut arguments)?;
    arguments.end()?;
    let access = call.writer(&set.account)?;
    let before = call.services().state_if(access.account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    // Emails of what was set, by submission.
    let (mut commits, mut done) = (Vec::new(), BTreeMap::new());
    create_all(call, &access, &set, &mut answer, (&mut commits, &mut done)).await?;
    for (reference, patch) in &set.update {
        let outcome = match (call.resolve::<SubmissionId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if set.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(id), Ok(patch)) => update(call, &access, id, patch).await?.map(|done| (id, done)),
        };
        match outcome {
            Ok((id, (email, commit))) => {
                commits.extend(commit);
                done.insert(id, email);
                answer.updated.insert(Id::of(id), None);
            }
            Err(error) => {
                answer.not_updated.insert(reference.to_string(), error);
            }
        }
    }
    for reference in &set.destroy {
        let outcome = match call.resolve::<SubmissionId>(reference) {
            None => Err(SetError::not_found()),
            Some(id) => destroy(call, access.account, id).await?.map(|done| (id, done)),
        };
        match outcome {
            Ok((id, (email, commit))) => {
                commits.extend(commit);
                done.insert(id, email);
                answer.destroyed.push(Id::of(id));
            }
            Err(error) => {
                answer.not_destroyed.insert(reference.to_string(), error);
            }
        }
    }
    let state = call.services().state_after(access.account, before, &commits).await?;
    answer.new_state = call.services().state_text(state);
    emails(call, &set.account, after, &done).await;
    Ok(answer.into_object())
}

async fn create_all(
    call: &mut Call,
    access: &Access,
    set: &Set,
    answer: &mut SetAnswer,
    (commits, done): (&mut Vec<ModSeq>, &mut BTreeMap<SubmissionId, EmailId>),
) -> Result<(), Fail> {
    for (creation, given) in &set.create {
        match create::create(call, access, given).await? {
            Ok(made) => {
                commits.push(made.commit);
                done.insert(made.id, made.email);
                call.created.insert(creation.clone(), Id::of(made.id));
                answer.created.insert(creation.clone(), made.told);
            }
            Err(error) => {
                answer.not_created.insert(creation.clone(), error);
            }
        }
    }
    Ok(())
}

type Done = Result<(EmailId, Option<ModSeq>), SetError>;

/// RFC 8621 §7.5: only `undoStatus` may become another, and only `canceled`.
async fn update(call: &Call, access: &Access, id: SubmissionId, patch: &Patch) -> Result<Done, Fail> {
    let Some(record) = record(call, access.account, id).await? else { return Ok(Err(SetError::not_found())) };
    let told = object(id, &record, &PROPERTIES.map(str::to_owned));
    let mut cancel = false;
    for name in patch.properties() {
        for (within, value) in patch.changes_of(name) {
            // What only the server sets may be given as it is (RFC 8620 §5.3).
            if within.is_empty() && told.get(name) == Some(value) {
                continue;
            }
            if name != "undoStatus" || !within.is_empty() || value != "canceled" {
                return Ok(Err(SetError::invalid_properties([name])));
            }
            cancel = true;
        }
    }
    let email = EmailId(record.email);
    if !cancel {
        return Ok(Ok((email, None)));
    }
    if !access.may(Rights::POST) {
        return Ok(Err(SetError::forbidden()));
    }
    Ok(match call.services().submitter.cancel(access.account, id).await? {
        Undone::Yes(commit) => Ok((email, Some(commit))),
        Undone::No => Err(SetError::new("cannotUnsend")),
        Undone::NotFound => Err(SetError::not_found()),
    })
}

/// RFC 8621 §7.5: what was given stays given; what is kept of it goes. What waits to be sent later would not be sent then: it
/// stays until it was, or is taken back.
async fn destroy(call: &Call, account: AccountId, id: SubmissionId) -> Result<Done, Fail> {
    Ok(match call.services().mail.remove_submission(account, id).await {
        Ok(Some((email, commit))) => Ok((email, Some(commit))),
        Ok(None) => Err(SetError::not_found()),
        Err(mail::Error::Reserved(why)) => Err(SetError::forbidden().describe(why)),
        Err(error) => return Err(error.into()),
    })
}

/// RFC 8621 §7.5: the implicit call of `Email/set`, whose answer comes behind.
async fn emails(call: &mut Call, account: &Id, after: OnSuccess, done: &BTreeMap<SubmissionId, EmailId>) {
    let email = |call: &Call, reference: &IdRef| {
        Some(done.get(&call.resolve::<SubmissionId>(reference)?)?.to_string())
    };
    let update: Object =
        after.update.into_iter().filter_map(|(id, patch)| Some((email(call, &id)?, patch))).collect();
    let destroy: Vec<Value> =
        after.destroy.iter().filter_map(|id| email(call, id)).map(Value::from).collect();
    if update.is_empty() && destroy.is_empty() {
        return;
    }
    let mut arguments = Object::new();
    arguments.insert("accountId".to_owned(), account.as_str().into());
    arguments.insert("update".to_owned(), Value::Object(update));
    arguments.insert("destroy".to_owned(), Value::Array(destroy));
    email::further(call, arguments).await;
}
