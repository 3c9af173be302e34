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

/// Where larger bodies lie.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct BodyPlace {
    /// `fs`, `store`, `s3` or `azblob`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// The bucket or container.
    #[prost(string, tag = "2")]
    pub container: String,
    /// What the names of all objects begin with.
    #[prost(string, tag = "3")]
    pub root: String,
    /// Whether a body has ever been put there.
    #[prost(bool, tag = "4")]
    pub used: bool,
}

impl Record for BodyPlace {}

/// The accounts of a demo: nobody's secrets.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Demo {
    /// In the order in which they are shown.
    #[prost(message, repeated, tag = "1")]
    pub accounts: Vec<DemoAccount>,
}

impl Record for Demo {}

/// An account of a demo.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DemoAccount {
    /// Full address.
    #[prost(string, tag = "1")]
    pub address: String,
    /// In clear.
    #[prost(string, tag = "2")]
    pub password: String,
}

/// The store is the unfinished copy of another one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Transfer {
    /// The incarnation of the store that is copied.
    #[prost(fixed64, tag = "1")]
    pub source: u64,
    /// Who copies: a random number of the process, so that of two that copy at once the first one stops.
    #[prost(fixed64, tag = "2")]
    pub run: u64,
    /// The pass that is under way, from 1.
    #[prost(uint32, tag = "3")]
    pub pass: u32,
    /// The last pass that came to its end.
    #[prost(uint32, tag = "4")]
    pub passed: u32,
    /// When the copy was begun, in seconds since the epoch.
    #[prost(int64, tag = "5")]
    pub begun: i64,
    /// From where to where bodies outside of the store go; empty if they stay or lie in rows of both.
    #[prost(string, tag = "6")]
    pub bodies: String,
}

impl Record for Transfer {}

/// A piece of the key space that was copied.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TransferPiece {
    /// Its end: the first key behind it.
    #[prost(bytes = "vec", tag = "1")]
    pub end: Vec<u8>,
    /// The pass that looked at it last.
    #[prost(uint32, tag = "2")]
    pub pass: u32,
    /// BLAKE3 of its rows; empty if that is not known.
    #[prost(bytes = "vec", tag = "3")]
    pub digest: Vec<u8>,
    /// Rows in it.
    #[prost(uint64, tag = "4")]
    pub rows: u64,
}

impl Record for TransferPiece {}

/// The store is, or is to be, copied to another one that serves in its place.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Seal {
    /// Since when, in seconds since the epoch.
    #[prost(int64, tag = "1")]
    pub since: i64,
    /// Which store takes its place, in words.
    #[prost(string, tag = "2")]
    pub heir: String,
}

impl Record for Seal {}

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

    #[test]
    fn a_place_of_bodies() {
        let [kind, container, root] = ["s3", "mail", "a"].map(str::to_owned);
        let record = BodyPlace { kind, container, root, used: true };
        let bytes = b"\x01\x0a\x02s3\x12\x04mail\x1a\x01a\x20\x01";
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(BodyPlace::from_bytes(bytes), Ok(record));
    }

    #[test]
    fn accounts_of_a_demo() {
        let account = DemoAccount { address: "a@b".to_owned(), password: "c".to_owned() };
        let record = Demo { accounts: vec![account] };
        let bytes = b"\x01\x0a\x08\x0a\x03a@b\x12\x01c";
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(Demo::from_bytes(bytes), Ok(record));
    }

    #[test]
    fn fixtures_of_transfers() {
        let transfer = Transfer { source: 7, run: 8, pass: 2, passed: 1, begun: 300, bodies: "a".to_owned() };
        let bytes =
            [1, 9, 7, 0, 0, 0, 0, 0, 0, 0, 17, 8, 0, 0, 0, 0, 0, 0, 0, 24, 2, 32, 1, 40, 172, 2, 50, 1, 97];
        assert_eq!(transfer.to_bytes(), bytes);
        assert_eq!(Transfer::from_bytes(&bytes), Ok(transfer));
        let piece = TransferPiece { end: b"B".to_vec(), pass: 2, digest: vec![9], rows: 300 };
        let bytes = [1, 10, 1, 66, 16, 2, 26, 1, 9, 32, 172, 2];
        assert_eq!(piece.to_bytes(), bytes);
        assert_eq!(TransferPiece::from_bytes(&bytes), Ok(piece));
        let seal = Seal { since: 300, heir: "b".to_owned() };
        assert_eq!(seal.to_bytes(), [1, 8, 172, 2, 18, 1, 98]);
        assert_eq!(Seal::from_bytes(&[1, 8, 172, 2, 18, 1, 98]), Ok(seal));
    }
}
