//! Finding what is due in a slot, and taking an entry to work on.

use std::collections::HashMap;

use futures::future::{BoxFuture, try_join};
use kv::Transaction;
use leases::Fence;
use runtime::Timestamp;
use schema::keys::queue::{QueueClaimKey, QueueDueKey, QueueEntryKey, QueueRecipientKey, QueueWakeKey};
use schema::records::queue as records;
use schema::{Duty, DutyKind, Key, QueueId, Record};

use crate::entry::{CLAIMED, Entry, WAITING};
use crate::settle::WISH_GONE;
use crate::{Error, Spool};

/// Claims put back by one transaction of [`Spool::recover`].
const RECOVER_BATCH: usize = 200;

/// Rows of the due index that one look passes over.
const SCAN: usize = 20_000;

/// What is due in a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Entries that are due, the longest waiting first.
    pub entries: Vec<DueEntry>,
    /// Whether more are due than were listed.
    pub more: bool,
    /// When the first of the others will be; only told when all that are due were looked at.
    pub next: Option<Timestamp>,
}

/// An entry that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEntry {
    /// The entry.
    pub id: QueueId,
    /// Its destination domain.
    pub domain: String,
}

/// An entry that is this owner's to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The entry.
    pub entry: Entry,
    /// What it is claimed under.
    pub fence: Fence,
}

impl Spool {
    /// Makes due again what was claimed in the slot and not finished, or holds or removes it if an operator asked for that
    /// meanwhile: for who begins to work on the slot, before it claims anything. Returns how many entries.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the slot has another owner; else the store's.
    pub async fn recover(&self, fence: &Fence) -> Result<usize, Error> {
        let mut recovered = 0;
        loop {
            let batch = self.recover_batch(fence).await?;
            recovered += batch;
            if batch < RECOVER_BATCH {
                return Ok(recovered);
            }
        }
    }

    async fn recover_batch(&self, fence: &Fence) -> Result<usize, Error> {
        let now = self.clock.now();
        let slot = slot_of(fence)?;
        self.db
            .transact("spool.recover", |txn| async move {
                let ((), level) = try_join(assert_owner(&txn, slot, fence), written_level(&txn)).await?;
                let (begin, end) = QueueClaimKey::range(slot);
                let rows = txn.range(&begin, &end).snapshot().limit(RECOVER_BATCH).collect().await?;
                for (key, _) in &rows {
                    let key = QueueClaimKey::decode(key)?;
                    match entry_in(&txn, key.id).await? {
                        Some(entry) => drop(self.unclaim_in(&txn, key.id, entry, now, level).await?),
                        None => txn.clear(&key.encode()),
                    }
                }
                Ok(rows.len())
            })
            .await
    }

    /// What is due in a slot: at most `limit` entries, and of each domain at most `each`, so that one with many leaves
    /// room for others.
    ///
    /// # Errors
    /// The store's.
    pub async fn due(&self, slot: u16, limit: usize, each: usize) -> Result<Due, Error> {
        let now = self.clock.now();
        self.db
            .read("spool.due", |txn| async move {
                let (begin, end) = QueueDueKey::range_until(slot, i64::MAX);
                let mut rows = txn.range(&begin, &end).snapshot().limit(SCAN);
                let (mut due, mut listed, mut seen) = (Due::default(), HashMap::new(), 0);
                while let Some((key, value)) = rows.try_next().await? {
                    let key = QueueDueKey::decode(&key)?;
                    if key.time > now.millis() {
                        due.next = Some(Timestamp(key.time));
                        return Ok(due);
                    }
                    seen += 1;
                    let Some(domain) = domain_in(&txn, key.id, &value).await? else { continue };
                    let of_domain: &mut usize = listed.entry(domain.clone()).or_default();
                    if *of_domain == each {
                        due.more = true;
                        continue;
                    }
                    if due.entries.len() == limit {
                        due.more = true;
                        return Ok(due);
                    }
                    *of_domain += 1;
                    due.entries.push(DueEntry { id: key.id, domain });
                }
                due.more |= seen == SCAN;
                Ok(due)
            })
            .await
    }

