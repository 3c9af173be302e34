//! Mailboxes, messages, emails, quota and the change log.

use crate::codec::PENDING;
use crate::keys::mail::ObjectKind;
use crate::{BlobHash, EmailId, ModSeq, Record, RecordError, STAMP_LEN, Stamp, SystemFlags, ThreadId};

/// A mailbox.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MailboxRecord {
    /// Id of the mailbox it lies in; none at the top.
    #[prost(uint32, optional, tag = "1")]
    pub parent: Option<u32>,
    /// Last part of its path.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Role, 0 for none; the numbers are `mail::Role`'s.
    #[prost(uint32, tag = "3")]
    pub role: u32,
    /// UIDVALIDITY.
    #[prost(uint32, tag = "4")]
    pub uid_validity: u32,
    /// When it was made, seconds since the epoch.
    #[prost(int64, tag = "5")]
    pub created: i64,
    /// Place among its siblings (RFC 8621 §2). A version that does not know it leaves it out.
    #[prost(uint32, tag = "6")]
    pub sort_order: u32,
}

impl Record for MailboxRecord {}

/// The numbers an account gave out last.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AllocationRecord {
    /// Mailbox id.
    #[prost(uint32, tag = "1")]
    pub mailbox: u32,
    /// Keyword id.
    #[prost(uint32, tag = "2")]
    pub keyword: u32,
    /// UIDVALIDITY.
    #[prost(uint32, tag = "3")]
    pub uid_validity: u32,
    /// Key of the hashes that find threads; never changes.
    #[prost(fixed64, tag = "4")]
    pub thread_secret: u64,
}

impl Record for AllocationRecord {}

/// What an account may hold; none for no limit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QuotaLimitRecord {
    /// Octets of all messages; each copy of an email counts.
    #[prost(uint64, optional, tag = "1")]
    pub octets: Option<u64>,
    /// Messages in all mailboxes.
    #[prost(uint64, optional, tag = "2")]
    pub messages: Option<u64>,
}

impl Record for QuotaLimitRecord {}

/// An email: what is the same in every mailbox it is in.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EmailRecord {
    /// Hash of the body.
    #[prost(bytes = "vec", tag = "1")]
    pub blob: Vec<u8>,
    /// Octets.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// Thread.
    #[prost(fixed64, tag = "3")]
    pub thread: u64,
    /// When it came, seconds since the epoch (RFC 8621 §4.1.1 `receivedAt`).
    #[prost(int64, tag = "4")]
    pub received: i64,
}

impl Record for EmailRecord {}

impl EmailRecord {
    /// The body's name.
    pub fn blob_hash(&self) -> Result<BlobHash, RecordError> {
        self.blob.as_slice().try_into().map(BlobHash).map_err(|_| RecordError::Value("blob"))
    }
}

/// What was found of an email's signature when it was looked at last (RFC 9219 §4.1). A version that does not know it finds it out
/// whenever it is asked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignatureRecord {
    /// What it was then.
    #[prost(enumeration = "SignatureStatus", tag = "1")]
    pub status: i32,
    /// What it was as of when the email came.
    #[prost(enumeration = "SignatureStatus", tag = "2")]
    pub at_delivery: i32,
    /// Why it failed.
    #[prost(string, repeated, tag = "3")]
    pub errors: Vec<String>,
    /// When it was looked at, seconds since the epoch.
    #[prost(int64, tag = "4")]
    pub verified: i64,
    /// When it is to be looked at again, seconds since the epoch: then a certificate ends, perhaps.
    #[prost(int64, tag = "5")]
    pub due: i64,
    /// Whose word on certificates was taken.
    #[prost(fixed64, tag = "6")]
    pub authorities: u64,
}

impl Record for SignatureRecord {}

/// What a signature is worth. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum SignatureStatus {
    /// Nothing was signed that could be verified.
    Unknown = 1,
    /// It was verified.
    Verified = 2,
    /// It was not.
    Failed = 3,
}

