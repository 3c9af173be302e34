//! After the feature level was raised: entries of the former format are written in the new one, some at a time.
//!
//! What is enqueued after the raise is of the new format, so one pass is enough. Where it is shows a row ([`RewriteKey`]) that stays
//! when all is done: a version that does not read the former format any more can see that there is none.

use kv::Transaction;
use runtime::Timestamp;
use schema::keys::job::RewriteKey;
use schema::keys::queue::QueueEntryKey;
use schema::records::job::RewriteJob;
use schema::records::queue as records;
use schema::{Key, Record};

use crate::claim::{entry_in, written_level};
use crate::{Error, Spool};

/// Entries that one transaction looks at.
const BATCH: usize = 100;

/// The level that changed the format of entries.
const LEVEL: Option<u32> = <records::Entry as Record>::SINCE;

/// How far entries have been written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The feature level that changed their format.
    pub level: u32,
    /// When it began.
    pub begun: Timestamp,
    /// All before this key are of the current format.
    pub cursor: Vec<u8>,
    /// Entries looked at.
    pub seen: u64,
    /// Those of them that were written anew.
    pub rewritten: u64,
    /// When all were.
    pub finished: Option<Timestamp>,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Entries were looked at, and there are more.
    More,
    /// All are of the current format.
    Finished,
    /// The cluster's feature level does not have the current format yet.
    TooEarly,
}

impl Spool {
    /// How far entries have been written anew; `None` before that has begun.
    ///
    /// # Errors
    /// The store's.
    pub async fn rewriting(&self) -> Result<Option<Rewrite>, Error> {
        let Some(level) = LEVEL else { return Ok(None) };
        let job = self.db.read("spool.rewriting", |txn| async move { job_in(&txn, level).await }).await?;
        Ok(job.map(|job| Rewrite {
            level,
            begun: Timestamp(job.begun),
            cursor: job.cursor,
            seen: job.seen,
            rewritten: job.rewritten,
            finished: (job.finished != 0).then_some(Timestamp(job.finished)),
        }))
    }

    /// Writes some entries anew. Two that do so at once do no harm.
    ///
    /// # Errors
    /// The store's.
    pub async fn rewrite_step(&self) -> Result<Step, Error> {
        let Some(since) = LEVEL else { return Ok(Step::Finished) };
        let now = self.clock.now();
        self.db
            .transact("spool.rewrite", |txn| async move {
                let level = written_level(&txn).await?;
                if level < since {
                    return Ok(Step::TooEarly);
                }
                let job = job_in(&txn, since).await?;
                let mut job = job.unwrap_or(RewriteJob { begun: now.millis(), ..RewriteJob::default() });
                if job.finished != 0 {
                    return Ok(Step::Finished);
                }
                if !rewrite_some(&txn, &mut job, level).await? {
                    job.finished = now.millis().max(1);
                }
                txn.set_bytes(RewriteKey { level: since }.encode(), job.to_bytes());
                Ok(if job.finished == 0 { Step::More } else { Step::Finished })
            })
            .await
    }
}

/// Looks at the next entries; false behind the last one.
async fn rewrite_some(txn: &Transaction, job: &mut RewriteJob, level: u32) -> Result<bool, Error> {
    let (first, end) = QueueEntryKey::range_after(None);
    let mut begin = if job.cursor.is_empty() { first } else { job.cursor.clone() };
    for _ in 0..BATCH {
        let row = txn.range(&begin, &end).snapshot().limit(1).collect().await?;
        let Some((key, value)) = row.first() else { return Ok(false) };
        // A recipient without its entry is for `store verify` to find.
        if let Ok(QueueEntryKey { id }) = QueueEntryKey::decode(key) {
            job.seen += 1;
            if !records::Entry::is_current(value)
                && let Some(entry) = entry_in(txn, id).await?
            {
                txn.set_bytes(key.to_vec(), entry.to_bytes_at(level));
                job.rewritten += 1;
            }
            begin = QueueEntryKey::rows(id).1;
        } else {
            begin = [&key[..], &[0]].concat();
        }
    }
    job.cursor = begin;
    Ok(true)
}

async fn job_in(txn: &Transaction, level: u32) -> Result<Option<RewriteJob>, Error> {
    let value = txn.get(&RewriteKey { level }.encode()).await?;
    Ok(value.map(|value| RewriteJob::from_bytes(&value)).transpose()?)
}

/// Whether the job has come behind every entry, so that none of the former format should be left.
pub(crate) async fn finished_in(txn: &Transaction) -> Result<bool, Error> {
    let Some(level) = LEVEL else { return Ok(false) };
    Ok(job_in(txn, level).await?.is_some_and(|job| job.finished != 0))
}
