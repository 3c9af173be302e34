//! `Email/get` (RFC 8621 §4.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use content_mail::{Envelope, Summary};
use futures::future::BoxFuture;
use jmap_proto::date::render_utc;
use jmap_proto::standard::{Get, GetAnswer};
use jmap_proto::{Arguments, MethodError, Object};
use mail::{Email, Listed};
use schema::{AccountId, EmailId};
use serde_json::{Value, json};

use super::body::{self, Lists, Numbered};
use super::parse::part_id;
use super::reading::{Reading, blob_id, body_value};
use super::wanted::Wanted;
use super::{addresses, head, header, keywords, listed, smime};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::download::Source;
use crate::fail::Fail;

pub(crate) fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let get = Get::read(&mut arguments, &call.limits())?;
    let wanted = Wanted::read(call, &mut arguments, get.properties)?;
    arguments.end()?;
    let (access, services) = (call.viewer(&get.account)?, call.services());
    let account = access.account;
    // RFC 8620 §5.1: an account has more than can be told.
    let references = get.ids.ok_or(MethodError::RequestTooLarge)?;
    let ids: Vec<Option<EmailId>> = references.iter().map(|one| call.resolve(one)).collect();
    let wanted = Arc::new(wanted);
    let listed = match access.is_whole() && wanted.is_of_lists() {
        true => listed::tell(services, account, &ids, &wanted).await?,
        false => None,
    };
    let (state, told) = match listed {
        Some(told) => told,
        None => (services.state(account).await?, read(call, &access, &ids, &wanted).await?),
    };
    let mut answer = GetAnswer { account: Some(get.account), ..GetAnswer::default() };
    for (reference, told) in references.iter().zip(told) {
        match told {
            Some(object) => answer.list.push(object),
            None => answer.not_found.push(reference.to_string()),
        }
    }
    answer.state = services.state_text(state);
    Ok(answer.into_object())
}

/// Emails as they are told, each read; none of those that are not there.
async fn read(
    call: &Call,
    access: &Access,
    ids: &[Option<EmailId>],
    wanted: &Wanted,
) -> Result<Vec<Option<Object>>, Fail> {
    let services = call.services();
    let known: Vec<EmailId> = ids.iter().flatten().copied().collect();
    let found: BTreeMap<EmailId, Email> =
        services.emails(access, &known).await?.into_iter().map(|email| (email.id, email)).collect();
    let there: Vec<EmailId> = found.keys().filter(|_| !wanted.is_of_rows()).copied().collect();
    let read = services.mail.summaries(access.account, &there).await?;
    let summaries: BTreeMap<EmailId, Arc<Summary>> =
        there.into_iter().zip(read).filter_map(|(id, summary)| Some((id, summary?))).collect();
    let mut told = Vec::with_capacity(ids.len());
    for id in ids {
        told.push(match id.and_then(|id| found.get(&id)) {
            Some(email) => object(call, access.account, email, summaries.get(&email.id), wanted).await?,
            None => None,
        });
    }
    Ok(told)
}

/// An email as it is told; none for one that went meanwhile.
async fn object(
    call: &Call,
    account: AccountId,
    email: &Email,
    summary: Option<&Arc<Summary>>,
    wanted: &Wanted,
) -> Result<Option<Object>, Fail> {
    let (flags, mailboxes) = (email.flags(), email.mailboxes().into_iter().collect());
    let Email { id, thread, size, received, .. } = *email;
    let mut object = rows(&Listed { id, thread, size, received, mailboxes, flags: &flags }, wanted);
    if wanted.is_of_rows() {
        return Ok(Some(object));
    }
    let Some(summary) = summary else { return Ok(None) };
    let mut reading =
        Reading::of(call.services(), Source::stored(email.blob, email.size), Arc::clone(summary));
    object.extend(described(&mut reading, &Naming::Email(email.id), wanted).await?);
    smime::tell(&mut object, call, &mut reading, wanted, Some((account, email))).await?;
    Ok(Some(object))
}

