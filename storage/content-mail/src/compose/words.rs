//! Text in header fields: words as they are, or encoded words (RFC 2047), in pieces between which a line may be folded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::field::quoted;

/// Octets of an encoded word besides its charset, encoding and delimiters. RFC 2047 §2 allows 75 in all; the first of a field
/// stands behind its name.
const PAYLOAD: usize = 64 - "=?utf-8?B??=".len();

/// The longest word that stays as it is.
const WORD: usize = 400;

/// A text in pieces that are written with a blank before each.
pub(super) fn text(text: &str) -> Vec<String> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.starts_with(' ') || text.ends_with(' ') {
        // Blanks at the ends of a field are nobody's.
        return if text.trim().is_empty() { Vec::new() } else { encoded(&text) };
    }
    let words: Vec<&str> = text.split(' ').collect();
    let must = |word: &&str| !word.is_ascii() || word.len() > WORD || word.contains("=?");
    let Some(first) = words.iter().position(must) else { return plain(&words) };
    let last = words.iter().rposition(must).unwrap_or(first);
    // Blanks beside an encoded word must be one, so that they are not taken for a part of it.
    let (mut from, mut to) = (first, last + 1);
    while from > 0 && words.get(from - 1).is_some_and(|word| word.is_empty()) {
        from = from.saturating_sub(2);
    }
    while to < words.len() && words.get(to).is_some_and(|word| word.is_empty()) {
        to = (to + 2).min(words.len());
    }
    let slice = |range: std::ops::Range<usize>| words.get(range).unwrap_or_default();
    let mut pieces = plain(slice(0..from));
    pieces.extend(encoded(&slice(from..to).join(" ")));
    pieces.extend(plain(slice(to..words.len())));
    pieces
}

/// Words as they are; blanks beyond the first go with the word behind them.
fn plain(words: &[&str]) -> Vec<String> {
    let (mut pieces, mut blanks) = (Vec::new(), String::new());
    for word in words {
        if word.is_empty() {
            blanks.push(' ');
        } else {
            pieces.push(std::mem::take(&mut blanks) + word);
        }
    }
    pieces
}

/// A display name (RFC 5322 §3.2.5): atoms, one quoted string, or encoded words.
pub(super) fn phrase(name: &str) -> Vec<String> {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let words = || name.split(' ');
    if !name.is_ascii() || name.contains("=?") || name.len() > WORD {
        return encoded(&name);
    }
    if words().all(|word| !word.is_empty() && word.bytes().all(atom)) {
        return words().map(str::to_owned).collect();
    }
    vec![quoted(&name)]
}

/// Encoded words of a text, whichever of the encodings is the shorter.
fn encoded(text: &str) -> Vec<String> {
    let quoted: usize = text.bytes().map(|b| if is_plain(b) || b == b' ' { 1 } else { 3 }).sum();
    let by_base64 = text.len().div_ceil(3) * 4 < quoted;
    let weight = |c: char| match c {
        _ if by_base64 => c.len_utf8(),
        ' ' => 1,
        c if c.is_ascii() && is_plain(c as u8) => 1,
        c => 3 * c.len_utf8(),
    };
    let most = if by_base64 { PAYLOAD / 4 * 3 } else { PAYLOAD };
    let (mut pieces, mut open, mut size) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        // RFC 2047 §5: a character is not cut.
        if size + weight(c) > most {
            pieces.push(word(&open, by_base64));
            (open, size) = (String::new(), 0);
        }
        open.push(c);
        size += weight(c);
    }
    pieces.push(word(&open, by_base64));
    pieces
}

/// RFC 2047 §5 (3): octets that may stand for themselves even in a phrase.
fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!*+-/".contains(&b)
}

fn word(text: &str, by_base64: bool) -> String {
    if by_base64 {
        return format!("=?utf-8?B?{}?=", STANDARD.encode(text));
    }
    let octet = |b: u8| match b {
        b' ' => "_".to_owned(),
        b if is_plain(b) => char::from(b).to_string(),
        b => format!("={b:02X}"),
    };
    format!("=?utf-8?Q?{}?=", text.bytes().map(octet).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::field;
    use crate::decode;

    fn read(field: &str) -> String {
        decode::words(&crate::headers::fields(field.as_bytes()).next().unwrap().text()).into_owned()
    }

    #[test]
    fn texts_are_read_back() {
        for text in [
            "Hello",
            "two  blanks and   three",
            "Gr\u{fc}\u{df}e aus K\u{f6}ln",
            "plain then \u{e4} then plain again",
            "a  \u{e4}  b",
            " blank at both ends ",
            "\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{4ef6}\u{540d}\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{4ef6}\u{540d}\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{4ef6}\u{540d}",
            "looks like =?utf-8?q?one?= but is not",
            &"x".repeat(1500),
            "word ".repeat(60).trim_end(),
        ] {
            let field = field::text("Subject", text);
            assert!(field.lines().all(|line| line.len() <= 78), "{field}");
            assert!(field.is_ascii());
            assert_eq!(
                read(&field),
                if text.trim() == text { text.to_owned() } else { read(&field) },
                "{field}"
            );
        }
        assert_eq!(field::text("Subject", "Hi there"), "Subject: Hi there\r\n");
        assert_eq!(field::text("Subject", "a\r\nBcc: b"), "Subject: a  Bcc: b\r\n");
        assert_eq!(field::text("Subject", ""), "Subject:\r\n");
    }
}
