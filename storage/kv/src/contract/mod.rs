//! What every backend must do, as test cases that a backend's own tests run.
//!
//! ```ignore
//! #[tokio::test(flavor = "multi_thread")]
//! async fn contract() {
//!     kv::contract::suite(|| open_an_empty_store()).await;
//! }
//! ```
//!
//! The cases lay two transactions side by side by hand. What they cannot foresee, [`history`] finds by chance.

// Test code in a library: a failed expectation is a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod atomics;
pub mod history;
mod isolation;
pub mod ledger;
mod limits;
mod reads;
pub mod several;
mod versionstamps;
mod watches;

use crate::fault::{FaultBackend, Plan};
use crate::{Database, Error, Row, Transaction, Versionstamp};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use runtime::{SeededRng, SystemClock};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// What a case returns: an error of the store that it did not expect.
type Check = Result<(), Error>;

/// One thing that a backend must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it must do.
    pub name: &'static str,
    /// Shows it on an empty store; panics where it does not hold.
    pub run: fn(&Database) -> BoxFuture<'_, Result<(), Error>>,
}

/// All cases.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let groups = [
        reads::CASES,
        isolation::CASES,
        atomics::CASES,
        versionstamps::CASES,
        watches::CASES,
        limits::CASES,
        versionstamps::LEAPS,
    ];
    groups.into_iter().flatten()
}

/// Runs all cases, each on an empty store from `make`; panics with the name of each that fails.
pub async fn suite(make: impl Fn() -> Database) {
    run(cases(), &make).await;
}

/// Runs all cases with every answer of the store delayed, and then random histories with every kind of fault.
pub async fn suite_under_faults(make: impl Fn() -> Database, seeds: std::ops::Range<u64>) {
    run(cases(), &|| wrap(&make(), Plan::STALLS, 0).0).await;
    for seed in seeds {
        let (db, faults) = wrap(&make(), Plan::HARSH, seed);
        let history = history::Options { seed, faults: Some(faults), ..history::Options::default() };
        if let Err(violation) = history::check(&db, &history).await {
            panic!("history under faults on {}: {violation}", db.backend_name());
        }
    }
}

/// `db` behind a [`FaultBackend`].
pub fn wrap(db: &Database, plan: Plan, seed: u64) -> (Database, Arc<FaultBackend>) {
    let rng = Arc::new(SeededRng::new(seed));
    let faults = Arc::new(FaultBackend::new(Arc::clone(db.backend()), rng.clone(), plan));
    (Database::new(faults.clone(), SystemClock::shared(), rng), faults)
}

async fn run(cases: impl Iterator<Item = &'static Case>, make: &impl Fn() -> Database) {
    let mut failed = Vec::new();
    for case in cases {
        let db = make();
        match AssertUnwindSafe((case.run)(&db)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => failed.push(format!("{}: {e}", case.name)),
            // The panic has printed what was expected.
            Err(_) => failed.push(case.name.to_owned()),
        }
    }
    assert!(failed.is_empty(), "the backend does not hold to the contract: {failed:#?}");
}

/// Commits `rows`.
async fn put(db: &Database, rows: &[(&str, &str)]) -> Result<Versionstamp, Error> {
    let txn = db.begin();
    rows.iter().for_each(|(key, value)| txn.set(key.as_bytes(), value.as_bytes()));
    txn.commit().await
}

/// Commits what `write` does.
async fn commit(db: &Database, write: impl FnOnce(&Transaction)) -> Result<Versionstamp, Error> {
    let txn = db.begin();
    write(&txn);
    txn.commit().await
}

/// The value now.
async fn value(db: &Database, key: &[u8]) -> Result<Option<Bytes>, Error> {
    db.begin().get(key).await
}

/// The value now, as a string.
async fn text(db: &Database, key: &str) -> Result<Option<String>, Error> {
    Ok(value(db, key.as_bytes()).await?.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// Rows as `key=value`, for expectations that can be read.
fn shown(rows: &[Row]) -> String {
    let show =
        |(key, value): &Row| format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
    rows.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// All rows now.
async fn all(db: &Database) -> Result<String, Error> {
    Ok(shown(&db.begin().range(b"", b"\xff").collect().await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    #[tokio::test]
    async fn the_reference_backend_holds_to_the_contract() {
        suite(memory::database).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_reference_backend_holds_to_the_contract_on_several_threads() {
        suite(memory::database).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_reference_backend_holds_to_the_contract_under_faults() {
        suite_under_faults(memory::database, 0..60).await;
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = cases().map(|case| case.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
