//! base64 and quoted-printable (RFC 2045 §6.7, §6.8), in pieces of any size.

use std::borrow::Cow;

use crate::Encoding;

/// Decodes a whole body. What is wrong is left out (base64) or kept (quoted-printable).
pub fn transfer<'a>(encoding: &Encoding, body: &'a [u8]) -> Cow<'a, [u8]> {
    let mut decoder = match Decoder::new(encoding) {
        Some(Decoder::Identity) | None => return Cow::Borrowed(body),
        Some(decoder) => decoder,
    };
    let mut out = Vec::with_capacity(body.len());
    decoder.push(body, &mut out);
    decoder.finish(&mut out);
    Cow::Owned(out)
}

/// A decoder that is fed with the encoded body piece by piece.
#[derive(Debug, Clone)]
pub enum Decoder {
    /// 7bit, 8bit, binary.
    Identity,
    /// base64.
    Base64(Base64),
    /// quoted-printable.
    QuotedPrintable(QuotedPrintable),
}

impl Decoder {
    /// `None` for an encoding nobody knows (IMAP answers UNKNOWN-CTE, RFC 9051 §6.4.5.1).
    pub fn new(encoding: &Encoding) -> Option<Self> {
        match encoding {
            Encoding::Base64 => Some(Self::Base64(Base64::default())),
            Encoding::QuotedPrintable => Some(Self::QuotedPrintable(QuotedPrintable::default())),
            Encoding::Other(_) => None,
            _ => Some(Self::Identity),
        }
    }

    /// Appends what the next encoded octets decode to.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Identity => out.extend_from_slice(bytes),
            Self::Base64(decoder) => decoder.push(bytes, out),
            Self::QuotedPrintable(decoder) => decoder.push(bytes, out),
        }
    }

    /// The body ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Identity => {}
            Self::Base64(decoder) => decoder.finish(out),
            Self::QuotedPrintable(decoder) => decoder.finish(out),
        }
    }
}

/// Not a character of base64.
const NONE: u8 = 255;

static BASE64: [u8; 256] = base64_table();

