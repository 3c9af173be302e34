//! Which accounts have changed since they were indexed.
//!
//! Each change writes the version of its account's slot; slots are spread over the shards as accounts are. Who follows
//! reads all slots (`changes::slots`), then the last change of the accounts of those that moved.

use futures::future::try_join_all;
use kv::{Transaction, Versionstamp};
use schema::keys::account::LastIdKey;
use schema::keys::mail::LastChangeKey;
use schema::keys::search::IndexedKey;
use schema::keys::system::CHANGE_SLOTS;
use schema::records::account::LastId;
use schema::{AccountId, Key, ModSeq, Record};

use crate::{Error, Indexed, Segments};

/// Accounts looked at in one transaction.
const PAGE: usize = 500;

/// An account that changed since it was indexed, or that was never indexed.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Which.
    pub account: AccountId,
    /// Its last change; none if it is gone.
    pub state: Option<ModSeq>,
    /// Up to where it is indexed.
    pub cursor: Option<Indexed>,
    /// That cannot be read.
    pub damaged: bool,
}

impl Segments {
    /// The shard that the accounts of a slot are in.
    pub fn shard_of_slot(&self, slot: u32) -> u32 {
        slot % self.shards
    }

    /// The accounts of a slot that are to be looked at for an edition, in the order of their ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn due(&self, edition: u32, slot: u32) -> Result<Vec<Due>, Error> {
        let last = self.db.read("segments.last", |txn| async move { last_account(&txn).await }).await?;
        let accounts: Vec<AccountId> = (slot..=last).step_by(CHANGE_SLOTS as usize).map(AccountId).collect();
        let mut due = Vec::new();
        for page in accounts.chunks(PAGE) {
            let read =
                self.db.read("segments.due", |txn| async move { self.page(&txn, edition, page).await });
            due.extend(read.await?);
        }
        Ok(due)
    }

    async fn page(&self, txn: &Transaction, edition: u32, page: &[AccountId]) -> Result<Vec<Due>, Error> {
        let one = |account: AccountId| async move {
            let shard = self.shard_of(account);
            let (state, cursor) = futures::try_join!(
                txn.get_snapshot(&LastChangeKey { account }.encode()),
                txn.get_snapshot(&IndexedKey { shard, edition, account }.encode())
            )?;
            let cursor = cursor.map(|value| Indexed::from_bytes(&value)).transpose();
            let (cursor, damaged) = cursor.map_or((None, true), |cursor| (cursor, false));
            let state = state.and_then(|value| Versionstamp::from_slice(&value));
            let state = state.map(|stamp| ModSeq(stamp.version()));
            Ok::<_, Error>(Due { account, state, cursor, damaged })
        };
        let looked_at = try_join_all(page.iter().map(|account| one(*account))).await?;
        Ok(looked_at.into_iter().filter(Due::is_due).collect())
    }
}

impl Due {
    fn is_due(&self) -> bool {
        match (&self.state, &self.cursor) {
            (None, cursor) => cursor.is_some() || self.damaged,
            (Some(_), None) => true,
            (Some(state), Some(cursor)) => cursor.filling.is_some() || state.0 > cursor.upto,
        }
    }
}

async fn last_account(txn: &Transaction) -> Result<u32, Error> {
    let value = txn.get_snapshot(&LastIdKey::Account.encode()).await?;
    Ok(value.map(|value| LastId::from_bytes(&value)).transpose()?.map_or(0, |last| last.id))
}