    /// A future that resolves when somebody should look at the slot again. Watches can be lost: look now and then
    /// anyway.
    ///
    /// # Errors
    /// The store's.
    pub async fn watch(&self, slot: u16) -> Result<BoxFuture<'static, Result<(), kv::Error>>, Error> {
        let key = QueueWakeKey { slot }.encode();
        let key = &key;
        self.db.transact("spool.watch", |txn| async move { Ok(txn.watch(key)) }).await
    }

    /// Takes an entry to work on; `None` if it is not there to be taken any more.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the slot has another owner; else the store's.
    pub async fn claim(&self, id: QueueId, fence: &Fence) -> Result<Option<Claimed>, Error> {
        self.db
            .transact("spool.claim", |txn| async move {
                let (record, level) = try_join(entry_in(&txn, id), written_level(&txn)).await?;
                let Some(mut record) = record else { return Ok(None) };
                if record.state != WAITING {
                    return Ok(None);
                }
                let slot = slot_in(&record);
                assert_owner(&txn, slot, fence).await?;
                txn.clear(&QueueDueKey { slot, time: record.due, id }.encode());
                record.state = CLAIMED;
                record.epoch = fence.epoch;
                txn.set_bytes(QueueEntryKey { id }.encode(), record.to_bytes_at(level));
                let claim = records::Claim { epoch: fence.epoch };
                txn.set_bytes(QueueClaimKey { slot, id }.encode(), claim.to_bytes());
                let recipients = recipients_in(&txn, id).await?;
                Ok(Some(Claimed { entry: Entry::read(id, record, recipients)?, fence: *fence }))
            })
            .await
    }

    /// Records that an attempt for these recipients is about to become final: to be committed before the final
    /// dot is sent.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the slot has another owner, [`Error::Cancelled`] if an operator wants the entry gone,
    /// [`Error::NotFound`] if it is; else the store's.
    pub async fn begin_attempt(&self, claimed: &Claimed, numbers: &[usize]) -> Result<(), Error> {
        let now = self.clock.now();
        let id = claimed.entry.id;
        self.db
            .transact("spool.attempt", |txn| async move {
                if claimed_in(&txn, id, &claimed.fence).await?.wish == WISH_GONE {
                    return Err(Error::Cancelled(id));
                }
                for number in numbers {
                    let number = u32::try_from(*number).map_err(|_| Error::Recipients)?;
                    let key = QueueRecipientKey { id, number }.encode();
                    let value = txn.get(&key).await?.ok_or(Error::NotFound(id))?;
                    let mut record = records::Recipient::from_bytes(&value)?;
                    record.attempts += 1;
                    record.in_doubt = now.millis();
                    txn.set_bytes(key, record.to_bytes());
                }
                Ok(())
            })
            .await
    }
}

/// The slot that the fence is for.
fn slot_of(fence: &Fence) -> Result<u16, Error> {
    let slot = u16::try_from(fence.duty.number).ok().filter(|_| fence.duty.kind == DutyKind::Queue);
    slot.ok_or(Error::Fenced { slot: fence.duty.number, epoch: fence.epoch })
}

/// Fails unless the slot is owned under this fence in the transaction's own view.
async fn assert_owner(txn: &Transaction, slot: u16, fence: &Fence) -> Result<(), Error> {
    if fence.duty != Duty::queue(slot.into()) {
        return Err(Error::Fenced { slot: slot.into(), epoch: fence.epoch });
    }
    Ok(leases::assert_in(txn, fence).await?)
}

/// The entry, if it is claimed under this fence and the slot still owned under it.
pub(crate) async fn claimed_in(
    txn: &Transaction,
    id: QueueId,
    fence: &Fence,
) -> Result<records::Entry, Error> {
    let record = entry_in(txn, id).await?.ok_or(Error::NotFound(id))?;
    let slot = slot_in(&record);
    assert_owner(txn, slot, fence).await?;
    if record.state != CLAIMED || record.epoch != fence.epoch {
        return Err(Error::Fenced { slot: slot.into(), epoch: fence.epoch });
    }
    Ok(record)
}

pub(crate) async fn entry_in(txn: &Transaction, id: QueueId) -> Result<Option<records::Entry>, Error> {
    let value = txn.get(&QueueEntryKey { id }.encode()).await?;
    Ok(value.map(|v| records::Entry::from_bytes(&v)).transpose()?)
}

/// The level that entries are written by in this transaction.
pub(crate) async fn written_level(txn: &Transaction) -> Result<u32, Error> {
    Ok(leases::level_in(txn).await?)
}

pub(crate) async fn recipients_in(txn: &Transaction, id: QueueId) -> Result<Vec<records::Recipient>, Error> {
    let (begin, end) = (QueueRecipientKey { id, number: 0 }.encode(), QueueEntryKey::rows(id).1);
    let rows = txn.range(&begin, &end).collect().await?;
    rows.iter().map(|(_, value)| Ok(records::Recipient::from_bytes(value)?)).collect()
}

/// The destination of an entry in the due index. Rows of earlier versions do not say it, the entry does.
async fn domain_in(txn: &Transaction, id: QueueId, due: &[u8]) -> Result<Option<String>, Error> {
    if due.is_empty() {
        return Ok(entry_in(txn, id).await?.map(|entry| entry.domain));
    }
    Ok(Some(records::Due::from_bytes(due)?.domain))
}

pub(crate) fn slot_in(record: &records::Entry) -> u16 {
    // Written from a slot number, so it is one.
    u16::try_from(record.slot).unwrap_or_default()
}
