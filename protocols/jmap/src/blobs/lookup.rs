//! `Blob/lookup` (RFC 9404 §4.3): in what records blobs are.

use futures::future::BoxFuture;
use jmap_proto::arguments::texts;
use jmap_proto::mail::MAIL;
use jmap_proto::{Arguments, MethodError, Object};
use mail::Email;
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::download;
use crate::email::part_of;
use crate::fail::Fail;

/// The types that are looked through.
pub(super) const TYPES: [&str; 3] = ["Mailbox", "Thread", "Email"];

pub(super) fn lookup(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let id = arguments.id("accountId")?;
    let names = arguments.value("typeNames").and_then(texts);
    let names = names.ok_or_else(|| MethodError::invalid("typeNames", "names of types are wanted"))?;
    let ids = arguments.opt_id_refs("ids")?;
    let ids = ids.ok_or_else(|| MethodError::invalid("ids", "ids of blobs are wanted"))?;
    arguments.end()?;
    // RFC 9404 §4.3: one that is not known, or whose capability is not used, ends the call.
    let uses_mail = call.using.iter().any(|urn| urn == MAIL);
    if !names.iter().all(|name| uses_mail && TYPES.contains(&name.as_str())) {
        return Err(MethodError::UnknownDataType.into());
    }
    if ids.len() > call.limits().objects_in_get {
        return Err(MethodError::RequestTooLarge.into());
    }
    let access = call.viewer(&id)?;
    let (mut list, mut missing) = (Vec::new(), Vec::new());
    for reference in ids {
        let blob = call.created.resolve(&reference).map(jmap_proto::Id::into_string);
        let found = match &blob {
            Some(blob) => download::find(call.services(), &access, blob).await?,
            None => None,
        };
        // RFC 9404 §4.3: that a blob is not seen is told as that it is in nothing; what is no id of a blob is not found.
        let Some(blob) = blob.filter(|blob| found.is_some() || download::is_blob_id(blob)) else {
            missing.push(Value::from(reference.to_string()));
            continue;
        };
        // Blobs of messages are named after their email; what was uploaded is in no record as it is.
        let email = match part_of(&blob).filter(|_| found.is_some()) {
            Some((email, _)) => call.services().email(&access, email).await?,
            None => None,
        };
        let matched: Object =
            names.iter().map(|name| (name.clone(), Value::from(within(name, email.as_ref())))).collect();
        list.push(json!({"id": blob, "matchedIds": matched}));
    }
    let mut answer = Object::new();
    answer.insert("accountId".to_owned(), id.into_string().into());
    answer.insert("list".to_owned(), Value::Array(list));
    answer.insert("notFound".to_owned(), Value::Array(missing));
    Ok(answer)
}

/// The records of a type in which an email's blobs are.
fn within(name: &str, email: Option<&Email>) -> Vec<String> {
    let Some(email) = email else { return Vec::new() };
    match name {
        "Mailbox" => email.mailboxes().iter().map(ToString::to_string).collect(),
        "Thread" => vec![email.thread.to_string()],
        _ => vec![email.id.to_string()],
    }
}
