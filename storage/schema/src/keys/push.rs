//! `P w`: who is pushed to (RFC 8620 §7.2), as part of the directory: a subscription belongs to who has logged in.
//!
//! | key | value |
//! |-----|-------|
//! | `P w k` | [`crate::records::push::PushSecret`]: what pushes are signed with, by all nodes |
//! | `P w r` account | [`crate::records::push::PushRate`]: when the account has subscribed of late |
//! | `P w s` slot account id | [`crate::records::push::PushRecord`] |
//! | `P w v` slot | versionstamp of the last change of any subscription in the slot |

use super::account::TAG;
use super::{read_tags, show};
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, PushId, prefix_range};

/// Slots that accounts are spread over: a node sends the pushes of a slot. Nodes on one store must agree on it: it never changes.
pub const PUSH_SLOTS: u32 = 8;

/// The slot of an account.
pub fn push_slot(account: AccountId) -> u32 {
    account.0 % PUSH_SLOTS
}

/// What pushes are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushSecretKey;

impl Key for PushSecretKey {
    const NAME: &'static str = "PushSecret";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'w').tag(b'k');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'w', b'k'])?;
        Ok(PushSecretKey)
    }
}

/// How often an account has subscribed of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushRateKey {
    /// Who has.
    pub account: AccountId,
}

impl Key for PushRateKey {
    const NAME: &'static str = "PushRate";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'w').tag(b'r').uint(self.account.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'w', b'r'])?;
        Ok(PushRateKey { account: AccountId(reader.uint32()?) })
    }
}

/// A subscription. Those of a slot lie together, and in it those of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushKey {
    /// Whose: a person's.
    pub account: AccountId,
    /// Which.
    pub id: PushId,
}

impl PushKey {
    /// All of a slot.
    pub fn of_slot(slot: u32) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'w').tag(b's').uint(slot.into());
        })
    }

    /// All of an account.
    pub fn of_account(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'w').tag(b's').uint(push_slot(account).into()).uint(account.0.into());
        })
    }
}

impl Key for PushKey {
    const NAME: &'static str = "Push";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'w').tag(b's').uint(push_slot(self.account).into());
        writer.uint(self.account.0.into()).fixed64(self.id.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'w', b's'])?;
        let slot = reader.uint32()?;
        let account = AccountId(reader.uint32()?);
        // In another slot nobody would find it.
        if slot != push_slot(account) {
            return Err(KeyError::Range);
        }
        Ok(PushKey { account, id: PushId(reader.fixed64()?) })
    }
}

/// The last change of any subscription in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushSlotKey {
    /// Below [`PUSH_SLOTS`].
    pub slot: u32,
}

impl Key for PushSlotKey {
    const NAME: &'static str = "PushSlot";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'w').tag(b'v').uint(self.slot.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'w', b'v'])?;
        Ok(PushSlotKey { slot: reader.uint32()? })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<PushSecretKey>(bytes)
        .or_else(|| show::<PushRateKey>(bytes))
        .or_else(|| show::<PushKey>(bytes))
        .or_else(|| show::<PushSlotKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden<K: Key + PartialEq + std::fmt::Debug>(key: &K, bytes: &[u8]) {
        assert_eq!(key.encode(), bytes);
        assert_eq!(K::decode(bytes).as_ref(), Ok(key));
        assert_eq!(explain(bytes), Some(format!("{key:?}")));
    }

    #[test]
    fn golden_bytes() {
        let account = AccountId(300);
        golden(&PushSecretKey, b"Pwk");
        golden(&PushRateKey { account }, b"Pwr\xf1\x3c");
        golden(&PushKey { account, id: PushId(7) }, b"Pws\x04\xf1\x3c\0\0\0\0\0\0\0\x07");
        golden(&PushSlotKey { slot: 4 }, b"Pwv\x04");
        assert!(PushKey::decode(b"Pws\x05\xf1\x3c\0\0\0\0\0\0\0\x07").is_err(), "another slot");
    }

    #[test]
    fn an_accounts_subscriptions_are_in_its_slot() {
        let key = PushKey { account: AccountId(300), id: PushId(u64::MAX) };
        let bytes = key.encode();
        for (begin, end) in [PushKey::of_slot(4), PushKey::of_account(key.account)] {
            assert!(begin <= bytes && bytes < end);
        }
        let (begin, end) = PushKey::of_account(AccountId(308));
        assert!(!(begin <= bytes && bytes < end));
    }
}
