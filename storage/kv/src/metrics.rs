//! What the retry loop counts. Every metric carries the transaction's name as `name`.

use metrics::{counter, describe_counter, describe_histogram, histogram};
use std::time::Duration;

const TRANSACTIONS: &str = "godwit_kv_transactions_total";
const ATTEMPTS: &str = "godwit_kv_transaction_attempts_total";
const CONFLICTS: &str = "godwit_kv_transaction_conflicts_total";
const UNKNOWN: &str = "godwit_kv_unknown_outcomes_total";
const SECONDS: &str = "godwit_kv_transaction_seconds";
const BYTES: &str = "godwit_kv_commit_bytes";

/// Describes the metrics of this crate to the installed recorder.
pub fn describe() {
    describe_counter!(TRANSACTIONS, "Transactions that came to an end, by outcome (ok, domain, kv)");
    describe_counter!(ATTEMPTS, "Attempts to run a transaction");
    describe_counter!(CONFLICTS, "Attempts that ended in a conflict with another transaction");
    describe_counter!(UNKNOWN, "Commits whose outcome had to be settled by an idempotency token");
    describe_histogram!(SECONDS, "Time from the first attempt to the end, in seconds");
    describe_histogram!(BYTES, "Size of committed transactions, in bytes");
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

impl Tally {
    /// Records the end of the transaction `name`.
    pub(crate) fn record(&self, name: &'static str, outcome: &'static str, elapsed: Duration) {
        counter!(TRANSACTIONS, "name" => name, "outcome" => outcome).increment(1);
        counter!(ATTEMPTS, "name" => name).increment(self.attempts);
        histogram!(SECONDS, "name" => name).record(elapsed.as_secs_f64());
        if self.conflicts > 0 {
            counter!(CONFLICTS, "name" => name).increment(self.conflicts);
        }
        if self.unknown > 0 {
            counter!(UNKNOWN, "name" => name).increment(self.unknown);
        }
        if let Some(bytes) = self.bytes {
            histogram!(BYTES, "name" => name).record(bytes as f64);
        }
    }
}
