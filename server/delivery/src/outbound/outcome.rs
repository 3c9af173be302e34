//! What a server's answer means for a recipient, and what of it the sender is to hear.

use content_mail::build::Action;
use runtime::Timestamp;
use spool::{Entry, Notify, Outcome, Reply};

use super::failure::Failure;
use crate::report::Report;

/// What a reply or failure means for a recipient. RFC 3463 X.4.7: what is still not sent when it expires has failed.
pub(super) fn outcome(result: Result<smtp_proto::Reply, Failure>, now: Timestamp, expired: bool) -> Outcome {
    match result {
        Ok(reply) => Outcome::Delivered(Reply {
            code: reply.code,
            enhanced: reply.status().to_string(),
            text: reply.lines().join(" "),
            host: String::new(),
            time: now,
        }),
        Err(failure) => {
            let enhanced =
                if expired && !failure.permanent { "4.4.7".to_owned() } else { failure.status.to_string() };
            let reply = Reply {
                code: failure
                    .diagnostic
                    .as_deref()
                    .and_then(|d| d.get(..3)?.parse().ok())
                    .unwrap_or_default(),
                enhanced,
                text: failure.diagnostic.unwrap_or(failure.text),
                host: failure.remote.unwrap_or_default(),
                time: now,
            };
            if failure.permanent || expired { Outcome::Failed(reply) } else { Outcome::Deferred(reply) }
        }
    }
}

/// The outcomes without what is final, but for what was delivered: the rest is tried again.
pub(super) fn put_off(outcomes: &[(usize, Outcome)]) -> Vec<(usize, Outcome)> {
    let put_off = |outcome: &Outcome| match outcome {
        Outcome::Delivered(reply) => Outcome::Delivered(reply.clone()),
        Outcome::Failed(reply) | Outcome::Deferred(reply) => Outcome::Deferred(reply.clone()),
    };
    outcomes.iter().map(|(number, outcome)| (*number, put_off(outcome))).collect()
}

/// Counts outcomes by their kind.
pub(super) fn count(outcomes: &[(usize, Outcome)]) {
    for (_, outcome) in outcomes {
        let label = match outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Failed(_) => "failed",
            Outcome::Deferred(_) => "deferred",
        };
        metrics::counter!("outbound_recipients_total", "outcome" => label).increment(1);
    }
}

/// What the sender is to hear of; nothing if there is none (RFC 5321 §4.5.5).
pub(super) fn reports(entry: &Entry, outcomes: &[(usize, Outcome)], late: bool, dsn: bool) -> Vec<Report> {
    if entry.return_path.is_empty() {
        return Vec::new();
    }
    let report = |(number, outcome): &(usize, Outcome)| {
        let recipient = entry.recipients.get(*number)?;
        let (action, reply) = match outcome {
            // RFC 3461 §5.2.1, §5.2.2: a server that speaks DSN got NOTIFY from us and tells the sender itself.
            Outcome::Delivered(reply) if !dsn && recipient.notify.0 & Notify::SUCCESS.0 != 0 => {
                (Action::Relayed, reply)
            }
            Outcome::Failed(reply) if recipient.notify.wants(Notify::FAILURE) => (Action::Failed, reply),
            Outcome::Deferred(reply) if late && recipient.notify.wants(Notify::DELAY) => {
                (Action::Delayed, reply)
            }
            _ => return None,
        };
        let delayed = action == Action::Delayed;
        Some(Report {
            address: recipient.address.clone(),
            original: recipient.orcpt.clone(),
            action,
            status: reply.enhanced.clone(),
            diagnostic: (reply.code != 0).then(|| reply.text.clone()),
            remote: Some(reply.host.clone()).filter(|h| !h.is_empty()),
            last_attempt: Some(reply.time.secs()),
            retry_until: delayed.then(|| entry.expires.secs()),
        })
    };
    outcomes.iter().filter_map(report).collect()
}
