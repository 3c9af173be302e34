//! Blobs (RFC 8620 §6.2): what was uploaded, messages, and parts of them, whole or in part.

use std::ops::Range;
use std::sync::Arc;

use accounts::{Identity, Rights};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use blob::BlobOwner;
use bytes::Bytes;
use content_mail::Encoding;
use content_mail::decode::transfer;
use futures::StreamExt;
use schema::{AccountId, BlobHash};
use serde_json::json;

use crate::access::{self, Access};
use crate::email::{part_at, part_blob, part_of, part_source, read};
use crate::fail::Fail;
use crate::options::MESSAGE;
use crate::upload::upload_of;
use crate::{Server, Services};

/// A blob that was found.
pub(crate) struct Source {
    /// Octets.
    pub(crate) size: u64,
    from: From,
}

enum From {
    /// A body, or a stretch of one.
    Body(BlobHash, u64),
    /// A part that had to be decoded.
    Decoded(Bytes),
}

impl Source {
    /// All of a body.
    pub(crate) fn stored(hash: BlobHash, size: u64) -> Self {
        Source { size, from: From::Body(hash, 0) }
    }

    /// A part of it, decoded.
    pub(crate) async fn part(
        self,
        services: &Services,
        encoding: &Encoding,
        range: Range<u64>,
    ) -> Result<Self, Fail> {
        if let (true, From::Body(hash, start)) = (encoding.is_identity(), &self.from) {
            return Ok(Source {
                size: range.end - range.start,
                from: From::Body(*hash, start + range.start),
            });
        }
        let end = range.end.min(range.start + MESSAGE);
        let encoded = self.read(services, range.start..end).await?;
        let decoded = Bytes::from(transfer(encoding, &encoded).into_owned());
        Ok(Source { size: decoded.len() as u64, from: From::Decoded(decoded) })
    }

    /// Some of its octets.
    pub(crate) async fn read(&self, services: &Services, range: Range<u64>) -> Result<Bytes, mail::Error> {
        match &self.from {
            From::Body(hash, start) => {
                read(&services.mail, *hash, start + range.start..start + range.end).await
            }
            From::Decoded(bytes) => Ok(slice(bytes, range)),
        }
    }

    /// As a body that is read as it is sent.
    fn body(self, services: &Services, range: Range<u64>) -> Body {
        match self.from {
            From::Body(hash, start) => {
                let stream = services.blobs.stream(hash, start + range.start..start + range.end);
                Body::from_stream(stream.boxed())
            }
            From::Decoded(bytes) => Body::from(slice(&bytes, range)),
        }
    }
}

/// What is there of a range.
fn slice(bytes: &Bytes, range: Range<u64>) -> Bytes {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

/// Whether an id has the form of ids of blobs.
pub(crate) fn is_blob_id(id: &str) -> bool {
    upload_of(id).is_some() || part_of(id).is_some() || part_blob(id).is_some_and(is_blob_id)
}

/// The blob of an id in an account; none if there is none.
pub(crate) async fn find(services: &Services, access: &Access, id: &str) -> Result<Option<Source>, Fail> {
    let account = access.account;
    if let Some((expires, hash)) = upload_of(id) {
        // RFC 8620 §6.1: what nothing uses yet only the uploader sees, whoever else sees the account.
        let owner = BlobOwner::Upload { account: access.user, expires };
        if !services.blobs.holds(hash, owner).await.map_err(mail::Error::from)? {
            return Ok(None);
        }
        let size = services.blobs.size(hash).await.map_err(mail::Error::from)?;
        return Ok(Some(Source { size, from: From::Body(hash, 0) }));
    }
    let Some((email, path)) = part_of(id) else { return part_source(services, access, id).await };
    let Some(email) = services.email(access, email).await? else { return Ok(None) };
    let Some(path) = path else {
        return Ok(Some(Source { size: email.size, from: From::Body(email.blob, 0) }));
    };
    let summary = match services.mail.summary(account, email.id).await {
        Err(mail::Error::NotFound) => return Ok(None),
        summary => summary?,
    };
    let Some((part, range)) = part_at(&summary, &path) else { return Ok(None) };
    let source = Source::stored(email.blob, email.size).part(services, &part.encoding, range).await?;
    Ok(Some(source))
}

/// What is asked for besides the path.
#[derive(Debug)]
pub(crate) struct Accept(Option<String>);

impl<'de> serde::Deserialize<'de> for Accept {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Accept(all.remove("accept")))
    }
}

