//! `B`: bodies, their references, and what may be deleted.
//!
//! All rows of one body lie together, so that an insert dirties one place and a deletion is one range.
//!
//! | key | value |
//! |-----|-------|
//! | `B h` hash `c` index | a piece of the body: [`CHUNK`] bytes, the last one fewer |
//! | `B h` hash `m` | [`crate::records::blob::BlobMeta`] |
//! | `B h` hash `r` owner | empty: the owner holds the body |
//! | `B h` hash `u` | [`crate::records::blob::Unreferenced`] |
//! | `B c` since hash | empty: nothing held the body at that time |
//! | `B u` account expires hash | 8 bytes little-endian: octets of an upload, for as long as it stays |
//! | `B x` expires account hash | empty: an upload to be let go |
//! | `B n` name | empty: an object that lies in the store, whole or not |
//! | `B o` name index | a piece of that object: [`CHUNK`] bytes, the last one fewer |
//!
//! The name of an object is its hash, the time when it was staged, and a random number.

use super::{read_tags, show};
use crate::{AccountId, BlobHash, EmailId, Key, KeyError, KeyReader, KeyWriter, QueueId, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'B';

/// Bytes of a body in one row; leaves room below the store's limit of 100,000.
pub const CHUNK: usize = 90_000;

/// What holds a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobOwner {
    /// An email: `e` account email.
    Email(AccountId, EmailId),
    /// A queue entry: `q` id.
    Queue(QueueId),
    /// The published index of a shard, by an edition of it: `s` shard edition.
    Index {
        /// The shard.
        shard: u32,
        /// Which edition.
        edition: u32,
    },
    /// A client's upload that nothing uses yet: `u` account expires.
    Upload {
        /// Whose it is.
        account: AccountId,
        /// When it is let go, in milliseconds since the epoch.
        expires: i64,
    },
}

impl BlobOwner {
    fn write(self, writer: &mut KeyWriter) {
        match self {
            BlobOwner::Email(account, email) => writer.tag(b'e').uint(account.0.into()).fixed64(email.0),
            BlobOwner::Queue(id) => writer.tag(b'q').fixed64(id.0),
            BlobOwner::Index { shard, edition } => writer.tag(b's').uint(shard.into()).uint(edition.into()),
            BlobOwner::Upload { account, expires } => {
                writer.tag(b'u').uint(account.0.into()).fixed64(millis_out(expires))
            }
        };
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        match reader.peek().ok_or(KeyError::Short)? {
            b'e' => {
                reader.tag(b'e')?;
                Ok(BlobOwner::Email(AccountId(reader.uint32()?), EmailId(reader.fixed64()?)))
            }
            b'q' => {
                reader.tag(b'q')?;
                Ok(BlobOwner::Queue(QueueId(reader.fixed64()?)))
            }
            b's' => {
                reader.tag(b's')?;
                Ok(BlobOwner::Index { shard: reader.uint32()?, edition: reader.uint32()? })
            }
            _ => {
                reader.tag(b'u')?;
                let account = AccountId(reader.uint32()?);
                Ok(BlobOwner::Upload { account, expires: millis_in(reader)? })
            }
        }
    }
}

/// Milliseconds in key order; times before the epoch become the epoch.
fn millis_out(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0)
}

fn millis_in(reader: &mut KeyReader<'_>) -> Result<i64, KeyError> {
    i64::try_from(reader.fixed64()?).map_err(|_| KeyError::Range)
}

fn body(writer: &mut KeyWriter, hash: BlobHash) -> &mut KeyWriter {
    writer.tag(TAG).tag(b'h').raw(&hash.0)
}

fn read_body(reader: &mut KeyReader<'_>) -> Result<BlobHash, KeyError> {
    read_tags(reader, &[TAG, b'h'])?;
    Ok(BlobHash(reader.array()?))
}

/// All rows of a body but its candidate and expiry rows.
pub fn body_range(hash: BlobHash) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        body(writer, hash);
    })
}

/// What is known of a body; it is there if this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobMetaKey {
    /// Its hash.
    pub hash: BlobHash,
}

impl Key for BlobMetaKey {
    const NAME: &'static str = "BlobMeta";

    fn write(&self, writer: &mut KeyWriter) {
        body(writer, self.hash).tag(b'm');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let hash = read_body(reader)?;
        reader.tag(b'm')?;
        Ok(BlobMetaKey { hash })
    }
}

/// A piece of a body that lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobChunkKey {
    /// Its hash.
    pub hash: BlobHash,
    /// From 0.
    pub index: u32,
}

impl Key for BlobChunkKey {
    const NAME: &'static str = "BlobChunk";

    fn write(&self, writer: &mut KeyWriter) {
        body(writer, self.hash).tag(b'c').uint(self.index.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let hash = read_body(reader)?;
        reader.tag(b'c')?;
        Ok(BlobChunkKey { hash, index: reader.uint32()? })
    }
}

/// Somebody holds a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobReferenceKey {
    /// The body.
    pub hash: BlobHash,
    /// The holder.
    pub owner: BlobOwner,
}

