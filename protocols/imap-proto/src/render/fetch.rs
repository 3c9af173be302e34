//! `* n FETCH (…)`: items appended as they come, so that a row of a large answer costs no allocation.

use std::num::NonZeroU32;

use super::{BodyPart, Envelope, body_structure, crlf, envelope, literal_header, nstring, number, string};
use crate::command::{Partial, Section, SectionText};
use crate::datetime::{civil_from_days, month_name};

/// Writes one FETCH response (RFC 9051 §7.5.2).
pub struct FetchWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> FetchWriter<'a> {
    /// `* sequence FETCH (`
    pub fn begin(out: &'a mut Vec<u8>, sequence: u32) -> Self {
        out.extend_from_slice(b"* ");
        number(out, u64::from(sequence));
        out.extend_from_slice(b" FETCH (");
        FetchWriter { out, first: true }
    }

    /// A response that was begun earlier and has items already: its literal was streamed meanwhile.
    pub fn resume(out: &'a mut Vec<u8>) -> Self {
        FetchWriter { out, first: false }
    }

    /// `)`
    pub fn end(self) {
        self.out.push(b')');
        crlf(self.out);
    }

    /// The name of the next item, behind a space if need be.
    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b' ');
        }
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b' ');
    }

    /// `UID`
    pub fn uid(&mut self, uid: u32) {
        self.name("UID");
        number(self.out, u64::from(uid));
    }

    /// `FLAGS`
    pub fn flags<'f>(&mut self, flags: impl IntoIterator<Item = &'f str>) {
        self.name("FLAGS");
        super::string::atoms(self.out, flags);
    }

    /// `MODSEQ` (RFC 7162 §3.1.4.2)
    pub fn modseq(&mut self, modseq: u64) {
        self.name("MODSEQ");
        self.out.push(b'(');
        number(self.out, modseq);
        self.out.push(b')');
    }

    /// `INTERNALDATE`, in UTC; seconds since 1970.
    pub fn internal_date(&mut self, unix_seconds: i64) {
        self.name("INTERNALDATE");
        date_time(self.out, unix_seconds);
    }

    /// `SAVEDATE`, in UTC; seconds since 1970 (RFC 8514 §4.2).
    pub fn save_date(&mut self, unix_seconds: Option<i64>) {
        self.name("SAVEDATE");
        match unix_seconds {
            Some(seconds) => date_time(self.out, seconds),
            None => self.out.extend_from_slice(b"NIL"),
        }
    }

    /// `RFC822.SIZE`
    pub fn size(&mut self, bytes: u64) {
        self.name("RFC822.SIZE");
        number(self.out, bytes);
    }

    /// `ENVELOPE`
    pub fn envelope(&mut self, value: &Envelope<'_>) {
        self.name("ENVELOPE");
        envelope(self.out, value);
    }

    /// `BODYSTRUCTURE`, or `BODY` without extension data.
    pub fn structure(&mut self, part: &BodyPart<'_>, extended: bool) {
        self.name(if extended { "BODYSTRUCTURE" } else { "BODY" });
        body_structure(self.out, part, extended);
    }

    /// `EMAILID` (RFC 8474 §5.1)
    pub fn email_id(&mut self, id: &str) {
        self.name("EMAILID");
        self.object_id(id);
    }

    /// `THREADID` (RFC 8474 §5.2)
    pub fn thread_id(&mut self, id: &str) {
        self.name("THREADID");
        self.object_id(id);
    }

    fn object_id(&mut self, id: &str) {
        self.out.push(b'(');
        self.out.extend(id.bytes().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')));
        self.out.push(b')');
    }

    /// `PREVIEW` (RFC 8970 §3.2)
    pub fn preview(&mut self, text: Option<&str>) {
        self.name("PREVIEW");
        nstring(self.out, text.map(str::as_bytes));
    }

    /// `BODY[…]<offset>` with a literal to come: write `size` bytes, then go on with [`FetchWriter::resume`].
    pub fn section(&mut self, section: &Section, partial: Option<Partial>, size: u64) {
        self.section_name(section, partial);
        literal_header(self.out, size, false);
    }

    /// `BODY[…]` of a part that the message has not: NIL.
    pub fn no_section(&mut self, section: &Section, partial: Option<Partial>) {
        self.section_name(section, partial);
        self.out.extend_from_slice(b"NIL");
    }

    /// `RFC822`, `RFC822.HEADER`, `RFC822.TEXT` with a literal to come (RFC 3501 §7.4.2).
    pub fn rfc822(&mut self, name: &str, size: u64) {
        self.name(name);
        literal_header(self.out, size, false);
    }

    /// `BINARY[…]<offset>` with a literal to come; `nul`: the bytes hold NUL, so that a literal8 is needed
    /// (RFC 3516 §4.4).
    pub fn binary(&mut self, part: &[NonZeroU32], partial: Option<Partial>, size: u64, nul: bool) {
        self.binary_name("BINARY", part, partial);
        literal_header(self.out, size, nul);
    }

    /// `BINARY[…]` of a part that the message has not: NIL.
    pub fn no_binary(&mut self, part: &[NonZeroU32], partial: Option<Partial>) {
        self.binary_name("BINARY", part, partial);
        self.out.extend_from_slice(b"NIL");
    }

    /// `BINARY.SIZE[…]` (RFC 3516 §4.3)
    pub fn binary_size(&mut self, part: &[NonZeroU32], size: u64) {
        self.binary_name("BINARY.SIZE", part, None);
        number(self.out, size);
    }

    fn binary_name(&mut self, name: &str, part: &[NonZeroU32], partial: Option<Partial>) {
        self.name(name);
        self.out.pop();
        self.out.push(b'[');
        path(self.out, part);
        self.out.push(b']');
        self.origin(partial);
    }

    fn section_name(&mut self, section: &Section, partial: Option<Partial>) {
        self.name("BODY");
        self.out.pop();
        self.out.push(b'[');
        path(self.out, &section.part);
        if section.text != SectionText::Full && !section.part.is_empty() {
            self.out.push(b'.');
        }
        match &section.text {
            SectionText::Full => {}
            SectionText::Header => self.out.extend_from_slice(b"HEADER"),
            SectionText::Text => self.out.extend_from_slice(b"TEXT"),
            SectionText::Mime => self.out.extend_from_slice(b"MIME"),
            SectionText::HeaderFields(names) => self.fields("HEADER.FIELDS ", names),
            SectionText::HeaderFieldsNot(names) => self.fields("HEADER.FIELDS.NOT ", names),
        }
        self.out.push(b']');
        self.origin(partial);
    }

    fn fields(&mut self, name: &str, fields: &[String]) {
        self.out.extend_from_slice(name.as_bytes());
        super::string::list(self.out, fields, |out, field| super::astring(out, field.as_bytes()));
    }

    /// `<offset>`: where a partial answer begins (RFC 9051 §7.5.2).
    fn origin(&mut self, partial: Option<Partial>) {
        if let Some(partial) = partial {
            self.out.push(b'<');
            number(self.out, partial.offset);
            self.out.push(b'>');
        }
        self.out.push(b' ');
    }

    /// An item with a short value of its own, such as an extension's.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, value.as_bytes());
    }
}

