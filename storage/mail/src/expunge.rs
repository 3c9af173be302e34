//! Messages that go (RFC 9051 §6.4.3, §6.4.9), and emails that go with their last message.

use changes::Kinds;
use kv::Transaction;
use schema::codec::PENDING;
use schema::keys::mail::{
    FlagKey, FlagNumber, MembershipKey, MessageKey, OrderKey, VanishedKey, email_range,
};
use schema::page::encode_ranges;
use schema::records::mail::{ChangeKind, ChangeRecord, MessageRecord};
use schema::{AccountId, Key, ModSeq, SystemFlags, Uid};

use crate::counters::Counters;
use crate::index::{flag_numbers, update_flags_in};
use crate::ingest::{edit_page_in, touch_in};
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

impl Store {
    /// Removes the messages that are marked `\Deleted` and, if `uids` are given, among those; as many as one transaction
    /// takes: `next` says that there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn expunge(&self, at: MailboxRef, uids: Option<&UidSet>) -> Result<Expunged, Error> {
        let ((uids, next), version) =
            self.db
                .transact_versioned("mail.expunge", |txn| async move {
                    self.expunge_page_in(&txn, at, uids).await
                })
                .await?;
        if uids.is_empty() {
            return Ok(Expunged { next, ..Expunged::default() });
        }
        self.tell(at.account, &[at.mailbox], version, Kinds::EXPUNGE);
        Ok(Expunged { uids, modseq: ModSeq(version.version()), next })
    }

    async fn expunge_page_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        uids: Option<&UidSet>,
    ) -> Result<(UidSet, Option<u32>), Error> {
        mailbox::record_in(txn, at).await?;
        let number = FlagNumber::system(SystemFlags::DELETED.bits().trailing_zeros());
        let (begin, end) = FlagKey::range(at.account, at.mailbox, number, 0);
        let mut rows = txn.range(&begin, &end).snapshot();
        let (mut wanted, mut next) = (Vec::new(), None);
        while let Some((key, _)) = rows.try_next().await? {
            let uid = FlagKey::decode(&key)?.uid;
            if uids.is_some_and(|uids| !uids.contains(uid.get())) {
                continue;
            }
            if wanted.len() == PAGE {
                next = Some(uid.get());
                break;
            }
            wanted.push(uid);
        }
        let (gone, left) = remove_in(self, txn, at, &wanted, SystemFlags::DELETED).await?;
        Ok((gone, left.map(Uid::get).or(next)))
    }
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
    let (mut looked_at, mut left) = (0, None);
    'page: for window in uids.chunks(pace::WINDOW) {
        for message in messages::wholes_in(txn, at, window).await? {
            if looked_at > 0 && pace::is_spent(txn) {
                left = Some(message.uid);
                break 'page;
            }
            looked_at += 1;
            if message.record.system.contains(needed) {
                leaving.take_in(store, txn, at, &message).await?;
            }
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
        Whole { uid, record, values }: &Whole,
    ) -> Result<(), Error> {
        let (MailboxRef { account, mailbox }, uid) = (at, *uid);
        txn.clear(&MessageKey { account, mailbox, uid }.encode());
        txn.clear(&OrderKey { account, mailbox, stamp: record.stamp, uid }.encode());
        txn.clear(&MembershipKey { account, email: record.email, mailbox, uid }.encode());
        edit_page_in(txn, at, uid, false).await?;
        values.remove_in(txn, at, uid);
        update_flags_in(txn, at, uid, &flag_numbers(record.system, &record.keywords), &[]);
        Counters::of(record.system, record.size, -1).apply(txn, at);
        quota::count_in(txn, account, -i64::try_from(record.size).unwrap_or(i64::MAX), -1);
        self.gone.insert(uid.get());
        self.farewell.bid_in(store, txn, account, record).await
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
    /// Lets go the email of a message that is in its mailbox no more: it goes too if no mailbox has it.
    pub(crate) async fn bid_in(
        &mut self,
        store: &Store,
        txn: &Transaction,
        account: AccountId,
        record: &MessageRecord,
    ) -> Result<(), Error> {
        match forget_in(store, txn, account, record).await? {
            None => note(&mut self.updated, record),
            Some(ended) => {
                note(&mut self.destroyed, record);
                self.destroyed.threads_ended_or_begun.extend(ended.then_some(record.thread.0));
            }
        }
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

/// Removes the email if no mailbox has it any more. `None`: one still has; else whether its thread ended.
async fn forget_in(
    store: &Store,
    txn: &Transaction,
    account: AccountId,
    record: &MessageRecord,
) -> Result<Option<bool>, Error> {
    let email = record.email;
    let (begin, end) = MembershipKey::range(account, email);
    if txn.range(&begin, &end).first().await?.is_some() {
        return Ok(None);
    }
    let (begin, end) = email_range(account, email);
    txn.clear_range(&begin, &end);
    store.blobs.dereference_in(txn, record.blob, mailbox::owner(account, email)).await?;
    Ok(Some(thread::leave_in(txn, account, record.thread, email).await?))
}
