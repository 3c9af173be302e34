//! The second half of the checker: every key of an account has a reason to be there, and what a message needs is
//! there. [`crate::verify()`] counts; this compares key by key.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv::Transaction;
use schema::keys::blob::{BlobOwner, BlobReferenceKey};
use schema::keys::mail::*;
use schema::records::mail::{EmailRecord, MailboxRecord, MessageRecord};
use schema::records::structure::StructureRecord;
use schema::{AccountId, EmailId, Key, Record};

use crate::index::{SortValues, flag_numbers};
use crate::{Error, MailboxRef, convert, emptying};

/// What is missing, contradicts itself, or has no reason, in words.
pub(crate) async fn check_in(txn: &Transaction, account: AccountId) -> Result<Vec<String>, Error> {
    let (begin, end) = account_range(account);
    let mut stream = txn.range(&begin, &end).snapshot();
    let mut rows = BTreeMap::new();
    while let Some((key, value)) = stream.try_next().await? {
        rows.insert(key.to_vec(), value);
    }
    let mut check =
        Reasons { account, rows, expected: BTreeSet::new(), found: Vec::new(), emails: BTreeMap::new() };
    check.mailboxes()?;
    for mailbox in emptying::under_way_in(txn, account).await? {
        check.deleted(MailboxRef { account, mailbox })?;
    }
    check.emails(txn).await?;
    check.threads()?;
    check.leftovers();
    Ok(check.found)
}

struct Reasons {
    account: AccountId,
    rows: BTreeMap<Vec<u8>, Bytes>,
    /// Keys that have a reason.
    expected: BTreeSet<Vec<u8>>,
    found: Vec<String>,
    /// Emails, as one of their rows tells of them.
    emails: BTreeMap<EmailId, MessageRecord>,
}

impl Reasons {
    /// Checks that a key is there.
    fn expect(&mut self, key: Vec<u8>) {
        if !self.rows.contains_key(&key) {
            self.found.push(format!("missing {}", schema::explain(&key)));
        }
        self.expected.insert(key);
    }

