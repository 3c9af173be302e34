//! `Email/import` (RFC 8621 §4.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use accounts::Rights;
use content_mail::{Limits, Summarizer};
use futures::future::BoxFuture;
use jmap_proto::date::parse_utc;
use jmap_proto::standard::SetAnswer;
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use mail::Incoming;
use schema::Flags;
use serde_json::Value;

use super::{create, keywords};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::download;
use crate::fail::Fail;
use crate::options::{HEADER, PIECE};

pub(crate) fn import(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let account = arguments.id("accountId")?;
    let if_in_state = arguments.opt_text("ifInState")?;
    let emails = arguments.opt_object("emails")?;
    arguments.end()?;
    let emails = emails.ok_or_else(|| MethodError::invalid("emails", "emails by creation id are wanted"))?;
    if emails.len() > call.limits().objects_in_set {
        return Err(MethodError::RequestTooLarge.into());
    }
    let entry = |(id, value): (String, Value)| match value {
        Value::Object(object) => Some((Id::new(&id)?, object)),
        _ => None,
    };
    let emails: Option<BTreeMap<Id, Object>> = emails.into_iter().map(entry).collect();
    let emails = emails.ok_or_else(|| MethodError::invalid("emails", "emails by creation id are wanted"))?;
    let access = call.editor(&account)?;
    let before = call.services().state_if(access.account, if_in_state.as_ref()).await?;
    let mut answer = SetAnswer { account: Some(account), ..SetAnswer::default() };
    answer.old_state = Some(call.services().state_text(before));
    let mut commits = Vec::new();
    for (creation, object) in emails {
        match one(call, &access, &object).await? {
            Ok((appended, told)) => {
                commits.push(appended.modseq);
                call.created.insert(creation.clone(), Id::of(appended.email));
                answer.created.insert(creation, told);
            }
            Err(error) => {
                answer.not_created.insert(creation, error);
            }
        }
    }
    let after = call.services().state_after(access.account, before, &commits).await?;
    answer.new_state = call.services().state_text(after);
    let mut object = answer.into_object();
    for other in ["updated", "destroyed", "notUpdated", "notDestroyed"] {
        object.remove(other);
    }
    Ok(object)
}

async fn one(call: &Call, access: &Access, object: &Object) -> Result<create::Made, Fail> {
    if !access.may_somewhere(Rights::INSERT) {
        return Ok(Err(SetError::forbidden()));
    }
    let read = match read(call, object) {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let Some(source) = download::find(call.services(), access, &read.blob).await? else {
        // RFC 8621 §4.8: an id that is not found is an invalid property, like one of a wrong type.
        return Ok(Err(SetError::invalid_properties(["blobId"])));
    };
    let incoming = incoming(call, &source).await?;
    let received = match read.received {
        Some(received) => received,
        None => last_received(call, &source, &incoming).await?,
    };
    create::store(call, access, &incoming, &read.mailboxes, &read.flags, received).await
}

/// RFC 8621 §4.8 `receivedAt`: the time of the last Received field (RFC 5322 §3.6.7: the first from above); now without one.
async fn last_received(call: &Call, source: &download::Source, incoming: &Incoming) -> Result<i64, Fail> {
    let end = source.size.min(incoming.summary.header_size).min(HEADER);
    let header = source.read(call.services(), 0..end).await?;
    let field = content_mail::headers::find(&header, "Received").map(|field| field.text());
    let time = field.as_deref().and_then(|text| content_mail::date::parse(text.rsplit_once(';')?.1));
    Ok(time.map_or_else(|| call.services().clock.now().secs(), |millis| millis.div_euclid(1_000)))
}

/// What a client gives.
struct Given {
    blob: String,
    mailboxes: std::collections::BTreeSet<schema::MailboxId>,
    flags: Flags,
    /// In seconds since the epoch, if the client says it.
    received: Option<i64>,
}

fn read(call: &Call, object: &Object) -> Result<Given, SetError> {
    let known = ["blobId", "mailboxIds", "keywords", "receivedAt"];
    let unknown: Vec<&str> = object.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if !unknown.is_empty() {
        return Err(SetError::invalid_properties(unknown));
    }
    let blob = object.get("blobId").and_then(Value::as_str).and_then(|text| call.created.resolve_text(text));
    let flags = object.get("keywords").filter(|value| !value.is_null());
    let received = match object.get("receivedAt").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            let millis = value.as_str().and_then(parse_utc);
            Some(millis.ok_or_else(|| SetError::invalid_properties(["receivedAt"]))?.div_euclid(1_000))
        }
    };
    let given = Given {
        blob: blob.ok_or_else(|| SetError::invalid_properties(["blobId"]))?.into_string(),
        mailboxes: keywords::mailboxes(call, object.get("mailboxIds").unwrap_or(&Value::Null))?,
        flags: flags.map_or(Ok(Flags::none()), keywords::of_object)?,
        received,
    };
    create::few(&given.mailboxes, &given.flags)?;
    Ok(given)
}

/// Reads a blob once more, as a message that is about to be stored.
pub(super) async fn incoming(call: &Call, source: &download::Source) -> Result<Incoming, Fail> {
    let (mut writer, mut summarizer) = (call.services().blobs.writer(), Summarizer::new(Limits::default()));
    let mut at = 0;
    while at < source.size {
        let end = source.size.min(at + PIECE);
        let piece = source.read(call.services(), at..end).await?;
        if piece.is_empty() {
            break;
        }
        summarizer.push(&piece);
        writer.write(&piece).await.map_err(mail::Error::from)?;
        at += piece.len() as u64;
    }
    let staged = writer.finish().await.map_err(mail::Error::from)?;
    Ok(Incoming { staged, summary: Arc::new(summarizer.finish()) })
}
