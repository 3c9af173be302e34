//! A new message: everything it needs, in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use changes::Kinds;
use futures::future::try_join_all;
use futures::{TryFutureExt, try_join};
use kv::limits::Limit;
use kv::{Cause, Transaction, Versionstamp};
use schema::codec::PENDING;
use schema::keys::mail::{EmailKey, HighestKey, MembershipKey, MessageKey, OrderKey, PageKey, UidNextKey};
use schema::page::{PAGE_UIDS, Page, page_of};
use schema::records::mail::{ChangeKind, ChangeRecord, EmailRecord, MessageRecord};
use schema::{AccountId, EmailId, Flags, Key, ModSeq, Record, ThreadId, Uid};

use crate::counters::Counters;
use crate::index::{SortValues, flag_numbers, update_flags_in};
use crate::keywords::Numbers;
use crate::{Error, MailboxRef, Store, mailbox, messages, quota, thread};
use content_mail::Summary;

/// A message that is about to be stored: its body staged, its structure parsed. Shared by all its recipients.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The body.
    pub staged: blob::Staged,
    /// What is known of it.
    pub summary: Arc<Summary>,
}

impl Incoming {
    /// Bytes that storing it adds to a transaction, about: several are to stay well below [`kv::limits::TRANSACTION`].
    pub fn weight(&self) -> usize {
        /// Rows of indexes, counters and the log, with their conflict ranges.
        const ROWS: usize = 4096;
        /// The key of a message id, read and written.
        const REFERENCE: usize = 512;
        let inline = self.staged.inline().map_or(0, bytes::Bytes::len);
        let ids = self.summary.message_ids.references.len() + self.summary.message_ids.in_reply_to.len();
        ROWS + inline + messages::structure_size(&self.summary) + ids * REFERENCE
    }
}

/// A message for [`Store::append_all`].
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Body and structure.
    pub incoming: Incoming,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE, seconds since the epoch.
    pub internal_date: i64,
}

/// A message that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where.
    pub mailbox: MailboxRef,
    /// Its UID.
    pub uid: u32,
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: u32,
    /// Its email.
    pub email: EmailId,
    /// Its thread.
    pub thread: ThreadId,
    /// The commit.
    pub modseq: ModSeq,
}

/// A message stored by a transaction that is not committed yet.
#[derive(Debug, Clone, Copy)]
pub struct PendingAppend(Appended);

impl PendingAppend {
    /// The email that it is if the transaction is committed.
    pub fn email(&self) -> EmailId {
        self.0.email
    }
}

impl Store {
    /// Stores a message.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the mailbox, [`Error::OverQuota`]; else the store's.
    pub async fn append(
        &self,
        at: MailboxRef,
        incoming: &Incoming,
        flags: &Flags,
        internal_date: i64,
    ) -> Result<Appended, Error> {
        let (pending, version) = self
            .db
            .transact_versioned("mail.append", |txn| async move {
                self.append_in(&txn, at, incoming, flags, internal_date).await
            })
            .await?;
        Ok(self.committed(&pending, version))
    }

    /// Stores several messages, all or none (RFC 3502 §3): together no more than a transaction holds, see
    /// [`Incoming::weight`].
    ///
    /// # Errors
    /// [`Error::LimitReached`] for more than that; else as [`Store::append`].
    pub async fn append_all(&self, at: MailboxRef, messages: &[NewMessage]) -> Result<Vec<Appended>, Error> {
        let done = self
            .db
            .transact_versioned("mail.append", |txn| async move {
                let mut pending = Vec::with_capacity(messages.len());
                for new in messages {
                    pending
                        .push(self.append_in(&txn, at, &new.incoming, &new.flags, new.internal_date).await?);
                }
                Ok::<_, Error>(pending)
            })
            .await;
        let (pending, version) = done.map_err(too_large)?;
        Ok(pending.iter().map(|one| self.committed(one, version)).collect())
    }

