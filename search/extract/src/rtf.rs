//! Rich Text Format: groups in braces, words behind backslashes, and text.

use std::borrow::Cow;

use content_mail::decode;

use crate::limits::TEXT;

/// Groups that begin with one of these words have no text of the document.
const UNSEEN: [&str; 12] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "themedata",
    "datastore",
    "listtable",
    "revtbl",
    "fldinst",
    "template",
];

/// What a group has of its own.
#[derive(Clone, Copy)]
struct Group {
    unseen: bool,
    /// Characters behind a `\u` for those who do not know it.
    instead: u8,
}

/// The text of the document; none where it is no RTF.
pub(crate) fn text(file: &[u8]) -> Option<String> {
    if !file.starts_with(b"{\\rtf") {
        return None;
    }
    let mut reader = Rtf {
        rest: file,
        groups: Vec::new(),
        group: Group { unseen: false, instead: 1 },
        charset: Cow::Borrowed("windows-1252"),
        bytes: Vec::new(),
        units: Vec::new(),
        to_skip: 0,
        out: String::new(),
    };
    while let Some((first, rest)) = reader.rest.split_first() {
        reader.rest = rest;
        reader.one(*first);
        if reader.out.len() >= TEXT {
            break;
        }
    }
    reader.flush();
    Some(reader.out)
}

struct Rtf<'a> {
    rest: &'a [u8],
    groups: Vec<Group>,
    group: Group,
    charset: Cow<'static, str>,
    /// Text in the charset, and in UTF-16, that was not decoded yet: a character may be made of several.
    bytes: Vec<u8>,
    units: Vec<u16>,
    to_skip: usize,
    out: String,
}

impl Rtf<'_> {
    fn one(&mut self, byte: u8) {
        match byte {
            b'{' => self.groups.push(self.group),
            b'}' => {
                self.flush();
                self.to_skip = 0;
                self.group = self.groups.pop().unwrap_or(self.group);
            }
            b'\\' => self.control(),
            b'\r' | b'\n' => {}
            _ => self.character(byte),
        }
    }

    fn control(&mut self) {
        let letters = self.rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if letters == 0 {
            return self.symbol();
        }
        let (word, rest) = self.rest.split_at(letters);
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[sign..].iter().take_while(|b| b.is_ascii_digit()).count();
        let end = if digits > 0 { sign + digits } else { 0 };
        let number = std::str::from_utf8(&rest[..end]).ok().and_then(|n| n.parse::<i64>().ok());
        self.rest = rest[end..].strip_prefix(b" ").unwrap_or(&rest[end..]);
        self.word(std::str::from_utf8(word).unwrap_or_default(), number);
    }

    fn symbol(&mut self) {
        let Some((symbol, rest)) = self.rest.split_first() else { return };
        self.rest = rest;
        match symbol {
            b'\'' => {
                let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
                if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    self.rest = &rest[2..];
                    self.character(byte);
                }
            }
            // What an old reader does not know is not to be shown by it: nothing that is read.
            b'*' => self.group.unseen = true,
            b'~' => self.push(" "),
            b'_' => self.push("-"),
            b'\r' | b'\n' => self.push("\n"),
            b'\\' | b'{' | b'}' => self.character(*symbol),
            _ => {}
        }
    }

    fn word(&mut self, word: &str, number: Option<i64>) {
        match word {
            "par" | "line" | "sect" | "page" | "row" | "cell" | "tab" => self.push("\n"),
            "emdash" | "endash" => self.push("-"),
            "lquote" | "rquote" => self.push("'"),
            "ldblquote" | "rdblquote" => self.push("\""),
            "bullet" => self.push("\u{2022}"),
            "ansicpg" => self.charset = charset_of(number.unwrap_or_default()),
            "uc" => self.group.instead = number.and_then(|n| u8::try_from(n).ok()).unwrap_or(1),
            "u" => self.unit(number.unwrap_or_default()),
            "bin" => {
                let length = number.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                self.rest = self.rest.get(length..).unwrap_or_default();
            }
            _ if UNSEEN.contains(&word) => self.group.unseen = true,
            _ => {}
        }
    }

    /// Negative ones are those that sixteen bits with a sign can not hold.
    fn unit(&mut self, number: i64) {
        if !self.group.unseen {
            self.flush_bytes();
            self.units.push((number & 0xffff) as u16);
        }
        self.to_skip = usize::from(self.group.instead);
    }

    fn character(&mut self, byte: u8) {
        if self.to_skip > 0 {
            self.to_skip -= 1;
        } else if !self.group.unseen {
            self.flush_units();
            self.bytes.push(byte);
        }
    }

    fn push(&mut self, text: &str) {
        if !self.group.unseen {
            self.flush();
            self.out.push_str(text);
        }
    }

    fn flush(&mut self) {
        self.flush_bytes();
        self.flush_units();
    }

    fn flush_bytes(&mut self) {
        if !self.bytes.is_empty() {
            self.out.push_str(&decode::charset(&self.charset, &self.bytes));
            self.bytes.clear();
        }
    }

    fn flush_units(&mut self) {
        self.out.extend(
            char::decode_utf16(self.units.drain(..)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
    }
}

fn charset_of(page: i64) -> Cow<'static, str> {
    Cow::Borrowed(match page {
        932 => "shift_jis",
        936 => "gbk",
        949 => "euc-kr",
        950 => "big5",
        65001 => "utf-8",
        _ => return Cow::Owned(format!("windows-{page}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str) -> String {
        text(file.as_bytes()).unwrap()
    }

    #[test]
    fn text_without_what_is_around() {
        let file = "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Times;}}{\\*\\generator X;}\\f0\\fs24 Caf\\'e9 \
            \\b bold\\b0 text\\par\r\nnext \\{line\\}\\u8364?\\u-10179?\\u-8704?!}";
        assert_eq!(
            of(file),
            "Caf\u{e9} bold\u{20}text\nnext {line}\u{20ac}\u{1f600}!".replace("bold ", "bold")
        );
        assert_eq!(of("{\\rtf1\\ansicpg932 \\'93\\'fa\\'96{\\b\\'7b}}").chars().next(), Some('\u{65e5}'));
        assert_eq!(of("{\\rtf1 {\\uc2\\u8364 ab}c{\\pict\\bin4 }}}}\\par}d"), "\u{20ac}cd");
        assert_eq!(text(b"plain"), None);
    }

    #[test]
    fn wrong_ones_end() {
        assert_eq!(of("{\\rtf1 a}}}}b"), "ab");
        assert_eq!(of("{\\rtf1 a\\'zz\\u99999999999999999999 \\bin99 b"), "azz\0");
        assert_eq!(of(&("{\\rtf1 ".to_owned() + &"{".repeat(100_000) + "x")), "x");
        assert_eq!(of("{\\rtf1\\"), "");
    }
}
