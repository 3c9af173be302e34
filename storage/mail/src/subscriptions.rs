//! Which mailboxes a user subscribed to, by the names he sees; whether they exist does not matter (RFC 9051 §6.3.7).

use std::collections::BTreeSet;

use changes::Kinds;
use kv::Transaction;
use schema::keys::mail::SubscriptionKey;
use schema::records::mail::ChangeKind;
use schema::{AccountId, Key};

use crate::{Error, MailboxPath, Store, mailbox, removal};

/// Longest name that can be subscribed to, in bytes.
const MAX_NAME: usize = 4_096;

impl Store {
    /// All subscriptions of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn subscriptions(&self, account: AccountId) -> Result<BTreeSet<String>, Error> {
        self.db
            .read("mail.subscriptions", |txn| async move {
                let (begin, end) = SubscriptionKey::range(account);
                let rows = txn.range(&begin, &end).snapshot().collect().await?;
                rows.iter().map(|(key, _)| Ok(SubscriptionKey::decode(key)?.name)).collect()
            })
            .await
    }

    /// Subscribes to a name, or no longer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an overlong name, [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn subscribe(&self, account: AccountId, name: &str, on: bool) -> Result<(), Error> {
        if name.len() > MAX_NAME {
            return Err(Error::Invalid("the mailbox name is too long"));
        }
        let ((), version) = self
            .db
            .transact_versioned("mail.subscribe", |txn| async move {
                removal::alive_in(&txn, account).await?;
                // Whoever looks at the mailbox sees whether it is subscribed (RFC 8621 §2).
                if let Ok(path) = MailboxPath::parse(name)
                    && let Some(found) = mailbox::resolve_in(&txn, account, &path).await?
                {
                    self.log_tree_in(&txn, account, ChangeKind::MailboxUpdated, found.id);
                }
                self.subscribe_in(&txn, account, name, on);
                Ok::<_, Error>(())
            })
            .await?;
        self.tell(account, &[], version, Kinds::SUBSCRIPTIONS);
        Ok(())
    }

    pub(crate) fn subscribe_in(&self, txn: &Transaction, account: AccountId, name: &str, on: bool) {
        let key = SubscriptionKey { account, name: name.to_owned() }.encode();
        if on {
            txn.set(&key, b"");
        } else {
            txn.clear(&key);
        }
        changes::log::touch_in(txn, account);
    }
}
