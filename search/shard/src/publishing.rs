//! From a batch, or what was merged, to what is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use index::{Built, Reader};
use leases::Fence;
use schema::{AccountId, EmailId};
use segments::{Cursor, Manifest, Publication, Segment};

use crate::batch::Batch;
use crate::error::apart;
use crate::files::{Published, Staged, digits, entries, published, stage};
use crate::indexer::Shared;
use crate::{Error, metrics};

/// A shard whose files are damaged is not made anew more often than this, in milliseconds.
pub(crate) const APART: i64 = 600_000;

/// Where is published.
pub(crate) struct Publisher<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) fence: &'a Fence,
    pub(crate) edition: u32,
    pub(crate) before: &'a Manifest,
}

impl Publisher<'_> {
    /// Publishes a batch.
    pub(crate) async fn batch(&self, mut batch: Batch) -> Result<Manifest, Error> {
        let (documents, bytes) = batch.size();
        let built = batch.finish().await?;
        let mut staged = Staged::new();
        let gone = (std::mem::take(&mut batch.gone), std::mem::take(&mut batch.gone_accounts));
        let mut after = self.without(gone, &mut staged).await?;
        let grown = built.is_some() || !staged.is_empty();
        if let Some(built) = built {
            after.segments.push(built.entry);
            staged.push(stage(self.shared.segments.blobs(), built.files).await?);
        }
        // A segment of which nothing is left goes without a file of its own.
        let changed = grown || after.segments.len() != self.before.segments.len();
        let manifest = self.publish(changed.then_some(&after), &staged, &batch.cursors).await?;
        metrics::indexed(documents, bytes);
        Ok(manifest)
    }

    /// The manifest without what is to be deleted.
    async fn without(
        &self,
        (emails, accounts): (Vec<(AccountId, EmailId)>, Vec<AccountId>),
        staged: &mut Staged,
    ) -> Result<index::Manifest, Error> {
        let before = entries(self.before);
        if (emails.is_empty() && accounts.is_empty()) || before.segments.is_empty() {
            return Ok(before);
        }
        let source = Published::new(self.shared.segments.blobs(), self.before)?;
        let (damage, cache) = (source.damage(), self.shared.cache.clone());
        let deleted =
            apart(move || Reader::open(before, Arc::new(source), &cache)?.delete_all(&emails, &accounts));
        match deleted.await?.map_err(|error| damage.judge(&error)) {
            Ok((after, files)) => {
                for file in files {
                    staged.push(stage(self.shared.segments.blobs(), vec![file]).await?);
                }
                Ok(after)
            }
            // Rows decide what is there: new mail does not wait for the old to be forgotten.
            Err(error @ Error::Damaged(_)) => {
                self.shared.damaged(self.fence.duty.number, &error).await;
                Ok(entries(self.before))
            }
            Err(error) => Err(error),
        }
    }

    async fn publish(
        &self,
        after: Option<&index::Manifest>,
        staged: &Staged,
        cursors: &BTreeMap<AccountId, Cursor>,
    ) -> Result<Manifest, Error> {
        let segments = after.map(|after| published(self.before, after, staged)).transpose()?;
        let files: Vec<blob::Staged> = staged.iter().map(|(_, staged)| staged.clone()).collect();
        let what =
            Publication { edition: self.edition, before: self.before, segments, staged: &files, cursors };
        let manifest = self.shared.segments.publish(self.fence, &what).await?;
        metrics::published();
        Ok(manifest)
    }

    /// Publishes a segment in the place of those that it was made of; none where nothing is left of these.
    pub(crate) async fn merged(&self, of: &[Segment], built: Option<Built>) -> Result<Manifest, Error> {
        let (entry, files) = built.map(|built| (built.entry, built.files)).unzip();
        let mut staged = Staged::new();
        if let Some(files) = files {
            staged.push(stage(self.shared.segments.blobs(), files).await?);
        }
        let gone: Vec<String> = of.iter().map(|segment| digits(&segment.id)).collect();
        let after = entries(self.before).replaced(&gone, entry);
        let manifest = self.publish(Some(&after), &staged, &BTreeMap::new()).await?;
        metrics::merged();
        Ok(manifest)
    }
}
