//! What is counted.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use schema::NodeId;

/// Says what the metrics mean. Once per process.
pub fn describe() {
    describe_histogram!(
        "rpc_call_seconds",
        Unit::Seconds,
        "Time of calls that were answered, by peer and message"
    );
    describe_counter!("rpc_calls_total", Unit::Count, "Calls made, by message and outcome");
    describe_counter!("rpc_answers_total", Unit::Count, "Calls of others, by outcome");
    describe_counter!("rpc_hints_total", Unit::Count, "Hints by what became of them");
    describe_counter!("rpc_connects_total", Unit::Count, "Connections tried, by outcome");
    describe_gauge!("rpc_connections", Unit::Count, "Connections that others have made");
    describe_gauge!("rpc_round_trip_seconds", Unit::Seconds, "QUIC's estimate of the round trip, by peer");
}

pub(crate) fn called(peer: NodeId, message: &'static str, outcome: &'static str, took: Duration) {
    counter!("rpc_calls_total", "message" => message, "outcome" => outcome).increment(1);
    if outcome == "ok" {
        histogram!("rpc_call_seconds", "peer" => peer.to_string(), "message" => message).record(took);
    }
}

pub(crate) fn answered(outcome: &'static str) {
    counter!("rpc_answers_total", "outcome" => outcome).increment(1);
}

pub(crate) fn hint(what: &'static str) {
    counter!("rpc_hints_total", "what" => what).increment(1);
}

pub(crate) fn connect(outcome: &'static str) {
    counter!("rpc_connects_total", "outcome" => outcome).increment(1);
}

pub(crate) fn connections(open: usize) {
    gauge!("rpc_connections").set(open as f64);
}

pub(crate) fn round_trip(peer: NodeId, time: Duration) {
    gauge!("rpc_round_trip_seconds", "peer" => peer.to_string()).set(time.as_secs_f64());
}
