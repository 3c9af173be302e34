//! `m` mailbox: what belongs to one mailbox, one contiguous range within its account.
//!
//! | key (behind `A` account `m` mailbox) | value |
//! |---|---|
//! | `C` | counters: exists, unseen, deleted (4 bytes each), octets (8 bytes), one little-endian number |
//! | `H` | versionstamp of the last change: HIGHESTMODSEQ |
//! | `N` | UIDNEXT, 4 bytes |
//! | `V` | 8 bytes modseq: expunges up to it are forgotten |
//! | `d` received uid | nothing: order of INTERNALDATE |
//! | `e` sent uid | nothing: order of the Date field |
//! | `f` from uid | nothing: order of the first From address |
//! | `g` flag uid | nothing: the messages with a flag |
//! | `j` subject uid | nothing: order of the base subject |
//! | `o` stamp uid | nothing: order of last change |
//! | `p` page | UID page ([`crate::page::Page`]) |
//! | `r` uid | [`MessageRecord`](crate::records::mail::MessageRecord) |
//! | `x` stamp uid | vanished UIDs as ranges ([`crate::page::encode_ranges`]); the UID is the first of them |
//! | `z` size uid | nothing: order of size |

use super::{read_account, write_account};
use crate::keys::show;
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, MailboxId, ModSeq, Stamp, Uid, prefix_range};

/// The number of an index of messages that carry a flag: system flags by bit, `\Seen` missing, keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagNumber(pub u32);

impl FlagNumber {
    /// Messages without `\Seen`: these are few where those with it are many.
    pub const UNSEEN: FlagNumber = FlagNumber(8);
    const KEYWORDS: u32 = 16;

    /// The index of a system flag, given by its bit's number.
    pub const fn system(bit: u32) -> FlagNumber {
        FlagNumber(bit)
    }

    /// The index of a keyword.
    pub const fn keyword(id: u32) -> FlagNumber {
        FlagNumber(id.saturating_add(FlagNumber::KEYWORDS))
    }
}

/// How many messages, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountersKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
}

impl Key for CountersKey {
    const NAME: &'static str = "Counters";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'C');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'C')?;
        Ok(Self { account, mailbox })
    }
}

/// HIGHESTMODSEQ of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighestKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
}

impl Key for HighestKey {
    const NAME: &'static str = "Highest";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'H');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'H')?;
        Ok(Self { account, mailbox })
    }
}

/// UIDNEXT of a mailbox: what two inserts conflict on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidNextKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
}

impl Key for UidNextKey {
    const NAME: &'static str = "UidNext";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'N');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'N')?;
        Ok(Self { account, mailbox })
    }
}

/// Up to where the log of expunges was trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VanishedFloorKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
}

impl Key for VanishedFloorKey {
    const NAME: &'static str = "VanishedFloor";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'V');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'V')?;
        Ok(Self { account, mailbox })
    }
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// UID.
    pub uid: Uid,
}

impl Key for MessageKey {
    const NAME: &'static str = "Message";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'r').uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'r')?;
        Ok(Self { account, mailbox, uid: read_uid(reader)? })
    }
}

impl MessageKey {
    /// The messages from `first` to `last`.
    pub fn range(account: AccountId, mailbox: MailboxId, first: u32, last: u32) -> (Vec<u8>, Vec<u8>) {
        let key = |uid: u64| {
            let mut writer = KeyWriter::new();
            write_mailbox(&mut writer, account, mailbox, b'r').uint(uid);
            writer.finish()
        };
        (key(first.into()), key(u64::from(last) + 1))
    }
}

/// A page of 4,096 UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// UID divided by 4,096.
    pub page: u32,
}

impl Key for PageKey {
    const NAME: &'static str = "Page";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'p').uint(self.page.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'p')?;
        Ok(Self { account, mailbox, page: reader.uint32()? })
    }
}

impl PageKey {
    /// All pages of a mailbox.
    pub fn range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'p')
    }
}

/// A message in the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Commit that wrote it.
    pub stamp: Stamp,
    /// UID.
    pub uid: Uid,
}

impl Key for OrderKey {
    const NAME: &'static str = "Order";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'o')
            .stamp(&self.stamp)
            .uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'o')?;
        Ok(Self { account, mailbox, stamp: reader.stamp()?, uid: read_uid(reader)? })
    }
}

impl OrderKey {
    /// What changed after a modseq.
    pub fn after(account: AccountId, mailbox: MailboxId, since: ModSeq) -> (Vec<u8>, Vec<u8>) {
        let key = OrderKey { account, mailbox, stamp: since.next_stamp(), uid: Uid::MIN };
        (key.encode(), mailbox_tag_range(account, mailbox, b'o').1)
    }
}

