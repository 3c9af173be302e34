//! Facts of the whole store.

use crate::Record;

/// What tells this store from a copy of it restored elsewhere.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Incarnation {
    /// Random.
    #[prost(fixed64, tag = "1")]
    pub number: u64,
    /// When it was made, in seconds since the epoch.
    #[prost(int64, tag = "2")]
    pub created: i64,
}

impl Record for Incarnation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixture() {
        let record = Incarnation { number: 7, created: 1_790_000_000 };
        let bytes = [1, 9, 7, 0, 0, 0, 0, 0, 0, 0, 16, 128, 247, 196, 213, 6];
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(Incarnation::from_bytes(&bytes), Ok(record));
    }
}
