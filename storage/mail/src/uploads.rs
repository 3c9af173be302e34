//! What a client uploads before something uses it (RFC 8620 §6.1): kept for a while, and only so much of it.

use std::time::Duration;

use blob::{BlobOwner, Staged};
use kv::Transaction;
use schema::AccountId;
use schema::keys::blob::BlobUploadKey;

use crate::{Error, Store, removal};

/// What an account may have uploaded that nothing uses yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Uploads.
    pub count: u64,
    /// Octets of all of them.
    pub octets: u64,
}

impl Default for UploadLimits {
    /// What a message of some attachments needs, many times over.
    fn default() -> Self {
        UploadLimits { count: 1_000, octets: 1 << 30 }
    }
}

impl Store {
    /// Keeps an upload for a time, or until there is no room for later ones. Returns when it is let go, in milliseconds since the
    /// epoch: with its hash that names it.
    ///
    /// # Errors
    /// [`Error::OverQuota`] if it is larger than all uploads may be, [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn keep_upload(
        &self,
        account: AccountId,
        staged: &Staged,
        lifetime: Duration,
        limits: UploadLimits,
    ) -> Result<i64, Error> {
        let expires = (self.clock.now() + lifetime).millis();
        self.db
            .transact("mail.upload", |txn| async move {
                self.keep_upload_in(&txn, account, staged, expires, limits).await
            })
            .await?;
        Ok(expires)
    }

    async fn keep_upload_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        staged: &Staged,
        expires: i64,
        limits: UploadLimits,
    ) -> Result<(), Error> {
        removal::alive_in(txn, account).await?;
        self.make_room_in(txn, account, staged.size(), limits).await?;
        self.blobs.reference_in(txn, staged, BlobOwner::Upload { account, expires }).await?;
        Ok(())
    }

    /// RFC 8620 §6: where there is no room for another upload the oldest go, as many as it takes.
    async fn make_room_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        size: u64,
        limits: UploadLimits,
    ) -> Result<(), Error> {
        if size > limits.octets || limits.count == 0 {
            return Err(Error::OverQuota);
        }
        let uploads = self.blobs.uploads_in(txn, account).await?;
        let mut count = uploads.len() as u64;
        let mut octets = uploads.iter().map(|(_, octets)| octets).sum::<u64>() + size;
        for (BlobUploadKey { account, expires, hash }, of_it) in uploads {
            if count < limits.count && octets <= limits.octets {
                break;
            }
            self.blobs.dereference_in(txn, hash, BlobOwner::Upload { account, expires }).await?;
            (count, octets) = (count - 1, octets - of_it);
        }
        Ok(())
    }
}
