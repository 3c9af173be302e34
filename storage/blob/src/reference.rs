//! References: the verbs that run inside somebody's transaction.

use crate::block::{BLOCK, Layout};
use crate::stage::Body;
use crate::{BlobOwner, Error, ObjectName, Staged, Store, placed};
use bytes::Bytes;
use kv::Transaction;
use runtime::Timestamp;
use schema::keys::blob::{
    BlobCandidateKey, BlobChunkKey, BlobMetaKey, BlobReferenceKey, BlobUnreferencedKey, BlobUploadExpiryKey,
    BlobUploadKey, CHUNK,
};
use schema::records::blob::{BlobMeta, Unreferenced};
use schema::{AccountId, BlobHash};
use schema::{Key, Record};

impl Store {
    /// Makes `owner` a holder of the staged body; its bytes are written if they are small and not there yet.
    pub async fn reference_in(
        &self,
        txn: &Transaction,
        staged: &Staged,
        owner: BlobOwner,
    ) -> Result<(), Error> {
        let hash = staged.hash;
        // A serializable read: it conflicts with a collector that takes the body away meanwhile.
        if meta_in(txn, hash).await?.is_none() {
            if let (Body::Object(_), Some(place)) = (&staged.body, self.place()) {
                placed::use_in(txn, place).await?;
            }
            self.write_body(txn, staged)?;
        }
        if let BlobOwner::Upload { account, expires } = owner {
            let key = BlobUploadKey { account, expires, hash }.encode();
            txn.set(&key, &staged.size().to_le_bytes());
        }
        hold(txn, hash, owner);
        Ok(())
    }

    /// Makes `to` a holder of a body that `from` holds.
    pub async fn copy_reference_in(
        &self,
        txn: &Transaction,
        hash: BlobHash,
        from: BlobOwner,
        to: BlobOwner,
    ) -> Result<(), Error> {
        // A serializable read: while `from` holds it in this transaction's view, no collector can take it.
        match txn.get(&BlobReferenceKey { hash, owner: from }.encode()).await? {
            None => Err(Error::NotFound(hash)),
            Some(_) => {
                hold(txn, hash, to);
                Ok(())
            }
        }
    }

    /// Takes `owner`'s reference away; if it was the last one, the body becomes a candidate for deletion.
    pub async fn dereference_in(
        &self,
        txn: &Transaction,
        hash: BlobHash,
        owner: BlobOwner,
    ) -> Result<(), Error> {
        txn.clear(&BlobReferenceKey { hash, owner }.encode());
        if let BlobOwner::Upload { account, expires } = owner {
            txn.clear(&BlobUploadExpiryKey { expires, account, hash }.encode());
            txn.clear(&BlobUploadKey { account, expires, hash }.encode());
        }
        if !is_held(txn, hash).await? && meta_in(txn, hash).await?.is_some() {
            self.nominate(txn, hash).await?;
        }
        Ok(())
    }

    /// What an account has uploaded and nothing uses yet, each with its octets, the oldest first. Read so that another upload
    /// conflicts.
    pub async fn uploads_in(
        &self,
        txn: &Transaction,
        account: AccountId,
    ) -> Result<Vec<(BlobUploadKey, u64)>, Error> {
        let (begin, end) = BlobUploadKey::range(account);
        let rows = txn.range(&begin, &end).collect().await?;
        let octets = |value: &[u8]| value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        rows.iter().map(|(key, value)| Ok((BlobUploadKey::decode(key)?, octets(value)))).collect()
    }

    /// Whether `owner` holds the body.
    pub async fn holds(&self, hash: BlobHash, owner: BlobOwner) -> Result<bool, Error> {
        let key = &BlobReferenceKey { hash, owner }.encode();
        self.db().read("blob.holds", |txn| async move { Ok(txn.get_snapshot(key).await?.is_some()) }).await
    }

