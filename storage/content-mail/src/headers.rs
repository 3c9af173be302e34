//! The fields of a header in memory: finding them, and IMAP's HEADER.FIELDS.

use memchr::memchr;

use crate::fields::{self, Kind, classify};

/// One field as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without blanks and colon.
    pub name: &'a [u8],
    /// What follows the colon, folds and the last line end included.
    pub value: &'a [u8],
    /// The whole field, its last line end included.
    pub raw: &'a [u8],
}

impl Field<'_> {
    /// Whether the field has this name (RFC 5322 §1.2.2: case does not matter).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: unfolded, trimmed, in UTF-8, without control characters; encoded words are
    /// kept, see [`crate::decode::words`].
    pub fn text(&self) -> String {
        let lines = self.value.split(|b| matches!(b, b'\r' | b'\n'));
        fields::text(&lines.collect::<Vec<_>>().concat(), usize::MAX)
    }
}

/// The fields of a header, up to the blank line or the first line that belongs to no field.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header, begun: false }
}

/// Iterator of [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    begun: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let mut line = line_end(self.rest);
        if !self.begun && is_mbox_line(self.rest) {
            self.rest = &self.rest[line..];
            line = line_end(self.rest);
        }
        self.begun = true;
        let Kind::Field(name) = classify(content(&self.rest[..line])) else { return None };
        let mut end = line;
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end += line_end(&self.rest[end..]);
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        let colon = name + memchr(b':', &raw[name..])?;
        Some(Field { name: &raw[..name], value: &raw[colon + 1..], raw })
    }
}

/// A `From ` line before the first field, as mbox files and some gateways leave it.
pub(crate) fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

/// Bytes up to and with the next LF.
fn line_end(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The first field of this name.
pub fn find<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|field| field.is(name))
}

/// The order of names, in which case does not matter.
fn by_name(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// HEADER.FIELDS (`not` false) or HEADER.FIELDS.NOT: the fields of these names, or all others, in their
/// order and as they stand, and the blank line (RFC 9051 §6.4.5: it is always there).
pub fn select<S: AsRef<str>>(header: &[u8], names: &[S], not: bool) -> Vec<u8> {
    // In order, so that a header of many fields is not compared with each of many names.
    let mut sorted: Vec<&[u8]> = names.iter().map(|name| name.as_ref().as_bytes()).collect();
    sorted.sort_unstable_by(|a, b| by_name(a, b));
    let mut out = Vec::new();
    for field in fields(header) {
        if sorted.binary_search_by(|name| by_name(name, field.name)).is_ok() != not {
            out.extend_from_slice(field.raw);
        }
    }
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"Received: a\r\n\tby b\r\nSubject: x\r\nreceived : c\r\nTo: \r\n\r\nBody: no\r\n";

    #[test]
    fn fields_as_they_stand() {
        let found: Vec<_> = fields(HEADER).collect();
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].raw, b"Received: a\r\n\tby b\r\n");
        assert_eq!(found[0].text(), "a\tby b");
        assert_eq!(found[2].name, b"received");
        assert_eq!(found[3].value, b" \r\n");
        assert_eq!(find(HEADER, "SUBJECT").map(|field| field.text()), Some("x".into()));
        assert_eq!(find(HEADER, "Body"), None);
    }

    #[test]
    fn header_fields() {
        assert_eq!(select(HEADER, &["subject", "x-none"], false), b"Subject: x\r\n\r\n");
        assert_eq!(select(HEADER, &["RECEIVED"], true), b"Subject: x\r\nTo: \r\n\r\n");
        assert_eq!(select(HEADER, &["none"], false), b"\r\n");
        assert_eq!(select(HEADER, &["to", "x", "SUBJECT", "A", "tO"], false), b"Subject: x\r\nTo: \r\n\r\n");
        assert_eq!(select(b"A: 1", &["a"], false), b"A: 1\r\n\r\n");
        assert_eq!(select(b"", &["a"], false), b"\r\n");
    }

    #[test]
    fn foreign_lines_end_it() {
        assert_eq!(fields(b"From me Mon\nA: 1\nno field\nB: 2\n").count(), 1);
        assert_eq!(fields(b" folded nothing\nA: 1\n").count(), 0);
    }
}
