//! Keys of what an account has besides mail: identities to send as, submissions, the automatic reply.

use super::{account_tag_range, prefix_range, read_account, write_account};
use crate::keys::show;
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, SubmissionId};

/// Kinds of objects. The bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Somebody to send as (RFC 8621 §6).
    Identity,
    /// What was given to be sent (RFC 8621 §7).
    Submission,
    /// That rights to something of another have changed (RFC 9670 §3).
    ShareNotification,
    /// The automatic reply (RFC 8621 §8).
    Vacation,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [ObjectKind; 4] =
        [ObjectKind::Identity, ObjectKind::ShareNotification, ObjectKind::Submission, ObjectKind::Vacation];

    /// Its byte.
    pub const fn tag(self) -> u8 {
        match self {
            ObjectKind::Identity => b'i',
            ObjectKind::ShareNotification => b'n',
            ObjectKind::Submission => b's',
            ObjectKind::Vacation => b'v',
        }
    }

    /// The kind that has a byte.
    pub fn from_tag(tag: u8) -> Option<ObjectKind> {
        ObjectKind::ALL.into_iter().find(|kind| kind.tag() == tag)
    }
}

/// An object of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKey {
    /// Account.
    pub account: AccountId,
    /// What it is.
    pub kind: ObjectKind,
    /// Which of the kind.
    pub id: u64,
}

impl Key for ObjectKey {
    const NAME: &'static str = "Object";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'o').tag(self.kind.tag()).fixed64(self.id);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'o')?;
        let [tag] = reader.array()?;
        let kind = ObjectKind::from_tag(tag).ok_or(KeyError::Range)?;
        Ok(Self { account, kind, id: reader.fixed64()? })
    }
}

impl ObjectKey {
    /// All objects of a kind that an account has.
    pub fn range(account: AccountId, kind: ObjectKind) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_account(writer, account, b'o').tag(kind.tag());
        })
    }
}

/// When somebody was sent the automatic reply last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepliedKey {
    /// Account.
    pub account: AccountId,
    /// First bytes of the BLAKE3 hash of the address, in lower case.
    pub hash: [u8; 8],
}

impl Key for RepliedKey {
    const NAME: &'static str = "Replied";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'r').raw(&self.hash);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'r')?;
        Ok(Self { account, hash: reader.array()? })
    }
}

impl RepliedKey {
    /// All to whom an account replied.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'r')
    }
}

/// A submission by what notifications of it may name: its Message-ID, or the ENVID that it was given with (RFC 3461 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmittedKey {
    /// Account.
    pub account: AccountId,
    /// First bytes of the BLAKE3 hash of the name.
    pub name: u64,
    /// Which.
    pub submission: SubmissionId,
}

impl Key for SubmittedKey {
    const NAME: &'static str = "Submitted";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'i').fixed64(self.name).fixed64(self.submission.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'i')?;
        Ok(Self { account, name: reader.fixed64()?, submission: SubmissionId(reader.fixed64()?) })
    }
}

impl SubmittedKey {
    /// All submissions of a name.
    pub fn range(account: AccountId, name: u64) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_account(writer, account, b'i').fixed64(name);
        })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<ObjectKey>(bytes).or_else(|| show::<RepliedKey>(bytes)).or_else(|| show::<SubmittedKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::golden::check;
    use super::*;

    #[test]
    fn golden_bytes() {
        let account = AccountId(5);
        let object = |kind, id| ObjectKey { account, kind, id };
        check(&object(ObjectKind::Identity, 0), b"A\x05oi\0\0\0\0\0\0\0\0");
        check(&object(ObjectKind::ShareNotification, 2), b"A\x05on\0\0\0\0\0\0\0\x02");
        check(&object(ObjectKind::Submission, 258), b"A\x05os\0\0\0\0\0\0\x01\x02");
        check(&object(ObjectKind::Vacation, 1), b"A\x05ov\0\0\0\0\0\0\0\x01");
        check(&RepliedKey { account, hash: *b"12345678" }, b"A\x05r12345678");
        let sent = SubmittedKey { account, name: 258, submission: SubmissionId(3) };
        check(&sent, b"A\x05i\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03");
        assert!(ObjectKey::decode(b"A\x05ox\0\0\0\0\0\0\0\x01").is_err());
    }
}
