//! STATUS (RFC 9051 §6.3.11).

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};
use crate::mailbox::MailboxName;

/// Counters of a mailbox that need not be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub mailbox: MailboxName,
    /// What: at least one.
    pub items: Vec<StatusItem>,
}

/// `status-att = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / "DELETED" / "SIZE"` (RFC 9051 §9)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// Number of messages.
    Messages,
    /// Messages that no session has been told of (RFC 3501 §6.3.10).
    Recent,
    /// The next UID.
    UidNext,
    /// The UIDVALIDITY.
    UidValidity,
    /// Number of messages without `\Seen`.
    Unseen,
    /// Number of messages with `\Deleted` (RFC 9051 §6.3.11; STATUS=DELETED of RFC 9208 §4.1.4).
    Deleted,
    /// Sum of the sizes, in bytes (RFC 8438 §2).
    Size,
    /// Bytes that expunging would free (RFC 9208 §4.1.4).
    DeletedStorage,
    /// The highest mod-sequence (RFC 7162 §3.1.7).
    HighestModSeq,
    /// The largest message APPEND takes here, in bytes (RFC 7889 §2).
    AppendLimit,
    /// The mailbox's id (RFC 8474 §4.3).
    MailboxId,
}

impl StatusItem {
    /// All, with their names on the wire.
    pub const ALL: [(&'static str, StatusItem); 11] = [
        ("MESSAGES", StatusItem::Messages),
        ("RECENT", StatusItem::Recent),
        ("UIDNEXT", StatusItem::UidNext),
        ("UIDVALIDITY", StatusItem::UidValidity),
        ("UNSEEN", StatusItem::Unseen),
        ("DELETED", StatusItem::Deleted),
        ("SIZE", StatusItem::Size),
        ("DELETED-STORAGE", StatusItem::DeletedStorage),
        ("HIGHESTMODSEQ", StatusItem::HighestModSeq),
        ("APPENDLIMIT", StatusItem::AppendLimit),
        ("MAILBOXID", StatusItem::MailboxId),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, item)| *item == self).map_or("MESSAGES", |(name, _)| name)
    }

    /// `"(" status-att *(SP status-att) ")"`
    pub(crate) fn parse_list(cursor: &mut Cursor<'_>) -> Result<Vec<StatusItem>> {
        let mut items: Vec<StatusItem> = Vec::new();
        cursor.list(false, |cursor| {
            let name = cursor.atom()?;
            let known = Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, item) = known.ok_or(Problem::Syntax("unknown STATUS item"))?;
            if !items.contains(item) {
                items.push(*item);
            }
            Ok(())
        })?;
        Ok(items)
    }
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let mailbox = MailboxName::parse(cursor)?;
    cursor.space()?;
    Ok(Body::Status(Status { mailbox, items: StatusItem::parse_list(cursor)? }))
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    fn items(text: &str) -> Vec<StatusItem> {
        match body(text) {
            Ok(Body::Status(status)) => status.items,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn known_answers() {
        // RFC 9051 §6.3.11
        assert_eq!(
            items("STATUS blurdybloop (UIDNEXT MESSAGES)"),
            [StatusItem::UidNext, StatusItem::Messages]
        );
        // RFC 8438 §2, RFC 7162 §3.1.7, RFC 7889 §3, RFC 8474 §4.3
        assert_eq!(
            items("STATUS x (size HIGHESTMODSEQ APPENDLIMIT MAILBOXID SIZE)"),
            [StatusItem::Size, StatusItem::HighestModSeq, StatusItem::AppendLimit, StatusItem::MailboxId]
        );
    }

    #[test]
    fn every_item_has_its_name() {
        for (name, item) in StatusItem::ALL {
            assert_eq!(item.name(), name);
            assert_eq!(items(&format!("STATUS x ({name})")), [item]);
        }
    }

    #[test]
    fn refused() {
        for bad in ["STATUS x", "STATUS x ()", "STATUS x MESSAGES", "STATUS x (FOO)", "STATUS (MESSAGES)"] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
