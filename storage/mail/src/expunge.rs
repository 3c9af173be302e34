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
use crate::index::{SortValues, flag_numbers, update_flags_in};
use crate::ingest::{edit_page_in, touch_in};
use crate::{Error, MailboxRef, Store, UidSet, convert, mailbox, messages, quota, thread};

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
        let (mut gone, mut next) = (Vec::new(), None);
        while let Some((key, _)) = rows.try_next().await? {
            let uid = FlagKey::decode(&key)?.uid;
            if uids.is_some_and(|uids| !uids.contains(uid.get())) {
                continue;
            }
            if gone.len() == PAGE {
                next = Some(uid.get());
                break;
            }
            gone.push(uid);
        }
        Ok((remove_in(self, txn, at, &gone, SystemFlags::DELETED).await?, next))
    }
}

/// Removes messages that carry `needed`, and logs that they vanished. Those that are not there any more, or no longer
/// carry it, are passed over.
pub(crate) async fn remove_in(
    store: &Store,
    txn: &Transaction,
    at: MailboxRef,
    uids: &[Uid],
    needed: SystemFlags,
) -> Result<UidSet, Error> {
    let mut gone = UidSet::new();
    let mut farewell = Farewell::default();
    for uid in uids {
        let Some(record) = messages::record_in(txn, at, *uid).await? else { continue };
        if !record.system.contains(needed) {
            continue;
        }
        take_in(txn, at, *uid, &record).await?;
        gone.insert(uid.get());
        farewell.bid_in(store, txn, at.account, &record).await?;
    }
    if let Some(first) = gone.first().and_then(Uid::new) {
        let key = VanishedKey { account: at.account, mailbox: at.mailbox, stamp: PENDING, first };
        let (key, offset) = key.encode_stamped();
        txn.set_versionstamped_key(&key, offset, &encode_ranges(gone.ranges()));
        touch_in(txn, at);
        farewell.log_in(store, txn, at.account, &[at.mailbox.0]);
    }
    Ok(gone)
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

/// Takes a message out of all that is kept per mailbox.
async fn take_in(txn: &Transaction, at: MailboxRef, uid: Uid, record: &MessageRecord) -> Result<(), Error> {
    let MailboxRef { account, mailbox } = at;
    txn.clear(&MessageKey { account, mailbox, uid }.encode());
    txn.clear(&OrderKey { account, mailbox, stamp: record.stamp, uid }.encode());
    txn.clear(&MembershipKey { account, email: record.email, mailbox, uid }.encode());
    edit_page_in(txn, at, uid, false).await?;
    sort_values_in(txn, at, record).await?.remove_in(txn, at, uid);
    update_flags_in(txn, at, uid, &flag_numbers(record.system, &record.keywords), &[]);
    Counters::of(record.system, record.size, -1).apply(txn, at);
    quota::count_in(txn, account, -i64::try_from(record.size).unwrap_or(i64::MAX), -1);
    Ok(())
}

/// What a message is sorted by, from its row and structure.
pub(crate) async fn sort_values_in(
    txn: &Transaction,
    at: MailboxRef,
    record: &MessageRecord,
) -> Result<SortValues, Error> {
    let structure = messages::structure_in(txn, at.account, record.email).await?;
    Ok(SortValues::of(&convert::from_record(structure), record.internal_date, record.size))
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
