//! How bodies are encoded (RFC 2045 §6): as they are where every server takes them so, else whatever is shorter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{ContentType, Encoding};

/// Octets of a line of base64 before it is encoded (RFC 2045 §6.8: 76 characters).
const BASE64_LINE: usize = 57;

/// The longest line of a body that goes as it is (RFC 5322 §2.1.1).
const LINE_MAX: usize = 998;

/// What decides how a stored body goes; all of it has to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    eight_bit: bool,
    /// NUL, CR or LF alone, or a line that is too long.
    binary: bool,
    line: usize,
    after_cr: bool,
}

impl Facts {
    /// The next octets.
    pub fn push(&mut self, octets: &[u8]) {
        for octet in octets {
            self.eight_bit |= *octet > 127;
            let was_cr = std::mem::replace(&mut self.after_cr, *octet == b'\r');
            self.binary |= *octet == 0 || was_cr != (*octet == b'\n');
            self.line = if matches!(octet, b'\r' | b'\n') { 0 } else { self.line + 1 };
            self.binary |= self.line > LINE_MAX;
        }
    }

    /// How a part of this type with such a body goes.
    pub(super) fn encoding_of(&self, kind: &ContentType) -> Encoding {
        let binary = self.binary || self.after_cr;
        let is_message = kind.is("message", "rfc822") || kind.is("message", "global");
        match (binary, self.eight_bit) {
            // RFC 2046 §5.2.1: what is within a message says itself how it is encoded.
            (true, _) if is_message => Encoding::Binary,
            (false, true) if is_message => Encoding::EightBit,
            (false, false) if is_message || kind.kind == "text" || kind.kind == "message" => {
                Encoding::SevenBit
            }
            _ => Encoding::Base64,
        }
    }
}

/// Encodes a stored body as it is read.
#[derive(Debug)]
pub struct Transfer {
    base64: bool,
    rest: Vec<u8>,
}

impl Transfer {
    /// For an encoding that [`super::compose`] asks for.
    pub fn new(encoding: &Encoding) -> Self {
        Transfer { base64: *encoding == Encoding::Base64, rest: Vec::new() }
    }

    /// The next octets; what they become is appended.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if !self.base64 {
            return out.extend_from_slice(octets);
        }
        let mut octets = octets;
        if !self.rest.is_empty() {
            let (head, tail) = octets.split_at(octets.len().min(BASE64_LINE - self.rest.len()));
            self.rest.extend_from_slice(head);
            octets = tail;
            if self.rest.len() == BASE64_LINE {
                line(&std::mem::take(&mut self.rest), out);
            }
        }
        let mut lines = octets.chunks_exact(BASE64_LINE);
        lines.by_ref().for_each(|octets| line(octets, out));
        self.rest.extend_from_slice(lines.remainder());
    }

    /// What is left.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            line(&self.rest, out);
        }
    }
}

fn line(octets: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(STANDARD.encode(octets).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A text with CRLF for its line ends, and how it is encoded.
pub(super) fn encode(text: &str) -> (Encoding, Vec<u8>) {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    let mut facts = Facts::default();
    facts.push(text.as_bytes());
    if !facts.eight_bit && !facts.binary {
        return (Encoding::SevenBit, text.into_bytes());
    }
    let printable = text.bytes().filter(|b| is_printable(*b) || matches!(b, b'\r' | b'\n')).count();
    // Three octets for one that is not printable, against four for three of all.
    if (text.len() - printable) * 2 <= text.len() / 3 {
        return (Encoding::QuotedPrintable, quoted_printable(&text));
    }
    let (mut out, mut transfer) = (Vec::new(), Transfer::new(&Encoding::Base64));
    transfer.push(text.as_bytes(), &mut out);
    transfer.finish(&mut out);
    (Encoding::Base64, out)
}

fn is_printable(b: u8) -> bool {
    matches!(b, b'\t' | b' '..=b'<' | b'>'..=b'~')
}

/// RFC 2045 §6.7
fn quoted_printable(text: &str) -> Vec<u8> {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    for (index, line) in text.split("\r\n").enumerate() {
        if index > 0 {
            out.push_str("\r\n");
        }
        let (mut column, last) = (0, line.len().saturating_sub(1));
        for (at, octet) in line.bytes().enumerate() {
            // (3): no blank at the end of a line; "From " at its beginning is changed by mailboxes of old.
            let blank_at_end = at == last && matches!(octet, b' ' | b'\t');
            let coded = !is_printable(octet) || blank_at_end || (at == 0 && line.starts_with("From "));
            let size = if coded { 3 } else { 1 };
            // (5): 76 characters, one of them for the soft line break.
            if column + size > 75 {
                out.push_str("=\r\n");
                column = 0;
            }
            match coded {
                true => out.push_str(&format!("={octet:02X}")),
                false => out.push(char::from(octet)),
            }
            column += size;
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::transfer;

    fn check(text: &str, encoding: &Encoding) {
        let (chosen, octets) = encode(text);
        assert_eq!(chosen, *encoding, "{text:?}");
        let wanted = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        let read = transfer(&chosen, &octets);
        assert_eq!(String::from_utf8_lossy(&read), wanted);
        if chosen != Encoding::SevenBit {
            assert!(octets.split(|b| *b == b'\n').all(|line| line.len() <= 77));
        }
    }

    #[test]
    fn texts_are_encoded_as_they_need() {
        check("plain\ntext\r\nof\rall line ends\n", &Encoding::SevenBit);
        check("", &Encoding::SevenBit);
        check("Gr\u{fc}\u{df}e from far away, = and trailing \nFrom here\n", &Encoding::QuotedPrintable);
        check(&"x".repeat(5_000), &Encoding::QuotedPrintable);
        check("\u{65e5}\u{672c}\u{8a9e}\n\u{65e5}\u{672c}\u{8a9e}", &Encoding::Base64);
    }

    #[test]
    fn what_is_stored_goes_as_it_may() {
        let facts = |octets: &[u8]| {
            let mut facts = Facts::default();
            octets.chunks(1).for_each(|one| facts.push(one));
            facts
        };
        let (text, message) = (ContentType::default(), ContentType::new("message", "rfc822"));
        for (octets, of_text, of_message) in [
            (&b"a\r\nb\r\n"[..], Encoding::SevenBit, Encoding::SevenBit),
            (b"a\nb", Encoding::Base64, Encoding::Binary),
            (b"a\r", Encoding::Base64, Encoding::Binary),
            (b"\xc3\xa4\r\n", Encoding::Base64, Encoding::EightBit),
            (b"a\0", Encoding::Base64, Encoding::Binary),
            (&[b'y'; 999], Encoding::Base64, Encoding::Binary),
        ] {
            assert_eq!(facts(octets).encoding_of(&text), of_text);
            assert_eq!(facts(octets).encoding_of(&message), of_message);
        }
        assert_eq!(facts(b"a").encoding_of(&ContentType::new("image", "png")), Encoding::Base64);
    }
}
