//! What operators see and do.

use futures::future::try_join;
use kv::Transaction;
use runtime::Timestamp;
use schema::keys::queue::{QueueDueKey, QueueEntryKey};
use schema::records::queue as records;
use schema::{Key, QueueId, Record};

use crate::claim::{entry_in, recipients_in, slot_in, written_level};
use crate::enqueue::make_due;
use crate::entry::{CLAIMED, Entry, HELD, WAITING};
use crate::settle::{WISH_GONE, WISH_HOLD};
use crate::{Error, Spool};

/// A page of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Entries in the order of their ids, which is about that of their arrival.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` at the end.
    pub next: Option<QueueId>,
}

impl Spool {
    /// A page of all entries behind one.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Listing, Error> {
        self.db
            .read("spool.list", |txn| async move {
                let (mut begin, end) = QueueEntryKey::range_after(after);
                let mut listing = Listing::default();
                while listing.entries.len() < limit {
                    let first = txn.range(&begin, &end).snapshot().limit(1).collect().await?;
                    let Some((key, value)) = first.first() else { return Ok(listing) };
                    let QueueEntryKey { id } = QueueEntryKey::decode(key)?;
                    let record = records::Entry::from_bytes(value)?;
                    listing.entries.push(Entry::read(id, record, recipients_in(&txn, id).await?)?);
                    begin = QueueEntryKey::rows(id).1;
                }
                listing.next = listing.entries.last().map(|e| e.id);
                Ok(listing)
            })
            .await
    }

    /// One entry.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn get(&self, id: QueueId) -> Result<Entry, Error> {
        self.db
            .read("spool.get", |txn| async move {
                let record = entry_in(&txn, id).await?.ok_or(Error::NotFound(id))?;
                Ok(Entry::read(id, record, recipients_in(&txn, id).await?)?)
            })
            .await
    }

    /// Removes an entry without telling its sender. One that is being worked on goes when that ends, and no further
    /// attempt of it becomes final.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn cancel(&self, id: QueueId) -> Result<(), Error> {
        self.db
            .transact("spool.cancel", |txn| async move {
                let (mut record, level) = written_in(&txn, id).await?;
                if record.state == CLAIMED {
                    record.wish = WISH_GONE;
                    txn.set_bytes(QueueEntryKey { id }.encode(), record.to_bytes_at(level));
                    return Ok(());
                }
                txn.clear(&QueueDueKey { slot: slot_in(&record), time: record.due, id }.encode());
                self.remove_in(&txn, id, &record).await
            })
            .await
    }

    /// Keeps an entry from being sent until it is released. One that is being worked on is held when that ends,
    /// unless it was cancelled.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn hold(&self, id: QueueId) -> Result<(), Error> {
        self.db
            .transact("spool.hold", |txn| async move {
                let (mut record, level) = written_in(&txn, id).await?;
                match record.state {
                    // Whoever cancelled it was told that it goes.
                    CLAIMED if record.wish == WISH_GONE => return Ok(()),
                    CLAIMED => record.wish = WISH_HOLD,
                    _ => {
                        txn.clear(&QueueDueKey { slot: slot_in(&record), time: record.due, id }.encode());
                        record.state = HELD;
                    }
                }
                txn.set_bytes(QueueEntryKey { id }.encode(), record.to_bytes_at(level));
                Ok(())
            })
            .await
    }

    /// Makes an entry due now, held or not, and its attempt one that is made even if the destination did not answer
    /// just before. One that is being worked on is left alone, but for the wish to hold it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn retry_now(&self, id: QueueId) -> Result<(), Error> {
        self.make_due_at(id, self.clock.now()).await
    }

    async fn make_due_at(&self, id: QueueId, due: Timestamp) -> Result<(), Error> {
        self.db
            .transact("spool.retry", |txn| async move {
                let (mut record, level) = written_in(&txn, id).await?;
                if record.state == CLAIMED {
                    if record.wish == WISH_GONE {
                        return Ok(());
                    }
                    record.wish = 0;
                } else {
                    txn.clear(&QueueDueKey { slot: slot_in(&record), time: record.due, id }.encode());
                    record.state = WAITING;
                    record.due = due.millis();
                    record.urgent = true;
                    make_due(&txn, id, &record);
                }
                txn.set_bytes(QueueEntryKey { id }.encode(), record.to_bytes_at(level));
                Ok(())
            })
            .await
    }
}

/// An entry that is to be written, and the level that it is written by.
async fn written_in(txn: &Transaction, id: QueueId) -> Result<(records::Entry, u32), Error> {
    let (entry, level) = try_join(entry_in(txn, id), written_level(txn)).await?;
    Ok((entry.ok_or(Error::NotFound(id))?, level))
}
