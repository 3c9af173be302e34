//! Domains, principals and what belongs to them.

use crate::Record;

/// A domain whose mail is ours.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Domain {
    /// Its id.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// What separates a user from a detail in a local part; empty: nothing does.
    #[prost(string, tag = "2")]
    pub separator: String,
    /// Where mail for unknown users goes; empty: nowhere.
    #[prost(string, tag = "3")]
    pub catch_all: String,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub created: i64,
}

impl Record for Domain {}

/// Whose an address is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AddressTarget {
    /// The account.
    #[prost(uint32, tag = "1")]
    pub account: u32,
    /// Whether it is not the account's own address.
    #[prost(bool, tag = "2")]
    pub alias: bool,
}

impl Record for AddressTarget {}

/// The last id given out.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LastId {
    /// The id.
    #[prost(uint32, tag = "1")]
    pub id: u32,
}

impl Record for LastId {}

/// A person, group or list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Principal {
    /// 1 person, 2 group, 3 list.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// Its own address, normalized.
    #[prost(string, tag = "2")]
    pub address: String,
    /// For people to read.
    #[prost(string, tag = "3")]
    pub display_name: String,
    /// Neither mail nor login while it is.
    #[prost(bool, tag = "4")]
    pub disabled: bool,
    /// In bytes; 0: without limit.
    #[prost(uint64, tag = "5")]
    pub quota_bytes: u64,
    /// In messages; 0: without limit.
    #[prost(uint64, tag = "6")]
    pub quota_messages: u64,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "7")]
    pub created: i64,
}

impl Record for Principal {}

/// What proves that somebody is the account's user.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Credential {
    /// Another number with every change.
    #[prost(fixed64, tag = "1")]
    pub version: u64,
    /// A PHC string; empty: it is a password that was made here for an application.
    #[prost(string, tag = "2")]
    pub phc: String,
    /// When it was set, in milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub changed: i64,
    /// The hash of an application's password, which is random and long. Since level 4.
    #[prost(bytes = "vec", tag = "4")]
    pub hash: Vec<u8>,
    /// What the user calls the application. Since level 4.
    #[prost(string, tag = "5")]
    pub name: String,
}

impl Record for Credential {}

/// What somebody has besides the password (RFC 6238). Since level 4.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SecondFactor {
    /// The secret that the user's device shares: as it is, since codes are made of it.
    #[prost(bytes = "vec", tag = "1")]
    pub secret: Vec<u8>,
    /// Since when it is asked for, in milliseconds since the epoch; 0: the user has not shown yet that the device has it.
    #[prost(int64, tag = "2")]
    pub since: i64,
    /// The time step of the last code that was taken: none up to it is taken again.
    #[prost(uint64, tag = "3")]
    pub last: u64,
    /// Hashes of the codes for who has lost the device, as far as they were not used.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub recovery: Vec<Vec<u8>>,
    /// When there would be no trace left of the codes that were wrong, in milliseconds since the epoch.
    #[prost(int64, tag = "5")]
    pub tried: i64,
    /// Those who have shown the password and not yet a code. Few.
    #[prost(message, repeated, tag = "6")]
    pub entering: Vec<Entering>,
}

impl Record for SecondFactor {}

/// Somebody who has shown the password and not yet a code.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entering {
    /// The hash of what the page has to show again.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: Vec<u8>,
    /// The version of the password.
    #[prost(fixed64, tag = "2")]
    pub credential: u64,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub expires: i64,
}

/// Visits to the page of the account. Since level 4.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Visits {
    /// Few.
    #[prost(message, repeated, tag = "1")]
    pub visits: Vec<Visit>,
}

impl Record for Visits {}

/// A visit to the page of the account: its user has logged in there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Visit {
    /// The hash of what the browser shows.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: Vec<u8>,
    /// The version of the password.
    #[prost(fixed64, tag = "2")]
    pub credential: u64,
    /// When it began, in milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub begun: i64,
    /// When it is over if nothing is done, in milliseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub expires: i64,
    /// A code was shown besides the password.
    #[prost(bool, tag = "5")]
    pub second: bool,
    /// What the page says when it is shown next: a nonce, and text sealed by what the browser shows; empty: nothing.
    #[prost(bytes = "vec", tag = "6")]
    pub told: Vec<u8>,
}

/// What a member may do with a group's mailboxes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Membership {
    /// Bits of RFC 4314 letters, from bit 0: `lrswipkxtea`.
    #[prost(uint32, tag = "1")]
    pub rights: u32,
}

impl Record for Membership {}

/// What somebody may do with a mailbox of another.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Share {
    /// Bits of RFC 4314 letters, from bit 0: `lrswipkxtea`. Never none.
    #[prost(uint32, tag = "1")]
    pub rights: u32,
    /// Whether whoever may use it wants to see it (RFC 8621 §2); of that half alone that is theirs.
    #[prost(bool, tag = "2")]
    pub subscribed: bool,
}

impl Record for Share {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture<R: Record + PartialEq + std::fmt::Debug>(record: &R, bytes: &[u8]) {
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(R::from_bytes(bytes).as_ref(), Ok(record));
    }

    #[test]
    fn fixtures() {
        let domain = Domain { id: 1, separator: "+".into(), catch_all: "a@b".into(), created: 300 };
        fixture(&domain, b"\x01\x08\x01\x12\x01+\x1a\x03a@b\x20\xac\x02");
        fixture(&AddressTarget { account: 7, alias: true }, b"\x01\x08\x07\x10\x01");
        fixture(&LastId { id: 7 }, b"\x01\x08\x07");
        fixture(
            &Credential { version: 7, phc: "$".into(), changed: 1, ..Credential::default() },
            b"\x01\x09\x07\0\0\0\0\0\0\0\x12\x01$\x18\x01",
        );
        fixture(
            &Credential { version: 7, changed: 1, hash: vec![9], name: "n".into(), ..Credential::default() },
            b"\x01\x09\x07\0\0\0\0\0\0\0\x18\x01\x22\x01\x09\x2a\x01n",
        );
        fixture(&Membership { rights: 7 }, b"\x01\x08\x07");
        let second = SecondFactor {
            secret: vec![1],
            since: 2,
            last: 3,
            recovery: vec![vec![4]],
            tried: 5,
            entering: vec![Entering { hash: vec![6], credential: 7, expires: 8 }],
        };
        let entering = b"\x32\x0e\x0a\x01\x06\x11\x07\0\0\0\0\0\0\0\x18\x08";
        let head = b"\x01\x0a\x01\x01\x10\x02\x18\x03\x22\x01\x04\x28\x05";
        fixture(&second, &[&head[..], entering].concat());
        let visit = Visit { hash: vec![1], credential: 2, begun: 3, expires: 4, second: true, told: vec![5] };
        let bytes = b"\x01\x0a\x15\x0a\x01\x01\x11\x02\0\0\0\0\0\0\0\x18\x03\x20\x04\x28\x01\x32\x01\x05";
        fixture(&Visits { visits: vec![visit] }, bytes);
        fixture(&Share { rights: 7, subscribed: true }, b"\x01\x08\x07\x10\x01");
        let principal = Principal {
            kind: 1,
            address: "a@b".into(),
            display_name: "A".into(),
            disabled: true,
            quota_bytes: 5,
            quota_messages: 6,
            created: 7,
        };
        fixture(&principal, b"\x01\x08\x01\x12\x03a@b\x1a\x01A\x20\x01\x28\x05\x30\x06\x38\x07");
    }
}
