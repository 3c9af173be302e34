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
//! - What is vital ([`kv::Priority`]) has connections and a committer of its own, like another process; what nobody waits for has
//!   a share of the connections (`lane`). All commits are made on a thread of their own (`apart`).
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
mod lane;
mod position;
mod session;
mod sql;
mod transaction;
mod watch;
mod window;

use committer::Committer;
use config::Connector;
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use futures::future::{BoxFuture, try_join_all};
use group::Attempt;
use kv::{Backend, BackendTransaction, Error, Priority, TransactionOptions};
use lane::{Common, Lane};
use position::{Head, Known};
use runtime::{Apart, CancellationToken, SharedClock, SharedRng};
use sql::Sql;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transaction::PostgresTransaction;
use watch::{Listener, Watches};

/// The oldest PostgreSQL that is supported, as `server_version_num`.
const OLDEST_SERVER: i32 = 15_00_00;

/// How long a transaction waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);

/// Connections for what is vital: what a node must say of itself, and what it looks at.
const VITAL: usize = 2;

/// How often the log is trimmed by each process; up to as much again is added by chance.
const TRIM: Duration = Duration::from_secs(5);

/// How the store is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The schema that holds the tables, unless the URL names one; a-z, 0-9 and _.
    pub schema: String,
    /// Most connections for transactions of this process; a quarter of them for those that nobody waits for. Each transaction
    /// holds one from its first read to its commit. Five more commit, listen, and are for what is vital.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { schema: "godwit".to_owned(), connections: 32 }
    }
}

/// An open store.
pub struct Postgres {
    ordinary: Arc<Lane>,
    vital: Arc<Lane>,
    stop: CancellationToken,
    committers: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// The servers and the database that `url` names, for people: without user and password. Nothing if it cannot be read.
pub fn place(url: &str) -> Option<String> {
    Connector::new(url).ok().map(|connector| connector.place())
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
    let size = options.connections.max(2);
    let ordinary = pool(&connector, &sql, size)?;
    let client = ordinary.get().await.map_err(|e| error::of_pool(&e))?;
    let head = Head::ask(&client, &sql.head).await?;
    drop(client);
    let known = Arc::new(Known::new(head.position));
    let stop = CancellationToken::new();
    let (watches, due) = Watches::new();
    let apart = Apart::start("postgres-commit").await;
    let apart = Arc::new(apart.map_err(|e| Error::unavailable(format!("no thread for commits: {e}")))?);
    let committer = || {
        let pool = pool(&connector, &sql, 1)?;
        Ok::<_, Error>(Committer::new(pool, Arc::clone(&sql), Arc::clone(&known), clock.clone()))
    };
    let (first, second, stopped) = (committer()?, committer()?, stop.clone());
    let ((commits, queue), (vital_commits, vital_queue)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    // These end when the store is closed or dropped, after their last commit.
    let committers = apart.spawn(async move {
        tokio::join!(first.run(queue, stopped.clone()), second.run(vital_queue, stopped));
    });
    let (sql_, known_, watches_) = (Arc::clone(&sql), Arc::clone(&known), Arc::clone(&watches));
    let common = Common { sql: sql_, known: known_, watches: watches_, apart };
    let ordinary = Arc::new(Lane::ordinary(common.clone(), ordinary, commits, size));
    let vital = Arc::new(Lane::vital(common, pool(&connector, &sql, VITAL)?, vital_commits));
    let listener = Listener { connector, sql: Arc::clone(&sql), known, watches, due };
    tokio::spawn(listener.run(stop.clone()));
    tokio::spawn(trim(ordinary.pool.clone(), sql, rng, stop.clone()));
    Ok(Arc::new(Postgres { ordinary, vital, stop, committers: tokio::sync::Mutex::new(Some(committers)) }))
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
        .max_size(size)
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
        let client = self.ordinary.client().await?;
        Head::ask(&client, &self.ordinary.common.sql.head).await.map(drop)
    }
}

impl Backend for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        let lane = if options.priority == Priority::Vital { &self.vital } else { &self.ordinary };
        Box::new(PostgresTransaction::new(Arc::clone(lane), options.priority == Priority::Background))
    }

    fn outcome_can_be_unknown(&self) -> bool {
        true
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        // A commit of nothing that takes this version, or the next one if that is above it.
        let attempt = Attempt { least_version: version, ..Attempt::default() };
        Box::pin(async move { self.ordinary.submit(attempt).await.map(drop) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.stop.cancel();
            if let Some(committers) = self.committers.lock().await.take() {
                // They end by themselves; that they panicked would have been said already.
                let _ = committers.await;
            }
            self.ordinary.pool.close();
            self.vital.pool.close();
            Ok(())
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
