//! `J`: work that takes more than one transaction, and how far it has come.
//!
//! | key | value |
//! |-----|-------|
//! | `J p` account | [`crate::records::job::PurgeJob`] |

use super::{read_tags, show};
use crate::{AccountId, Key, KeyError, KeyReader, KeyWriter, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'J';

/// The account is removed, and its mail is being removed. Gone when nothing of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeKey {
    /// The account.
    pub account: AccountId,
}

impl PurgeKey {
    /// All accounts whose mail is being removed.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'p');
        })
    }
}

impl Key for PurgeKey {
    const NAME: &'static str = "Purge";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'p').uint(self.account.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'p'])?;
        Ok(PurgeKey { account: AccountId(reader.uint32()?) })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<PurgeKey>(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        for (account, bytes) in [(AccountId(7), &b"Jp\x07"[..]), (AccountId(300), b"Jp\xf1\x3c")] {
            let key = PurgeKey { account };
            assert_eq!(key.encode(), bytes);
            assert_eq!(PurgeKey::decode(bytes), Ok(key));
            assert_eq!(crate::explain(bytes), format!("{key:?}"));
            let (begin, end) = PurgeKey::range();
            assert!(*begin <= *bytes && *bytes < *end);
        }
    }
}
