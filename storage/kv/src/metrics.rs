//! What the retry loop counts. Every metric carries the transaction's name as `name`.

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::time::Duration;

const TRANSACTIONS: &str = "godwit_kv_transactions_total";
const ATTEMPTS: &str = "godwit_kv_transaction_attempts_total";
const CONFLICTS: &str = "godwit_kv_transaction_conflicts_total";
const UNKNOWN: &str = "godwit_kv_unknown_outcomes_total";
const SECONDS: &str = "godwit_kv_transaction_seconds";
const BYTES: &str = "godwit_kv_commit_bytes";

/// Describes the metrics of this crate to the installed recorder.
pub fn describe() {
    describe_counter!(TRANSACTIONS, "Transactions that came to an end, by outcome (ok, domain, store)");
    describe_counter!(ATTEMPTS, "Attempts to run a transaction");
    describe_counter!(CONFLICTS, "Attempts that ended in a conflict with another transaction");
    describe_counter!(UNKNOWN, "Commits whose answer was lost");
    describe_histogram!(SECONDS, "Time from the first attempt to the end, in seconds");
    describe_histogram!(BYTES, "Size of committed transactions, in bytes");
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Ok,
    /// By its closure.
    Domain,
    /// By an error of the store.
    Store,
}

/// What happened from the first attempt of a transaction to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) attempts: u64,
    pub(crate) conflicts: u64,
    pub(crate) unknown: u64,
    /// Size of the committed transaction; `None` if it wrote nothing.
    pub(crate) bytes: Option<usize>,
}

/// The metrics by transaction name. They are looked up in the recorder at a name's first use: it must be
/// installed before the database is opened.
#[derive(Default)]
pub(crate) struct Metrics {
    by_name: RwLock<HashMap<&'static str, Handles>>,
}

struct Handles {
    ok: Counter,
    domain: Counter,
    store: Counter,
    attempts: Counter,
    conflicts: Counter,
    unknown: Counter,
    seconds: Histogram,
    bytes: Histogram,
}

impl Metrics {
    /// Records the end of the transaction `name`.
    pub(crate) fn record(&self, name: &'static str, tally: &Tally, outcome: Outcome, elapsed: Duration) {
        if let Some(handles) = self.by_name.read().get(name) {
            return handles.record(tally, outcome, elapsed);
        }
        let handles = Handles::new(name);
        handles.record(tally, outcome, elapsed);
        self.by_name.write().insert(name, handles);
    }
}

impl Handles {
    fn new(name: &'static str) -> Self {
        Handles {
            ok: counter!(TRANSACTIONS, "name" => name, "outcome" => "ok"),
            domain: counter!(TRANSACTIONS, "name" => name, "outcome" => "domain"),
            store: counter!(TRANSACTIONS, "name" => name, "outcome" => "store"),
            attempts: counter!(ATTEMPTS, "name" => name),
            conflicts: counter!(CONFLICTS, "name" => name),
            unknown: counter!(UNKNOWN, "name" => name),
            seconds: histogram!(SECONDS, "name" => name),
            bytes: histogram!(BYTES, "name" => name),
        }
    }

    fn record(&self, tally: &Tally, outcome: Outcome, elapsed: Duration) {
        let ended = match outcome {
            Outcome::Ok => &self.ok,
            Outcome::Domain => &self.domain,
            Outcome::Store => &self.store,
        };
        ended.increment(1);
        self.attempts.increment(tally.attempts);
        self.seconds.record(elapsed.as_secs_f64());
        if tally.conflicts > 0 {
            self.conflicts.increment(tally.conflicts);
        }
        if tally.unknown > 0 {
            self.unknown.increment(tally.unknown);
        }
        if let Some(bytes) = tally.bytes {
            self.bytes.record(bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, memory};
    use metrics_exporter_prometheus::PrometheusBuilder;

    /// What a scrape shows after `run`.
    fn scraped(run: impl Future<Output = ()>) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        metrics::with_local_recorder(&recorder, || runtime.block_on(run));
        handle.render()
    }

    #[test]
    fn transactions_are_counted_by_name() {
        let text = scraped(async {
            let db = memory::database();
            for _ in 0..3 {
                let write = db.transact("append", |txn| async move {
                    txn.set(b"k", &[0; 100]);
                    Ok::<_, Error>(())
                });
                write.await.unwrap();
            }
            let runs = std::sync::atomic::AtomicU32::new(0);
            let conflicted = db.read("poll", |_| {
                let first = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                async move { if first { Err(Error::conflict()) } else { Ok(()) } }
            });
            conflicted.await.unwrap();
            db.read("broken", |_| async { Err::<(), _>(Error::fatal("disk")) }).await.unwrap_err();
        });
        let has = |line: &str| assert!(text.lines().any(|l| l.starts_with(line)), "{line}\n{text}");
        has(r#"godwit_kv_transactions_total{name="append",outcome="ok"} 3"#);
        has(r#"godwit_kv_transaction_attempts_total{name="poll"} 2"#);
        has(r#"godwit_kv_transaction_conflicts_total{name="poll"} 1"#);
        has(r#"godwit_kv_transactions_total{name="broken",outcome="store"} 1"#);
        has(r#"godwit_kv_commit_bytes_count{name="append"} 3"#);
        has(r#"godwit_kv_transaction_seconds_count{name="poll"} 1"#);
    }
}
