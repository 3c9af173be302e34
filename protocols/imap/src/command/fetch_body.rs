//! Pieces of messages that FETCH streams: BODY[…], RFC822, BINARY[…].

use std::num::NonZeroU32;
use std::ops::Range;

use bytes::Bytes;
use content_mail::decode::Decoder;
use content_mail::{Encoding, Summary, headers};
use imap_proto::command::{FetchItem, Partial, Section};
use imap_proto::render::Code;
use mail::MessageRow;
use schema::BlobHash;

use crate::command::fetch::writer;
use crate::options::{HEADER, PIECE};
use crate::reply::{Reply, Stop};
use crate::section::{self, Piece};
use crate::session::Session;

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

/// A beginning of a body that was read before the answer was begun.
pub(crate) struct Ahead {
    blob: BlobHash,
    range: Range<u64>,
    bytes: Bytes,
}

/// Reads the beginning of what a message is asked for, while it can still be said that it cannot be read: an answer
/// that was begun can only be broken off.
pub(crate) async fn look_ahead(
    session: &mut Session,
    items: &[FetchItem],
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<(), Stop> {
    session.ahead = None;
    let first = items.iter().find_map(|item| first_piece(item, row, summary));
    let Some(range) = first.filter(|range| !range.is_empty()) else { return Ok(()) };
    let bytes = session.services().mail.body(row.blob, range.clone()).await?;
    session.ahead = Some(Box::new(Ahead { blob: row.blob, range, bytes }));
    Ok(())
}

/// What is read first of a body for an item.
fn first_piece(item: &FetchItem, row: &MessageRow, summary: Option<&Summary>) -> Option<Range<u64>> {
    let header = summary.map_or(0, |summary| summary.header_size);
    let whole = match item {
        FetchItem::BodySection { section, partial, .. } => match section::find(section, row.size, summary) {
            Piece::Missing => return None,
            Piece::Fields { header, .. } => return Some(header.start..header.end.min(header.start + HEADER)),
            Piece::Range(range) => section::clip(range, *partial),
        },
        FetchItem::Rfc822 => 0..row.size,
        FetchItem::Rfc822Header => 0..header,
        FetchItem::Rfc822Text => header..row.size,
        FetchItem::Binary { part, .. } | FetchItem::BinarySize { part } => {
            section::encoded(part, row.size, summary?)?.0
        }
        _ => return None,
    };
    Some(whole.start..whole.end.min(whole.start + PIECE))
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
            let size = match summary.and_then(|summary| section::encoded(part, row.size, summary)) {
                Some((range, encoding)) => measure(session, row, range, &encoding).await?.0,
                None => 0,
            };
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
            let bytes = piece(session, row, header.start..end).await?;
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
        let bytes = piece(session, row, at..end).await?;
        session.connection.write(&bytes).await?;
        at = end;
    }
    Ok(())
}

/// Bytes of a body, after the response was begun: what cannot be read then ends the connection.
async fn piece(session: &mut Session, row: &MessageRow, range: Range<u64>) -> Result<Bytes, Stop> {
    if let Some(ahead) = session.ahead.take_if(|ahead| ahead.blob == row.blob && ahead.range == range) {
        return Ok(ahead.bytes);
    }
    let wanted = range.end - range.start;
    let bytes = session.services().mail.body(row.blob, range).await.map_err(|error| {
        tracing::warn!(%error, "body cannot be read in the middle of a response");
        Stop::Broken(std::io::Error::other("body cannot be read"))
    })?;
    if bytes.len() as u64 == wanted {
        return Ok(bytes);
    }
    tracing::error!(blob = %row.blob, "body is shorter than its row says");
    Err(Stop::Broken(std::io::Error::other("body is shorter than its row says")))
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
}

/// `BINARY[…]`: decoded twice, for its size and to be sent, instead of being held (RFC 3516 §4.2).
async fn binary(
    session: &mut Session,
    seq: u32,
    begun: &mut bool,
    part: &[NonZeroU32],
    partial: Option<Partial>,
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<(), Stop> {
    let Some((range, encoding)) = summary.and_then(|summary| section::encoded(part, row.size, summary))
    else {
        writer(session, seq, begun).no_binary(part, partial);
        return Ok(());
    };
    let (size, nul) = measure(session, row, range.clone(), &encoding).await?;
    let wanted = section::clip(0..size, partial);
    writer(session, seq, begun).binary(part, partial, wanted.end - wanted.start, nul);
    let Some(mut decoding) = Decoding::new(&encoding, range) else { return Ok(()) };
    let (mut at, mut bytes) = (0, Vec::new());
    while decoding.next(session, row, &mut bytes).await? {
        let end = at + bytes.len() as u64;
        let (from, to) = (wanted.start.clamp(at, end), wanted.end.clamp(at, end));
        session.connection.write(slice(&bytes, &(from - at..to - at))).await?;
        at = end;
    }
    Ok(())
}

/// The size of a part without its transfer encoding, and whether there is NUL in it.
async fn measure(
    session: &mut Session,
    row: &MessageRow,
    range: Range<u64>,
    encoding: &Encoding,
) -> Result<(u64, bool), Stop> {
    let (mut size, mut nul, mut bytes) = (0, false, Vec::new());
    let Some(mut decoding) = Decoding::new(encoding, range) else { return Ok((0, false)) };
    while decoding.next(session, row, &mut bytes).await? {
        size += bytes.len() as u64;
        nul |= memchr::memchr(0, &bytes).is_some();
    }
    Ok((size, nul))
}

/// A part being decoded piece by piece.
struct Decoding {
    decoder: Decoder,
    range: Range<u64>,
    done: bool,
}

impl Decoding {
    fn new(encoding: &Encoding, range: Range<u64>) -> Option<Self> {
        Some(Decoding { decoder: Decoder::new(encoding)?, range, done: false })
    }

    /// The next piece into `out`; false at the end.
    async fn next(
        &mut self,
        session: &mut Session,
        row: &MessageRow,
        out: &mut Vec<u8>,
    ) -> Result<bool, Stop> {
        out.clear();
        if self.range.is_empty() {
            let more = !std::mem::replace(&mut self.done, true);
            if more {
                self.decoder.finish(out);
            }
            return Ok(more);
        }
        let end = self.range.end.min(self.range.start + PIECE);
        let bytes = piece(session, row, self.range.start..end).await?;
        self.decoder.push(&bytes, out);
        self.range.start = end;
        Ok(true)
    }
}

/// Refuses a FETCH of BINARY whose encoding nobody knows, before anything of the answer is written
/// (RFC 3516 §4.3).
pub(crate) fn check_encodings(
    items: &[FetchItem],
    row: &MessageRow,
    summary: Option<&Summary>,
) -> Result<(), Stop> {
    let Some(summary) = summary else { return Ok(()) };
    for item in items {
        if let FetchItem::Binary { part, .. } | FetchItem::BinarySize { part } = item
            && let Some((_, encoding)) = section::encoded(part, row.size, summary)
            && Decoder::new(&encoding).is_none()
        {
            return Err(Reply::no("this transfer encoding is not known").with(Code::UnknownCte).into());
        }
    }
    Ok(())
}