const fn base64_table() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NONE; 256];
    let mut at = 0;
    while at < 64 {
        table[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    table
}

/// The state of a base64 decoder: at most three characters that do not make a group yet.
#[derive(Debug, Clone, Default)]
pub struct Base64 {
    bits: u32,
    count: u8,
}

impl Base64 {
    /// RFC 2045 §6.8: characters outside the alphabet are ignored; padding ends a group, and what follows it
    /// (bodies that were put together from several) begins a new one.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len() / 4 * 3 + 3);
        for &byte in bytes {
            let value = BASE64[usize::from(byte)];
            if value == NONE {
                if byte == b'=' {
                    self.finish(out);
                }
                continue;
            }
            self.bits = self.bits << 6 | u32::from(value);
            self.count += 1;
            if self.count == 4 {
                out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                (self.bits, self.count) = (0, 0);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let group = (self.bits << (6 * (4 - u32::from(self.count) % 4))).to_be_bytes();
        match self.count {
            2 => out.push(group[1]),
            3 => out.extend_from_slice(&group[1..3]),
            _ => {}
        }
        (self.bits, self.count) = (0, 0);
    }
}

/// The state of a quoted-printable decoder: blanks that may turn out to end a line, or an escape that is
/// not complete.
#[derive(Debug, Clone, Default)]
pub struct QuotedPrintable {
    held: Vec<u8>,
}

/// Blanks held back before they are taken to be text after all: no legal line is longer (RFC 2045 §6.7 (5)).
const BLANKS_MAX: usize = 1000;

impl QuotedPrintable {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len());
        for &byte in bytes {
            self.byte(byte, out);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.held.first() {
            None => match byte {
                b'=' | b' ' | b'\t' | b'\r' => self.held.push(byte),
                _ => out.push(byte),
            },
            Some(b'=') => self.escape(byte, out),
            Some(_) => self.blank(byte, out),
        }
    }

    /// After `=`: two hexadecimal digits, or a soft line break, blanks before it allowed (§6.7 (3), (5)).
    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        let digits = self.held.len() - 1;
        // What is held after "=" is one digit, or blanks only.
        let soft = self.held.get(1).is_none_or(|b| !b.is_ascii_hexdigit());
        match (byte, digits) {
            (b'\n', _) if soft => self.held.clear(),
            (b' ' | b'\t' | b'\r', n) if soft && n < BLANKS_MAX => self.held.push(byte),
            (_, 0) if byte.is_ascii_hexdigit() => self.held.push(byte),
            (_, 1) if byte.is_ascii_hexdigit() && self.held[1].is_ascii_hexdigit() => {
                out.push(hex(self.held[1]) << 4 | hex(byte));
                self.held.clear();
            }
            _ => self.give_up(byte, out),
        }
    }

    /// After blanks: dropped before a line end, which is kept (§6.7 (3)).
    fn blank(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\n' => {
                let cr = self.held.last() == Some(&b'\r');
                self.held.clear();
                out.extend_from_slice(if cr { b"\r\n" } else { b"\n" });
            }
            b' ' | b'\t' | b'\r' if self.held.len() < BLANKS_MAX && self.held.last() != Some(&b'\r') => {
                self.held.push(byte);
            }
            _ => self.give_up(byte, out),
        }
    }

    /// What was held back is text as it stands.
    fn give_up(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.byte(byte, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        // "=" at the very end is a soft line break before nothing; blanks there are padding.
        let text = self.held.iter().any(|b| !matches!(b, b'=' | b' ' | b'\t' | b'\r'));
        if text {
            out.append(&mut self.held);
        }
        self.held.clear();
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qp(text: &[u8]) -> Vec<u8> {
        transfer(&Encoding::QuotedPrintable, text).into_owned()
    }

    fn b64(text: &[u8]) -> Vec<u8> {
        transfer(&Encoding::Base64, text).into_owned()
    }

    #[test]
    fn base64_as_it_is_sent() {
        assert_eq!(b64(b"SGVsbG8="), b"Hello");
        assert_eq!(b64(b"SGVs\r\nbG8"), b"Hello");
        assert_eq!(b64(b"SGVs-bG8="), b"Hello");
        assert_eq!(b64(b"SGVsbG8=SGVsbG8="), b"HelloHello");
        assert_eq!(b64(b"SGVsbG8h"), b"Hello!");
        assert_eq!(b64(b"===="), b"");
        assert_eq!(b64(b"A"), b"");
    }

    #[test]
    fn rfc_2045_section_6_7() {
        let text = b"Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.";
        assert_eq!(qp(text), b"Now's the time for all folk to come to the aid of their country.");
        assert_eq!(qp(b"a=3D=c3=A9"), b"a=\xc3\xa9");
        assert_eq!(qp(b"trailing  \t\r\nnext \nlast  "), b"trailing\r\nnext\nlast");
        assert_eq!(qp(b"soft=  \r\nbreak=\nhere="), b"softbreakhere");
    }

    #[test]
    fn wrong_quoted_printable_is_kept() {
        assert_eq!(qp(b"1=2 =ZZ =4 =4"), b"1=2 =ZZ =4 =4");
        assert_eq!(qp(b"a==3D"), b"a==");
        assert_eq!(qp(b"a\rb"), b"a\rb");
        assert_eq!(qp(b"a \r\rb"), b"a \r\rb");
        assert_eq!(qp(b"=\rx"), b"=\rx");
    }

    #[test]
    fn endless_blanks_are_not_held() {
        let text = vec![b' '; 1 << 20];
        let mut decoder = QuotedPrintable::default();
        let mut out = Vec::new();
        decoder.push(&text, &mut out);
        assert!(decoder.held.len() <= BLANKS_MAX);
        assert_eq!(out.len() + decoder.held.len(), text.len());
    }

    #[test]
    fn identity_borrows() {
        assert!(matches!(transfer(&Encoding::Binary, b"x"), Cow::Borrowed(_)));
        assert!(Decoder::new(&Encoding::Other("x-uuencode".into())).is_none());
    }
}
