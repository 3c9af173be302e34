//! What is counted.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Says what the metrics mean. Once per process.
pub fn describe() {
    describe_counter!("notify_sent_total", Unit::Count, "Accounts told to other nodes, by message");
    describe_counter!("notify_received_total", Unit::Count, "Accounts told by other nodes, by message");
    describe_counter!(
        "notify_dropped_total",
        Unit::Count,
        "Accounts not told, since a queue or table was full"
    );
    describe_gauge!(
        "notify_interests",
        Unit::Count,
        "Interests of nodes in accounts that this node remembers"
    );
    describe_histogram!(
        "notify_wake_seconds",
        Unit::Seconds,
        "From a commit on another node until its sessions here were woken"
    );
}

pub(crate) fn sent(message: &'static str, accounts: usize) {
    counter!("notify_sent_total", "message" => message).increment(accounts as u64);
}

pub(crate) fn received(message: &'static str, accounts: usize) {
    counter!("notify_received_total", "message" => message).increment(accounts as u64);
}

pub(crate) fn dropped(of: &'static str, accounts: usize) {
    if accounts > 0 {
        counter!("notify_dropped_total", "of" => of).increment(accounts as u64);
    }
}

pub(crate) fn interests(count: usize) {
    gauge!("notify_interests").set(count as f64);
}

pub(crate) fn woken(after: Duration) {
    histogram!("notify_wake_seconds").record(after);
}
