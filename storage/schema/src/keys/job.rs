//! `J`: work that takes more than one transaction, and how far it has come.
//!
//! | key | value |
//! |-----|-------|
//! | `J e` account mailbox | [`crate::records::job::EmptyJob`] |
//! | `J p` account | [`crate::records::job::PurgeJob`] |
//! | `J l` time account id | nothing: the submission is to be sent at that time |
//! | `J r` level | [`crate::records::job::RewriteJob`]: records whose format that feature level changed |

use super::{read_tags, show};
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, MailboxId, SubmissionId, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'J';

/// The account is removed, and its mail is being removed. Gone when nothing of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeKey {
    /// The account.
    pub account: AccountId,
}

impl PurgeKey {
    /// All accounts whose mail is being removed.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'p');
        })
    }
}

impl Key for PurgeKey {
    const NAME: &'static str = "Purge";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'p').uint(self.account.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'p'])?;
        Ok(PurgeKey { account: AccountId(reader.uint32()?) })
    }
}

/// The mailbox is deleted, and its messages are being removed. Gone when nothing of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyKey {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
}

impl EmptyKey {
    /// All mailboxes whose messages are being removed.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'e');
        })
    }

    /// Those of one account.
    pub fn of(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'e').uint(account.0.into());
        })
    }
}

impl Key for EmptyKey {
    const NAME: &'static str = "Empty";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'e').uint(self.account.0.into()).uint(self.mailbox.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'e'])?;
        Ok(EmptyKey { account: AccountId(reader.uint32()?), mailbox: MailboxId(reader.uint32()?) })
    }
}

/// The records whose format a feature level changed are written anew. Stays when all are, to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewriteKey {
    /// The level.
    pub level: u32,
}

impl RewriteKey {
    /// Those of all levels.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'r');
        })
    }
}

impl Key for RewriteKey {
    const NAME: &'static str = "Rewrite";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'r').uint(self.level.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'r'])?;
        Ok(RewriteKey { level: reader.uint32()? })
    }
}

/// A submission that is to be sent later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterKey {
    /// When, in milliseconds since the epoch; not before it.
    pub time: i64,
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub id: SubmissionId,
}

impl LaterKey {
    /// All of them, by time.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'l');
        })
    }

    /// Behind all that are to be sent up to and with a time.
    pub fn until(time: i64) -> Vec<u8> {
        let time = u64::try_from(time).unwrap_or(0).saturating_add(1);
        let mut writer = KeyWriter::new();
        writer.tag(TAG).tag(b'l').fixed64(time);
        writer.finish()
    }
}

impl Key for LaterKey {
    const NAME: &'static str = "Later";

    fn write(&self, writer: &mut KeyWriter) {
        let time = u64::try_from(self.time).unwrap_or(0);
        writer.tag(TAG).tag(b'l').fixed64(time).uint(self.account.0.into()).fixed64(self.id.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'l'])?;
        let time = i64::try_from(reader.fixed64()?).map_err(|_| KeyError::Range)?;
        Ok(LaterKey { time, account: AccountId(reader.uint32()?), id: SubmissionId(reader.fixed64()?) })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<PurgeKey>(bytes)
        .or_else(|| show::<EmptyKey>(bytes))
        .or_else(|| show::<RewriteKey>(bytes))
        .or_else(|| show::<LaterKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        for (account, bytes) in [(AccountId(7), &b"Jp\x07"[..]), (AccountId(300), b"Jp\xf1\x3c")] {
            let key = PurgeKey { account };
            assert_eq!(key.encode(), bytes);
            assert_eq!(PurgeKey::decode(bytes), Ok(key));
            assert_eq!(crate::explain(bytes), format!("{key:?}"));
            let (begin, end) = PurgeKey::range();
            assert!(*begin <= *bytes && *bytes < *end);
        }
    }

    #[test]
    fn golden_bytes_of_rewriting() {
        for (level, bytes) in [(2, &b"Jr\x02"[..]), (300, b"Jr\xf1\x3c")] {
            let key = RewriteKey { level };
            assert_eq!(key.encode(), bytes);
            assert_eq!(RewriteKey::decode(bytes), Ok(key));
            assert_eq!(crate::explain(bytes), format!("{key:?}"));
            let (begin, end) = RewriteKey::range();
            assert!(*begin <= *bytes && *bytes < *end);
        }
    }

    #[test]
    fn golden_bytes_of_what_waits() {
        let later = LaterKey { time: 258, account: AccountId(5), id: SubmissionId(1) };
        let bytes = b"Jl\0\0\0\0\0\0\x01\x02\x05\0\0\0\0\0\0\0\x01";
        assert_eq!(later.encode(), bytes);
        assert_eq!(LaterKey::decode(bytes), Ok(later));
        assert_eq!(crate::explain(bytes), format!("{later:?}"));
        assert!(later.encode() < LaterKey::until(258) && later.encode() > LaterKey::until(257));
    }

    #[test]
    fn golden_bytes_of_mailboxes() {
        for (account, mailbox, bytes) in [(7, 3, &b"Je\x07\x03"[..]), (300, 300, b"Je\xf1\x3c\xf1\x3c")] {
            let key = EmptyKey { account: AccountId(account), mailbox: MailboxId(mailbox) };
            assert_eq!(key.encode(), bytes);
            assert_eq!(EmptyKey::decode(bytes), Ok(key));
            assert_eq!(crate::explain(bytes), format!("{key:?}"));
            for (begin, end) in [EmptyKey::range(), EmptyKey::of(key.account)] {
                assert!(*begin <= *bytes && *bytes < *end);
            }
        }
    }
}
