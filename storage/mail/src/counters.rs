//! A mailbox's counters: one little-endian number of 20 bytes (exists, unseen, deleted, octets), changed by one
//! blind addition.
//!
//! A field that goes down is added as its two's complement, which carries into the field above; the whole is
//! computed as one wide number, so that borrows and carries cancel out.

use std::fmt;

use kv::{AtomicOp, Transaction};
use schema::Key;
use schema::keys::mail::CountersKey;

use crate::{Error, MailboxRef};

/// What a mailbox holds, or by how much that changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) exists: i64,
    pub(crate) unseen: i64,
    pub(crate) deleted: i64,
    pub(crate) octets: i64,
}

const LEN: usize = 20;

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { exists, unseen, deleted, octets } = self;
        write!(f, "{exists} messages, {unseen} unseen, {deleted} deleted, {octets} octets")
    }
}

impl Counters {
    /// The change that one message makes which comes (+1) or goes (−1).
    pub(crate) fn of(flags: schema::SystemFlags, octets: u64, sign: i64) -> Self {
        let count = |yes: bool| sign * i64::from(yes);
        Self {
            exists: sign,
            unseen: count(!flags.contains(schema::SystemFlags::SEEN)),
            deleted: count(flags.contains(schema::SystemFlags::DELETED)),
            octets: sign * i64::try_from(octets).unwrap_or(i64::MAX),
        }
    }

    pub(crate) fn add(&mut self, other: Counters) {
        self.exists += other.exists;
        self.unseen += other.unseen;
        self.deleted += other.deleted;
        self.octets += other.octets;
    }

    pub(crate) fn negated(self) -> Self {
        Self { exists: -self.exists, unseen: -self.unseen, deleted: -self.deleted, octets: -self.octets }
    }

    /// Adds itself to what is stored, without reading it.
    pub(crate) fn apply(self, txn: &Transaction, at: MailboxRef) {
        if self == Self::default() {
            return;
        }
        let key = CountersKey { account: at.account, mailbox: at.mailbox }.encode();
        txn.atomic(AtomicOp::Add, &key, &self.bytes());
    }

    /// As one number: modulo 2^160 like the store's addition.
    pub(crate) fn bytes(self) -> [u8; LEN] {
        let mut bytes = [0_u8; LEN];
        let low =
            i128::from(self.exists) + (i128::from(self.unseen) << 32) + (i128::from(self.deleted) << 64);
        // Fields lie at bits 0, 32, 64 and 96; the first three fit 128 bits with their sign.
        let octets_low = (self.octets as i128) << 96;
        let sum = low.wrapping_add(octets_low);
        let high = high_word(low, self.octets);
        bytes[..16].copy_from_slice(&sum.to_le_bytes());
        bytes[16..].copy_from_slice(&high.to_le_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            let four = bytes.get(at..at + 4).and_then(|b| b.first_chunk().copied()).unwrap_or_default();
            i64::from(u32::from_le_bytes(four))
        };
        let octets = word(12) | (word(16) << 32);
        Self { exists: word(0), unseen: word(4), deleted: word(8), octets }
    }
}

/// Bits 128 to 159 of `low + (octets << 96)`, both signed.
fn high_word(low: i128, octets: i64) -> u32 {
    // Everything above bit 96 as one signed number of 96 bits or less.
    let above = (low >> 96) + i128::from(octets);
    ((above >> 32) & 0xffff_ffff) as u32
}

/// The counters of a mailbox.
pub(crate) async fn read_in(txn: &Transaction, at: MailboxRef) -> Result<Counters, Error> {
    let key = CountersKey { account: at.account, mailbox: at.mailbox }.encode();
    let value = txn.get_snapshot(&key).await?;
    Ok(value.map(|v| Counters::read(&v)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plus(a: [u8; LEN], b: [u8; LEN]) -> [u8; LEN] {
        let mut out = [0; LEN];
        let mut carry = 0_u16;
        for at in 0..LEN {
            let sum = u16::from(a[at]) + u16::from(b[at]) + carry;
            out[at] = sum as u8;
            carry = sum >> 8;
        }
        out
    }

    #[test]
    fn what_goes_down_borrows_from_nobody() {
        let steps = [
            Counters { exists: 3, unseen: 3, deleted: 0, octets: 5_000_000_000 },
            Counters { exists: 0, unseen: -2, deleted: 1, octets: 0 },
            Counters { exists: -1, unseen: -1, deleted: -1, octets: -4_999_999_999 },
            Counters { exists: 5, unseen: 0, deleted: 2, octets: 12 },
        ];
        let (mut stored, mut expected) = ([0; LEN], Counters::default());
        for step in steps {
            stored = plus(stored, step.bytes());
            expected.add(step);
            assert_eq!(Counters::read(&stored), expected, "{step:?}");
        }
    }
}
