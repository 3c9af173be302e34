//! What is counted.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::time::Duration;

/// Says what the metrics mean. Once per process.
pub fn describe() {
    describe_gauge!("ownership_held", Unit::Count, "Duties that this node works on, by kind");
    describe_gauge!("ownership_live_nodes", Unit::Count, "Nodes that have a lease");
    describe_counter!(
        "ownership_changes_total",
        Unit::Count,
        "Duties taken, adopted, given, lost; leases revoked"
    );
    describe_counter!("ownership_failures_total", Unit::Count, "Renewals and looks that failed");
    describe_histogram!("ownership_renewal_seconds", Unit::Seconds, "How long a renewal of the lease took");
}

pub(crate) fn changed(what: &'static str, count: usize) {
    if count > 0 {
        counter!("ownership_changes_total", "change" => what).increment(count as u64);
    }
}

pub(crate) fn failed(what: &'static str) {
    counter!("ownership_failures_total", "what" => what).increment(1);
}

pub(crate) fn renewed(took: Duration) {
    histogram!("ownership_renewal_seconds").record(took);
}

pub(crate) fn state(held: usize, live: usize) {
    gauge!("ownership_held").set(held as f64);
    gauge!("ownership_live_nodes").set(live as f64);
}
