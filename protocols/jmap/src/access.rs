//! Whose data a call is about, and what the user may do with it.

use accounts::{Identity, Rights};
use jmap_proto::{Id, MethodError};
use schema::AccountId;

use crate::call::Call;

/// An account and the user's rights in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) account: AccountId,
    pub(crate) rights: Rights,
}

impl Access {
    /// Fails without these rights.
    pub(crate) fn may(&self, rights: Rights) -> bool {
        self.rights.contain(rights)
    }
}

/// Rights without which nothing in an account can be changed.
pub(crate) fn only_reads(rights: Rights) -> bool {
    let changing = [
        Rights::SEEN,
        Rights::WRITE,
        Rights::INSERT,
        Rights::CREATE,
        Rights::DELETE_MAILBOX,
        Rights::DELETE_MESSAGES,
    ];
    !changing.into_iter().any(|right| rights.contain(right))
}

/// What somebody may do with an account: everything with the own one, with a group's as far as that allows (RFC 4314
/// §2.1); none for an account that is not seen.
pub(crate) fn rights(identity: &Identity, account: AccountId) -> Option<Rights> {
    if identity.account == account {
        return Some(Rights::ALL);
    }
    let group = identity.groups.iter().find(|group| group.account == account);
    group.map(|group| group.rights).filter(|rights| rights.contain(Rights::LOOKUP))
}

impl Call {
    /// The account, to be read.
    ///
    /// # Errors
    /// [`MethodError::AccountNotFound`], [`MethodError::Forbidden`].
    pub(crate) fn reader(&self, account: &Id) -> Result<Access, MethodError> {
        let account = account.as_str().parse().map_err(|_| MethodError::AccountNotFound)?;
        let rights = rights(&self.identity, account).ok_or(MethodError::AccountNotFound)?;
        let access = Access { account, rights };
        if access.may(Rights::READ) { Ok(access) } else { Err(MethodError::Forbidden) }
    }

    /// The account, to be changed. What of it may be changed is still to be looked at.
    ///
    /// # Errors
    /// As [`Call::reader`], and [`MethodError::AccountReadOnly`].
    pub(crate) fn writer(&self, account: &Id) -> Result<Access, MethodError> {
        let access = self.reader(account)?;
        if only_reads(access.rights) { Err(MethodError::AccountReadOnly) } else { Ok(access) }
    }
}
