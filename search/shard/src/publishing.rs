//! From a batch, or a merge, to what is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use index::{FileCache, Memory, Reader};
use leases::Fence;
use schema::{AccountId, EmailId};
use segments::{Cursor, Manifest, Publication};

use crate::batch::Batch;
use crate::error::apart;
use crate::files::{Published, Staged, digits, entries, is_damage, published, stage};
use crate::indexer::Shared;
use crate::{Error, merging, metrics};

/// Bytes of files that a reader keeps which reads them whole.
const ONCE: u64 = 1 << 20;
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

    /// Makes one of several segments, if that is worth it; none if not.
    pub(crate) async fn merge(&self) -> Result<Option<Manifest>, Error> {
        let chosen = merging::choose(&self.before.segments);
        // What is of another format is made anew, not carried on.
        if chosen.is_empty() || !entries(self.before).is_current() {
            return Ok(None);
        }
        let segments = self.before.segments.iter().filter(|segment| chosen.contains(&segment.id)).cloned();
        let part = Manifest { segments: segments.collect(), ..Manifest::default() };
        let files = match self.load(&part).await {
            Err(error @ Error::Damaged(_)) => {
                self.shared.damaged(self.fence.duty.number, &error).await;
                return Ok(None);
            }
            files => files?,
        };
        let merging = entries(&part);
        let ids: Vec<String> = merging.segments.iter().map(|segment| segment.id.clone()).collect();
        let (gone, own) = (ids.clone(), FileCache::new(ONCE));
        let built = apart(move || {
            let mut memory = Memory::default();
            memory.add(files);
            Reader::open(merging, Arc::new(memory), &own)?.merge(&ids)
        });
        let built = built.await?.map_err(Error::Build)?;
        let (entry, files) = built.map(|built| (built.entry, built.files)).unzip();
        let mut staged = Staged::new();
        if let Some(files) = files {
            staged.push(stage(self.shared.segments.blobs(), files).await?);
        }
        let after = entries(self.before).replaced(&gone, entry);
        let manifest = self.publish(Some(&after), &staged, &BTreeMap::new()).await?;
        metrics::merged();
        Ok(Some(manifest))
    }

    /// All files of a few segments.
    async fn load(&self, part: &Manifest) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        for segment in &part.segments {
            let id = digits(&segment.id);
            for body in &segment.bodies {
                let hash = body.hash().map_err(|error| Error::Damaged(error.to_string()))?;
                let bytes = match self.shared.segments.blobs().read(hash, 0..u64::MAX).await {
                    Err(error) if is_damage(&error) => return Err(Error::Damaged(error.to_string())),
                    read => read?,
                };
                let mut at = 0;
                for file in &body.files {
                    let end = at + usize::try_from(file.length).unwrap_or(usize::MAX);
                    let part = bytes.get(at..end).ok_or_else(|| Error::Damaged(file.suffix.clone()))?;
                    files.push((format!("{id}{}", file.suffix), part.to_vec()));
                    at = end;
                }
            }
        }
        Ok(files)
    }
}
