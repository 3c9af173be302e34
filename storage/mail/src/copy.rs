//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): the email stays the same, its message gets a new UID.

use changes::Kinds;
use kv::Transaction;
use schema::codec::PENDING;
use schema::keys::mail::EmailKey;
use schema::records::mail::{ChangeKind, ChangeRecord, EmailRecord, MessageRecord};
use schema::{EmailId, Key, ModSeq, Record, Uid};

use crate::expunge::{AT_ONCE, Leaving};
use crate::keywords::{Names, Numbers};
use crate::{Error, MailboxRef, Store, UidSet, ingest, mailbox, messages, pace, quota, thread};

/// What became of a page of a COPY or MOVE.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: u32,
    /// UIDs there and here: (source, target), ascending.
    pub pairs: Vec<(u32, u32)>,
    /// The commit; zero if nothing was copied.
    pub modseq: ModSeq,
    /// Where to go on; none at the end.
    pub next: Option<u32>,
}

/// Most messages of one transaction.
pub(crate) const PAGE: usize = 500;

impl Store {
    /// Copies messages, as many as one transaction takes; `next` says from where to ask again. UIDs that are not there
    /// are passed over.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the target, [`Error::OverQuota`]; else the store's.
    pub async fn copy(&self, from: MailboxRef, uids: &UidSet, to: MailboxRef) -> Result<Copied, Error> {
        self.transfer(from, uids, to, false).await
    }

    /// Moves messages likewise.
    ///
    /// # Errors
    /// As [`Store::copy`].
    pub async fn move_(&self, from: MailboxRef, uids: &UidSet, to: MailboxRef) -> Result<Copied, Error> {
        self.transfer(from, uids, to, true).await
    }

    pub(crate) async fn transfer(
        &self,
        from: MailboxRef,
        uids: &UidSet,
        to: MailboxRef,
        and_remove: bool,
    ) -> Result<Copied, Error> {
        let mut wanted: Vec<u32> = uids.iter().take(PAGE + 1).collect();
        let next = if wanted.len() > PAGE { wanted.pop() } else { None };
        let wanted = &wanted;
        let (mut copied, version) = self
            .db
            .transact_versioned("mail.copy", |txn| async move {
                self.transfer_in(&txn, from, wanted, to, and_remove).await
            })
            .await?;
        copied.next = copied.next.or(next);
        if !copied.pairs.is_empty() {
            copied.modseq = ModSeq(version.version());
            self.tell(to.account, &[to.mailbox], version, Kinds::MESSAGES);
            if and_remove {
                self.tell(from.account, &[from.mailbox], version, Kinds::EXPUNGE);
            }
        }
        Ok(copied)
    }

    async fn transfer_in(
        &self,
        txn: &Transaction,
        from: MailboxRef,
        uids: &[u32],
        to: MailboxRef,
        and_remove: bool,
    ) -> Result<Copied, Error> {
        mailbox::record_in(txn, from).await?;
        let target = mailbox::record_in(txn, to).await?;
        let mut copied = Copied { uid_validity: target.uid_validity, ..Copied::default() };
        let (mut names, mut numbers) = (Names::default(), Numbers::default());

        let mut log =
            ChangeRecord { at: self.now_secs(), mailboxes: vec![to.mailbox.0], ..ChangeRecord::default() };
        // All are read before the first is written: within one mailbox a copy may get a UID that is asked for too.
        let mut sources = Vec::with_capacity(uids.len());
        let uids: Vec<Uid> = uids.iter().filter_map(|uid| Uid::new(*uid)).collect();
        for window in uids.chunks(pace::WINDOW) {
            sources.extend(messages::wholes_in(txn, from, window).await?);
        }
        if !(and_remove && from.account == to.account) {
            let octets = sources.iter().map(|source| source.record.size).sum();
            quota::check_in(txn, to.account, octets, sources.len() as u64).await?;
        }
        let mut leaving = Leaving::default();
        // Within an account what goes is seen where it goes to.
        if from.account != to.account {
            leaving.note_hidden();
        }
        for some in sources.chunks(AT_ONCE) {
            let begun = copied.pairs.len();
            for source in some {
                if !copied.pairs.is_empty() && pace::is_spent(txn) {
                    copied.next = Some(source.uid.get());
                    break;
                }
                let record = &source.record;
                let flags = names.flags(txn, from.account, record.system, &record.keywords).await?;
                let mut row = self.adopt_in(txn, from, to, record, &mut log).await?;
                if from.account != to.account {
                    row.keywords = numbers.of(txn, to.account, &flags.keywords).await?;
                }
                let new = ingest::insert_in(txn, to, &row, &source.values).await?;
                copied.pairs.push((source.uid.get(), new.get()));
            }
            if and_remove {
                leaving.take_all_in(self, txn, from, &some[..copied.pairs.len() - begun]).await?;
            }
            if copied.next.is_some() {
                break;
            }
        }
        leaving.log_in(self, txn, from);
        if let Some(discriminator) = log.emails.first() {
            // Not the number that a removal in the same commit and account uses.
            changes::log::record_in(txn, to.account, !discriminator, &log);
        }
        Ok(copied)
    }

    /// The row of a copy: of the same email within an account, of a new one in another.
    async fn adopt_in(
        &self,
        txn: &Transaction,
        from: MailboxRef,
        to: MailboxRef,
        record: &MessageRecord,
        log: &mut ChangeRecord,
    ) -> Result<MessageRecord, Error> {
        let mut row = MessageRecord { stamp: PENDING, save_date: self.now_secs(), ..record.clone() };
        log.kind = ChangeKind::EmailUpdated as i32;
        if from.account != to.account {
            log.kind = ChangeKind::EmailCreated as i32;
            row.email = self.clone_email_in(txn, from, to, record).await?;
            let structure = messages::structure_in(txn, from.account, record.email).await?;
            let summary = crate::convert::from_record(structure);
            let secret = thread::secret_in(txn, to.account).await?;
            let (thread, begun) =
                thread::join_in(txn, to.account, row.email, &thread::hashes(secret, &summary)).await?;
            row.thread = thread;
            log.threads_ended_or_begun.extend(begun.then_some(thread.0));
            messages::write_structure_in(txn, to.account, row.email, &summary);
            let email = EmailRecord {
                blob: record.blob.0.to_vec(),
                size: record.size,
                thread: thread.0,
                received: record.internal_date,
            };
            txn.set_bytes(EmailKey { account: to.account, email: row.email }.encode(), email.to_bytes());
        }
        log.emails.push(row.email.0);
        if !log.threads.contains(&row.thread.0) {
            log.threads.push(row.thread.0);
        }
        Ok(row)
    }

    async fn clone_email_in(
        &self,
        txn: &Transaction,
        from: MailboxRef,
        to: MailboxRef,
        record: &MessageRecord,
    ) -> Result<EmailId, Error> {
        let email = self.free_email_id(txn, to.account).await?;
        let (source, target) =
            (mailbox::owner(from.account, record.email), mailbox::owner(to.account, email));
        self.blobs.copy_reference_in(txn, record.blob, source, target).await?;
        Ok(email)
    }
}
