//! Looks whether the queue fits together, and mends what does not.

use findings::{Finding, Kind, Mended, Report};
use futures::future::try_join;
use kv::Transaction;
use schema::keys::blob::{BlobMetaKey, BlobOwner, BlobReferenceKey};
use schema::keys::queue::{
    QueueClaimKey, QueueDueKey, QueueEntryKey, QueueLinkKey, QueueRecipientKey, QueueWakeKey, SLOTS, TAG,
    slot_of,
};
use schema::records::blob::BlobMeta;
use schema::records::queue as records;
use schema::{BlobHash, Key, QueueId, Record};

use crate::claim::{entry_in, slot_in, written_level};
use crate::enqueue::make_due;
use crate::entry::{CLAIMED, HELD, WAITING};
use crate::{Error, Spool, rewrite};

/// What does not fit of a row of the queue.
///
/// # Errors
/// The store's.
pub async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    let mut report = Report::of(key);
    if let Ok(QueueEntryKey { id }) = QueueEntryKey::decode(key) {
        check_entry(txn, id, value, &mut report).await?;
    } else if let Ok(QueueRecipientKey { id, .. }) = QueueRecipientKey::decode(key) {
        report.record::<records::Recipient>(value);
        if txn.get(&QueueEntryKey { id }.encode()).await?.is_none() {
            report.add_here(Kind::RecipientStale, "there is no such entry");
        }
    } else if let Ok(QueueLinkKey { id }) = QueueLinkKey::decode(key) {
        report.record::<records::Link>(value);
        if txn.get(&QueueEntryKey { id }.encode()).await?.is_none() {
            report.add_here(Kind::RecipientStale, "there is no such entry");
        }
    } else if let Ok(due) = QueueDueKey::decode(key) {
        // Earlier versions wrote nothing.
        if !value.is_empty() {
            report.record::<records::Due>(value);
        }
        let entry = read_entry(txn, due.id).await?;
        let waits =
            |e: &records::Entry| e.state == WAITING && (e.slot, e.due) == (u32::from(due.slot), due.time);
        if entry.is_none_or(|entry| entry.is_some_and(|entry| !waits(&entry))) {
            report.add_here(Kind::DueStale, "no entry is due there");
        }
    } else if let Ok(QueueClaimKey { slot, id }) = QueueClaimKey::decode(key) {
        report.record::<records::Claim>(value);
        let entry = read_entry(txn, id).await?;
        let claimed = |e: &records::Entry| e.state == CLAIMED && e.slot == u32::from(slot);
        if entry.is_none_or(|entry| entry.is_some_and(|entry| !claimed(&entry))) {
            report.add_here(Kind::ClaimStale, "nobody works on such an entry");
        }
    } else if QueueWakeKey::decode(key).is_ok() {
        report.bytes::<8>(value);
    } else if let [TAG, b'n' | b'o', ..] = key {
        report.add_here(Kind::Retired, "owners of slots are claims of nodes now");
    } else {
        return Ok(report.unknown());
    }
    Ok(report)
}

/// An entry: none if there is none, `Some(None)` if it cannot be read.
async fn read_entry(txn: &Transaction, id: QueueId) -> Result<Option<Option<records::Entry>>, Error> {
    let value = txn.get(&QueueEntryKey { id }.encode()).await?;
    Ok(value.map(|value| records::Entry::from_bytes(&value).ok()))
}

async fn check_entry(txn: &Transaction, id: QueueId, value: &[u8], report: &mut Report) -> Result<(), Error> {
    let Some(entry) = report.record::<records::Entry>(value) else { return Ok(()) };
    if !records::Entry::is_current(value) && rewrite::finished_in(txn).await? {
        report.add_here(Kind::FormatOld, "all entries of its format had been written anew");
    }
    let slot = slot_in(&entry);
    if entry.slot >= u32::from(SLOTS) || slot != slot_of(&entry.domain) {
        report.add_here(
            Kind::QueueSlotWrong,
            format!("mail for {} is not in slot {}", entry.domain, entry.slot),
        );
    }
    let (begin, end) = (QueueRecipientKey { id, number: 0 }.encode(), QueueEntryKey::rows(id).1);
    if txn.range(&begin, &end).first().await?.is_none() {
        report.add_here(Kind::RecipientsLost, "it has no recipients");
    }
    match entry.state {
        WAITING => {
            let due = QueueDueKey { slot, time: entry.due, id }.encode();
            if txn.get(&due).await?.is_none() {
                report.add(Kind::DueMissing, due, "the entry waits, and nobody will look at it");
            }
        }
        CLAIMED => {
            let claim = QueueClaimKey { slot, id }.encode();
            if txn.get(&claim).await?.is_none() {
                report.add(
                    Kind::ClaimMissing,
                    claim,
                    "somebody works on the entry, and nobody will put it back",
                );
            }
        }
        HELD => {}
        other => report.add_here(Kind::Unreadable, format!("there is no state {other}")),
    }
    check_body(txn, id, &entry, report).await
}

