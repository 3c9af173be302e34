//! `X`: the published index of mail, by shards of accounts.
//!
//! | key | value |
//! |-----|-------|
//! | `X c` shard edition account | [`crate::records::search::Indexed`]: up to where the account is in the index |
//! | `X m` shard edition | [`crate::records::search::Manifest`] |
//! | `X n` | [`crate::records::search::Shards`] |
//! | `X s` shard | [`crate::records::search::Shard`] |
//!
//! An edition of a shard is an index of all its accounts, begun from nothing. There are two of them while a new one is
//! made beside the one that answers.

use super::{read_tags, show};
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'X';

/// Up to where an account is in an edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedKey {
    /// The shard.
    pub shard: u32,
    /// Of which edition.
    pub edition: u32,
    /// Whose mail.
    pub account: AccountId,
}

impl IndexedKey {
    /// All accounts of an edition.
    pub fn range(shard: u32, edition: u32) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'c').uint(shard.into()).uint(edition.into());
        })
    }

    /// Those of all editions of a shard.
    pub fn of_shard(shard: u32) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'c').uint(shard.into());
        })
    }
}

impl Key for IndexedKey {
    const NAME: &'static str = "Indexed";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'c').uint(self.shard.into());
        writer.uint(self.edition.into()).uint(self.account.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'c'])?;
        let (shard, edition) = (reader.uint32()?, reader.uint32()?);
        Ok(IndexedKey { shard, edition, account: AccountId(reader.uint32()?) })
    }
}

/// The segments of an edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestKey {
    /// The shard.
    pub shard: u32,
    /// Which edition.
    pub edition: u32,
}

impl ManifestKey {
    /// All editions of a shard.
    pub fn of_shard(shard: u32) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'm').uint(shard.into());
        })
    }
}

impl Key for ManifestKey {
    const NAME: &'static str = "Manifest";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'm').uint(self.shard.into()).uint(self.edition.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'm'])?;
        Ok(ManifestKey { shard: reader.uint32()?, edition: reader.uint32()? })
    }
}

/// How many shards there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardsKey;

impl Key for ShardsKey {
    const NAME: &'static str = "Shards";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'n');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'n']).map(|()| ShardsKey)
    }
}

/// A shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardKey {
    /// Which.
    pub shard: u32,
}

impl ShardKey {
    /// All of them.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b's');
        })
    }
}

impl Key for ShardKey {
    const NAME: &'static str = "Shard";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b's').uint(self.shard.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b's'])?;
        Ok(ShardKey { shard: reader.uint32()? })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<IndexedKey>(bytes)
        .or_else(|| show::<ManifestKey>(bytes))
        .or_else(|| show::<ShardsKey>(bytes))
        .or_else(|| show::<ShardKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden<K: Key + PartialEq + std::fmt::Debug>(key: &K, bytes: &[u8]) {
        assert_eq!(key.encode(), bytes);
        assert_eq!(K::decode(bytes).as_ref(), Ok(key));
        assert_eq!(crate::explain(bytes), format!("{key:?}"));
    }

    #[test]
    fn golden_bytes() {
        golden(&IndexedKey { shard: 3, edition: 300, account: AccountId(7) }, b"Xc\x03\xf1\x3c\x07");
        golden(&ManifestKey { shard: 3, edition: 300 }, b"Xm\x03\xf1\x3c");
        golden(&ShardsKey, b"Xn");
        golden(&ShardKey { shard: 300 }, b"Xs\xf1\x3c");
    }

    #[test]
    fn ranges_hold_what_they_say() {
        let within = |(begin, end): (Vec<u8>, Vec<u8>), key: Vec<u8>| begin <= key && key < end;
        let account = AccountId(u32::MAX);
        assert!(within(IndexedKey::range(3, 1), IndexedKey { shard: 3, edition: 1, account }.encode()));
        assert!(!within(IndexedKey::range(3, 1), IndexedKey { shard: 3, edition: 2, account }.encode()));
        assert!(within(ShardKey::range(), ShardKey { shard: u32::MAX }.encode()));
        assert!(!within(ShardKey::range(), ShardsKey.encode()));
    }
}