    /// Phase one: notes since when nothing holds the body, in place of an earlier such note.
    pub(crate) async fn nominate(&self, txn: &Transaction, hash: BlobHash) -> Result<(), Error> {
        if let Some(since) = unreferenced_since(txn, hash).await? {
            txn.clear(&BlobCandidateKey { since, hash }.encode());
        }
        let since = self.now().millis();
        txn.set(&BlobUnreferencedKey { hash }.encode(), &Unreferenced { since }.to_bytes());
        txn.set(&BlobCandidateKey { since, hash }.encode(), b"");
        Ok(())
    }

    fn write_body(&self, txn: &Transaction, staged: &Staged) -> Result<(), Error> {
        let hash = staged.hash;
        let mut meta = BlobMeta { size: staged.size, ..BlobMeta::default() };
        match &staged.body {
            Body::Inline(bytes, rows) => {
                meta.chunk = CHUNK as u32;
                let row = |index: usize, row: Bytes| {
                    txn.set_bytes(BlobChunkKey { hash, index: index as u32 }.encode(), row);
                };
                match rows {
                    None => (0..bytes.len()).step_by(CHUNK).enumerate().for_each(|(index, start)| {
                        row(index, bytes.slice(start..bytes.len().min(start + CHUNK)));
                    }),
                    Some(rows) => {
                        (meta.block, meta.nonce) = (BLOCK as u32, rows.nonce);
                        rows.blocks.iter().enumerate().for_each(|(index, block)| row(index, block.clone()));
                    }
                }
            }
            Body::Object(object) => {
                let name = &object.name;
                // The sweep takes what is older than the grace period and not named; half of it is safe.
                let limit = self.options().grace / 2;
                if self.now().since(name.staged) > limit {
                    return Err(Error::StagedTooLongAgo(limit));
                }
                (meta.staged, meta.nonce) = (name.staged.millis(), name.nonce);
                (meta.block, meta.stored) = (object.layout.block, object.layout.stored.clone());
            }
        }
        txn.set(&BlobMetaKey { hash }.encode(), &meta.to_bytes());
        Ok(())
    }
}

fn hold(txn: &Transaction, hash: BlobHash, owner: BlobOwner) {
    txn.set(&BlobReferenceKey { hash, owner }.encode(), b"");
    if let BlobOwner::Upload { account, expires } = owner {
        txn.set(&BlobUploadExpiryKey { expires, account, hash }.encode(), b"");
    }
}

/// What is known of a body.
pub(crate) async fn meta_in(txn: &Transaction, hash: BlobHash) -> Result<Option<BlobMeta>, Error> {
    let value = txn.get(&BlobMetaKey { hash }.encode()).await?;
    Ok(value.map(|value| BlobMeta::from_bytes(&value)).transpose()?)
}

/// The object that a meta row names, if the body is not in the key-value store.
pub(crate) fn object_of(hash: BlobHash, meta: &BlobMeta) -> Option<ObjectName> {
    let name = || ObjectName { hash, staged: Timestamp(meta.staged), nonce: meta.nonce };
    (meta.chunk == 0).then(name)
}

/// Where the blocks of a body are, if it is stored in blocks.
pub(crate) fn layout_of(meta: &BlobMeta) -> Option<Layout> {
    let layout = || Layout { size: meta.size, block: meta.block, stored: meta.stored.clone() };
    (meta.block != 0).then(layout)
}

/// Whether anybody holds the body.
pub(crate) async fn is_held(txn: &Transaction, hash: BlobHash) -> Result<bool, Error> {
    let (begin, end) = BlobReferenceKey::range(hash);
    Ok(!txn.range(&begin, &end).limit(1).collect().await?.is_empty())
}

