//! Messages that go (RFC 9051 §6.4.3, §6.4.9), and emails that go with their last message.

use std::collections::{BTreeMap, BTreeSet};

use changes::Kinds;
use futures::future::try_join_all;
use futures::try_join;
use kv::Transaction;
use schema::codec::PENDING;
use schema::keys::mail::{
    FlagKey, FlagNumber, MembershipKey, MessageKey, OrderKey, VanishedKey, email_range,
};
use schema::page::encode_ranges;
use schema::records::mail::{ChangeKind, ChangeRecord, MessageRecord};
use schema::{AccountId, BlobHash, EmailId, Key, ModSeq, SystemFlags, Uid};

use crate::counters::Counters;
use crate::index::{flag_numbers, update_flags_in};
use crate::ingest::{edit_pages_in, touch_in};
use crate::messages::Whole;
use crate::{Error, MailboxRef, Store, UidSet, mailbox, messages, pace, quota, thread};

/// What became of a page of an EXPUNGE.
#[derive(Debug, Clone, Default)]
pub struct Expunged {
    /// UIDs that are gone.
    pub uids: UidSet,
    /// The commit; zero if nothing went.
    pub modseq: ModSeq,
    /// Where to go on; none at the end.
    pub next: Option<u32>,
}

/// Messages of one transaction.
const PAGE: usize = 500;
/// Messages that are let go at once: the threads that end with so many fit a transaction, however long they were.
pub(crate) const AT_ONCE: usize = 20;

impl Store {
    /// Removes the messages that are marked `\Deleted` and, if `uids` are given, among those; as many as one transaction
    /// takes: `next` says that there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn expunge(&self, at: MailboxRef, uids: Option<&UidSet>) -> Result<Expunged, Error> {
        // Looked up apart: mail that comes into the mailbox undoes the transaction that removes them, which is to be as short as
        // those that bring it, or it might never win.
        let (wanted, next) =
            &self.db.read("mail.marked", |txn| async move { marked_in(&txn, at, uids).await }).await?;
        if wanted.is_empty() {
            return Ok(Expunged::default());
        }
        let ((gone, left), version) = self
            .db
            .transact_versioned("mail.expunge", |txn| async move {
                let txn = &txn;
                let (_, removed) = try_join!(
                    mailbox::record_in(txn, at),
                    remove_in(self, txn, at, wanted, SystemFlags::DELETED)
                )?;
                Ok::<_, Error>(removed)
            })
            .await?;
        let next = left.or(*next).map(Uid::get);
        if gone.is_empty() {
            return Ok(Expunged { next, ..Expunged::default() });
        }
        self.tell(at.account, &[at.mailbox], version, Kinds::EXPUNGE);
        Ok(Expunged { uids: gone, modseq: ModSeq(version.version()), next })
    }
}

/// The first messages that are marked `\Deleted`, among `uids` if those are given, and where there are more of them.
async fn marked_in(
    txn: &Transaction,
    at: MailboxRef,
    uids: Option<&UidSet>,
) -> Result<(Vec<Uid>, Option<Uid>), Error> {
    mailbox::record_in(txn, at).await?;
    let number = FlagNumber::system(SystemFlags::DELETED.bits().trailing_zeros());
    let (begin, end) = FlagKey::range(at.account, at.mailbox, number, 0);
    let mut rows = txn.range(&begin, &end).snapshot();
    let mut marked = Vec::new();
    while let Some((key, _)) = rows.try_next().await? {
        let uid = FlagKey::decode(&key)?.uid;
        if uids.is_some_and(|uids| !uids.contains(uid.get())) {
            continue;
        }
        if marked.len() == PAGE {
            return Ok((marked, Some(uid)));
        }
        marked.push(uid);
    }
    Ok((marked, None))
}

