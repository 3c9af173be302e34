//! What the store counts. The recorder must be installed before the store is opened.

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::time::Duration;

const GROUPS: &str = "godwit_embedded_groups_total";
const GROUP_TRANSACTIONS: &str = "godwit_embedded_group_transactions";
const GROUP_SECONDS: &str = "godwit_embedded_group_seconds";
const CHECKPOINTS: &str = "godwit_embedded_checkpoints_total";
const WAITS: &str = "godwit_embedded_index_waits_for_space";

/// Describes the metrics of this crate to the installed recorder.
pub fn describe() {
    describe_counter!(GROUPS, "Groups of transactions made durable, with one fsync each");
    describe_histogram!(GROUP_TRANSACTIONS, "Transactions in a group");
    describe_histogram!(GROUP_SECONDS, "Time to make a group durable, in seconds");
    describe_counter!(CHECKPOINTS, "Memory tables applied to the index");
    describe_gauge!(WAITS, "1 while the index waits for space on a full disk, else 0");
}

/// Handles of the committing thread.
pub(crate) struct Groups {
    count: Counter,
    transactions: Histogram,
    seconds: Histogram,
}

impl Groups {
    pub(crate) fn new() -> Self {
        Groups {
            count: counter!(GROUPS),
            transactions: histogram!(GROUP_TRANSACTIONS),
            seconds: histogram!(GROUP_SECONDS),
        }
    }

    /// A group of so many transactions is durable after `elapsed`.
    pub(crate) fn record(&self, transactions: usize, elapsed: Duration) {
        self.count.increment(1);
        self.transactions.record(transactions as f64);
        self.seconds.record(elapsed.as_secs_f64());
    }
}

/// A memory table was applied to the index.
pub(crate) fn checkpoint() {
    counter!(CHECKPOINTS).increment(1);
}

/// The index begins or ends to wait for space.
pub(crate) fn waits_for_space(waits: bool) {
    gauge!(WAITS).set(if waits { 1.0 } else { 0.0 });
}
