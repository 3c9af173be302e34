//! Mailbox names: Unicode inside, modified UTF-7 at the edge for clients that did not enable UTF-8.

use crate::cursor::{Cursor, Result};
use crate::{Problem, limits};

/// A full mailbox name as its user reads it. `INBOX` in any case is `INBOX` (RFC 9051 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(String);

impl MailboxName {
    /// `mailbox = "INBOX" / astring` (RFC 9051 §9). With UTF-8 enabled the name is UTF-8 as it stands
    /// (RFC 9051 §5.1, RFC 6855 §3), else modified UTF-7 (RFC 3501 §5.1.3).
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<MailboxName> {
        let bytes = cursor.astring()?;
        Self::from_wire(&bytes, cursor.utf8())
    }

    /// A name as a client wrote it; `utf8` as in [`crate::parse`].
    pub(crate) fn from_wire(bytes: &[u8], utf8: bool) -> Result<MailboxName> {
        if bytes.len() > limits::MAILBOX {
            return Err(Problem::Limit("mailbox name is too long"));
        }
        Ok(MailboxName::new(&decode(bytes, utf8)?))
    }

    /// A name that is Unicode already.
    pub fn new(name: &str) -> MailboxName {
        if name.eq_ignore_ascii_case("INBOX") {
            MailboxName("INBOX".to_owned())
        } else {
            MailboxName(name.to_owned())
        }
    }

    /// The Unicode name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name or a pattern from the wire to Unicode; no control characters (RFC 9051 §5.1 (Net-Unicode)).
pub(crate) fn decode(bytes: &[u8], utf8: bool) -> Result<String> {
    let name = if utf8 {
        crate::cursor::text(bytes)?
    } else {
        utf7_decode(bytes).ok_or(Problem::Syntax("mailbox name is not modified UTF-7"))?
    };
    if name.chars().any(char::is_control) {
        return Err(Problem::Syntax("mailbox name holds a control character"));
    }
    Ok(name)
}

/// The base64 alphabet of modified UTF-7: "," in the place of "/" (RFC 3501 §5.1.3).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Unicode to modified UTF-7 (RFC 3501 §5.1.3).
pub fn utf7_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut pending: Vec<u16> = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush_shifted(&mut out, &mut pending);
            out.push(c);
            if c == '&' {
                out.push('-'); // "&" is written "&-"
            }
        } else {
            pending.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    flush_shifted(&mut out, &mut pending);
    out
}

fn flush_shifted(out: &mut String, units: &mut Vec<u16>) {
    if units.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut held) = (0u32, 0u32);
    for unit in units.drain(..) {
        bits = (bits << 16) | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            out.push(char::from(ALPHABET[(bits >> held) as usize & 63]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(ALPHABET[(bits << (6 - held)) as usize & 63]));
    }
    out.push('-');
}

/// Modified UTF-7 to Unicode; `None` if it is malformed. Exactly one spelling is taken for each name, as
/// RFC 3501 §5.1.3 demands: printable ASCII is never shifted, no two shifts touch, padding bits are zero.
pub fn utf7_decode(bytes: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut after_shift = false;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'&' {
            let end = memchr::memchr(b'-', tail)?;
            if end == 0 {
                out.push('&');
                after_shift = false;
            } else {
                if after_shift {
                    return None;
                }
                decode_shifted(&tail[..end], &mut out)?;
                after_shift = true;
            }
            rest = &tail[end + 1..];
        } else {
            if !matches!(byte, 0x20..=0x7e) {
                return None;
            }
            out.push(char::from(byte));
            after_shift = false;
            rest = tail;
        }
    }
    Some(out)
}

fn decode_shifted(encoded: &[u8], out: &mut String) -> Option<()> {
    let (mut bits, mut held) = (0u32, 0u32);
    let mut units = Vec::with_capacity(encoded.len() / 2);
    for byte in encoded {
        let value = ALPHABET.iter().position(|a| a == byte)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push(u16::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // What is left is padding: less than one character of base64, all zero.
    if held >= 6 || bits != 0 {
        return None;
    }
    for c in char::decode_utf16(units) {
        let c = c.ok()?;
        if matches!(c, ' '..='~') {
            return None;
        }
        out.push(c);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 3501 §5.1.3.
    #[test]
    fn example_of_the_rfc() {
        let (wire, name) = ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語");
        assert_eq!(utf7_decode(wire.as_bytes()).unwrap(), name);
        assert_eq!(utf7_encode(name), wire);
    }

    #[test]
    fn spellings() {
        for (name, wire) in [
            ("Entwürfe", "Entw&APw-rfe"),
            ("A&B", "A&-B"),
            ("&", "&-"),
            ("😀", "&2D3eAA-"),
            ("", ""),
            ("é&é", "&AOk-&-&AOk-"),
        ] {
            assert_eq!(utf7_encode(name), wire);
            assert_eq!(utf7_decode(wire.as_bytes()).as_deref(), Some(name), "{wire}");
        }
    }

    #[test]
    fn malformed() {
        // no end; not base64; half a unit; ASCII shifted; touching shifts (RFC 3501 §5.1.3); half a pair; raw 8 bit
        for bad in ["&", "&AOk", "&A!-", "&AO-", "&AGE-", "&U,BTFw-&ZeVnLIqe-", "&2D0-", "é", "a\u{7f}"] {
            assert_eq!(utf7_decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn inbox_in_any_case() {
        let parse = |text: &str, utf8| MailboxName::parse(&mut Cursor::new(text.as_bytes(), utf8));
        assert_eq!(parse("inBox", false).unwrap().as_str(), "INBOX");
        assert_eq!(parse("\"inbox2\"", false).unwrap().as_str(), "inbox2");
        assert_eq!(parse("\"Entw&APw-rfe\"", false).unwrap().as_str(), "Entwürfe");
        assert_eq!(parse("\"Entwürfe & Co\"", true).unwrap().as_str(), "Entwürfe & Co");
        assert!(parse("\"Entwürfe\"", false).is_err());
        assert!(parse("{3}\r\na\tb", true).is_err());
        assert!(matches!(parse(&"x".repeat(5000), true), Err(Problem::Limit(_))));
    }
}
