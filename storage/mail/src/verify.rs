//! Recounts an account: every counter, page and index against the rows.

use std::collections::{BTreeMap, BTreeSet};

use kv::Transaction;
use schema::keys::mail::{
    EmailKey, FlagKey, MailboxKey, MembershipKey, MessageKey, OrderKey, QuotaUsedKey, ReceivedKey, SentKey,
    SizeKey, ThreadEmailKey, emails_range,
};
use schema::records::mail::{EmailRecord, MessageRecord};
use schema::{AccountId, EmailId, Key, MailboxId, ModSeq, Record, SystemFlags, Uid};

use crate::counters::{self, Counters};
use crate::index::flag_numbers;
use crate::{Error, MailboxRef, Store, emptying, open, reasons};

/// What does not fit together in an account, in words; nothing if all does. Reads everything in one transaction: for
/// tests, and accounts of a moderate size.
///
/// # Errors
/// The store's.
pub async fn verify(store: &Store, account: AccountId) -> Result<Vec<String>, Error> {
    store
        .db
        .read("mail.verify", |txn| async move {
            let mut check =
                Check { account, found: Vec::new(), copies: BTreeMap::new(), octets: 0, messages: 0 };
            let (begin, end) = MailboxKey::range(account);
            for (key, _) in txn.range(&begin, &end).snapshot().collect().await? {
                check.mailbox(&txn, MailboxKey::decode(&key)?.mailbox).await?;
            }
            for mailbox in emptying::under_way_in(&txn, account).await? {
                check.rows(&txn, mailbox).await?;
            }
            check.emails(&txn).await?;
            check.quota(&txn).await?;
            check.found.extend(reasons::check_in(&txn, account).await?);
            Ok(check.found)
        })
        .await
}

struct Check {
    account: AccountId,
    found: Vec<String>,
    /// Where each email is, by the rows.
    copies: BTreeMap<EmailId, BTreeSet<(MailboxId, u32)>>,
    octets: u64,
    messages: u64,
}

impl Check {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, stored: &T, counted: &T) {
        if stored != counted {
            self.found.push(format!("{what}: stored {stored:?}, counted {counted:?}"));
        }
    }

    async fn mailbox(&mut self, txn: &Transaction, mailbox: MailboxId) -> Result<(), Error> {
        let at = MailboxRef { account: self.account, mailbox };
        let (rows, counted) = self.rows(txn, mailbox).await?;
        let name = format!("mailbox {}", mailbox.0);
        self.expect(&format!("{name} counters"), &counters::read_in(txn, at).await?, &counted);
        let uids: Vec<u32> = rows.keys().map(|uid| uid.get()).collect();
        self.expect(&format!("{name} pages"), &open::uids_in(txn, at).await?.iter().collect(), &uids);
        let highest = rows.values().map(MessageRecord::modseq).max().unwrap_or_default();
        let stored = open::highest_in(txn, at).await?;
        if stored < highest {
            self.found.push(format!("{name}: HIGHESTMODSEQ {stored} below {highest}"));
        }
        self.indexes(txn, at, &rows, &name).await
    }

    /// The messages of a mailbox, counted; of one that is deleted too: quota and emails know them until they are gone.
    async fn rows(
        &mut self,
        txn: &Transaction,
        mailbox: MailboxId,
    ) -> Result<(BTreeMap<Uid, MessageRecord>, Counters), Error> {
        let (begin, end) = MessageKey::range(self.account, mailbox, 1, u32::MAX);
        let mut counted = Counters::default();
        let mut rows = BTreeMap::new();
        for (key, value) in txn.range(&begin, &end).snapshot().collect().await? {
            let uid = MessageKey::decode(&key)?.uid;
            let record = MessageRecord::from_bytes(&value)?;
            counted.add(Counters::of(record.system, record.size, 1));
            self.copies.entry(record.email).or_default().insert((mailbox, uid.get()));
            rows.insert(uid, record);
        }
        self.octets += u64::try_from(counted.octets).unwrap_or_default();
        self.messages += rows.len() as u64;
        Ok((rows, counted))
    }

    async fn indexes(
        &mut self,
        txn: &Transaction,
        at: MailboxRef,
        rows: &BTreeMap<Uid, MessageRecord>,
        name: &str,
    ) -> Result<(), Error> {
        let MailboxRef { account, mailbox } = at;
        let mut counted: BTreeSet<(u32, u32)> = BTreeSet::new();
        for (uid, row) in rows {
            let numbers = flag_numbers(row.system & SystemFlags::ALL, &row.keywords);
            counted.extend(numbers.into_iter().map(|flag| (flag.0, uid.get())));
        }
        let mut stored = BTreeSet::new();
        let (begin, end) = FlagKey::all(account, mailbox);
        for (key, _) in txn.range(&begin, &end).snapshot().collect().await? {
            let key = FlagKey::decode(&key)?;
            stored.insert((key.flag.0, key.uid.get()));
        }
        self.expect(&format!("{name} flag indexes"), &stored, &counted);
        let (begin, end) = OrderKey::after(account, mailbox, ModSeq(0));
        let mut stored = BTreeMap::new();
        for (key, _) in txn.range(&begin, &end).snapshot().collect().await? {
            let key = OrderKey::decode(&key)?;
            stored.insert(key.uid, ModSeq::of_stamp(&key.stamp));
        }
        let counted = rows.iter().map(|(uid, row)| (*uid, row.modseq())).collect();
        self.expect(&format!("{name} order of changes"), &stored, &counted);
        let ranges = [
            ReceivedKey::range(account, mailbox),
            SentKey::range(account, mailbox),
            SizeKey::range(account, mailbox),
            schema::keys::mail::FromKey::range(account, mailbox),
            schema::keys::mail::SubjectKey::range(account, mailbox),
        ];
        for (begin, end) in ranges {
            let stored = txn.range(&begin, &end).snapshot().collect().await?.len();
            self.expect(&format!("{name} sort index"), &stored, &rows.len());
        }
        Ok(())
    }

    async fn emails(&mut self, txn: &Transaction) -> Result<(), Error> {
        let (begin, end) = emails_range(self.account);
        let (mut stored, mut threads) = (BTreeMap::<EmailId, BTreeSet<_>>::new(), BTreeSet::new());
        for (key, value) in txn.range(&begin, &end).snapshot().collect().await? {
            if let Ok(key) = EmailKey::decode(&key) {
                threads.insert((EmailRecord::from_bytes(&value)?.thread, key.email.0));
                stored.entry(key.email).or_default();
            } else if let Ok(key) = MembershipKey::decode(&key) {
                stored.entry(key.email).or_default().insert((key.mailbox, key.uid.get()));
            }
        }
        let copies = std::mem::take(&mut self.copies);
        self.expect("memberships", &stored, &copies);
        let (begin, end) = ThreadEmailKey::all(self.account);
        let mut listed = BTreeSet::new();
        for (key, _) in txn.range(&begin, &end).snapshot().collect().await? {
            let key = ThreadEmailKey::decode(&key)?;
            listed.insert((key.thread.0, key.email.0));
        }
        self.expect("threads", &listed, &threads);
        Ok(())
    }

    async fn quota(&mut self, txn: &Transaction) -> Result<(), Error> {
        let value = txn.get_snapshot(&QuotaUsedKey { account: self.account }.encode()).await?;
        let sum = value.and_then(|v| v.first_chunk().map(|b| u128::from_le_bytes(*b))).unwrap_or_default();
        let counted = u128::from(self.octets) | (u128::from(self.messages) << 64);
        self.expect("quota", &sum, &counted);
        Ok(())
    }
}