    /// Stores a message within a transaction that may store others and do more.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        incoming: &Incoming,
        flags: &Flags,
        internal_date: i64,
    ) -> Result<PendingAppend, Error> {
        Ok(self.append_row_in(txn, at, incoming, flags, internal_date).await?.0)
    }

    /// The same; the row is told too, as what a transaction has written under its own stamp it cannot read.
    pub(crate) async fn append_row_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        incoming: &Incoming,
        flags: &Flags,
        internal_date: i64,
    ) -> Result<(PendingAppend, MessageRecord), Error> {
        let account = at.account;
        let size = incoming.staged.size();
        // What does not depend on each other is read at once: a store that is far away is waited for four times.
        let (record, (), email, secret) = try_join!(
            mailbox::record_in(txn, at),
            quota::check_in(txn, account, size, 1),
            self.free_email_id(txn, account),
            thread::secret_in(txn, account),
        )?;
        let hashes = thread::hashes(secret, &incoming.summary);
        let owner = mailbox::owner(account, email);
        let mut numbers = Numbers::default();
        let ((), (thread, begun), keywords, uid) = try_join!(
            self.blobs.reference_in(txn, &incoming.staged, owner).map_err(Error::from),
            thread::join_in(txn, account, email, &hashes),
            numbers.of(txn, account, &flags.keywords),
            place_in(txn, at),
        )?;
        let new = EmailRecord {
            blob: incoming.staged.hash().0.to_vec(),
            size,
            thread: thread.0,
            received: internal_date,
        };
        txn.set_bytes(EmailKey { account, email }.encode(), new.to_bytes());
        messages::write_structure_in(txn, account, email, &incoming.summary);
        let row = MessageRecord {
            stamp: PENDING,
            blob: incoming.staged.hash(),
            email,
            thread,
            system: flags.system,
            keywords,
            internal_date,
            save_date: self.now_secs(),
            size,
        };
        let values = SortValues::of(&incoming.summary, internal_date, size);
        enter_in(txn, at, uid, &row, &values);
        let change = ChangeRecord {
            kind: ChangeKind::EmailCreated as i32,
            at: row.save_date,
            emails: vec![email.0],
            threads: vec![thread.0],
            mailboxes: vec![at.mailbox.0],
            threads_ended_or_begun: if begun { vec![thread.0] } else { Vec::new() },
            ..ChangeRecord::default()
        };
        changes::log::record_in(txn, account, email.0, &change);
        let uid_validity = record.uid_validity;
        let modseq = ModSeq(0);
        let pending = Appended { mailbox: at, uid: uid.get(), uid_validity, email, thread, modseq };
        Ok((PendingAppend(pending), row))
    }

    /// After the commit: tells who waits, and what became of the message.
    pub fn committed(&self, pending: &PendingAppend, version: Versionstamp) -> Appended {
        let at = pending.0.mailbox;
        self.tell(at.account, &[at.mailbox], version, Kinds::MESSAGES);
        Appended { modseq: ModSeq(version.version()), ..pending.0 }
    }

    /// An id no email of the account has: time and randomness, looked up in the transaction that uses it.
    pub(crate) async fn free_email_id(
        &self,
        txn: &Transaction,
        account: AccountId,
    ) -> Result<EmailId, Error> {
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        loop {
            let email = EmailId((millis << 20) | self.rng.below(1 << 20));
            if txn.get(&EmailKey { account, email }.encode()).await?.is_none() {
                return Ok(email);
            }
        }
    }
}

/// What is too large for a transaction is the client's to cut.
fn too_large(error: Error) -> Error {
    match &error {
        Error::Kv(kv) if matches!(kv.cause(), Cause::Limit(Limit::Transaction { .. })) => {
            Error::LimitReached("these are too many at once")
        }
        _ => error,
    }
}

/// Puts a message's row into a mailbox, with the next UID and all that is kept per mailbox. Counts it for quota.
pub(crate) async fn insert_in(
    txn: &Transaction,
    at: MailboxRef,
    row: &MessageRecord,
    values: &SortValues,
) -> Result<Uid, Error> {
    let uid = place_in(txn, at).await?;
    enter_in(txn, at, uid, row, values);
    Ok(uid)
}

