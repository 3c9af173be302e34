//! Accounts that are there, and accounts that are removed.
//!
//! An account's mail is there as long as the role row of its INBOX, which is written with the account's first mailbox
//! and never changes: an INBOX can be neither deleted nor renamed. The transaction that removes the account clears that
//! row and the records of its mailboxes; everything else is left to the purge ([`crate::purge`]). Each verb that writes
//! to an account reads the record of the mailbox that it writes to or, where it reads none, that row ([`alive_in`]), so
//! that a delivery and a removal at the same time conflict: the delivery comes first and is purged, or finds nothing to
//! deliver to.

use changes::Kinds;
use kv::{Transaction, Versionstamp};
use schema::keys::job::PurgeKey;
use schema::keys::mail::{MailboxKey, RoleKey};
use schema::records::job::PurgeJob;
use schema::{AccountId, Key, Record};

use crate::{Error, Role, Store, mailbox};

impl Store {
    /// Makes an account's mail unreachable, and leaves it to the purge. The account must not come back: ids are not
    /// used again. `address` is what people knew it by.
    pub fn remove_in(&self, txn: &Transaction, account: AccountId, address: &str) {
        txn.clear(&RoleKey { account, role: Role::Inbox as u8 }.encode());
        let (begin, end) = MailboxKey::range(account);
        txn.clear_range(&begin, &end);
        let job = PurgeJob {
            address: address.to_owned(),
            removed: self.clock.now().millis(),
            ..PurgeJob::default()
        };
        txn.set(&PurgeKey { account }.encode(), &job.to_bytes());
        changes::log::touch_in(txn, account);
    }

    /// After the commit: wakes sessions of the account, so that they end.
    pub fn removed(&self, account: AccountId, version: Versionstamp) {
        self.tell(account, &[], version, Kinds::MAILBOXES);
    }

    /// Whether an account has mailboxes: it was not removed.
    ///
    /// # Errors
    /// The store's.
    pub async fn exists(&self, account: AccountId) -> Result<bool, Error> {
        self.db.read("mail.exists", |txn| async move { is_alive_in(&txn, account).await }).await
    }
}

/// Fails for an account that was removed, and conflicts with its removal.
pub(crate) async fn alive_in(txn: &Transaction, account: AccountId) -> Result<(), Error> {
    if is_alive_in(txn, account).await? { Ok(()) } else { Err(Error::NotFound) }
}

pub(crate) async fn is_alive_in(txn: &Transaction, account: AccountId) -> Result<bool, Error> {
    Ok(mailbox::with_role_in(txn, account, Role::Inbox).await?.is_some())
}
