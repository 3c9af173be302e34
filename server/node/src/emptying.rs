//! The messages of deleted mailboxes go, in steps with pauses between them, as removed accounts do.

use mail::{MailboxRef, Step};

use crate::purge::{Purger, RUN};

impl Purger {
    /// Empties every deleted mailbox that there is, one by one, until it is to stop. One that cannot be emptied keeps none
    /// of the others; its error is returned in the end.
    pub(crate) async fn empty(&self) -> Result<(), mail::Error> {
        let jobs = self.mail.emptying(None, RUN).await?;
        metrics::gauge!("mail_emptying_pending").set(jobs.len() as f64);
        let (mut left, mut outcome) = (jobs.len(), Ok(()));
        for at in jobs {
            match self.empty_one(at).await {
                Ok(()) => left -= 1,
                Err(error) => outcome = Err(error),
            }
            if self.end.is_cancelled() {
                return Ok(());
            }
            metrics::gauge!("mail_emptying_pending").set(left as f64);
        }
        outcome
    }

    async fn empty_one(&self, at: MailboxRef) -> Result<(), mail::Error> {
        loop {
            let begun = self.clock.monotonic();
            match self.mail.empty_step(at).await? {
                Step::Cleared { emails, .. } => {
                    metrics::counter!("mail_emptied_messages_total").increment(emails);
                }
                Step::Finished | Step::Absent => return Ok(()),
            }
            if !self.pause(begun).await {
                return Ok(());
            }
        }
    }
}
