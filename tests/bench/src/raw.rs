//! FoundationDB through the `foundationdb` crate alone: what our layer is held against.

use anyhow::Context;
use foundationdb::options::{ConflictRangeType, MutationType, StreamingMode};
use foundationdb::{Database, KeySelector, RangeOption};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use runtime::{Rng, SystemRng};
use std::path::Path;
use std::sync::Arc;

use crate::subject::{Row, Subject};

/// The client library by itself.
pub(crate) struct Raw {
    pub(crate) name: &'static str,
    pub(crate) database: Arc<Database>,
    pub(crate) prefix: &'static [u8],
    /// Whether a commit is applied once whatever becomes of its answer: with a token that is read and written.
    pub(crate) once: bool,
}

/// The cluster that the file names, after `kv_fdb` has started the client.
pub(crate) fn open(cluster_file: &Path) -> anyhow::Result<Database> {
    Ok(Database::from_path(cluster_file.to_str().context("a cluster file in UTF-8")?)?)
}

impl Raw {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [self.prefix, key].concat()
    }
}

impl Subject for Raw {
    fn name(&self) -> &str {
        self.name
    }

    fn commit(&self, rows: Vec<Row>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let txn = self.database.create_trx().expect("transaction");
            rows.iter().for_each(|(key, value)| txn.set(&self.key(key), value));
            if !self.once {
                txn.commit().await.expect("commit");
                return;
            }
            let mut token = [b'I'; 21];
            SystemRng.fill(&mut token[5..]);
            let token = self.key(&token);
            let end = [&token[..], &[0]].concat();
            txn.add_conflict_range(&token, &end, ConflictRangeType::Read).expect("conflict range");
            txn.atomic_op(&token, &[0; 18], MutationType::SetVersionstampedValue);
            let stamp = txn.get_versionstamp();
            let committed = txn.commit().await.expect("commit");
            assert_eq!(stamp.await.expect("versionstamp").len(), 10);
            drop(committed);
        })
    }

    fn gets(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let txn = self.database.create_trx().expect("transaction");
            for key in keys {
                assert!(txn.get(&self.key(&key), false).await.expect("get").is_some());
            }
        })
    }

    fn scan(&self, begin: Vec<u8>, end: Vec<u8>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let txn = self.database.create_trx().expect("transaction");
            let range = RangeOption {
                begin: KeySelector::first_greater_or_equal(self.key(&begin)),
                end: KeySelector::first_greater_or_equal(self.key(&end)),
                mode: StreamingMode::WantAll,
                ..RangeOption::default()
            };
            let mut pages = txn.get_ranges(range, true);
            while let Some(page) = pages.try_next().await.expect("page") {
                // As whoever wants the rows has to.
                let rows: Vec<_> =
                    page.iter().map(|row| (row.key().to_vec(), row.value().to_vec())).collect();
                assert_eq!(rows.len(), page.len());
            }
        })
    }
}
