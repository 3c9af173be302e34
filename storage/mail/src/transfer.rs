//! COPY and MOVE of any number of messages: pages of [`Store::copy`] and [`Store::move_`], and what becomes of them when
//! one fails.
//!
//! A COPY that fails leaves the target as it was (RFC 9051 §6.4.7): room is looked for before the first page, and what
//! was copied before a later page failed is taken back. One deviation: when the process dies between two pages, or the
//! store stays away while they are taken back, the copies made so far stay. UIDs that were given out stay given out.
//!
//! A MOVE that fails leaves each message in one of the two mailboxes (RFC 6851 §3.3).

use changes::Kinds;
use schema::{SystemFlags, Uid};

use crate::copy::{Copied, PAGE};
use crate::{Error, MailboxRef, Store, UidSet, expunge, mailbox, quota};

/// Rows read at once when sizes are added up.
const ROWS: usize = 1_000;

impl Store {
    /// Copies messages, all or none. UIDs that are not there are passed over.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a mailbox, [`Error::OverQuota`], [`Error::LimitReached`]; else the store's.
    pub async fn copy_all(&self, from: MailboxRef, uids: &UidSet, to: MailboxRef) -> Result<Copied, Error> {
        if uids.len() as usize > PAGE {
            self.look_for_room(from, uids, to).await?;
        }
        let (copied, outcome) = self.page_by_page(from, uids, to, false).await;
        let Err(error) = outcome else { return Ok(copied) };
        let mut made: Vec<Uid> = copied.pairs.iter().filter_map(|(_, new)| Uid::new(*new)).collect();
        while !made.is_empty() {
            match self.take_back(to, &made).await {
                Ok(left) => made.retain(|uid| left.is_some_and(|left| *uid >= left)),
                // Whoever asked for the copy is told why that failed.
                Err(_) => break,
            }
        }
        Err(error)
    }

    /// Moves messages, as many as it can: those that were moved, and what kept it from the others. UIDs that are not
    /// there are passed over.
    pub async fn move_all(
        &self,
        from: MailboxRef,
        uids: &UidSet,
        to: MailboxRef,
    ) -> (Copied, Result<(), Error>) {
        self.page_by_page(from, uids, to, true).await
    }

    async fn page_by_page(
        &self,
        from: MailboxRef,
        uids: &UidSet,
        to: MailboxRef,
        and_remove: bool,
    ) -> (Copied, Result<(), Error>) {
        let (mut all, mut uids) = (Copied::default(), uids.clone());
        loop {
            match self.transfer(from, &uids, to, and_remove).await {
                Ok(page) => {
                    all.uid_validity = page.uid_validity;
                    all.modseq = all.modseq.max(page.modseq);
                    all.pairs.extend(page.pairs);
                    let Some(next) = page.next else { return (all, Ok(())) };
                    uids = uids.intersection(&UidSet::from_ranges([next..=u32::MAX]));
                }
                Err(error) => return (all, Err(error)),
            }
        }
    }

    /// Fails if not all fit into the target. Each page looks again: this is only so that most COPYs that must fail do
    /// so before they begin.
    async fn look_for_room(&self, from: MailboxRef, uids: &UidSet, to: MailboxRef) -> Result<(), Error> {
        let usage = self.usage(to.account).await?;
        if usage.octets_limit.is_none() && usage.messages_limit.is_none() {
            return Ok(());
        }
        let (mut octets, mut messages) = (0, 0);
        let (mut next, last) = (uids.first(), uids.last().unwrap_or(0));
        while let Some(first) = next.filter(|first| *first <= last) {
            let page = self.messages(from, first..=last, ROWS).await?;
            for row in page.rows.iter().filter(|row| uids.contains(row.uid)) {
                octets += row.size;
                messages += 1;
            }
            next = page.next;
        }
        self.db
            .read("mail.room", |txn| async move { quota::check_in(&txn, to.account, octets, messages).await })
            .await
    }

    /// Removes some copies that were made; returns the first that is left.
    async fn take_back(&self, to: MailboxRef, made: &[Uid]) -> Result<Option<Uid>, Error> {
        let page = made.get(..PAGE).unwrap_or(made);
        let ((gone, left), version) = self
            .db
            .transact_versioned("mail.take_back", |txn| async move {
                mailbox::record_in(&txn, to).await?;
                expunge::remove_in(self, &txn, to, page, SystemFlags::NONE).await
            })
            .await?;
        if !gone.is_empty() {
            self.tell(to.account, &[to.mailbox], version, Kinds::EXPUNGE);
        }
        Ok(left.or_else(|| made.get(page.len()).copied()))
    }
}
