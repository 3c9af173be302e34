//! Phase two: what nothing holds, for longer than the grace period, goes.

use crate::reference::{is_held, meta_in, object_of, unreferenced_since};
use crate::{BlobOwner, Error, ObjectName, Store};
use kv::Transaction;
use schema::Key;
use schema::keys::blob::{BlobCandidateKey, BlobUnreferencedKey, BlobUploadExpiryKey, body_range};

/// Candidates looked at in one transaction.
const BATCH: usize = 64;

/// What a run of the collector, or a sweep, did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Uploads that had expired and were let go.
    pub expired: usize,
    /// Bodies deleted.
    pub deleted: usize,
    /// Candidates that somebody holds again.
    pub kept: usize,
    /// Objects deleted that no row named.
    pub swept: usize,
}

impl Store {
    /// Lets expired uploads go and deletes what nothing holds any more, up to `limit` of each. Run it again at
    /// once if it did that many; several nodes may run it together.
    pub async fn collect(&self, limit: usize) -> Result<Collected, Error> {
        let mut collected = Collected { expired: self.expire_uploads(limit).await?, ..Collected::default() };
        let mut looked = 0;
        while looked < limit {
            let batch = self.candidates(BATCH.min(limit - looked)).await?;
            if batch.is_empty() {
                break;
            }
            looked += batch.len();
            let objects = self.delete_batch(&batch, &mut collected).await?;
            for name in objects {
                self.objects().delete(&name).await?;
            }
        }
        Ok(collected)
    }

    /// Deletes objects of one shard of 256 that no row names and that are older than the grace period: their
    /// transaction never committed, lost to an equal body, or deletion was cut short by a crash.
    pub async fn sweep(&self, shard: u8) -> Result<Collected, Error> {
        let before = self.now() - self.options().grace;
        let mut collected = Collected::default();
        for name in self.objects().list(shard).await? {
            if name.staged < before && !self.is_live(&name).await? {
                self.objects().delete(&name).await?;
                collected.swept += 1;
            }
        }
        Ok(collected)
    }

    /// Sweeps the next few shards: called again and again it gets round all 256. An object store is asked for a few
    /// lists at a time, not for all of them.
    pub async fn sweep_on(&self, shards: u8) -> Result<Collected, Error> {
        let mut all = Collected::default();
        for _ in 0..shards {
            all.swept += self.sweep(self.next_shard()).await?.swept;
        }
        Ok(all)
    }

    async fn candidates(&self, limit: usize) -> Result<Vec<BlobCandidateKey>, Error> {
        let (begin, end) = BlobCandidateKey::range_before((self.now() - self.options().grace).millis());
        let rows = self.db().read("blob.candidates", |txn| {
            let (begin, end) = (begin.clone(), end.clone());
            async move { Ok::<_, Error>(txn.range(&begin, &end).snapshot().limit(limit).collect().await?) }
        });
        rows.await?.iter().map(|(key, _)| Ok(BlobCandidateKey::decode(key)?)).collect()
    }

    /// Returns the objects that are to be deleted now that no row names them.
    async fn delete_batch(
        &self,
        batch: &[BlobCandidateKey],
        collected: &mut Collected,
    ) -> Result<Vec<ObjectName>, Error> {
        let outcomes = self.db().transact("blob.collect", |txn| async move {
            let mut outcomes = Vec::with_capacity(batch.len());
            for candidate in batch {
                outcomes.push(collect_in(&txn, candidate).await?);
            }
            Ok::<_, Error>(outcomes)
        });
        let mut objects = Vec::new();
        for outcome in outcomes.await? {
            match outcome {
                Outcome::Deleted(object) => {
                    collected.deleted += 1;
                    objects.extend(object);
                }
                Outcome::Kept => collected.kept += 1,
            }
        }
        Ok(objects)
    }

    async fn expire_uploads(&self, limit: usize) -> Result<usize, Error> {
        let (begin, end) = BlobUploadExpiryKey::range_before(self.now().millis());
        let mut expired = 0;
        while expired < limit {
            let count = self.db().transact("blob.expire", |txn| {
                let (begin, end) = (begin.clone(), end.clone());
                async move {
                    let rows = txn.range(&begin, &end).limit(BATCH.min(limit - expired)).collect().await?;
                    for (key, _) in &rows {
                        let BlobUploadExpiryKey { expires, account, hash } =
                            BlobUploadExpiryKey::decode(key)?;
                        self.dereference_in(&txn, hash, BlobOwner::Upload { account, expires }).await?;
                    }
                    Ok::<_, Error>(rows.len())
                }
            });
            match count.await? {
                0 => break,
                count => expired += count,
            }
        }
        Ok(expired)
    }
}

enum Outcome {
    Deleted(Option<ObjectName>),
    Kept,
}

