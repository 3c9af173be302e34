//! `Blob/get` (RFC 9404 §4.2): what blobs hold, in part or as a digest.

use aws_lc_rs::digest::{self, Algorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use jmap_proto::standard::Get;
use jmap_proto::{Arguments, MethodError, Object};
use serde_json::Value;

use super::Allowance;
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::download;
use crate::fail::Fail;

/// RFC 9404 §4.2, by the names of the registry of RFC 3230.
pub(super) const DIGESTS: [(&str, &Algorithm); 3] =
    [("sha", &digest::SHA1_FOR_LEGACY_USE_ONLY), ("sha-256", &digest::SHA256), ("sha-512", &digest::SHA512)];

/// What is told of a blob.
#[derive(Debug, Clone, Copy)]
enum Property {
    /// Text if it is text, else base64.
    Data,
    Text,
    Base64,
    Size,
    Digest(&'static str, &'static Algorithm),
}

fn property(name: &str) -> Option<Property> {
    Some(match name {
        "data" => Property::Data,
        "data:asText" => Property::Text,
        "data:asBase64" => Property::Base64,
        "size" => Property::Size,
        _ => {
            let wanted = name.strip_prefix("digest:")?;
            let (name, algorithm) = DIGESTS.into_iter().find(|(name, _)| *name == wanted)?;
            Property::Digest(name, algorithm)
        }
    })
}

pub(super) fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

/// Which octets are asked for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    offset: u64,
    length: Option<u64>,
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let get = Get::read(&mut arguments, &call.limits())?;
    let (offset, length) = (arguments.opt_uint("offset")?.unwrap_or(0), arguments.opt_uint("length")?);
    arguments.end()?;
    let names = get.properties.unwrap_or_else(|| vec!["data".to_owned(), "size".to_owned()]);
    // The id is told in any case.
    let properties: Option<Vec<Property>> =
        names.iter().filter(|name| *name != "id").map(|name| property(name)).collect();
    let properties =
        properties.ok_or_else(|| MethodError::invalid("properties", "a blob has no such property"))?;
    let access = call.viewer(&get.account)?;
    let ids = get.ids.ok_or_else(|| MethodError::invalid("ids", "ids of blobs are wanted"))?;
    let (mut list, mut missing) = (Vec::new(), Vec::new());
    let mut allowance = Allowance::new();
    for reference in ids {
        let id = call.created.resolve(&reference).map(jmap_proto::Id::into_string);
        let told = match &id {
            Some(id) => {
                one(call, &access, id, &properties, Wanted { offset, length }, &mut allowance).await?
            }
            None => None,
        };
        match told {
            Some(object) => list.push(Value::Object(object)),
            None => missing.push(Value::from(reference.to_string())),
        }
    }
    let mut answer = Object::new();
    answer.insert("accountId".to_owned(), get.account.into_string().into());
    answer.insert("list".to_owned(), Value::Array(list));
    answer.insert("notFound".to_owned(), Value::Array(missing));
    Ok(answer)
}

async fn one(
    call: &Call,
    access: &Access,
    id: &str,
    properties: &[Property],
    wanted: Wanted,
    allowance: &mut Allowance,
) -> Result<Option<Object>, Fail> {
    let Some(found) = download::find(call.services(), access, id).await? else { return Ok(None) };
    let begin = wanted.offset.min(found.size);
    let end = wanted.length.map_or(found.size, |length| wanted.offset.saturating_add(length));
    let range = begin..end.clamp(begin, found.size);
    let mut object = Object::new();
    object.insert("id".to_owned(), id.into());
    if properties.iter().any(|property| !matches!(property, Property::Size)) {
        allowance.take(range.end - range.start)?;
        let data = found.read(call.services(), range).await?;
        properties.iter().for_each(|property| tell(&mut object, *property, &data));
    }
    if properties.iter().any(|property| matches!(property, Property::Size)) {
        object.insert("size".to_owned(), found.size.into());
    }
    // RFC 9404 §4.2: more was asked for than there is.
    if end > found.size || wanted.offset > found.size {
        object.insert("isTruncated".to_owned(), true.into());
    }
    Ok(Some(object))
}

fn tell(object: &mut Object, property: Property, data: &[u8]) {
    let text = || std::str::from_utf8(data).ok();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    match property {
        Property::Size => {}
        Property::Base64 => {
            put("data:asBase64", STANDARD.encode(data).into());
        }
        Property::Text | Property::Data => match (text(), property) {
            (Some(text), _) => {
                put("data:asText", text.into());
            }
            (None, Property::Data) => {
                put("data:asBase64", STANDARD.encode(data).into());
                put("isEncodingProblem", true.into());
            }
            (None, _) => {
                put("data:asText", Value::Null);
                put("isEncodingProblem", true.into());
            }
        },
        Property::Digest(name, algorithm) => {
            let digest = digest::digest(algorithm, data);
            put(&format!("digest:{name}"), STANDARD.encode(digest.as_ref()).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(names: &[&str], data: &[u8]) -> Value {
        let mut object = Object::new();
        names.iter().for_each(|name| tell(&mut object, property(name).unwrap(), data));
        Value::Object(object)
    }

    /// RFC 9404 §4.2.1, §4.2.2
    #[test]
    fn the_rfcs_examples() {
        let data = b"The quick brown fox jumped over the lazy dog.";
        assert_eq!(
            told(&["data:asText", "digest:sha"], data),
            json!({"data:asText": "The quick brown fox jumped over the lazy dog.",
                "digest:sha": "wIVPufsDxBzOOALLDSIFKebu+U4="})
        );
        let problem = json!({"data:asBase64": "/w==", "isEncodingProblem": true});
        assert_eq!(told(&["data"], b"\xff"), problem);
        assert_eq!(told(&["data:asText"], b"\xff"), json!({"data:asText": null, "isEncodingProblem": true}));
        assert_eq!(told(&["data:asBase64"], b""), json!({"data:asBase64": ""}));
        assert!(property("digest:md5").is_none() && property("digest").is_none());
    }
}
