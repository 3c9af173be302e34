//! Looks whether an account's mail fits together, and mends what does not.
//!
//! Two passes, both in transactions of bounded size, and sound while others write:
//! - **Rows** ([`check_row_in`]): a row is judged with all that it refers to under one snapshot, and whatever must
//!   refer to it.
//! - **Counts** ([`Store::recount`]): pages of UIDs against rows, counters against both, what the account uses. A large
//!   mailbox is counted page by page, and the pages that changed meanwhile are counted again, until so few are left that
//!   one transaction counts them and compares.
//!
//! What is mended is looked at again by the transaction that mends ([`Store::mend`]), and what clients see of it goes
//! through the logs that tell them.

mod account;
mod count;
mod email;
mod index;
mod look;
mod mend;
mod message;
mod quota;

use findings::{Finding, Report, stretch};
use kv::Transaction;
use schema::keys::{job, mail};
use schema::{AccountId, KeyReader};

use crate::{Error, Store};

/// What does not fit together in an account, in words; nothing if all does.
///
/// # Errors
/// The store's.
pub async fn verify(store: &Store, account: AccountId) -> Result<Vec<String>, Error> {
    Ok(store.verify(account).await?.iter().map(Finding::to_string).collect())
}

impl Store {
    /// What does not fit together in an account; nothing if all does.
    ///
    /// # Errors
    /// The store's.
    pub async fn verify(&self, account: AccountId) -> Result<Vec<Finding>, Error> {
        let mut found = Vec::new();
        for (mut begin, end) in ranges(account) {
            loop {
                let check =
                    |txn, (key, value): kv::Row| async move { check_row_in(&txn, &key, &value).await };
                let stretch = stretch(&self.db, &begin, &end, check).await?;
                found.extend(stretch.findings);
                let Some(next) = stretch.next else { break };
                begin = next;
            }
        }
        found.extend(self.recount(account).await?);
        Ok(found)
    }
}

/// Where the rows of an account's mail lie.
pub fn ranges(account: AccountId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let purge = schema::Key::encode(&job::PurgeKey { account });
    let behind = [purge.as_slice(), b"\0"].concat();
    vec![mail::account_range(account), job::EmptyKey::of(account), (purge, behind)]
}

/// What does not fit of a row of an account's mail, or of a job.
///
/// # Errors
/// The store's.
pub async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    let mut report = Report::of(key);
    let row = Row { key, value };
    if !schema::is_known(key) {
        return Ok(report.unknown());
    }
    if key.first() == Some(&job::TAG) {
        account::job(txn, row, &mut report).await?;
        return Ok(report);
    }
    let Some((account, tag)) = head(key) else { return Ok(report.unknown()) };
    match account::standing(txn, account).await? {
        account::Standing::Alive => {}
        // What is being removed need not fit any more.
        account::Standing::Purged => return Ok(report),
        account::Standing::Forgotten => {
            account::forgotten(txn, account, row, &mut report).await?;
            if tag != b'M' {
                return Ok(report);
            }
        }
    }
    match tag {
        b'm' => index::check(txn, account, row, &mut report).await?,
        b'e' | b't' | b'w' | b'y' => email::check(txn, account, row, &mut report).await?,
        _ => account::check(txn, account, tag, row, &mut report).await?,
    }
    Ok(report)
}

/// A row that is checked.
#[derive(Clone, Copy)]
struct Row<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

/// Account and tag of a row of mail.
fn head(key: &[u8]) -> Option<(AccountId, u8)> {
    let mut reader = KeyReader::new(key);
    reader.tag(mail::TAG).ok()?;
    let account = AccountId(reader.uint32().ok()?);
    Some((account, reader.peek()?))
}
