//! The store on real FoundationDB processes. Where FoundationDB is not installed these tests say so and pass; what can
//! be said without it is tested everywhere.

// Test code: a failed expectation is a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contract;
mod failures;
mod single;
mod versions;
mod without;

use godwit_kv_fdb::{Fdb, Options, open};
use kv::{Database, Error};
use runtime::{Rng, SystemClock, SystemRng};
use servers::foundationdb::Cluster;
use std::sync::Arc;

/// A part of the cluster that nobody else uses.
pub(crate) fn fresh(cluster: &Cluster) -> Options {
    let prefix = format!("test/{:016x}/", SystemRng.u64());
    Options { prefix: prefix.into_bytes(), ..whole(cluster) }
}

/// All of the cluster.
pub(crate) fn whole(cluster: &Cluster) -> Options {
    Options {
        cluster_file: Some(cluster.file()),
        client_library: Some(cluster.client_library()),
        ..Options::default()
    }
}

pub(crate) async fn connect(options: Options) -> Result<Database, Error> {
    open(options).await.map(database)
}

pub(crate) fn database(backend: Arc<Fdb>) -> Database {
    Database::new(backend, SystemClock::shared(), SystemRng::shared())
}
