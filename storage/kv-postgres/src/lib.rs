//! The store on PostgreSQL 15 or newer: FoundationDB's transactions over one table of ordered keys.
//!
//! PostgreSQL keeps the rows, makes commits durable and gives snapshots. What it cannot say is which commit
//! came first: its own SERIALIZABLE finds *some* order in which the transactions make sense, and a change log
//! ordered by version needs the order in which they became visible. So:
//!
//! - A transaction reads in a REPEATABLE READ snapshot of a pooled connection and collects its writes
//!   (`transaction`, `session`).
//! - Commits go one after the other, across all processes, under an advisory lock that is held until they are
//!   durable and visible; those of one process that wait go together, with one wait for the disk
//!   (`committer`). Each gets the next version.
//! - Reads are checked, as ranges, against what was committed since their snapshot (`group`, `window`); what
//!   other processes committed is in the table `log`.
//! - Notifications wake watches (`watch`).
//!
//! What always holds:
//! - Whoever sees a version sees all commits up to it.
//! - A commit that was acknowledged is durable as far as `synchronous_commit = on` goes: on the disk of the
//!   primary, and of the synchronous standbys where there are any.
//! - A snapshot from before a promotion never commits after it.

mod committer;
mod config;
mod error;
mod group;
mod position;
mod session;
mod sql;
mod transaction;
mod watch;
mod window;

use committer::{Committer, Request};
use config::Connector;
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use futures::future::{BoxFuture, try_join_all};
use group::Attempt;
use kv::{Backend, BackendTransaction, Error, TransactionOptions, Versionstamp};
use position::{Head, Known};
use runtime::{CancellationToken, SharedClock, SharedRng};
use sql::Sql;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use transaction::PostgresTransaction;
use watch::{Listener, Watches};

/// The oldest PostgreSQL that is supported, as `server_version_num`.
const OLDEST_SERVER: i32 = 15_00_00;

/// How long a transaction waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);

/// How often the log is trimmed by each process; up to as much again is added by chance.
const TRIM: Duration = Duration::from_secs(5);

/// How the store is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The schema that holds the tables, unless the URL names one; a-z, 0-9 and _.
    pub schema: String,
    /// Most connections for transactions of this process; one more listens. Each transaction holds one from
    /// its first read to its commit.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { schema: "godwit".to_owned(), connections: 32 }
    }
}

