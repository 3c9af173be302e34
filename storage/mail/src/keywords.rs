//! The account's keywords: a number for each, given out when it is first used.

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{AllocationKey, KeywordKey, KeywordNameKey};
use schema::records::mail::{AllocationRecord, MessageRecord};
use schema::{AccountId, Flags, Key, Keyword, Record, SystemFlags};
use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, pace};

/// Names of keyword numbers, read as they are needed within one transaction.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<u32, Option<Keyword>>);

impl Names {
    /// Reads the names that some rows need, at once.
    pub(crate) async fn learn(
        &mut self,
        txn: &Transaction,
        account: AccountId,
        rows: impl Iterator<Item = &MessageRecord>,
    ) -> Result<(), Error> {
        let ids: BTreeSet<u32> = rows.flat_map(|row| &row.keywords).copied().collect();
        let unknown: Vec<u32> = ids.into_iter().filter(|id| !self.0.contains_key(id)).collect();
        for window in unknown.chunks(pace::WINDOW) {
            let names = try_join_all(window.iter().map(|id| name_in(txn, account, *id))).await?;
            self.0.extend(window.iter().copied().zip(names));
        }
        Ok(())
    }

    /// The flags of stored bits and numbers.
    pub(crate) async fn flags(
        &mut self,
        txn: &Transaction,
        account: AccountId,
        system: SystemFlags,
        ids: &[u32],
    ) -> Result<Flags, Error> {
        let mut keywords = BTreeSet::new();
        for id in ids {
            if !self.0.contains_key(id) {
                self.0.insert(*id, name_in(txn, account, *id).await?);
            }
            keywords.extend(self.0.get(id).cloned().flatten());
        }
        Ok(Flags { system, keywords })
    }
}

/// A keyword's name. It never changes, so a snapshot read is enough.
async fn name_in(txn: &Transaction, account: AccountId, id: u32) -> Result<Option<Keyword>, Error> {
    let value = txn.get_snapshot(&KeywordKey { account, id }.encode()).await?;
    let text = value.and_then(|v| String::from_utf8(v.to_vec()).ok());
    Ok(text.and_then(|t| Keyword::new(&t).ok()))
}

/// Numbers of keywords, read as they are needed within one transaction.
#[derive(Default)]
pub(crate) struct Numbers(BTreeMap<Keyword, u32>);

impl Numbers {
    /// The numbers of keywords, ascending; new ones get one.
    pub(crate) async fn of(
        &mut self,
        txn: &Transaction,
        account: AccountId,
        keywords: &BTreeSet<Keyword>,
    ) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::with_capacity(keywords.len());
        for keyword in keywords {
            let known = self.0.get(keyword).copied();
            let id = match known {
                Some(id) => id,
                None => number_or_new_in(txn, account, keyword).await?,
            };
            if known.is_none() {
                self.0.insert(keyword.clone(), id);
            }
            ids.push(id);
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

async fn number_or_new_in(txn: &Transaction, account: AccountId, keyword: &Keyword) -> Result<u32, Error> {
    let key = KeywordNameKey { account, folded: keyword.folded() }.encode();
    match txn.get(&key).await?.and_then(|v| v.first_chunk().map(|b| u32::from_le_bytes(*b))) {
        Some(id) => Ok(id),
        None => allocate(txn, account, keyword, &key).await,
    }
}

/// The number of a keyword, if it has one.
pub(crate) async fn number_in(
    txn: &Transaction,
    account: AccountId,
    keyword: &Keyword,
) -> Result<Option<u32>, Error> {
    let value = txn.get_snapshot(&KeywordNameKey { account, folded: keyword.folded() }.encode()).await?;
    Ok(value.and_then(|v| v.first_chunk().map(|b| u32::from_le_bytes(*b))))
}

async fn allocate(
    txn: &Transaction,
    account: AccountId,
    keyword: &Keyword,
    key: &[u8],
) -> Result<u32, Error> {
    let mut allocation = allocation_in(txn, account).await?;
    allocation.keyword += 1;
    txn.set(&AllocationKey { account }.encode(), &allocation.to_bytes());
    txn.set(key, &allocation.keyword.to_le_bytes());
    txn.set(&KeywordKey { account, id: allocation.keyword }.encode(), keyword.as_str().as_bytes());
    Ok(allocation.keyword)
}

/// The numbers an account gave out last.
pub(crate) async fn allocation_in(txn: &Transaction, account: AccountId) -> Result<AllocationRecord, Error> {
    let value = txn.get(&AllocationKey { account }.encode()).await?;
    Ok(value.map(|v| AllocationRecord::from_bytes(&v)).transpose()?.unwrap_or_default())
}

impl crate::Store {
    /// The keywords that messages of a mailbox's account have ever had, as they were first spelled.
    ///
    /// # Errors
    /// The store's.
    pub async fn keywords(&self, at: crate::MailboxRef) -> Result<Vec<String>, Error> {
        self.db
            .read("mail.keywords", |txn| async move {
                let (begin, end) = KeywordKey::range(at.account);
                let rows = txn.range(&begin, &end).snapshot().limit(LISTED).collect().await?;
                Ok(rows.iter().filter_map(|(_, name)| String::from_utf8(name.to_vec()).ok()).collect())
            })
            .await
    }
}

/// Keywords that are listed; there may be more.
const LISTED: usize = 200;