/// An expunge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VanishedKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Commit that wrote it.
    pub stamp: Stamp,
    /// First UID of those that vanished.
    pub first: Uid,
}

impl Key for VanishedKey {
    const NAME: &'static str = "Vanished";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'x')
            .stamp(&self.stamp)
            .uint(self.first.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'x')?;
        Ok(Self { account, mailbox, stamp: reader.stamp()?, first: read_uid(reader)? })
    }
}

impl VanishedKey {
    /// What vanished after a modseq.
    pub fn after(account: AccountId, mailbox: MailboxId, since: ModSeq) -> (Vec<u8>, Vec<u8>) {
        let key = VanishedKey { account, mailbox, stamp: since.next_stamp(), first: Uid::MIN };
        (key.encode(), mailbox_tag_range(account, mailbox, b'x').1)
    }
}

/// A message in the order of INTERNALDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Seconds since the epoch.
    pub seconds: i64,
    /// UID.
    pub uid: Uid,
}

impl Key for ReceivedKey {
    const NAME: &'static str = "Received";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'd')
            .seconds(self.seconds)
            .uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'd')?;
        Ok(Self { account, mailbox, seconds: reader.seconds()?, uid: read_uid(reader)? })
    }
}

impl ReceivedKey {
    /// The whole index.
    pub fn range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'd')
    }
}

/// A message in the order of its Date field (RFC 5256 §2.2), of INTERNALDATE where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Seconds since the epoch.
    pub seconds: i64,
    /// UID.
    pub uid: Uid,
}

impl Key for SentKey {
    const NAME: &'static str = "Sent";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'e')
            .seconds(self.seconds)
            .uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'e')?;
        Ok(Self { account, mailbox, seconds: reader.seconds()?, uid: read_uid(reader)? })
    }
}

impl SentKey {
    /// The whole index.
    pub fn range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'e')
    }
}

/// A message in the order of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Octets.
    pub size: u64,
    /// UID.
    pub uid: Uid,
}

impl Key for SizeKey {
    const NAME: &'static str = "Size";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'z').uint(self.size).uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'z')?;
        Ok(Self { account, mailbox, size: reader.uint()?, uid: read_uid(reader)? })
    }
}

impl SizeKey {
    /// The whole index.
    pub fn range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'z')
    }
}

/// A message in the order of its first From address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Normalized and cut.
    pub from: Vec<u8>,
    /// UID.
    pub uid: Uid,
}

impl Key for FromKey {
    const NAME: &'static str = "From";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'f').bytes(&self.from).uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'f')?;
        Ok(Self { account, mailbox, from: reader.bytes()?, uid: read_uid(reader)? })
    }
}

impl FromKey {
    /// The whole index.
    pub fn range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'f')
    }
}

/// A message in the order of its base subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Normalized and cut.
    pub subject: Vec<u8>,
    /// UID.
    pub uid: Uid,
}

impl Key for SubjectKey {
    const NAME: &'static str = "Subject";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'j')
            .bytes(&self.subject)
            .uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'j')?;
        Ok(Self { account, mailbox, subject: reader.bytes()?, uid: read_uid(reader)? })
    }
}

impl SubjectKey {
    /// The whole index.
    pub fn range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'j')
    }
}

/// A message that carries a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagKey {
    /// Account.
    pub account: AccountId,
    /// Mailbox.
    pub mailbox: MailboxId,
    /// Which.
    pub flag: FlagNumber,
    /// UID.
    pub uid: Uid,
}

impl Key for FlagKey {
    const NAME: &'static str = "Flag";

    fn write(&self, writer: &mut KeyWriter) {
        write_mailbox(writer, self.account, self.mailbox, b'g')
            .uint(self.flag.0.into())
            .uint(self.uid.get().into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, mailbox) = read_mailbox(reader, b'g')?;
        Ok(Self { account, mailbox, flag: FlagNumber(reader.uint32()?), uid: read_uid(reader)? })
    }
}

impl FlagKey {
    /// All flags of a mailbox.
    pub fn all(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
        mailbox_tag_range(account, mailbox, b'g')
    }

    /// The messages that carry a flag, from a UID on.
    pub fn range(account: AccountId, mailbox: MailboxId, flag: FlagNumber, first: u32) -> (Vec<u8>, Vec<u8>) {
        let (begin, end) = prefix_range(|writer| {
            write_mailbox(writer, account, mailbox, b'g').uint(flag.0.into());
        });
        match Uid::new(first) {
            Some(uid) => (FlagKey { account, mailbox, flag, uid }.encode(), end),
            None => (begin, end),
        }
    }
}

