//! What was found of signatures (RFC 9219): with the email, in the order in which it is to be looked at again, and of the account.

use super::email::{read_email, write_email};
use super::{account_tag_range, read_account, write_account};
use crate::keys::show;
use crate::{AccountId, EmailId, Key, KeyError, KeyReader, KeyWriter};

/// What was found of an email's signature. It goes with the email ([`super::email_range`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureKey {
    /// Account.
    pub account: AccountId,
    /// Email.
    pub email: EmailId,
}

impl Key for SignatureKey {
    const NAME: &'static str = "Signature";

    fn write(&self, writer: &mut KeyWriter) {
        write_email(writer, self.account, self.email, b'v');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let (account, email) = read_email(reader, b'v')?;
        Ok(Self { account, email })
    }
}

/// When a signature is to be looked at again. It may outlive the email, and goes when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureDueKey {
    /// Account.
    pub account: AccountId,
    /// When, seconds since the epoch.
    pub due: i64,
    /// Email.
    pub email: EmailId,
}

impl Key for SignatureDueKey {
    const NAME: &'static str = "SignatureDue";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'd').seconds(self.due).fixed64(self.email.0);
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'd')?;
        Ok(Self { account, due: reader.seconds()?, email: EmailId(reader.fixed64()?) })
    }
}

impl SignatureDueKey {
    /// All of an account.
    pub fn range(account: AccountId) -> (Vec<u8>, Vec<u8>) {
        account_tag_range(account, b'd')
    }
}

/// By which authorities all signatures of an account were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthoritiesKey {
    /// Account.
    pub account: AccountId,
}

impl Key for AuthoritiesKey {
    const NAME: &'static str = "Authorities";

    fn write(&self, writer: &mut KeyWriter) {
        write_account(writer, self.account, b'V');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        let account = read_account(reader, b'V')?;
        Ok(Self { account })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<SignatureKey>(bytes)
        .or_else(|| show::<SignatureDueKey>(bytes))
        .or_else(|| show::<AuthoritiesKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::golden::check;
    use super::*;

    #[test]
    fn golden_bytes() {
        let (account, email) = (AccountId(5), EmailId(0x0102));
        check(&SignatureKey { account, email }, b"A\x05e\x00\x00\x00\x00\x00\x00\x01\x02v");
        check(
            &SignatureDueKey { account, due: 3, email },
            b"A\x05d\x80\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02",
        );
        check(&AuthoritiesKey { account }, b"A\x05V");
    }
}
