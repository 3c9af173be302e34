//! `Q`: the queue of mail to be sent.
//!
//! | key | value |
//! |-----|-------|
//! | `Q c` slot id | [`crate::records::queue::Claim`]: somebody works on the entry |
//! | `Q d` slot time id | [`crate::records::queue::Due`]: the entry is due at that time; earlier versions wrote nothing |
//! | `Q e` id `e` | [`crate::records::queue::Entry`] |
//! | `Q e` id `j` | [`crate::records::queue::Link`]: the submission that it is of |
//! | `Q e` id `r` number | [`crate::records::queue::Recipient`] |
//! | `Q n` | retired: the last epoch of an owner, now with all others in family `N` |
//! | `Q o` slot | retired: the owner of a slot, now [`super::node::ClaimKey`] |
//! | `Q w` slot | a counter, 8 bytes little-endian: changes when somebody should look at the slot |

use super::{read_tags, show};
use crate::{Key, KeyError, KeyReader, KeyWriter, QueueId, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'Q';

/// Into how many slots the queue is cut, by destination domain.
pub const SLOTS: u16 = 64;

/// The slot of a destination domain (A-labels, lower case): FNV-1a over its bytes.
pub fn slot_of(domain: &str) -> u16 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = domain.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    // The high bits are the better mixed ones.
    ((hash >> 32) % u64::from(SLOTS)) as u16
}

fn slot_in(reader: &mut KeyReader<'_>) -> Result<u16, KeyError> {
    u16::try_from(reader.uint()?).map_err(|_| KeyError::Range)
}

/// What all recipients of a queue entry have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEntryKey {
    /// Its id.
    pub id: QueueId,
}

impl QueueEntryKey {
    /// All rows of one entry: itself and its recipients.
    pub fn rows(id: QueueId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            entry(writer, id);
        })
    }

    /// All rows of all entries behind one, by id; of all entries without one.
    pub fn range_after(id: Option<QueueId>) -> (Vec<u8>, Vec<u8>) {
        let (first, end) = prefix_range(|writer| {
            writer.tag(TAG).tag(b'e');
        });
        (id.map_or(first, |id| QueueEntryKey::rows(id).1), end)
    }
}

fn entry(writer: &mut KeyWriter, id: QueueId) -> &mut KeyWriter {
    writer.tag(TAG).tag(b'e').fixed64(id.0)
}

impl Key for QueueEntryKey {
    const NAME: &'static str = "QueueEntry";

    fn write(&self, writer: &mut KeyWriter) {
        entry(writer, self.id).tag(b'e');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'e'])?;
        let id = QueueId(reader.fixed64()?);
        reader.tag(b'e')?;
        Ok(QueueEntryKey { id })
    }
}

/// The submission that a queue entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLinkKey {
    /// The entry.
    pub id: QueueId,
}

impl Key for QueueLinkKey {
    const NAME: &'static str = "QueueLink";

    fn write(&self, writer: &mut KeyWriter) {
        entry(writer, self.id).tag(b'j');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'e'])?;
        let id = QueueId(reader.fixed64()?);
        reader.tag(b'j')?;
        Ok(QueueLinkKey { id })
    }
}

/// A recipient of a queue entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRecipientKey {
    /// The entry.
    pub id: QueueId,
    /// From 0.
    pub number: u32,
}

impl Key for QueueRecipientKey {
    const NAME: &'static str = "QueueRecipient";

    fn write(&self, writer: &mut KeyWriter) {
        entry(writer, self.id).tag(b'r').uint(self.number.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'e'])?;
        let id = QueueId(reader.fixed64()?);
        reader.tag(b'r')?;
        Ok(QueueRecipientKey { id, number: reader.uint32()? })
    }
}

/// When an entry is to be tried next; a slot's entries by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDueKey {
    /// The slot.
    pub slot: u16,
    /// In milliseconds since the epoch.
    pub time: i64,
    /// The entry.
    pub id: QueueId,
}

