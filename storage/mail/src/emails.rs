//! Emails and threads, wherever they lie: an email is one, however many mailboxes it has copies in (RFC 8621 §4.1.1).

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{EmailKey, MembershipKey, ThreadEmailKey};
use schema::records::mail::{EmailRecord, MessageRecord};
use schema::{
    AccountId, BlobHash, EmailId, Flags, Key, MailboxId, ModSeq, Record, SystemFlags, ThreadId, Uid,
};

use crate::keywords::Names;
use crate::messages::record_in;
use crate::{Error, MailboxRef, Store, mailbox, pace};

/// An email and its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Which.
    pub id: EmailId,
    /// Its thread.
    pub thread: ThreadId,
    /// Its body.
    pub blob: BlobHash,
    /// Octets.
    pub size: u64,
    /// When it came, seconds since the epoch.
    pub received: i64,
    /// Where it is, and its flags there; of mailboxes that were not deleted.
    pub copies: Vec<EmailCopy>,
}

/// A copy of an email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailCopy {
    /// Where.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: u32,
    /// Its flags there.
    pub flags: Flags,
    /// When it came there, seconds since the epoch.
    pub saved: i64,
}

impl Email {
    /// The mailboxes it is seen in. RFC 8621 §4.1.1: what is marked `\Deleted` is not seen.
    pub fn mailboxes(&self) -> BTreeSet<MailboxId> {
        self.seen().map(|copy| copy.mailbox).collect()
    }

    /// Whether it is seen anywhere.
    pub fn is_seen(&self) -> bool {
        self.seen().next().is_some()
    }

    /// All flags that it has where it is seen.
    pub fn flags(&self) -> Flags {
        self.seen().fold(Flags::none(), |all, copy| all.union(&copy.flags))
    }

    /// The copies that are seen.
    pub fn seen(&self) -> impl Iterator<Item = &EmailCopy> {
        self.copies.iter().filter(|copy| !copy.flags.has(SystemFlags::DELETED))
    }
}

impl Store {
    /// Emails, those that are there, in the order asked for.
    ///
    /// # Errors
    /// The store's.
    pub async fn emails(&self, account: AccountId, ids: &[EmailId]) -> Result<Vec<Email>, Error> {
        let mut all = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            let read = self.db.read("mail.emails", |txn| async move { emails_in(&txn, account, page).await });
            all.extend(read.await?);
        }
        Ok(all)
    }

    /// The emails of threads, of those that have some; the oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn threads(
        &self,
        account: AccountId,
        ids: &[ThreadId],
    ) -> Result<Vec<(ThreadId, Vec<Email>)>, Error> {
        let mut all = Vec::with_capacity(ids.len());
        for some in ids.chunks(THREADS) {
            let found = try_join_all(some.iter().map(|thread| self.thread(account, *thread))).await?;
            let there = some.iter().copied().zip(found).filter(|(_, emails)| !emails.is_empty());
            all.extend(there);
        }
        Ok(all)
    }

    /// In a transaction of its own: how long a thread is senders decide.
    async fn thread(&self, account: AccountId, thread: ThreadId) -> Result<Vec<Email>, Error> {
        self.db.read("mail.thread", |txn| async move { thread_in(&txn, account, thread).await }).await
    }

    /// The account's state: the commit of its last change.
    ///
    /// # Errors
    /// The store's.
    pub async fn state(&self, account: AccountId) -> Result<ModSeq, Error> {
        self.db
            .read("mail.state", |txn| async move {
                Ok(ModSeq(changes::log::state_in(&txn, account).await?.version()))
            })
            .await
    }
}

/// Emails read by one transaction.
const PAGE: usize = 500;
/// Threads read at once.
const THREADS: usize = 8;
/// Most emails of a thread that are told: senders decide how many there are.
pub(crate) const THREAD: usize = 5_000;

