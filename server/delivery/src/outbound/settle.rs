//! The end of an attempt: what became of each recipient is recorded, and the sender told, in one transaction.
//!
//! An attempt that was made has to be recorded, or its message is sent again. So this does not give up while the
//! slot is ours: it comes back until the store takes it, and if it is the notification that cannot be written, what
//! has failed is put off and told of the next time.

use bytes::Bytes;
use content_mail::build::Action;
use kv::TransactError;
use runtime::Timestamp;
use spool::Outcome;

use super::attempt::Attempt;
use super::outcome::{count, put_off, reports};
use super::runner::{caught, pause};
use crate::Error;
use crate::commit::deliver_own_in;
use crate::report::{self, Notice, Report, Subject};

/// What an attempt is settled with.
struct Settlement<'a> {
    outcomes: &'a [(usize, Outcome)],
    /// When what is left is due.
    next: Timestamp,
    reports: Vec<Report>,
}

impl Attempt<'_> {
    /// Records the outcomes. What is left is due again when the schedule says so, and not before `earliest`.
    ///
    /// # Errors
    ///
    /// The slot has another owner, who does what is left to do.
    pub(super) async fn settle(
        &self,
        outcomes: &[(usize, Outcome)],
        earliest: Option<Timestamp>,
        dsn: bool,
    ) -> Result<(), Error> {
        count(outcomes);
        let (entry, services) = (&self.claimed.entry, &self.runner.shared.services);
        let (now, schedule) = (services.clock.now(), &self.runner.options.schedule);
        let attempts = entry.recipients.iter().map(|r| r.attempts).max().unwrap_or_default() + 1;
        let later = (now + schedule.wait(attempts, &*services.rng)).max(earliest.unwrap_or(now));
        let late = !entry.delay_reported && now.since(entry.created) >= schedule.delay_notice;
        let settlement = Settlement {
            outcomes,
            next: later.min(entry.expires.max(now)),
            reports: reports(entry, outcomes, late, dsn),
        };
        loop {
            let record = self.runner.in_turn_to_record(self.record(&settlement));
            if self.is_settled(caught(Box::pin(record)).await)? {
                return Ok(());
            }
            let put_off = put_off(outcomes);
            let put_off = services.spool.settle(self.claimed, &put_off, later);
            let put_off = self.runner.in_turn_to_record(put_off).await;
            if self.is_settled(Some(put_off.map(drop).map_err(Error::from)))? {
                return Ok(());
            }
            pause(self.tenure.ending()).await;
            if self.tenure.ending().is_cancelled() {
                // The next owner finds the claim.
                return Ok(());
            }
        }
    }

    /// Whether that was the end of it.
    fn is_settled(&self, recorded: Option<Result<(), Error>>) -> Result<bool, Error> {
        let id = self.claimed.entry.id;
        match recorded {
            // Gone is gone.
            Some(Ok(()) | Err(Error::Spool(spool::Error::NotFound(_)))) => Ok(true),
            Some(Err(error)) if error.is_fenced() => Err(error),
            Some(Err(error)) => {
                tracing::error!(%error, %id, "attempt cannot be recorded now");
                Ok(false)
            }
            None => {
                tracing::error!(%id, "recording an attempt panicked");
                Ok(false)
            }
        }
    }

    async fn record(&self, settlement: &Settlement<'_>) -> Result<(), Error> {
        let Settlement { outcomes, next, reports } = settlement;
        let (claimed, services) = (self.claimed, &self.runner.shared.services);
        let told_of_delay = reports.iter().any(|r| r.action == Action::Delayed);
        let notice = if reports.is_empty() { None } else { Some(self.notice(reports).await?) };
        let notice = notice.as_ref();
        let (pending, version) = services
            .db
            .transact_versioned("delivery.settle", |txn| async move {
                services.spool.settle_in(&txn, claimed, outcomes, *next, told_of_delay).await?;
                match notice {
                    Some(notice) => {
                        deliver_own_in(&self.runner.shared, &txn, &claimed.entry.return_path, notice).await
                    }
                    None => Ok(Vec::new()),
                }
            })
            .await?;
        for pending in &pending {
            services.mail.committed(pending, version);
        }
        Ok(())
    }

    async fn notice(&self, reports: &[Report]) -> Result<Notice, Error> {
        let entry = &self.claimed.entry;
        let (octets, full) = report::extent(entry.ret, entry.size, reports);
        let original = self.original(octets).await?;
        let subject = Subject {
            return_path: &entry.return_path,
            envid: entry.envid.as_deref(),
            arrival: entry.created,
            original: &original,
            full: full && !original.is_empty(),
        };
        report::notice(&self.runner.shared, &subject, reports).await
    }

    /// The beginning of the message. One that cannot be read any more is told of without it.
    async fn original(&self, octets: u64) -> Result<Bytes, Error> {
        let entry = &self.claimed.entry;
        let blobs = self.runner.shared.services.mail.blobs();
        match blobs.read(entry.blob, 0..octets).await {
            Ok(original) => Ok(original),
            // The whole store is away: that passes.
            Err(error) if error.as_kv().is_some() => Err(error.into()),
            Err(error) => {
                tracing::error!(%error, id = %entry.id, "queued message cannot be read, notifying without it");
                Ok(Bytes::new())
            }
        }
    }
}
