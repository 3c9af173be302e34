//! Several handles to one store as one: each transaction goes to the next of them.

use crate::{Backend, BackendTransaction, Database, Error, TransactionOptions};
use futures::future::BoxFuture;
use runtime::{SystemClock, SystemRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The handles.
pub struct Several {
    backends: Vec<Arc<dyn Backend>>,
    next: AtomicUsize,
}

impl Several {
    /// Over the backends of these databases.
    pub fn new(databases: &[Database]) -> Arc<Self> {
        let backends = databases.iter().map(|db| Arc::clone(db.backend())).collect();
        Arc::new(Several { backends, next: AtomicUsize::new(0) })
    }

    /// All of them as one database.
    pub fn database(self: &Arc<Self>) -> Database {
        Database::new(self.clone(), SystemClock::shared(), SystemRng::shared())
    }
}

impl Backend for Several {
    fn name(&self) -> &'static str {
        "several"
    }

    #[allow(clippy::disallowed_methods)]
    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.backends[next % self.backends.len()].begin(options)
    }

    fn outcome_can_be_unknown(&self) -> bool {
        true
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.backends[0].advance_version(version)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
