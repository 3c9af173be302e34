//! The queue of mail to be sent.

use prost::Message;

use crate::{Record, RecordError};

/// What all recipients of a queue entry have in common.
///
/// Format 2 says who submitted it. A program that knows format 1 only would read such an entry, too, but lose that when it
/// writes the entry back: so it has a format of its own, which that program refuses.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// The reverse-path; empty for the null sender.
    #[prost(string, tag = "1")]
    pub return_path: String,
    /// The destination domain, as A-labels in lower case.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// The body's BLAKE3 hash.
    #[prost(bytes = "vec", tag = "3")]
    pub blob: Vec<u8>,
    /// In bytes.
    #[prost(uint64, tag = "4")]
    pub size: u64,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "5")]
    pub created: i64,
    /// When trying ends, in milliseconds since the epoch.
    #[prost(int64, tag = "6")]
    pub expires: i64,
    /// ENVID of RFC 3461 §4.4, decoded; absent if none was given.
    #[prost(string, optional, tag = "7")]
    pub envid: Option<String>,
    /// RET of RFC 3461 §4.3: 0 not given, 1 FULL, 2 HDRS.
    #[prost(uint32, tag = "8")]
    pub ret: u32,
    /// Whether it needs SMTPUTF8 (RFC 6531).
    #[prost(bool, tag = "9")]
    pub smtputf8: bool,
    /// BODY of RFC 6152 and 3030: 0 7BIT, 1 8BITMIME, 2 BINARYMIME.
    #[prost(uint32, tag = "10")]
    pub body: u32,
    /// The slot it is in.
    #[prost(uint32, tag = "11")]
    pub slot: u32,
    /// When it is due, in milliseconds since the epoch: names its row in the due index.
    #[prost(int64, tag = "12")]
    pub due: i64,
    /// 0 waiting (in the due index), 1 claimed, 2 held by an operator.
    #[prost(uint32, tag = "13")]
    pub state: u32,
    /// Under which epoch it is claimed.
    #[prost(uint64, tag = "14")]
    pub epoch: u64,
    /// Whether an operator wants it held or gone once its claim ends: 0 no, 1 held, 2 gone.
    #[prost(uint32, tag = "15")]
    pub wish: u32,
    /// Whether the sender was told that delivery is delayed.
    #[prost(bool, tag = "16")]
    pub delay_reported: bool,
    /// Whether an operator wants the next attempt made whatever is known of the destination.
    #[prost(bool, tag = "17")]
    pub urgent: bool,
    /// Whether the header has octets over 127. Earlier versions did not look.
    #[prost(bool, tag = "18")]
    pub header_8bit: bool,
    /// Whether what follows the header has. Earlier versions did not look.
    #[prost(bool, tag = "19")]
    pub body_8bit: bool,
    /// The account that submitted it; 0 if nobody did, or if that was not kept (format 1).
    #[prost(uint32, tag = "20")]
    pub submitter: u32,
}

impl Record for Entry {
    const FORMAT: u8 = 2;
    const SINCE: Option<u32> = Some(2);

    fn previous(&self) -> Vec<u8> {
        let entry = Entry { submitter: 0, ..self.clone() };
        let mut bytes = Vec::with_capacity(1 + entry.encoded_len());
        bytes.push(1);
        entry.encode_raw(&mut bytes);
        bytes
    }

    fn upgrade(format: u8, fields: &[u8]) -> Result<Self, RecordError> {
        match format {
            1 => Ok(Entry { submitter: 0, ..Entry::decode(fields)? }),
            _ => Err(RecordError::Format(format)),
        }
    }
}

/// An entry that waits, in the index of what is due.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Due {
    /// The entry's destination domain.
    #[prost(string, tag = "1")]
    pub domain: String,
}

impl Record for Due {}

/// A recipient of a queue entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Recipient {
    /// The forward-path.
    #[prost(string, tag = "1")]
    pub address: String,
    /// NOTIFY of RFC 3461 §4.1 as bits: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY; 0 if not given.
    #[prost(uint32, tag = "2")]
    pub notify: u32,
    /// ORCPT of RFC 3461 §4.2 as `type;address`, decoded; absent if none was given.
    #[prost(string, optional, tag = "3")]
    pub orcpt: Option<String>,
    /// 0 pending, 1 delivered, 2 failed.
    #[prost(uint32, tag = "4")]
    pub state: u32,
    /// Attempts begun.
    #[prost(uint32, tag = "5")]
    pub attempts: u32,
    /// When the attempt began whose end is not known, in milliseconds since the epoch; 0 if there is none.
    #[prost(int64, tag = "6")]
    pub in_doubt: i64,
    /// When it is to be tried next, in milliseconds since the epoch.
    #[prost(int64, tag = "7")]
    pub next_attempt: i64,
    /// What the last attempt ended with.
    #[prost(message, optional, tag = "8")]
    pub last: Option<Reply>,
}

