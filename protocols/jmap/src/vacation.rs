//! The automatic reply (RFC 8621 §8): one of each account. It is sent by whoever delivers.

use futures::future::BoxFuture;
use jmap_proto::date::{parse_utc, render_utc};
use jmap_proto::id::IdRef;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Get, Set, SetAnswer};
use jmap_proto::{Arguments, Id, Object, SetError};
use schema::keys::mail::ObjectKind;
use schema::records::object::VacationRecord;
use schema::{AccountId, ModSeq};
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::objects;
use crate::registry::Method;

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[("VacationResponse/get", get), ("VacationResponse/set", set)];

/// RFC 8621 §8: the id of the only one.
const ONLY: &str = "singleton";

/// All properties (RFC 8621 §8).
const PROPERTIES: [&str; 7] = ["id", "isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"];

/// Octets of a subject.
const SUBJECT_MAX: usize = 1_000;
/// Octets of a text: all of it fits one value of the store.
const TEXT_MAX: usize = 40_000;

/// RFC 8621 §8.1
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_get(call, arguments).await?) })
}

async fn run_get(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let (account, services) = (call.reader(&get.account)?.account, call.services());
    let wanted = objects::wanted(get.properties.take(), &PROPERTIES)?;
    let state = services.state_text(services.state(account).await?);
    let only = [read(call, account).await?];
    let each = (|_: &VacationRecord| ONLY.to_owned(), |record: &VacationRecord| object(record, &wanted));
    Ok(objects::answer(call, get, state, &only, each))
}

async fn read(call: &Call, account: AccountId) -> Result<VacationRecord, Fail> {
    let found = call.services().mail.objects(account, ObjectKind::Vacation, 1).await?;
    Ok(found.into_iter().next().map(|(_, record)| record).unwrap_or_default())
}

fn object(record: &VacationRecord, wanted: &[String]) -> Object {
    let all = json!({
        "id": ONLY,
        "isEnabled": record.enabled,
        "fromDate": record.from.map(render_utc),
        "toDate": record.to.map(render_utc),
        "subject": record.subject,
        "textBody": record.text,
        "htmlBody": record.html,
    });
    objects::only(all, wanted)
}

/// RFC 8621 §8.2
fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_set(call, arguments).await?) })
}

async fn run_set(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let set = Set::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let access = call.writer(&set.account)?;
    let before = call.services().state_if(access.account, set.if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(set.account.clone()), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    for creation in set.create.keys() {
        answer.not_created.insert(creation.clone(), SetError::singleton());
    }
    let mut commits = Vec::new();
    for (reference, patch) in &set.update {
        let outcome = match (is_only(reference), patch) {
            (false, _) => Err(SetError::not_found()),
            (true, Err(error)) => Err(error.clone()),
            (true, Ok(_)) if !access.may(accounts::Rights::POST) => Err(SetError::forbidden()),
            (true, Ok(patch)) => update(call, access.account, patch).await?,
        };
        match outcome {
            Ok(commit) => {
                commits.extend(commit);
                answer.updated.insert(Id::of(ONLY), None);
            }
            Err(error) => {
                answer.not_updated.insert(reference.to_string(), error);
            }
        }
    }
    for reference in &set.destroy {
        let error = if is_only(reference) { SetError::singleton() } else { SetError::not_found() };
        answer.not_destroyed.insert(reference.to_string(), error);
    }
    let after = call.services().state_after(access.account, before, &commits).await?;
    answer.new_state = call.services().state_text(after);
    Ok(answer.into_object())
}

fn is_only(reference: &IdRef) -> bool {
    matches!(reference, IdRef::Id(id) if id.as_str() == ONLY)
}

async fn update(
    call: &Call,
    account: AccountId,
    patch: &Patch,
) -> Result<Result<Option<ModSeq>, SetError>, Fail> {
    let mut changes = Vec::new();
    for name in patch.properties() {
        for (within, value) in patch.changes_of(name) {
            if !within.is_empty() {
                return Ok(Err(SetError::invalid_patch()));
            }
            changes.push((name.to_owned(), value.clone()));
        }
    }
    let mut probe = VacationRecord::default();
    if let Some((name, _)) = changes.iter().find(|(name, value)| !edit(&mut probe, name, value)) {
        return Ok(Err(SetError::invalid_properties([name.as_str()])));
    }
    let change = move |before: Option<VacationRecord>| {
        let mut record = before.unwrap_or_default();
        for (name, value) in &changes {
            edit(&mut record, name, value);
        }
        ((), Some(Some(record)))
    };
    let ((), commit) = call.services().mail.edit_object(account, ObjectKind::Vacation, 1, &change).await?;
    Ok(Ok(commit))
}

/// Makes a property another; whether it may be so.
fn edit(record: &mut VacationRecord, name: &str, value: &Value) -> bool {
    let text = |most: usize| match value {
        Value::Null => Some(None),
        value => value.as_str().filter(|text| text.len() <= most).map(|text| Some(text.to_owned())),
    };
    let date = || match value {
        Value::Null => Some(None),
        value => value.as_str().and_then(parse_utc).map(Some),
    };
    match name {
        "id" => value == ONLY,
        "isEnabled" => {
            value.as_bool().or(value.is_null().then_some(false)).map(|on| record.enabled = on).is_some()
        }
        "fromDate" => date().map(|date| record.from = date).is_some(),
        "toDate" => date().map(|date| record.to = date).is_some(),
        "subject" => text(SUBJECT_MAX).map(|text| record.subject = text).is_some(),
        "textBody" => text(TEXT_MAX).map(|text| record.text = text).is_some(),
        "htmlBody" => text(TEXT_MAX).map(|text| record.html = text).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_of_their_kinds() {
        let mut record = VacationRecord::default();
        assert!(edit(&mut record, "isEnabled", &json!(true)) && record.enabled);
        assert!(edit(&mut record, "fromDate", &json!("2026-01-01T00:00:00Z")) && record.from.is_some());
        assert!(edit(&mut record, "fromDate", &Value::Null) && record.from.is_none());
        for (name, value) in [
            ("isEnabled", json!("yes")),
            ("toDate", json!("soon")),
            ("textBody", json!(1)),
            ("id", json!("x")),
            ("unheard", json!(1)),
        ] {
            assert!(!edit(&mut record, name, &value), "{name}");
        }
    }
}
