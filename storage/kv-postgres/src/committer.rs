//! The one task of a process that commits.
//!
//! Transactions that wait are committed together, as one transaction of PostgreSQL in two round trips:
//!
//! 1. `BEGIN`, the advisory lock of the store, and under it: the version, what others committed since we
//!    looked last (from the log), and the values that atomic operations work on.
//! 2. After the check of each transaction ([`crate::group`]): the rows, a row of the log, a notification for
//!    watches, `COMMIT`.
//!
//! The lock is given back by the server when the commit is durable (on the synchronous standbys too, where
//! there are any) and visible. So versions are given in the order in which commits become visible, across all
//! processes, and a snapshot that holds a version holds all lower ones.
//!
//! Crash points: before `COMMIT` is sent nothing is applied, and the server gives the lock to the next one as
//! soon as it notices, at the latest when `idle_in_transaction_session_timeout` is over. From there to the
//! answer the outcome is unknown; the next attempt of whoever asked waits behind the lock and then sees it.

use crate::error;
use crate::group::{Attempt, Now, Plan, plan};
use crate::position::{Head, Known, Position};
use crate::session;
use crate::sql::{self, SHORT_KEY, Sql};
use crate::watch;
use crate::window::{Window, WriteSet};
use bytes::Bytes;
use deadpool_postgres::{Client, Pool};
use futures::future::{join_all, try_join_all};
use kv::{Error, ErrorKind, Versionstamp};
use runtime::{CancellationToken, SharedClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Most transactions in a group.
const GROUP: usize = 256;

/// Bytes after which a group is closed.
const GROUP_BYTES: usize = 8 << 20;

/// How long the second round trip may take, the disk and the standby included.
const APPLY: Duration = Duration::from_secs(10);

/// A transaction and who waits for it.
pub(crate) struct Request {
    pub(crate) attempt: Attempt,
    pub(crate) answer: oneshot::Sender<Result<Versionstamp, Error>>,
}

pub(crate) struct Committer {
    pool: Pool,
    sql: Arc<Sql>,
    known: Arc<Known>,
    clock: SharedClock,
    /// A connection of its own, kept.
    client: Option<Client>,
    window: Window,
    /// The window holds everything up to here.
    seen: Position,
}

/// What the first round trip found.
struct Found {
    head: Head,
    log: Vec<Row>,
    values: BTreeMap<Bytes, Bytes>,
}

impl Committer {
    pub(crate) fn new(pool: Pool, sql: Arc<Sql>, known: Arc<Known>, clock: SharedClock) -> Self {
        let seen = known.get();
        Committer { pool, sql, known, clock, client: None, window: Window::new(seen.version), seen }
    }

    /// Commits what comes until all senders are gone or `stop` is called; what has come by then is committed.
    pub(crate) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Request>, stop: CancellationToken) {
        let mut group = Vec::new();
        loop {
            let first = tokio::select! {
                first = queue.recv() => first,
                () = stop.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut bytes = first.attempt.size();
            group.push(first);
            while group.len() < GROUP && bytes < GROUP_BYTES {
                let Ok(next) = queue.try_recv() else { break };
                bytes += next.attempt.size();
                group.push(next);
            }
            self.commit(std::mem::take(&mut group)).await;
        }
    }

    async fn commit(&mut self, group: Vec<Request>) {
        let attempts: Vec<&Attempt> = group.iter().map(|request| &request.attempt).collect();
        let mut outcomes = self.try_commit(&attempts).await;
        // What is wrong with one of them must not fail the others.
        if attempts.len() > 1 && outcomes.as_ref().is_err_and(|e| e.kind() == ErrorKind::Fatal) {
            let mut alone = Vec::new();
            for attempt in &attempts {
                alone.push(self.try_commit(&[attempt]).await.and_then(|mut one| {
                    one.pop().unwrap_or_else(|| Err(Error::fatal("a commit without an outcome")))
                }));
            }
            outcomes = Ok(alone);
        }
        let outcomes = outcomes.unwrap_or_else(|e| vec![Err(e); attempts.len()]);
        for (request, outcome) in group.into_iter().zip(outcomes) {
            // Who does not wait any more does not want to know.
            let _ = request.answer.send(outcome);
        }
    }

    async fn try_commit(&mut self, attempts: &[&Attempt]) -> Result<Vec<Result<Versionstamp, Error>>, Error> {
        let client = self.connected().await?;
        // Whatever fails, the connection is not used again: its transaction ends with it.
        let plan = match self.commit_on(&client, attempts).await {
            Ok(plan) => plan,
            Err(e) => {
                tracing::debug!(error = %e, "commit failed");
                return Err(e);
            }
        };
        self.client = Some(client);
        let now = self.clock.monotonic();
        if let Some((version, _)) = plan.commits.last() {
            self.seen.version = *version;
            self.known.observe(self.seen);
        }
        for (version, writes) in plan.commits {
            self.window.record(version, writes, now);
        }
        self.window.forget(now);
        Ok(plan.outcomes)
    }

    async fn commit_on(&mut self, client: &Client, attempts: &[&Attempt]) -> Result<Plan, Error> {
        let since = self.since(attempts);
        let found = self.lock(client, since, attempts).await?;
        self.catch_up(since, &found)?;
        let now = Now { position: found.head.position, window: &self.window, values: &found.values };
        let plan = plan(attempts, &now);
        if plan.commits.is_empty() {
            error::answered(client.batch_execute("ROLLBACK")).await?;
            return Ok(plan);
        }
        let applied = tokio::time::timeout(APPLY, self.apply(client, &plan, &found.head)).await;
        applied.unwrap_or_else(|_| Err(Error::maybe_committed()))?;
        Ok(plan)
    }

    async fn connected(&mut self) -> Result<Client, Error> {
        if let Some(client) = self.client.take().filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let client = self.pool.get().await.map_err(|e| error::of_pool(&e))?;
        let prepare = self.sql.for_committing().map(|statement| client.prepare_cached(statement));
        error::answered(try_join_all(prepare)).await?;
        error::answered(client.batch_execute(sql::COMMITTER_SETTINGS)).await?;
        Ok(client)
    }

    /// The version from which on the log is needed: what is in the window need not be read again, nor what
    /// all transactions have in their snapshots.
    fn since(&self, attempts: &[&Attempt]) -> u64 {
        let oldest = attempts.iter().filter_map(|attempt| attempt.base).map(|base| base.version).min();
        oldest.unwrap_or_default().max(self.seen.version)
    }

    async fn lock(&self, client: &Client, since: u64, attempts: &[&Attempt]) -> Result<Found, Error> {
        let keys: Vec<&[u8]> =
            attempts.iter().flat_map(|attempt| attempt.operands()).map(|k| &k[..]).collect();
        let since = signed(since)?;
        let ask = async {
            let lock = client.prepare_cached(&self.sql.lock).await?;
            let head = client.prepare_cached(&self.sql.head).await?;
            let log = client.prepare_cached(&self.sql.log_since).await?;
            let values = client.prepare_cached(&self.sql.get_many).await?;
            let log = async { client.query(&log, &[&since]).await };
            let values = async {
                if keys.is_empty() { Ok(Vec::new()) } else { client.query(&values, &[&keys]).await }
            };
            // Sent in this order, without a wait in between.
            futures::try_join!(
                client.batch_execute(sql::BEGIN_COMMIT),
                client.execute(&lock, &[]),
                client.query_one(&head, &[]),
                log,
                values
            )
        };
        let ((), _, head, log, values) = error::answered(ask).await?;
        let values = session::rows(&values)?.into_iter().collect();
        Ok(Found { head: Head::read(&head)?, log, values })
    }

    /// Brings the window up to the version under the lock.
    fn catch_up(&mut self, since: u64, found: &Found) -> Result<(), Error> {
        let position = found.head.position;
        // Committed and visible, though perhaps to nobody in this process before.
        self.known.observe(position);
        if position.timeline != self.seen.timeline || position.version < self.seen.version {
            // Another primary: nothing that was read before is of use.
            self.window = Window::new(position.version);
            self.seen = position;
            return Ok(());
        }
        if since > self.seen.version {
            self.window = Window::new(since);
        }
        let (mut at, now) = (since, self.clock.monotonic());
        for row in &found.log {
            let previous = unsigned(row, 1)?;
            if previous > at {
                // The log has been trimmed meanwhile.
                self.window = Window::new(previous);
            }
            for (version, writes) in WriteSet::decode(session::column(row, 2)?)? {
                self.window.record(version, writes, now);
            }
            at = unsigned(row, 0)?;
        }
        self.seen = position;
        Ok(())
    }

    /// The second round trip. Everything is sent at once; an error of a statement makes `COMMIT` roll back.
    async fn apply(&self, client: &Client, plan: &Plan, head: &Head) -> Result<(), Error> {
        let mut log = Vec::new();
        plan.commits.iter().for_each(|(version, writes)| writes.encode(*version, &mut log));
        let last = plan.commits.last().map_or(head.position.version, |(version, _)| *version);
        let (last, previous) = (signed(last)?, signed(head.position.version)?);
        let payload = watch::payload(plan.commits.iter().map(|(_, writes)| writes));
        let rows = Rows::of(plan, head);
        let mut steps = rows.steps(&self.sql);
        steps.push((&self.sql.append_log, vec![&last, &previous, &log]));
        steps.push((&self.sql.notify, vec![&self.sql.channel, &payload]));
        // All are prepared before the first is sent, so that nothing comes in between and their order stays.
        let prepare = steps.iter().map(|(statement, _)| client.prepare_cached(statement));
        let statements = try_join_all(prepare).await.map_err(|e| error::harmless(&e))?;
        let send =
            statements.iter().zip(&steps).map(|(statement, (_, values))| client.execute(statement, values));
        let (results, committed) = futures::join!(join_all(send), client.batch_execute("COMMIT"));
        for result in &results {
            result.as_ref().map_err(error::before_commit)?;
        }
        committed.map_err(|e| error::of_commit(&e))
    }
}

type Values<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// The effects as arrays, by table.
#[derive(Default)]
struct Rows<'a> {
    begins: Vec<&'a [u8]>,
    ends: Vec<&'a [u8]>,
    clear_long_ranges: bool,
    short: Table<'a>,
    long: Table<'a>,
}

