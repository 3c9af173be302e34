//! `O`: clients of OAuth 2.0, and devices that wait. What they were allowed belongs to the accounts ([`super::account::GrantKey`]).
//!
//! | key | value |
//! |-----|-------|
//! | `O c` id | [`crate::records::oauth::Client`]: one that somebody has allowed something |
//! | `O d` code | [`crate::records::oauth::Device`]: a device that waits for its user's word |
//! | `O k` | [`crate::records::oauth::SigningKeys`]: what id tokens are signed with, by all nodes |
//! | `O n` id | [`crate::records::oauth::Client`]: one that nobody has allowed anything yet; it goes after a while |

use super::{read_tags, show};
use crate::{Key, KeyError, KeyReader, KeyWriter, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'O';

/// Letters of a code that users type.
pub const USER_CODE: usize = 8;

/// Bytes of random behind the time in an id.
pub const RANDOM: usize = 11;

/// A client's id: when it was registered, and what nobody guesses. So those of one range lie in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    /// In seconds since the epoch.
    pub time: i64,
    /// Tells apart those of one second.
    pub random: [u8; RANDOM],
}

impl ClientId {
    /// As bytes: what clients are told is these as text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = KeyWriter::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<ClientId> {
        let mut reader = KeyReader::new(bytes);
        let id = ClientId::read(&mut reader).ok()?;
        reader.finish().ok().map(|()| id)
    }

    fn write(&self, writer: &mut KeyWriter) {
        writer.seconds(self.time).raw(&self.random);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let time = reader.seconds()?;
        Ok(ClientId { time, random: reader.array()? })
    }
}

fn range(tag: u8) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        writer.tag(TAG).tag(tag);
    })
}

/// A client that somebody has allowed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientKey {
    /// Its id.
    pub id: ClientId,
}

impl ClientKey {
    /// All of them.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        range(b'c')
    }
}

impl Key for ClientKey {
    const NAME: &'static str = "Client";

    fn write(&self, writer: &mut KeyWriter) {
        self.id.write(writer.tag(TAG).tag(b'c'));
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'c'])?;
        Ok(ClientKey { id: ClientId::read(reader)? })
    }
}

/// A client that nobody has allowed anything yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewClientKey {
    /// Its id.
    pub id: ClientId,
}

impl NewClientKey {
    /// All of them, the oldest first.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        range(b'n')
    }

    /// Before all that were registered at a time or later.
    pub fn since(time: i64) -> Vec<u8> {
        let mut writer = KeyWriter::new();
        writer.tag(TAG).tag(b'n').seconds(time);
        writer.finish()
    }
}

impl Key for NewClientKey {
    const NAME: &'static str = "NewClient";

    fn write(&self, writer: &mut KeyWriter) {
        self.id.write(writer.tag(TAG).tag(b'n'));
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'n'])?;
        Ok(NewClientKey { id: ClientId::read(reader)? })
    }
}

/// A device that waits, by the code that its user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceKey {
    /// Upper case letters.
    pub code: [u8; USER_CODE],
}

impl DeviceKey {
    /// All of them.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        range(b'd')
    }
}

impl Key for DeviceKey {
    const NAME: &'static str = "Device";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'd').raw(&self.code);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'd'])?;
        Ok(DeviceKey { code: reader.array()? })
    }
}

/// What id tokens are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningKeysKey;

impl Key for SigningKeysKey {
    const NAME: &'static str = "SigningKeys";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'k');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'k'])?;
        Ok(SigningKeysKey)
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<ClientKey>(bytes)
        .or_else(|| show::<NewClientKey>(bytes))
        .or_else(|| show::<DeviceKey>(bytes))
        .or_else(|| show::<SigningKeysKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ClientId = ClientId { time: 1, random: *b"0123456789a" };

    fn golden<K: Key + PartialEq + std::fmt::Debug>(key: &K, bytes: &[u8]) {
        assert_eq!(key.encode(), bytes);
        assert_eq!(K::decode(bytes).as_ref(), Ok(key));
        assert_eq!(crate::explain(bytes), format!("{key:?}"));
    }

    #[test]
    fn golden_bytes() {
        golden(&ClientKey { id: ID }, b"Oc\x80\0\0\0\x010123456789a");
        golden(&NewClientKey { id: ID }, b"On\x80\0\0\0\x010123456789a");
        golden(&DeviceKey { code: *b"WDJBMJHT" }, b"OdWDJBMJHT");
        golden(&SigningKeysKey, b"Ok");
        let key = NewClientKey { id: ID }.encode();
        assert!(NewClientKey::since(1) <= key && key < NewClientKey::since(2));
        let (begin, end) = NewClientKey::range();
        assert!(begin <= key && key < end);
    }

    #[test]
    fn an_id_is_its_bytes() {
        assert_eq!(ID.to_bytes().len(), 16);
        assert_eq!(ClientId::from_bytes(&ID.to_bytes()), Some(ID));
        for length in [0, 4, 5, 15, 17] {
            assert_eq!(ClientId::from_bytes(&vec![0x80; length]), None, "{length}");
        }
    }
}
