//! All statements, and the tables they work on.
//!
//! ```text
//! kv        key (at most 2,000 bytes), value                     every ordinary row
//! kv_long   SHA-256 of the key, its first 2,000 bytes, key, value   rows whose key no B-tree can hold whole
//! log       version of a group's last commit, of the group before it, time, what each commit wrote
//! store     layout version of these tables
//! ```
//!
//! `bytea` compares as unsigned bytes, whatever the collation of the database is.

use kv::Error;
use tokio_postgres::Client;

/// The layout that this program reads and writes.
const LAYOUT: i32 = 1;

/// Longest key in the table `kv`. A B-tree's entry can be 2,704 bytes long.
pub(crate) const SHORT_KEY: usize = 2_000;

/// First half of the keys of our advisory locks ("godw").
const LOCK: i32 = 0x676F_6477;

/// Every connection runs with these.
///
/// Plans are made once and always walk an index: nothing here is ever better served by another one, and tables
/// that have just been created have no statistics. The timeouts end what a node left behind that has died or
/// stands still: one that holds the lock of commits would else hold up all others.
pub(crate) const SETTINGS: &str = "
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET lock_timeout = '5s'; SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '8s';
    SET client_min_messages = error; SET search_path = pg_catalog;
    SELECT set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// The committer's connection is inside of a transaction for two round trips, never for longer.
pub(crate) const COMMITTER_SETTINGS: &str = "SET idle_in_transaction_session_timeout = '1s'";

/// Reads see one snapshot and take no locks. What they conflict with is decided at commit.
pub(crate) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Each statement sees what was committed before it: what comes after the lock sees all of the last holder.
pub(crate) const BEGIN_COMMIT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// The statements, with the schema's name in them.
pub(crate) struct Sql {
    schema: String,
    /// Version, timeline, and whether there are long keys.
    pub(crate) head: String,
    pub(crate) get: String,
    pub(crate) get_long: String,
    pub(crate) get_many: String,
    pub(crate) page: String,
    pub(crate) page_reverse: String,
    pub(crate) page_long: String,
    pub(crate) page_long_reverse: String,
    pub(crate) lock: String,
    pub(crate) log_since: String,
    pub(crate) clear_ranges: String,
    pub(crate) clear_ranges_long: String,
    pub(crate) clear_keys: String,
    pub(crate) clear_keys_long: String,
    pub(crate) put: String,
    pub(crate) put_long: String,
    pub(crate) append_log: String,
    pub(crate) notify: String,
    pub(crate) trim: String,
    pub(crate) listen: String,
    pub(crate) channel: String,
}

