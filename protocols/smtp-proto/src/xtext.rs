//! xtext (RFC 3461 §4): printable ASCII in which `+XX` stands for an octet.
//!
//! ```abnf
//! xtext   = *( xchar / hexchar )
//! xchar   = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="
//! hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits
//! ```

use std::fmt::Write as _;

/// Decodes xtext; `None` if it is not. Lower case digits are taken too: some senders write them.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'+' => out.push(hex(octets.next()?)? << 4 | hex(octets.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => out.push(octet),
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

/// Appends `text` as xtext.
pub(crate) fn encode(text: &str, out: &mut String) {
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => hex_into(octet, out),
            b'!'..=b'~' => out.push(char::from(octet)),
            _ => hex_into(octet, out),
        }
    }
}

fn hex_into(octet: u8, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "+{octet:02X}");
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Decodes a `utf-8` address of RFC 6533 §3 (`utf-8-addr-xtext` and `utf-8-addr-unitext`):
///
/// ```abnf
/// EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"      ; starts with "\x"
/// ```
pub(crate) fn decode_unicode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (point, tail) = rest[at..].strip_prefix("\\x{")?.split_once('}')?;
        if point.is_empty() || point.len() > 6 || !point.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(point, 16).ok()?)?);
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

/// Appends `text` as `utf-8-addr-xtext`: printable ASCII, everything else as `\x{…}`.
pub(crate) fn encode_unicode(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '+' | '=' | '\\' => hexpoint(character, out),
            '!'..='~' => out.push(character),
            _ => hexpoint(character, out),
        }
    }
}

fn hexpoint(character: char, out: &mut String) {
    let _ = write!(out, "\\x{{{:02X}}}", u32::from(character));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        // RFC 3461 §10.2 and §4: "+" and "=" themselves are written as hexchars.
        assert_eq!(decode("Alice+40Example.ORG").as_deref(), Some("Alice@Example.ORG"));
        assert_eq!(decode("a+2Bb+3Dc").as_deref(), Some("a+b=c"));
        for bad in ["a=b", "a+4", "a+", "a+GG", "a b", "\u{e9}", "a+FF"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode_unicode("\\x{E9}t\\x{E9}@x").as_deref(), Some("été@x"));
        for bad in ["\\x{D800}", "\\x{110000}", "\\x{}", "\\x{1F600", "\\y", "\\x{+41}"] {
            assert_eq!(decode_unicode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn roundtrips(text in "\\PC{0,20}") {
            let (mut plain, mut unicode) = (String::new(), String::new());
            encode(&text, &mut plain);
            encode_unicode(&text, &mut unicode);
            prop_assert!(plain.bytes().chain(unicode.bytes()).all(|b| (33..=126).contains(&b) && b != b'='));
            prop_assert_eq!(decode(&plain), Some(text.clone()));
            prop_assert_eq!(decode_unicode(&unicode), Some(text));
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = (decode(&text), decode_unicode(&text));
        }
    }
}