/// A message's row: `[format][versionstamp of the last change, 10][blob hash, 32][fields]`.
///
/// Stamp and hash lie outside the fields: the one because the store fills it in, the other because rows are
/// read by the million and need no allocation so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Commit of the last change, the MODSEQ; [`PENDING`] in a row being written.
    pub stamp: Stamp,
    /// Hash of the body.
    pub blob: BlobHash,
    /// Email.
    pub email: EmailId,
    /// Thread.
    pub thread: ThreadId,
    /// System flags.
    pub system: SystemFlags,
    /// Keyword ids, ascending.
    pub keywords: Vec<u32>,
    /// INTERNALDATE, seconds since the epoch.
    pub internal_date: i64,
    /// When it came into this mailbox, seconds since the epoch (RFC 8514).
    pub save_date: i64,
    /// Octets.
    pub size: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageFields {
    #[prost(fixed64, tag = "1")]
    email: u64,
    #[prost(fixed64, tag = "2")]
    thread: u64,
    #[prost(uint32, tag = "3")]
    system: u32,
    #[prost(uint32, repeated, tag = "4")]
    keywords: Vec<u32>,
    #[prost(int64, tag = "5")]
    internal_date: i64,
    #[prost(int64, tag = "6")]
    save_date: i64,
    #[prost(uint64, tag = "7")]
    size: u64,
}

impl MessageRecord {
    const FORMAT: u8 = 1;

    /// Where the versionstamp lies in the value.
    pub const STAMP_OFFSET: usize = 1;

    /// The MODSEQ.
    pub fn modseq(&self) -> ModSeq {
        ModSeq::of_stamp(&self.stamp)
    }

    /// The stored bytes, the stamp pending.
    pub fn to_bytes(&self) -> Vec<u8> {
        let fields = MessageFields {
            email: self.email.0,
            thread: self.thread.0,
            system: self.system.bits().into(),
            keywords: self.keywords.clone(),
            internal_date: self.internal_date,
            save_date: self.save_date,
            size: self.size,
        };
        let mut bytes = Vec::with_capacity(1 + STAMP_LEN + 32 + prost::Message::encoded_len(&fields));
        bytes.push(Self::FORMAT);
        bytes.extend_from_slice(&PENDING);
        bytes.extend_from_slice(&self.blob.0);
        prost::Message::encode_raw(&fields, &mut bytes);
        bytes
    }

    /// Reads a stored row.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let (&format, rest) = bytes.split_first().ok_or(RecordError::Short)?;
        if format != Self::FORMAT {
            return Err(RecordError::Format(format));
        }
        let (stamp, rest) = rest.split_first_chunk::<STAMP_LEN>().ok_or(RecordError::Short)?;
        let (blob, rest) = rest.split_first_chunk::<32>().ok_or(RecordError::Short)?;
        let fields: MessageFields = prost::Message::decode(rest)?;
        Ok(Self {
            stamp: *stamp,
            blob: BlobHash(*blob),
            email: EmailId(fields.email),
            thread: ThreadId(fields.thread),
            system: SystemFlags::from_bits(fields.system as u8),
            keywords: fields.keywords,
            internal_date: fields.internal_date,
            save_date: fields.save_date,
            size: fields.size,
        })
    }
}

/// What a change did. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ChangeKind {
    /// Emails came into being.
    EmailCreated = 1,
    /// Emails changed flags or mailboxes.
    EmailUpdated = 2,
    /// Emails left their last mailbox.
    EmailDestroyed = 3,
    /// A mailbox was made.
    MailboxCreated = 4,
    /// A mailbox was renamed, moved, or got another role.
    MailboxUpdated = 5,
    /// A mailbox was deleted.
    MailboxDestroyed = 6,
    /// Objects came into being.
    ObjectCreated = 7,
    /// Objects changed.
    ObjectUpdated = 8,
    /// Objects went.
    ObjectDestroyed = 9,
    /// Somebody may do other things with a mailbox: `objects` are the principal, and the bits of its rights before and after.
    MailboxShared = 10,
}

/// An entry of the change log: enough to answer `/changes` of Email, Thread and Mailbox (RFC 8620 §5.2).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChangeRecord {
    /// What happened.
    #[prost(enumeration = "ChangeKind", tag = "1")]
    pub kind: i32,
    /// When, seconds since the epoch; the log is trimmed by it.
    #[prost(int64, tag = "2")]
    pub at: i64,
    /// The emails.
    #[prost(fixed64, repeated, tag = "3")]
    pub emails: Vec<u64>,
    /// The threads touched.
    #[prost(fixed64, repeated, tag = "4")]
    pub threads: Vec<u64>,
    /// The mailboxes touched: their counters, or themselves.
    #[prost(uint32, repeated, tag = "5")]
    pub mailboxes: Vec<u32>,
    /// Those of `threads` that began here (with `EmailCreated`) or ended (with `EmailDestroyed`).
    #[prost(fixed64, repeated, tag = "6")]
    pub threads_ended_or_begun: Vec<u64>,
    /// The kind of the objects, as in their keys; 0 if there are none.
    #[prost(uint32, tag = "7")]
    pub object_kind: u32,
    /// The objects.
    #[prost(fixed64, repeated, tag = "8")]
    pub objects: Vec<u64>,
    /// Whether emails may be seen now where none was, or no longer (RFC 8621 §4.1.1): then their threads are of others.
    /// A version that does not know it leaves it out.
    #[prost(bool, tag = "9")]
    pub shows_or_hides: bool,
}

