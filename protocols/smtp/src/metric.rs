//! What the sessions count. Units are in the names.

use smtp_proto::Reply;

use crate::Role;

/// A message's end was read and answered.
pub(crate) fn message(role: Role, reply: &Reply, octets: u64) {
    let outcome = match reply.code / 100 {
        2 => "accepted",
        4 => "deferred",
        _ => "refused",
    };
    metrics::counter!("smtp_messages_total", "role" => role.as_str(), "outcome" => outcome).increment(1);
    if reply.is_positive() {
        metrics::counter!("smtp_message_bytes_total", "role" => role.as_str()).increment(octets);
    }
}

/// A command was refused.
pub(crate) fn refused(role: Role, reply: &Reply) {
    let class = if reply.is_transient() { "4yz" } else { "5yz" };
    metrics::counter!("smtp_refusals_total", "role" => role.as_str(), "class" => class).increment(1);
}

/// An authentication ended.
pub(crate) fn authentication(ok: bool) {
    let outcome = if ok { "ok" } else { "failed" };
    metrics::counter!("smtp_authentications_total", "outcome" => outcome).increment(1);
}