/// All that belongs to a mailbox except its record.
pub fn mailbox_range(account: AccountId, mailbox: MailboxId) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        write_account(writer, account, b'm').uint(mailbox.0.into());
    })
}

fn write_mailbox(w: &mut KeyWriter, account: AccountId, mailbox: MailboxId, tag: u8) -> &mut KeyWriter {
    write_account(w, account, b'm').uint(mailbox.0.into()).tag(tag)
}

fn read_mailbox(reader: &mut KeyReader<'_>, tag: u8) -> Result<(AccountId, MailboxId), KeyError> {
    let account = read_account(reader, b'm')?;
    let mailbox = MailboxId(reader.uint32()?);
    reader.tag(tag)?;
    Ok((account, mailbox))
}

fn mailbox_tag_range(account: AccountId, mailbox: MailboxId, tag: u8) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        write_mailbox(writer, account, mailbox, tag);
    })
}

pub(super) fn read_uid(reader: &mut KeyReader<'_>) -> Result<Uid, KeyError> {
    Uid::new(reader.uint32()?).ok_or(KeyError::Range)
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<CountersKey>(bytes)
        .or_else(|| show::<HighestKey>(bytes))
        .or_else(|| show::<UidNextKey>(bytes))
        .or_else(|| show::<VanishedFloorKey>(bytes))
        .or_else(|| show::<MessageKey>(bytes))
        .or_else(|| show::<PageKey>(bytes))
        .or_else(|| show::<OrderKey>(bytes))
        .or_else(|| show::<VanishedKey>(bytes))
        .or_else(|| show::<ReceivedKey>(bytes))
        .or_else(|| show::<SentKey>(bytes))
        .or_else(|| show::<SizeKey>(bytes))
        .or_else(|| show::<FromKey>(bytes))
        .or_else(|| show::<SubjectKey>(bytes))
        .or_else(|| show::<FlagKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::golden::check;
    use super::*;

    #[test]
    fn golden_bytes() {
        let (account, mailbox) = (AccountId(5), MailboxId(7));
        let uid = Uid::new(1000).unwrap();
        check(&CountersKey { account, mailbox }, b"A\x05m\x07C");
        check(&HighestKey { account, mailbox }, b"A\x05m\x07H");
        check(&UidNextKey { account, mailbox }, b"A\x05m\x07N");
        check(&VanishedFloorKey { account, mailbox }, b"A\x05m\x07V");
        check(&MessageKey { account, mailbox, uid }, b"A\x05m\x07r\xf3\xf8");
        check(&PageKey { account, mailbox, page: 0 }, b"A\x05m\x07p\x00");
        check(&OrderKey { account, mailbox, stamp: *b"0123456789", uid }, b"A\x05m\x07o0123456789\xf3\xf8");
        check(
            &VanishedKey { account, mailbox, stamp: *b"0123456789", first: uid },
            b"A\x05m\x07x0123456789\xf3\xf8",
        );
        check(&ReceivedKey { account, mailbox, seconds: 1, uid }, b"A\x05m\x07d\x80\x00\x00\x00\x01\xf3\xf8");
        check(&SentKey { account, mailbox, seconds: -1, uid }, b"A\x05m\x07e\x7f\xff\xff\xff\xff\xf3\xf8");
        check(&SizeKey { account, mailbox, size: 4096, uid }, b"A\x05m\x07z\xf9\x07\x10\xf3\xf8");
        check(&FromKey { account, mailbox, from: b"a@b".to_vec(), uid }, b"A\x05m\x07fa@b\x00\xf3\xf8");
        check(
            &SubjectKey { account, mailbox, subject: b"\x00".to_vec(), uid },
            b"A\x05m\x07j\x00\xff\x00\xf3\xf8",
        );
        check(&FlagKey { account, mailbox, flag: FlagNumber::UNSEEN, uid }, b"A\x05m\x07g\x08\xf3\xf8");
        check(&FlagKey { account, mailbox, flag: FlagNumber::keyword(1), uid }, b"A\x05m\x07g\x11\xf3\xf8");
    }

    #[test]
    fn a_range_of_messages_includes_both_ends() {
        let (account, mailbox) = (AccountId(1), MailboxId(1));
        let (begin, end) = MessageKey::range(account, mailbox, 3, u32::MAX);
        let key = |uid| MessageKey { account, mailbox, uid: Uid::new(uid).unwrap() }.encode();
        assert!(key(2) < begin && begin <= key(3) && key(u32::MAX) < end);
    }
}
