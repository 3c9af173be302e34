//! Emails of an account that match a text, wherever they lie: for who asks about all mailboxes at once.

use futures::future::{BoxFuture, FutureExt};
use mail::{Email, MailboxRef, MessageRow};
use runtime::SharedClock;
use schema::{AccountId, EmailId, Flags, MailboxId, ModSeq};

use crate::plan::Ledger;
use crate::scan::{PAGE, matching};
use crate::{Budget, EmailHits, Error, Filter, SearchIndex, Spending};

/// Where and at what cost is searched.
pub struct EmailQuery<'a> {
    /// The mail store.
    pub store: &'a mail::Store,
    /// What may know the words.
    pub index: &'a dyn SearchIndex,
    /// Whose mail.
    pub account: AccountId,
    /// The most it may cost.
    pub budget: Budget,
    /// Time.
    pub clock: SharedClock,
}

impl EmailQuery<'_> {
    /// Those of the emails that match a text filter, or all of several; the emails are in order, and so is the answer.
    ///
    /// # Errors
    /// [`Error::Budget`] when it would cost too much; else the store's.
    pub async fn search(&self, within: &[EmailId], filter: &Filter) -> Result<Vec<EmailId>, Error> {
        let ledger = Ledger::new(Spending::new(self.budget, self.clock.clone()));
        self.found(within.to_vec(), filter, &ledger).await
    }

    fn found<'b>(
        &'b self,
        within: Vec<EmailId>,
        filter: &'b Filter,
        ledger: &'b Ledger,
    ) -> BoxFuture<'b, Result<Vec<EmailId>, Error>> {
        async move {
            if let Filter::And(filters) = filter {
                let mut left = within;
                for filter in filters {
                    left = self.found(left, filter, ledger).await?;
                }
                return Ok(left);
            }
            let hits = self.index.emails(self.account, filter, within.len()).await?;
            let (mut found, open) = match hits {
                Some(EmailHits { sure, maybe }) => {
                    let there = |hits: &[EmailId]| {
                        within.iter().filter(|email| hits.binary_search(email).is_ok()).copied().collect()
                    };
                    (there(&sure), there(&maybe))
                }
                None => (Vec::new(), within),
            };
            // What an email says is the same in every mailbox.
            let at = MailboxRef { account: self.account, mailbox: MailboxId(0) };
            for page in open.chunks(PAGE) {
                let emails = self.store.emails(self.account, page).await?;
                let rows: Vec<MessageRow> = emails.iter().map(row_of).collect();
                let those = matching(self.store, at, &rows, filter, ledger).await?;
                found.extend(those.into_iter().map(|row| row.email));
            }
            found.sort_unstable();
            found.dedup();
            Ok(found)
        }
        .boxed()
    }
}

/// As if it lay somewhere.
fn row_of(email: &Email) -> MessageRow {
    MessageRow {
        uid: 0,
        modseq: ModSeq::default(),
        email: email.id,
        thread: email.thread,
        flags: Flags::none(),
        internal_date: email.received,
        save_date: email.received,
        size: email.size,
        blob: email.blob,
    }
}