/// An open store.
pub struct Postgres {
    shared: Arc<Shared>,
    stop: CancellationToken,
    committer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What transactions need of the store.
struct Shared {
    pool: Pool,
    sql: Arc<Sql>,
    known: Arc<Known>,
    watches: Arc<Watches>,
    commits: mpsc::UnboundedSender<Request>,
}

/// The servers and the database that `url` names, for people: without user and password. Nothing if it cannot be read.
pub fn place(url: &str) -> Option<String> {
    Connector::new(url).ok().map(|connector| connector.place())
}

impl Shared {
    /// Commits, together with whatever else waits.
    async fn submit(&self, attempt: Attempt) -> Result<Versionstamp, Error> {
        let (answer, answered) = oneshot::channel();
        self.commits.send(Request { attempt, answer }).map_err(|_| error::closed())?;
        // The committer answers everything it takes; if it was killed nobody knows how far it got.
        answered.await.unwrap_or_else(|_| Err(Error::maybe_committed()))
    }
}

/// Opens the store at `url`: `postgres://user:password@host:port,host:port/database?sslmode=…&schema=…`.
///
/// Of several hosts the one that is primary is used, now and after each promotion. Tables are made in a fresh
/// database and kept in one that has them. The error says whether the server cannot be reached (retryable) or
/// which setting is wrong (fatal).
pub async fn open(
    url: &str,
    options: Options,
    clock: SharedClock,
    rng: SharedRng,
) -> Result<Arc<Postgres>, Error> {
    let connector = Connector::new(url)?;
    let sql = Arc::new(Sql::new(connector.schema.as_ref().unwrap_or(&options.schema))?);
    let patience = connector.longest_connect() + WAIT;
    tokio::time::timeout(patience, prepare(&connector, &sql)).await.map_err(|_| error::silent())??;
    let pool = pool(&connector, &sql, options.connections)?;
    let client = pool.get().await.map_err(|e| error::of_pool(&e))?;
    let head = Head::ask(&client, &sql.head).await?;
    drop(client);
    let known = Arc::new(Known::new(head.position));
    let stop = CancellationToken::new();
    let (commits, queue) = mpsc::unbounded_channel();
    let committer = Committer::new(pool.clone(), Arc::clone(&sql), Arc::clone(&known), clock);
    // Each of these tasks ends when the store is closed or dropped; the committer after its last commit.
    let committer = tokio::spawn(committer.run(queue, stop.clone()));
    let (watches, due) = Watches::new();
    let (watches_, known_) = (Arc::clone(&watches), Arc::clone(&known));
    let listener = Listener { connector, sql: Arc::clone(&sql), known: known_, watches: watches_, due };
    tokio::spawn(listener.run(stop.clone()));
    tokio::spawn(trim(pool.clone(), Arc::clone(&sql), rng, stop.clone()));
    let shared = Arc::new(Shared { pool, sql, known, watches, commits });
    Ok(Arc::new(Postgres { shared, stop, committer: tokio::sync::Mutex::new(Some(committer)) }))
}

/// Looks at the server and makes the tables, on a connection of its own.
async fn prepare(connector: &Connector, sql: &Sql) -> Result<(), Error> {
    let broken = |e: tokio_postgres::Error| error::harmless(&e);
    let (client, connection) = connector.config.connect(connector.tls.clone()).await.map_err(broken)?;
    let work = async {
        let settings =
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
                               current_setting('fsync')";
        let row = client.query_one(settings, &[]).await.map_err(broken)?;
        if row.get::<_, i32>(0) < OLDEST_SERVER {
            let version: &str = row.get(1);
            return Err(Error::fatal(format!("PostgreSQL {version} is too old: 15 or newer is needed")));
        }
        if row.get::<_, &str>(2) != "on" {
            tracing::warn!("PostgreSQL runs with fsync off: a power cut loses mail");
        }
        client.batch_execute(sql::SETTINGS).await.map_err(broken)?;
        sql.prepare_store(&client).await
    };
    // The connection's own error shows in the answers.
    tokio::select! {
        biased;
        done = work => done,
        _ = connection => Err(Error::unavailable("PostgreSQL: connection closed")),
    }
}

fn pool(connector: &Connector, sql: &Arc<Sql>, size: usize) -> Result<Pool, Error> {
    let manager = Manager::from_config(
        connector.config.clone(),
        connector.tls.clone(),
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    let sql = Arc::clone(sql);
    let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let sql = Arc::clone(&sql);
        Box::pin(async move {
            let prepared = async {
                client.batch_execute(sql::SETTINGS).await?;
                try_join_all(sql.for_reading().map(|statement| client.prepare_cached(statement))).await
            };
            prepared.await.map(drop).map_err(HookError::Backend)
        })
    });
    Pool::builder(manager)
        // The committer keeps one.
        .max_size(size.max(2) + 1)
        .timeouts(Timeouts {
            wait: Some(WAIT),
            create: Some(connector.longest_connect()),
            recycle: Some(WAIT),
        })
        // The connections used last are the warm ones.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .post_create(set_up)
        .build()
        .map_err(|e| Error::fatal(e.to_string()))
}

/// Removes from time to time what is too old to matter in the log.
async fn trim(pool: Pool, sql: Arc<Sql>, rng: SharedRng, stop: CancellationToken) {
    let spread = u64::try_from(TRIM.as_millis()).unwrap_or(u64::MAX);
    loop {
        let pause = TRIM + Duration::from_millis(rng.below(spread));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let trimmed = async {
            let client: Client = pool.get().await.map_err(|e| error::of_pool(&e))?;
            error::answered(client.execute(&sql.trim, &[])).await
        };
        if let Err(e) = trimmed.await {
            tracing::debug!(error = %e, "log of commits not trimmed");
        }
    }
}

impl Postgres {
    /// Asks the primary whether it is there and writable.
    pub async fn check(&self) -> Result<(), Error> {
        let client = self.shared.pool.get().await.map_err(|e| error::of_pool(&e))?;
        Head::ask(&client, &self.shared.sql.head).await.map(drop)
    }
}

impl Backend for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn begin(&self, _options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        Box::new(PostgresTransaction::new(Arc::clone(&self.shared)))
    }

    fn outcome_can_be_unknown(&self) -> bool {
        true
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        // A commit of nothing that takes this version, or the next one if that is above it.
        let attempt = Attempt { least_version: version, ..Attempt::default() };
        Box::pin(async move { self.shared.submit(attempt).await.map(drop) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.stop.cancel();
            if let Some(committer) = self.committer.lock().await.take() {
                // It ends by itself; that it panicked would have been said already.
                let _ = committer.await;
            }
            self.shared.pool.close();
            Ok(())
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
