//! A server's reply read by a client.

use std::borrow::Cow;

use memchr::memchr;

use super::{Enhanced, Reply};
use crate::limits;

/// A reply that cannot be used: the connection must be closed and the attempt counted as transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not three digits, a mark and text; or lines of one reply with different codes.
    #[error("malformed reply")]
    Malformed,
    /// A line or a number of lines beyond [`limits`].
    #[error("reply too long")]
    TooLong,
}

/// Collects the lines of one reply. Use a new one for each reply.
#[derive(Debug, Default)]
pub struct ReplyParser {
    reply: Option<Reply>,
    consumed: usize,
}

impl ReplyParser {
    /// A parser at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for a whole reply at the start of `buffer`, which only grows between calls. Returns the reply and
    /// how many octets it took.
    ///
    /// Deviation: a line that ends with a bare LF is taken. A server that writes those harms nobody but itself,
    /// and mail to it would else bounce.
    ///
    /// # Errors
    ///
    /// The peer must act: what it sends is no SMTP reply.
    pub fn parse(&mut self, buffer: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
        loop {
            let rest = buffer.get(self.consumed..).unwrap_or_default();
            let Some(lf) = memchr(b'\n', rest) else {
                let fits = rest.len() < limits::REPLY_LINE_READ;
                return if fits { Ok(None) } else { Err(ReplyError::TooLong) };
            };
            self.consumed += lf + 1;
            if lf >= limits::REPLY_LINE_READ {
                return Err(ReplyError::TooLong);
            }
            let line = rest[..lf].strip_suffix(b"\r").unwrap_or(&rest[..lf]);
            if self.take_line(line)? {
                return Ok(self.reply.take().map(|reply| (reply, self.consumed)));
            }
        }
    }

    /// Adds a line; says whether it was the last.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        let (code, last, text) = split(line).ok_or(ReplyError::Malformed)?;
        // RFC 5321 §4.2.1: the lines of a reply have one code.
        let reply = match &mut self.reply {
            Some(reply) if reply.code != code => return Err(ReplyError::Malformed),
            Some(reply) => reply,
            none => none.insert(Reply { code, enhanced: None, lines: Vec::new() }),
        };
        if reply.lines.len() >= limits::REPLY_LINES_READ {
            return Err(ReplyError::TooLong);
        }
        let text = String::from_utf8_lossy(text);
        let (enhanced, text) = split_enhanced(code, &text);
        reply.enhanced = reply.enhanced.or(enhanced);
        reply.lines.push(Cow::Owned(text.chars().filter(|c| !c.is_control()).collect()));
        Ok(last)
    }
}

/// Code, whether it is the last line, text. RFC 5321 §4.2: a code without text is taken.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if !(200..=599).contains(&code) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// RFC 2034 §4: the enhanced code has the class of the reply's first digit.
fn split_enhanced(code: u16, text: &str) -> (Option<Enhanced>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match Enhanced::parse(word) {
        Some(enhanced) if u16::from(enhanced.class) == code / 100 => (Some(enhanced), rest),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<(Reply, usize)>, ReplyError> {
        ReplyParser::new().parse(text.as_bytes())
    }

    #[test]
    fn known_answers() {
        // RFC 5321 §4.2.1.
        let text = "250-First line\r\n250-Second line\r\n250-234 Text beginning with numbers\r\n250 The last line\r\nX";
        let (reply, used) = parse(text).unwrap().unwrap();
        assert_eq!((reply.code, used, reply.lines().len()), (250, text.len() - 1, 4));
        assert_eq!(reply.lines()[2], "234 Text beginning with numbers");
        // RFC 2034 §5.
        let (reply, _) = parse("550 5.7.1 Not for you\r\n").unwrap().unwrap();
        assert_eq!((reply.enhanced, &*reply.lines()[0]), (Some(Enhanced::new(5, 7, 1)), "Not for you"));
        let (reply, _) = parse("250 5.7.1 other class\n").unwrap().unwrap();
        assert_eq!(reply.enhanced, None);
        assert_eq!(parse("220\r\n").unwrap().unwrap().0.code, 220);
    }

    #[test]
    fn malformed() {
        for bad in [
            "\r\n",
            "25\r\n",
            "2500 x\r\n",
            "150 x\r\n",
            "600 x\r\n",
            "+25 x\r\n",
            "250-a\r\n251 b\r\n",
            "HTTP/1.1 400\r\n",
            "250_x\r\n",
        ] {
            assert_eq!(parse(bad), Err(ReplyError::Malformed), "{bad}");
        }
    }

    #[test]
    fn limits_hold() {
        assert_eq!(parse(&"2".repeat(limits::REPLY_LINE_READ)), Err(ReplyError::TooLong));
        assert_eq!(
            parse(&format!("250 {}\r\n", "x".repeat(limits::REPLY_LINE_READ))),
            Err(ReplyError::TooLong)
        );
        assert_eq!(parse(&"250-x\r\n".repeat(limits::REPLY_LINES_READ + 1)), Err(ReplyError::TooLong));
    }

    #[test]
    fn arrives_in_pieces() {
        let text = b"250-a\r\n250 2.0.0 b\r\n";
        let mut parser = ReplyParser::new();
        for end in 0..text.len() {
            assert_eq!(parser.parse(&text[..end]).unwrap(), None);
        }
        assert_eq!(parser.parse(text).unwrap().unwrap().1, text.len());
    }

    proptest! {
        #[test]
        fn never_panics(input in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = ReplyParser::new().parse(&input);
        }
    }
}
