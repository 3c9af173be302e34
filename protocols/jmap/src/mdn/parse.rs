//! `MDN/parse` (RFC 9007 §2.2).

use std::sync::Arc;

use content_mail::build::Mdn;
use content_mail::{Content, Part, decode};
use futures::future::BoxFuture;
use jmap_proto::{Arguments, Id, Object};
use serde_json::{Value, json};

use super::{account, told};
use crate::call::{Answer, Call};
use crate::email::{Reading, blob_ids, body_value, find, parse_answer, query_emails, summarize};
use crate::fail::Fail;

/// Octets of the text that is told.
const TEXT: usize = 256 << 10;
/// Octets of the fields that are read.
const FIELDS: u64 = 64 << 10;
/// Emails that are looked for by a call: each is a search.
const LOOKUPS: usize = 10;

pub(super) fn parse(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let account_id = arguments.id("accountId")?;
    let blobs = blob_ids(call, &mut arguments)?;
    arguments.end()?;
    let access = account(call.reader(&account_id))?;
    let (mut parsed, mut not_parsable, mut not_found) = (Object::new(), Vec::new(), Vec::new());
    for given in blobs {
        let Some((_, source)) = find(call, &access, &given).await? else {
            not_found.push(Value::from(given));
            continue;
        };
        let summary = summarize(call.services(), &source).await?;
        let mut reading = Reading::of(call.services(), source, Arc::new(summary));
        let Some((mdn, mut object)) = read(&mut reading).await? else {
            not_parsable.push(Value::from(given));
            continue;
        };
        let email = match mdn.original_message_id.as_deref() {
            Some(id) if parsed.len() < LOOKUPS => original(call, &account_id, id).await,
            _ => Value::Null,
        };
        object.insert("forEmailId".to_owned(), email);
        parsed.insert(given, Value::Object(object));
    }
    Ok(parse_answer(account_id, parsed, not_parsable, not_found))
}

/// A message that is a notification (RFC 8098 §3), and as it is told.
async fn read(reading: &mut Reading<'_>) -> Result<Option<(Mdn, Object)>, Fail> {
    let summary = Arc::clone(&reading.summary);
    let root = &summary.structure;
    let kind = root.content_type.param("report-type").unwrap_or_default().to_ascii_lowercase();
    let Content::Multipart(parts) = &root.content else { return Ok(None) };
    if !root.content_type.is("multipart", "report") || kind != "disposition-notification" {
        return Ok(None);
    }
    let [text, fields, rest @ ..] = parts.as_slice() else { return Ok(None) };
    // RFC 6533 §5: the same with UTF-8 in it.
    let kinds = ["disposition-notification", "global-disposition-notification"];
    let fits = kinds.iter().any(|kind| fields.content_type.is("message", kind));
    if !fits || fields.size() > FIELDS {
        return Ok(None);
    }
    let Some(mdn) = Mdn::parse(&reading.decoded(fields).await?) else { return Ok(None) };
    let text = match plain(text) {
        None => None,
        Some(part) => Some(body_value(part, &reading.decoded(part).await?, TEXT).value),
    };
    let subject = summary.envelope.subject.as_deref().map(decode::words);
    let Value::Object(mut object) = told(&mdn) else { return Ok(None) };
    object.insert("subject".to_owned(), json!(subject));
    object.insert("textBody".to_owned(), json!(text));
    object.insert("includeOriginalMessage".to_owned(), (!rest.is_empty()).into());
    Ok(Some((mdn, object)))
}

/// The first plain text of a part.
fn plain(part: &Part) -> Option<&Part> {
    match &part.content {
        Content::Multipart(parts) => parts.iter().find_map(plain),
        Content::Leaf => part.content_type.is("text", "plain").then_some(part),
        Content::Message(_) => None,
    }
}

/// The email that it is about: null if it is not here, or cannot be found at little cost.
async fn original(call: &Call, account: &Id, message_id: &str) -> Value {
    let id = message_id.trim().trim_start_matches('<').trim_end_matches('>');
    let asked = json!({"accountId": account.as_str(), "filter": {"header": ["Message-ID", id]}, "limit": 1});
    let Value::Object(asked) = asked else { return Value::Null };
    let found = if id.is_empty() { None } else { Box::pin(query_emails(call, asked)).await.ok() };
    found.and_then(|found| found.get("ids")?.get(0).cloned()).unwrap_or_default()
}
