//! Random concurrent histories, checked for serializability and strict version order.
//!
//! Clients run random transactions over a few keys and note what each read gave. Afterwards the committed ones
//! are replayed in the order of their versionstamps on a model, and all must be explained:
//!
//! 1. Every serializable read gives what the model holds at the transaction's place in that order.
//! 2. Every read gives what the model held at the transaction's read version.
//! 3. A transaction reads a version no older than any commit acknowledged before it began, and commits behind it.
//! 4. What the store holds in the end is what the model holds: so each acknowledged transaction was applied
//!    once, and no failed one was. A versionstamped mark of each transaction shows it.
//!
//! Everything random follows from the seed. On one thread and a backend without threads of its own the whole
//! history does.

mod client;
mod model;

use crate::fault::{FaultBackend, Plan};
use crate::{AtomicOp, Database, Row, Versionstamp};
use bytes::Bytes;
use client::Client;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What to run.
#[derive(Clone)]
pub struct Options {
    /// Decides everything random.
    pub seed: u64,
    /// Clients at the same time.
    pub clients: usize,
    /// Transactions of each client.
    pub transactions: usize,
    /// Keys that they fight over; at most 26.
    pub keys: u8,
    /// The faults to switch off before the end is looked at.
    pub faults: Option<Arc<FaultBackend>>,
}

impl Default for Options {
    fn default() -> Self {
        Options { seed: 0, clients: 6, transactions: 12, keys: 12, faults: None }
    }
}

/// What was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Transactions that wrote and were committed.
    pub written: usize,
    /// Transactions that only read.
    pub read: usize,
    /// Transactions that their closure ended.
    pub aborted: usize,
    /// Transactions that the loop gave up.
    pub given_up: usize,
}

/// Why a history cannot be explained.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}: {what}")]
pub struct Violation {
    /// Shows it again.
    pub seed: u64,
    /// What cannot be.
    pub what: String,
}

/// One thing that a transaction did.
#[derive(Clone, Debug)]
enum Step {
    Get { key: Bytes, snapshot: bool, got: Option<Bytes> },
    Range { range: Range, got: Vec<Row> },
    Write(Write),
}

#[derive(Clone, Debug)]
struct Range {
    begin: Bytes,
    end: Bytes,
    limit: usize,
    reverse: bool,
    snapshot: bool,
}

#[derive(Clone, Debug)]
enum Write {
    Set(Bytes, Bytes),
    Clear(Bytes),
    ClearRange(Bytes, Bytes),
    Atomic(AtomicOp, Bytes, Bytes),
}

/// What the successful run of a transaction's closure did.
#[derive(Clone, Debug)]
struct Attempt {
    /// Absent if it did not ask.
    read_version: Option<u64>,
    /// The highest version acknowledged to anyone before it began.
    acknowledged: u64,
    steps: Vec<Step>,
}

/// A transaction that was acknowledged.
#[derive(Clone, Debug)]
struct Committed {
    client: usize,
    /// Zero if it wrote nothing.
    stamp: Versionstamp,
    attempt: Attempt,
}

/// Runs a history on an empty store and checks it.
pub async fn check(db: &Database, options: &Options) -> Result<Report, Violation> {
    let violation = |what: String| Violation { seed: options.seed, what };
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..options.clients {
        let client = Client::new(db.clone(), number, options, Arc::clone(&acknowledged));
        running.spawn(client.run(options.transactions));
    }
    let (mut history, mut report) = (Vec::new(), Report::default());
    while let Some(done) = running.join_next().await {
        let (committed, part) =
            done.map_err(|e| violation(format!("client failed: {e}")))?.map_err(violation)?;
        history.extend(committed);
        report.aborted += part.aborted;
        report.given_up += part.given_up;
    }
    if let Some(faults) = &options.faults {
        faults.set_plan(Plan::NONE);
        faults.deliver().await;
    }
    report.written = history.iter().filter(|committed| committed.stamp != Versionstamp::ZERO).count();
    report.read = history.len() - report.written;
    let end = db.begin().range(b"", b"\xff").collect().await;
    let end = end.map_err(|e| violation(format!("cannot read the end: {e}")))?;
    model::explain(history, end).map_err(violation)?;
    Ok(report)
}

#[cfg(test)]
mod tests;