/// Removes messages that carry `needed`, as many as the transaction takes, and logs that they vanished. Those that are
/// not there any more, or no longer carry it, are passed over. Returns the first that is left, too.
pub(crate) async fn remove_in(
    store: &Store,
    txn: &Transaction,
    at: MailboxRef,
    uids: &[Uid],
    needed: SystemFlags,
) -> Result<(UidSet, Option<Uid>), Error> {
    let mut leaving = Leaving::default();
    if !needed.contains(SystemFlags::DELETED) {
        leaving.note_hidden();
    }
    let (mut begun, mut left) = (false, None);
    'page: for window in uids.chunks(pace::WINDOW) {
        let mut going = messages::wholes_in(txn, at, window).await?;
        going.retain(|message| message.record.system.contains(needed));
        for some in going.chunks(AT_ONCE) {
            if begun && pace::is_spent(txn) {
                left = some.first().map(|message| message.uid);
                break 'page;
            }
            begun = true;
            leaving.take_all_in(store, txn, at, some).await?;
        }
    }
    Ok((leaving.log_in(store, txn, at), left))
}

/// Messages that leave a mailbox.
#[derive(Default)]
pub(crate) struct Leaving {
    gone: UidSet,
    farewell: Farewell,
}

impl Leaving {
    /// Takes a message out of all that is kept per mailbox, and lets go its email.
    pub(crate) async fn take_in(
        &mut self,
        store: &Store,
        txn: &Transaction,
        at: MailboxRef,
        message: &Whole,
    ) -> Result<(), Error> {
        self.take_all_in(store, txn, at, std::slice::from_ref(message)).await
    }

    /// Takes messages out of all that is kept per mailbox, and lets go their emails. What is read for one does not wait for
    /// another.
    pub(crate) async fn take_all_in(
        &mut self,
        store: &Store,
        txn: &Transaction,
        at: MailboxRef,
        messages: &[Whole],
    ) -> Result<(), Error> {
        let MailboxRef { account, mailbox } = at;
        let (mut octets, mut uids) = (0, Vec::with_capacity(messages.len()));
        for Whole { uid, record, values } in messages {
            let uid = *uid;
            txn.clear(&MessageKey { account, mailbox, uid }.encode());
            txn.clear(&OrderKey { account, mailbox, stamp: record.stamp, uid }.encode());
            txn.clear(&MembershipKey { account, email: record.email, mailbox, uid }.encode());
            values.remove_in(txn, at, uid);
            update_flags_in(txn, at, uid, &flag_numbers(record.system, &record.keywords), &[]);
            Counters::of(record.system, record.size, -1).apply(txn, at);
            octets += i64::try_from(record.size).unwrap_or(i64::MAX);
            self.gone.insert(uid.get());
            uids.push(uid);
        }
        quota::count_in(txn, account, -octets, -(messages.len() as i64));
        let records: Vec<&MessageRecord> = messages.iter().map(|message| &message.record).collect();
        try_join!(edit_pages_in(txn, at, &uids, false), self.farewell.bid_in(store, txn, account, &records))?;
        Ok(())
    }

    /// Notes that emails of which other copies stay may be seen no longer: those may be marked for removal, or in a mailbox
    /// that is being emptied, and what goes was seen.
    pub(crate) fn note_hidden(&mut self) {
        self.farewell.note_hidden();
    }

    /// Logs that they vanished, and what became of their emails; returns their UIDs.
    pub(crate) fn log_in(mut self, store: &Store, txn: &Transaction, at: MailboxRef) -> UidSet {
        let gone = std::mem::take(&mut self.gone);
        vanished_in(txn, at, &gone);
        self.farewell.log_in(store, txn, at.account, &[at.mailbox.0]);
        gone
    }

    /// Logs that they vanished; what became of their emails is the caller's to log.
    pub(crate) fn vanish_in(self, txn: &Transaction, at: MailboxRef) -> Farewell {
        vanished_in(txn, at, &self.gone);
        self.farewell
    }
}

/// Logs in the mailbox that UIDs vanished, if any did.
fn vanished_in(txn: &Transaction, at: MailboxRef, gone: &UidSet) {
    let Some(first) = gone.first().and_then(Uid::new) else { return };
    let key = VanishedKey { account: at.account, mailbox: at.mailbox, stamp: PENDING, first };
    let (key, offset) = key.encode_stamped();
    txn.set_versionstamped_key(&key, offset, &encode_ranges(gone.ranges()));
    touch_in(txn, at);
}

/// What becomes of the emails of messages that go, for the change log.
#[derive(Default)]
pub(crate) struct Farewell {
    updated: ChangeRecord,
    destroyed: ChangeRecord,
}