async fn thread_in(txn: &Transaction, account: AccountId, thread: ThreadId) -> Result<Vec<Email>, Error> {
    let (begin, end) = ThreadEmailKey::range(account, thread);
    let rows = txn.range(&begin, &end).snapshot().limit(THREAD).collect().await?;
    let ids: Result<Vec<EmailId>, Error> =
        rows.iter().map(|(key, _)| Ok(ThreadEmailKey::decode(key)?.email)).collect();
    let mut emails = emails_in(txn, account, &ids?).await?;
    // RFC 8621 §3: by when they came; ids settle what came at once.
    emails.sort_by_key(|email| (email.received, email.id));
    Ok(emails)
}

pub(crate) async fn emails_in(
    txn: &Transaction,
    account: AccountId,
    ids: &[EmailId],
) -> Result<Vec<Email>, Error> {
    let (mut live, mut names, mut all) = (Live::default(), Names::default(), Vec::with_capacity(ids.len()));
    for window in ids.chunks(pace::WINDOW) {
        let found = try_join_all(window.iter().map(|id| async move {
            let Some(record) = email_in(txn, account, *id).await? else { return Ok(None) };
            Ok::<_, Error>(Some((*id, record, copies_in(txn, account, *id).await?)))
        }))
        .await?;
        let rows = found.iter().flatten().flat_map(|(_, _, copies)| copies).map(|copy| &copy.record);
        names.learn(txn, account, rows).await?;
        for (id, record, rows) in found.into_iter().flatten() {
            let mut copies = Vec::with_capacity(rows.len());
            for Row { mailbox, uid, record } in rows {
                if live.is_in(txn, MailboxRef { account, mailbox }).await? {
                    let flags = names.flags(txn, account, record.system, &record.keywords).await?;
                    copies.push(EmailCopy { mailbox, uid: uid.get(), flags, saved: record.save_date });
                }
            }
            let (thread, blob) = (ThreadId(record.thread), record.blob_hash()?);
            all.push(Email { id, thread, blob, size: record.size, received: record.received, copies });
        }
    }
    Ok(all)
}

pub(crate) async fn email_in(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
) -> Result<Option<EmailRecord>, Error> {
    let value = txn.get(&EmailKey { account, email }.encode()).await?;
    Ok(value.map(|v| EmailRecord::from_bytes(&v)).transpose()?)
}

/// A copy as it is stored.
pub(crate) struct Row {
    pub(crate) mailbox: MailboxId,
    pub(crate) uid: Uid,
    pub(crate) record: MessageRecord,
}

/// All copies of an email, those in mailboxes that are being emptied too; read so that their changes conflict.
pub(crate) async fn copies_in(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
) -> Result<Vec<Row>, Error> {
    let (begin, end) = MembershipKey::range(account, email);
    let keys = txn.range(&begin, &end).collect().await?;
    let rows = keys.iter().map(|(key, _)| async {
        let MembershipKey { mailbox, uid, .. } = MembershipKey::decode(key)?;
        let record = record_in(txn, MailboxRef { account, mailbox }, uid).await?;
        Ok::<_, Error>(record.map(|record| Row { mailbox, uid, record }))
    });
    Ok(try_join_all(rows).await?.into_iter().flatten().collect())
}

/// Which mailboxes there are, looked up as they are met within one transaction.
#[derive(Default)]
pub(crate) struct Live(BTreeMap<MailboxId, bool>);

impl Live {
    /// Whether the mailbox is there; read so that its deletion conflicts.
    pub(crate) async fn is_in(&mut self, txn: &Transaction, at: MailboxRef) -> Result<bool, Error> {
        if let Some(known) = self.0.get(&at.mailbox) {
            return Ok(*known);
        }
        let there = match mailbox::record_in(txn, at).await {
            Ok(_) => true,
            Err(Error::NotFound) => false,
            Err(error) => return Err(error),
        };
        self.0.insert(at.mailbox, there);
        Ok(there)
    }
}
