//! Taking a message into the queue, within the transaction that accepts it.

use std::time::Duration;

use futures::future::try_join;
use kv::Transaction;
use runtime::Timestamp;
use schema::keys::blob::BlobOwner;
use schema::keys::queue::{QueueDueKey, QueueEntryKey, QueueRecipientKey, QueueWakeKey, slot_of};
use schema::records::queue as records;
use schema::{AccountId, Key, QueueId, Record};

use crate::claim::{slot_in, written_level};
use crate::entry::{AT_ONCE, BodyType, Entry, Notify, Ret};
use crate::{Error, Spool};

/// What is to be sent, to the recipients of one domain.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The reverse-path, without brackets; empty for the null sender.
    pub return_path: String,
    /// The destination domain, A-labels in lower case.
    pub domain: String,
    /// The body.
    pub staged: blob::Staged,
    /// To whom: one to [`Entry::MAX_RECIPIENTS`].
    pub recipients: Vec<NewRecipient>,
    /// ENVID, decoded.
    pub envid: Option<String>,
    /// RET.
    pub ret: Ret,
    /// Whether it needs SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// BODY.
    pub body: BodyType,
    /// Whether the header has octets over 127.
    pub header_8bit: bool,
    /// Whether what follows the header has.
    pub body_8bit: bool,
    /// Who submitted it.
    pub submitter: Option<AccountId>,
    /// How long it is tried.
    pub lifetime: Duration,
    /// Not to be sent before; `None` for at once.
    pub not_before: Option<Timestamp>,
}

/// A recipient of a new entry.
#[derive(Debug, Clone)]
pub struct NewRecipient {
    /// The forward-path, without brackets.
    pub address: String,
    /// NOTIFY.
    pub notify: Notify,
    /// ORCPT as `type;address`, decoded.
    pub orcpt: Option<String>,
}

impl Spool {
    /// Writes the entry and makes it due.
    ///
    /// # Errors
    /// [`Error::Recipients`] for none or too many; else the store's.
    pub async fn enqueue_in(&self, txn: &Transaction, new: &NewEntry) -> Result<QueueId, Error> {
        if new.recipients.is_empty() || new.recipients.len() > Entry::MAX_RECIPIENTS {
            return Err(Error::Recipients);
        }
        let now = self.clock.now();
        let (id, level) = try_join(self.free_id(txn, now), written_level(txn)).await?;
        let slot = slot_of(&new.domain);
        let begins = new.not_before.map_or(now, |t| t.max(now));
        let record = entry_record(new, slot, now, begins);
        txn.set_bytes(QueueEntryKey { id }.encode(), record.to_bytes_at(level));
        for (number, recipient) in (0..).zip(&new.recipients) {
            let record = recipient_record(recipient, begins);
            txn.set_bytes(QueueRecipientKey { id, number }.encode(), record.to_bytes());
        }
        self.blobs.reference_in(txn, &new.staged, BlobOwner::Queue(id)).await?;
        make_due(txn, id, &record);
        Ok(id)
    }

    /// An id nobody has: the time ([`crate::entry::made_at`]) and some randomness, looked up in the transaction that uses it.
    async fn free_id(&self, txn: &Transaction, now: Timestamp) -> Result<QueueId, Error> {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        loop {
            let id = QueueId((millis << 20) | self.rng.below(1 << 20));
            if txn.get(&QueueEntryKey { id }.encode()).await?.is_none() {
                return Ok(id);
            }
        }
    }
}

/// Puts an entry into its slot's due index and wakes who watches the slot.
pub(crate) fn make_due(txn: &Transaction, id: QueueId, entry: &records::Entry) {
    let slot = slot_in(entry);
    let due = records::Due { domain: entry.domain.clone() };
    txn.set_bytes(QueueDueKey { slot, time: entry.due, id }.encode(), due.to_bytes());
    txn.add_i64(&QueueWakeKey { slot }.encode(), 1);
}

/// An entry to be sent from `begins` on. At once is before any time: the clock of the node that takes it may be ahead of that of
/// the node that sends it, which would wait for as long as they differ.
fn entry_record(new: &NewEntry, slot: u16, now: Timestamp, begins: Timestamp) -> records::Entry {
    let due = if begins > now { begins } else { AT_ONCE };
    records::Entry {
        return_path: new.return_path.clone(),
        domain: new.domain.clone(),
        blob: new.staged.hash().0.to_vec(),
        size: new.staged.size(),
        created: now.millis(),
        expires: (begins + new.lifetime).millis(),
        envid: new.envid.clone(),
        ret: match new.ret {
            Ret::Unspecified => 0,
            Ret::Full => 1,
            Ret::Headers => 2,
        },
        smtputf8: new.smtputf8,
        body: match new.body {
            BodyType::SevenBit => 0,
            BodyType::EightBitMime => 1,
            BodyType::BinaryMime => 2,
        },
        header_8bit: new.header_8bit,
        body_8bit: new.body_8bit,
        submitter: new.submitter.map_or(0, |account| account.0),
        slot: slot.into(),
        due: due.millis(),
        ..records::Entry::default()
    }
}

fn recipient_record(new: &NewRecipient, begins: Timestamp) -> records::Recipient {
    records::Recipient {
        address: new.address.clone(),
        notify: new.notify.0,
        orcpt: new.orcpt.clone(),
        next_attempt: begins.millis(),
        ..records::Recipient::default()
    }
}