/// The next UID, which is there from now on.
async fn place_in(txn: &Transaction, at: MailboxRef) -> Result<Uid, Error> {
    let uid = next_uid_in(txn, at).await?;
    edit_page_in(txn, at, uid, true).await?;
    Ok(uid)
}

/// Writes a message's row under its UID, and what hangs on it.
fn enter_in(txn: &Transaction, at: MailboxRef, uid: Uid, row: &MessageRecord, values: &SortValues) {
    let MailboxRef { account, mailbox } = at;
    txn.set_versionstamped_value(
        &MessageKey { account, mailbox, uid }.encode(),
        &row.to_bytes(),
        MessageRecord::STAMP_OFFSET,
    );
    txn.set(&MembershipKey { account, email: row.email, mailbox, uid }.encode(), b"");
    order_in(txn, at, uid);
    values.insert_in(txn, at, uid);
    update_flags_in(txn, at, uid, &[], &flag_numbers(row.system, &row.keywords));
    Counters::of(row.system, row.size, 1).apply(txn, at);
    quota::count_in(txn, account, i64::try_from(row.size).unwrap_or(i64::MAX), 1);
    touch_in(txn, at);
}

/// UIDNEXT, read and written here: two inserts into one mailbox conflict.
async fn next_uid_in(txn: &Transaction, at: MailboxRef) -> Result<Uid, Error> {
    let key = UidNextKey { account: at.account, mailbox: at.mailbox }.encode();
    let next = uid_next(txn.get(&key).await?.as_deref());
    let after = next.checked_add(1).ok_or(Error::LimitReached("the mailbox has given out all its UIDs"))?;
    txn.set(&key, &after.to_le_bytes());
    Uid::new(next).ok_or(Error::LimitReached("the mailbox has given out all its UIDs"))
}

pub(crate) fn uid_next(value: Option<&[u8]>) -> u32 {
    value.and_then(|v| v.first_chunk().map(|b| u32::from_le_bytes(*b))).unwrap_or(1)
}

/// Enters a message in the order of changes, under this commit's versionstamp.
pub(crate) fn order_in(txn: &Transaction, at: MailboxRef, uid: Uid) {
    let key = OrderKey { account: at.account, mailbox: at.mailbox, stamp: PENDING, uid };
    let (key, offset) = key.encode_stamped();
    txn.set_versionstamped_key(&key, offset, b"");
}

/// Notes that the mailbox changed: its HIGHESTMODSEQ becomes this commit's.
pub(crate) fn touch_in(txn: &Transaction, at: MailboxRef) {
    let key = HighestKey { account: at.account, mailbox: at.mailbox }.encode();
    txn.set_versionstamped_value(&key, &PENDING, 0);
}

/// Notes on the mailbox's pages that a UID is there, or no longer.
pub(crate) async fn edit_page_in(
    txn: &Transaction,
    at: MailboxRef,
    uid: Uid,
    there: bool,
) -> Result<(), Error> {
    edit_pages_in(txn, at, &[uid], there).await
}

/// Notes on the mailbox's pages that UIDs are there, or no longer; reads the pages at once.
pub(crate) async fn edit_pages_in(
    txn: &Transaction,
    at: MailboxRef,
    uids: &[Uid],
    there: bool,
) -> Result<(), Error> {
    let mut pages = BTreeMap::<u32, Vec<u16>>::new();
    for uid in uids {
        pages.entry(page_of(uid.get())).or_default().push((uid.get() % PAGE_UIDS) as u16);
    }
    let edit = |(page, within): (u32, Vec<u16>)| async move {
        let key = PageKey { account: at.account, mailbox: at.mailbox, page }.encode();
        let mut page = txn.get(&key).await?.map(|v| Page::from_bytes(&v)).transpose()?.unwrap_or_default();
        for uid in within {
            if there {
                page.insert(uid);
            } else {
                page.remove(uid);
            }
        }
        if page.is_empty() {
            txn.clear(&key);
        } else {
            txn.set(&key, &page.to_bytes());
        }
        Ok(())
    };
    try_join_all(pages.into_iter().map(edit)).await.map(drop)
}
