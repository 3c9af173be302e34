//! A message as it is read for an answer: its summary, and of its octets no more than is asked for, once.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use content_mail::decode::{charset, guess, knows_charset, transfer};
use content_mail::{Encoding, Part, Section, Summary};
use schema::{BlobHash, EmailId};

use crate::Services;
use crate::download::Source;
use crate::fail::Fail;
use crate::options::{HEADER, MESSAGE, PIECE};

/// A message that is being read.
pub(crate) struct Reading<'a> {
    services: &'a Services,
    source: Source,
    pub(crate) summary: Arc<Summary>,
    header: Option<Bytes>,
    whole: Option<Bytes>,
}

impl<'a> Reading<'a> {
    /// Of a blob that is a message.
    pub(crate) fn of(services: &'a Services, source: Source, summary: Arc<Summary>) -> Self {
        Reading { services, source, summary, header: None, whole: None }
    }

    /// The message's own header.
    pub(crate) async fn header(&mut self) -> Result<Bytes, Fail> {
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let header = self.read(0..self.summary.header_size.min(HEADER)).await?;
        Ok(self.header.insert(header).clone())
    }

    /// The header of a part.
    pub(crate) async fn part_header(&mut self, part: &Part) -> Result<Bytes, Fail> {
        if part.header.start == 0 {
            return self.header().await;
        }
        let end = part.header.end.min(part.header.start + HEADER);
        Ok(self.read(part.header.start..end).await?)
    }

    /// The body of a part, decoded.
    pub(crate) async fn decoded(&mut self, part: &Part) -> Result<Vec<u8>, Fail> {
        let whole = self.whole().await?;
        Ok(transfer(&part.encoding, slice(&whole, &part.body)).into_owned())
    }

    /// The whole message, as far as it is looked into.
    pub(super) async fn whole(&mut self) -> Result<Bytes, mail::Error> {
        if let Some(whole) = &self.whole {
            return Ok(whole.clone());
        }
        let whole = self.read(0..self.summary.size.min(MESSAGE)).await?;
        Ok(self.whole.insert(whole).clone())
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, mail::Error> {
        self.source.read(self.services, range).await
    }

    /// Octets of a part when it is decoded (RFC 8621 §4.1.4 `size`).
    pub(crate) async fn size(&mut self, part: &Part) -> Result<u64, Fail> {
        if part.encoding.is_identity() || matches!(part.encoding, Encoding::Other(_)) {
            return Ok(part.size());
        }
        Ok(self.decoded(part).await?.len() as u64)
    }
}

/// Octets of a body, in pieces that the store likes.
pub(crate) async fn read(
    store: &mail::Store,
    blob: BlobHash,
    range: Range<u64>,
) -> Result<Bytes, mail::Error> {
    if range.end - range.start <= PIECE {
        return store.body(blob, range).await;
    }
    let mut all = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or_default());
    let mut at = range.start;
    while at < range.end {
        let piece = store.body(blob, at..range.end.min(at + PIECE)).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        all.extend_from_slice(&piece);
    }
    Ok(all.into())
}

fn slice<'b>(whole: &'b [u8], range: &Range<u64>) -> &'b [u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(whole.len());
    whole.get(at(range.start)..at(range.end)).unwrap_or_default()
}

/// A text as RFC 8621 §4.1.4 has it (`EmailBodyValue`).
pub(crate) struct BodyValue {
    pub(crate) value: String,
    pub(crate) is_encoding_problem: bool,
    pub(crate) is_truncated: bool,
}

/// Where a text is to end so that no tag is cut: before a `<` without its `>`.
fn whole_tags(text: &str) -> usize {
    match (text.rfind('<'), text.rfind('>')) {
        (Some(open), close) if close.is_none_or(|close| close < open) => open,
        _ => text.len(),
    }
}

/// The text of a part from its decoded octets; at most `most` octets of it, 0 for all.
pub(crate) fn body_value(part: &Part, decoded: &[u8], most: usize) -> BodyValue {
    let label = part.charset();
    let text = label.map_or_else(|| guess(decoded), |label| charset(label, decoded));
    let is_encoding_problem = label.is_some_and(|label| !knows_charset(label))
        || matches!(part.encoding, Encoding::Other(_))
        || label.is_some_and(is_utf8) && std::str::from_utf8(decoded).is_err()
        || text.contains('\u{fffd}');
    let mut value = text.replace("\r\n", "\n").replace('\0', "");
    let is_truncated = most > 0 && value.len() > most;
    if is_truncated {
        let mut end = most;
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        // RFC 8621 §4.2: of HTML no tag is cut.
        if part.content_type.is("text", "html") {
            end = whole_tags(&value[..end]);
        }
        value.truncate(end);
    }
    BodyValue { value, is_encoding_problem, is_truncated }
}

/// Whether a charset is one whose octets are UTF-8 or wrong.
fn is_utf8(label: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(label))
}

/// The id of a blob that is an email, or a part of one.
pub(crate) fn blob_id(email: EmailId, path: Option<&[u32]>) -> String {
    let numbers: String = path.unwrap_or_default().iter().map(|number| format!("-{number}")).collect();
    format!("G{email}{numbers}")
}

/// What an id of a blob names: an email, and a part of it.
pub(crate) fn part_of(id: &str) -> Option<(EmailId, Option<Vec<u32>>)> {
    let mut pieces = id.strip_prefix('G')?.split('-');
    let email = pieces.next()?.parse().ok()?;
    let path: Vec<u32> = pieces.map(|number| number.parse().ok()).collect::<Option<_>>()?;
    Some((email, Some(path).filter(|path| !path.is_empty())))
}

/// The part of a message at a path: how it is encoded, and where it is.
pub(crate) fn part_at<'s>(summary: &'s Summary, path: &[u32]) -> Option<(&'s Part, Range<u64>)> {
    let range = summary.structure.find(path, Section::Body)?;
    Some((summary.structure.at(path)?, range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use content_mail::ContentType;

    #[test]
    fn ids_of_blobs() {
        let email = EmailId(1 << 40);
        for path in [None, Some(vec![1]), Some(vec![2, 1, 3])] {
            let id = blob_id(email, path.as_deref());
            assert!(jmap_proto::id::is_id(&id));
            assert_eq!(part_of(&id), Some((email, path)));
        }
        for bad in ["", "G", "M1", "GM1-", "GM1-x", "GT1"] {
            assert_eq!(part_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_are_cut_between_letters() {
        let mut part = Part { content_type: ContentType::new("text", "plain"), ..Part::default() };
        part.content_type.params.push(("charset".into(), "utf-8".into()));
        let cut = body_value(&part, "aä\r\nb".as_bytes(), 2);
        assert_eq!((cut.value.as_str(), cut.is_truncated, cut.is_encoding_problem), ("a", true, false));
        assert_eq!(body_value(&part, "aä\r\nb".as_bytes(), 0).value, "aä\nb");
        assert!(body_value(&part, b"\xff", 0).is_encoding_problem);
        part.content_type.params[0].1 = "x-unheard".into();
        assert!(body_value(&part, b"a", 0).is_encoding_problem);
    }
}
