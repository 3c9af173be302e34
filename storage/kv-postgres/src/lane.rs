//! What transactions of one kind need of the store: connections to read on, and who commits.
//!
//! Sessions and mail have most of the connections. What nobody waits for has a share of them, so that however much there is of it
//! who waits finds one. What is vital has its own, made and driven on the thread of the commits, and a committer of its own: it
//! waits for no mail of this process, and for the commits of all processes no longer than another process would.

use crate::WAIT;
use crate::committer::Request;
use crate::error;
use crate::group::Attempt;
use crate::position::Known;
use crate::sql::Sql;
use crate::watch::Watches;
use deadpool_postgres::{Client, Pool};
use kv::{Error, Versionstamp};
use runtime::Apart;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// One connection of so many is for what nobody waits for.
const SHARE: usize = 4;

/// What all lanes have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) sql: Arc<Sql>,
    pub(crate) known: Arc<Known>,
    pub(crate) watches: Arc<Watches>,
    /// Where commits are made: as long as anybody may want one.
    pub(crate) apart: Arc<Apart>,
}

pub(crate) struct Lane {
    pub(crate) common: Common,
    pub(crate) pool: Pool,
    commits: mpsc::UnboundedSender<Request>,
    /// Whether its connections are made where the commits are.
    vital: bool,
    /// Turns of those that nobody waits for.
    turns: Arc<Semaphore>,
}

impl Lane {
    /// For all that is not vital, on so many connections.
    pub(crate) fn ordinary(
        common: Common,
        pool: Pool,
        commits: mpsc::UnboundedSender<Request>,
        connections: usize,
    ) -> Self {
        let turns = Arc::new(Semaphore::new((connections / SHARE).max(1)));
        Lane { common, pool, commits, vital: false, turns }
    }

    /// For what is vital.
    pub(crate) fn vital(common: Common, pool: Pool, commits: mpsc::UnboundedSender<Request>) -> Self {
        Lane { common, pool, commits, vital: true, turns: Arc::new(Semaphore::new(1)) }
    }

    /// A connection, when one is free.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let got = if self.vital {
            let pool = self.pool.clone();
            self.common.apart.run(async move { pool.get().await }).await
        } else {
            self.pool.get().await
        };
        got.map_err(|e| error::of_pool(&e))
    }

    /// A turn for a transaction that nobody waits for.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        match tokio::time::timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(turn) => turn.map_err(|_| error::closed()),
            Err(_) => Err(Error::unavailable("PostgreSQL: the turn of what nobody waits for did not come")),
        }
    }

    /// Commits, together with whatever else waits.
    pub(crate) async fn submit(&self, attempt: Attempt) -> Result<Versionstamp, Error> {
        let (answer, answered) = oneshot::channel();
        self.commits.send(Request { attempt, answer }).map_err(|_| error::closed())?;
        // The committer answers everything it takes; if it was killed nobody knows how far it got.
        answered.await.unwrap_or_else(|_| Err(Error::maybe_committed()))
    }
}
