//! `e` email: an email, the mailboxes it is in, and its structure.

use super::mailbox::read_uid;
use super::{read_account, write_account};
use crate::keys::show;
use crate::{AccountId, EmailId, Key, KeyError, KeyReader, KeyWriter, MailboxId, Uid, prefix_range};

/// An email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailKey {
    /// Account.
    pub account: AccountId,
    /// Email.
    pub email: EmailId,
}

impl Key for EmailKey {
    const NAME: &'static str = "Email";

    fn write(&self, writer: &mut KeyWriter) {
        write_email(writer, self.account, self.email, b'R');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, email) = read_email(reader, b'R')?;
        Ok(Self { account, email })
    }
}

/// A mailbox and UID under which an email is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipKey {
    /// Account.
    pub account: AccountId,
    /// Email.
    pub email: EmailId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// UID.
    pub uid: Uid,
}

impl Key for MembershipKey {
    const NAME: &'static str = "Membership";

    fn write(&self, writer: &mut KeyWriter) {
        write_email(writer, self.account, self.email, b'b')
            .uint(self.mailbox.0.into())
            .uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, email) = read_email(reader, b'b')?;
        Ok(Self { account, email, mailbox: MailboxId(reader.uint32()?), uid: read_uid(reader)? })
    }
}

impl MembershipKey {
    /// Everywhere an email is found in one mailbox.
    pub fn range_in(account: AccountId, email: EmailId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_email(writer, account, email, b'b').uint(mailbox.0.into());
        })
    }

    /// Everywhere an email is found.
    pub fn range(account: AccountId, email: EmailId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_email(writer, account, email, b'b');
        })
    }
}

/// A part of an email's structure record, which is cut where it is longer than a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructureKey {
    /// Account.
    pub account: AccountId,
    /// Email.
    pub email: EmailId,
    /// From 0.
    pub part: u8,
}

impl Key for StructureKey {
    const NAME: &'static str = "Structure";

    fn write(&self, writer: &mut KeyWriter) {
        write_email(writer, self.account, self.email, b's').tag(self.part);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, email) = read_email(reader, b's')?;
        Ok(Self { account, email, part: read_byte(reader)? })
    }
}

impl StructureKey {
    /// All parts of an email's structure record.
    pub fn range(account: AccountId, email: EmailId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_email(writer, account, email, b's');
        })
    }
}

/// Everything of one email.
pub fn email_range(account: AccountId, email: EmailId) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        write_account(writer, account, b'e').fixed64(email.0);
    })
}

/// Everything of all emails of an account.
pub fn emails_range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
    super::account_tag_range(account, b'e')
}

pub(super) fn write_email(w: &mut KeyWriter, account: AccountId, email: EmailId, tag: u8) -> &mut KeyWriter {
    write_account(w, account, b'e').fixed64(email.0).tag(tag)
}

pub(super) fn read_email(reader: &mut KeyReader<'_>, tag: u8) -> Result<(AccountId, EmailId), KeyError> {
    let account = read_account(reader, b'e')?;
    let email = EmailId(reader.fixed64()?);
    reader.tag(tag)?;
    Ok((account, email))
}

fn read_byte(reader: &mut KeyReader<'_>) -> Result<u8, KeyError> {
    reader.array().map(|[byte]| byte)
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<EmailKey>(bytes).or_else(|| show::<MembershipKey>(bytes)).or_else(|| show::<StructureKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::golden::check;
    use super::*;

    #[test]
    fn golden_bytes() {
        let (account, email) = (AccountId(5), EmailId(0x0102));
        check(&EmailKey { account, email }, b"A\x05e\x00\x00\x00\x00\x00\x00\x01\x02R");
        check(
            &MembershipKey { account, email, mailbox: MailboxId(7), uid: Uid::MIN },
            b"A\x05e\x00\x00\x00\x00\x00\x00\x01\x02b\x07\x01",
        );
        check(&StructureKey { account, email, part: 0 }, b"A\x05e\x00\x00\x00\x00\x00\x00\x01\x02s\x00");
    }
}
