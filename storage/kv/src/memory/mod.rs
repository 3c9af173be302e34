//! The reference backend: in memory, as simple as the contract allows.
//!
//! What it does is the meaning of the contract; it is what unit tests above run on and what other backends are
//! compared with. It keeps every version of a row that a live transaction may still read.

mod store;
mod transaction;

use crate::{Backend, BackendTransaction, Database, Error, TransactionOptions};
use futures::future::BoxFuture;
use parking_lot::RwLock;
use runtime::{SystemClock, SystemRng};
use std::sync::Arc;
use store::Store;
use transaction::MemoryTransaction;

/// A store that lives as long as the process.
#[derive(Clone, Default)]
pub struct Memory {
    store: Arc<RwLock<Store>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A handle to an empty store in memory, with the system's clock and randomness: for tests.
pub fn database() -> Database {
    Database::new(Arc::new(Memory::new()), SystemClock::shared(), SystemRng::shared())
}

impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn begin(&self, _options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        Box::new(MemoryTransaction::new(Arc::clone(&self.store)))
    }

    fn outcome_can_be_unknown(&self) -> bool {
        false
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(self.store.write().advance(version)))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.store.write().close();
        Box::pin(std::future::ready(Ok(())))
    }
}
