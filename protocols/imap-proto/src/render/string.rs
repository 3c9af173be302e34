//! Strings: the shortest form that is safe (RFC 9051 §4.3).

use super::number;
use crate::cursor::is_astring_char;
use crate::mailbox::utf7_encode;

/// Longest value written as a quoted string, in bytes: longer ones are cheaper for both sides as a literal.
const QUOTED_MAX: usize = 1024;

/// `string = quoted / literal`: quoted if it is short ASCII without CR and LF, else a literal. NUL can be in
/// neither (RFC 9051 §9 CHAR8) and is left out.
pub fn string(out: &mut Vec<u8>, value: &[u8]) {
    let quotable = value.len() <= QUOTED_MAX
        && value.iter().all(|&b| matches!(b, 0x01..=0x7f) && b != b'\r' && b != b'\n');
    if quotable {
        quoted(out, value);
        return;
    }
    let nuls = value.iter().filter(|&&b| b == 0).count();
    literal_header(out, (value.len() - nuls) as u64, false);
    out.extend(value.iter().filter(|&&b| b != 0));
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for &byte in value {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// `nstring = string / nil`
pub fn nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `astring = 1*ASTRING-CHAR / string`
pub fn astring(out: &mut Vec<u8>, value: &[u8]) {
    let bare =
        !value.is_empty() && value.iter().all(|&b| is_astring_char(b)) && !value.eq_ignore_ascii_case(b"NIL");
    if bare { out.extend_from_slice(value) } else { string(out, value) }
}

/// `{n}CRLF`, or `~{n}CRLF` for bytes that may hold NUL (RFC 3516 §4.4). The bytes are the caller's.
pub fn literal_header(out: &mut Vec<u8>, size: u64, binary: bool) {
    if binary {
        out.push(b'~');
    }
    out.push(b'{');
    number(out, size);
    out.extend_from_slice(b"}\r\n");
}

/// `mailbox`: UTF-8 for clients that enabled it (RFC 9051 §5.1, RFC 6855 §3), else modified UTF-7
/// (RFC 3501 §5.1.3). Quoted always: clients are used to that.
pub fn mailbox(out: &mut Vec<u8>, name: &str, utf8: bool) {
    if !utf8 {
        let name = utf7_encode(name);
        quoted(out, name.as_bytes());
    } else if name.bytes().all(|b| !matches!(b, 0 | b'\r' | b'\n')) {
        quoted(out, name.as_bytes());
    } else {
        string(out, name.as_bytes());
    }
}

/// Text for people at the end of a line: printable ASCII, anything else as "?" (RFC 9051 §9 `text`).
pub(super) fn line_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|b| if matches!(b, 0x20..=0x7e) { b } else { b'?' }));
}

/// `"(" [atom *(SP atom)] ")"`. What is no flag or atom is left out, so that it can break nothing.
pub(super) fn atoms<'a>(out: &mut Vec<u8>, names: impl IntoIterator<Item = &'a str>) {
    out.push(b'(');
    let mut first = true;
    for name in names {
        let safe = |b: u8| matches!(b, 0x21..=0x7e) && !matches!(b, b'(' | b')' | b'{' | b'"');
        if name.is_empty() || !name.bytes().all(safe) {
            continue;
        }
        if !first {
            out.push(b' ');
        }
        first = false;
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}

/// `"(" [item *(SP item)] ")"`
pub(super) fn list<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'(');
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        item(out, value);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn forms() {
        let text = |value: &str| written(|o| string(o, value.as_bytes()));
        assert_eq!(text(""), "\"\"");
        assert_eq!(text("a \"b\\"), "\"a \\\"b\\\\\"");
        assert_eq!(text("Gödwit"), "{7}\r\nGödwit");
        assert_eq!(text("x\r\n* BYE"), "{8}\r\nx\r\n* BYE");
        assert_eq!(text("a\0b"), "{2}\r\nab");
        assert!(text(&"x".repeat(2000)).starts_with("{2000}\r\n"));
        assert_eq!(written(|o| nstring(o, None)), "NIL");
    }

    #[test]
    fn astrings() {
        let text = |value: &str| written(|o| astring(o, value.as_bytes()));
        assert_eq!(text("abc]"), "abc]");
        assert_eq!(text("NIL"), "\"NIL\"");
        assert_eq!(text("a b"), "\"a b\"");
        assert_eq!(text(""), "\"\"");
    }

    #[test]
    fn mailboxes() {
        assert_eq!(written(|o| mailbox(o, "Entwürfe", false)), "\"Entw&APw-rfe\"");
        assert_eq!(written(|o| mailbox(o, "Entwürfe", true)), "\"Entwürfe\"");
        assert_eq!(written(|o| mailbox(o, "a\"b", true)), "\"a\\\"b\"");
        assert_eq!(written(|o| mailbox(o, "a\r\nb", false)), "\"a&AA0ACg-b\"");
        assert_eq!(written(|o| mailbox(o, "a\r\nb", true)), "{4}\r\na\r\nb");
    }

    #[test]
    fn lines_can_not_be_broken() {
        assert_eq!(written(|o| line_text(o, "no\r\n* such ä")), "no??* such ??");
        assert_eq!(written(|o| atoms(o, ["\\Seen", "a b", "x)", "", "ok"])), "(\\Seen ok)");
    }
}
