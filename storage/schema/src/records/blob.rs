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
        let inline = BlobMeta { size: 5, chunk: 90_000, staged: 0, nonce: 0 };
        let bytes = [1, 8, 5, 16, 144, 191, 5];
        assert_eq!(inline.to_bytes(), bytes);
        assert_eq!(BlobMeta::from_bytes(&bytes), Ok(inline));
        let object = BlobMeta { size: 5, chunk: 0, staged: 300, nonce: 7 };
        let bytes = [1, 8, 5, 24, 172, 2, 33, 7, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(object.to_bytes(), bytes);
        assert_eq!(BlobMeta::from_bytes(&bytes), Ok(object));
        let since = Unreferenced { since: 300 };
        assert_eq!(since.to_bytes(), [1, 8, 172, 2]);
        assert_eq!(Unreferenced::from_bytes(&[1, 8, 172, 2]), Ok(since));
    }
}
