//! The end of an attempt: each recipient delivered, failed or due again; the entry due again or gone.

use futures::future::try_join;
use kv::Transaction;
use runtime::Timestamp;
use schema::keys::blob::BlobOwner;
use schema::keys::queue::{QueueClaimKey, QueueEntryKey, QueueRecipientKey};
use schema::records::queue as records;
use schema::{BlobHash, Key, QueueId, Record, RecordError};

use crate::claim::{Claimed, claimed_in, recipients_in, slot_in, written_level};
use crate::enqueue::make_due;
use crate::entry::{DELIVERED, FAILED, HELD, PENDING, Reply, WAITING};
use crate::{Error, Spool};

/// Operators' wishes about an entry that is being worked on.
pub(crate) const WISH_HOLD: u32 = 1;
pub(crate) const WISH_GONE: u32 = 2;

/// How an attempt ended for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The remote host took it.
    Delivered(Reply),
    /// It will not be attempted again.
    Failed(Reply),
    /// To be attempted again.
    Deferred(Reply),
}

/// What became of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Recipients are left; it is due at that time.
    Due(Timestamp),
    /// Recipients are left; an operator holds it.
    Held,
    /// Nothing is left of it.
    Gone,
}

impl Spool {
    /// Records the end of an attempt and gives the entry back, within a transaction that may also enqueue or
    /// deliver what tells the sender of it. Recipients not named stay as they are. `next` is when those that are
    /// left are due; `delay_reported` notes that the sender was told.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the slot has another owner, [`Error::NotFound`] if the entry is gone; else the store's.
    pub async fn settle_in(
        &self,
        txn: &Transaction,
        claimed: &Claimed,
        outcomes: &[(usize, Outcome)],
        next: Timestamp,
        delay_reported: bool,
    ) -> Result<Settled, Error> {
        let id = claimed.entry.id;
        let (mut entry, level) = try_join(claimed_in(txn, id, &claimed.fence), written_level(txn)).await?;
        let mut recipients = recipients_in(txn, id).await?;
        for (number, outcome) in outcomes {
            let recipient = recipients.get_mut(*number).ok_or(Error::Recipients)?;
            apply(recipient, outcome, next);
            let number = u32::try_from(*number).map_err(|_| Error::Recipients)?;
            txn.set_bytes(QueueRecipientKey { id, number }.encode(), recipient.to_bytes());
        }
        self.tell_submission_in(txn, id, &recipients, outcomes).await?;
        entry.delay_reported |= delay_reported;
        if recipients.iter().all(|r| r.state != PENDING) {
            entry.wish = WISH_GONE;
        }
        self.unclaim_in(txn, id, entry, next, level).await
    }

    /// Ends the claim on an entry: it is due at `next`, unless an operator or its end want it held or gone.
    pub(crate) async fn unclaim_in(
        &self,
        txn: &Transaction,
        id: QueueId,
        mut entry: records::Entry,
        next: Timestamp,
        level: u32,
    ) -> Result<Settled, Error> {
        let slot = slot_in(&entry);
        txn.clear(&QueueClaimKey { slot, id }.encode());
        let wish = std::mem::take(&mut entry.wish);
        if wish == WISH_GONE {
            self.remove_in(txn, id, &entry).await?;
            return Ok(Settled::Gone);
        }
        entry.state = if wish == WISH_HOLD { HELD } else { WAITING };
        entry.due = next.millis();
        entry.urgent = false;
        txn.set_bytes(QueueEntryKey { id }.encode(), entry.to_bytes_at(level));
        if wish == WISH_HOLD {
            return Ok(Settled::Held);
        }
        make_due(txn, id, &entry);
        Ok(Settled::Due(next))
    }

    /// [`Spool::settle_in`] in a transaction of its own.
    ///
    /// # Errors
    /// As [`Spool::settle_in`].
    pub async fn settle(
        &self,
        claimed: &Claimed,
        outcomes: &[(usize, Outcome)],
        next: Timestamp,
    ) -> Result<Settled, Error> {
        self.db
            .transact("spool.settle", |txn| async move {
                self.settle_in(&txn, claimed, outcomes, next, false).await
            })
            .await
    }

    /// Removes every row of an entry but its claim and due rows, and lets its body go.
    pub(crate) async fn remove_in(
        &self,
        txn: &Transaction,
        id: QueueId,
        entry: &records::Entry,
    ) -> Result<(), Error> {
        let (begin, end) = QueueEntryKey::rows(id);
        txn.clear_range(&begin, &end);
        let hash = entry.blob.as_slice().try_into().map_err(|_| RecordError::Value("blob"))?;
        self.blobs.dereference_in(txn, BlobHash(hash), BlobOwner::Queue(id)).await?;
        Ok(())
    }
}

fn apply(recipient: &mut records::Recipient, outcome: &Outcome, next: Timestamp) {
    // What has ended has ended.
    if recipient.state != PENDING {
        return;
    }
    let (state, reply) = match outcome {
        Outcome::Delivered(reply) => (DELIVERED, reply),
        Outcome::Failed(reply) => (FAILED, reply),
        Outcome::Deferred(reply) => (PENDING, reply),
    };
    // An attempt that failed before its final dot was never recorded as begun.
    if recipient.in_doubt == 0 {
        recipient.attempts += 1;
    }
    recipient.in_doubt = 0;
    recipient.state = state;
    recipient.next_attempt = next.millis();
    recipient.last = Some(reply.into());
}
