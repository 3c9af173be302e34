//! Encoded words in header fields (RFC 2047).

use std::borrow::Cow;

use super::{charset, transfer};
use crate::Encoding;

/// The text with its encoded words decoded. Those that are wrong stay as they are.
///
/// RFC 2047 §6.2: blanks between two encoded words are not shown. Neighbours of one charset are decoded
/// together, since some writers cut characters in two (§5 (3) forbids it).
pub fn words(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut run = Run::default();
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let (before, candidate) = rest.split_at(at);
        if let Some((word, after)) = word(candidate) {
            if !before.trim_matches([' ', '\t']).is_empty() || run.charset.is_none() {
                run.flush(&mut out);
                out.push_str(before);
            }
            run.add(&word, &mut out);
            rest = after;
        } else {
            run.flush(&mut out);
            // The "?" may begin no other word, but the "=" after it may.
            out.push_str(&rest[..at + 2]);
            rest = &rest[at + 2..];
        }
    }
    run.flush(&mut out);
    out.push_str(rest);
    Cow::Owned(out)
}

/// Neighbouring encoded words of one charset.
#[derive(Default)]
struct Run<'a> {
    charset: Option<&'a str>,
    bytes: Vec<u8>,
}

impl<'a> Run<'a> {
    fn add(&mut self, word: &Word<'a>, out: &mut String) {
        if self.charset.is_some_and(|charset| !charset.eq_ignore_ascii_case(word.charset)) {
            self.flush(out);
        }
        self.charset = Some(word.charset);
        word.decode(&mut self.bytes);
    }

    fn flush(&mut self, out: &mut String) {
        if let Some(label) = self.charset.take() {
            // A line break that was encoded is none: nothing may grow a field by decoding it.
            out.extend(charset(label, &self.bytes).chars().map(|c| if c.is_control() { ' ' } else { c }));
            self.bytes.clear();
        }
    }
}

/// Bytes in which an encoded word must end, so that a text of beginnings is read once.
const WORD_MAX: usize = 4096;

struct Word<'a> {
    charset: &'a str,
    base64: bool,
    text: &'a str,
}

/// `=?charset?encoding?text?=` at the start of `text`, and what follows it. Longer words than the 75
/// characters of RFC 2047 §2 are read; blanks in the text are too, as some writers leave them in.
fn word(whole: &str) -> Option<(Word<'_>, &str)> {
    let window = &whole[..whole.floor_char_boundary(WORD_MAX)];
    let (charset, rest) = window.strip_prefix("=?")?.split_once('?')?;
    // RFC 2231 §5: a language may follow the charset.
    let charset = charset.split('*').next().filter(|name| !name.is_empty() && is_token(name))?;
    let (encoding, rest) = rest.split_once('?')?;
    let base64 = match encoding {
        "b" | "B" => true,
        "q" | "Q" => false,
        _ => return None,
    };
    // The text has no "?"; one that is there nevertheless ends nothing unless "=" follows.
    let (text, after) = rest.split_once("?=")?;
    let word = Word { charset, base64, text };
    (!text.contains("=?")).then(|| (word, &whole[window.len() - after.len()..]))
}

fn is_token(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\"/[]?=".contains(&b))
}

impl Word<'_> {
    fn decode(&self, out: &mut Vec<u8>) {
        if self.base64 {
            out.extend_from_slice(&transfer(&Encoding::Base64, self.text.as_bytes()));
            return;
        }
        // RFC 2047 §4.2: "_" is a blank, whatever the charset.
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let octet = (byte == b'=').then(|| self.text.get(at + 1..at + 3)).flatten();
            match (byte, octet.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
                (_, Some(octet)) => {
                    out.push(octet);
                    at += 2;
                }
                (b'_', _) => out.push(b' '),
                _ => out.push(byte),
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2047_section_8() {
        assert_eq!(words("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>"), "Keith Moore <moore@cs.utk.edu>");
        assert_eq!(words("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?="), "Keld J\u{f8}rn Simonsen");
        assert_eq!(words("=?ISO-8859-1?Q?Andr=E9?= Pirard"), "Andr\u{e9} Pirard");
        let subject = "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= \
                       =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=";
        assert_eq!(words(subject), "If you can read this you understand the example.");
        for (encoded, shown) in [
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
        ] {
            assert_eq!(words(encoded), shown);
        }
    }

    #[test]
    fn rfc_2231_section_5_language() {
        assert_eq!(words("=?US-ASCII*EN?Q?Keith_Moore?="), "Keith Moore");
    }

    #[test]
    fn characters_cut_in_two() {
        assert_eq!(words("=?utf-8?B?4oI=?= =?utf-8?B?rA==?="), "\u{20ac}");
        assert_eq!(words("=?utf-8?Q?=E2=82?=\t=?UTF-8?Q?=AC?="), "\u{20ac}");
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for text in ["=?", "=?utf-8?", "=?utf-8?x?a?=", "=??q?a?=", "a =?utf-8?q?b", "=?a b?q?c?=", "1 =?2"] {
            assert_eq!(words(text), text);
        }
        assert_eq!(words("=?=?utf-8?q?a?="), "=?a");
        assert_eq!(words("=?utf-8?q?a=3?="), "a=3");
        assert_eq!(words("=?utf-8?q?a b?="), "a b");
        let beginnings = "=?a?q?x".repeat(100_000);
        assert_eq!(words(&beginnings), beginnings);
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(words("=?utf-8?q?a=0D=0ABcc:_x?="), "a  Bcc: x");
    }
}
