//! Flags as a client names them (RFC 9051 §2.3.2).

use crate::cursor::{Cursor, Result};
use crate::{Problem, limits};

/// A flag on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: known, never stored (RFC 9051 §2.3.2; RFC 3501 lets no client alter it).
    Recent,
    /// A keyword: an atom such as `$Forwarded`.
    Keyword(String),
    /// A system flag that is not ours, such as `\Important`; without the backslash.
    Unknown(String),
}

impl Flag {
    /// `flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension`;
    /// `flag-extension = "\" atom`
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Flag> {
        let system = cursor.eat(b'\\');
        let name = cursor.atom().map_err(|_| Problem::Syntax("invalid flag"))?;
        if name.len() > limits::KEYWORD {
            return Err(Problem::Limit("flag is too long"));
        }
        if !system {
            return Ok(Flag::Keyword(name.to_owned()));
        }
        let known = [
            ("Answered", Flag::Answered),
            ("Flagged", Flag::Flagged),
            ("Deleted", Flag::Deleted),
            ("Seen", Flag::Seen),
            ("Draft", Flag::Draft),
            ("Recent", Flag::Recent),
        ];
        let flag = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        Ok(flag.map_or_else(|| Flag::Unknown(name.to_owned()), |(_, flag)| flag))
    }

    /// `flag-list = "(" [flag *(SP flag)] ")"`
    pub(crate) fn parse_list(cursor: &mut Cursor<'_>) -> Result<Vec<Flag>> {
        cursor.list(true, Flag::parse)
    }

    /// `flag-keyword`: an atom with no backslash (SEARCH KEYWORD).
    pub(crate) fn parse_keyword(cursor: &mut Cursor<'_>) -> Result<String> {
        match Flag::parse(cursor)? {
            Flag::Keyword(name) => Ok(name),
            _ => Err(Problem::Syntax("expected a keyword")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Flag>> {
        Flag::parse_list(&mut Cursor::new(text.as_bytes(), false))
    }

    #[test]
    fn lists() {
        assert_eq!(parse("()").unwrap(), []);
        let flags = parse("(\\seen \\DELETED $MDNSent \\XFoo)").unwrap();
        let expected =
            [Flag::Seen, Flag::Deleted, Flag::Keyword("$MDNSent".into()), Flag::Unknown("XFoo".into())];
        assert_eq!(flags, expected);
    }

    #[test]
    fn refused() {
        for bad in ["(\\)", "(\\*)", "(a,b\")", "(a b", "(a  b)", "(\"a\")", "(\\\\Seen)"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let long = format!("({})", "k".repeat(limits::KEYWORD + 1));
        assert!(matches!(parse(&long), Err(Problem::Limit(_))));
    }
}