impl Sql {
    pub(crate) fn new(schema: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty() || schema.len() > 40 || !schema.chars().all(plain) {
            return Err(Error::fatal(format!("schema name {schema:?}: use a-z, 0-9 and _ only")));
        }
        let s = format!("\"{schema}\"");
        Ok(Sql {
            head: format!(
                "SELECT coalesce((SELECT version FROM {s}.log ORDER BY version DESC LIMIT 1), 0::bigint),
                        left(pg_walfile_name(pg_current_wal_lsn()), 8),
                        EXISTS (SELECT FROM {s}.kv_long)"
            ),
            get: format!("SELECT value FROM {s}.kv WHERE key = $1"),
            get_long: format!("SELECT value FROM {s}.kv_long WHERE digest = sha256($1)"),
            get_many: format!(
                "SELECT key, value FROM {s}.kv WHERE key = ANY ($1)
                 UNION ALL SELECT key, value FROM {s}.kv_long
                 WHERE digest = ANY (ARRAY (SELECT sha256(k) FROM unnest($1::bytea[]) k))"
            ),
            page: page(&format!("{s}.kv"), "", ""),
            page_reverse: page(&format!("{s}.kv"), "", "DESC"),
            page_long: page(&format!("{s}.kv_long"), HEAD_BOUNDS, ""),
            page_long_reverse: page(&format!("{s}.kv_long"), HEAD_BOUNDS, "DESC"),
            lock: format!("SELECT pg_advisory_xact_lock({LOCK}, '{s}.log'::regclass::oid::int4)"),
            log_since: format!(
                "SELECT version, previous, writes FROM {s}.log WHERE version > $1 ORDER BY version"
            ),
            clear_ranges: format!(
                "DELETE FROM {s}.kv USING unnest($1::bytea[], $2::bytea[]) AS r (a, z)
                 WHERE key >= r.a AND key < r.z"
            ),
            clear_ranges_long: format!(
                "DELETE FROM {s}.kv_long USING unnest($1::bytea[], $2::bytea[]) AS r (a, z)
                 WHERE head >= substr(r.a, 1, {SHORT_KEY}) AND head <= substr(r.z, 1, {SHORT_KEY})
                   AND key >= r.a AND key < r.z"
            ),
            clear_keys: format!("DELETE FROM {s}.kv WHERE key = ANY ($1)"),
            clear_keys_long: format!(
                "DELETE FROM {s}.kv_long WHERE digest = ANY (ARRAY (SELECT sha256(k) FROM unnest($1::bytea[]) k))"
            ),
            put: format!(
                "INSERT INTO {s}.kv (key, value) SELECT * FROM unnest($1::bytea[], $2::bytea[])
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            put_long: format!(
                "INSERT INTO {s}.kv_long (digest, head, key, value)
                 SELECT sha256(k), substr(k, 1, {SHORT_KEY}), k, v FROM unnest($1::bytea[], $2::bytea[]) t (k, v)
                 ON CONFLICT (digest) DO UPDATE SET value = excluded.value"
            ),
            append_log: format!("INSERT INTO {s}.log (version, previous, writes) VALUES ($1, $2, $3)"),
            notify: "SELECT pg_notify($1, $2)".to_owned(),
            // The newest row stays: it holds the version. By the server's own clock.
            trim: format!(
                "DELETE FROM {s}.log WHERE version < (SELECT max(version) FROM {s}.log)
                 AND at < clock_timestamp() - interval '15 seconds'"
            ),
            listen: format!("LISTEN \"godwit_{schema}\""),
            channel: format!("godwit_{schema}"),
            schema: s,
        })
    }

    /// What every connection that reads will ask.
    pub(crate) fn for_reading(&self) -> [&str; 4] {
        [&self.head, &self.get, &self.page, &self.page_reverse]
    }

    /// What the committer asks.
    pub(crate) fn for_committing(&self) -> [&str; 9] {
        [
            &self.head,
            &self.lock,
            &self.log_since,
            &self.get_many,
            &self.clear_ranges,
            &self.clear_keys,
            &self.put,
            &self.append_log,
            &self.notify,
        ]
    }

    /// Makes the tables if they are absent; keeps those that are there.
    pub(crate) async fn prepare_store(&self, client: &Client) -> Result<(), Error> {
        let broken = |e: tokio_postgres::Error| crate::error::harmless(&e);
        // Of several nodes that start at once one makes the tables.
        client
            .batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}, 0)"))
            .await
            .map_err(broken)?;
        let made = self.prepare_locked(client).await;
        let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.batch_execute(end).await;
        made?;
        ended.map_err(broken)
    }

    async fn prepare_locked(&self, client: &Client) -> Result<(), Error> {
        let broken = |e: tokio_postgres::Error| crate::error::harmless(&e);
        let s = &self.schema;
        let exists = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&format!("{s}.store")]).await;
        if exists.map_err(broken)?.get(0) {
            let layout =
                client.query_one(&format!("SELECT layout FROM {s}.store"), &[]).await.map_err(broken)?;
            return match layout.get::<_, i32>(0) {
                LAYOUT => Ok(()),
                other => Err(Error::fatal(format!(
                    "the store in schema {s} has layout {other}; this program knows layout {LAYOUT}"
                ))),
            };
        }
        client.batch_execute(&tables(s)).await.map_err(|e| {
            Error::fatal(format!(
                "cannot make the store's tables in schema {s} (may the user create it? GRANT CREATE ON DATABASE …): {}",
                crate::error::describe(&e)
            ))
        })
    }
}

/// The part of `kv_long` that can hold keys of a range, by what its index knows.
const HEAD_BOUNDS: &str = "head >= substr($1::bytea, 1, 2000) AND head <= substr($2::bytea, 1, 2000) AND";

/// A page: at most $3 rows, ending with the one that reaches $4 bytes. Rows behind that one are looked at, but
/// their values are neither fetched nor sent.
fn page(table: &str, and: &str, direction: &str) -> String {
    format!(
        "SELECT key, value FROM (
             SELECT key, value,
                    sum(octet_length(key) + octet_length(value)) OVER
                        (ORDER BY key {direction} ROWS UNBOUNDED PRECEDING)
                    - octet_length(key) - octet_length(value) AS before
             FROM {table} WHERE {and} key >= $1 AND key < $2
             ORDER BY key {direction} LIMIT $3) AS p
         WHERE before < $4"
    )
}

/// Values are kept as they are: bodies are compressed before they come here, and little else is large. Room is
/// left in each page for counters to change in place.
fn tables(s: &str) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS {s};
         CREATE TABLE {s}.kv (key bytea PRIMARY KEY, value bytea NOT NULL)
             WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
         ALTER TABLE {s}.kv ALTER COLUMN key SET STORAGE PLAIN, ALTER COLUMN value SET STORAGE EXTERNAL;
         CREATE TABLE {s}.kv_long (digest bytea PRIMARY KEY, head bytea NOT NULL, key bytea NOT NULL,
             value bytea NOT NULL);
         CREATE INDEX ON {s}.kv_long (head);
         CREATE TABLE {s}.log (version bigint PRIMARY KEY, previous bigint NOT NULL,
             at timestamptz NOT NULL DEFAULT clock_timestamp(), writes bytea NOT NULL)
             WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
                   autovacuum_analyze_scale_factor = 1);
         CREATE TABLE {s}.store (layout int NOT NULL);
         INSERT INTO {s}.store VALUES ({LAYOUT})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        assert!(Sql::new("godwit_2").is_ok());
        for name in ["", "Mail", "a b", "a\"; DROP", &"x".repeat(41)] {
            assert!(Sql::new(name).is_err(), "{name}");
        }
    }
}
