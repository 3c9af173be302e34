//! `A` account: all mail of one account, one contiguous range.
//!
//! | key (behind `A` account) | value |
//! |---|---|
//! | `F` | change log floor: 8 bytes modseq; changes up to it are forgotten |
//! | `K` folded name | keyword id, 4 bytes |
//! | `L` | versionstamp of the account's last change; watched |
//! | `M` mailbox | [`MailboxRecord`](crate::records::mail::MailboxRecord) |
//! | `Q` | [`QuotaLimitRecord`](crate::records::mail::QuotaLimitRecord) |
//! | `R` role | mailbox id, 4 bytes. That of INBOX is there as long as the account is |
//! | `S` name | nothing: the name is subscribed |
//! | `T` | versionstamp of the last change of the mailbox tree |
//! | `V` | by which authorities all signatures were looked at: 8 bytes |
//! | `a` | [`AllocationRecord`](crate::records::mail::AllocationRecord) |
//! | `d` due email | nothing: the email's signature is to be looked at again then |
//! | `e` email `R` | [`EmailRecord`](crate::records::mail::EmailRecord) |
//! | `e` email `b` mailbox uid | nothing: the email is there |
//! | `e` email `s` n | part n of a [`StructureRecord`](crate::records::structure::StructureRecord) |
//! | `e` email `v` | [`SignatureRecord`](crate::records::mail::SignatureRecord), once somebody asked for it |
//! | `i` hash submission | nothing: notifications may name the submission by what has this hash |
//! | `k` id | keyword as first spelled |
//! | `l` stamp n | [`ChangeRecord`](crate::records::mail::ChangeRecord) |
//! | `m` mailbox … | what belongs to one mailbox: [`mailbox`] |
//! | `n` parent name | mailbox id, 4 bytes |
//! | `o` kind id | a record of [`crate::records::object`]: an identity, a submission, the automatic reply, what others shared |
//! | `q` | used: 8 bytes octets, 8 bytes messages, little-endian |
//! | `r` hash | when the automatic reply was sent to the address with this hash: 8 bytes seconds, little-endian |
//! | `t` hash | thread id, 8 bytes: messages with this id and subject belong there |
//! | `v` hash | highest UIDVALIDITY a mailbox had under the path with this hash, 8 bytes little-endian |
//! | `w` thread email | nothing: the email is in the thread |
//! | `y` thread hash | nothing: the `t` keys that lead to the thread |

pub mod account;
pub mod email;
pub mod mailbox;
pub mod object;
pub mod signature;
pub mod thread;

pub use account::*;
pub use email::*;
pub use mailbox::*;
pub use object::*;
pub use signature::*;
pub use thread::*;

use crate::{AccountId, KeyError, KeyReader, KeyWriter, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'A';

/// All mail of an account.
pub fn account_range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        writer.tag(TAG).uint(account.0.into());
    })
}

fn write_account(writer: &mut KeyWriter, account: AccountId, tag: u8) -> &mut KeyWriter {
    writer.tag(TAG).uint(account.0.into()).tag(tag)
}

fn read_account(reader: &mut KeyReader<'_>, tag: u8) -> Result<AccountId, KeyError> {
    reader.tag(TAG)?;
    let account = AccountId(reader.uint32()?);
    reader.tag(tag)?;
    Ok(account)
}

/// All keys of an account with one tag.
fn account_tag_range(account: AccountId, tag: u8) -> (Vec<u8>, Vec<u8>) {
    prefix_range(|writer| {
        write_account(writer, account, tag);
    })
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    account::explain(bytes)
        .or_else(|| mailbox::explain(bytes))
        .or_else(|| email::explain(bytes))
        .or_else(|| thread::explain(bytes))
        .or_else(|| object::explain(bytes))
        .or_else(|| signature::explain(bytes))
}

#[cfg(test)]
pub(crate) mod golden {
    use crate::Key;
    use std::fmt::Debug;

    /// Checks a key's bytes, that they are read back, and that `explain` knows them.
    pub(crate) fn check<K: Key + Debug + PartialEq>(key: &K, bytes: &[u8]) {
        assert_eq!(key.encode().escape_ascii().to_string(), bytes.escape_ascii().to_string(), "{key:?}");
        assert_eq!(K::decode(bytes).as_ref(), Ok(key));
        assert_eq!(crate::explain(bytes), format!("{key:?}"));
        for cut in 0..bytes.len() {
            // A shorter key is another key or none, never a panic.
            let _ = K::decode(&bytes[..cut]);
        }
    }
}