pub(crate) async fn download(
    State(server): State<Arc<Server>>,
    Extension(identity): Extension<Identity>,
    Path((account, blob, name)): Path<(String, String, String)>,
    Query(accept): Query<Accept>,
    headers: HeaderMap,
) -> Response {
    let account: Option<AccountId> = account.parse().ok();
    let access = account.and_then(|account| access::of(&identity, account));
    let Some(access) = access.filter(|access| access.may_somewhere(Rights::READ)) else { return missing() };
    match find(&server.services, &access, &blob).await {
        Ok(Some(source)) => send(&server, source, &blob, &name, accept.0.as_deref(), &headers),
        Ok(None) => missing(),
        Err(fail) => {
            let error: jmap_proto::MethodError = fail.into();
            problem(StatusCode::SERVICE_UNAVAILABLE, error.name())
        }
    }
}

fn missing() -> Response {
    problem(StatusCode::NOT_FOUND, "there is no such blob")
}

/// RFC 8620 §6.1, §6.2: what went wrong, as a problem of RFC 9457.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status.as_u16(), "detail": detail}).to_string();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

fn send(
    server: &Server,
    source: Source,
    id: &str,
    name: &str,
    accept: Option<&str>,
    headers: &HeaderMap,
) -> Response {
    let (size, tag) = (source.size, format!("\"{id}\""));
    let known = |name| headers.get(name).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut fields = HeaderMap::new();
    let mut put =
        |name, value: &str| HeaderValue::from_str(value).map(|value| fields.insert(name, value)).ok();
    // What a blob is, it stays; whoever may see it keeps it.
    put(header::CACHE_CONTROL, "private, immutable, max-age=31536000");
    put(header::ETAG, &tag);
    put(header::ACCEPT_RANGES, "bytes");
    // RFC 8620 §6.2: the type that is asked for; never one that a browser would run here.
    put(
        header::CONTENT_TYPE,
        accept.filter(|kind| is_media_type(kind)).unwrap_or("application/octet-stream"),
    );
    put(header::CONTENT_DISPOSITION, &disposition(name));
    if known(header::IF_NONE_MATCH) {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    // RFC 9110 §13.1.5: a range of what the client has the beginning of.
    let same = !headers.contains_key(header::IF_RANGE) || known(header::IF_RANGE);
    let (status, range) = match wanted.filter(|_| same).and_then(|text| range(text, size)) {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            fields.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&told).unwrap_or(HeaderValue::from_static("")),
            );
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Some(None) => {
            let told = format!("bytes */{size}");
            fields.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&told).unwrap_or(HeaderValue::from_static("")),
            );
            return (StatusCode::RANGE_NOT_SATISFIABLE, fields).into_response();
        }
    };
    fields.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    (status, fields, source.body(&server.services, range)).into_response()
}

/// RFC 9110 §14.1.2, one range. None for what is passed over; none within for what is not there.
#[allow(clippy::option_option, reason = "the field is passed over, or answered with 416")]
fn range(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let suffix: u64 = last.parse().ok()?;
        let begin = size.saturating_sub(suffix);
        return Some((begin < size).then_some(begin..size));
    }
    let begin: u64 = first.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.checked_add(1)?.min(size) };
    if !last.is_empty() && last.parse::<u64>().ok()? < begin {
        return None;
    }
    Some((begin < end).then_some(begin..end))
}

/// RFC 6838 §4.2, with parameters that cannot break out of a field.
fn is_media_type(text: &str) -> bool {
    let kind = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let fits = kind.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    fits && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// RFC 6266: always something to be saved, under its name in both forms.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' })
        .take(200)
        .collect();
    let coded: String = name
        .bytes()
        .take(600)
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{coded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range("bytes=0-3", 10), Some(Some(0..4)));
        assert_eq!(range("bytes=5-", 10), Some(Some(5..10)));
        assert_eq!(range("bytes=-3", 10), Some(Some(7..10)));
        assert_eq!(range("bytes=-30", 10), Some(Some(0..10)));
        assert_eq!(range("bytes=8-99", 10), Some(Some(8..10)));
        assert_eq!(range("bytes=10-", 10), Some(None));
        for passed in ["bytes=a-", "bytes=5-2", "lines=1-2", "bytes=1-2,4-5", "bytes=-"] {
            assert_eq!(range(passed, 10), None, "{passed}");
        }
    }

    #[test]
    fn names_and_types_cannot_break_out() {
        assert_eq!(
            disposition("a\"b\r\nä"),
            "attachment; filename=\"a_b___\"; filename*=UTF-8''a%22b%0D%0A%C3%A4"
        );
        assert!(is_media_type("text/plain; charset=utf-8") && is_media_type("image/svg+xml"));
        for bad in ["", "text", "text/", "text/a b", "text/plain\r\nX: y", "text/ä"] {
            assert!(!is_media_type(bad), "{bad}");
        }
    }
}
