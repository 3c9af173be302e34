//! What an account uses, against what its mailboxes hold; and all counts of an account.
//!
//! By how much the counters of a mailbox are wrong was found when it was counted, and no verb changes that. So what all
//! mailboxes hold at one moment is known from their counters of that moment, which one transaction reads.

use std::collections::BTreeMap;

use findings::{Finding, Kind, Mended, Report};
use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::job::EmptyKey;
use schema::keys::mail::{CountersKey, MailboxKey, QuotaUsedKey};
use schema::records::job::EmptyJob;
use schema::{AccountId, Key, MailboxId, Record};

use super::count::{Left, left_in};
use super::look::is_there;
use crate::counters::Counters;
use crate::{Error, MailboxRef, Store, emptying, pace, removal};

/// Times that the account is looked at again, when mailboxes were deleted meanwhile.
const ROUNDS: usize = 20;

/// What was found out of an account before its last transaction.
#[derive(Default)]
struct Known {
    /// By how much counters are wrong, where they are.
    excess: BTreeMap<MailboxId, Counters>,
    /// What deleted mailboxes still have.
    left: BTreeMap<MailboxId, Left>,
}

impl Store {
    /// Counts all mailboxes of an account and compares: pages, counters, UIDNEXT, what it uses. Nothing for an account
    /// that is removed.
    ///
    /// # Errors
    /// [`Error::LimitReached`] if it changes faster than it can be counted; else the store's.
    pub async fn recount(&self, account: AccountId) -> Result<Vec<Finding>, Error> {
        let (mut known, mut found) = (Known::default(), Vec::new());
        for mailbox in self.recorded(account).await? {
            let at = MailboxRef { account, mailbox };
            let Some(count) = self.count(at, false).await? else { continue };
            if count.excess != Counters::default() {
                known.excess.insert(mailbox, count.excess);
            }
            found.extend(count.findings);
        }
        found.extend(self.compare_quota(account, known, false).await?);
        Ok(found)
    }

    /// Sets what the account uses to what was counted.
    pub(super) async fn mend_quota(&self, account: AccountId) -> Result<Mended, Error> {
        let mut known = Known::default();
        for mailbox in self.recorded(account).await? {
            let Some(count) = self.count(MailboxRef { account, mailbox }, false).await? else { continue };
            known.excess.insert(mailbox, count.excess);
        }
        let found = self.compare_quota(account, known, true).await?;
        Ok(found.map_or(Mended::Gone, |_| Mended::done("what is used was set to what was counted")))
    }

    /// The mailboxes that have a record, readable or not.
    async fn recorded(&self, account: AccountId) -> Result<Vec<MailboxId>, Error> {
        let (begin, end) = MailboxKey::range(account);
        let (begin, end) = (&begin, &end);
        self.db
            .read("verify.mailboxes", |txn| async move {
                let mut rows = txn.range(begin, end).snapshot().page_bytes(kv::limits::PAGE_BYTES);
                let mut mailboxes = Vec::new();
                while let Some((key, _)) = rows.try_next().await? {
                    mailboxes.push(MailboxKey::decode(&key)?.mailbox);
                }
                Ok(mailboxes)
            })
            .await
    }

    async fn compare_quota(
        &self,
        account: AccountId,
        mut known: Known,
        mend: bool,
    ) -> Result<Option<Finding>, Error> {
        for _ in 0..ROUNDS {
            let told = &known;
            let outcome = self
                .db
                .transact("verify.quota", |txn| async move { compare_in(&txn, account, told, mend).await })
                .await?;
            match outcome {
                Outcome::Compared(found) => return Ok(found),
                Outcome::Unknown(mailboxes) => {
                    for mailbox in mailboxes {
                        let left = self.count_left(MailboxRef { account, mailbox }).await?;
                        known.left.insert(mailbox, left);
                    }
                }
            }
        }
        Err(Error::LimitReached("the account changes faster than it can be counted"))
    }
}

enum Outcome {
    Compared(Option<Finding>),
    /// Deleted mailboxes that are to be counted first.
    Unknown(Vec<MailboxId>),
}

async fn compare_in(
    txn: &Transaction,
    account: AccountId,
    known: &Known,
    mend: bool,
) -> Result<Outcome, Error> {
    if !removal::is_alive_in(txn, account).await? {
        return Ok(Outcome::Compared(None));
    }
    let mut deleted = Vec::new();
    for mailbox in emptying::under_way_in(txn, account).await? {
        // A job for a mailbox that is in use is found by its row.
        if !is_there(txn, &MailboxKey { account, mailbox }).await? {
            deleted.push(mailbox);
        }
    }
    let unknown: Vec<_> = deleted.iter().filter(|id| !known.left.contains_key(*id)).copied().collect();
    if !unknown.is_empty() {
        return Ok(Outcome::Unknown(unknown));
    }
    let mut sum = live_in(txn, account, known).await?;
    for mailbox in deleted {
        let job = txn.get(&EmptyKey { account, mailbox }.encode()).await?;
        let cursor = job.and_then(|value| EmptyJob::from_bytes(&value).ok()).unwrap_or_default().cursor;
        if let Some(left) = known.left.get(&mailbox) {
            sum.add(left_in(txn, MailboxRef { account, mailbox }, left, &cursor).await?);
        }
    }
    let key = QuotaUsedKey { account }.encode();
    // A serializable read: what is set below is right at the commit, or the commit fails.
    let value = txn.get(&key).await?;
    let stored = value.as_deref().and_then(|value| value.try_into().ok()).map_or(0, u128::from_le_bytes);
    let octets = u64::try_from(sum.octets).unwrap_or(0);
    let messages = u64::try_from(sum.exists).unwrap_or(0);
    let counted = u128::from(octets) | (u128::from(messages) << 64);
    let mut report = Report::of(&key);
    if stored != counted || value.is_some_and(|value| value.len() != 16) {
        let (said, of) = (stored as u64, (stored >> 64) as u64);
        let detail = format!("{said} octets in {of} messages are said, {octets} in {messages} are there");
        report.add_here(Kind::QuotaWrong, detail);
        if mend {
            txn.set(&key, &counted.to_le_bytes());
        }
    }
    Ok(Outcome::Compared(report.findings.pop()))
}

/// What the mailboxes that are there hold.
async fn live_in(txn: &Transaction, account: AccountId, known: &Known) -> Result<Counters, Error> {
    let (begin, end) = MailboxKey::range(account);
    let rows = txn.range(&begin, &end).page_bytes(kv::limits::PAGE_BYTES).collect().await?;
    let mut sum = Counters::default();
    for window in rows.chunks(pace::WINDOW) {
        let read = |key: &[u8]| {
            let mailbox = MailboxKey::decode(key).map(|key| key.mailbox);
            async move {
                let mailbox = mailbox?;
                // Without a conflict: what is counted here and what the account uses change in one commit.
                let value = txn.get_snapshot(&CountersKey { account, mailbox }.encode()).await?;
                let mut counters = value.as_deref().map(Counters::read).unwrap_or_default();
                if let Some(excess) = known.excess.get(&mailbox) {
                    counters.add(excess.negated());
                }
                Ok::<_, Error>(counters)
            }
        };
        for counters in try_join_all(window.iter().map(|(key, _)| read(key))).await? {
            sum.add(counters);
        }
    }
    Ok(sum)
}