impl QueueDueKey {
    /// All of a slot that is due up to and with a time, in milliseconds since the epoch.
    pub fn range_until(slot: u16, time: i64) -> (Vec<u8>, Vec<u8>) {
        let mut begin = KeyWriter::new();
        begin.tag(TAG).tag(b'd').uint(slot.into());
        let mut end = KeyWriter::new();
        end.tag(TAG).tag(b'd').uint(slot.into()).fixed64(millis_out(time.saturating_add(1)));
        (begin.finish(), end.finish())
    }
}

/// Milliseconds in key order; times before the epoch become the epoch.
fn millis_out(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0)
}

impl Key for QueueDueKey {
    const NAME: &'static str = "QueueDue";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'd').uint(self.slot.into()).fixed64(millis_out(self.time)).fixed64(self.id.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'd'])?;
        let slot = slot_in(reader)?;
        let time = i64::try_from(reader.fixed64()?).map_err(|_| KeyError::Range)?;
        Ok(QueueDueKey { slot, time, id: QueueId(reader.fixed64()?) })
    }
}

/// Somebody works on an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueClaimKey {
    /// The slot.
    pub slot: u16,
    /// The entry.
    pub id: QueueId,
}

impl QueueClaimKey {
    /// All claims of a slot.
    pub fn range(slot: u16) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'c').uint(slot.into());
        })
    }
}

impl Key for QueueClaimKey {
    const NAME: &'static str = "QueueClaim";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'c').uint(self.slot.into()).fixed64(self.id.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'c'])?;
        Ok(QueueClaimKey { slot: slot_in(reader)?, id: QueueId(reader.fixed64()?) })
    }
}

/// Changes when somebody should look at a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueWakeKey {
    /// The slot.
    pub slot: u16,
}

impl Key for QueueWakeKey {
    const NAME: &'static str = "QueueWake";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'w').uint(self.slot.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'w'])?;
        Ok(QueueWakeKey { slot: slot_in(reader)? })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<QueueEntryKey>(bytes)
        .or_else(|| show::<QueueLinkKey>(bytes))
        .or_else(|| show::<QueueRecipientKey>(bytes))
        .or_else(|| show::<QueueDueKey>(bytes))
        .or_else(|| show::<QueueClaimKey>(bytes))
        .or_else(|| show::<QueueWakeKey>(bytes))
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
        let id = QueueId(258);
        golden(&QueueEntryKey { id }, b"Qe\0\0\0\0\0\0\x01\x02e");
        golden(&QueueLinkKey { id }, b"Qe\0\0\0\0\0\0\x01\x02j");
        golden(&QueueRecipientKey { id, number: 3 }, b"Qe\0\0\0\0\0\0\x01\x02r\x03");
        golden(&QueueDueKey { slot: 5, time: 9, id }, b"Qd\x05\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\x01\x02");
        golden(&QueueClaimKey { slot: 5, id }, b"Qc\x05\0\0\0\0\0\0\x01\x02");
        golden(&QueueWakeKey { slot: 5 }, b"Qw\x05");
    }

    #[test]
    fn slots_never_move() {
        // An entry's slot is stored with it, but its destination's mail belongs in one slot.
        assert_eq!(slot_of("example.test"), 11);
        assert_eq!(slot_of("example.org"), 35);
        let used: std::collections::BTreeSet<u16> =
            (0..1000).map(|i| slot_of(&format!("d{i}.test"))).collect();
        assert_eq!(used.len(), usize::from(SLOTS));
    }

    #[test]
    fn ranges_hold_what_they_say() {
        let within = |(begin, end): (Vec<u8>, Vec<u8>), key: Vec<u8>| begin <= key && key < end;
        let due = QueueDueKey { slot: 5, time: 9, id: QueueId(u64::MAX) }.encode();
        assert!(within(QueueDueKey::range_until(5, 9), due.clone()));
        assert!(!within(QueueDueKey::range_until(5, 8), due.clone()));
        assert!(!within(QueueDueKey::range_until(6, 9), due));
        let rows = |id| QueueRecipientKey { id: QueueId(id), number: 0 }.encode();
        assert!(within(QueueEntryKey::range_after(None), rows(0)));
        assert!(!within(QueueEntryKey::range_after(Some(QueueId(7))), rows(7)));
        assert!(within(QueueEntryKey::range_after(Some(QueueId(7))), rows(8)));
        assert!(within(QueueEntryKey::rows(QueueId(7)), rows(7)));
    }
}
