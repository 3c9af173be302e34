//! What a mailbox holds as RFC 8621 §2 counts it: emails that are seen, and their threads.

use std::collections::HashSet;
use std::sync::Arc;

use schema::SystemFlags;

use crate::{Error, Gathering, Listing, MailboxRef, Store};

/// Counts of a mailbox. What is marked `\Deleted` does not count (RFC 8621 §4.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// `totalEmails`
    pub emails: u64,
    /// `unreadEmails`: neither `\Seen` nor `\Draft`.
    pub unread_emails: u64,
    /// `totalThreads`
    pub threads: u64,
    /// `unreadThreads`: threads of which an unread email is in this mailbox.
    pub unread_threads: u64,
}

/// Rows read at once.
const ROWS: usize = 1_000;

impl Store {
    /// Counts what is in a mailbox: off what is remembered of it, brought up to date.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn tally(&self, at: MailboxRef) -> Result<Tally, Error> {
        if self.status(at).await?.exists == 0 {
            return Ok(Tally::default());
        }
        let listing = match self.listing(at).await? {
            Some(listing) => listing,
            None => self.gather(at).await?,
        };
        Ok(listing.tally())
    }

    /// Reads the rows of a mailbox, and remembers them if they are not too many.
    async fn gather(&self, at: MailboxRef) -> Result<Arc<Listing>, Error> {
        let mut gathering = Gathering::new(at, self.status(at).await?.highest_modseq);
        let mut from = Some(1);
        while let Some(first) = from {
            let page = self.messages(at, first..=u32::MAX, ROWS).await?;
            gathering.add(&page.rows);
            from = page.next;
        }
        let gathered = gathering.listing();
        self.remember(gathering);
        // What came while it was read is in what is remembered.
        Ok(self.listing(at).await?.unwrap_or(gathered))
    }
}

impl Listing {
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let (mut threads, mut unread) = (HashSet::new(), HashSet::new());
        for (thread, flags) in self.threads() {
            if flags.has(SystemFlags::DELETED) {
                continue;
            }
            tally.emails += 1;
            threads.insert(thread);
            if !flags.has(SystemFlags::SEEN) && !flags.has(SystemFlags::DRAFT) {
                tally.unread_emails += 1;
                unread.insert(thread);
            }
        }
        Tally { threads: threads.len() as u64, unread_threads: unread.len() as u64, ..tally }
    }
}
