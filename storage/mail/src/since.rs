//! What changed in a mailbox since a moment (RFC 7162).

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{MessageKey, OrderKey, VanishedFloorKey, VanishedKey};
use schema::page::decode_ranges;
use schema::records::mail::MessageRecord;
use schema::{Key, ModSeq, Uid};

use crate::keywords::Names;
use crate::messages::{MessageRow, row_of};
use crate::{Error, MailboxRef, Store, UidSet, mailbox, open, pace};

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
/// Changes read by one transaction, about: those of one commit are not parted.
const PAGE: usize = 2_000;

impl Store {
    /// What changed after `since`, up to one moment.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the mailbox is gone; else the store's.
    pub async fn since(&self, at: MailboxRef, since: ModSeq) -> Result<Delta, Error> {
        self.since_by(at, since, PAGE).await
    }

    /// Likewise, in pages. What changes again while they are read is told by a later one of them.
    pub(crate) async fn since_by(&self, at: MailboxRef, since: ModSeq, page: usize) -> Result<Delta, Error> {
        let read = |from: ModSeq| {
            self.db.read("mail.since", move |txn| async move { since_in(&txn, at, from, page).await })
        };
        let (mut delta, mut more) = read(since).await?;
        while more && !delta.resync {
            let (later, still_more) = read(delta.as_of).await?;
            delta.append(later);
            more = still_more;
        }
        Ok(delta)
    }
}

impl Delta {
    fn resync(as_of: ModSeq) -> Self {
        Delta { as_of, resync: true, ..Delta::default() }
    }

    /// Adds what happened later.
    fn append(&mut self, later: Delta) {
        if later.resync || self.changed.len() + later.changed.len() > MAX_CHANGES {
            *self = Delta::resync(later.as_of);
            return;
        }
        self.as_of = later.as_of;
        self.vanished = self.vanished.union(&later.vanished);
        let again: UidSet = later.changed.iter().map(|row| row.uid).collect();
        self.changed.retain(|row| !again.contains(row.uid) && !self.vanished.contains(row.uid));
        self.changed.extend(later.changed);
        self.changed.sort_unstable_by_key(|row| row.uid);
    }
}

/// The first changes after `since`, and whether there are more.
async fn since_in(
    txn: &Transaction,
    at: MailboxRef,
    since: ModSeq,
    page: usize,
) -> Result<(Delta, bool), Error> {
    mailbox::record_in(txn, at).await?;
    let highest = open::highest_in(txn, at).await?;
    if highest <= since {
        return Ok((Delta { as_of: highest.max(since), ..Delta::default() }, false));
    }
    if since < floor_in(txn, at).await? {
        return Ok((Delta::resync(highest), false));
    }
    let (uids, upto) = changed_in(txn, at, since, page).await?;
    let as_of = upto.unwrap_or(highest);
    let vanished = vanished_in(txn, at, since, as_of).await?;
    Ok((Delta { as_of, vanished, changed: rows_in(txn, at, &uids).await?, resync: false }, upto.is_some()))
}

/// UIDs of messages changed after `since`, ascending; if they are not all, up to which commit they are.
async fn changed_in(
    txn: &Transaction,
    at: MailboxRef,
    since: ModSeq,
    page: usize,
) -> Result<(Vec<Uid>, Option<ModSeq>), Error> {
    let (begin, end) = OrderKey::after(at.account, at.mailbox, since);
    let mut rows = txn.range(&begin, &end).snapshot();
    let (mut uids, mut last, mut upto) = (Vec::new(), since, None);
    while let Some((key, _)) = rows.try_next().await? {
        let OrderKey { stamp, uid, .. } = OrderKey::decode(&key)?;
        let commit = ModSeq::of_stamp(&stamp);
        if uids.len() >= page && commit != last {
            upto = Some(last);
            break;
        }
        last = commit;
        uids.push(uid);
    }
    uids.sort_unstable();
    Ok((uids, upto))
}

/// The rows of messages, many at once.
async fn rows_in(txn: &Transaction, at: MailboxRef, uids: &[Uid]) -> Result<Vec<MessageRow>, Error> {
    let (mut rows, mut names) = (Vec::with_capacity(uids.len()), Names::default());
    for window in uids.chunks(pace::WINDOW) {
        let read = |uid: &Uid| snapshot_in(txn, at, *uid);
        let records: Vec<_> = try_join_all(window.iter().map(read)).await?;
        names.learn(txn, at.account, records.iter().flatten()).await?;
        for (uid, record) in window.iter().zip(records) {
            let Some(record) = record else { continue };
            let flags = names.flags(txn, at.account, record.system, &record.keywords).await?;
            rows.push(row_of(*uid, &record, flags));
        }
    }
    Ok(rows)
}

async fn snapshot_in(txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<Option<MessageRecord>, Error> {
    let key = MessageKey { account: at.account, mailbox: at.mailbox, uid }.encode();
    let value = txn.get_snapshot(&key).await?;
    Ok(value.map(|v| MessageRecord::from_bytes(&v)).transpose()?)
}

async fn vanished_in(
    txn: &Transaction,
    at: MailboxRef,
    since: ModSeq,
    upto: ModSeq,
) -> Result<UidSet, Error> {
    let MailboxRef { account, mailbox } = at;
    let (begin, _) = VanishedKey::after(account, mailbox, since);
    let end = VanishedKey { account, mailbox, stamp: upto.next_stamp(), first: Uid::MIN }.encode();
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
