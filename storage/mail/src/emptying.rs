//! The messages of a deleted mailbox go: a job with a cursor, in steps of one transaction each.
//!
//! The transaction that deletes a mailbox decides all that anybody sees ([`Store::delete`]): its record and its names are
//! gone, and with them every verb answers that there is no such mailbox. If it holds messages, that transaction leaves a
//! job. A step takes the mailbox's next rows from the cursor on: the messages among them leave their emails, and those
//! that were their email's last let go its body, as if they were expunged. After a crash the next step goes on where the
//! last one that was committed ended, whichever node takes it.
//!
//! Every verb that writes to a mailbox reads its record, which the deletion cleared, so that nothing is written behind
//! the cursor. Until the job is done what is left counts against the quota.

use std::time::Duration;

use changes::Kinds;
use kv::Transaction;
use schema::keys::job::EmptyKey;
use schema::keys::mail::{MembershipKey, MessageKey, mailbox_range};
use schema::records::job::EmptyJob;
use schema::records::mail::MessageRecord;
use schema::{AccountId, Key, MailboxId, Record};

use crate::clearing::{self, Step};
use crate::expunge::Farewell;
use crate::{Error, MailboxRef, Store, pace, quota, removal};

/// Steps that the deletion itself takes: a mailbox of some hundred messages is empty when DELETE is answered.
const AT_ONCE: usize = 6;
/// Time that they take at most, about.
const AT_ONCE_TIME: Duration = Duration::from_secs(1);

/// Leaves a deleted mailbox to its job.
pub(crate) fn begin_in(store: &Store, txn: &Transaction, at: MailboxRef) {
    let job = EmptyJob { deleted: store.clock.now().millis(), ..EmptyJob::default() };
    txn.set(&EmptyKey { account: at.account, mailbox: at.mailbox }.encode(), &job.to_bytes());
}

/// Mailboxes of an account that are deleted and not empty yet.
pub(crate) async fn under_way_in(txn: &Transaction, account: AccountId) -> Result<Vec<MailboxId>, Error> {
    let (begin, end) = EmptyKey::of(account);
    let rows = txn.range(&begin, &end).snapshot().collect().await?;
    rows.iter().map(|(key, _)| Ok(EmptyKey::decode(key)?.mailbox)).collect()
}

impl Store {
    /// Mailboxes that are deleted and not empty yet, from behind `after` on.
    ///
    /// # Errors
    /// The store's.
    pub async fn emptying(&self, after: Option<MailboxRef>, limit: usize) -> Result<Vec<MailboxRef>, Error> {
        let (mut begin, end) = EmptyKey::range();
        if let Some(MailboxRef { account, mailbox }) = after {
            begin = EmptyKey { account, mailbox }.encode();
            begin.push(0);
        }
        let (begin, end) = (&begin, &end);
        let rows = self
            .db
            .read("mail.emptying", |txn| async move {
                Ok::<_, Error>(txn.range(begin, end).snapshot().limit(limit).collect().await?)
            })
            .await?;
        let read =
            |key| EmptyKey::decode(key).map(|EmptyKey { account, mailbox }| MailboxRef { account, mailbox });
        rows.iter().map(|(key, _)| Ok(read(key)?)).collect()
    }

    /// Whether the account has such mailboxes: what was in them is seen no longer, and the log does not tell yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_emptying(&self, account: AccountId) -> Result<bool, Error> {
        self.db
            .read("mail.emptying", |txn| async move { Ok(!under_way_in(&txn, account).await?.is_empty()) })
            .await
    }

    /// Removes the next messages of a deleted mailbox. Repeat it until [`Step::Finished`], with pauses: others want the
    /// store too.
    ///
    /// # Errors
    /// The store's; then the same step can be asked for again.
    pub async fn empty_step(&self, at: MailboxRef) -> Result<Step, Error> {
        let (step, version) = self
            .db
            .transact_versioned("mail.empty", |txn| async move { self.empty_step_in(&txn, at).await })
            .await?;
        if let Step::Cleared { emails: 1.., .. } = step {
            self.tell(at.account, &[], version, Kinds::EXPUNGE);
        }
        Ok(step)
    }

    /// The first steps, right behind the deletion. What they do not reach is left to whoever works on jobs, who also
    /// says what fails.
    pub(crate) async fn empty_at_once(&self, at: MailboxRef) {
        let begun = self.clock.monotonic();
        for _ in 0..AT_ONCE {
            if !matches!(self.empty_step(at).await, Ok(Step::Cleared { .. }))
                || self.clock.monotonic().saturating_sub(begun) > AT_ONCE_TIME
            {
                return;
            }
        }
    }

    async fn empty_step_in(&self, txn: &Transaction, at: MailboxRef) -> Result<Step, Error> {
        let MailboxRef { account, mailbox } = at;
        let job_key = EmptyKey { account, mailbox }.encode();
        // A serializable read: of two nodes that take the same step one conflicts.
        let Some(value) = txn.get(&job_key).await? else { return Ok(Step::Absent) };
        let mut job = EmptyJob::from_bytes(&value)?;
        let alive = removal::is_alive_in(txn, account).await?;
        let range = mailbox_range(account, mailbox);
        let heavy = |key: &[u8]| MessageKey::decode(key).is_ok();
        // What belonged to an account that is removed goes with its purge.
        let mut rows =
            if alive { clearing::next_rows(txn, range, &job.cursor, heavy).await? } else { Vec::new() };
        let (mut messages, mut octets) = (0, 0);
        let mut farewell = Farewell::default();
        farewell.note_hidden();
        let mut taken = 0;
        for (key, value) in &rows {
            if taken > 0 && pace::is_spent(txn) {
                break;
            }
            taken += 1;
            let Ok(MessageKey { uid, .. }) = MessageKey::decode(key) else { continue };
            let record = MessageRecord::from_bytes(value)?;
            txn.clear(&MembershipKey { account, email: record.email, mailbox, uid }.encode());
            farewell.bid_in(self, txn, account, &[&record]).await?;
            messages += 1;
            octets += record.size;
        }
        rows.truncate(taken);
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else {
            txn.clear(&job_key);
            return Ok(Step::Finished);
        };
        let count = |n: u64| -i64::try_from(n).unwrap_or(i64::MAX);
        quota::count_in(txn, account, count(octets), count(messages));
        // The mailbox is gone already: the log does not speak of it again.
        farewell.log_in(self, txn, account, &[]);
        txn.clear_range(first, &[last, &[0][..]].concat());
        job.cursor = last.to_vec();
        job.rows += rows.len() as u64;
        job.messages += messages;
        txn.set(&job_key, &job.to_bytes());
        Ok(Step::Cleared { rows: rows.len() as u64, emails: messages, octets })
    }
}