impl BlobReferenceKey {
    /// All holders of a body.
    pub fn range(hash: BlobHash) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            body(writer, hash).tag(b'r');
        })
    }
}

impl Key for BlobReferenceKey {
    const NAME: &'static str = "BlobReference";

    fn write(&self, writer: &mut KeyWriter) {
        self.owner.write(body(writer, self.hash).tag(b'r'));
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let hash = read_body(reader)?;
        reader.tag(b'r')?;
        Ok(BlobReferenceKey { hash, owner: BlobOwner::read(reader)? })
    }
}

/// Since when nothing held a body; names its candidate row. Out of date if something holds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobUnreferencedKey {
    /// The body.
    pub hash: BlobHash,
}

impl Key for BlobUnreferencedKey {
    const NAME: &'static str = "BlobUnreferenced";

    fn write(&self, writer: &mut KeyWriter) {
        body(writer, self.hash).tag(b'u');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let hash = read_body(reader)?;
        reader.tag(b'u')?;
        Ok(BlobUnreferencedKey { hash })
    }
}

/// A body that may be deleted after the grace period, if nothing holds it again; by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobCandidateKey {
    /// When its last reference went, in milliseconds since the epoch.
    pub since: i64,
    /// The body.
    pub hash: BlobHash,
}

impl BlobCandidateKey {
    /// All candidates since before a time, in milliseconds since the epoch.
    pub fn range_before(millis: i64) -> (Vec<u8>, Vec<u8>) {
        time_range(b'c', millis)
    }
}

impl Key for BlobCandidateKey {
    const NAME: &'static str = "BlobCandidate";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'c').fixed64(millis_out(self.since)).raw(&self.hash.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'c'])?;
        Ok(BlobCandidateKey { since: millis_in(reader)?, hash: BlobHash(reader.array()?) })
    }
}

/// An upload that is let go at a time; by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobUploadExpiryKey {
    /// When, in milliseconds since the epoch.
    pub expires: i64,
    /// Whose it is.
    pub account: AccountId,
    /// The body.
    pub hash: BlobHash,
}

impl BlobUploadExpiryKey {
    /// All uploads that expire before a time, in milliseconds since the epoch.
    pub fn range_before(millis: i64) -> (Vec<u8>, Vec<u8>) {
        time_range(b'x', millis)
    }
}

impl Key for BlobUploadExpiryKey {
    const NAME: &'static str = "BlobUploadExpiry";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'x').fixed64(millis_out(self.expires)).uint(self.account.0.into());
        writer.raw(&self.hash.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'x'])?;
        let (expires, account) = (millis_in(reader)?, AccountId(reader.uint32()?));
        Ok(BlobUploadExpiryKey { expires, account, hash: BlobHash(reader.array()?) })
    }
}

/// An upload, by whose it is: what an account has uploaded is one range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobUploadKey {
    /// Whose it is.
    pub account: AccountId,
    /// When it is let go, in milliseconds since the epoch.
    pub expires: i64,
    /// The body.
    pub hash: BlobHash,
}

impl BlobUploadKey {
    /// The uploads of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'u').uint(account.0.into());
        })
    }
}

impl Key for BlobUploadKey {
    const NAME: &'static str = "BlobUpload";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'u').uint(self.account.0.into()).fixed64(millis_out(self.expires));
        writer.raw(&self.hash.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'u'])?;
        let (account, expires) = (AccountId(reader.uint32()?), millis_in(reader)?);
        Ok(BlobUploadKey { account, expires, hash: BlobHash(reader.array()?) })
    }
}

/// The name of an object that lies in the store: hash, staged (milliseconds since the epoch), nonce.
pub type StoredObject = (BlobHash, i64, u64);

fn write_object(writer: &mut KeyWriter, tag: u8, (hash, staged, nonce): StoredObject) -> &mut KeyWriter {
    writer.tag(TAG).tag(tag).raw(&hash.0).fixed64(millis_out(staged)).fixed64(nonce)
}

fn read_object(reader: &mut KeyReader<'_>, tag: u8) -> Result<StoredObject, KeyError> {
    read_tags(reader, &[TAG, tag])?;
    Ok((BlobHash(reader.array()?), millis_in(reader)?, reader.fixed64()?))
}

/// An object lies in the store, or is being written: its pieces may only be written while this is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobObjectKey {
    /// Its name.
    pub object: StoredObject,
}

impl BlobObjectKey {
    /// All objects whose hash begins with a byte.
    pub fn shard_range(first: u8) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'n').raw(&[first]);
        })
    }
}

impl Key for BlobObjectKey {
    const NAME: &'static str = "BlobObject";

    fn write(&self, writer: &mut KeyWriter) {
        write_object(writer, b'n', self.object);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(BlobObjectKey { object: read_object(reader, b'n')? })
    }
}

/// A piece of an object that lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobPieceKey {
    /// The object.
    pub object: StoredObject,
    /// From 0.
    pub index: u32,
}

