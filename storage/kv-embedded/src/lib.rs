//! The store on one machine: FoundationDB's transactions over an engine of our own.
//!
//! Two floors:
//! - [`engine`]: an ordered map that is written in durable batches and read in snapshots. Its page describes
//!   the files and what happens at each point where a crash can come.
//! - The transaction layer, in the other modules: a transaction reads one snapshot and collects its writes
//!   (`transaction`); one thread checks what it read against what was written since (`conflicts`),
//!   gives it a version, resolves its operations and writes all transactions that wait as one durable group
//!   (`committer`); then those who wait for a key are woken (`watch`).
//!
//! What always holds:
//! - Whoever sees a value sees a durable one: no power cut takes back what was read.
//! - Versions never go down, over restarts too.
//! - A commit's outcome is known as long as the process lives.

mod committer;
mod conflicts;
pub mod engine;
mod error;
mod metrics;
#[cfg(any(test, feature = "simulation"))]
pub mod power;
mod transaction;
mod watch;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use metrics::describe as describe_metrics;

use committer::{Committer, Request};
use engine::disk::{Disk, OsDisk};
use engine::{Engine, LogEngine, Settings};
use futures::future::BoxFuture;
use kv::{Backend, BackendTransaction, TransactionOptions};
use runtime::{SharedClock, SharedRng};
use std::path::Path;
use std::sync::Arc;
use transaction::EmbeddedTransaction;

/// How the store is run.
#[derive(Clone)]
pub struct Options {
    /// For versions and for forgetting old writes.
    pub clock: SharedClock,
    /// For the random id of a new store.
    pub rng: SharedRng,
    /// Sizes.
    pub engine: Settings,
}

impl Options {
    /// Sizes that fit this machine's memory.
    pub fn new(clock: SharedClock, rng: SharedRng) -> Self {
        Options { clock, rng, engine: memory().map_or_else(Settings::default, Settings::for_memory) }
    }
}

/// Bytes of memory that this process may use: the machine's, or its control group's if that is less.
fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = 1024 * total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    Some(group.and_then(|max| max.trim().parse().ok()).map_or(total, |max: u64| max.min(total)))
}

/// An open store.
pub struct Embedded {
    committer: Arc<Committer>,
    engine: Arc<LogEngine>,
}

/// Opens the store in the folder at `dir`, which is made if it is absent.
///
/// A store that was not closed is recovered. Fails if another process has it open, or if something in it is
/// damaged.
pub fn open(dir: &Path, options: Options) -> Result<Arc<Embedded>, Error> {
    let disk = OsDisk::open(dir).map_err(Error::io("open the store's folder"))?;
    open_on(Arc::new(disk), options)
}

/// Opens the store on `disk`.
pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Arc<Embedded>, Error> {
    let engine = LogEngine::open(disk, options.engine, &options.rng)?;
    let committer = Committer::start(engine.clone(), options.clock).map_err(Error::io("start a thread"))?;
    Ok(Arc::new(Embedded { committer, engine }))
}

impl Embedded {
    /// Moves what is only in the log into the index, as is done from time to time anyway.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.engine.checkpoint()
    }

    /// Groups of commits written since the store was opened: each cost one fsync.
    pub fn groups(&self) -> u64 {
        self.committer.groups()
    }

    /// Fails if the store is closed or has stopped.
    pub fn check(&self) -> Result<(), Error> {
        self.engine.check()
    }
}

impl Backend for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn begin(&self, _options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        Box::new(EmbeddedTransaction::new(self.committer.clone()))
    }

    fn outcome_can_be_unknown(&self) -> bool {
        false
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), kv::Error>> {
        Box::pin(async move { self.committer.commit(Request::at_least(version)).await.map(drop) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), kv::Error>> {
        Box::pin(self.committer.close())
    }
}
