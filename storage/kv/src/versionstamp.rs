//! The version of a commit, as it is written into keys and values.

use crate::Error;
use bytes::{Bytes, BytesMut};
use std::fmt;

/// Where a commit stands in the order of all commits: 8 bytes of commit version and 2 of order among the
/// commits that share it, all big-endian, so that bytes sort as commits do.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versionstamp([u8; 10]);

impl Versionstamp {
    /// Length in bytes.
    pub const LEN: usize = 10;

    /// Before every commit; the versionstamp of a transaction that wrote nothing.
    pub const ZERO: Versionstamp = Versionstamp([0; 10]);

    /// After every commit.
    pub const MAX: Versionstamp = Versionstamp([0xFF; 10]);

    /// From a commit version and the order among the commits of that version.
    pub const fn new(version: u64, order: u16) -> Self {
        let (v, o) = (version.to_be_bytes(), order.to_be_bytes());
        Versionstamp([v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], o[0], o[1]])
    }

    /// From the bytes that a commit wrote.
    pub const fn from_bytes(bytes: [u8; 10]) -> Self {
        Versionstamp(bytes)
    }

    /// From the first ten bytes of `bytes`, if there are so many.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Versionstamp)
    }

    /// As a commit writes it.
    pub const fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The commit version.
    pub const fn version(&self) -> u64 {
        let b = &self.0;
        u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
    }

    /// The order among the commits that share the version.
    pub const fn order(&self) -> u16 {
        u16::from_be_bytes([self.0[8], self.0[9]])
    }

    /// `template` with this versionstamp in its ten bytes at `offset`.
    ///
    /// Fails if they are not all inside `template`; [`crate::Transaction`] has refused such a write before.
    pub fn place(&self, template: &[u8], offset: usize) -> Result<Bytes, Error> {
        let mut placed = BytesMut::from(template);
        offset
            .checked_add(Self::LEN)
            .and_then(|end| placed.get_mut(offset..end))
            .ok_or_else(|| Error::fatal("versionstamp outside of its key or value"))?
            .copy_from_slice(&self.0);
        Ok(placed.freeze())
    }
}

impl fmt::Display for Versionstamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version(), self.order())
    }
}

impl fmt::Debug for Versionstamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versionstamp({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_commits_do() {
        let stamps = [(0, 0), (1, 0), (1, 1), (1, 256), (255, 9), (256, 0), (u64::MAX, u16::MAX)]
            .map(|(version, order)| Versionstamp::new(version, order));
        assert!(stamps.is_sorted());
        assert!(stamps.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()));
        assert_eq!(stamps[3].version(), 1);
        assert_eq!(stamps[3].order(), 256);
        assert_eq!(stamps[6], Versionstamp::MAX);
    }

    #[test]
    fn is_placed_into_a_template() {
        let stamp = Versionstamp::new(0x0102, 3);
        let placed = stamp.place(b"ab0123456789z", 2).unwrap();
        assert_eq!(&placed[..], b"ab\0\0\0\0\0\0\x01\x02\0\x03z");
        assert_eq!(Versionstamp::from_slice(&placed[2..]), Some(stamp));
        assert!(stamp.place(b"short", 0).is_err());
        assert!(stamp.place(b"0123456789", 1).is_err());
        assert!(stamp.place(b"0123456789", usize::MAX).is_err());
    }
}
