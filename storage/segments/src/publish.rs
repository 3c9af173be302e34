//! A batch is published: files, manifest and cursors, in one transaction under the shard's fence.

use std::collections::{BTreeMap, BTreeSet};

use blob::{BlobOwner, Staged};
use kv::Transaction;
use leases::{Fence, assert_in};
use schema::keys::search::{IndexedKey, ManifestKey, ShardKey};
use schema::{AccountId, BlobHash, Key, Record};

use crate::edition::{manifest_in, need_in, shard_in};
use crate::{Error, Indexed, Manifest, Segment, Segments, Shard};

/// What becomes of an account's cursor.
#[derive(Debug, Clone, PartialEq)]
pub enum Cursor {
    /// It moves, and no document was added: the generation stays.
    Moved(Indexed),
    /// It moves with documents that the new manifest has.
    Grown(Indexed),
    /// The account is gone, or is to be begun from nothing.
    Gone,
}

/// What is published.
#[derive(Debug)]
pub struct Publication<'a> {
    /// Of which edition.
    pub edition: u32,
    /// The manifest that it was made from.
    pub before: &'a Manifest,
    /// The segments from now on; none if they stay as they are.
    pub segments: Option<Vec<Segment>>,
    /// New files among them.
    pub staged: &'a [Staged],
    /// Cursors that change.
    pub cursors: &'a BTreeMap<AccountId, Cursor>,
}

impl Segments {
    /// Publishes, and returns the manifest from now on.
    ///
    /// # Errors
    /// [`Error::Moved`] if the manifest is not the one that it was made from; [`Error::Lease`] if the shard is
    /// another's; [`Error::Level`]; else the store's. In all cases nothing is published.
    pub async fn publish(&self, fence: &Fence, what: &Publication<'_>) -> Result<Manifest, Error> {
        let published = self.clock.now().millis();
        self.db
            .transact(
                "segments.publish",
                |txn| async move { self.publish_in(&txn, fence, what, published).await },
            )
            .await
    }

    async fn publish_in(
        &self,
        txn: &Transaction,
        fence: &Fence,
        what: &Publication<'_>,
        published: i64,
    ) -> Result<Manifest, Error> {
        let (shard, edition) = (fence.duty.number, what.edition);
        assert_in(txn, fence).await?;
        need_in(txn).await?;
        let known = shard_in(txn, shard).await?.ok_or(Error::Moved(shard))?;
        let before = manifest_in(txn, shard, edition).await?.unwrap_or_default();
        let is_there = known.current == edition || known.building == edition;
        if !is_there || before.generation != what.before.generation {
            return Err(Error::Moved(shard));
        }
        let after = match &what.segments {
            None => before,
            Some(segments) => {
                let generation = before.generation + 1;
                let after = Manifest { generation, published, segments: segments.clone() };
                self.hold_in(txn, (shard, edition), &before, &after, what.staged).await?;
                txn.set(&ManifestKey { shard, edition }.encode(), &after.to_bytes());
                if known.current == edition {
                    let next = Shard { generation, ..known };
                    txn.set(&ShardKey { shard }.encode(), &next.to_bytes());
                }
                after
            }
        };
        for (account, cursor) in what.cursors {
            let key = IndexedKey { shard, edition, account: *account }.encode();
            match cursor {
                Cursor::Gone => txn.clear(&key),
                Cursor::Moved(indexed) => txn.set(&key, &indexed.to_bytes()),
                Cursor::Grown(indexed) => {
                    let grown = Indexed { generation: after.generation, ..indexed.clone() };
                    txn.set(&key, &grown.to_bytes());
                }
            }
        }
        Ok(after)
    }

    /// Holds what is new, and lets go what is not there any more.
    async fn hold_in(
        &self,
        txn: &Transaction,
        (shard, edition): (u32, u32),
        before: &Manifest,
        after: &Manifest,
        staged: &[Staged],
    ) -> Result<(), Error> {
        let (old, new) = (bodies(&before.segments)?, bodies(&after.segments)?);
        let owner = BlobOwner::Index { shard, edition };
        for hash in new.difference(&old) {
            let file = staged.iter().find(|staged| staged.hash() == *hash);
            let file = file.ok_or(Error::Blob(blob::Error::NotFound(*hash)))?;
            self.blobs.reference_in(txn, file, owner).await?;
        }
        for hash in old.difference(&new) {
            self.let_go_in(txn, shard, edition, *hash).await?;
        }
        Ok(())
    }
}

/// The bodies of segments.
pub(crate) fn bodies(segments: &[Segment]) -> Result<BTreeSet<BlobHash>, Error> {
    let hashes = segments.iter().flat_map(|segment| &segment.bodies).map(|body| body.hash());
    Ok(hashes.collect::<Result<_, _>>()?)
}
