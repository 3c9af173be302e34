//! `S`: facts of the whole store.
//!
//! | key | value |
//! |-----|-------|
//! | `S i` | [`crate::records::system::Incarnation`] |

use super::{read_tags, show};
use crate::{Key, KeyError, KeyReader, KeyWriter};

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

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<IncarnationKey>(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(IncarnationKey.encode(), b"Si");
        assert_eq!(IncarnationKey::decode(b"Si"), Ok(IncarnationKey));
    }
}
