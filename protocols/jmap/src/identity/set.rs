//! `Identity/set` (RFC 8621 §6.3).

use futures::future::BoxFuture;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Set, SetAnswer};
use jmap_proto::{Arguments, Id, Object, SetError};
use schema::keys::mail::ObjectKind;
use schema::records::object::{IdentityRecord, PersonRecord};
use schema::{AccountId, IdentityId, ModSeq};
use serde_json::Value;

use super::{Identity, MOST, OWN, all, may_send_as, object};
use crate::call::{Answer, Call};
use crate::fail::Fail;

/// Octets of a name or an address.
const TEXT_MAX: usize = 1_000;
/// Octets of a signature: all of an identity fits one value of the store.
const SIGNATURE_MAX: usize = 30_000;
/// Addresses of a list.
const PEOPLE_MAX: usize = 10;

pub(super) fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let account = call.writer(&set.account)?.account;
    let before = call.services().state_if(account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    let mut commits = Vec::new();
    for (creation, given) in &set.create {
        match create(call, account, given).await? {
            Ok((made, commit)) => {
                commits.push(commit);
                call.created.insert(creation.clone(), Id::of(made.id));
                let mut told = object(&made, &super::PROPERTIES.map(str::to_owned));
                told.retain(|name, _| !given.contains_key(name));
                answer.created.insert(creation.clone(), told);
            }
            Err(error) => {
                answer.not_created.insert(creation.clone(), error);
            }
        }
    }
    for (reference, patch) in &set.update {
        let outcome = match (call.resolve::<IdentityId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if set.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(id), Ok(patch)) => update(call, account, id, patch).await?.map(|commit| (id, commit)),
        };
        match outcome {
            Ok((id, commit)) => {
                commits.extend(commit);
                answer.updated.insert(Id::of(id), None);
            }
            Err(error) => {
                answer.not_updated.insert(reference.to_string(), error);
            }
        }
    }
    for reference in &set.destroy {
        let outcome = match call.resolve::<IdentityId>(reference) {
            None => Err(SetError::not_found()),
            Some(OWN) => Err(SetError::forbidden().describe("it is the account's own")),
            Some(id) => destroy(call, account, id).await?.map(|commit| (id, commit)),
        };
        match outcome {
            Ok((id, commit)) => {
                commits.extend(commit);
                answer.destroyed.push(Id::of(id));
            }
            Err(error) => {
                answer.not_destroyed.insert(reference.to_string(), error);
            }
        }
    }
    let after = call.services().state_after(account, before, &commits).await?;
    answer.new_state = call.services().state_text(after);
    Ok(answer.into_object())
}

async fn create(
    call: &Call,
    account: AccountId,
    given: &Object,
) -> Result<Result<(Identity, ModSeq), SetError>, Fail> {
    let mut record = IdentityRecord::default();
    for (name, value) in given {
        let taken = match (name.as_str(), value.as_str()) {
            ("email", Some(email)) if email.len() <= TEXT_MAX => {
                email.clone_into(&mut record.email);
                true
            }
            ("email", _) => false,
            (name, _) => edit(&mut record, name, value),
        };
        if !taken {
            return Ok(Err(SetError::invalid_properties([name.as_str()])));
        }
    }
    if record.email.rsplit_once('@').is_none_or(|(local, domain)| local.is_empty() || domain.is_empty()) {
        return Ok(Err(SetError::invalid_properties(["email"])));
    }
    // RFC 8621 §6.3
    if !may_send_as(call.services(), &call.identity, account, &record.email).await? {
        return Ok(Err(SetError::new("forbiddenFrom")));
    }
    match call.services().mail.make_object(account, ObjectKind::Identity, &record, MOST).await {
        Ok((id, commit)) => Ok(Ok((Identity { id: IdentityId(id), record }, commit))),
        Err(mail::Error::LimitReached(text)) => Ok(Err(SetError::over_quota().describe(text))),
        Err(error) => Err(error.into()),
    }
}

