//! From what was sent to what was meant: transfer encodings, charsets, encoded words, text of bodies.
//!
//! Decoding never fails; what is wrong is left out or kept as it is, and said to be wrong where IMAP must
//! know it (BINARY).

mod hints;
mod text;
mod transfer;
mod words;

use std::borrow::Cow;

use mail_parser::Charset;

pub use mail_parser::html_to_text;
pub use text::{Shown, body_text, each_shown, each_text};
pub use transfer::{Decoder, transfer};
pub use words::words;

/// Text in the named charset as UTF-8. An unknown charset is guessed; what is wrong in the charset becomes
/// U+FFFD.
pub fn charset<'a>(label: &str, bytes: &'a [u8]) -> Cow<'a, str> {
    let label = label.trim();
    match Charset::from_label(label.as_bytes()) {
        // US-ASCII with 8-bit octets in it is a lie; so is UTF-8 that is none.
        Some(Charset::Utf8) | None => guess(bytes),
        _ if label.eq_ignore_ascii_case("us-ascii") => guess(bytes),
        Some(charset) => charset.decode(bytes),
    }
}

/// Whether the charset can be converted to UTF-8.
pub fn knows_charset(label: &str) -> bool {
    Charset::from_label(label.trim().as_bytes()).is_some()
}

/// Text whose charset nobody named: UTF-8 where it is valid, else windows-1252, which gives every octet a
/// character.
pub fn guess(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Charset::Windows1252.decode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets() {
        assert_eq!(charset("ISO-8859-1", b"caf\xe9"), "caf\u{e9}");
        assert_eq!(charset("iso-8859-2", b"\xb9"), "\u{161}");
        assert_eq!(charset("koi8-r", b"\xf0\xd2\xc9"), "\u{41f}\u{440}\u{438}");
        assert_eq!(charset("shift_jis", b"\x93\xfa\x96{"), "\u{65e5}\u{672c}");
        assert_eq!(charset("iso-2022-jp", b"\x1b$BF|K\\\x1b(B"), "\u{65e5}\u{672c}");
        assert_eq!(charset("gb2312", b"\xc4\xe3"), "\u{4f60}");
        assert_eq!(charset("utf-7", b"Hi Mom -+Jjo--!"), "Hi Mom -\u{263a}-!");
        assert_eq!(charset(" us-ascii ", b"abc"), "abc");
        assert!(knows_charset("utf-8") && !knows_charset("x-none"));
    }

    #[test]
    fn lies_are_guessed() {
        assert_eq!(charset("utf-8", b"caf\xe9"), "caf\u{e9}");
        assert_eq!(charset("us-ascii", b"caf\xc3\xa9"), "caf\u{e9}");
        assert_eq!(charset("x-unknown", b"caf\xe9"), "caf\u{e9}");
        assert_eq!(guess(b"\x93x\x94"), "\u{201c}x\u{201d}");
    }
}