async fn check_body(
    txn: &Transaction,
    id: QueueId,
    entry: &records::Entry,
    report: &mut Report,
) -> Result<(), Error> {
    let Ok(hash) = entry.blob.as_slice().try_into().map(BlobHash) else {
        report.add_here(Kind::Unreadable, "it names no body");
        return Ok(());
    };
    match txn.get(&BlobMetaKey { hash }.encode()).await? {
        None => {
            report.add(
                Kind::BodyLost,
                BlobMetaKey { hash }.encode(),
                "what is known of the body is not there",
            );
            return Ok(());
        }
        Some(value) => {
            if let Some(meta) = BlobMeta::from_bytes(&value).ok().filter(|meta| meta.size != entry.size) {
                let detail = format!("{} octets are said, and its body has {}", entry.size, meta.size);
                report.add_here(Kind::BodyDamaged, detail);
            }
        }
    }
    let reference = BlobReferenceKey { hash, owner: BlobOwner::Queue(id) }.encode();
    if txn.get(&reference).await?.is_none() {
        report.add(Kind::BodyReferenceMissing, reference, "the body does not know who holds it");
    }
    Ok(())
}

impl Spool {
    /// Mends a finding of the queue, if it still stands. With `drop_lost` also what nothing is left of is taken away:
    /// its sender is not told.
    ///
    /// # Errors
    /// The store's.
    pub async fn mend(&self, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        self.db
            .transact("verify.mend", |txn| async move {
                let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
                if !check_row_in(&txn, &finding.source, &value).await?.confirms(finding) {
                    return Ok(Mended::Gone);
                }
                self.mend_in(&txn, finding, drop_lost).await
            })
            .await
    }

    async fn mend_in(&self, txn: &Transaction, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        let key = finding.key.as_slice();
        match finding.kind {
            Kind::DueStale | Kind::ClaimStale | Kind::Retired => {
                txn.clear(key);
                Ok(Mended::done("it was cleared"))
            }
            Kind::RecipientStale if drop_lost => {
                txn.clear(key);
                Ok(Mended::done("it was cleared"))
            }
            Kind::BodyReferenceMissing => {
                txn.set(key, b"");
                Ok(Mended::done("it was written"))
            }
            Kind::DueMissing | Kind::ClaimMissing | Kind::QueueSlotWrong => {
                let QueueEntryKey { id } = QueueEntryKey::decode(&finding.source)?;
                self.make_due_anew_in(txn, id).await
            }
            Kind::FormatOld => {
                let QueueEntryKey { id } = QueueEntryKey::decode(&finding.source)?;
                let (entry, level) = try_join(entry_in(txn, id), written_level(txn)).await?;
                let Some(entry) = entry else { return Ok(Mended::Gone) };
                txn.set_bytes(QueueEntryKey { id }.encode(), entry.to_bytes_at(level));
                Ok(Mended::done("it was written in the current format"))
            }
            Kind::RecipientsLost | Kind::BodyLost if drop_lost => {
                let QueueEntryKey { id } = QueueEntryKey::decode(&finding.source)?;
                self.drop_in(txn, id).await
            }
            _ => Ok(Mended::kept(finding.kind.remedy())),
        }
    }

    /// Puts an entry into the due index of its domain's slot, wherever it was. Who works on it finishes nothing: the
    /// entry is not claimed any more.
    async fn make_due_anew_in(&self, txn: &Transaction, id: QueueId) -> Result<Mended, Error> {
        let (entry, level) = try_join(entry_in(txn, id), written_level(txn)).await?;
        let Some(mut entry) = entry else { return Ok(Mended::Gone) };
        let old = slot_in(&entry);
        txn.clear(&QueueDueKey { slot: old, time: entry.due, id }.encode());
        txn.clear(&QueueClaimKey { slot: old, id }.encode());
        entry.slot = slot_of(&entry.domain).into();
        if entry.state == HELD {
            txn.set_bytes(QueueEntryKey { id }.encode(), entry.to_bytes_at(level));
            return Ok(Mended::done("the entry is held in its slot"));
        }
        entry.state = WAITING;
        txn.set_bytes(QueueEntryKey { id }.encode(), entry.to_bytes_at(level));
        make_due(txn, id, &entry);
        Ok(Mended::done("the entry is due"))
    }

    async fn drop_in(&self, txn: &Transaction, id: QueueId) -> Result<Mended, Error> {
        let Some(entry) = entry_in(txn, id).await? else { return Ok(Mended::Gone) };
        let slot = slot_in(&entry);
        txn.clear(&QueueDueKey { slot, time: entry.due, id }.encode());
        txn.clear(&QueueClaimKey { slot, id }.encode());
        self.remove_in(txn, id, &entry).await?;
        Ok(Mended::done(format!("the entry of <{}> for {} was removed", entry.return_path, entry.domain)))
    }

    /// Removes an entry whose body is lost, whatever it was waiting for.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_entry(&self, id: QueueId) -> Result<Mended, Error> {
        self.db.transact("verify.drop", |txn| async move { self.drop_in(&txn, id).await }).await
    }
}
