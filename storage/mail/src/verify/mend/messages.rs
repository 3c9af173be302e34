//! Messages and emails.
//!
//! A message that clients may have a wrong idea of gets a new UID or a new MODSEQ, so that they ask for it again.

use findings::{Finding, Kind, Mended, place_of};
use kv::Transaction;
use schema::codec::PENDING;
use schema::keys::blob::BlobReferenceKey;
use schema::keys::mail::*;
use schema::records::mail::{ChangeKind, ChangeRecord, EmailRecord, MessageRecord};
use schema::{AccountId, EmailId, Key, Record, SystemFlags, ThreadId, Uid};

use super::super::count::take_off_page_in;
use super::super::look::{allocation, is_there, message, record, structure};
use crate::expunge::Leaving;
use crate::index::{SortValues, flag_numbers, update_flags_in};
use crate::ingest::{insert_in, order_in, touch_in};
use crate::messages::{Whole, write_structure_in};
use crate::{Error, MailboxRef, Role, Store, convert, mailbox};
use content_mail::{Limits, Summary, summarize};

/// Copies of an email that one transaction removes.
const COPIES: usize = 100;
/// Keywords that are tried when a message is rebuilt.
const KEYWORDS: u32 = 10_000;

impl Store {
    pub(super) async fn mend_message_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        finding: &Finding,
        summary: Option<&Summary>,
    ) -> Result<Mended, Error> {
        let key = finding.key.as_slice();
        let place = place_of(key);
        let message = place.mailbox.map(|mailbox| MailboxRef { account, mailbox }).zip(place.uid);
        match (finding.kind, message) {
            (Kind::PageGhost, Some((at, uid))) => {
                take_off_page_in(txn, at, uid).await?;
                Ok(Mended::done("the UID was taken off its page, and clients are told that it vanished"))
            }
            (Kind::VanishedIsThere | Kind::PageLacks, Some((at, uid))) => {
                self.renumber_in(txn, at, uid).await
            }
            (Kind::MessageLost, Some((at, uid))) => {
                let email = MembershipKey::decode(&finding.source)?.email;
                self.rebuild_in(txn, at, uid, email).await
            }
            (Kind::EmailDiffers, Some((at, uid))) => self.rewrite_in(txn, at, uid).await,
            (Kind::ChangeUnlogged, Some((at, uid))) => self.restamp_in(txn, at, uid).await,
            (Kind::IndexMissing, Some((at, uid))) if OrderKey::decode(key).is_ok() => {
                self.restamp_in(txn, at, uid).await
            }
            (Kind::EmailLost, _) => rebuild_email_in(txn, account, finding).await,
            (Kind::EmailUnfiled, _) => self.file_in(txn, account, EmailKey::decode(key)?.email).await,
            (Kind::StructureLost, _) => {
                let (Ok(EmailKey { email, .. }), Some(summary)) = (EmailKey::decode(key), summary) else {
                    return Ok(Mended::kept("its body was not read"));
                };
                let (begin, end) = StructureKey::range(account, email);
                txn.clear_range(&begin, &end);
                write_structure_in(txn, account, email, summary);
                Ok(Mended::done("its body was parsed again"))
            }
            (Kind::BodyReferenceMissing, _) => {
                // Only of a body that is there: the check looked, so that its deletion conflicts.
                BlobReferenceKey::decode(key)?;
                txn.set(key, b"");
                Ok(Mended::done("the reference was written"))
            }
            (Kind::StructureStale | Kind::CopyStale | Kind::IndexStale | Kind::ThreadStale, _) => {
                txn.clear(key);
                Ok(Mended::done("it was cleared"))
            }
            (Kind::CopyMissing | Kind::IndexMissing | Kind::ThreadMissing, _) => {
                txn.set(key, b"");
                Ok(Mended::done("it was written"))
            }
            _ => Ok(Mended::kept(finding.kind.remedy())),
        }
    }

    /// Gives a message a new UID: the old one vanishes, as if it were moved.
    async fn renumber_in(&self, txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<Mended, Error> {
        let Some(old) = message(txn, at, uid).await?.known() else {
            return Ok(Mended::kept("the message cannot be read"));
        };
        let values = values_of(txn, at.account, &old).await?;
        let row = MessageRecord { stamp: PENDING, ..old.clone() };
        // Before the old one goes: the email stays.
        let new = insert_in(txn, at, &row, &values).await?;
        let mut leaving = Leaving::default();
        leaving.take_in(self, txn, at, &Whole { uid, record: old, values }).await?;
        leaving.log_in(self, txn, at);
        Ok(Mended::done(format!("message {uid} is {new} now")))
    }

    /// Writes a message again, as changed by this commit.
    fn write_changed_in(&self, txn: &Transaction, at: MailboxRef, uid: Uid, row: &MessageRecord) {
        let MailboxRef { account, mailbox } = at;
        let key = MessageKey { account, mailbox, uid }.encode();
        txn.set_versionstamped_value(&key, &row.to_bytes(), MessageRecord::STAMP_OFFSET);
        order_in(txn, at, uid);
        touch_in(txn, at);
        self.log_updated_in(txn, at, row);
    }

    fn log_updated_in(&self, txn: &Transaction, at: MailboxRef, row: &MessageRecord) {
        let change = ChangeRecord {
            kind: ChangeKind::EmailUpdated as i32,
            at: self.now_secs(),
            emails: vec![row.email.0],
            threads: vec![row.thread.0],
            mailboxes: vec![at.mailbox.0],
            ..ChangeRecord::default()
        };
        changes::log::record_in(txn, at.account, row.email.0, &change);
    }

    async fn restamp_in(&self, txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<Mended, Error> {
        let Some(row) = message(txn, at, uid).await?.known() else {
            return Ok(Mended::kept("the message cannot be read"));
        };
        txn.clear(&OrderKey { account: at.account, mailbox: at.mailbox, stamp: row.stamp, uid }.encode());
        self.write_changed_in(txn, at, uid, &row);
        Ok(Mended::done("the message counts as changed now"))
    }

    /// Makes a message say what its email says.
    async fn rewrite_in(&self, txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<Mended, Error> {
        let account = at.account;
        let Some(old) = message(txn, at, uid).await?.known() else { return Ok(Mended::Gone) };
        let email = record::<EmailRecord>(txn, &EmailKey { account, email: old.email }).await?.known();
        let Some(email) = email else { return Ok(Mended::kept("its email cannot be read")) };
        let row = MessageRecord {
            blob: email.blob_hash()?,
            size: email.size,
            thread: ThreadId(email.thread),
            ..old.clone()
        };
        values_of(txn, account, &old).await?.remove_in(txn, at, uid);
        values_of(txn, account, &row).await?.insert_in(txn, at, uid);
        txn.clear(&OrderKey { account, mailbox: at.mailbox, stamp: old.stamp, uid }.encode());
        self.write_changed_in(txn, at, uid, &row);
        Ok(Mended::done("the message says what its email says"))
    }

    /// A message from what its email and the flag indexes say.
    async fn rebuild_in(
        &self,
        txn: &Transaction,
        at: MailboxRef,
        uid: Uid,
        email: EmailId,
    ) -> Result<Mended, Error> {
        let account = at.account;
        let record = record::<EmailRecord>(txn, &EmailKey { account, email }).await?.known();
        let Some(record) = record else { return Ok(Mended::kept("its email is lost as well")) };
        let (system, keywords) = flags_in(txn, at, uid).await?;
        let row = MessageRecord {
            stamp: PENDING,
            blob: record.blob_hash()?,
            email,
            thread: ThreadId(record.thread),
            system,
            keywords,
            internal_date: record.received,
            save_date: record.received,
            size: record.size,
        };
        values_of(txn, account, &row).await?.insert_in(txn, at, uid);
        update_flags_in(txn, at, uid, &[], &flag_numbers(row.system, &row.keywords));
        self.write_changed_in(txn, at, uid, &row);
        Ok(Mended::done(format!("message {uid} was rebuilt")))
    }

    /// Puts an email that is nowhere into INBOX.
    async fn file_in(&self, txn: &Transaction, account: AccountId, email: EmailId) -> Result<Mended, Error> {
        let record = record::<EmailRecord>(txn, &EmailKey { account, email }).await?.known();
        let inbox = mailbox::with_role_in(txn, account, Role::Inbox).await?;
        let (Some(record), Some(mailbox)) = (record, inbox) else {
            return Ok(Mended::kept("there is no INBOX to put it into"));
        };
        let at = MailboxRef { account, mailbox };
        mailbox::record_in(txn, at).await?;
        let row = MessageRecord {
            stamp: PENDING,
            blob: record.blob_hash()?,
            email,
            thread: ThreadId(record.thread),
            system: SystemFlags::NONE,
            keywords: Vec::new(),
            internal_date: record.received,
            save_date: self.now_secs(),
            size: record.size,
        };
        let uid = insert_in(txn, at, &row, &values_of(txn, account, &row).await?).await?;
        self.log_updated_in(txn, at, &row);
        Ok(Mended::done(format!("it is message {uid} of INBOX now")))
    }

    /// Removes copies of an email from one mailbox; how many.
    pub(super) async fn drop_copies_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        email: EmailId,
    ) -> Result<usize, Error> {
        let (begin, end) = MembershipKey::range(account, email);
        let mut copies = Vec::new();
        for (key, _) in txn.range(&begin, &end).limit(COPIES).collect().await? {
            let MembershipKey { mailbox, uid, .. } = MembershipKey::decode(&key)?;
            if is_there(txn, &MailboxKey { account, mailbox }).await? {
                copies.push((MailboxRef { account, mailbox }, uid));
            }
        }
        let Some((at, _)) = copies.first().copied() else { return Ok(0) };
        let (mut leaving, mut removed) = (Leaving::default(), 0);
        leaving.note_hidden();
        for (_, uid) in copies.into_iter().filter(|(other, _)| *other == at) {
            let Some(record) = message(txn, at, uid).await?.known() else { continue };
            let values = values_of(txn, account, &record).await?;
            leaving.take_in(self, txn, at, &Whole { uid, record, values }).await?;
            removed += 1;
        }
        leaving.log_in(self, txn, at);
        Ok(removed)
    }
}

/// What a message is sorted by; as if it were empty where nothing is known of its parts.
async fn values_of(txn: &Transaction, account: AccountId, row: &MessageRecord) -> Result<SortValues, Error> {
    let summary = match structure(txn, account, row.email).await? {
        Some(structure) => convert::from_record(structure),
        None => summarize(b"", &Limits::default()),
    };
    Ok(SortValues::of(&summary, row.internal_date, row.size))
}

/// The flags that the indexes say a message has.
async fn flags_in(txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<(SystemFlags, Vec<u32>), Error> {
    let MailboxRef { account, mailbox } = at;
    let key = |flag| FlagKey { account, mailbox, flag, uid };
    let mut bits = 0;
    for bit in 1..5 {
        if is_there(txn, &key(FlagNumber::system(bit))).await? {
            bits |= 1 << bit;
        }
    }
    if !is_there(txn, &key(FlagNumber::UNSEEN)).await? {
        bits |= SystemFlags::SEEN.bits();
    }
    let mut keywords = Vec::new();
    for id in 1..=allocation(txn, account).await?.keyword.min(KEYWORDS) {
        if is_there(txn, &key(FlagNumber::keyword(id))).await? {
            keywords.push(id);
        }
    }
    Ok((SystemFlags::from_bits(bits), keywords))
}

/// An email from one of its messages.
async fn rebuild_email_in(txn: &Transaction, account: AccountId, finding: &Finding) -> Result<Mended, Error> {
    let MessageKey { mailbox, uid, .. } = MessageKey::decode(&finding.source)?;
    let Some(row) = message(txn, MailboxRef { account, mailbox }, uid).await?.known() else {
        return Ok(Mended::Gone);
    };
    let email = EmailRecord {
        blob: row.blob.0.to_vec(),
        size: row.size,
        thread: row.thread.0,
        received: row.internal_date,
    };
    txn.set_bytes(EmailKey { account, email: row.email }.encode(), email.to_bytes());
    Ok(Mended::done(format!("it was rebuilt from message {uid}")))
}
