//! Logs are kept for a time: the account's change log, and each mailbox's log of expunges.

use schema::keys::mail::{ObjectKey, ObjectKind, VanishedFloorKey, VanishedKey};
use schema::records::object::{ShareNotificationRecord, SubmissionRecord};
use schema::{AccountId, Key, ModSeq, Record, SubmissionId, Uid};

use crate::objects::{ObjectChange, write_object_in};
use crate::submissions::remove_submission_in;
use crate::{Error, MailboxRef, Store, mailbox, removal};

/// Entries of the change log that one transaction forgets.
const STEP: usize = 10_000;
/// Submissions that one transaction looks at.
const SUBMISSIONS: usize = 50;

/// Objects of a kind that were made before a time, in seconds since the epoch.
fn made_before(account: AccountId, kind: ObjectKind, before: i64) -> (Vec<u8>, Vec<u8>) {
    // Ids begin with the time at which they were made.
    let upto = u64::try_from(before).unwrap_or(0).saturating_mul(1_000) << 20;
    (ObjectKey::range(account, kind).0, ObjectKey { account, kind, id: upto }.encode())
}

impl Store {
    /// Forgets changes made before `before`, in seconds since the epoch. Who asks from an earlier moment is told to
    /// start anew: by [`Store::since`] to resync, by the change log that it cannot calculate. Returns whether there
    /// was anything to forget. A crash in between leaves some expunges to the next call.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn trim(&self, account: AccountId, before: i64) -> Result<bool, Error> {
        self.trim_submissions(account, before).await?;
        self.trim_notifications(account, before).await?;
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

    /// Forgets submissions that were given before then, but for those that still wait.
    async fn trim_submissions(&self, account: AccountId, before: i64) -> Result<(), Error> {
        let (begin, end) = made_before(account, ObjectKind::Submission, before);
        let (begin, end) = (&begin, &end);
        self.db
            .transact("mail.trim", |txn| async move {
                removal::alive_in(&txn, account).await?;
                for (key, value) in txn.range(begin, end).limit(SUBMISSIONS).collect().await? {
                    let (id, record) = (ObjectKey::decode(&key)?.id, SubmissionRecord::from_bytes(&value)?);
                    remove_submission_in(&txn, (account, SubmissionId(id)), &record, self.now_secs());
                }
                Ok(())
            })
            .await
    }

    /// Forgets that rights were changed before then (RFC 9670 §3): nobody has to dismiss what is old.
    async fn trim_notifications(&self, account: AccountId, before: i64) -> Result<(), Error> {
        let kind = ObjectKind::ShareNotification;
        let (begin, end) = made_before(account, kind, before);
        let (begin, end) = (&begin, &end);
        self.db
            .transact("mail.trim", |txn| async move {
                removal::alive_in(&txn, account).await?;
                for (key, _) in txn.range(begin, end).collect().await? {
                    let gone = ObjectChange::<ShareNotificationRecord>::Destroyed;
                    write_object_in(
                        &txn,
                        (account, kind, ObjectKey::decode(&key)?.id),
                        &gone,
                        self.now_secs(),
                    );
                }
                Ok(())
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
