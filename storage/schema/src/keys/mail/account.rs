//! Keys of an account as a whole: its mailboxes, keywords, quota, subscriptions and change log.

use super::{account_tag_range, read_account, write_account};
use crate::keys::show;
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, MailboxId, ModSeq, Stamp};

/// A mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
}

impl Key for MailboxKey {
    const NAME: &'static str = "Mailbox";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'M').uint(self.mailbox.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'M')?;
        Ok(Self { account, mailbox: MailboxId(reader.uint32()?) })
    }
}

impl MailboxKey {
    /// All mailboxes of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'M')
    }
}

/// The mailbox that has a name below a parent: a whole tree is renamed by moving one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxNameKey {
    /// Account.
    pub account: AccountId,
    /// `None` at the top.
    pub parent: Option<MailboxId>,
    /// Last part of the path.
    pub name: String,
}

impl Key for MailboxNameKey {
    const NAME: &'static str = "MailboxName";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'n')
            .uint(self.parent.map_or(0, |parent| u64::from(parent.0) + 1))
            .raw(self.name.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'n')?;
        Ok(Self { account, parent: read_parent(reader)?, name: read_text(reader)? })
    }
}

impl MailboxNameKey {
    /// The names of all mailboxes of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'n')
    }
}

/// The mailbox that has a role, which at most one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleKey {
    /// Account.
    pub account: AccountId,
    /// Number of the role, as in the mailbox record.
    pub role: u8,
}

impl Key for RoleKey {
    const NAME: &'static str = "Role";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'R').tag(self.role);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'R')?;
        Ok(Self { account, role: read_byte(reader)? })
    }
}

/// The numbers given out last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationKey {
    /// Account.
    pub account: AccountId,
}

impl Key for AllocationKey {
    const NAME: &'static str = "Allocation";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'a');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'a')?;
        Ok(Self { account })
    }
}

/// Changes with each mailbox created, renamed or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeKey {
    /// Account.
    pub account: AccountId,
}

impl Key for TreeKey {
    const NAME: &'static str = "Tree";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'T');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'T')?;
        Ok(Self { account })
    }
}

/// Changes with each change of the account; watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastChangeKey {
    /// Account.
    pub account: AccountId,
}

impl Key for LastChangeKey {
    const NAME: &'static str = "LastChange";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'L');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'L')?;
        Ok(Self { account })
    }
}

/// What the account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaUsedKey {
    /// Account.
    pub account: AccountId,
}

impl Key for QuotaUsedKey {
    const NAME: &'static str = "QuotaUsed";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'q');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'q')?;
        Ok(Self { account })
    }
}

/// What the account may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimitKey {
    /// Account.
    pub account: AccountId,
}

impl Key for QuotaLimitKey {
    const NAME: &'static str = "QuotaLimit";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'Q');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'Q')?;
        Ok(Self { account })
    }
}

/// A name the user subscribed to, whether or not a mailbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionKey {
    /// Account.
    pub account: AccountId,
    /// Full name as the user sees it.
    pub name: String,
}

impl Key for SubscriptionKey {
    const NAME: &'static str = "Subscription";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'S').raw(self.name.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'S')?;
        Ok(Self { account, name: read_text(reader)? })
    }
}

impl SubscriptionKey {
    /// All subscriptions of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'S')
    }
}

/// The highest UIDVALIDITY a path has shown, kept when its mailbox leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredValidityKey {
    /// Account.
    pub account: AccountId,
    /// First bytes of the BLAKE3 hash of the path.
    pub hash: [u8; 8],
}

impl Key for RetiredValidityKey {
    const NAME: &'static str = "RetiredValidity";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'v').raw(&self.hash);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'v')?;
        Ok(Self { account, hash: reader.array()? })
    }
}

/// A keyword of the account, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeywordKey {
    /// Account.
    pub account: AccountId,
    /// Number, from 1.
    pub id: u32,
}

impl Key for KeywordKey {
    const NAME: &'static str = "Keyword";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'k').uint(self.id.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'k')?;
        Ok(Self { account, id: reader.uint32()? })
    }
}

impl KeywordKey {
    /// All keywords of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'k')
    }
}

/// A keyword of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordNameKey {
    /// Account.
    pub account: AccountId,
    /// Name in lower case.
    pub folded: String,
}

impl Key for KeywordNameKey {
    const NAME: &'static str = "KeywordName";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'K').raw(self.folded.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'K')?;
        Ok(Self { account, folded: read_text(reader)? })
    }
}

impl KeywordNameKey {
    /// The names of all keywords of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'K')
    }
}

