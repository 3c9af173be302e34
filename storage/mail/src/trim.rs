//! Logs are kept for a time: the account's change log, and each mailbox's log of expunges.

use schema::keys::mail::{VanishedFloorKey, VanishedKey};
use schema::{AccountId, Key, ModSeq, Uid};

use crate::{Error, MailboxRef, Store, mailbox, removal};

/// Entries of the change log that one transaction forgets.
const STEP: usize = 10_000;

impl Store {
    /// Forgets changes made before `before`, in seconds since the epoch. Who asks from an earlier moment is told to
    /// start anew: by [`Store::since`] to resync, by the change log that it cannot calculate. Returns whether there
    /// was anything to forget. A crash in between leaves some expunges to the next call.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn trim(&self, account: AccountId, before: i64) -> Result<bool, Error> {
        let mut floor = None;
        while let Some(step) = self.trim_changes(account, before).await? {
            floor = Some(step);
        }
        let Some(floor) = floor else { return Ok(false) };
        for mailbox in self.mailboxes(account).await? {
            match self.trim_vanished(MailboxRef { account, mailbox: mailbox.id }, floor).await {
                // Deleted meanwhile.
                Ok(()) | Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn trim_changes(&self, account: AccountId, before: i64) -> Result<Option<ModSeq>, Error> {
        self.db
            .transact("mail.trim", |txn| async move {
                removal::alive_in(&txn, account).await?;
                Ok(changes::log::trim_in(&txn, account, before, STEP).await?)
            })
            .await
    }

    async fn trim_vanished(&self, at: MailboxRef, floor: ModSeq) -> Result<(), Error> {
        let MailboxRef { account, mailbox } = at;
        let begin = VanishedKey::after(account, mailbox, ModSeq(0)).0;
        let end = VanishedKey { account, mailbox, stamp: floor.next_stamp(), first: Uid::MIN }.encode();
        let (begin, end) = (&begin, &end);
        self.db
            .transact("mail.trim", |txn| async move {
                mailbox::record_in(&txn, at).await?;
                // Without an expunge to forget, older states of this mailbox stay good.
                if txn.range(begin, end).first().await?.is_some() {
                    txn.clear_range(begin, end);
                    txn.set(&VanishedFloorKey { account, mailbox }.encode(), &floor.0.to_be_bytes());
                }
                Ok(())
            })
            .await
    }
}