    fn within(&self, (begin, end): (Vec<u8>, Vec<u8>)) -> Vec<(Vec<u8>, Bytes)> {
        self.rows.range(begin..end).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn mailboxes(&mut self) -> Result<(), Error> {
        let account = self.account;
        for (key, value) in self.within(MailboxKey::range(account)) {
            let mailbox = MailboxKey::decode(&key)?.mailbox;
            let record = MailboxRecord::from_bytes(&value)?;
            self.expected.insert(key);
            let parent = record.parent.map(schema::MailboxId);
            if let Some(parent) = parent {
                self.expect(MailboxKey { account, mailbox: parent }.encode());
            }
            self.expect(MailboxNameKey { account, parent, name: record.name.clone() }.encode());
            if let Some(role) = u8::try_from(record.role).ok().filter(|role| *role != 0) {
                self.expect(RoleKey { account, role }.encode());
            }
            let at = MailboxRef { account, mailbox };
            for (key, value) in self.within(MessageKey::range(account, mailbox, 0, u32::MAX)) {
                let uid = MessageKey::decode(&key)?.uid;
                self.expected.insert(key);
                self.message(at, uid, &MessageRecord::from_bytes(&value)?)?;
            }
            // Counted by the first half.
            let head = [
                CountersKey { account, mailbox }.encode(),
                HighestKey { account, mailbox }.encode(),
                UidNextKey { account, mailbox }.encode(),
                VanishedFloorKey { account, mailbox }.encode(),
            ];
            self.expected.extend(head);
            let pages = self.within(PageKey::range(account, mailbox));
            let vanished = self.within(VanishedKey::after(account, mailbox, schema::ModSeq(0)));
            self.expected.extend(pages.into_iter().chain(vanished).map(|(key, _)| key));
        }
        Ok(())
    }

    /// A mailbox whose messages are being removed: its keys have a reason, and the messages that are left have emails.
    fn deleted(&mut self, at: MailboxRef) -> Result<(), Error> {
        let MailboxRef { account, mailbox } = at;
        for (key, value) in self.within(mailbox_range(account, mailbox)) {
            if let Ok(MessageKey { uid, .. }) = MessageKey::decode(&key) {
                self.copy(at, uid, &MessageRecord::from_bytes(&value)?);
            }
            self.expected.insert(key);
        }
        Ok(())
    }

    fn message(&mut self, at: MailboxRef, uid: schema::Uid, row: &MessageRecord) -> Result<(), Error> {
        let MailboxRef { account, mailbox } = at;
        self.expect(OrderKey { account, mailbox, stamp: row.stamp, uid }.encode());
        for flag in flag_numbers(row.system, &row.keywords) {
            self.expect(FlagKey { account, mailbox, flag, uid }.encode());
        }
        for &id in &row.keywords {
            self.expect(KeywordKey { account, id }.encode());
        }
        let pieces = self.copy(at, uid, row);
        let structure: Vec<u8> = pieces.iter().flat_map(|(_, value)| value.to_vec()).collect();
        let summary = convert::from_record(StructureRecord::from_bytes(&structure)?);
        for key in SortValues::of(&summary, row.internal_date, row.size).keys(at, uid) {
            self.expect(key);
        }
        Ok(())
    }

    /// A message as a copy of its email; the pieces of the email's structure.
    fn copy(&mut self, at: MailboxRef, uid: schema::Uid, row: &MessageRecord) -> Vec<(Vec<u8>, Bytes)> {
        let MailboxRef { account, mailbox } = at;
        self.expect(MembershipKey { account, email: row.email, mailbox, uid }.encode());
        let pieces = self.within(StructureKey::range(account, row.email));
        self.expected.extend(pieces.iter().map(|(key, _)| key.clone()));
        let first = self.emails.entry(row.email).or_insert_with(|| row.clone());
        if (first.blob, first.thread, first.size) != (row.blob, row.thread, row.size) {
            self.found.push(format!("messages of email {} differ", row.email));
        }
        pieces
    }

    async fn emails(&mut self, txn: &Transaction) -> Result<(), Error> {
        let account = self.account;
        for (email, row) in std::mem::take(&mut self.emails) {
            let key = EmailKey { account, email }.encode();
            if let Some(value) = self.rows.get(&key) {
                let record = EmailRecord::from_bytes(value)?;
                if (record.blob_hash()?, record.thread, record.size) != (row.blob, row.thread.0, row.size) {
                    self.found.push(format!("email {email} is not what its messages say"));
                }
            }
            self.expect(key);
            self.expect(ThreadEmailKey { account, thread: row.thread, email }.encode());
            let held = BlobReferenceKey { hash: row.blob, owner: BlobOwner::Email(account, email) };
            if txn.get_snapshot(&held.encode()).await?.is_none() {
                self.found.push(format!("email {email} does not hold its body"));
            }
        }
        Ok(())
    }

    fn threads(&mut self) -> Result<(), Error> {
        let account = self.account;
        let mut live = BTreeSet::new();
        for (key, _) in self.within(ThreadEmailKey::all(account)) {
            live.insert(ThreadEmailKey::decode(&key)?.thread);
        }
        for (key, _) in self.within(ThreadHashKey::all(account)) {
            let ThreadHashKey { thread, hash, .. } = ThreadHashKey::decode(&key)?;
            let reference = ThreadReferenceKey { account, hash }.encode();
            let leads_there =
                self.rows.get(&reference).is_some_and(|value| value.as_ref() == thread.0.to_be_bytes());
            if !leads_there || !live.contains(&thread) {
                self.found.push(format!("a key of thread {thread} leads elsewhere, or to nothing"));
            }
            self.expected.insert(reference);
            self.expected.insert(key);
        }
        // Of a thread that ended some may be left. They lead nowhere; those of a thread that is there are its own.
        for (key, value) in self.within(ThreadReferenceKey::range(account)) {
            let thread = value.first_chunk().map(|b| schema::ThreadId(u64::from_be_bytes(*b)));
            if thread.is_some_and(|thread| !live.contains(&thread)) {
                self.expected.insert(key);
            }
        }
        Ok(())
    }

    /// What is left must be of a kind that stands for itself.
    fn leftovers(&mut self) {
        let stands = |key: &[u8]| {
            ChangeKey::decode(key).is_ok()
                || ChangeFloorKey::decode(key).is_ok()
                || LastChangeKey::decode(key).is_ok()
                || TreeKey::decode(key).is_ok()
                || AllocationKey::decode(key).is_ok()
                || QuotaLimitKey::decode(key).is_ok()
                || QuotaUsedKey::decode(key).is_ok()
                || SubscriptionKey::decode(key).is_ok()
                || RetiredValidityKey::decode(key).is_ok()
                || KeywordKey::decode(key).is_ok()
                || KeywordNameKey::decode(key).is_ok()
        };
        let left = self.rows.keys().filter(|key| !self.expected.contains(*key) && !stands(key));
        let left: Vec<String> = left.map(|key| format!("no reason for {}", schema::explain(key))).collect();
        self.found.extend(left);
    }
}
