//! The mail of removed accounts goes, in steps with pauses between them.

use std::time::Duration;

use mail::Step;
use runtime::{CancellationToken, SharedClock};
use schema::AccountId;

/// Removed accounts looked at in one run; further ones come next.
pub(crate) const RUN: usize = 1_000;

/// What purges work on.
#[derive(Clone)]
pub(crate) struct Purger {
    pub(crate) mail: mail::Store,
    pub(crate) clock: SharedClock,
    /// When to stop.
    pub(crate) end: CancellationToken,
}

impl Purger {
    /// Purges every removed account that there is, one by one, until it is to stop. One that cannot be purged keeps none
    /// of the others; its error is returned in the end.
    pub(crate) async fn run(&self) -> Result<(), mail::Error> {
        let jobs = self.mail.purges(None, RUN).await?;
        metrics::gauge!("mail_purges_pending").set(jobs.len() as f64);
        let (mut left, mut outcome) = (jobs.len(), Ok(()));
        for job in jobs {
            match self.purge(job.account).await {
                Ok(()) => left -= 1,
                Err(error) => outcome = Err(error),
            }
            if self.end.is_cancelled() {
                return Ok(());
            }
            metrics::gauge!("mail_purges_pending").set(left as f64);
        }
        outcome
    }

    async fn purge(&self, account: AccountId) -> Result<(), mail::Error> {
        loop {
            let begun = self.clock.monotonic();
            match self.mail.purge_step(account).await? {
                Step::Cleared { rows, emails, octets } => {
                    metrics::counter!("mail_purged_rows_total").increment(rows);
                    metrics::counter!("mail_purged_emails_total").increment(emails);
                    metrics::counter!("mail_purged_octets_total").increment(octets);
                }
                Step::Finished => {
                    metrics::counter!("mail_purges_finished_total").increment(1);
                    tracing::info!(%account, "mail of a removed account is gone");
                    return Ok(());
                }
                Step::Absent => return Ok(()),
            }
            if !self.pause(begun).await {
                return Ok(());
            }
        }
    }

    /// Waits for as long as the step took that began then: jobs take at most half of one writer's share, and less where
    /// the store is slow. False at the end.
    pub(crate) async fn pause(&self, begun: Duration) -> bool {
        let pause = self.clock.monotonic().saturating_sub(begun);
        tokio::select! {
            biased;
            () = self.end.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
