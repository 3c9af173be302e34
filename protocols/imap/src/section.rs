//! A piece of a message that FETCH asks for, as a range of its bytes or as bytes put together.

use std::num::NonZeroU32;
use std::ops::Range;

use content_mail as content;
use content_mail::{Encoding, Summary};
use imap_proto::command::{Partial, Section, SectionText};

/// What a section is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These bytes of the message.
    Range(Range<u64>),
    /// Fields of the header in this range.
    Fields {
        /// The header.
        header: Range<u64>,
        /// All but these.
        not: bool,
    },
    /// The message has no such section.
    Missing,
}

/// Whether the section can be answered without the stored summary, from the message's size alone.
pub(crate) fn needs_summary(section: &Section) -> bool {
    !(section.part.is_empty() && section.text == SectionText::Full)
}

/// Finds a section (RFC 9051 §6.4.5.1). `summary` is there if [`needs_summary`] asks for it.
pub(crate) fn find(section: &Section, size: u64, summary: Option<&Summary>) -> Piece {
    let Some(summary) = summary else { return Piece::Range(0..size) };
    let kind = match &section.text {
        SectionText::Full => content::Section::Body,
        SectionText::Text => content::Section::Text,
        SectionText::Mime => content::Section::Mime,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
            content::Section::Header
        }
    };
    let Some(range) = summary.structure.find(&path(&section.part), kind) else { return Piece::Missing };
    match &section.text {
        SectionText::HeaderFields(_) => Piece::Fields { header: range, not: false },
        SectionText::HeaderFieldsNot(_) => Piece::Fields { header: range, not: true },
        _ => Piece::Range(range),
    }
}

/// The names of a HEADER.FIELDS.
pub(crate) fn field_names(section: &Section) -> &[String] {
    match &section.text {
        SectionText::HeaderFields(names) | SectionText::HeaderFieldsNot(names) => names,
        _ => &[],
    }
}

/// The range a partial fetch leaves (RFC 9051 §6.4.5: what lies beyond the end is cut off).
pub(crate) fn clip(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range.start.saturating_add(partial.offset).min(range.end);
    let end = start.saturating_add(partial.length).min(range.end);
    start..end
}

/// The encoded body of a part and how it is encoded, for BINARY (RFC 3516 §4.2); the whole message as it is
/// for no part.
pub(crate) fn encoded(part: &[NonZeroU32], size: u64, summary: &Summary) -> Option<(Range<u64>, Encoding)> {
    if part.is_empty() {
        return Some((0..size, Encoding::Binary));
    }
    let part = summary.structure.at(&path(part))?;
    Some((part.body.clone(), part.encoding.clone()))
}

fn path(part: &[NonZeroU32]) -> Vec<u32> {
    part.iter().map(|number| number.get()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(numbers: &[u32]) -> Vec<NonZeroU32> {
        numbers.iter().map(|&n| NonZeroU32::new(n).unwrap()).collect()
    }

    #[test]
    fn pieces() {
        let message = b"Subject: x\r\n\r\nbody\r\n";
        let summary = content::summarize(message, &content::Limits::default());
        let of = |numbers: &[u32], text| find(&Section { part: part(numbers), text }, 20, Some(&summary));
        assert_eq!(of(&[], SectionText::Full), Piece::Range(0..20));
        assert_eq!(of(&[], SectionText::Header), Piece::Range(0..14));
        assert_eq!(of(&[], SectionText::Text), Piece::Range(14..20));
        assert_eq!(of(&[1], SectionText::Full), Piece::Range(14..20));
        assert_eq!(of(&[1], SectionText::Mime), Piece::Range(0..14));
        assert_eq!(of(&[2], SectionText::Full), Piece::Missing);
        assert_eq!(of(&[1], SectionText::Header), Piece::Missing);
        let fields = SectionText::HeaderFieldsNot(vec!["To".into()]);
        assert_eq!(of(&[], fields), Piece::Fields { header: 0..14, not: true });
        assert_eq!(find(&Section::default(), 20, None), Piece::Range(0..20));
        assert_eq!(encoded(&part(&[1]), 20, &summary), Some((14..20, Encoding::SevenBit)));
        assert_eq!(encoded(&part(&[3]), 20, &summary), None);
    }

    #[test]
    fn partial() {
        let of = |offset, length| clip(10..30, Some(Partial { offset, length }));
        assert_eq!(of(0, 5), 10..15);
        assert_eq!(of(15, 50), 25..30);
        assert_eq!(of(20, 1), 30..30);
        assert_eq!(of(u64::MAX, u64::MAX), 30..30);
        assert_eq!(clip(10..30, None), 10..30);
    }
}
