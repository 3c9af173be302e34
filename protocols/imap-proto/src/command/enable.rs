//! ENABLE (RFC 5161, RFC 9051 §6.3.1).

use super::Body;
use crate::cursor::{Cursor, Result};

/// An extension that changes what the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// `IMAP4rev2` (RFC 9051 §6.3.1)
    Imap4Rev2,
    /// `CONDSTORE` (RFC 7162 §3.1.8)
    CondStore,
    /// `QRESYNC` (RFC 7162 §3.2.3)
    QResync,
    /// `UTF8=ACCEPT` (RFC 6855 §3)
    Utf8Accept,
}

impl Extension {
    /// The name as capabilities spell it.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Imap4Rev2 => "IMAP4rev2",
            Extension::CondStore => "CONDSTORE",
            Extension::QResync => "QRESYNC",
            Extension::Utf8Accept => "UTF8=ACCEPT",
        }
    }
}

/// `enable = "ENABLE" 1*(SP capability)`. What is unknown is ignored (RFC 5161 §3.1).
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    use Extension::{CondStore, Imap4Rev2, QResync, Utf8Accept};
    let mut wanted = Vec::new();
    cursor.space()?;
    loop {
        let name = cursor.atom()?;
        let known = [Imap4Rev2, CondStore, QResync, Utf8Accept]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name));
        wanted.extend(known.filter(|known| !wanted.contains(known)));
        if !cursor.eat(b' ') || cursor.peek().is_none() {
            return Ok(Body::Enable(wanted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    /// RFC 5161 §3.1, RFC 9051 §6.3.1.
    #[test]
    fn known_answers() {
        assert_eq!(body("ENABLE CONDSTORE X-GOOD-IDEA"), Ok(Body::Enable(vec![Extension::CondStore])));
        assert_eq!(
            body("ENABLE qresync imap4rev2 UTF8=ACCEPT QRESYNC"),
            Ok(Body::Enable(vec![Extension::QResync, Extension::Imap4Rev2, Extension::Utf8Accept]))
        );
        assert_eq!(body("ENABLE X"), Ok(Body::Enable(vec![])));
        assert!(body("ENABLE").is_err());
        assert!(body("ENABLE (CONDSTORE)").is_err());
    }
}
