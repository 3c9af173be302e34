//! The tag that ties an answer to its command.

use crate::{cursor, limits};

/// `tag = 1*<any ASTRING-CHAR except "+">` (RFC 9051 §9). Safe to echo: it holds no space, CR or LF.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// A tag from its bytes; `None` if they are no tag or too long a one.
    pub fn new(bytes: &[u8]) -> Option<Tag> {
        let fits = !bytes.is_empty() && bytes.len() <= limits::TAG;
        let chars = bytes.iter().all(|&b| cursor::is_astring_char(b) && b != b'+');
        if !(fits && chars) {
            return None;
        }
        std::str::from_utf8(bytes).ok().map(|text| Tag(text.into()))
    }

    /// The tag at the start of a line, if there is one.
    pub fn leading(line: &[u8]) -> Option<Tag> {
        let end = memchr::memchr(b' ', &line[..line.len().min(limits::TAG + 1)])?;
        Tag::new(&line[..end])
    }

    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        assert_eq!(Tag::new(b"A001").unwrap().as_str(), "A001");
        assert_eq!(Tag::new(b"a]1").unwrap().as_str(), "a]1");
        for bad in [&b""[..], b"+", b"a+", b"a b", b"a{", b"(", b"\"x\"", b"*", b"a\r", "é".as_bytes()] {
            assert_eq!(Tag::new(bad), None, "{bad:?}");
        }
        assert_eq!(Tag::new(&[b'a'; limits::TAG + 1]), None);
    }

    #[test]
    fn leading_tag() {
        assert_eq!(Tag::leading(b"a1 NOOP").unwrap().as_str(), "a1");
        assert_eq!(Tag::leading(b"a1"), None);
        assert_eq!(Tag::leading(b" NOOP"), None);
        assert_eq!(Tag::leading(&[b'x'; 100_000]), None);
    }
}
