//! `Email/parse` (RFC 8621 §4.9): messages that are not emails here, such as an attached one; and their parts.

use std::sync::Arc;

use content_mail::{Limits, Summarizer, Summary};
use futures::future::BoxFuture;
use jmap_proto::{Arguments, Id, MethodError, Object};
use serde_json::Value;

use super::get::{self, Naming};
use super::reading::{Reading, part_at};
use super::smime;
use super::wanted::{CONTENT, Wanted};
use crate::Services;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::download::{self, Source};
use crate::fail::Fail;
use crate::options::PIECE;

pub(crate) fn parse(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let account_id = arguments.id("accountId")?;
    let blobs = blob_ids(call, &mut arguments)?;
    let properties = arguments.opt_texts("properties")?;
    let properties = properties.unwrap_or_else(|| CONTENT.map(str::to_owned).to_vec());
    let wanted = Wanted::read(call, &mut arguments, Some(properties))?;
    arguments.end()?;
    let access = call.viewer(&account_id)?;
    let (mut parsed, mut not_parsable, mut not_found) = (Object::new(), Vec::new(), Vec::new());
    for given in blobs {
        let Some((id, source)) = find(call, &access, &given).await? else {
            not_found.push(Value::from(given));
            continue;
        };
        let size = source.size;
        let summary = summarize(call.services(), &source).await?;
        if summary.headers.is_empty() {
            not_parsable.push(Value::from(given));
            continue;
        }
        let mut reading = Reading::of(call.services(), source, Arc::new(summary));
        let mut object = get::described(&mut reading, &Naming::Blob(id.clone()), &wanted).await?;
        smime::tell(&mut object, call, &mut reading, &wanted, None).await?;
        metadata(&mut object, &wanted, &id, size);
        parsed.insert(given, Value::Object(object));
    }
    Ok(answer(account_id, parsed, not_parsable, not_found))
}

/// What `/parse` methods answer (RFC 8621 §4.9, RFC 9007 §2.2): null where a list or map would be empty.
pub(crate) fn answer(account: Id, parsed: Object, not_parsable: Vec<Value>, not_found: Vec<Value>) -> Object {
    let some = |list: Vec<Value>| if list.is_empty() { Value::Null } else { Value::Array(list) };
    let mut answer = Object::new();
    answer.insert("accountId".to_owned(), account.into_string().into());
    answer.insert("parsed".to_owned(), if parsed.is_empty() { Value::Null } else { Value::Object(parsed) });
    answer.insert("notParsable".to_owned(), some(not_parsable));
    answer.insert("notFound".to_owned(), some(not_found));
    answer
}

/// `blobIds`, each once: no more than may be asked for at once.
pub(crate) fn blob_ids(call: &Call, arguments: &mut Arguments) -> Result<Vec<String>, MethodError> {
    let ids = arguments.opt_texts("blobIds")?;
    let mut ids = ids.ok_or_else(|| MethodError::invalid("blobIds", "a list of ids is wanted"))?;
    if ids.len() > call.limits().objects_in_get {
        return Err(MethodError::RequestTooLarge);
    }
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

/// A blob by its id, or by a creation id, and what it is called.
pub(crate) async fn find(
    call: &Call,
    access: &Access,
    given: &str,
) -> Result<Option<(String, Source)>, Fail> {
    let Some(id) = call.created.resolve_text(given) else { return Ok(None) };
    let found = download::find(call.services(), access, id.as_str()).await?;
    Ok(found.map(|source| (id.into_string(), source)))
}

/// RFC 8621 §4.9: what an email has that is kept here, this has not.
fn metadata(object: &mut Object, wanted: &Wanted, blob: &str, size: u64) {
    let mut put = |name: &str, value: Value| {
        if wanted.has(name) {
            object.insert(name.to_owned(), value);
        }
    };
    for name in ["id", "threadId", "mailboxIds", "keywords", "receivedAt"] {
        put(name, Value::Null);
    }
    put("blobId", blob.into());
    put("size", size.into());
}

/// Reads a blob as a message.
pub(crate) async fn summarize(services: &Services, source: &Source) -> Result<Summary, Fail> {
    let (mut summarizer, mut at) = (Summarizer::new(Limits::default()), 0);
    while at < source.size {
        let piece = source.read(services, at..source.size.min(at + PIECE)).await?;
        if piece.is_empty() {
            break;
        }
        summarizer.push(&piece);
        at += piece.len() as u64;
    }
    Ok(summarizer.finish())
}

/// The id of a part of a blob that is a message.
pub(super) fn part_id(blob: &str, path: &[u32]) -> String {
    let numbers: Vec<String> = path.iter().map(u32::to_string).collect();
    format!("P{}_{blob}", numbers.join("-"))
}

/// What such an id names: the blob, and the part of it.
fn part_of(id: &str) -> Option<(&str, Vec<u32>)> {
    let (numbers, blob) = id.strip_prefix('P')?.split_once('_')?;
    let path: Option<Vec<u32>> = numbers.split('-').map(|number| number.parse().ok()).collect();
    // A message within a message within a message is a part of the first, so that none needs two such steps.
    path.filter(|_| !blob.starts_with('P')).map(|path| (blob, path))
}

/// The blob of which such an id names a part.
pub(crate) fn part_blob(id: &str) -> Option<&str> {
    part_of(id).map(|(blob, _)| blob)
}

/// The part of a blob that such an id names; none if it is no such id, or there is none.
pub(crate) async fn part_source(
    services: &Services,
    access: &Access,
    id: &str,
) -> Result<Option<Source>, Fail> {
    let Some((blob, path)) = part_of(id) else { return Ok(None) };
    let Some(source) = Box::pin(download::find(services, access, blob)).await? else { return Ok(None) };
    let summary = summarize(services, &source).await?;
    let Some((part, range)) = part_at(&summary, &path) else { return Ok(None) };
    Ok(Some(source.part(services, &part.encoding, range).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_parts() {
        let id = part_id("GM1-2", &[1, 3]);
        assert!(jmap_proto::id::is_id(&id));
        assert_eq!(part_of(&id), Some(("GM1-2", vec![1, 3])));
        for bad in ["P_GM1", "P1GM1", "Px_GM1", "GM1", "P1_P1_GM1"] {
            assert_eq!(part_of(bad), None, "{bad}");
        }
    }
}
