//! What changed in a mailbox since a moment (RFC 7162).

use std::collections::BTreeSet;

use kv::Transaction;
use schema::keys::mail::{MessageKey, OrderKey, VanishedFloorKey, VanishedKey};
use schema::page::decode_ranges;
use schema::{Key, ModSeq, Uid};

use crate::keywords::Names;
use crate::messages::{MessageRow, row};
use crate::{Error, MailboxRef, Store, UidSet, mailbox, open};

/// What changed.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    /// Up to which moment it tells.
    pub as_of: ModSeq,
    /// Messages that are new or changed, by UID.
    pub changed: Vec<MessageRow>,
    /// UIDs that are gone.
    pub vanished: UidSet,
    /// The log does not reach back so far, or there is too much: open the mailbox anew.
    pub resync: bool,
}

/// More changes than this are told by opening anew.
const MAX_CHANGES: usize = 100_000;

impl Store {
    /// What changed after `since`, all of one moment.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the mailbox is gone; else the store's.
    pub async fn since(&self, at: MailboxRef, since: ModSeq) -> Result<Delta, Error> {
        self.db.read("mail.since", |txn| async move { since_in(&txn, at, since).await }).await
    }
}

pub(crate) async fn since_in(txn: &Transaction, at: MailboxRef, since: ModSeq) -> Result<Delta, Error> {
    mailbox::record_in(txn, at).await?;
    let as_of = open::highest_in(txn, at).await?;
    if as_of <= since {
        return Ok(Delta { as_of: as_of.max(since), ..Delta::default() });
    }
    let resync = Delta { as_of, resync: true, ..Delta::default() };
    if since < floor_in(txn, at).await? {
        return Ok(resync);
    }
    let Some(uids) = changed_in(txn, at, since).await? else { return Ok(resync) };
    let mut delta = Delta { as_of, vanished: vanished_in(txn, at, since).await?, ..Delta::default() };
    let mut names = Names::default();
    for uid in uids {
        let key = MessageKey { account: at.account, mailbox: at.mailbox, uid }.encode();
        if let Some(value) = txn.get_snapshot(&key).await? {
            delta.changed.push(row(txn, at.account, uid, &value, &mut names).await?);
        }
    }
    Ok(delta)
}

/// UIDs of messages changed after `since`; none if there are too many.
async fn changed_in(
    txn: &Transaction,
    at: MailboxRef,
    since: ModSeq,
) -> Result<Option<BTreeSet<Uid>>, Error> {
    let (begin, end) = OrderKey::after(at.account, at.mailbox, since);
    let mut rows = txn.range(&begin, &end).snapshot();
    let mut uids = BTreeSet::new();
    while let Some((key, _)) = rows.try_next().await? {
        if uids.len() == MAX_CHANGES {
            return Ok(None);
        }
        uids.insert(OrderKey::decode(&key)?.uid);
    }
    Ok(Some(uids))
}

async fn vanished_in(txn: &Transaction, at: MailboxRef, since: ModSeq) -> Result<UidSet, Error> {
    let (begin, end) = VanishedKey::after(at.account, at.mailbox, since);
    let mut rows = txn.range(&begin, &end).snapshot();
    let mut ranges = Vec::new();
    while let Some((_, value)) = rows.try_next().await? {
        ranges.extend(decode_ranges(&value)?);
    }
    Ok(UidSet::from_ranges(ranges))
}

async fn floor_in(txn: &Transaction, at: MailboxRef) -> Result<ModSeq, Error> {
    let value =
        txn.get_snapshot(&VanishedFloorKey { account: at.account, mailbox: at.mailbox }.encode()).await?;
    Ok(value.and_then(|v| v.first_chunk().map(|b| ModSeq(u64::from_be_bytes(*b)))).unwrap_or_default())
}