impl Record for Recipient {}

/// The submission that a queue entry is of: told what becomes of its recipients.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Link {
    /// The account.
    #[prost(uint32, tag = "1")]
    pub account: u32,
    /// The submission.
    #[prost(fixed64, tag = "2")]
    pub submission: u64,
}

impl Record for Link {}

/// The answer of a remote host, or our own in its place.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reply {
    /// As RFC 5321 §4.2; 0 if the host was not reached.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// As RFC 3463, such as `5.1.1`; empty if there is none.
    #[prost(string, tag = "2")]
    pub enhanced: String,
    /// For people to read.
    #[prost(string, tag = "3")]
    pub text: String,
    /// The host's name; empty if none was reached.
    #[prost(string, tag = "4")]
    pub host: String,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "5")]
    pub time: i64,
}

/// Who works on an entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Claim {
    /// The epoch of the slot's owner.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
}

impl Record for Claim {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture<R: Record + PartialEq + std::fmt::Debug>(record: &R, bytes: &[u8]) {
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(R::from_bytes(bytes).as_ref(), Ok(record));
    }

    #[test]
    fn fixture_of_an_entry() {
        let entry = Entry {
            return_path: "a@b".into(),
            domain: "c".into(),
            blob: vec![7, 7],
            size: 4,
            created: 5,
            expires: 6,
            envid: Some("e".into()),
            ret: 1,
            smtputf8: true,
            body: 1,
            slot: 11,
            due: 12,
            state: 1,
            epoch: 14,
            wish: 2,
            delay_reported: true,
            urgent: true,
            header_8bit: true,
            body_8bit: true,
            submitter: 0,
        };
        let bytes =
            b"\x01\x0a\x03a@b\x12\x01c\x1a\x02\x07\x07\x20\x04\x28\x05\x30\x06\x3a\x01e\x40\x01\x48\x01\
            \x50\x01\x58\x0b\x60\x0c\x68\x01\x70\x0e\x78\x02\x80\x01\x01\x88\x01\x01\x90\x01\x01\x98\x01\x01";
        assert_eq!(entry.to_bytes_at(1), bytes);
        assert_eq!(Entry::from_bytes(bytes).as_ref(), Ok(&entry));
        assert!(!Entry::is_current(bytes));
        // Format 2: the same fields, and one more.
        let submitted = Entry { submitter: 300, ..entry.clone() };
        assert_eq!(submitted.to_bytes_at(1), bytes, "format 1 has no room for it");
        let bytes = [b"\x02", &bytes[1..], b"\xa0\x01\xac\x02"].concat();
        assert_eq!(submitted.to_bytes_at(2), bytes);
        assert_eq!(submitted.to_bytes_at(3), bytes);
        assert!(Entry::is_current(&bytes));
        let read = Entry::from_bytes(&bytes);
        match cfg!(feature = "previous") {
            true => assert_eq!(read, Err(RecordError::Format(2))),
            false => assert_eq!(read, Ok(submitted)),
        }
        assert_eq!(Entry::from_bytes(b"\x03"), Err(RecordError::Format(3)));
    }

    #[test]
    fn fixtures() {
        let last = Reply { code: 450, enhanced: "4.2.1".into(), text: "t".into(), host: "h".into(), time: 5 };
        let recipient = Recipient {
            address: "x@c".into(),
            notify: 2,
            orcpt: Some("rfc822;x".into()),
            state: 1,
            attempts: 5,
            in_doubt: 6,
            next_attempt: 7,
            last: Some(last),
        };
        let bytes = b"\x01\x0a\x03x@c\x10\x02\x1a\x08rfc822;x\x20\x01\x28\x05\x30\x06\x38\x07\
            \x42\x12\x08\xc2\x03\x12\x054.2.1\x1a\x01t\x22\x01h\x28\x05";
        fixture(&recipient, bytes);
        fixture(&Due { domain: "c".into() }, b"\x01\x0a\x01c");
        fixture(&Claim { epoch: 7 }, b"\x01\x08\x07");
    }
}