impl ChangeRecord {
    /// What happened to an object, at so many seconds since the epoch.
    pub fn of_object(kind: ChangeKind, (of, id): (ObjectKind, u64), at: i64) -> Self {
        Self { kind: kind as i32, at, object_kind: of.tag().into(), objects: vec![id], ..Self::default() }
    }
}

impl Record for ChangeRecord {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn check<R: Record + PartialEq + std::fmt::Debug>(record: &R, fixture: &str) {
        let bytes = record.to_bytes();
        assert_eq!(hex(&bytes), fixture, "{record:?}");
        assert_eq!(R::from_bytes(&bytes).as_ref(), Ok(record));
        // A field of a later version is skipped: tag 100, one byte.
        let later = [bytes.as_slice(), &[0xa0, 0x06, 1]].concat();
        assert_eq!(R::from_bytes(&later).as_ref(), Ok(record));
    }

    #[test]
    fn fixtures() {
        let mailbox = MailboxRecord {
            parent: Some(0),
            name: "Work".into(),
            role: 2,
            uid_validity: 1_790_000_000,
            created: -1,
            sort_order: 300,
        };
        check(&mailbox, "0108001204576f726b18022080f7c4d50628ffffffffffffffffff0130ac02");
        let allocation = AllocationRecord { mailbox: 6, keyword: 1, uid_validity: 300, thread_secret: 5 };
        check(&allocation, "010806100118ac02210500000000000000");
        check(&QuotaLimitRecord { octets: Some(1 << 30), messages: None }, "01088080808004");
        let email = EmailRecord { blob: vec![7; 2], size: 4096, thread: 1, received: 5 };
        check(&email, "010a0207071080201901000000000000002005");
        let change = ChangeRecord {
            kind: ChangeKind::EmailUpdated as i32,
            at: 9,
            emails: vec![1],
            threads: vec![2],
            mailboxes: vec![3, 300],
            threads_ended_or_begun: vec![],
            ..ChangeRecord::default()
        };
        check(&change, "01080210091a080100000000000000220802000000000000002a0303ac02");
        let change = ChangeRecord {
            kind: ChangeKind::ObjectCreated as i32,
            object_kind: 105,
            objects: vec![1],
            ..ChangeRecord::default()
        };
        check(&change, "010807386942080100000000000000");
        let kind = ChangeKind::EmailUpdated as i32;
        check(&ChangeRecord { kind, shows_or_hides: true, ..ChangeRecord::default() }, "0108024801");
    }

    #[test]
    fn golden_bytes_of_a_signature() {
        let signature = SignatureRecord {
            status: SignatureStatus::Failed as i32,
            at_delivery: SignatureStatus::Verified as i32,
            errors: vec!["a".into(), "b".into()],
            verified: 4,
            due: 5,
            authorities: 6,
        };
        check(&signature, "01080310021a01611a016220042805310600000000000000");
    }

    #[test]
    fn a_row_has_its_stamp_and_hash_in_place() {
        let row = MessageRecord {
            stamp: PENDING,
            blob: BlobHash([9; 32]),
            email: EmailId(1),
            thread: ThreadId(2),
            system: SystemFlags::SEEN | SystemFlags::DRAFT,
            keywords: vec![1, 200],
            internal_date: 1,
            save_date: 2,
            size: 3,
        };
        let mut bytes = row.to_bytes();
        assert_eq!(hex(&bytes[43..]), "0901000000000000001102000000000000001811220301c801280130023803");
        bytes[MessageRecord::STAMP_OFFSET..][..STAMP_LEN].copy_from_slice(&[0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        let read = MessageRecord::from_bytes(&bytes).unwrap();
        assert_eq!(read.modseq(), ModSeq(256));
        assert_eq!(MessageRecord { stamp: PENDING, ..read }, row);
        assert_eq!(MessageRecord::from_bytes(&bytes[..20]), Err(RecordError::Short));
    }
}
