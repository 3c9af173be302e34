//! Opening a mailbox: counters and UIDs, never rows.

use kv::Transaction;
use schema::keys::mail::{HighestKey, PageKey, UidNextKey};
use schema::page::Page as UidPage;
use schema::{Key, ModSeq};

use crate::{Error, MailboxRef, Store, UidSet, counters, ingest, mailbox};

/// What STATUS tells (RFC 9051 §6.3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The mailbox.
    pub mailbox: MailboxRef,
    /// Messages.
    pub exists: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub size: u64,
    /// UIDNEXT.
    pub uid_next: u32,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1), at least 1.
    pub highest_modseq: ModSeq,
}

/// A mailbox as a session opens it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What STATUS tells.
    pub status: Status,
    /// The UIDs.
    pub uids: UidSet,
    /// Of which moment all this is: [`Store::since`] tells what came later.
    pub as_of: ModSeq,
}

impl Store {
    /// What STATUS tells: a handful of reads, however large the mailbox.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn status(&self, at: MailboxRef) -> Result<Status, Error> {
        self.db.read("mail.status", |txn| async move { status_in(&txn, at).await }).await
    }

    /// Counters and UIDs of one moment.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn open(&self, at: MailboxRef) -> Result<Opened, Error> {
        self.db
            .read("mail.open", |txn| async move {
                let status = status_in(&txn, at).await?;
                let uids = uids_in(&txn, at).await?;
                Ok(Opened { status, uids, as_of: status.highest_modseq })
            })
            .await
    }
}

pub(crate) async fn status_in(txn: &Transaction, at: MailboxRef) -> Result<Status, Error> {
    let MailboxRef { account, mailbox } = at;
    let record = mailbox::record_in(txn, at).await?;
    let counters = counters::read_in(txn, at).await?;
    let next = txn.get_snapshot(&UidNextKey { account, mailbox }.encode()).await?;
    let count = |n: i64| u32::try_from(n).unwrap_or_default();
    Ok(Status {
        mailbox: at,
        exists: count(counters.exists),
        unseen: count(counters.unseen),
        deleted: count(counters.deleted),
        size: u64::try_from(counters.octets).unwrap_or_default(),
        uid_next: ingest::uid_next(next.as_deref()),
        uid_validity: record.uid_validity,
        highest_modseq: highest_in(txn, at).await?,
    })
}

/// HIGHESTMODSEQ; 1 for a mailbox that never changed.
pub(crate) async fn highest_in(txn: &Transaction, at: MailboxRef) -> Result<ModSeq, Error> {
    let value = txn.get_snapshot(&HighestKey { account: at.account, mailbox: at.mailbox }.encode()).await?;
    let stamp = value.and_then(|v| v.first_chunk().copied());
    Ok(stamp.map_or(ModSeq(1), |stamp| ModSeq::of_stamp(&stamp).max(ModSeq(1))))
}

pub(crate) async fn uids_in(txn: &Transaction, at: MailboxRef) -> Result<UidSet, Error> {
    let (begin, end) = PageKey::range(at.account, at.mailbox);
    let mut rows = txn.range(&begin, &end).snapshot();
    let mut pages = Vec::new();
    while let Some((key, value)) = rows.try_next().await? {
        pages.push((PageKey::decode(&key)?.page, UidPage::from_bytes(&value)?));
    }
    Ok(UidSet::from_pages(pages))
}
