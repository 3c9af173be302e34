//! Work that takes more than one transaction.

use crate::Record;

/// How far the removal of an account's mail has come.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PurgeJob {
    /// The address that the account had, for people to read. It may be another account's by now.
    #[prost(string, tag = "1")]
    pub address: String,
    /// When the account was removed, in milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub removed: i64,
    /// The last key that was cleared; empty: begin at the account's first.
    #[prost(bytes = "vec", tag = "3")]
    pub cursor: Vec<u8>,
    /// Rows cleared so far.
    #[prost(uint64, tag = "4")]
    pub rows: u64,
    /// Emails among them: so many references to bodies were let go.
    #[prost(uint64, tag = "5")]
    pub emails: u64,
    /// Octets of those emails.
    #[prost(uint64, tag = "6")]
    pub octets: u64,
}

impl Record for PurgeJob {}

/// A deleted mailbox whose messages are not all gone yet.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EmptyJob {
    /// When it was deleted, in milliseconds since the epoch.
    #[prost(int64, tag = "1")]
    pub deleted: i64,
    /// The last key that was cleared; empty: begin at the mailbox's first.
    #[prost(bytes = "vec", tag = "2")]
    pub cursor: Vec<u8>,
    /// Rows cleared so far.
    #[prost(uint64, tag = "3")]
    pub rows: u64,
    /// Messages among them.
    #[prost(uint64, tag = "4")]
    pub messages: u64,
}

impl Record for EmptyJob {}

/// How far the records of a former format have been written anew.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RewriteJob {
    /// When it began, in milliseconds since the epoch.
    #[prost(int64, tag = "1")]
    pub begun: i64,
    /// All before this key are of the current format; empty: none was looked at.
    #[prost(bytes = "vec", tag = "2")]
    pub cursor: Vec<u8>,
    /// Records looked at.
    #[prost(uint64, tag = "3")]
    pub seen: u64,
    /// Those of them that were written anew.
    #[prost(uint64, tag = "4")]
    pub rewritten: u64,
    /// When all were, in milliseconds since the epoch; 0 as long as they are not.
    #[prost(int64, tag = "5")]
    pub finished: i64,
}

impl Record for RewriteJob {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixture() {
        let record = PurgeJob {
            address: "a@b".into(),
            removed: 300,
            cursor: b"A\x05".to_vec(),
            rows: 3,
            emails: 2,
            octets: 1,
        };
        let bytes = b"\x01\x0a\x03a@b\x10\xac\x02\x1a\x02A\x05\x20\x03\x28\x02\x30\x01";
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(PurgeJob::from_bytes(bytes), Ok(record));
    }

    #[test]
    fn fixture_of_rewriting() {
        let record = RewriteJob { begun: 300, cursor: b"Qe".to_vec(), seen: 3, rewritten: 2, finished: 301 };
        let bytes = b"\x01\x08\xac\x02\x12\x02Qe\x18\x03\x20\x02\x28\xad\x02";
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(RewriteJob::from_bytes(bytes), Ok(record));
    }

    #[test]
    fn fixture_of_a_mailbox() {
        let record = EmptyJob { deleted: 300, cursor: b"A\x05m\x07".to_vec(), rows: 3, messages: 2 };
        let bytes = b"\x01\x08\xac\x02\x12\x04A\x05m\x07\x18\x03\x20\x02";
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(EmptyJob::from_bytes(bytes), Ok(record));
    }
}
