//! What nodes tell each other. All are hints: none is asked for again.

use std::time::Duration;

use changes::Kinds;
use schema::AccountId;

/// Sessions of the sender wait for changes of these accounts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Interest {
    /// The accounts.
    #[prost(uint32, repeated, tag = "1")]
    pub accounts: Vec<u32>,
    /// For how long that is good, in seconds.
    #[prost(uint32, tag = "2")]
    pub seconds: u32,
}

impl rpc::Message for Interest {
    const KIND: u32 = 16;
    const NAME: &'static str = "Interest";
}

/// The sender has committed these changes, of accounts whose home the receiver is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Committed {
    /// The changes.
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<Changed>,
}

impl rpc::Message for Committed {
    const KIND: u32 = 17;
    const NAME: &'static str = "Committed";
}

/// Accounts have changed that the receiver is interested in.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Wake {
    /// The changes.
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<Changed>,
}

impl rpc::Message for Wake {
    const KIND: u32 = 18;
    const NAME: &'static str = "Wake";
}

/// An account that changed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Changed {
    /// The account.
    #[prost(uint32, tag = "1")]
    pub account: u32,
    /// The last commit.
    #[prost(fixed64, tag = "2")]
    pub version: u64,
    /// What, as [`Kinds::bits`].
    #[prost(uint32, tag = "3")]
    pub kinds: u32,
    /// How long ago the first commit was that had not been told, in microseconds, as far as senders know: what each kept it, and
    /// half of each round trip. No clocks of two nodes are compared.
    #[prost(uint32, tag = "4")]
    pub age: u32,
}

impl Changed {
    pub(crate) fn account(&self) -> AccountId {
        AccountId(self.account)
    }

    pub(crate) fn kinds(&self) -> Kinds {
        // Bits of newer versions are beyond the eight that are known here.
        Kinds::of_bits(self.kinds.to_le_bytes()[0])
    }

    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(self.age.into())
    }

    /// The same, so much later.
    pub(crate) fn later(self, by: Duration) -> Changed {
        Changed { age: micros(self.age() + by), ..self }
    }
}

pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn golden_bytes() {
        let changed = Changed { account: 300, version: 5, kinds: 33, age: 200 };
        let bytes = b"\x08\xac\x02\x11\x05\0\0\0\0\0\0\0\x18\x21\x20\xc8\x01";
        assert_eq!(changed.encode_to_vec(), bytes);
        let (committed, wake) = (Committed { changes: vec![changed] }, Wake { changes: vec![changed] });
        let framed = [&[0x0a, 17][..], &bytes[..]].concat();
        assert_eq!((committed.encode_to_vec(), wake.encode_to_vec()), (framed.clone(), framed));
        let interest = Interest { accounts: vec![7, 300], seconds: 60 };
        assert_eq!(interest.encode_to_vec(), b"\x0a\x03\x07\xac\x02\x10\x3c");
        assert!(changed.kinds().intersects(Kinds::STANDING) && changed.kinds().intersects(Kinds::MESSAGES));
        assert_eq!(changed.later(Duration::from_secs(1_000_000)).age, u32::MAX);
    }
}
