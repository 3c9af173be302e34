//! APPEND (RFC 9051 §6.3.12), of several messages (RFC 3502), with literal8 (RFC 3516) and UTF8 (RFC 6855 §4).
//!
//! The message is not here: [`crate::framer`] hands it through. A frame ends with the announcement, and
//! what follows the message is the next frame, for [`parse_next`].

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};
use crate::datetime::DateTime;
use crate::flag::Flag;
use crate::mailbox::MailboxName;

/// An APPEND up to its first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// The first message.
    pub message: AppendMessage,
}

/// A message about to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its internal date; now, if not given.
    pub internal_date: Option<DateTime>,
    /// Its size in bytes.
    pub size: u64,
    /// How it is written.
    pub syntax: MessageSyntax,
}

/// How the message stands in the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageSyntax {
    /// `{n}`: no NUL in it.
    Literal,
    /// `~{n}`: anything may be in it (RFC 3516 §4.4).
    Literal8,
    /// `UTF8 (~{n} …)`: its headers may be UTF-8 (RFC 6855 §4).
    Utf8,
}

/// `append = "APPEND" SP mailbox 1*append-message` (RFC 3502 §5)
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let mailbox = MailboxName::parse(cursor)?;
    Ok(Body::Append(Append { mailbox, message: message(cursor)? }))
}

/// What follows a message: another one, or `None` at the end of the command. `syntax` is that of the
/// message before.
pub fn parse_next(frame: &[u8], syntax: MessageSyntax) -> Result<Option<AppendMessage>> {
    let mut cursor = Cursor::new(frame, false);
    if syntax == MessageSyntax::Utf8 {
        cursor.expect(b')', "expected a closing parenthesis")?;
    }
    if cursor.rest().iter().all(|&b| b == b' ') {
        return Ok(None);
    }
    let next = message(&mut cursor)?;
    cursor.end().map(|()| Some(next))
}

/// `append-message = append-opts SP append-data`; `append-opts = [SP flag-list] [SP date-time]`;
/// `append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"` (RFC 4466 §6, RFC 6855 §4)
fn message(cursor: &mut Cursor<'_>) -> Result<AppendMessage> {
    cursor.space()?;
    let mut flags = Vec::new();
    if cursor.peek() == Some(b'(') {
        flags = Flag::parse_list(cursor)?;
        cursor.space()?;
    }
    let mut internal_date = None;
    if cursor.peek() == Some(b'"') {
        internal_date = Some(DateTime::parse(cursor)?);
        cursor.space()?;
    }
    let utf8 = cursor.eat_word("UTF8");
    if utf8 {
        cursor.space()?;
        cursor.expect(b'(', "expected a parenthesized literal")?;
    }
    let binary = cursor.peek() == Some(b'~');
    if utf8 && !binary {
        return Err(Problem::Syntax("UTF8 takes a literal8"));
    }
    let header = cursor.literal_header().map_err(|_| Problem::Syntax("expected the message as a literal"))?;
    let syntax = match (utf8, header.binary) {
        (true, _) => MessageSyntax::Utf8,
        (false, true) => MessageSyntax::Literal8,
        (false, false) => MessageSyntax::Literal,
    };
    Ok(AppendMessage { flags, internal_date, size: header.size, syntax })
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    fn append(text: &str) -> Append {
        match body(text) {
            Ok(Body::Append(append)) => append,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// RFC 9051 §6.3.12
    #[test]
    fn known_answers() {
        let a = append("APPEND saved-messages (\\Seen) {326}");
        assert_eq!((a.mailbox.as_str(), a.message.size), ("saved-messages", 326));
        assert_eq!(a.message.flags, [Flag::Seen]);
        let a = append("APPEND {5}\r\ninbox () \"17-Jul-1996 02:44:25 -0700\" {0+}");
        assert_eq!(a.mailbox.as_str(), "INBOX");
        assert_eq!(a.message.internal_date.unwrap().unix_seconds, 837_596_665);
        assert_eq!(append("APPEND x ~{5}").message.syntax, MessageSyntax::Literal8); // RFC 3516 §4.4
        assert_eq!(append("APPEND x UTF8 (~{5}").message.syntax, MessageSyntax::Utf8); // RFC 6855 §4
    }

    /// RFC 3502 §6.3.11
    #[test]
    fn several_messages() {
        let next = parse_next(b" (\\Flagged) \" 7-Feb-1994 22:43:04 -0800\" {295+}", MessageSyntax::Literal);
        let next = next.unwrap().unwrap();
        assert_eq!((next.flags, next.size), (vec![Flag::Flagged], 295));
        assert_eq!(parse_next(b"", MessageSyntax::Literal8), Ok(None));
        assert_eq!(parse_next(b")", MessageSyntax::Utf8), Ok(None));
        assert!(parse_next(b") {3}", MessageSyntax::Utf8).unwrap().is_some());
    }

    #[test]
    fn refused() {
        for bad in [
            "APPEND x",
            "APPEND x y",
            "APPEND x (a {3}",
            "APPEND x UTF8 ({3}",
            "APPEND x {3} x",
            "APPEND x {3}\r\nabc",
        ] {
            assert!(body(bad).is_err(), "{bad:?}");
        }
        assert!(parse_next(b"x", MessageSyntax::Literal).is_err());
        assert!(parse_next(b"", MessageSyntax::Utf8).is_err());
        assert!(parse_next(b" {3} ", MessageSyntax::Literal).is_ok());
    }
}
