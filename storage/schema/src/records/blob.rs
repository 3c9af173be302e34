//! Bodies.

use crate::Record;

/// What is known of a body.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlobMeta {
    /// In bytes.
    #[prost(uint64, tag = "1")]
    pub size: u64,
    /// Bytes per row, if the body lies in the store; 0 if it is an object.
    #[prost(uint32, tag = "2")]
    pub chunk: u32,
    /// The object's name, first part: when it was staged, in milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub staged: i64,
    /// The object's name, second part.
    #[prost(fixed64, tag = "4")]
    pub nonce: u64,
    /// Bytes of the body in one block, if it is stored in blocks that can be checked and may be compressed; 0 if its
    /// bytes are stored as they are.
    #[prost(uint32, tag = "5")]
    pub block: u32,
    /// Stored bytes of each block of an object; none if no block is compressed.
    #[prost(uint32, repeated, tag = "6")]
    pub stored: Vec<u32>,
}

impl Record for BlobMeta {}

/// Since when nothing holds a body.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Unreferenced {
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "1")]
    pub since: i64,
}

impl Record for Unreferenced {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures() {
        let inline = BlobMeta { size: 5, chunk: 90_000, ..BlobMeta::default() };
        let bytes = [1, 8, 5, 16, 144, 191, 5];
        assert_eq!(inline.to_bytes(), bytes);
        assert_eq!(BlobMeta::from_bytes(&bytes), Ok(inline));
        let object = BlobMeta { size: 5, staged: 300, nonce: 7, ..BlobMeta::default() };
        let bytes = [1, 8, 5, 24, 172, 2, 33, 7, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(object.to_bytes(), bytes);
        assert_eq!(BlobMeta::from_bytes(&bytes), Ok(object));
        let blocks = BlobMeta {
            size: 5,
            staged: 300,
            nonce: 7,
            block: 4,
            stored: vec![300, 2],
            ..BlobMeta::default()
        };
        let bytes = [1, 8, 5, 24, 172, 2, 33, 7, 0, 0, 0, 0, 0, 0, 0, 40, 4, 50, 3, 172, 2, 2];
        assert_eq!(blocks.to_bytes(), bytes);
        assert_eq!(BlobMeta::from_bytes(&bytes), Ok(blocks));
        let since = Unreferenced { since: 300 };
        assert_eq!(since.to_bytes(), [1, 8, 172, 2]);
        assert_eq!(Unreferenced::from_bytes(&[1, 8, 172, 2]), Ok(since));
    }
}
