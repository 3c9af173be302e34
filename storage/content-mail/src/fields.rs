//! One header while it is read: the field lines, unfolded, and where they were.

use std::ops::Range;

use crate::{HeaderField, Limits, decode, lines::Line};

/// What a line is to a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Name: value`; the name's length.
    Field(usize),
    /// The continuation of the field before it.
    Folded,
    /// No header line: the body began without a blank line.
    Foreign,
}

/// Says what a line is, by RFC 5322 §2.2: a name of printable US-ASCII and a colon.
pub(crate) fn classify(line: &[u8]) -> Kind {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Kind::Folded;
    }
    let Some(colon) = line.iter().position(|&b| b == b':' || !(33..=126).contains(&b)) else {
        return Kind::Foreign;
    };
    // RFC 5322 §4.5: blanks before the colon are obsolete, and read.
    let blanks = line[colon..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match line.get(colon + blanks) {
        Some(b':') if colon > 0 => Kind::Field(colon),
        _ => Kind::Foreign,
    }
}

/// A header being collected. The buffer is used again for the next header.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// The field whose lines are passing was left out because a limit was reached.
    skipping: bool,
}

#[derive(Debug, Clone)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
    at: HeaderField,
}

impl Block {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.skipping = false;
    }

    /// Whether a field was seen that a folded line can continue.
    pub(crate) fn is_open(&self) -> bool {
        self.skipping || !self.fields.is_empty()
    }

    /// Begins a field; `name` is the length of its name.
    pub(crate) fn field(&mut self, line: &Line<'_>, name: usize, limits: &Limits) {
        self.skipping = self.fields.len() >= limits.header_fields || self.is_full(line, limits);
        if self.skipping {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.head);
        let colon = line.head[name..].iter().position(|&b| b == b':').unwrap_or_default() + name;
        let (name_end, value) = (line.start + name as u64, line.start + colon as u64 + 1);
        self.fields.push(Field {
            name: start..start + name,
            value: start + colon + 1..self.bytes.len(),
            at: HeaderField { name: line.start..name_end, value: value..line.end },
        });
    }

    /// Continues the last field. RFC 5322 §2.2.3: unfolding removes the line end and nothing else.
    pub(crate) fn folded(&mut self, line: &Line<'_>, limits: &Limits) {
        if self.skipping {
            return;
        }
        let full = self.is_full(line, limits);
        if let Some(field) = self.fields.last_mut() {
            if !full {
                self.bytes.extend_from_slice(line.head);
                field.value.end = self.bytes.len();
            }
            field.at.value.end = line.end;
        }
    }

    fn is_full(&self, line: &Line<'_>, limits: &Limits) -> bool {
        self.bytes.len() + line.head.len() > limits.header_bytes
    }

    /// Name and raw unfolded value of each field.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (&self.bytes[field.name.clone()], &self.bytes[field.value.clone()]))
    }

    /// Where the fields are in the message.
    pub(crate) fn positions(&self) -> Vec<HeaderField> {
        self.fields.iter().map(|field| field.at.clone()).collect()
    }
}

/// The text of an unfolded field value: valid UTF-8 as it is, other 8-bit text read as windows-1252,
/// control characters as blanks (so that it can stand in any quoted string), trimmed, at most `max` bytes.
pub(crate) fn text(value: &[u8], max: usize) -> String {
    let value = value.trim_ascii();
    let mut text = decode::guess(value).into_owned();
    if text.bytes().any(|b| b < 32 || b == 127) {
        text = text.chars().map(|c| if c.is_ascii_control() && c != '\t' { ' ' } else { c }).collect();
    }
    truncate(&mut text, max);
    text
}

/// Cuts a string to at most `max` bytes, at a character.
pub(crate) fn truncate(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_field() {
        assert_eq!(classify(b"Subject: x"), Kind::Field(7));
        assert_eq!(classify(b"Subject:"), Kind::Field(7));
        assert_eq!(classify(b"Subject \t: x"), Kind::Field(7));
        assert_eq!(classify(b" folded"), Kind::Folded);
        assert_eq!(classify(b"From someone Mon Jan"), Kind::Foreign);
        assert_eq!(classify(b": x"), Kind::Foreign);
        assert_eq!(classify(b"no colon"), Kind::Foreign);
        assert_eq!(classify(b"na\xefve: x"), Kind::Foreign);
        assert_eq!(classify(b""), Kind::Foreign);
    }

    #[test]
    fn values_become_one_safe_line() {
        assert_eq!(text(b"  a\0b\rc\t d ", 100), "a b c\t d");
        assert_eq!(text("gr\u{fc}n".as_bytes(), 100), "gr\u{fc}n");
        assert_eq!(text(b"gr\xfcn", 100), "gr\u{fc}n");
        assert_eq!(text("\u{fc}\u{fc}".as_bytes(), 3), "\u{fc}");
    }

    #[test]
    fn limits_leave_fields_out() {
        let limits = Limits { header_fields: 1, header_bytes: 10, ..Limits::default() };
        let mut block = Block::default();
        let line = |head: &'static [u8], start: u64| Line {
            head,
            start,
            end: start + head.len() as u64 + 2,
            ending: 2,
        };
        block.field(&line(b"A: 1", 0), 1, &limits);
        block.folded(&line(b" 2", 6), &limits);
        block.folded(&line(b" 3456789", 10), &limits);
        block.field(&line(b"B: 1", 20), 1, &limits);
        block.folded(&line(b" 2", 26), &limits);
        assert_eq!(block.iter().collect::<Vec<_>>(), vec![(&b"A"[..], &b" 1 2"[..])]);
        assert_eq!(block.positions()[0].span(), 0..20);
        assert!(block.is_open());
    }
}
