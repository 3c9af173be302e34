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
}
