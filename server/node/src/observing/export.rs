//! The same as metrics.

use admin::cluster::{Code, Health, State, Status};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};

/// Says what the metrics mean. Once per process.
pub(crate) fn describe() {
    describe_gauge!(
        "health_status",
        Unit::Count,
        "0 green, 1 yellow, 2 red, as /cluster/health of this node says"
    );
    describe_gauge!("health_reasons", Unit::Count, "Reasons why the status is not green, by code");
    describe_gauge!("cluster_members", Unit::Count, "Nodes by state");
    describe_gauge!("cluster_duties_orphaned", Unit::Count, "Duties that nobody works on");
    describe_gauge!("cluster_level", Unit::Count, "The feature level in force, and the one that is possible");
    describe_gauge!("membership_phi", Unit::Count, "How suspicious a node's silence is, by node");
    describe_gauge!("queue_waiting", Unit::Count, "Entries that wait in this node's slots, up to 200 a slot");
    describe_gauge!("queue_late_seconds", Unit::Seconds, "How long the oldest entry has been due");
    describe_histogram!("store_probe_seconds", Unit::Seconds, "One read of the store");
    describe_gauge!("store_up", Unit::Count, "Whether the last read of the store was answered");
    describe_gauge!("changes_since_look_seconds", Unit::Seconds, "Since changes of others were looked for");
    describe_gauge!("net_connections", Unit::Count, "Clients that are connected");
    describe_gauge!("net_connections_most", Unit::Count, "Clients that may be connected");
    describe_gauge!("data_free_bytes", Unit::Bytes, "Room on the disk of the data directory");
    describe_gauge!("data_size_bytes", Unit::Bytes, "Size of the disk of the data directory");
    describe_gauge!("certificate_expires_seconds", Unit::Seconds, "When a certificate ends, since the epoch");
    describe_histogram!(
        "mail_probe_seconds",
        Unit::Seconds,
        "From the submission of a probe until it was read"
    );
    describe_counter!("mail_probe_failures_total", Unit::Count, "Probes that did not arrive");
}

/// Tells of what was seen.
pub(super) fn health(health: &Health) {
    let seen = &health.observed;
    let status = match health.status {
        Status::Green => 0.0,
        Status::Yellow => 1.0,
        Status::Red => 2.0,
    };
    gauge!("health_status").set(status);
    for code in Code::ALL {
        let count = health.reasons.iter().filter(|reason| reason.code == code).count();
        gauge!("health_reasons", "code" => code.name()).set(count as f64);
    }
    for state in [State::Joining, State::Online, State::Draining, State::Down] {
        let count = seen.members.iter().filter(|member| member.state == state).count();
        gauge!("cluster_members", "state" => state.name()).set(count as f64);
    }
    for member in &seen.members {
        if let Some(phi) = member.phi {
            gauge!("membership_phi", "peer" => member.name.clone()).set(phi);
        }
    }
    if let Some(level) = seen.level {
        gauge!("cluster_level", "which" => "current").set(level.current);
        gauge!("cluster_level", "which" => "possible").set(level.possible);
    }
    gauge!("cluster_duties_orphaned").set(seen.duties.orphans);
    gauge!("queue_waiting").set(seen.queue.waiting as f64);
    let late = seen.queue.oldest_due.map_or(0, |due| (seen.time - due).max(0));
    gauge!("queue_late_seconds").set(late as f64 / 1000.0);
    gauge!("store_up").set(if seen.store.error.is_none() { 1.0 } else { 0.0 });
    gauge!("changes_since_look_seconds").set(seen.changes.since_look.unwrap_or(0) as f64 / 1000.0);
    gauge!("net_connections").set(seen.connections.open as f64);
    gauge!("net_connections_most").set(seen.connections.most as f64);
    if let Some(disk) = &seen.disk {
        gauge!("data_free_bytes").set(disk.free as f64);
        gauge!("data_size_bytes").set(disk.size as f64);
    }
    for certificate in &seen.certificates {
        let whose = if certificate.internal { "nodes" } else { "clients" };
        gauge!("certificate_expires_seconds", "for" => whose).set(certificate.expires as f64 / 1000.0);
    }
}
