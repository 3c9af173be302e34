//! Objects: where larger bodies lie, behind one trait for files, object stores and chunks in the key-value store.

use crate::{Error, Spill};
use bytes::Bytes;
use futures::future::BoxFuture;
use runtime::Timestamp;
use schema::BlobHash;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The name of one stored object: never used twice, also not for equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// BLAKE3 of the bytes.
    pub hash: BlobHash,
    /// When the bytes were staged.
    pub staged: Timestamp,
    /// Random: tells equal bodies staged at the same time apart.
    pub nonce: u64,
}

impl ObjectName {
    /// Which of the 256 parts of the object space it is in: the hash's first byte.
    pub fn shard(&self) -> u8 {
        self.hash.0[0]
    }
}

/// `hash-staged-nonce`, all in lower-case hexadecimal.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.hash.0 {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{:016x}-{:016x}", self.staged.millis(), self.nonce)
    }
}

/// A file name that is no [`ObjectName`].
#[derive(Debug, PartialEq, Eq)]
pub struct NotAnObjectName;

impl FromStr for ObjectName {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, NotAnObjectName> {
        let mut parts = text.split('-');
        let (Some(hash), Some(staged), Some(nonce), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAnObjectName);
        };
        let hash = blake3::Hash::from_hex(hash).map_err(|_| NotAnObjectName)?;
        let number = |part: &str| u64::from_str_radix(part, 16).map_err(|_| NotAnObjectName);
        let name = ObjectName {
            hash: BlobHash(*hash.as_bytes()),
            staged: Timestamp(number(staged)?.cast_signed()),
            nonce: number(nonce)?,
        };
        // Only the canonical spelling, so that name and file are one to one.
        if name.to_string() == text { Ok(name) } else { Err(NotAnObjectName) }
    }
}

/// Bytes that were received and are not yet an object.
#[derive(Debug)]
pub enum Pending {
    /// In memory.
    Memory(Bytes),
    /// In a spill file, which local files take over without a copy and object stores stream from.
    Spilled(Spill),
}

/// A place for objects.
pub trait Objects: Send + Sync + 'static {
    /// Makes the bytes a durable object; when it resolves, the object outlives a power loss.
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>>;
    /// Exactly the bytes of `range`, or an error.
    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>>;
    /// Deletes the object; that it is not there is no error.
    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>>;
    /// All objects of a shard ([`ObjectName::shard`]), in no order. It may be out of date: objects may be missing
    /// and deleted ones may be named.
    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>>;
    /// What is wrong with the place, as far as the last operations told.
    fn trouble(&self) -> Option<String> {
        None
    }
    /// How many pieces of a body are asked for at once: more than one where an answer takes its time.
    fn ahead(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let name = ObjectName { hash: BlobHash([0xab; 32]), staged: Timestamp(1_700_000_000_123), nonce: 7 };
        let text = name.to_string();
        assert_eq!(text, format!("{}-0000018bcfe5687b-0000000000000007", "ab".repeat(32)));
        assert_eq!(text.parse(), Ok(name));
        assert_eq!(name.shard(), 0xab);
        for wrong in ["", "x", "ab-1-2", &text.to_uppercase(), &format!("{text}-"), &text[1..]] {
            assert_eq!(wrong.parse::<ObjectName>(), Err(NotAnObjectName), "{wrong}");
        }
    }
}
