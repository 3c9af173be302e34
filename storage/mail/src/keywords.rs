//! The account's keywords: a number for each, given out when it is first used.

use kv::Transaction;
use schema::keys::mail::{AllocationKey, KeywordKey, KeywordNameKey};
use schema::records::mail::AllocationRecord;
use schema::{AccountId, Flags, Key, Keyword, Record, SystemFlags};
use std::collections::{BTreeMap, BTreeSet};

use crate::Error;

/// Names of keyword numbers, read as they are needed within one transaction.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<u32, Option<Keyword>>);

impl Names {
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
                // A keyword's name never changes, so a snapshot read is enough.
                let value = txn.get_snapshot(&KeywordKey { account, id: *id }.encode()).await?;
                let text = value.and_then(|v| String::from_utf8(v.to_vec()).ok());
                self.0.insert(*id, text.and_then(|t| Keyword::new(&t).ok()));
            }
            keywords.extend(self.0.get(id).cloned().flatten());
        }
        Ok(Flags { system, keywords })
    }
}

/// The numbers of keywords, ascending; new ones get one.
pub(crate) async fn numbers_in(
    txn: &Transaction,
    account: AccountId,
    keywords: &BTreeSet<Keyword>,
) -> Result<Vec<u32>, Error> {
    let mut ids = Vec::with_capacity(keywords.len());
    for keyword in keywords {
        let key = KeywordNameKey { account, folded: keyword.folded() }.encode();
        let known = txn.get(&key).await?.and_then(|v| v.first_chunk().map(|b| u32::from_le_bytes(*b)));
        ids.push(match known {
            Some(id) => id,
            None => allocate(txn, account, keyword, &key).await?,
        });
    }
    ids.sort_unstable();
    Ok(ids)
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
