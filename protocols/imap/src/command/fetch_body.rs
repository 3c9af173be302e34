//! Pieces of messages that FETCH streams: BODY[…], RFC822, BINARY[…].

use std::num::NonZeroU32;
use std::ops::Range;

use bytes::Bytes;
use content_mail::{Summary, decode, headers};
use imap_proto::command::{FetchItem, Partial, Section};
use imap_proto::render::Code;
use mail::MessageRow;

use crate::command::fetch::writer;
use crate::options::{HEADER, PIECE};
use crate::reply::{Reply, Stop};
use crate::section::{self, Piece};
use crate::session::Session;

/// Bytes of an encoded part that BINARY decodes.
const DECODED: u64 = 64 << 20;

/// Whether the item's value is written piece by piece.
pub(crate) fn is_streamed(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::BodySection { .. }
            | FetchItem::Rfc822
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Binary { .. }
            | FetchItem::BinarySize { .. }
    )
}

/// Whether the item needs the stored summary.
pub(crate) fn needs_summary(item: &FetchItem) -> bool {
    match item {
        FetchItem::BodySection { section, .. } => section::needs_summary(section),
        FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Preview { .. }
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize { .. } => true,
        _ => false,
    }
}

/// Writes one item.
pub(crate) async fn stream(
    session: &mut Session,
    seq: u32,
    begun: &mut bool,
    item: &FetchItem,
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<(), Stop> {
    match item {
        FetchItem::BodySection { section, partial, .. } => {
            body_section(session, seq, begun, section, *partial, row, summary).await
        }
        FetchItem::Rfc822 => rfc822(session, seq, begun, "RFC822", row, 0..row.size).await,
        FetchItem::Rfc822Header => {
            let range = 0..summary.map_or(0, |s| s.header_size);
            rfc822(session, seq, begun, "RFC822.HEADER", row, range).await
        }
        FetchItem::Rfc822Text => {
            let range = summary.map_or(0, |s| s.header_size)..row.size;
            rfc822(session, seq, begun, "RFC822.TEXT", row, range).await
        }
        FetchItem::Binary { part, partial, .. } => {
            binary(session, seq, begun, part, *partial, row, summary).await
        }
        FetchItem::BinarySize { part } => {
            let size = decoded(session, part, row, summary).await?.map_or(0, |bytes| bytes.len() as u64);
            writer(session, seq, begun).binary_size(part, size);
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn body_section(
    session: &mut Session,
    seq: u32,
    begun: &mut bool,
    section: &Section,
    partial: Option<Partial>,
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<(), Stop> {
    match section::find(section, row.size, summary) {
        Piece::Missing => {
            writer(session, seq, begun).no_section(section, partial);
            Ok(())
        }
        Piece::Range(range) => {
            let range = section::clip(range, partial);
            writer(session, seq, begun).section(section, partial, range.end - range.start);
            body(session, row, range).await
        }
        Piece::Fields { header, not } => {
            let end = header.end.min(header.start + HEADER);
            let bytes = session.services().mail.body(row.blob, header.start..end).await?;
            let chosen = headers::select(&bytes, section::field_names(section), not);
            let range = section::clip(0..chosen.len() as u64, partial);
            let chosen = slice(&chosen, &range);
            writer(session, seq, begun).section(section, partial, chosen.len() as u64);
            session.connection.write(chosen).await?;
            Ok(())
        }
    }
}

async fn rfc822(
    session: &mut Session,
    seq: u32,
    begun: &mut bool,
    name: &str,
    row: &MessageRow,
    range: Range<u64>,
) -> Result<(), Stop> {
    writer(session, seq, begun).rfc822(name, range.end.saturating_sub(range.start));
    body(session, row, range).await
}

/// Streams bytes of a body whose length was announced. What cannot be read then ends the connection: the client waits
/// for bytes that will not come.
async fn body(session: &mut Session, row: &MessageRow, range: Range<u64>) -> Result<(), Stop> {
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + PIECE);
        let bytes = session.services().mail.body(row.blob, at..end).await.map_err(|error| {
            tracing::warn!(%error, "body cannot be read in the middle of a literal");
            Stop::Broken(std::io::Error::other("body cannot be read"))
        })?;
        if bytes.is_empty() {
            return Err(Stop::Broken(std::io::Error::other("body is shorter than its row says")));
        }
        at += bytes.len() as u64;
        session.connection.write(&bytes).await?;
    }
    Ok(())
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
}

async fn binary(
    session: &mut Session,
    seq: u32,
    begun: &mut bool,
    part: &[NonZeroU32],
    partial: Option<Partial>,
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<(), Stop> {
    let Some(bytes) = decoded(session, part, row, summary).await? else {
        writer(session, seq, begun).no_binary(part, partial);
        return Ok(());
    };
    let range = section::clip(0..bytes.len() as u64, partial);
    let bytes = slice(&bytes, &range);
    writer(session, seq, begun).binary(part, partial, bytes.len() as u64, bytes.contains(&0));
    session.connection.write(bytes).await?;
    Ok(())
}

/// A part without its transfer encoding (RFC 3516 §4.3: an encoding nobody knows is refused).
async fn decoded(
    session: &Session,
    part: &[NonZeroU32],
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<Option<Bytes>, Stop> {
    let Some(summary) = summary else { return Ok(None) };
    let Some((range, encoding)) = section::encoded(part, row.size, summary) else { return Ok(None) };
    if matches!(encoding, content_mail::Encoding::Other(_)) {
        return Err(Reply::no("this transfer encoding is not known").with(Code::UnknownCte).into());
    }
    if range.end - range.start > DECODED {
        return Err(Reply::no("the part is too large to be decoded").with(Code::Limit).into());
    }
    let bytes = session.services().mail.body(row.blob, range).await?;
    Ok(Some(decode::transfer(&encoding, &bytes).into_owned().into()))
}
