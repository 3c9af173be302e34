//! What is measured: a store behind `kv`, or a client of its own.

use futures::future::BoxFuture;
use kv::{Database, Error};

/// A row of the work.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Does each piece of work once; an error ends the bench.
pub(crate) trait Subject: Send + Sync {
    /// The heading of its column.
    fn name(&self) -> &str;

    /// Writes `rows`, durably, in one transaction.
    fn commit(&self, rows: Vec<Row>) -> BoxFuture<'_, ()>;

    /// Reads `keys`, all of which are there, one after the other in one transaction.
    fn gets(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, ()>;

    /// Reads a range in one transaction.
    fn scan(&self, begin: Vec<u8>, end: Vec<u8>) -> BoxFuture<'_, ()>;
}

/// A store as all of Godwit uses it: through the retry loop, each commit with its token.
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) database: Database,
}

impl Subject for Layer {
    fn name(&self) -> &str {
        &self.name
    }

    fn commit(&self, rows: Vec<Row>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let write = self.database.transact("bench", |txn| {
                rows.iter().for_each(|(key, value)| txn.set(key, value));
                std::future::ready(Ok::<_, Error>(()))
            });
            write.await.expect("commit");
        })
    }

    fn gets(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, ()> {
        let keys = std::sync::Arc::new(keys);
        Box::pin(async move {
            let read = self.database.read("bench", |txn| {
                let keys = std::sync::Arc::clone(&keys);
                async move {
                    for key in keys.iter() {
                        assert!(txn.get(key).await?.is_some());
                    }
                    Ok::<_, Error>(())
                }
            });
            read.await.expect("gets");
        })
    }

    fn scan(&self, begin: Vec<u8>, end: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (begin, end) = (&begin, &end);
            let read = self.database.read("bench", |txn| async move {
                let mut rows = txn.range(begin, end).snapshot().page_bytes(kv::limits::PAGE_BYTES);
                while rows.next_page().await?.is_some() {}
                Ok::<_, Error>(())
            });
            read.await.expect("scan");
        })
    }
}
