//! Where rows come from: a store that is open here, or a node that has it open.

use crate::Error;
use futures::future::BoxFuture;
use kv::{Database, Priority, RangePage, RangeRequest, TransactionOptions};
use std::time::Duration;

/// Most rows of a page: all of them fit into one transaction of the destination, with what it counts for each.
pub const PAGE_ROWS: usize = 4_000;

/// Bytes (keys and values) with which a page ends.
pub const PAGE_BYTES: usize = 512 * 1024;

/// How long a page or batch is tried: longer than a recovery or a failover takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that can be read in pages.
pub trait Source: Send + Sync + 'static {
    /// The rows from `begin` on and below `end`, in key order: at most [`PAGE_ROWS`], or as many as reach
    /// [`PAGE_BYTES`]. A page is from one snapshot, two pages are from two.
    fn page<'a>(&'a self, begin: &'a [u8], end: &'a [u8]) -> BoxFuture<'a, Result<RangePage, Error>>;
}

/// A store that is open in this process.
pub struct Direct(Database);

impl Direct {
    /// Reads `db` behind everybody else.
    pub fn new(db: &Database) -> Self {
        Direct(quiet(db))
    }
}

/// The same store, whose transactions give way to those of nodes and are patient.
pub fn quiet(db: &Database) -> Database {
    db.with_options(TransactionOptions {
        priority: Priority::Background,
        timeout: PATIENCE,
        tag: Some("transfer"),
        ..TransactionOptions::default()
    })
}

impl Source for Direct {
    fn page<'a>(&'a self, begin: &'a [u8], end: &'a [u8]) -> BoxFuture<'a, Result<RangePage, Error>> {
        Box::pin(async move {
            let request = &RangeRequest {
                limit: PAGE_ROWS,
                target_bytes: PAGE_BYTES,
                snapshot: true,
                ..RangeRequest::new(begin.to_vec(), end.to_vec())
            };
            Ok(self.0.read("transfer.page", |txn| async move { txn.page(request).await }).await?)
        })
    }
}