fn path(out: &mut Vec<u8>, part: &[NonZeroU32]) {
    for (index, step) in part.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        number(out, u64::from(step.get()));
    }
}

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE` (RFC 9051 §9), in UTC.
fn date_time(out: &mut Vec<u8>, unix_seconds: i64) {
    // Years of four digits only: 0000 to 9999.
    let seconds = unix_seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let clock = seconds.rem_euclid(86_400);
    out.push(b'"');
    out.push(if day < 10 { b' ' } else { digit(day / 10) });
    out.push(digit(day));
    out.push(b'-');
    out.extend_from_slice(month_name(month).as_bytes());
    out.push(b'-');
    two_digits(out, year / 100);
    two_digits(out, year % 100);
    for (separator, value) in [(b' ', clock / 3600), (b':', clock / 60 % 60), (b':', clock % 60)] {
        out.push(separator);
        two_digits(out, value);
    }
    out.extend_from_slice(b" +0000\"");
}

fn two_digits(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&[digit(value / 10), digit(value)]);
}

fn digit(value: i64) -> u8 {
    b'0' + (value % 10).unsigned_abs() as u8
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    fn row(write: impl FnOnce(&mut FetchWriter<'_>)) -> String {
        written(|out| {
            let mut writer = FetchWriter::begin(out, 23);
            write(&mut writer);
            writer.end();
        })
    }

    fn part(numbers: &[u32]) -> Vec<NonZeroU32> {
        numbers.iter().map(|&n| NonZeroU32::new(n).unwrap()).collect()
    }

    /// RFC 9051 §7.5.2
    #[test]
    fn example_of_the_rfc() {
        let text = row(|w| {
            w.flags(["\\Seen"]);
            w.size(44_827);
        });
        assert_eq!(text, "* 23 FETCH (FLAGS (\\Seen) RFC822.SIZE 44827)\r\n");
    }

    #[test]
    fn numbers_and_ids() {
        let text = row(|w| {
            w.uid(4_294_967_295);
            w.modseq(12_121_231_000); // RFC 7162 §3.1.4.2
            w.email_id("M6d99ac3275bb4e"); // RFC 8474 §5.1
            w.thread_id("T64b478a75b7ea9");
            w.preview(Some("Hi")); // RFC 8970 §3.2
            w.save_date(None); // RFC 8514 §4.2
        });
        let expected = "* 23 FETCH (UID 4294967295 MODSEQ (12121231000) EMAILID (M6d99ac3275bb4e) \
                        THREADID (T64b478a75b7ea9) PREVIEW \"Hi\" SAVEDATE NIL)\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn dates() {
        let date = |seconds| written(|o| date_time(o, seconds));
        assert_eq!(date(837_596_665), "\"17-Jul-1996 09:44:25 +0000\"");
        assert_eq!(date(0), "\" 1-Jan-1970 00:00:00 +0000\"");
        assert_eq!(date(-1), "\"31-Dec-1969 23:59:59 +0000\"");
        assert_eq!(date(i64::MAX), "\"31-Dec-9999 23:59:59 +0000\"");
        assert_eq!(date(i64::MIN), "\" 1-Jan-0000 00:00:00 +0000\"");
    }

    #[test]
    fn sections_are_named_as_asked() {
        let partial = Some(Partial { offset: 5, length: 3 });
        let text = row(|w| {
            w.section(&Section::default(), partial, 0);
            let fields = SectionText::HeaderFields(vec!["DATE".into(), "x y".into()]);
            w.no_section(&Section { part: part(&[4, 1]), text: fields }, None);
            w.no_section(&Section { part: part(&[2]), text: SectionText::Mime }, None);
            w.no_section(&Section { part: vec![], text: SectionText::Text }, None);
            w.no_section(&Section { part: part(&[2]), text: SectionText::Full }, None);
        });
        let expected = "* 23 FETCH (BODY[]<5> {0}\r\n BODY[4.1.HEADER.FIELDS (DATE \"x y\")] NIL BODY[2.MIME] NIL \
                        BODY[TEXT] NIL BODY[2] NIL)\r\n";
        assert_eq!(text, expected);
    }

    /// RFC 3516 §4.3, §4.4.
    #[test]
    fn binary() {
        let text = row(|w| {
            w.binary_size(&part(&[4, 2]), 56);
            w.no_binary(&part(&[4]), None);
            w.binary(&part(&[4]), Some(Partial { offset: 0, length: 1 }), 0, true);
        });
        assert_eq!(text, "* 23 FETCH (BINARY.SIZE[4.2] 56 BINARY[4] NIL BINARY[4]<0> ~{0}\r\n)\r\n");
    }

    #[test]
    fn a_literal_may_come_in_pieces() {
        let mut out = Vec::new();
        FetchWriter::begin(&mut out, 1).rfc822("RFC822", 3);
        out.extend_from_slice(b"abc");
        let mut writer = FetchWriter::resume(&mut out);
        writer.uid(7);
        writer.end();
        assert_eq!(out, b"* 1 FETCH (RFC822 {3}\r\nabc UID 7)\r\n");
    }
}
