//! Owning a slot, finding what is due in it, and taking an entry to work on.

use std::collections::HashMap;

use futures::future::BoxFuture;
use kv::Transaction;
use runtime::Timestamp;
use schema::keys::queue::{
    QueueClaimKey, QueueDueKey, QueueEntryKey, QueueLastEpochKey, QueueRecipientKey, QueueSlotOwnerKey,
    QueueWakeKey,
};
use schema::records::queue as records;
use schema::{Key, QueueId, Record};

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
    /// The epoch it is claimed under.
    pub epoch: u64,
}

impl Spool {
    /// Takes a slot, whoever had it: from the return on, no former owner can change an entry in it.
    ///
    /// # Errors
    /// The store's.
    pub async fn own(&self, slot: u16, node: &str) -> Result<u64, Error> {
        self.db
            .transact("spool.own", |txn| async move {
                let last = txn.get(&QueueLastEpochKey.encode()).await?;
                let last = last.map(|v| records::LastEpoch::from_bytes(&v)).transpose()?.unwrap_or_default();
                let epoch = last.epoch + 1;
                txn.set(&QueueLastEpochKey.encode(), &records::LastEpoch { epoch }.to_bytes());
                let owner = records::SlotOwner { epoch, node: node.to_owned() };
                txn.set(&QueueSlotOwnerKey { slot }.encode(), &owner.to_bytes());
                Ok(epoch)
            })
            .await
    }

    /// Makes due again what earlier owners of the slot had claimed and not finished, or holds or removes it if an
    /// operator asked for that meanwhile. Returns how many entries.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the slot has another owner; else the store's.
    pub async fn recover(&self, slot: u16, epoch: u64) -> Result<usize, Error> {
        let mut recovered = 0;
        loop {
            let batch = self.recover_batch(slot, epoch).await?;
            recovered += batch;
            if batch < RECOVER_BATCH {
                return Ok(recovered);
            }
        }
    }

    async fn recover_batch(&self, slot: u16, epoch: u64) -> Result<usize, Error> {
        let now = self.clock.now();
        self.db
            .transact("spool.recover", |txn| async move {
                assert_owner(&txn, slot, epoch).await?;
                let (begin, end) = QueueClaimKey::range(slot);
                let mut rows = txn.range(&begin, &end).snapshot();
                let mut count = 0;
                while count < RECOVER_BATCH {
                    let Some((key, value)) = rows.try_next().await? else { break };
                    let key = QueueClaimKey::decode(&key)?;
                    if records::Claim::from_bytes(&value)?.epoch < epoch {
                        match entry_in(&txn, key.id).await? {
                            Some(entry) => drop(self.unclaim_in(&txn, key.id, entry, now).await?),
                            None => txn.clear(&key.encode()),
                        }
                        count += 1;
                    }
                }
                Ok(count)
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
    pub async fn claim(&self, id: QueueId, epoch: u64) -> Result<Option<Claimed>, Error> {
        self.db
            .transact("spool.claim", |txn| async move {
                let Some(mut record) = entry_in(&txn, id).await? else { return Ok(None) };
                if record.state != WAITING {
                    return Ok(None);
                }
                let slot = slot_in(&record);
                assert_owner(&txn, slot, epoch).await?;
                txn.clear(&QueueDueKey { slot, time: record.due, id }.encode());
                record.state = CLAIMED;
                record.epoch = epoch;
                txn.set_bytes(QueueEntryKey { id }.encode(), record.to_bytes());
                txn.set_bytes(QueueClaimKey { slot, id }.encode(), records::Claim { epoch }.to_bytes());
                let recipients = recipients_in(&txn, id).await?;
                Ok(Some(Claimed { entry: Entry::read(id, record, recipients)?, epoch }))
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
                if claimed_in(&txn, id, claimed.epoch).await?.wish == WISH_GONE {
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

/// Fails unless the slot is owned under this epoch in the transaction's own view.
pub(crate) async fn assert_owner(txn: &Transaction, slot: u16, epoch: u64) -> Result<(), Error> {
    let owner = txn.get(&QueueSlotOwnerKey { slot }.encode()).await?;
    match owner.map(|v| records::SlotOwner::from_bytes(&v)).transpose()? {
        Some(owner) if owner.epoch == epoch => Ok(()),
        _ => Err(Error::Fenced { slot, epoch }),
    }
}

/// The entry, if it is claimed under this epoch and the slot still owned under it.
pub(crate) async fn claimed_in(txn: &Transaction, id: QueueId, epoch: u64) -> Result<records::Entry, Error> {
    let record = entry_in(txn, id).await?.ok_or(Error::NotFound(id))?;
    let slot = slot_in(&record);
    assert_owner(txn, slot, epoch).await?;
    if record.state != CLAIMED || record.epoch != epoch {
        return Err(Error::Fenced { slot, epoch });
    }
    Ok(record)
}

pub(crate) async fn entry_in(txn: &Transaction, id: QueueId) -> Result<Option<records::Entry>, Error> {
    let value = txn.get(&QueueEntryKey { id }.encode()).await?;
    Ok(value.map(|v| records::Entry::from_bytes(&v)).transpose()?)
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