#[derive(Default)]
struct Table<'a> {
    clears: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
}

impl<'a> Rows<'a> {
    fn of(plan: &'a Plan, head: &Head) -> Self {
        let mut rows = Rows { clear_long_ranges: head.has_long, ..Rows::default() };
        for (begin, end) in plan.effects.cleared.iter() {
            rows.begins.push(begin);
            rows.ends.push(end);
        }
        plan.effects.clears().for_each(|key| rows.table(key).clears.push(key));
        for (key, value) in plan.effects.puts() {
            let table = rows.table(key);
            table.keys.push(key);
            table.values.push(value);
        }
        rows
    }

    fn table(&mut self, key: &[u8]) -> &mut Table<'a> {
        if key.len() > SHORT_KEY { &mut self.long } else { &mut self.short }
    }

    /// The statements that are needed: ranges are cleared before keys are written.
    fn steps<'r>(&'r self, sql: &'r Sql) -> Vec<(&'r String, Values<'r>)> {
        let mut steps: Vec<(&String, Values<'_>)> = Vec::new();
        let ranges = !self.begins.is_empty();
        if ranges {
            steps.push((&sql.clear_ranges, vec![&self.begins, &self.ends]));
        }
        if ranges && self.clear_long_ranges {
            steps.push((&sql.clear_ranges_long, vec![&self.begins, &self.ends]));
        }
        let tables =
            [(&self.short, &sql.clear_keys, &sql.put), (&self.long, &sql.clear_keys_long, &sql.put_long)];
        for (table, clear, put) in tables {
            if !table.clears.is_empty() {
                steps.push((clear, vec![&table.clears]));
            }
            if !table.keys.is_empty() {
                steps.push((put, vec![&table.keys, &table.values]));
            }
        }
        steps
    }
}

fn signed(version: u64) -> Result<i64, Error> {
    i64::try_from(version).map_err(|_| Error::fatal("version out of range"))
}

fn unsigned(row: &Row, column: usize) -> Result<u64, Error> {
    let version: i64 = row.try_get(column).map_err(|e| error::harmless(&e))?;
    u64::try_from(version).map_err(|_| Error::fatal("version out of range"))
}
