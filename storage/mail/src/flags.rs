//! Changing flags (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use changes::Kinds;
use futures::future::try_join_all;
use kv::Transaction;
use schema::codec::PENDING;
use schema::keys::mail::{MessageKey, OrderKey};
use schema::records::mail::{ChangeKind, ChangeRecord, MessageRecord};
use schema::{Flags, Key, ModSeq, SystemFlags, Uid};

use crate::counters::Counters;
use crate::index::{flag_numbers, update_flags_in};
use crate::ingest::{order_in, touch_in};
use crate::keywords::{Names, Numbers};
use crate::messages::{MessageRow, record_in, row_of};
use crate::{Error, MailboxRef, Store, UidSet, mailbox, pace};

/// What to do with flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagChange {
    /// Set these too.
    Add(Flags),
    /// Clear these.
    Remove(Flags),
    /// Set these and no others.
    Replace(Flags),
    /// Set some and clear others.
    Change {
        /// Set these too.
        add: Flags,
        /// Clear these.
        remove: Flags,
    },
}

impl FlagChange {
    /// What becomes of flags.
    pub(crate) fn of(&self, old: &Flags) -> Flags {
        match self {
            FlagChange::Add(flags) => old.union(flags),
            FlagChange::Remove(flags) => old.difference(flags),
            FlagChange::Replace(flags) => flags.clone(),
            FlagChange::Change { add, remove } => old.difference(remove).union(add),
        }
    }
}

/// What became of a page of a STORE.
#[derive(Debug, Clone, Default)]
pub struct StoreOutcome {
    /// Messages whose flags changed, as they are now.
    pub changed: Vec<MessageRow>,
    /// Messages that had those flags already.
    pub unchanged: Vec<MessageRow>,
    /// Messages not touched because they changed after `unchanged_since`.
    pub modified: Vec<u32>,
    /// The commit; zero if nothing changed.
    pub modseq: ModSeq,
    /// Where to go on; none at the end.
    pub next: Option<u32>,
}

/// Most messages of one transaction.
const PAGE: usize = 2_000;

impl Store {
    /// Changes the flags of messages, as many as one transaction takes; `next` says from where to ask again. UIDs that
    /// are not there are passed over.
    ///
    /// # Errors
    /// The store's.
    pub async fn store_flags(
        &self,
        at: MailboxRef,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<StoreOutcome, Error> {
        let mut wanted: Vec<u32> = uids.iter().take(PAGE + 1).collect();
        let next = if wanted.len() > PAGE { wanted.pop() } else { None };
        let wanted = &wanted;
        let (mut outcome, version) = self
            .db
            .transact_versioned("mail.store", |txn| async move {
                self.store_page_in(&txn, at, wanted, change, unchanged_since).await
            })
            .await?;
        outcome.next = outcome.next.or(next);
        if !outcome.changed.is_empty() {
            outcome.modseq = ModSeq(version.version());
            for row in &mut outcome.changed {
                row.modseq = outcome.modseq;
            }
            self.tell(at.account, &[at.mailbox], version, Kinds::FLAGS);
        }
        Ok(outcome)
    }

    async fn store_page_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        uids: &[u32],
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<StoreOutcome, Error> {
        mailbox::record_in(txn, at).await?;
        let mut outcome = StoreOutcome::default();
        let mut page = Page::default();
        let uids: Vec<Uid> = uids.iter().filter_map(|uid| Uid::new(*uid)).collect();
        for (number, window) in uids.chunks(pace::WINDOW).enumerate() {
            if number > 0 && pace::is_spent(txn) {
                outcome.next = window.first().map(|uid| uid.get());
                break;
            }
            let rows = try_join_all(window.iter().map(|uid| record_in(txn, at, *uid))).await?;
            page.names.learn(txn, at.account, rows.iter().flatten()).await?;
            for (uid, record) in window.iter().zip(rows) {
                let Some(record) = record else { continue };
                if unchanged_since.is_some_and(|since| record.modseq() > since) {
                    outcome.modified.push(uid.get());
                    continue;
                }
                let (row, changed) = page.apply(txn, at, *uid, record, change).await?;
                if changed { outcome.changed.push(row) } else { outcome.unchanged.push(row) }
            }
        }
        if !outcome.changed.is_empty() {
            page.counters.apply(txn, at);
            touch_in(txn, at);
            page.log.kind = ChangeKind::EmailUpdated as i32;
            page.log.at = self.now_secs();
            page.log.mailboxes = vec![at.mailbox.0];
            let discriminator = page.log.emails.first().copied().unwrap_or_default();
            changes::log::record_in(txn, at.account, discriminator, &page.log);
        }
        Ok(outcome)
    }
}

/// What one transaction gathers.
#[derive(Default)]
pub(crate) struct Page {
    names: Names,
    numbers: Numbers,
    counters: Counters,
    log: ChangeRecord,
}

impl Page {
    /// Changes the flags of one message; says whether they were others.
    pub(crate) async fn apply(
        &mut self,
        txn: &Transaction,
        at: MailboxRef,
        uid: Uid,
        mut record: MessageRecord,
        change: &FlagChange,
    ) -> Result<(MessageRow, bool), Error> {
        let account = at.account;
        let old = self.names.flags(txn, account, record.system, &record.keywords).await?;
        let new = change.of(&old);
        if new == old {
            return Ok((row_of(uid, &record, old), false));
        }
        let numbers = self.numbers.of(txn, account, &new.keywords).await?;
        let before = flag_numbers(record.system, &record.keywords);
        update_flags_in(txn, at, uid, &before, &flag_numbers(new.system, &numbers));
        self.counters.add(moved(record.system, new.system));
        self.log.shows_or_hides |= old.has(SystemFlags::DELETED) != new.has(SystemFlags::DELETED);
        txn.clear(&OrderKey { account, mailbox: at.mailbox, stamp: record.stamp, uid }.encode());
        record.system = new.system;
        record.keywords = numbers;
        rewrite_in(txn, at, uid, &record);
        self.log.emails.push(record.email.0);
        if !self.log.threads.contains(&record.thread.0) {
            self.log.threads.push(record.thread.0);
        }
        Ok((row_of(uid, &record, new), true))
    }

    /// Writes what is kept per mailbox, if something changed. The log is the caller's.
    pub(crate) fn settle_in(&self, txn: &Transaction, at: MailboxRef) {
        if !self.log.emails.is_empty() {
            self.counters.apply(txn, at);
            touch_in(txn, at);
        }
    }
}

/// By how much a change of system flags changes the counters.
fn moved(old: SystemFlags, new: SystemFlags) -> Counters {
    let mut counters = Counters::of(new, 0, 1);
    counters.add(Counters::of(old, 0, -1));
    counters
}

/// Writes a changed row, and its place in the order of changes.
fn rewrite_in(txn: &Transaction, at: MailboxRef, uid: Uid, record: &MessageRecord) {
    let row = MessageRecord { stamp: PENDING, ..record.clone() };
    let key = MessageKey { account: at.account, mailbox: at.mailbox, uid }.encode();
    txn.set_versionstamped_value(&key, &row.to_bytes(), MessageRecord::STAMP_OFFSET);
    order_in(txn, at, uid);
}
