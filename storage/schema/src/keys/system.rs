//! `S`: facts of the whole store.
//!
//! | key | value |
//! |-----|-------|
//! | `S b` | [`crate::records::system::BodyPlace`] |
//! | `S d` | [`crate::records::system::Demo`] |
//! | `S i` | [`crate::records::system::Incarnation`] |
//! | `S t o` | [`crate::records::system::Seal`]: the store is, or is to be, copied to another that serves in its place |
//! | `S t p` begin | [`crate::records::system::TransferPiece`]: what was copied from here on |
//! | `S t u` | [`crate::records::system::Transfer`]: the store is the unfinished copy of another |
//! | `S v` slot | versionstamp of the last change of any account in the slot |

use super::{read_tags, show};
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'S';

/// The store's incarnation: a random number made with the store, and again when it is restored elsewhere,
/// so that states handed to clients by one are not taken for states of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncarnationKey;

impl Key for IncarnationKey {
    const NAME: &'static str = "Incarnation";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'i');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'i'])?;
        Ok(IncarnationKey)
    }
}

/// Where larger bodies lie: the same for all nodes, and from the first body on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyPlaceKey;

impl Key for BodyPlaceKey {
    const NAME: &'static str = "BodyPlace";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'b');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'b'])?;
        Ok(BodyPlaceKey)
    }
}

/// The accounts of the demo, with their passwords; not there in a store that is no demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoKey;

impl Key for DemoKey {
    const NAME: &'static str = "Demo";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'd');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'd'])?;
        Ok(DemoKey)
    }
}

/// Slots that accounts are spread over, so that who waits for changes of many finds out by one short range which of
/// them to look at. Nodes on one store must agree on it: it never changes.
pub const CHANGE_SLOTS: u32 = 1024;

/// The last change of any account in a slot: of its mail, and of its standing in as many slots behind those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeSlotKey {
    /// Below twice [`CHANGE_SLOTS`].
    pub slot: u32,
}

impl ChangeSlotKey {
    /// The slot of an account.
    pub fn of(account: AccountId) -> Self {
        ChangeSlotKey { slot: account.0 % CHANGE_SLOTS }
    }

    /// The slot of an account's standing: who may use it.
    pub fn of_standing(account: AccountId) -> Self {
        ChangeSlotKey { slot: CHANGE_SLOTS + account.0 % CHANGE_SLOTS }
    }

    /// All slots.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'v');
        })
    }
}

impl Key for ChangeSlotKey {
    const NAME: &'static str = "ChangeSlot";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'v').uint(self.slot.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'v'])?;
        Ok(ChangeSlotKey { slot: reader.uint32()? })
    }
}

/// All rows about the copying of stores: they belong to one store and are never copied.
pub fn transfer_range() -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        writer.tag(TAG).tag(b't');
    })
}

/// The store is the unfinished copy of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferKey;

impl Key for TransferKey {
    const NAME: &'static str = "Transfer";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b't').tag(b'u');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b't', b'u'])?;
        Ok(TransferKey)
    }
}

/// The store is, or is to be, copied to another one that serves in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealKey;

impl Key for SealKey {
    const NAME: &'static str = "Seal";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b't').tag(b'o');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b't', b'o'])?;
        Ok(SealKey)
    }
}

/// A piece of the key space that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferPieceKey {
    /// Its first key.
    pub begin: Vec<u8>,
}

impl TransferPieceKey {
    /// All pieces.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b't').tag(b'p');
        })
    }
}

impl Key for TransferPieceKey {
    const NAME: &'static str = "TransferPiece";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b't').tag(b'p').raw(&self.begin);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b't', b'p'])?;
        Ok(TransferPieceKey { begin: reader.rest().to_vec() })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<IncarnationKey>(bytes)
        .or_else(|| show::<ChangeSlotKey>(bytes))
        .or_else(|| show::<BodyPlaceKey>(bytes))
        .or_else(|| show::<DemoKey>(bytes))
        .or_else(|| show::<TransferKey>(bytes))
        .or_else(|| show::<SealKey>(bytes))
        .or_else(|| show::<TransferPieceKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(IncarnationKey.encode(), b"Si");
        assert_eq!(IncarnationKey::decode(b"Si"), Ok(IncarnationKey));
        assert_eq!((&BodyPlaceKey.encode()[..], &DemoKey.encode()[..]), (&b"Sb"[..], &b"Sd"[..]));
        assert_eq!((BodyPlaceKey::decode(b"Sb"), DemoKey::decode(b"Sd")), (Ok(BodyPlaceKey), Ok(DemoKey)));
        assert_eq!((&*crate::explain(b"Sb"), &*crate::explain(b"Sd")), ("BodyPlaceKey", "DemoKey"));
        for (account, slot, bytes) in [(7, 7, &b"Sv\x07"[..]), (1024 + 300, 300, b"Sv\xf1\x3c")] {
            let key = ChangeSlotKey::of(AccountId(account));
            assert_eq!((key.slot, &key.encode()[..]), (slot, bytes));
            assert_eq!(ChangeSlotKey::decode(bytes), Ok(key));
            assert_eq!(crate::explain(bytes), format!("{key:?}"));
        }
        for (account, slot, bytes) in [(7, 1031, &b"Sv\xf4\x17"[..]), (1024 + 300, 1324, b"Sv\xf5\x3c")] {
            let key = ChangeSlotKey::of_standing(AccountId(account));
            assert_eq!((key.slot, &key.encode()[..]), (slot, bytes));
            assert_eq!(ChangeSlotKey::decode(bytes), Ok(key));
            let (begin, end) = ChangeSlotKey::range();
            assert!(&begin[..] <= bytes && bytes < &end[..]);
        }
    }

    #[test]
    fn golden_bytes_of_transfers() {
        let piece = TransferPieceKey { begin: b"A\x07".to_vec() };
        assert_eq!((TransferKey.encode(), SealKey.encode()), (b"Stu".to_vec(), b"Sto".to_vec()));
        assert_eq!(piece.encode(), b"StpA\x07");
        assert_eq!(TransferPieceKey::decode(b"StpA\x07"), Ok(piece.clone()));
        for (bytes, shown) in
            [(&b"Stu"[..], "TransferKey"), (b"Sto", "SealKey"), (b"StpA\x07", &format!("{piece:?}"))]
        {
            assert_eq!(crate::explain(bytes), shown);
            let (begin, end) = transfer_range();
            assert!(&begin[..] <= bytes && bytes < &end[..]);
        }
        assert!(IncarnationKey.encode() < transfer_range().0);
    }
}