impl BlobPieceKey {
    /// All pieces of an object.
    pub fn range(object: StoredObject) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_object(writer, b'o', object);
        })
    }
}

impl Key for BlobPieceKey {
    const NAME: &'static str = "BlobPiece";

    fn write(&self, writer: &mut KeyWriter) {
        write_object(writer, b'o', self.object).uint(self.index.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(BlobPieceKey { object: read_object(reader, b'o')?, index: reader.uint32()? })
    }
}

fn time_range(tag: u8, before: i64) -> (Vec<u8>, Vec<u8>) {
    let mut end = KeyWriter::new();
    end.tag(TAG).tag(tag).fixed64(millis_out(before));
    (vec![TAG, tag], end.finish())
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<BlobMetaKey>(bytes)
        .or_else(|| show::<BlobChunkKey>(bytes))
        .or_else(|| show::<BlobReferenceKey>(bytes))
        .or_else(|| show::<BlobUnreferencedKey>(bytes))
        .or_else(|| show::<BlobCandidateKey>(bytes))
        .or_else(|| show::<BlobUploadExpiryKey>(bytes))
        .or_else(|| show::<BlobUploadKey>(bytes))
        .or_else(|| show::<BlobObjectKey>(bytes))
        .or_else(|| show::<BlobPieceKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: BlobHash = BlobHash([0x68; 32]);
    const HASHED: &[u8] = b"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh";

    fn golden<K: Key + PartialEq + std::fmt::Debug>(key: &K, parts: &[&[u8]]) {
        let bytes = parts.concat();
        assert_eq!(key.encode(), bytes);
        assert_eq!(K::decode(&bytes).as_ref(), Ok(key));
        assert_eq!(explain(&bytes), Some(format!("{key:?}")));
    }

    #[test]
    fn golden_bytes() {
        golden(&BlobMetaKey { hash: HASH }, &[b"Bh", HASHED, b"m"]);
        golden(&BlobChunkKey { hash: HASH, index: 3 }, &[b"Bh", HASHED, b"c\x03"]);
        golden(&BlobUnreferencedKey { hash: HASH }, &[b"Bh", HASHED, b"u"]);
        golden(&BlobCandidateKey { since: 258, hash: HASH }, &[b"Bc\0\0\0\0\0\0\x01\x02", HASHED]);
        let expiry = BlobUploadExpiryKey { expires: 258, account: AccountId(7), hash: HASH };
        golden(&expiry, &[b"Bx\0\0\0\0\0\0\x01\x02\x07", HASHED]);
        let upload = BlobUploadKey { account: AccountId(7), expires: 258, hash: HASH };
        golden(&upload, &[b"Bu\x07\0\0\0\0\0\0\x01\x02", HASHED]);
        let object = (HASH, 258, 7);
        let name = b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x07";
        golden(&BlobObjectKey { object }, &[b"Bn", HASHED, name]);
        golden(&BlobPieceKey { object, index: 3 }, &[b"Bo", HASHED, name, b"\x03"]);
    }

    #[test]
    fn golden_bytes_of_owners() {
        let held = |owner| BlobReferenceKey { hash: HASH, owner };
        let email = held(BlobOwner::Email(AccountId(7), EmailId(9)));
        golden(&email, &[b"Bh", HASHED, b"re\x07\0\0\0\0\0\0\0\x09"]);
        golden(&held(BlobOwner::Queue(QueueId(9))), &[b"Bh", HASHED, b"rq\0\0\0\0\0\0\0\x09"]);
        let index = held(BlobOwner::Index { shard: 3, edition: 300 });
        golden(&index, &[b"Bh", HASHED, b"rs\x03\xf1\x3c"]);
        let upload = held(BlobOwner::Upload { account: AccountId(7), expires: 9 });
        golden(&upload, &[b"Bh", HASHED, b"ru\x07\0\0\0\0\0\0\0\x09"]);
    }

    #[test]
    fn ranges_hold_what_they_say() {
        let within = |(begin, end): (Vec<u8>, Vec<u8>), key: Vec<u8>| begin <= key && key < end;
        let reference = BlobReferenceKey { hash: HASH, owner: BlobOwner::Queue(QueueId(1)) }.encode();
        assert!(within(BlobReferenceKey::range(HASH), reference.clone()));
        assert!(within(body_range(HASH), reference));
        assert!(!within(BlobReferenceKey::range(HASH), BlobMetaKey { hash: HASH }.encode()));
        let candidate = BlobCandidateKey { since: 100, hash: HASH }.encode();
        assert!(within(BlobCandidateKey::range_before(101), candidate.clone()));
        assert!(!within(BlobCandidateKey::range_before(100), candidate));
        let object = (HASH, 258, 7);
        assert!(within(BlobPieceKey::range(object), BlobPieceKey { object, index: 3 }.encode()));
        assert!(within(BlobObjectKey::shard_range(HASH.0[0]), BlobObjectKey { object }.encode()));
        assert!(!within(BlobObjectKey::shard_range(1), BlobObjectKey { object }.encode()));
    }
}