/// Since when nobody holds the body, in milliseconds since the epoch; out of date if somebody does again.
pub(crate) async fn unreferenced_since(txn: &Transaction, hash: BlobHash) -> Result<Option<i64>, Error> {
    let value = txn.get(&BlobUnreferencedKey { hash }.encode()).await?;
    Ok(value.map(|value| Unreferenced::from_bytes(&value)).transpose()?.map(|row| row.since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Fixture;
    use schema::{AccountId, EmailId, QueueId};
    use std::time::Duration;

    const QUEUE: BlobOwner = BlobOwner::Queue(QueueId(1));
    const EMAIL: BlobOwner = BlobOwner::Email(AccountId(1), EmailId(2));

    #[tokio::test]
    async fn a_body_is_written_once_and_held_by_many() {
        let fixture = Fixture::new(1 << 20);
        let staged = fixture.store.stage(vec![1; 2 * CHUNK + 1].into()).await.unwrap();
        fixture.reference(&staged, QUEUE).await.unwrap();
        assert_eq!(fixture.keys().await.len(), 3 + 1 + 1, "three pieces, meta, one reference");
        fixture.reference(&staged, EMAIL).await.unwrap();
        fixture.reference(&staged, EMAIL).await.unwrap();
        assert_eq!(fixture.keys().await.len(), 3 + 1 + 2);
        assert_eq!(fixture.store.size(staged.hash()).await.unwrap(), 2 * CHUNK as u64 + 1);
    }

    #[tokio::test]
    async fn two_references_in_one_transaction() {
        let fixture = Fixture::new(1 << 20);
        let staged = &fixture.store.stage(vec![1; 10].into()).await.unwrap();
        let store = &fixture.store;
        let both = fixture.db.transact("test", |txn| async move {
            store.reference_in(&txn, staged, QUEUE).await?;
            store.reference_in(&txn, staged, EMAIL).await
        });
        both.await.unwrap();
        assert_eq!(fixture.keys().await.len(), 4);
    }

    #[tokio::test]
    async fn an_empty_body_is_a_body() {
        let fixture = Fixture::new(1 << 20);
        let staged = fixture.store.writer().finish().await.unwrap();
        fixture.reference(&staged, QUEUE).await.unwrap();
        assert_eq!(fixture.store.read(staged.hash(), 0..10).await.unwrap(), "");
    }

    #[tokio::test]
    async fn only_the_last_reference_nominates() {
        let fixture = Fixture::new(1 << 20);
        let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&staged, QUEUE).await.unwrap();
        fixture.reference(&staged, EMAIL).await.unwrap();
        let candidates = async |keys: Vec<String>| keys.iter().filter(|k| k.contains("Candidate")).count();
        fixture.dereference(staged.hash(), QUEUE).await;
        assert_eq!(candidates(fixture.keys().await).await, 0);
        fixture.dereference(staged.hash(), EMAIL).await;
        assert_eq!(candidates(fixture.keys().await).await, 1);
        fixture.clock.advance(Duration::from_secs(1));
        fixture.reference(&staged, EMAIL).await.unwrap();
        fixture.dereference(staged.hash(), EMAIL).await;
        assert_eq!(candidates(fixture.keys().await).await, 1, "the later time stands in for the earlier");
        fixture.dereference(BlobHash([0; 32]), EMAIL).await;
        assert_eq!(candidates(fixture.keys().await).await, 1, "an unknown body is none");
    }

    #[tokio::test]
    async fn a_reference_is_copied_only_from_a_holder() {
        let fixture = Fixture::new(1 << 20);
        let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        let (store, hash) = (&fixture.store, staged.hash());
        let copy = || {
            let copied = fixture.db.transact("test", |txn| async move {
                store.copy_reference_in(&txn, hash, QUEUE, EMAIL).await
            });
            Box::pin(copied)
        };
        assert!(matches!(copy().await, Err(Error::NotFound(_))));
        fixture.reference(&staged, QUEUE).await.unwrap();
        copy().await.unwrap();
        fixture.dereference(hash, QUEUE).await;
        fixture.past_grace();
        fixture.store.collect(10).await.unwrap();
        assert_eq!(fixture.store.read(hash, 0..10).await.unwrap(), vec![1; 10]);
    }

    #[tokio::test]
    async fn a_large_body_must_be_referenced_soon() {
        let fixture = Fixture::new(0);
        let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.past_grace();
        assert!(matches!(fixture.reference(&staged, QUEUE).await, Err(Error::StagedTooLongAgo(_))));
        let again = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&again, QUEUE).await.unwrap();
        // The body is there: now the old staging may join it.
        fixture.reference(&staged, EMAIL).await.unwrap();
    }
}
