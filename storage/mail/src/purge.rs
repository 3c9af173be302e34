//! The mail of a removed account goes: a job with a cursor, in steps of one transaction each.
//!
//! The job is a row that the removal wrote ([`Store::remove_in`]). A step clears the account's next rows from the cursor
//! on, lets go the body of each email among them, and moves the cursor, all in one transaction: after a crash the next
//! step goes on where the last one that was committed ended, whichever node takes it. When nothing is left behind the
//! cursor, the range is looked at again from its start; the step that finds it empty clears the job. Its read of the
//! whole range conflicts with any write there, and every verb conflicts with the removal ([`crate::removal`]), so that
//! after the job no row comes back.
//!
//! Bodies that somebody else holds stay; the others are deleted by the blob store's collector after its grace period.
//! Uploads of the account expire by themselves.

use kv::{Row, Transaction};
use schema::keys::job::PurgeKey;
use schema::keys::mail::{EmailKey, account_range};
use schema::records::job::PurgeJob;
use schema::records::mail::EmailRecord;
use schema::{AccountId, BlobHash, Key, Record, RecordError};

use crate::clearing::{self, Step};
use crate::{Error, Store, mailbox};

/// A removed account whose mail is not all gone yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// The account's id, which is not used again.
    pub account: AccountId,
    /// The address it had.
    pub address: String,
    /// When it was removed, in milliseconds since the epoch.
    pub removed: i64,
    /// Rows cleared so far.
    pub rows: u64,
    /// Emails among them.
    pub emails: u64,
    /// Octets of those emails.
    pub octets: u64,
}

impl Store {
    /// Removed accounts whose mail is not all gone yet, from behind the id `after` on.
    ///
    /// # Errors
    /// The store's.
    pub async fn purges(&self, after: Option<AccountId>, limit: usize) -> Result<Vec<Purge>, Error> {
        let (mut begin, end) = PurgeKey::range();
        if let Some(account) = after {
            begin = PurgeKey { account }.encode();
            begin.push(0);
        }
        let (begin, end) = (&begin, &end);
        let rows = self
            .db
            .read("mail.purges", |txn| async move {
                Ok::<_, Error>(txn.range(begin, end).snapshot().limit(limit).collect().await?)
            })
            .await?;
        rows.iter().map(read_job).collect()
    }

    /// Clears the next rows of a removed account. Repeat it until [`Step::Finished`], with pauses: others want the
    /// store too.
    ///
    /// # Errors
    /// The store's; then the same step can be asked for again.
    pub async fn purge_step(&self, account: AccountId) -> Result<Step, Error> {
        self.db.transact("mail.purge", |txn| async move { self.purge_step_in(&txn, account).await }).await
    }

    async fn purge_step_in(&self, txn: &Transaction, account: AccountId) -> Result<Step, Error> {
        let job_key = PurgeKey { account }.encode();
        // A serializable read: of two nodes that take the same step one conflicts.
        let Some(value) = txn.get(&job_key).await? else { return Ok(Step::Absent) };
        let mut job = PurgeJob::from_bytes(&value)?;
        let heavy = |key: &[u8]| EmailKey::decode(key).is_ok();
        let rows = clearing::next_rows(txn, account_range(account), &job.cursor, heavy).await?;
        let Some((last, _)) = rows.last() else {
            if job.cursor.is_empty() {
                txn.clear(&job_key);
                return Ok(Step::Finished);
            }
            job.cursor.clear();
            txn.set(&job_key, &job.to_bytes());
            return Ok(Step::Cleared { rows: 0, emails: 0, octets: 0 });
        };
        job.cursor = last.to_vec();
        let (mut emails, mut octets) = (0, 0);
        for (key, value) in &rows {
            txn.clear(key);
            if let Ok(key) = EmailKey::decode(key) {
                let email = EmailRecord::from_bytes(value)?;
                let hash: [u8; 32] =
                    email.blob.as_slice().try_into().map_err(|_| RecordError::Value("blob"))?;
                let owner = mailbox::owner(account, key.email);
                self.blobs.dereference_in(txn, BlobHash(hash), owner).await?;
                emails += 1;
                octets += email.size;
            }
        }
        let cleared = rows.len() as u64;
        job.rows += cleared;
        job.emails += emails;
        job.octets += octets;
        txn.set(&job_key, &job.to_bytes());
        Ok(Step::Cleared { rows: cleared, emails, octets })
    }
}

fn read_job((key, value): &Row) -> Result<Purge, Error> {
    let account = PurgeKey::decode(key)?.account;
    let PurgeJob { address, removed, rows, emails, octets, .. } = PurgeJob::from_bytes(value)?;
    Ok(Purge { account, address, removed, rows, emails, octets })
}