/// How the parts of a message are called where they are told as blobs.
pub(super) enum Naming {
    /// It is this email.
    Email(EmailId),
    /// It is this blob.
    Blob(String),
}

impl Naming {
    fn part(&self, path: &[u32]) -> String {
        match self {
            Naming::Email(email) => blob_id(*email, Some(path)),
            Naming::Blob(blob) => part_id(blob, path),
        }
    }
}

/// What the message itself says.
pub(super) async fn described(
    reading: &mut Reading<'_>,
    naming: &Naming,
    wanted: &Wanted,
) -> Result<Object, Fail> {
    let mut object = Object::new();
    summarized(&mut object, reading, wanted).await?;
    parts(&mut object, naming, reading, wanted).await?;
    Ok(object)
}

/// What rows say.
pub(super) fn rows(email: &Listed<'_>, wanted: &Wanted) -> Object {
    let mut object = Object::new();
    let mut put = |name: &str, value: &dyn Fn() -> Value| {
        if name == "id" || wanted.has(name) {
            object.insert(name.to_owned(), value());
        }
    };
    put("id", &|| email.id.to_string().into());
    put("blobId", &|| blob_id(email.id, None).into());
    put("threadId", &|| email.thread.to_string().into());
    put("mailboxIds", &|| {
        Value::Object(email.mailboxes.iter().map(|id| (id.to_string(), Value::Bool(true))).collect())
    });
    put("keywords", &|| Value::Object(keywords::to_object(email.flags)));
    put("size", &|| email.size.into());
    put("receivedAt", &|| render_utc(email.received.saturating_mul(1_000)).into());
    object
}

/// What the summary says, and what is to be looked for in the header.
async fn summarized(object: &mut Object, reading: &mut Reading<'_>, wanted: &Wanted) -> Result<(), Fail> {
    let summary = reading.summary.clone();
    head::tell(object, &(&*summary).into(), wanted);
    // ENVELOPE has From where there is no such field (RFC 9051 §7.5.2); here there is none.
    let fallback = |list: &[content_mail::Address], envelope: &Envelope| list == envelope.from;
    for (name, list, field) in
        [("sender", &summary.envelope.sender, "Sender"), ("replyTo", &summary.envelope.reply_to, "Reply-To")]
    {
        if wanted.has(name) {
            let known = !list.is_empty() && !fallback(list, &summary.envelope);
            let is_there = known || content_mail::headers::find(&reading.header().await?, field).is_some();
            let value = if is_there { addresses::plain(list) } else { Value::Null };
            object.insert(name.to_owned(), value);
        }
    }
    if wanted.has("headers") {
        object.insert("headers".to_owned(), header::all(&reading.header().await?));
    }
    for (name, property) in &wanted.headers {
        object.insert(name.clone(), header::property(&reading.header().await?, property));
    }
    Ok(())
}

/// Parts, and their texts.
async fn parts(
    object: &mut Object,
    naming: &Naming,
    reading: &mut Reading<'_>,
    wanted: &Wanted,
) -> Result<(), Fail> {
    let summary = reading.summary.clone();
    if !wanted.is_of_parts() {
        return Ok(());
    }
    let lists = body::lists(&summary.structure);
    if wanted.has("bodyStructure") {
        let root = Numbered::root(&summary.structure);
        object.insert("bodyStructure".to_owned(), part(naming, &root, reading, wanted, true).await?);
    }
    for (name, list) in
        [("textBody", &lists.text), ("htmlBody", &lists.html), ("attachments", &lists.attachments)]
    {
        if wanted.has(name) {
            let mut told = Vec::with_capacity(list.len());
            for numbered in list {
                told.push(part(naming, numbered, reading, wanted, false).await?);
            }
            object.insert(name.to_owned(), Value::Array(told));
        }
    }
    if wanted.has("bodyValues") {
        object.insert("bodyValues".to_owned(), values(&lists, reading, wanted).await?);
    }
    Ok(())
}

