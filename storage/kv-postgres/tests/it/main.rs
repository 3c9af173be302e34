//! The store on real servers. Where PostgreSQL is not installed these tests say so and pass.

// Test code: a failed expectation is a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contract;
mod failures;
mod single;

use godwit_kv_postgres::{Options, Postgres};
use kv::{Database, Error};
use runtime::{SystemClock, SystemRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A schema that nobody else uses.
pub(crate) fn fresh() -> Options {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let schema = format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Options { schema, connections: 12 }
}

pub(crate) async fn open(url: &str, options: Options) -> Result<Arc<Postgres>, Error> {
    godwit_kv_postgres::open(url, options, SystemClock::shared(), SystemRng::shared()).await
}

pub(crate) fn database(backend: Arc<Postgres>) -> Database {
    Database::new(backend, SystemClock::shared(), SystemRng::shared())
}
