//! A place in a command's bytes and the tokens every command is made of (RFC 9051 §9).

use std::borrow::Cow;
use std::num::NonZeroU32;

use crate::{Problem, limits};

pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// Reads one frame from its start to its end. Literals stand in the frame as the client sent them:
/// `{n}CRLF` and the bytes.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    utf8: bool,
}

/// `ATOM-CHAR = <any CHAR except atom-specials>`; atom-specials are ( ) { SP CTL % * " \ ] (RFC 9051 §9).
pub(crate) fn is_atom_char(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`; the latter is "]" (RFC 9051 §9).
pub(crate) fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

impl<'a> Cursor<'a> {
    /// `utf8`: the client enabled IMAP4rev2 or UTF8=ACCEPT, so mailbox names are UTF-8.
    pub(crate) fn new(bytes: &'a [u8], utf8: bool) -> Self {
        Cursor { bytes, at: 0, depth: 0, utf8 }
    }

    pub(crate) fn utf8(&self) -> bool {
        self.utf8
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.bytes.len());
    }

    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.eat(byte) { Ok(()) } else { Err(Problem::Syntax(what)) }
    }

    /// `SP` between two arguments. One space, as the grammar has it.
    pub(crate) fn space(&mut self) -> Result<()> {
        self.expect(b' ', "expected a space and an argument")
    }

    /// The end of the command. Deviation: spaces before it are let pass, some clients leave one there.
    pub(crate) fn end(&mut self) -> Result<()> {
        while self.eat(b' ') {}
        if self.at == self.bytes.len() { Ok(()) } else { Err(Problem::Syntax("unexpected text at the end")) }
    }

    /// `word` in any case (RFC 9051 §9 (1)), where no further atom character follows.
    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let Some(head) = rest.get(..word.len()) else { return false };
        let whole = rest.get(word.len()).is_none_or(|&b| !is_atom_char(b));
        if whole && head.eq_ignore_ascii_case(word.as_bytes()) {
            self.at += word.len();
            return true;
        }
        false
    }

    /// `text` in any case, whatever follows.
    pub(crate) fn eat_prefix(&mut self, text: &str) -> bool {
        let hit = self.rest().get(..text.len()).is_some_and(|h| h.eq_ignore_ascii_case(text.as_bytes()));
        if hit {
            self.at += text.len();
        }
        hit
    }

    pub(crate) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&b| !accept(b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// `atom = 1*ATOM-CHAR`
    pub(crate) fn atom(&mut self) -> Result<&'a str> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() {
            return Err(Problem::Syntax("expected an atom"));
        }
        std::str::from_utf8(atom).map_err(|_| Problem::Syntax("expected an atom"))
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub(crate) fn astring(&mut self) -> Result<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let atom = self.take_while(is_astring_char);
                if atom.is_empty() {
                    Err(Problem::Syntax("expected a string"))
                } else {
                    Ok(Cow::Borrowed(atom))
                }
            }
        }
    }

    /// An astring that is text: UTF-8 (RFC 9051 §5.1; RFC 6855 §3 before it).
    pub(crate) fn astring_text(&mut self) -> Result<String> {
        text(&self.astring()?)
    }

    /// `string = quoted / literal`
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Problem::Syntax("expected a quoted string or a literal")),
        }
    }

    /// `nstring = string / nil`
    pub(crate) fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>> {
        if self.eat_word("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`;
    /// `QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials / UTF8-2 / UTF8-3 / UTF8-4`
    ///
    /// Deviation from RFC 3501: UTF-8 is taken in every mode, because LOGIN comes before ENABLE. What it
    /// may mean is decided by the argument (a mailbox name before ENABLE must be ASCII).
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>> {
        self.expect(b'"', "expected a quoted string")?;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let run = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
            if let Some(out) = &mut unescaped {
                out.extend_from_slice(run);
            }
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let out = unescaped.get_or_insert_with(|| self.bytes[start..self.at].to_vec());
                    self.at += 1;
                    match self.bytes.get(self.at) {
                        Some(&b @ (b'"' | b'\\')) => out.push(b),
                        _ => return Err(Problem::Syntax("only \\ and \" can be escaped in a quoted string")),
                    }
                    self.at += 1;
                }
                _ => return Err(Problem::Syntax("quoted string is not closed or holds CR, LF or NUL")),
            }
        }
        let raw = &self.bytes[start..self.at];
        self.at += 1;
        let value = unescaped.map_or(Cow::Borrowed(raw), Cow::Owned);
        if std::str::from_utf8(&value).is_err() {
            return Err(Problem::Syntax("quoted string is not UTF-8"));
        }
        Ok(value)
    }

    /// `literal = "{" number64 ["+"] "}" CRLF *CHAR8` (RFC 9051 §4.3, RFC 7888 §4)
    fn literal(&mut self) -> Result<&'a [u8]> {
        let header = self.literal_header()?;
        self.expect(b'\r', "expected a literal")?;
        self.expect(b'\n', "expected a literal")?;
        let length = usize::try_from(header.size).unwrap_or(usize::MAX);
        let bytes = self.rest().get(..length).ok_or(Problem::Syntax("literal is cut short"))?;
        // RFC 9051 §9: CHAR8 is any octet but NUL.
        if memchr::memchr(0, bytes).is_some() {
            return Err(Problem::Syntax("literal holds NUL"));
        }
        self.at += length;
        Ok(bytes)
    }

    /// `["~"] "{" number64 ["+"] "}"`: the announcement alone (RFC 9051 §9, RFC 3516 §4.4, RFC 7888 §4).
    pub(crate) fn literal_header(&mut self) -> Result<LiteralHeader> {
        let header =
            LiteralHeader::at_end(&self.rest()[..memchr::memchr(b'}', self.rest()).map_or(0, |end| end + 1)]);
        let (start, header) = header.ok_or(Problem::Syntax("expected a literal"))?;
        if start != 0 {
            return Err(Problem::Syntax("expected a literal"));
        }
        self.take_while(|b| b != b'}');
        self.at += 1;
        Ok(header)
    }

    /// `number = 1*DIGIT` below 2^32 (RFC 9051 §9).
    pub(crate) fn number(&mut self) -> Result<u32> {
        u32::try_from(self.number64()?).map_err(|_| Problem::Syntax("number is too large"))
    }

    /// `nz-number = digit-nz *DIGIT`: 1 to 2^32 - 1 (RFC 9051 §9).
    pub(crate) fn nz_number(&mut self) -> Result<NonZeroU32> {
        NonZeroU32::new(self.number()?).ok_or(Problem::Syntax("expected a number above 0"))
    }

    /// `number64 = 1*DIGIT` below 2^63 (RFC 9051 §9); also `mod-sequence-valzer` (RFC 7162 §7).
    pub(crate) fn number64(&mut self) -> Result<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return Err(Problem::Syntax("expected a number"));
        }
        decimal(digits).ok_or(Problem::Syntax("number is too large"))
    }

    /// `"(" [item *(SP item)] ")"`; `empty` says whether the list may be empty.
    pub(crate) fn list<T>(
        &mut self,
        empty: bool,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect(b'(', "expected a parenthesized list")?;
        let mut items = Vec::new();
        if empty && self.eat(b')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(b')') {
                return Ok(items);
            }
            self.expect(b' ', "expected a space or a closing parenthesis")?;
        }
    }

    /// Runs `inner` one level deeper, within [`limits::DEPTH`].
    pub(crate) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= limits::DEPTH {
            return Err(Problem::Limit("too deeply nested"));
        }
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }
}

