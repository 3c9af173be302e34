//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3) with CONDSTORE and QRESYNC (RFC 7162).

use std::num::NonZeroU32;

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};
use crate::mailbox::MailboxName;
use crate::sequence::SequenceSet;

/// Opening a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Which.
    pub mailbox: MailboxName,
    /// EXAMINE: nothing may be changed (RFC 9051 §6.3.3).
    pub read_only: bool,
    /// `(CONDSTORE)` (RFC 7162 §3.1.8)
    pub condstore: bool,
    /// `(QRESYNC (…))` (RFC 7162 §3.2.5)
    pub qresync: Option<QresyncParameters>,
}

/// What a client knows of the mailbox (RFC 7162 §3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QresyncParameters {
    /// The UIDVALIDITY it was told last.
    pub uid_validity: NonZeroU32,
    /// The highest mod-sequence it has seen.
    pub modseq: u64,
    /// The UIDs it has.
    pub known_uids: Option<SequenceSet>,
    /// Sequence numbers and the UIDs at them, as samples.
    pub match_data: Option<(SequenceSet, SequenceSet)>,
}

/// `select = "SELECT" SP mailbox [select-params]`; `examine = "EXAMINE" SP mailbox [select-params]`;
/// `select-params = SP "(" select-param *(SP select-param) ")"` (RFC 4466 §6, RFC 7162 §7)
pub(super) fn parse(cursor: &mut Cursor<'_>, read_only: bool) -> Result<Body> {
    cursor.space()?;
    let mailbox = MailboxName::parse(cursor)?;
    let mut select = Select { mailbox, read_only, condstore: false, qresync: None };
    if cursor.eat(b' ') && cursor.peek().is_some() {
        cursor.list(false, |cursor| {
            if cursor.eat_word("CONDSTORE") {
                select.condstore = true;
                Ok(())
            } else if cursor.eat_word("QRESYNC") {
                cursor.space()?;
                select.qresync = Some(qresync(cursor)?);
                Ok(())
            } else {
                Err(Problem::Syntax("unknown SELECT parameter"))
            }
        })?;
    }
    Ok(Body::Select(select))
}

/// `select-param =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids]
/// [SP seq-match-data] ")"`; `seq-match-data = "(" known-sequence-set SP known-uid-set ")"` (RFC 7162 §7)
fn qresync(cursor: &mut Cursor<'_>) -> Result<QresyncParameters> {
    cursor.expect(b'(', "expected a parenthesized list")?;
    let uid_validity = cursor.nz_number()?;
    cursor.space()?;
    // Deviation: 0 is read as "I know nothing", some clients send it on first sight of a mailbox.
    let modseq = cursor.number64()?;
    let mut parameters = QresyncParameters { uid_validity, modseq, known_uids: None, match_data: None };
    if cursor.eat(b' ') {
        if cursor.peek() != Some(b'(') {
            parameters.known_uids = Some(SequenceSet::parse_known(cursor)?);
        }
        if parameters.known_uids.is_none() || cursor.eat(b' ') {
            cursor.expect(b'(', "expected a parenthesized list")?;
            let numbers = SequenceSet::parse_known(cursor)?;
            cursor.space()?;
            parameters.match_data = Some((numbers, SequenceSet::parse_known(cursor)?));
            cursor.expect(b')', "expected a closing parenthesis")?;
        }
    }
    cursor.expect(b')', "expected a closing parenthesis")?;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    fn select(text: &str) -> Select {
        match body(text) {
            Ok(Body::Select(select)) => select,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn known_answers() {
        let plain = select("SELECT INBOX");
        assert_eq!((plain.mailbox.as_str(), plain.read_only, plain.condstore), ("INBOX", false, false));
        assert!(select("EXAMINE blurdybloop").read_only);
        assert!(select("SELECT INBOX (CONDSTORE)").condstore); // RFC 7162 §3.1.8
    }

    /// RFC 7162 §3.2.5
    #[test]
    fn qresync_examples() {
        let q =
            select("SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))").qresync.unwrap();
        assert_eq!((q.uid_validity.get(), q.modseq), (67_890_007, 20_050_715_194_045_000));
        assert_eq!(q.known_uids, SequenceSet::from_text("41,43:211,214:541"));
        assert_eq!(q.match_data, None);
        let q = select(
            "SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541 (1,5,10 42,48,73)) CONDSTORE)",
        );
        assert!(q.condstore);
        assert!(q.qresync.unwrap().match_data.is_some());
        let q = select("SELECT INBOX (QRESYNC (67890007 90060115194045000 (1 42)))").qresync.unwrap();
        assert!(q.known_uids.is_none() && q.match_data.is_some());
        assert_eq!(select("SELECT INBOX (QRESYNC (1 0))").qresync.unwrap().modseq, 0);
    }

    #[test]
    fn refused() {
        for bad in [
            "SELECT INBOX ()",
            "SELECT INBOX (FOO)",
            "SELECT INBOX CONDSTORE",
            "SELECT INBOX (QRESYNC)",
            "SELECT INBOX (QRESYNC (0 5))",
            "SELECT INBOX (QRESYNC (1 5 1:*))",
            "SELECT INBOX (QRESYNC (1 5 ))",
            "SELECT INBOX (QRESYNC (1 5 1 ()))",
        ] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
