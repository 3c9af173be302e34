//! The published index of mail.

use crate::{BlobHash, Record, RecordError};

/// How many shards accounts are spread over. Written once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Shards {
    /// A divisor of [`crate::keys::system::CHANGE_SLOTS`].
    #[prost(uint32, tag = "1")]
    pub count: u32,
}

impl Record for Shards {}

/// What there is of a shard.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Shard {
    /// The edition that answers; 0 if none does.
    #[prost(uint32, tag = "1")]
    pub current: u32,
    /// How often that was published.
    #[prost(uint64, tag = "2")]
    pub generation: u64,
    /// The edition that is being made to take its place; 0 if none is.
    #[prost(uint32, tag = "3")]
    pub building: u32,
    /// The highest edition so far.
    #[prost(uint32, tag = "4")]
    pub last: u32,
    /// When the latest edition was begun, in milliseconds since the epoch.
    #[prost(int64, tag = "5")]
    pub begun: i64,
    /// Why it was begun, for people to read.
    #[prost(string, tag = "6")]
    pub reason: String,
}

impl Record for Shard {}

/// The segments of an edition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Manifest {
    /// How often it was published.
    #[prost(uint64, tag = "1")]
    pub generation: u64,
    /// When it was published last, in milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub published: i64,
    /// In the order in which they came.
    #[prost(message, repeated, tag = "3")]
    pub segments: Vec<Segment>,
}

impl Record for Manifest {}

/// A segment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Segment {
    /// Its random id: the names of its files begin with it, in hexadecimal digits.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Documents in it, deleted ones included.
    #[prost(uint32, tag = "2")]
    pub documents: u32,
    /// How many of them are deleted.
    #[prost(uint32, tag = "3")]
    pub deleted: u32,
    /// Which of its lists of deleted documents counts; 0 for none.
    #[prost(uint64, tag = "4")]
    pub deletion: u64,
    /// Where its files are.
    #[prost(message, repeated, tag = "5")]
    pub bodies: Vec<Body>,
}

/// A body that has some files, one behind the other.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Body {
    /// Its name.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: Vec<u8>,
    /// In their order.
    #[prost(message, repeated, tag = "2")]
    pub files: Vec<File>,
}

impl Body {
    /// Its name.
    ///
    /// # Errors
    /// When it is none.
    pub fn hash(&self) -> Result<BlobHash, RecordError> {
        self.hash.as_slice().try_into().map(BlobHash).map_err(|_| RecordError::Value("hash"))
    }
}

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct File {
    /// What follows the id in its name: `.idx`.
    #[prost(string, tag = "1")]
    pub suffix: String,
    /// In bytes.
    #[prost(uint64, tag = "2")]
    pub length: u64,
}

/// Up to where an account is in an edition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Indexed {
    /// All its changes up to this mod-sequence are.
    #[prost(uint64, tag = "1")]
    pub upto: u64,
    /// The generation of the manifest that has them: later ones do too.
    #[prost(uint64, tag = "2")]
    pub generation: u64,
    /// There as long as not all of its emails were looked at once.
    #[prost(message, optional, tag = "3")]
    pub filling: Option<Filling>,
    /// Emails created after `upto` and up to here may be in the index already.
    #[prost(uint64, tag = "4")]
    pub doubtful: u64,
    /// Emails that could not be read when they were to be indexed.
    #[prost(fixed64, repeated, tag = "5")]
    pub aside: Vec<u64>,
}

impl Record for Indexed {}

/// How far the first look at an account has come.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Filling {
    /// Emails up to this id are in the index.
    #[prost(fixed64, tag = "1")]
    pub after: u64,
    /// The account's state when it began.
    #[prost(uint64, tag = "2")]
    pub begun: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<R: Record + PartialEq + std::fmt::Debug>(record: &R, fixture: &[u8]) {
        assert_eq!(record.to_bytes(), fixture, "{record:?}");
        assert_eq!(R::from_bytes(fixture).as_ref(), Ok(record));
    }

    #[test]
    fn fixtures() {
        check(&Shards { count: 16 }, b"\x01\x08\x10");
        let shard = Shard { current: 1, generation: 300, building: 2, last: 2, begun: 5, reason: "r".into() };
        check(&shard, b"\x01\x08\x01\x10\xac\x02\x18\x02\x20\x02\x28\x05\x32\x01r");
        let file = File { suffix: ".idx".into(), length: 300 };
        let body = Body { hash: vec![7; 2], files: vec![file] };
        let segment = Segment { id: vec![9], documents: 4, deleted: 1, deletion: 2, bodies: vec![body] };
        let manifest = Manifest { generation: 3, published: 5, segments: vec![segment] };
        check(
            &manifest,
            b"\x01\x08\x03\x10\x05\x1a\x1a\x0a\x01\x09\x10\x04\x18\x01\x20\x02\x2a\x0f\x0a\x02\x07\x07\
            \x12\x09\x0a\x04.idx\x10\xac\x02",
        );
        let indexed = Indexed {
            upto: 300,
            generation: 3,
            filling: Some(Filling { after: 1, begun: 5 }),
            doubtful: 6,
            aside: vec![7],
        };
        check(
            &indexed,
            b"\x01\x08\xac\x02\x10\x03\x1a\x0b\x09\x01\0\0\0\0\0\0\0\x10\x05\x20\x06\x2a\x08\x07\0\0\0\0\0\0\0",
        );
    }

    #[test]
    fn a_name_of_a_body_has_its_length() {
        assert!(Body { hash: vec![1; 31], files: Vec::new() }.hash().is_err());
        assert_eq!(Body { hash: vec![1; 32], files: Vec::new() }.hash(), Ok(BlobHash([1; 32])));
    }
}