/// UTF-8 text of bytes that a client sent.
pub(crate) fn text(bytes: &[u8]) -> Result<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Problem::Syntax("text is not UTF-8"))
}

/// Digits to a number below 2^63; `None` if too large or not digits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0u64, |value, b| value * 10 + u64::from(b - b'0'));
    (value < 1 << 63).then_some(value)
}

/// A literal as announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiteralHeader {
    /// Bytes to follow.
    pub(crate) size: u64,
    /// `{n+}`: the client does not wait for a continuation (RFC 7888 §4).
    pub(crate) non_sync: bool,
    /// `~{n}`: literal8, may hold NUL (RFC 3516 §4.4, RFC 9051 §9).
    pub(crate) binary: bool,
}

impl LiteralHeader {
    /// The announcement that ends `line` (which has no CRLF), with the place where it starts. A number of
    /// more than 19 digits reads as `u64::MAX`, so that it is refused for its size.
    pub(crate) fn at_end(line: &[u8]) -> Option<(usize, LiteralHeader)> {
        let inner = line.strip_suffix(b"}")?;
        let non_sync = inner.last() == Some(&b'+');
        let inner = if non_sync { &inner[..inner.len() - 1] } else { inner };
        let digits = inner.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let open = inner.len().checked_sub(digits + 1)?;
        if digits == 0 || inner[open] != b'{' {
            return None;
        }
        let size = decimal(&inner[open + 1..]).unwrap_or(u64::MAX);
        let binary = open > 0 && inner[open - 1] == b'~';
        Some((open - usize::from(binary), LiteralHeader { size, non_sync, binary }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(text: &str) -> Cursor<'_> {
        Cursor::new(text.as_bytes(), false)
    }

    #[test]
    fn strings() {
        assert_eq!(&*cursor("foo]").astring().unwrap(), b"foo]");
        assert_eq!(&*cursor("\"a \\\"b\\\\\"").astring().unwrap(), b"a \"b\\");
        assert_eq!(&*cursor("\"\"").astring().unwrap(), b"");
        assert_eq!(&*cursor("{3}\r\na\r\n").astring().unwrap(), b"a\r\n");
        assert_eq!(&*cursor("{0+}\r\n").astring().unwrap(), b"");
        assert_eq!(cursor("nil").nstring().unwrap(), None);
        assert_eq!(&*cursor("\"Gödwit\"").string().unwrap(), "Gödwit".as_bytes());
    }

    #[test]
    fn broken_strings() {
        for bad in [
            "\"a",
            "\"a\\n\"",
            "\"a\rb\"",
            "{3}\r\nab",
            "{3}ab",
            "{}\r\n",
            "{3",
            "{3}\r\na\0b",
            "",
            "(",
            "{99999999999999999999}\r\n",
        ] {
            assert!(cursor(bad).astring().is_err(), "{bad:?}");
        }
        assert!(Cursor::new(b"\"\xff\"", false).astring().is_err());
        assert!(Cursor::new(b"abc\xc3\xa4", false).astring().is_ok_and(|a| &*a == b"abc"));
    }

    #[test]
    fn numbers() {
        assert_eq!(cursor("0").number().unwrap(), 0);
        assert_eq!(cursor("4294967295").number().unwrap(), u32::MAX);
        assert_eq!(cursor("007").number().unwrap(), 7);
        assert_eq!(cursor("9223372036854775807").number64().unwrap(), (1 << 63) - 1);
        for bad in ["", "x", "-1", "4294967296", "99999999999999999999999999"] {
            assert!(cursor(bad).number().is_err(), "{bad:?}");
        }
        assert!(cursor("9223372036854775808").number64().is_err());
        assert!(cursor("0").nz_number().is_err());
    }

    #[test]
    fn literal_announcements() {
        let header = |line: &str| LiteralHeader::at_end(line.as_bytes());
        let plain = LiteralHeader { size: 310, non_sync: false, binary: false };
        assert_eq!(header("a APPEND x {310}"), Some((11, plain)));
        assert_eq!(header("{310+}"), Some((0, LiteralHeader { non_sync: true, ..plain })));
        assert_eq!(header("~{310}"), Some((0, LiteralHeader { binary: true, ..plain })));
        assert_eq!(header("{99999999999999999999}").unwrap().1.size, u64::MAX);
        for no in ["", "}", "{}", "{+}", "{a}", "3}", "{3", "\"{3}\"", "{-3}", "{3++}"] {
            assert_eq!(header(no), None, "{no}");
        }
    }

    #[test]
    fn words_and_ends() {
        let mut c = cursor("return (min)  ");
        assert!(!c.eat_word("RET"));
        assert!(c.eat_word("RETURN"));
        c.space().unwrap();
        assert_eq!(c.list(false, |c| c.atom()).unwrap(), ["min"]);
        c.end().unwrap();
        assert!(cursor("x").end().is_err());
        assert!(cursor("()").list(false, |c| c.atom()).is_err());
        assert_eq!(cursor("()").list(true, |c| c.atom()).unwrap().len(), 0);
        assert!(cursor("(a  b)").list(false, |c| c.atom()).is_err());
    }
}
