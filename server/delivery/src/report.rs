//! What senders hear of their messages: notifications of RFC 3464, as messages of our own.

use std::sync::Arc;

use content_mail::build::{self, Action, Dsn, DsnRecipient, FULL_MAX, HEADER_MAX, Original};
use content_mail::notification::Notification;
use content_mail::{Limits, summarize};
use mail::Incoming;
use runtime::Timestamp;
use spool::Ret;

use crate::commit::Target;
use crate::{Error, Shared, notification};

/// What is told of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) address: String,
    pub(crate) original: Option<String>,
    pub(crate) action: Action,
    pub(crate) status: String,
    pub(crate) diagnostic: Option<String>,
    pub(crate) remote: Option<String>,
    pub(crate) last_attempt: Option<i64>,
    pub(crate) retry_until: Option<i64>,
}

impl Report {
    pub(crate) fn new(target: &Target, action: Action, status: &str) -> Self {
        Self {
            address: target.address.clone(),
            original: target.orcpt.clone(),
            action,
            status: status.to_owned(),
            diagnostic: None,
            remote: None,
            last_attempt: None,
            retry_until: None,
        }
    }
}

/// What a notification is about.
pub(crate) struct Subject<'a> {
    pub(crate) return_path: &'a str,
    pub(crate) envid: Option<&'a str>,
    pub(crate) arrival: Timestamp,
    /// The beginning of the message, or all of it.
    pub(crate) original: &'a [u8],
    /// Whether all of it is to be returned.
    pub(crate) full: bool,
}

/// How many octets of a message its notification returns, and whether they are to be all of it. RFC 3461 §4.3: RET is
/// for failures; a message that is too large is returned as its header, and never in part.
pub(crate) fn extent(ret: Ret, size: u64, reports: &[Report]) -> (u64, bool) {
    let full =
        ret == Ret::Full && size <= FULL_MAX as u64 && reports.iter().any(|r| r.action == Action::Failed);
    (size.min(if full { FULL_MAX } else { HEADER_MAX } as u64), full)
}

/// A notification, staged: with the trace field of a final delivery for here, without for elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) local: Incoming,
    pub(crate) relay: blob::Staged,
    /// Whether it has octets over 127.
    pub(crate) is_8bit: bool,
    /// What it tells of another message.
    pub(crate) tells: Option<Arc<Notification>>,
}

/// Writes and stages a notification.
pub(crate) async fn notice(
    shared: &Shared,
    subject: &Subject<'_>,
    reports: &[Report],
) -> Result<Notice, Error> {
    let services = &shared.services;
    let hostname = &shared.options.hostname;
    let recipients: Vec<DsnRecipient<'_>> = reports.iter().map(recipient).collect();
    let returned =
        if subject.full { Original::Full(subject.original) } else { Original::Header(subject.original) };
    let text = build::dsn(&Dsn {
        reporting: hostname,
        from: &format!("postmaster@{hostname}"),
        to: subject.return_path,
        message_id: &format!("{:016x}@{hostname}", services.rng.u64()),
        date: services.clock.now().secs(),
        arrival: Some(subject.arrival.secs()),
        envid: subject.envid,
        recipients: &recipients,
        original: returned,
    });
    let is_8bit = !text.is_ascii();
    let message = [build::return_path("").as_bytes(), &text].concat();
    let summary = Arc::new(summarize(&message, &Limits::default()));
    let blobs = services.mail.blobs();
    let local = Incoming { staged: blobs.stage(message.into()).await?, summary };
    let tells = notification::read(blobs, &local, true).await?;
    Ok(Notice { local, relay: blobs.stage(text.into()).await?, is_8bit, tells })
}

fn recipient(report: &Report) -> DsnRecipient<'_> {
    DsnRecipient {
        address: &report.address,
        original: report.original.as_deref(),
        action: report.action,
        status: &report.status,
        diagnostic: report.diagnostic.as_deref(),
        remote: report.remote.as_deref(),
        last_attempt: report.last_attempt,
        retry_until: report.retry_until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_returned_whole_or_as_its_header() {
        let target = Target { address: "a@b".into(), notify: spool::Notify(0), orcpt: None, loops: false };
        let failed = [Report::new(&target, Action::Failed, "5.0.0")];
        let delivered = [Report::new(&target, Action::Delivered, "2.0.0")];
        let (full, header) = (FULL_MAX as u64, HEADER_MAX as u64);
        assert_eq!(extent(Ret::Full, full, &failed), (full, true));
        assert_eq!(extent(Ret::Full, full + 1, &failed), (header, false));
        assert_eq!(extent(Ret::Full, full, &delivered), (header, false));
        assert_eq!(extent(Ret::Headers, 10, &failed), (10, false));
        assert_eq!(extent(Ret::Unspecified, full, &failed), (header, false));
    }
}