/// The texts that are fetched (RFC 8621 §4.2).
async fn values(lists: &Lists<'_>, reading: &mut Reading<'_>, wanted: &Wanted) -> Result<Value, Fail> {
    let mut texts: Vec<Numbered<'_>> = Vec::new();
    if wanted.text_values || wanted.all_values {
        texts.extend(lists.text.iter().cloned());
    }
    if wanted.html_values || wanted.all_values {
        texts.extend(lists.html.iter().cloned());
    }
    if wanted.all_values {
        texts.extend(lists.attachments.iter().cloned());
    }
    let mut values = Object::new();
    for numbered in texts.into_iter().filter(|one| one.part.content_type.kind == "text") {
        let Some(id) = numbered.id().filter(|id| !values.contains_key(id)) else { continue };
        let value = body_value(numbered.part, &reading.decoded(numbered.part).await?, wanted.max_value);
        let told = json!({
            "value": value.value,
            "isEncodingProblem": value.is_encoding_problem,
            "isTruncated": value.is_truncated,
        });
        values.insert(id, told);
    }
    Ok(Value::Object(values))
}

/// An `EmailBodyPart` (RFC 8621 §4.1.4), with those within if `whole`.
fn part<'a>(
    naming: &'a Naming,
    numbered: &'a Numbered<'a>,
    reading: &'a mut Reading<'_>,
    wanted: &'a Wanted,
    whole: bool,
) -> BoxFuture<'a, Result<Value, Fail>> {
    Box::pin(async move {
        let leaf = !numbered.is_multipart();
        let mut object = plain_part(naming, numbered, wanted);
        if wanted.has_of_part("size") {
            let size = if leaf { reading.size(numbered.part).await? } else { 0 };
            object.insert("size".to_owned(), size.into());
        }
        if wanted.has_of_part("headers") {
            let told = header::all(&reading.part_header(numbered.part).await?);
            object.insert("headers".to_owned(), told);
        }
        for (name, property) in &wanted.part_headers {
            let told = header::property(&reading.part_header(numbered.part).await?, property);
            object.insert(name.clone(), told);
        }
        if whole && !leaf {
            let mut within = Vec::new();
            for child in numbered.children() {
                within.push(part(naming, &child, reading, wanted, true).await?);
            }
            object.insert("subParts".to_owned(), Value::Array(within));
        }
        Ok(Value::Object(object))
    })
}

/// What is known of a part without reading it.
fn plain_part(naming: &Naming, numbered: &Numbered<'_>, wanted: &Wanted) -> Object {
    let (part, leaf) = (numbered.part, !numbered.is_multipart());
    let mut object = Object::new();
    let mut put = |name: &str, value: &dyn Fn() -> Value| {
        if wanted.has_of_part(name) {
            object.insert(name.to_owned(), value());
        }
    };
    let kind = &part.content_type;
    put("partId", &|| numbered.id().map_or(Value::Null, Value::from));
    put("blobId", &|| if leaf { naming.part(&numbered.path).into() } else { Value::Null });
    put("name", &|| part.filename().map_or(Value::Null, Value::from));
    put("type", &|| format!("{}/{}", kind.kind, kind.subtype).into());
    // RFC 8621 §4.1.4: of a text that does not say it, what RFC 2046 §4.1.2 has in its place.
    put("charset", &|| match part.charset() {
        Some(charset) => charset.into(),
        None if kind.kind == "text" => "us-ascii".into(),
        None => Value::Null,
    });
    put("disposition", &|| part.disposition.as_ref().map_or(Value::Null, |one| one.kind.as_str().into()));
    put("cid", &|| {
        let id = part.id.as_deref().map(header::cid);
        id.map_or(Value::Null, Value::from)
    });
    put("language", &|| {
        if part.language.is_empty() { Value::Null } else { Value::from(part.language.clone()) }
    });
    put("location", &|| part.location.as_deref().map_or(Value::Null, Value::from));
    object
}