impl Farewell {
    /// Lets go the emails of messages that are in their mailbox no more: one goes too if no mailbox has it.
    pub(crate) async fn bid_in(
        &mut self,
        store: &Store,
        txn: &Transaction,
        account: AccountId,
        records: &[&MessageRecord],
    ) -> Result<(), Error> {
        // Of two copies of an email that go at once it is let go once.
        let emails: BTreeMap<EmailId, &MessageRecord> =
            records.iter().map(|record| (record.email, *record)).collect();
        let kept = try_join_all(emails.keys().map(|email| is_kept_in(txn, account, *email))).await?;
        let mut gone = Vec::new();
        for (record, kept) in emails.into_values().zip(kept) {
            note(if kept { &mut self.updated } else { &mut self.destroyed }, record);
            if !kept {
                gone.push(record);
            }
        }
        self.destroyed.threads_ended_or_begun.extend(forget_in(store, txn, account, &gone).await?);
        Ok(())
    }

    /// Notes an email that changed and stays.
    pub(crate) fn note_updated(&mut self, record: &MessageRecord) {
        note(&mut self.updated, record);
    }

    /// Notes that those that stay may be seen no longer: what went was seen.
    pub(crate) fn note_hidden(&mut self) {
        self.updated.shows_or_hides = true;
    }

    /// Takes over what another has noted.
    pub(crate) fn merge(&mut self, other: Farewell) {
        for (log, more) in [(&mut self.updated, other.updated), (&mut self.destroyed, other.destroyed)] {
            log.emails.extend(more.emails);
            log.threads.extend(more.threads);
            log.threads_ended_or_begun.extend(more.threads_ended_or_begun);
            log.shows_or_hides |= more.shows_or_hides;
        }
    }

    /// Writes to the log what happened, in mailboxes that are there.
    pub(crate) fn log_in(self, store: &Store, txn: &Transaction, account: AccountId, mailboxes: &[u32]) {
        let logs = [(ChangeKind::EmailUpdated, self.updated), (ChangeKind::EmailDestroyed, self.destroyed)];
        for (kind, mut log) in logs {
            // An email can be in both: when two copies of it go, the first leaves it updated, the last destroyed. The
            // kind, above the 61 bits of an email's number, tells the entries of one commit apart.
            let Some(first) = log.emails.first() else { continue };
            log.kind = kind as i32;
            let discriminator = first ^ (u64::from(log.kind.unsigned_abs()) << 61);
            log.at = store.now_secs();
            log.mailboxes = mailboxes.to_vec();
            changes::log::record_in(txn, account, discriminator, &log);
        }
    }
}

fn note(log: &mut ChangeRecord, record: &MessageRecord) {
    log.emails.push(record.email.0);
    if !log.threads.contains(&record.thread.0) {
        log.threads.push(record.thread.0);
    }
}

/// Whether a mailbox has the email.
async fn is_kept_in(txn: &Transaction, account: AccountId, email: EmailId) -> Result<bool, Error> {
    let (begin, end) = MembershipKey::range(account, email);
    Ok(txn.range(&begin, &end).first().await?.is_some())
}

/// Removes emails that no mailbox has any more. Returns the threads that end.
async fn forget_in(
    store: &Store,
    txn: &Transaction,
    account: AccountId,
    gone: &[&MessageRecord],
) -> Result<Vec<u64>, Error> {
    let (mut threads, mut bodies) = (BTreeSet::new(), BTreeMap::<BlobHash, Vec<EmailId>>::new());
    for record in gone {
        let email = record.email;
        let (begin, end) = email_range(account, email);
        txn.clear_range(&begin, &end);
        thread::leave_in(txn, account, record.thread, email);
        threads.insert(record.thread);
        bodies.entry(record.blob).or_default().push(email);
    }
    let let_go = bodies.into_iter().map(|(blob, emails)| async move {
        // One after the other: each looks whether it is the last that holds the body.
        for email in emails {
            store.blobs.dereference_in(txn, blob, mailbox::owner(account, email)).await?;
        }
        Ok::<_, Error>(())
    });
    let ended = threads.iter().map(|thread| thread::end_in(txn, account, *thread));
    let (_, ended) = try_join!(try_join_all(let_go), try_join_all(ended))?;
    let ended = threads.into_iter().zip(ended).filter(|(_, ended)| *ended);
    Ok(ended.map(|(thread, _)| thread.0).collect())
}