/// An entry of the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeKey {
    /// Account.
    pub account: AccountId,
    /// Commit that wrote it.
    pub stamp: Stamp,
    /// Tells apart the entries of one commit.
    pub discriminator: u64,
}

impl Key for ChangeKey {
    const NAME: &'static str = "Change";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'l').stamp(&self.stamp).fixed64(self.discriminator);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'l')?;
        Ok(Self { account, stamp: reader.stamp()?, discriminator: reader.fixed64()? })
    }
}

impl ChangeKey {
    /// The whole change log of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'l')
    }

    /// The changes after a modseq.
    pub fn after(account: AccountId, since: ModSeq) -> (Vec<u8>, Vec<u8>) {
        let key = ChangeKey { account, stamp: since.next_stamp(), discriminator: 0 };
        (key.encode(), ChangeKey::range(account).1)
    }
}

/// Up to where the change log was trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeFloorKey {
    /// Account.
    pub account: AccountId,
}

impl Key for ChangeFloorKey {
    const NAME: &'static str = "ChangeFloor";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'F');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'F')?;
        Ok(Self { account })
    }
}

fn read_text(reader: &mut KeyReader<'_>) -> Result<String, KeyError> {
    String::from_utf8(reader.rest().to_vec()).map_err(|_| KeyError::Range)
}

fn read_byte(reader: &mut KeyReader<'_>) -> Result<u8, KeyError> {
    reader.array().map(|[byte]| byte)
}

fn read_parent(reader: &mut KeyReader<'_>) -> Result<Option<MailboxId>, KeyError> {
    match reader.uint()? {
        0 => Ok(None),
        parent => u32::try_from(parent - 1).map(|id| Some(MailboxId(id))).map_err(|_| KeyError::Range),
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<MailboxKey>(bytes)
        .or_else(|| show::<MailboxNameKey>(bytes))
        .or_else(|| show::<RoleKey>(bytes))
        .or_else(|| show::<AllocationKey>(bytes))
        .or_else(|| show::<TreeKey>(bytes))
        .or_else(|| show::<LastChangeKey>(bytes))
        .or_else(|| show::<QuotaUsedKey>(bytes))
        .or_else(|| show::<QuotaLimitKey>(bytes))
        .or_else(|| show::<SubscriptionKey>(bytes))
        .or_else(|| show::<RetiredValidityKey>(bytes))
        .or_else(|| show::<KeywordKey>(bytes))
        .or_else(|| show::<KeywordNameKey>(bytes))
        .or_else(|| show::<ChangeKey>(bytes))
        .or_else(|| show::<ChangeFloorKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::golden::check;
    use super::*;

    const A: AccountId = AccountId(5);
    const B: AccountId = AccountId(300);

    #[test]
    fn golden_bytes() {
        check(&MailboxKey { account: A, mailbox: MailboxId(7) }, b"A\x05M\x07");
        check(&MailboxNameKey { account: A, parent: None, name: "Work".into() }, b"A\x05n\x00Work");
        check(
            &MailboxNameKey { account: B, parent: Some(MailboxId(0)), name: "\u{e9}".into() },
            b"A\xf1\x3cn\x01\xc3\xa9",
        );
        check(&RoleKey { account: A, role: 3 }, b"A\x05R\x03");
        check(&AllocationKey { account: A }, b"A\x05a");
        check(&TreeKey { account: A }, b"A\x05T");
        check(&LastChangeKey { account: A }, b"A\x05L");
        check(&QuotaUsedKey { account: A }, b"A\x05q");
        check(&QuotaLimitKey { account: A }, b"A\x05Q");
        check(&SubscriptionKey { account: A, name: "a/b".into() }, b"A\x05Sa/b");
        check(&RetiredValidityKey { account: A, hash: *b"01234567" }, b"A\x05v01234567");
        check(&KeywordKey { account: A, id: 1 }, b"A\x05k\x01");
        check(&KeywordNameKey { account: A, folded: "$x".into() }, b"A\x05K$x");
        check(
            &ChangeKey { account: A, stamp: *b"0123456789", discriminator: 258 },
            b"A\x05l0123456789\x00\x00\x00\x00\x00\x00\x01\x02",
        );
        check(&ChangeFloorKey { account: A }, b"A\x05F");
    }

    #[test]
    fn the_stamp_of_a_change_is_found() {
        let key = ChangeKey { account: B, stamp: crate::codec::PENDING, discriminator: 1 };
        assert_eq!(key.encode_stamped().1, 4);
    }
}
