//! `Blob/upload` (RFC 9404 §4.1): blobs that are in the call itself, or put together of others.

use std::collections::BTreeMap;

use accounts::Rights;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use jmap_proto::id::IdRef;
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use serde_json::{Value, json};

use super::{Allowance, SIZE, SOURCES};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::{download, upload as uploads};

pub(super) fn upload(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

/// What a blob, or a part of one, is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Data(Vec<u8>),
    /// Another blob, from an octet on, so many of it.
    Blob(IdRef, u64, Option<u64>),
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let id = arguments.id("accountId")?;
    let create = arguments.opt_object("create")?;
    let create = create.ok_or_else(|| MethodError::invalid("create", "blobs to be made are wanted"))?;
    arguments.end()?;
    let access = call.editor(&id)?;
    if create.len() > call.limits().objects_in_set {
        return Err(MethodError::RequestTooLarge.into());
    }
    let (mut created, mut refused) = (Object::new(), Object::new());
    let mut allowance = Allowance::new();
    for (creation, object) in in_order(create) {
        let name =
            Id::new(&creation).ok_or_else(|| MethodError::invalid("create", "blobs by creation id"))?;
        let made = if access.may_somewhere(Rights::INSERT) {
            make(call, &access, object, &mut allowance).await?
        } else {
            Err(SetError::forbidden())
        };
        match made {
            Ok((blob, told)) => {
                call.created.insert(name, blob);
                created.insert(creation, told);
            }
            Err(error) => {
                refused.insert(creation, error.to_value());
            }
        }
    }
    let or_null = |map: Object| if map.is_empty() { Value::Null } else { Value::Object(map) };
    let told = BTreeMap::from([
        ("accountId", Value::from(id.into_string())),
        ("created", or_null(created)),
        ("notCreated", or_null(refused)),
    ]);
    Ok(told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// One may be made of others of the same call, in whatever order they are given (RFC 8620 §5.3). What is made of itself is
/// told so when it is made. Each is looked at once, without recursion: a chain is as long as a call may be.
fn in_order(mut create: Object) -> Vec<(String, Value)> {
    let mut ordered = Vec::with_capacity(create.len());
    // With the object: what it is made of has had its turn.
    let mut steps: Vec<(String, Option<Value>)> =
        create.keys().rev().map(|name| (name.clone(), None)).collect();
    while let Some((name, object)) = steps.pop() {
        if let Some(object) = object {
            ordered.push((name, object));
        } else if let Some(object) = create.remove(&name) {
            let sources = made_of(&object);
            steps.push((name, Some(object)));
            steps.extend(sources.into_iter().rev().map(|source| (source, None)));
        }
    }
    ordered
}

/// Creation ids of what something is made of.
fn made_of(object: &Value) -> Vec<String> {
    let sources = object.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let blobs = sources.iter().filter_map(|source| source.get("blobId")?.as_str()?.strip_prefix('#'));
    blobs.map(str::to_owned).collect()
}

async fn make(
    call: &Call,
    access: &Access,
    object: Value,
    allowance: &mut Allowance,
) -> Result<Result<(Id, Value), SetError>, Fail> {
    let (sources, kind) = match read(object) {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let most = SIZE.min(call.server.options.core.size_upload);
    let mut whole = Vec::new();
    for source in sources {
        let data = match source {
            Source::Data(data) => data,
            Source::Blob(id, offset, length) => {
                match part(call, access, &id, (offset, length), most).await? {
                    Ok(data) => data,
                    Err(error) => return Ok(Err(error)),
                }
            }
        };
        if (whole.len() + data.len()) as u64 > most {
            return Ok(Err(SetError::too_large()));
        }
        allowance.take(data.len() as u64)?;
        whole.extend(data);
    }
    let size = whole.len();
    let staged = call.services().blobs.stage(whole.into()).await.map_err(mail::Error::from)?;
    Ok(match uploads::keep_staged(&call.server, access, staged).await {
        Ok(blob) => {
            let told = json!({"id": blob, "type": kind, "size": size});
            Ok((Id::of(blob), told))
        }
        Err(mail::Error::OverQuota) => Err(SetError::over_quota()),
        Err(error) => return Err(error.into()),
    })
}

/// Octets of another blob.
async fn part(
    call: &Call,
    access: &Access,
    id: &IdRef,
    (offset, length): (u64, Option<u64>),
    most: u64,
) -> Result<Result<Vec<u8>, SetError>, Fail> {
    let found = match call.created.resolve(id) {
        Some(id) => download::find(call.services(), access, id.as_str()).await?,
        None => None,
    };
    let Some(found) = found else {
        let error = SetError::new("blobNotFound").with("notFound", json!([id.to_string()]));
        return Ok(Err(error));
    };
    // RFC 9404 §4.1: what is not there cannot be taken.
    let end = length.map_or(Some(found.size), |length| offset.checked_add(length));
    let Some(end) = end.filter(|end| *end <= found.size && offset <= *end) else {
        return Ok(Err(SetError::invalid_properties(["data"]).describe("the blob is shorter")));
    };
    if end - offset > most {
        return Ok(Err(SetError::too_large()));
    }
    Ok(Ok(found.read(call.services(), offset..end).await?.to_vec()))
}

fn read(object: Value) -> Result<(Vec<Source>, Value), SetError> {
    let wrong = |name| SetError::invalid_properties([name]);
    let Value::Object(mut object) = object else { return Err(wrong("data")) };
    let kind = match object.remove("type").unwrap_or(Value::Null) {
        Value::Null => Value::Null,
        Value::String(kind) if kind.len() <= 255 => Value::String(kind),
        _ => return Err(wrong("type")),
    };
    let Some(Value::Array(data)) = object.remove("data") else { return Err(wrong("data")) };
    if let Some(name) = object.keys().next() {
        return Err(wrong(name));
    }
    if data.len() > SOURCES {
        return Err(SetError::too_large().describe("there are too many sources"));
    }
    let sources: Option<Vec<Source>> = data.into_iter().map(source).collect();
    Ok((sources.ok_or_else(|| wrong("data"))?, kind))
}

/// RFC 9404 §4.1: a `DataSourceObject`.
fn source(value: Value) -> Option<Source> {
    let Value::Object(mut members) = value else { return None };
    let data = |value: Option<Value>| value.filter(|value| !value.is_null());
    let (text, coded) = (data(members.remove("data:asText")), data(members.remove("data:asBase64")));
    let id = members.remove("blobId");
    let number = |value: Option<Value>| match value {
        None | Some(Value::Null) => Some(None),
        Some(value) => u64::try_from(jmap_proto::arguments::int(&value)?).ok().map(Some),
    };
    let (offset, length) = (number(members.remove("offset"))?, number(members.remove("length"))?);
    let source = match (text, coded, id) {
        (Some(Value::String(text)), None, None) => Source::Data(text.into_bytes()),
        (None, Some(Value::String(coded)), None) => Source::Data(STANDARD.decode(coded).ok()?),
        (None, None, Some(Value::String(id))) => {
            return members.is_empty().then_some(Source::Blob(IdRef::new(&id)?, offset.unwrap_or(0), length));
        }
        _ => return None,
    };
    (members.is_empty() && offset.is_none() && length.is_none()).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_others_comes_behind_them() {
        let of = |id: &str| json!({"data": [{"blobId": id}]});
        let create = json!({"a": of("#b"), "b": of("#c"), "c": of("U1"), "d": of("#d"), "e": of("#none")});
        let Value::Object(create) = create else { panic!() };
        let order: Vec<String> = in_order(create).into_iter().map(|(name, _)| name).collect();
        assert_eq!(order, ["c", "b", "a", "d", "e"]);
    }

    /// RFC 9404 §4.1.1
    #[test]
    fn sources() {
        let data = json!({"data": [
            {"data:asText": "How quick was "},
            {"blobId": "b4", "length": 14, "offset": 4},
            {"data:asBase64": "YQ=="}
        ], "type": "text/plain"});
        let (sources, kind) = read(data).unwrap();
        assert_eq!(sources[0], Source::Data(b"How quick was ".to_vec()));
        assert_eq!(sources[1], Source::Blob(IdRef::new("b4").unwrap(), 4, Some(14)));
        assert_eq!((&sources[2], kind), (&Source::Data(b"a".to_vec()), json!("text/plain")));
        for bad in [
            json!([]),
            json!({}),
            json!({"data": {}}),
            json!({"data": [], "type": 1}),
            json!({"data": [], "more": 1}),
            json!({"data": [{}]}),
            json!({"data": [{"data:asText": "a", "data:asBase64": "YQ=="}]}),
            json!({"data": [{"data:asBase64": "Y"}]}),
            json!({"data": [{"data:asText": null}]}),
            json!({"data": [{"data:asText": "a", "offset": 1}]}),
            json!({"data": [{"blobId": "b", "offset": -1}]}),
            json!({"data": [{"blobId": "b", "more": 1}]}),
        ] {
            assert_eq!(read(bad.clone()).unwrap_err().kind(), "invalidProperties", "{bad}");
        }
        let null = json!({"data": [{"data:asText": null, "data:asBase64": "YQ=="}]});
        assert_eq!(read(null).unwrap().0, [Source::Data(b"a".to_vec())]);
        let many = json!({"data": vec![json!({"data:asText": ""}); SOURCES + 1]});
        assert_eq!(read(many).unwrap_err().kind(), "tooLarge");
    }
}
