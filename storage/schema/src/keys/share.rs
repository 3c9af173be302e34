//! Access control lists: which mailboxes of an account others may use (RFC 4314, RFC 9670 §4), as part of the directory.
//!
//! | key | value |
//! |-----|-------|
//! | `P p` owner `k` mailbox principal | [`crate::records::account::Share`]: the list of a mailbox |
//! | `P p` principal `h` owner mailbox | [`crate::records::account::Share`]: the same, found by whoever may use it |
//!
//! Both are written by one transaction, and say the same rights. Each goes with the account that it begins with; the other half
//! is cleared by the same transaction. A version that does not know these rows leaves the other half, which counts for nothing:
//! ids are never used again, and whoever reads it looks whether mailbox and account are there.

use super::account::{part_range, principal, read_principal};
use super::show;
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, MailboxId, prefix_range};

/// What somebody may do with a mailbox of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey {
    /// Whose the mailbox is.
    pub owner: AccountId,
    /// Which.
    pub mailbox: MailboxId,
    /// Who may use it.
    pub principal: AccountId,
}

impl ShareKey {
    /// The lists of all mailboxes of an account.
    pub fn of_owner(owner: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(owner, b'k')
    }

    /// The list of a mailbox.
    pub fn of_mailbox(owner: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            principal(writer, owner).tag(b'k').uint(mailbox.0.into());
        })
    }

    /// The other half.
    pub fn other(self) -> SharedKey {
        SharedKey { principal: self.principal, owner: self.owner, mailbox: self.mailbox }
    }
}

impl Key for ShareKey {
    const NAME: &'static str = "Share";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.owner).tag(b'k').uint(self.mailbox.0.into()).uint(self.principal.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let owner = read_principal(reader, b'k')?;
        let mailbox = MailboxId(reader.uint32()?);
        Ok(ShareKey { owner, mailbox, principal: AccountId(reader.uint32()?) })
    }
}

/// The same, found by whoever may use the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedKey {
    /// Who may use it.
    pub principal: AccountId,
    /// Whose it is.
    pub owner: AccountId,
    /// Which.
    pub mailbox: MailboxId,
}

impl SharedKey {
    /// All that somebody may use.
    pub fn of_principal(principal: AccountId) -> (Vec<u8>, Vec<u8>) {
        part_range(principal, b'h')
    }

    /// The other half.
    pub fn other(self) -> ShareKey {
        ShareKey { owner: self.owner, mailbox: self.mailbox, principal: self.principal }
    }
}

impl Key for SharedKey {
    const NAME: &'static str = "Shared";

    fn write(&self, writer: &mut KeyWriter) {
        principal(writer, self.principal).tag(b'h').uint(self.owner.0.into()).uint(self.mailbox.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let principal = read_principal(reader, b'h')?;
        let owner = AccountId(reader.uint32()?);
        Ok(SharedKey { principal, owner, mailbox: MailboxId(reader.uint32()?) })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<ShareKey>(bytes).or_else(|| show::<SharedKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::account::principal_range;

    #[test]
    fn golden_bytes() {
        let share = ShareKey { owner: AccountId(7), mailbox: MailboxId(300), principal: AccountId(8) };
        assert_eq!(share.encode(), b"Pp\x07k\xf1\x3c\x08");
        assert_eq!(share.other().encode(), b"Pp\x08h\x07\xf1\x3c");
        assert_eq!(ShareKey::decode(b"Pp\x07k\xf1\x3c\x08"), Ok(share));
        assert_eq!(SharedKey::decode(b"Pp\x08h\x07\xf1\x3c").map(SharedKey::other), Ok(share));
        assert_eq!(explain(&share.encode()), Some(format!("{share:?}")));
        assert_eq!(explain(&share.other().encode()), Some(format!("{:?}", share.other())));
    }

    #[test]
    fn each_half_goes_with_its_account() {
        let share = ShareKey { owner: AccountId(7), mailbox: MailboxId(1), principal: AccountId(8) };
        let within = |(begin, end): (Vec<u8>, Vec<u8>), key: &[u8]| *begin <= *key && *key < *end;
        let (key, other) = (share.encode(), share.other().encode());
        assert!(within(principal_range(AccountId(7)), &key) && within(principal_range(AccountId(8)), &other));
        assert!(within(ShareKey::of_owner(AccountId(7)), &key));
        assert!(within(ShareKey::of_mailbox(AccountId(7), MailboxId(1)), &key));
        assert!(!within(ShareKey::of_mailbox(AccountId(7), MailboxId(2)), &key));
        assert!(within(SharedKey::of_principal(AccountId(8)), &other));
    }
}
