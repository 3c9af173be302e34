//! What is counted.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Says what the metrics mean. Once per process.
pub fn describe() {
    describe_gauge!("membership_nodes", Unit::Count, "Nodes by what gossip thinks of them");
    describe_counter!("membership_sent_bytes_total", Unit::Bytes, "Gossip sent");
    describe_counter!("membership_received_bytes_total", Unit::Bytes, "Gossip received");
    describe_counter!("membership_datagrams_total", Unit::Count, "Datagrams of gossip sent");
    describe_counter!("membership_dropped_total", Unit::Count, "Datagrams and messages dropped, by reason");
}

pub(crate) fn sent(octets: usize) {
    counter!("membership_sent_bytes_total").increment(octets as u64);
    counter!("membership_datagrams_total").increment(1);
}

pub(crate) fn received(octets: usize) {
    counter!("membership_received_bytes_total").increment(octets as u64);
}

pub(crate) fn dropped(reason: &'static str) {
    counter!("membership_dropped_total", "reason" => reason).increment(1);
}

pub(crate) fn nodes(alive: usize, dead: usize) {
    gauge!("membership_nodes", "state" => "alive").set(alive as f64);
    gauge!("membership_nodes", "state" => "dead").set(dead as f64);
}
