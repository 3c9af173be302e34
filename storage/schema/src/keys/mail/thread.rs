//! Threads: which emails belong together (RFC 8621 §3).

use super::{account_tag_range, read_account, write_account};
use crate::keys::show;
use crate::{AccountId, EmailId, Key, KeyError, KeyReader, KeyWriter, ThreadId, prefix_range};

/// The thread of the messages that name a message id under a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadReferenceKey {
    /// Account.
    pub account: AccountId,
    /// Keyed hash.
    pub hash: [u8; 8],
}

impl Key for ThreadReferenceKey {
    const NAME: &'static str = "ThreadReference";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b't').raw(&self.hash);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b't')?;
        Ok(Self { account, hash: reader.array()? })
    }
}

impl ThreadReferenceKey {
    /// All of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b't')
    }
}

/// A [`ThreadReferenceKey`] that leads to a thread, kept so that it goes with the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadHashKey {
    /// Account.
    pub account: AccountId,
    /// Thread.
    pub thread: ThreadId,
    /// Keyed hash.
    pub hash: [u8; 8],
}

impl Key for ThreadHashKey {
    const NAME: &'static str = "ThreadHash";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'y').fixed64(self.thread.0).raw(&self.hash);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'y')?;
        Ok(Self { account, thread: ThreadId(reader.fixed64()?), hash: reader.array()? })
    }
}

impl ThreadHashKey {
    /// All that lead to a thread.
    pub fn range(account: AccountId, thread: ThreadId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_account(writer, account, b'y').fixed64(thread.0);
        })
    }

    /// Those of all threads of an account.
    pub fn all(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'y')
    }
}

/// An email of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadEmailKey {
    /// Account.
    pub account: AccountId,
    /// Thread.
    pub thread: ThreadId,
    /// Email.
    pub email: EmailId,
}

impl Key for ThreadEmailKey {
    const NAME: &'static str = "ThreadEmail";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'w').fixed64(self.thread.0).fixed64(self.email.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'w')?;
        Ok(Self { account, thread: ThreadId(reader.fixed64()?), email: EmailId(reader.fixed64()?) })
    }
}

impl ThreadEmailKey {
    /// All emails of a thread.
    pub fn range(account: AccountId, thread: ThreadId) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            write_account(writer, account, b'w').fixed64(thread.0);
        })
    }

    /// Those of all threads of an account.
    pub fn all(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'w')
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<ThreadReferenceKey>(bytes)
        .or_else(|| show::<ThreadHashKey>(bytes))
        .or_else(|| show::<ThreadEmailKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::golden::check;
    use super::*;

    #[test]
    fn golden_bytes() {
        let (account, thread) = (AccountId(5), ThreadId(1));
        check(&ThreadReferenceKey { account, hash: *b"abcdefgh" }, b"A\x05tabcdefgh");
        check(&ThreadHashKey { account, thread, hash: *b"abcdefgh" }, b"A\x05y\0\0\0\0\0\0\0\x01abcdefgh");
        check(
            &ThreadEmailKey { account, thread, email: EmailId(2) },
            b"A\x05w\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02",
        );
    }
}