/// Makes a property another; whether it may be so.
fn edit(record: &mut IdentityRecord, name: &str, value: &Value) -> bool {
    let text = |most: usize| match value {
        // RFC 8620 §5.3: null stands for the default.
        Value::Null => Some(String::new()),
        value => value.as_str().filter(|text| text.len() <= most).map(str::to_owned),
    };
    let put = |field: &mut String, text: Option<String>| text.map(|text| *field = text).is_some();
    match name {
        "name" => put(&mut record.name, text(TEXT_MAX)),
        "textSignature" => put(&mut record.text_signature, text(SIGNATURE_MAX)),
        "htmlSignature" => put(&mut record.html_signature, text(SIGNATURE_MAX)),
        "replyTo" => people(value).map(|people| record.reply_to = people).is_some(),
        "bcc" => people(value).map(|people| record.bcc = people).is_some(),
        _ => false,
    }
}

fn people(value: &Value) -> Option<Vec<PersonRecord>> {
    let one = |value: &Value| {
        let short = |value: &Value| value.as_str().filter(|text| text.len() <= TEXT_MAX).map(str::to_owned);
        let object = value.as_object()?;
        let known = object.keys().all(|name| name == "name" || name == "email");
        let name = match object.get("name") {
            None | Some(Value::Null) => None,
            Some(name) => Some(short(name)?),
        };
        known.then_some(PersonRecord { name, email: short(object.get("email")?)? })
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) if list.len() <= PEOPLE_MAX => list.iter().map(one).collect(),
        _ => None,
    }
}

async fn update(
    call: &Call,
    account: AccountId,
    id: IdentityId,
    patch: &Patch,
) -> Result<Result<Option<ModSeq>, SetError>, Fail> {
    let identities = all(call.services(), account).await?;
    let Some(known) = identities.into_iter().find(|one| one.id == id) else {
        return Ok(Err(SetError::not_found()));
    };
    let told = object(&known, &super::PROPERTIES.map(str::to_owned));
    let mut changes = Vec::new();
    for name in patch.properties() {
        for (within, value) in patch.changes_of(name) {
            // No property is changed in part (a list is a whole); what only the server sets may be given as it is.
            if !within.is_empty() {
                return Ok(Err(SetError::invalid_patch()));
            }
            if told.get(name) != Some(value) {
                changes.push((name.to_owned(), value.clone()));
            }
        }
    }
    // RFC 8621 §6: the address is immutable.
    let mut probe = known.record.clone();
    let wrong = changes.iter().find(|(name, value)| !edit(&mut probe, name, value));
    if let Some((name, _)) = wrong {
        return Ok(Err(SetError::invalid_properties([name.as_str()])));
    }
    let change = move |before: Option<IdentityRecord>| {
        let mut record = match before {
            Some(record) => record,
            None if id == OWN => IdentityRecord { email: String::new(), ..known.record.clone() },
            None => return (false, None),
        };
        for (name, value) in &changes {
            edit(&mut record, name, value);
        }
        (true, Some(Some(record)))
    };
    let (there, commit) =
        call.services().mail.edit_object(account, ObjectKind::Identity, id.0, &change).await?;
    Ok(if there { Ok(commit) } else { Err(SetError::not_found()) })
}

async fn destroy(
    call: &Call,
    account: AccountId,
    id: IdentityId,
) -> Result<Result<Option<ModSeq>, SetError>, Fail> {
    let remove = |before: Option<IdentityRecord>| (before.is_some(), before.is_some().then_some(None));
    let (there, commit) =
        call.services().mail.edit_object(account, ObjectKind::Identity, id.0, &remove).await?;
    Ok(if there { Ok(commit) } else { Err(SetError::not_found()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn properties_are_of_their_kinds() {
        let mut record = IdentityRecord::default();
        assert!(edit(&mut record, "name", &json!("A")) && record.name == "A");
        assert!(edit(&mut record, "replyTo", &json!([{"name": null, "email": "a@b"}])));
        assert_eq!(record.reply_to, [PersonRecord { name: None, email: "a@b".into() }]);
        assert!(edit(&mut record, "replyTo", &Value::Null) && record.reply_to.is_empty());
        for (name, value) in [
            ("name", json!(1)),
            ("email", json!("a@b")),
            ("mayDelete", json!(true)),
            ("bcc", json!("a@b")),
            ("bcc", json!([{"email": 1}])),
            ("bcc", json!([{"email": "a@b", "more": 1}])),
            ("textSignature", json!("x".repeat(SIGNATURE_MAX + 1))),
        ] {
            assert!(!edit(&mut record, name, &value), "{name}");
        }
    }
}
