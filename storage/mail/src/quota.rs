//! What an account may hold, and what it does.

use futures::try_join;
use kv::{AtomicOp, Transaction};
use schema::keys::mail::{QuotaLimitKey, QuotaUsedKey};
use schema::records::mail::QuotaLimitRecord;
use schema::{AccountId, Key, Record};

use crate::{Error, Store, removal};

/// What an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets of all its messages.
    pub octets: u64,
    /// Messages in all its mailboxes.
    pub messages: u64,
    /// Most octets, if there is a limit.
    pub octets_limit: Option<u64>,
    /// Most messages, if there is a limit.
    pub messages_limit: Option<u64>,
}

impl Store {
    /// What an account holds and may hold.
    ///
    /// # Errors
    /// The store's.
    pub async fn usage(&self, account: AccountId) -> Result<Usage, Error> {
        self.db.read("mail.usage", |txn| async move { self.usage_in(&txn, account).await }).await
    }

    /// The same on a transaction's snapshot.
    ///
    /// # Errors
    /// The store's.
    pub async fn usage_in(&self, txn: &Transaction, account: AccountId) -> Result<Usage, Error> {
        usage_in(txn, account, true).await
    }

    /// Sets what an account may hold, within the caller's transaction.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account has no mailboxes; else the store's.
    pub async fn set_quota_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        octets: Option<u64>,
        messages: Option<u64>,
    ) -> Result<(), Error> {
        removal::alive_in(txn, account).await?;
        let key = QuotaLimitKey { account }.encode();
        if octets.is_none() && messages.is_none() {
            txn.clear(&key);
        } else {
            txn.set(&key, &QuotaLimitRecord { octets, messages }.to_bytes());
        }
        Ok(())
    }

    /// Sets what an account may hold.
    ///
    /// # Errors
    /// As [`Store::set_quota_in`].
    pub async fn set_quota(
        &self,
        account: AccountId,
        octets: Option<u64>,
        messages: Option<u64>,
    ) -> Result<(), Error> {
        self.db
            .transact("mail.set_quota", |txn| async move {
                self.set_quota_in(&txn, account, octets, messages).await
            })
            .await
    }
}

async fn usage_in(txn: &Transaction, account: AccountId, snapshot: bool) -> Result<Usage, Error> {
    let key = QuotaUsedKey { account }.encode();
    let limit = QuotaLimitKey { account }.encode();
    let used = async { if snapshot { txn.get_snapshot(&key).await } else { txn.get(&key).await } };
    let (value, limit) = try_join!(used, txn.get_snapshot(&limit))?;
    let number = |at: usize| {
        let bytes = value.as_ref().and_then(|v| v.get(at..at + 8)).and_then(|b| b.first_chunk().copied());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    let limit = limit.map(|v| QuotaLimitRecord::from_bytes(&v)).transpose()?.unwrap_or_default();
    Ok(Usage {
        octets: number(0),
        messages: number(8),
        octets_limit: limit.octets,
        messages_limit: limit.messages,
    })
}

/// Fails if so much more does not fit. Far from the limit it reads without a conflict; near it (90 %) serializably,
/// so that many at once cannot pass it together.
pub(crate) async fn check_in(
    txn: &Transaction,
    account: AccountId,
    octets: u64,
    messages: u64,
) -> Result<(), Error> {
    let usage = usage_in(txn, account, true).await?;
    if usage.octets_limit.is_none() && usage.messages_limit.is_none() {
        return Ok(());
    }
    let near = |used: u64, more: u64, limit: Option<u64>| {
        limit.is_some_and(|limit| used.saturating_add(more.saturating_mul(16)) > limit / 10 * 9)
    };
    let near = near(usage.octets, octets, usage.octets_limit)
        || near(usage.messages, messages, usage.messages_limit);
    let usage = if near { usage_in(txn, account, false).await? } else { usage };
    let over =
        |used: u64, more: u64, limit: Option<u64>| limit.is_some_and(|l| used.saturating_add(more) > l);
    if over(usage.octets, octets, usage.octets_limit) || over(usage.messages, messages, usage.messages_limit)
    {
        return Err(Error::OverQuota);
    }
    Ok(())
}

/// Counts what came (+1) or went (−1), without reading.
pub(crate) fn count_in(txn: &Transaction, account: AccountId, octets: i64, messages: i64) {
    if octets == 0 && messages == 0 {
        return;
    }
    // One number of 16 bytes: octets below, messages above; a borrow of the one is taken from the other as a whole
    // number and comes back the same way.
    let sum = i128::from(octets).wrapping_add(i128::from(messages) << 64);
    txn.atomic(AtomicOp::Add, &QuotaUsedKey { account }.encode(), &sum.to_le_bytes());
}
