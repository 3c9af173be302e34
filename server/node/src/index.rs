//! The index of mail: who writes it, and who reads it.

use std::sync::Arc;

use ::index::FileCache;
use bytes::Bytes;
use changes::LocalFeed;
use content_mail::Summary;
use extract::Extractor;
use futures::future::BoxFuture;
use kv::{Priority, TransactionOptions};
use runtime::{SharedClock, SharedRng};
use segments::Segments;
use shard::{Attachments, Indexer, Options, Searcher};

use crate::config::Config;

/// Attachments read at once: a node has one builder, which waits for each.
const READERS: usize = 1;

/// Texts of attachments, each read by a process of its own.
struct Attached(Extractor);

impl Attachments for Attached {
    fn texts<'a>(&'a self, message: &'a Bytes, summary: &'a Summary) -> BoxFuture<'a, Vec<(String, String)>> {
        Box::pin(async move {
            match self.0.attachments(message, &summary.structure).await {
                Ok(texts) => texts.into_iter().map(|text| (String::new(), text)).collect(),
                // The message itself is found all the same; attachments are of use to FUZZY and relevance alone.
                Err(error) => {
                    tracing::warn!(%error, "attachments are not in the index");
                    Vec::new()
                }
            }
        })
    }
}

/// The index of mail.
#[derive(Clone)]
pub(crate) struct Index {
    /// Writes the shards that this node holds.
    pub(crate) indexer: Indexer,
    /// Reads all of them.
    pub(crate) searcher: Searcher,
    /// What is published.
    pub(crate) segments: Segments,
}

/// Over the mail of a store that has so many shards.
pub(crate) fn wire(
    config: &Config,
    mail: &mail::Store,
    clock: &SharedClock,
    rng: &SharedRng,
    shards: u32,
) -> Index {
    let (db, blobs) = (mail.database().clone(), mail.blobs().clone());
    let cache = FileCache::new(config.search.cache.bytes());
    let segments = Segments::new(db.clone(), blobs.clone(), clock.clone(), shards);
    // Nobody waits for what the writers read. They change no mail: there is nobody to be told.
    let options = TransactionOptions { priority: Priority::Background, ..db.options() };
    let quiet = db.with_options(options);
    let sink = Arc::new(LocalFeed::new());
    let followed = mail::Store::new(quiet.clone(), blobs.clone(), sink, clock.clone(), rng.clone());
    let options = Options { interval: config.search.interval.get(), batch: config.search.batch.bytes() };
    let written = Segments::new(quiet, blobs, clock.clone(), shards);
    let attachments = Arc::new(Attached(Extractor::own(READERS)));
    let indexer = Indexer::new(written, followed, cache.clone(), attachments, clock.clone(), options);
    let searcher = Searcher::new(segments.clone(), mail.clone(), cache, clock.clone());
    Index { indexer, searcher, segments }
}