/// Looks at a candidate again, where a re-user's commit would conflict.
async fn collect_in(txn: &Transaction, candidate: &BlobCandidateKey) -> Result<Outcome, Error> {
    let BlobCandidateKey { since, hash } = *candidate;
    txn.clear(&candidate.encode());
    // A later loss of its last reference has a candidate row, and a grace period, of its own.
    if unreferenced_since(txn, hash).await? != Some(since) {
        return Ok(Outcome::Kept);
    }
    if is_held(txn, hash).await? {
        txn.clear(&BlobUnreferencedKey { hash }.encode());
        return Ok(Outcome::Kept);
    }
    let object = meta_in(txn, hash).await?.and_then(|meta| object_of(hash, &meta));
    let (begin, end) = body_range(hash);
    txn.clear_range(&begin, &end);
    Ok(Outcome::Deleted(object))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::tests::Fixture;
    use schema::{AccountId, QueueId};
    use std::time::Duration;

    const OWNER: BlobOwner = BlobOwner::Queue(QueueId(1));

    pub(crate) async fn candidates(store: &Store) -> Vec<BlobCandidateKey> {
        store.candidates(BATCH).await.unwrap()
    }

    /// A collector that forgets to look again whether anybody holds the body, or looks without a conflict.
    pub(crate) async fn delete_without(
        store: &Store,
        candidate: BlobCandidateKey,
        look: bool,
    ) -> Option<ObjectName> {
        let BlobCandidateKey { since, hash } = candidate;
        let held = store.db().read("flawed", |txn| async move { is_held(&txn, hash).await });
        let held = look && held.await.unwrap();
        let deleted = store.db().transact("flawed", |txn| async move {
            txn.clear(&candidate.encode());
            if held || unreferenced_since(&txn, hash).await? != Some(since) {
                return Ok::<_, Error>(None);
            }
            let meta = meta_in(&txn, hash).await?;
            let (begin, end) = body_range(hash);
            txn.clear_range(&begin, &end);
            Ok(meta.and_then(|meta| object_of(hash, &meta)))
        });
        deleted.await.unwrap()
    }

    fn deleted(deleted: usize) -> Collected {
        Collected { deleted, ..Collected::default() }
    }

    #[tokio::test]
    async fn a_body_goes_after_the_grace_period() {
        for inline_max in [0, 1 << 20] {
            let fixture = Fixture::new(inline_max);
            let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
            let shard = staged.hash().0[0];
            fixture.reference(&staged, OWNER).await.unwrap();
            fixture.past_grace();
            assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(0), "it is held");
            fixture.dereference(staged.hash(), OWNER).await;
            assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(0), "it is too early");
            fixture.past_grace();
            assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(1));
            assert_eq!(fixture.keys().await, [""; 0]);
            assert_eq!(fixture.store.objects().list(shard).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn a_body_held_again_stays() {
        let fixture = Fixture::new(1000);
        let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&staged, OWNER).await.unwrap();
        fixture.dereference(staged.hash(), OWNER).await;
        fixture.past_grace();
        fixture.reference(&staged, OWNER).await.unwrap();
        assert_eq!(fixture.store.collect(10).await.unwrap(), Collected { kept: 1, ..deleted(0) });
        assert_eq!(fixture.keys().await.len(), 3, "piece, meta, reference");
        assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(0));
    }

    #[tokio::test]
    async fn each_loss_has_a_grace_period_of_its_own() {
        let fixture = Fixture::new(1000);
        let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&staged, OWNER).await.unwrap();
        fixture.dereference(staged.hash(), OWNER).await;
        fixture.past_grace();
        fixture.reference(&staged, OWNER).await.unwrap();
        fixture.dereference(staged.hash(), OWNER).await;
        assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(0));
        assert!(fixture.store.read(staged.hash(), 0..10).await.is_ok());
    }

    #[tokio::test]
    async fn the_limit_holds() {
        let fixture = Fixture::new(1000);
        for i in 0..150u8 {
            let staged = fixture.store.stage(vec![i; 10].into()).await.unwrap();
            fixture.reference(&staged, OWNER).await.unwrap();
            fixture.dereference(staged.hash(), OWNER).await;
        }
        fixture.past_grace();
        assert_eq!(fixture.store.collect(100).await.unwrap(), deleted(100));
        assert_eq!(fixture.store.collect(100).await.unwrap(), deleted(50));
        assert_eq!(fixture.keys().await, [""; 0]);
    }

    #[tokio::test]
    async fn uploads_expire() {
        let fixture = Fixture::new(1000);
        let staged = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        let expires = (fixture.store.now() + Duration::from_secs(60)).millis();
        let upload = BlobOwner::Upload { account: AccountId(1), expires };
        fixture.reference(&staged, upload).await.unwrap();
        assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(0));
        fixture.clock.advance(Duration::from_secs(61));
        assert_eq!(fixture.store.collect(10).await.unwrap(), Collected { expired: 1, ..deleted(0) });
        fixture.past_grace();
        assert_eq!(fixture.store.collect(10).await.unwrap(), deleted(1));
        assert_eq!(fixture.keys().await, [""; 0]);
    }

    #[tokio::test]
    async fn the_sweep_takes_what_no_row_names() {
        let fixture = Fixture::new(0);
        let kept = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&kept, OWNER).await.unwrap();
        let again = fixture.store.stage(vec![1; 10].into()).await.unwrap();
        fixture.reference(&again, BlobOwner::Queue(QueueId(2))).await.unwrap();
        let shard = kept.hash().0[0];
        let store = fixture.reopen();
        assert_eq!(store.objects().list(shard).await.unwrap().len(), 2);
        assert_eq!(store.sweep(shard).await.unwrap(), deleted(0), "it is too early");
        fixture.past_grace();
        let around =
            async || store.sweep_on(128).await.unwrap().swept + store.sweep_on(128).await.unwrap().swept;
        assert_eq!((around().await, around().await), (1, 0));
        assert_eq!(store.read(kept.hash(), 0..10).await.unwrap(), vec![1; 10]);
    }
}
