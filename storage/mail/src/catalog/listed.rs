//! Emails and threads by their ids, off a catalogue: it has all that rows say of an email but its body.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{AccountId, EmailId, Flags, MailboxId, ThreadId};

use super::columns::MANY;
use super::follow::Followed;
use super::{Catalog, Remembered, RowSet};
use crate::emails::THREAD;
use crate::{Error, Store};

/// The name under which rows in the order of their ids are kept.
const BY_ID: &str = "id";

/// An email as a catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<'c> {
    /// Which.
    pub id: EmailId,
    /// Its thread.
    pub thread: ThreadId,
    /// Octets.
    pub size: u64,
    /// When it came, seconds since the epoch.
    pub received: i64,
    /// The mailboxes that it is seen in.
    pub mailboxes: Vec<MailboxId>,
    /// All flags that it has where it is seen.
    pub flags: &'c Flags,
}

impl Catalog {
    /// Emails by their ids, those that are there, in the order asked for. None if the catalogue does not know how large one of
    /// them is.
    pub fn listed(&self, wanted: &[EmailId]) -> Option<Vec<Option<Listed<'_>>>> {
        let ids = self.ids();
        let order = self.in_order(
            BY_ID,
            |a, b| ids[a as usize].cmp(&ids[b as usize]),
            || {
                let mut rows: Vec<u32> = (0..ids.len()).filter_map(|row| u32::try_from(row).ok()).collect();
                rows.sort_by_key(|row| ids[*row as usize]);
                rows
            },
        );
        let mut all = Vec::with_capacity(wanted.len());
        for id in wanted {
            let place = order.binary_search_by_key(id, |row| ids[*row as usize]).ok();
            let listed = place.map(|place| self.at(order[place] as usize));
            if listed.as_ref().is_some_and(|one| one.size == u64::from(u32::MAX)) {
                return None;
            }
            all.push(listed);
        }
        Some(all)
    }

    /// The email of a row.
    fn at(&self, row: usize) -> Listed<'_> {
        let columns = &self.columns;
        let mailboxes = match columns.places[row] {
            MANY => {
                let mut all: Vec<MailboxId> = columns.copies(row).iter().map(|(at, _)| *at).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
            one => vec![MailboxId(one)],
        };
        Listed {
            id: columns.ids[row],
            thread: columns.thread_ids[columns.threads[row] as usize],
            size: columns.sizes[row].into(),
            received: columns.received[row],
            mailboxes,
            flags: &columns.flags.sets[columns.sets[row] as usize],
        }
    }

    /// The emails of threads, of those that have some: the oldest first, by their ids where they came at once (RFC 8621 §3).
    /// None if a thread has more than [`Store::threads`] tells.
    pub fn in_threads(&self, wanted: &[ThreadId]) -> Option<BTreeMap<ThreadId, Vec<EmailId>>> {
        let mut numbers = RowSet::none(self.thread_count());
        let known = wanted.iter().filter_map(|thread| self.thread_number(*thread));
        known.for_each(|number| numbers.insert(number as usize));
        let rows = RowSet::of(self.threads(), |number| numbers.contains(*number as usize));
        let mut found: BTreeMap<ThreadId, Vec<EmailId>> = BTreeMap::new();
        for row in rows.iter() {
            let thread = self.columns.thread_ids[self.columns.threads[row] as usize];
            found.entry(thread).or_default().push(self.columns.ids[row]);
        }
        found.values().all(|emails| emails.len() <= THREAD).then_some(found)
    }
}

impl Store {
    /// The account's catalogue as it is now, if there is one already that is brought up to date in one step: to make one, or to
    /// catch up with much, is not worth it to who asks for some emails.
    ///
    /// # Errors
    /// The store's.
    pub async fn catalog_at_hand(&self, account: AccountId) -> Result<Option<Arc<Remembered>>, Error> {
        let Some(one) = self.catalogs.0.get(&account) else { return Ok(None) };
        let known = one.whole_as_of();
        if known.is_some() && known == Some(self.state(account).await?) {
            return Ok(Some(one));
        }
        // Who fills it, or brings it up to date, is not waited for.
        let Some(_turn) = one.turn.try_lock() else { return Ok(None) };
        let Some(since) = one.as_of() else { return Ok(None) };
        let followed = self.follow_once(account, &one, since).await?;
        Ok((followed == Some(Followed::All)).then(|| Arc::clone(&one)))
    }
}
