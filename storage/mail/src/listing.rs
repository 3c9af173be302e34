//! What a whole mailbox's UIDs, flags and mod-sequences are, remembered.
//!
//! Clients ask for them all each time they open a mailbox (`FETCH 1:* (UID FLAGS)`); rows hold far more than that.
//! A listing is of one moment and is never trusted: each use compares its moment with HIGHESTMODSEQ in a transaction
//! of its own and applies what the log says has changed since. So it can be too old, and never wrong.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use moka::sync::Cache;
use schema::{EmailId, Flags, ModSeq, ThreadId};

use crate::since::Delta;
use crate::{Error, MailboxRef, MessageRow, Store, UidSet};

/// Bytes of all listings that are remembered, and of the largest one.
const REMEMBERED: u64 = 64 << 20;
const LARGEST: usize = 32 << 20;

/// UID, flags and mod-sequence of every message of a mailbox, of one moment.
#[derive(Debug, Clone)]
pub struct Listing {
    as_of: ModSeq,
    /// By UID.
    rows: Vec<Brief>,
    sets: Vec<Flags>,
    numbers: HashMap<Flags, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Brief {
    uid: u32,
    /// Which of the sets of flags.
    set: u32,
    modseq: ModSeq,
    thread: ThreadId,
    email: EmailId,
}

/// Listings of many mailboxes; those not used for long make room.
#[derive(Clone)]
pub(crate) struct Listings(Cache<MailboxRef, Arc<Listing>>);

impl Listings {
    pub(crate) fn new() -> Self {
        let weight = |_: &MailboxRef, listing: &Arc<Listing>| {
            u32::try_from(listing.bytes().max(256)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(REMEMBERED).weigher(weight).build())
    }
}

impl Listing {
    /// Messages with UIDs in a range, in order.
    pub fn range(&self, uids: RangeInclusive<u32>) -> impl Iterator<Item = (u32, ModSeq, &Flags)> {
        let start = self.rows.partition_point(|row| row.uid < *uids.start());
        let end = self.rows.partition_point(|row| row.uid <= *uids.end());
        let rows = self.rows.get(start..end).unwrap_or_default();
        rows.iter().filter_map(|row| Some((row.uid, row.modseq, self.sets.get(row.set as usize)?)))
    }

    /// Thread and flags of each message.
    pub(crate) fn threads(&self) -> impl Iterator<Item = (ThreadId, &Flags)> {
        self.rows.iter().filter_map(|row| Some((row.thread, self.sets.get(row.set as usize)?)))
    }

    /// The UIDs of those of the emails that are there; these are in order.
    pub(crate) fn uids_of(&self, emails: &[EmailId]) -> UidSet {
        let mut at = 0;
        let there = |row: &&Brief| {
            at = seek(emails, at, row.email);
            emails.get(at) == Some(&row.email)
        };
        self.rows.iter().filter(there).map(|row| row.uid).collect()
    }

    fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Brief>()
    }

    /// Adds or replaces a message.
    fn put(&mut self, row: &MessageRow) {
        let set = self.number(&row.flags);
        let brief = Brief { uid: row.uid, set, modseq: row.modseq, thread: row.thread, email: row.email };
        if self.rows.last().is_none_or(|last| last.uid < row.uid) {
            self.rows.push(brief);
            return;
        }
        match self.rows.binary_search_by_key(&row.uid, |known| known.uid) {
            Ok(at) => self.rows[at] = brief,
            Err(at) => self.rows.insert(at, brief),
        }
    }

    fn number(&mut self, flags: &Flags) -> u32 {
        if let Some(number) = self.numbers.get(flags) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(flags.clone());
        self.numbers.insert(flags.clone(), number);
        number
    }

    fn apply(&mut self, delta: &Delta) {
        if !delta.vanished.is_empty() {
            self.rows.retain(|row| !delta.vanished.contains(row.uid));
        }
        delta.changed.iter().for_each(|row| self.put(row));
        self.as_of = delta.as_of;
    }
}

/// Where the first is that is not below `wanted`. It is mostly near `from`, since emails and UIDs come in one order.
fn seek(emails: &[EmailId], from: usize, wanted: EmailId) -> usize {
    let below = |at: usize| emails.get(at).is_some_and(|email| *email < wanted);
    if from > 0 && !below(from - 1) {
        return emails[..from].partition_point(|email| *email < wanted);
    }
    let (mut low, mut step) = (from, 1);
    while below(low + step) {
        low += step;
        step *= 2;
    }
    let end = (low + step).min(emails.len());
    low + emails[low..end].partition_point(|email| *email < wanted)
}

/// Gathers a listing from pages of rows that are read anyway, each of its own moment.
pub struct Gathering {
    at: MailboxRef,
    listing: Listing,
}

impl Gathering {
    /// For a mailbox whose UIDs are known as of a moment. What changes after it is applied at the first use.
    pub fn new(at: MailboxRef, as_of: ModSeq) -> Self {
        let (rows, sets, numbers) = Default::default();
        Self { at, listing: Listing { as_of, rows, sets, numbers } }
    }

    /// Adds a page of rows, read after that moment. Every one of those UIDs that still is there is to be added.
    pub fn add(&mut self, rows: &[MessageRow]) {
        rows.iter().for_each(|row| self.listing.put(row));
    }

    /// What was gathered so far.
    pub(crate) fn listing(&self) -> Arc<Listing> {
        Arc::new(self.listing.clone())
    }
}

impl Store {
    /// The mailbox's listing as it is now; none if it is not remembered.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn listing(&self, at: MailboxRef) -> Result<Option<Arc<Listing>>, Error> {
        let Some(known) = self.listings.0.get(&at) else { return Ok(None) };
        let since = known.as_of;
        let delta = self.since(at, since).await?;
        if delta.as_of == since {
            return Ok(Some(known));
        }
        if delta.resync {
            self.listings.0.invalidate(&at);
            return Ok(None);
        }
        let mut listing = Listing::clone(&known);
        listing.apply(&delta);
        let listing = Arc::new(listing);
        self.listings.0.insert(at, Arc::clone(&listing));
        Ok(Some(listing))
    }

    /// Remembers what was gathered, unless it is too large.
    pub fn remember(&self, mut gathering: Gathering) {
        gathering.listing.rows.shrink_to_fit();
        if gathering.listing.bytes() <= LARGEST {
            self.listings.0.insert(gathering.at, Arc::new(gathering.listing));
        }
    }
}

impl UidSet {
    /// Whether a listing of so many messages would be remembered.
    pub fn is_listable(&self) -> bool {
        self.len() as usize * size_of::<Brief>() <= LARGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_found_in_any_order() {
        let emails: Vec<EmailId> = (0..50).map(|n| EmailId(n * 3)).collect();
        for from in 0..=emails.len() {
            for wanted in (0..160).map(EmailId) {
                let first = emails.partition_point(|email| *email < wanted);
                assert_eq!(seek(&emails, from, wanted), first, "{wanted:?} from {from}");
            }
        }
        assert_eq!(seek(&[], 0, EmailId(1)), 0);
    }
}
