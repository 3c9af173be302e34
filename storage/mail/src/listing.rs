//! What a whole mailbox's UIDs, flags and mod-sequences are, remembered.
//!
//! Clients ask for them all each time they open a mailbox (`FETCH 1:* (UID FLAGS)`); rows hold far more than that.
//! A listing is of one moment and is never trusted: each use compares its moment with HIGHESTMODSEQ in a transaction
//! of its own and applies what the log says has changed since. So it can be too old, and never wrong.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use moka::sync::Cache;
use schema::{EmailId, Flags, ModSeq, ThreadId};

use self::chunk::{Chunk, Row, Table};
use crate::since::Delta;
use crate::{Error, MailboxRef, MessageRow, Store, UidSet};

mod chunk;

/// Bytes of all listings that are remembered, and of the largest one.
const REMEMBERED: u64 = 64 << 20;
const LARGEST: usize = 32 << 20;

/// UID, flags and mod-sequence of every message of a mailbox, of one moment.
#[derive(Debug, Clone)]
pub struct Listing {
    as_of: ModSeq,
    /// By UID. One that is a moment newer shares most of them.
    chunks: Vec<Arc<Chunk>>,
    sets: Vec<Flags>,
    numbers: HashMap<Flags, u32>,
    /// The highest UID that it had, or one that it came of.
    highest: u32,
    lineage: Lineage,
    uids: OnceLock<UidSet>,
}

/// What listings of a mailbox have in common of which one came of the other: a UID that one of them has is in each that
/// came of it that of the same email, or of none, and UIDs that are new there are above all that there were.
#[derive(Debug, Clone, Default)]
pub struct Lineage(Arc<()>);

impl PartialEq for Lineage {
    fn eq(&self, other: &Lineage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Lineage {}

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
        let rows = self.chunks.iter().flat_map(move |chunk| chunk.range(&uids));
        rows.filter_map(|row| Some((row.uid, row.modseq, self.sets.get(row.set as usize)?)))
    }

    /// Thread and flags of each message.
    pub(crate) fn threads(&self) -> impl Iterator<Item = (ThreadId, &Flags)> {
        let rows = self.chunks.iter().flat_map(|chunk| chunk.rows());
        rows.filter_map(|row| Some((row.thread, self.sets.get(row.set as usize)?)))
    }

    /// The UIDs of those of the emails that are there; these are in order.
    pub fn uids_of(&self, emails: &[EmailId]) -> UidSet {
        let mut uids = Vec::with_capacity(emails.len());
        self.chunks.iter().for_each(|chunk| chunk.uids_of(emails, &mut uids));
        UidSet::from_ascending(&uids)
    }

    /// All UIDs of it.
    pub fn uids(&self) -> &UidSet {
        self.uids.get_or_init(|| UidSet::from_ranges(self.chunks.iter().flat_map(|chunk| chunk.runs())))
    }

    /// What it has in common with those that came of it.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Whether a message above a UID has an email between two.
    pub fn has_emails_between(&self, first: EmailId, last: EmailId, above: u32) -> bool {
        let after = self.chunks.partition_point(|chunk| chunk.last() <= above);
        let mut chunks = self.chunks[after..].iter().filter(|chunk| chunk.may_have_emails(first, last));
        chunks.any(|chunk| chunk.emails_above(above).any(|email| (first..=last).contains(&email)))
    }

    /// Visits messages whose emails are among these, each by the email's place and its own UID. These are in order, each once.
    pub fn each_of(&self, emails: &[EmailId], mut visit: impl FnMut(usize, u32)) {
        let (Some(low), Some(high)) = (emails.first(), emails.last()) else { return };
        let table = Table::of(emails);
        let chunks = self.chunks.iter().filter(|chunk| chunk.may_have_emails(*low, *high));
        chunks.for_each(|chunk| chunk.each_of(&table, &mut visit));
    }

    fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes()).sum()
    }

    /// Adds or replaces a message.
    fn put(&mut self, row: &MessageRow) {
        self.uids = OnceLock::new();
        let set = self.number(&row.flags);
        let row = Row { uid: row.uid, set, modseq: row.modseq, thread: row.thread, email: row.email };
        let is_newest = self.chunks.last().is_none_or(|chunk| chunk.last() < row.uid);
        if is_newest && self.chunks.last().is_none_or(|chunk| chunk.is_full()) {
            self.chunks.push(Arc::default());
        }
        let at = self.chunks.partition_point(|chunk| chunk.first() <= row.uid).saturating_sub(1);
        let at = if is_newest { self.chunks.len() - 1 } else { at };
        let is_same = self.chunks.get_mut(at).is_some_and(|chunk| Arc::make_mut(chunk).put(row));
        if !is_same && row.uid <= self.highest {
            self.lineage = Lineage::default();
        }
        self.highest = self.highest.max(row.uid);
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
        let gone = &delta.vanished;
        self.uids = OnceLock::new();
        for chunk in self.chunks.iter_mut().filter(|chunk| chunk.may_have(gone)) {
            Arc::make_mut(chunk).remove(gone);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        delta.changed.iter().for_each(|row| self.put(row));
        self.as_of = delta.as_of;
    }
}

/// Gathers a listing from pages of rows that are read anyway, each of its own moment.
pub struct Gathering {
    at: MailboxRef,
    listing: Listing,
}

impl Gathering {
    /// For a mailbox whose UIDs are known as of a moment. What changes after it is applied at the first use.
    pub fn new(at: MailboxRef, as_of: ModSeq) -> Self {
        let (chunks, sets, numbers, highest, lineage, uids) = Default::default();
        Self { at, listing: Listing { as_of, chunks, sets, numbers, highest, lineage, uids } }
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
    pub fn remember(&self, gathering: Gathering) {
        if gathering.listing.bytes() <= LARGEST {
            self.listings.0.insert(gathering.at, Arc::new(gathering.listing));
        }
    }
}

impl UidSet {
    /// Whether a listing of so many messages would be remembered.
    pub fn is_listable(&self) -> bool {
        self.len() as usize * chunk::ROW <= LARGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uid: u32, modseq: u64) -> MessageRow {
        MessageRow {
            uid,
            modseq: ModSeq(modseq),
            email: EmailId(u64::from(uid) * 2),
            thread: ThreadId(1),
            flags: Flags::none(),
            internal_date: 0,
            save_date: 0,
            size: 1,
            blob: schema::BlobHash([0; 32]),
        }
    }

    #[test]
    fn it_is_the_same_in_one_piece_or_many() {
        let at = MailboxRef { account: schema::AccountId(1), mailbox: schema::MailboxId(1) };
        let mut gathering = Gathering::new(at, ModSeq(1));
        gathering.add(&(1..=20_000).filter(|uid| uid % 7 != 0).map(|uid| row(uid, 1)).collect::<Vec<_>>());
        let known = gathering.listing();
        let mut listing = Listing::clone(&known);
        let changed = [3, 7, 12_000, 20_001].map(|uid| row(uid, 2)).to_vec();
        let vanished = UidSet::from_ranges([1..=2, 100..=15_000, 20_000..=20_000]);
        listing.apply(&Delta { as_of: ModSeq(2), changed, vanished, resync: false });
        let expected: Vec<u32> = (1..=20_001)
            .filter(|uid| {
                let is_left = (3..100).contains(uid) || (15_001..20_000).contains(uid);
                (is_left && uid % 7 != 0) || [3, 7, 12_000, 20_001].contains(uid)
            })
            .collect();
        assert!(listing.range(1..=u32::MAX).map(|row| row.0).eq(expected.iter().copied()));
        assert!(listing.range(0..=90_000).all(|(uid, modseq, _)| {
            modseq == ModSeq(if [3, 7, 12_000, 20_001].contains(&uid) { 2 } else { 1 })
        }));
        assert_eq!(
            listing.range(7..=15_002).count(),
            (7..100).filter(|uid| uid % 7 != 0).count() + [7, 12_000, 15_002].len()
        );
        let emails: Vec<EmailId> = (0..50_000).map(EmailId).collect();
        assert!(listing.uids_of(&emails).iter().eq(expected));
        assert!(listing.uids_of(&[4, 24, 30_003, 40_002].map(EmailId)).iter().eq([12, 20_001]));
        // Who has the older one still has it.
        assert_eq!(known.range(1..=u32::MAX).count(), (1..=20_000).filter(|uid| uid % 7 != 0).count());
        assert_eq!(known.range(20_001..=u32::MAX).count(), 0);
        assert_eq!((known.bytes(), chunk::ROW), (known.range(1..=u32::MAX).count() * 32, 32));
    }

    #[test]
    fn emails_have_places_and_what_came_of_a_listing_is_known() {
        let at = MailboxRef { account: schema::AccountId(1), mailbox: schema::MailboxId(1) };
        let mut gathering = Gathering::new(at, ModSeq(1));
        gathering.add(&(1..=9_000).filter(|uid| uid % 3 != 0).map(|uid| row(uid, 1)).collect::<Vec<_>>());
        let known = gathering.listing();
        assert!(known.uids().iter().eq((1..=9_000).filter(|uid| uid % 3 != 0)));
        let places = |listing: &Listing, emails: &[u64]| {
            let emails: Vec<EmailId> = emails.iter().copied().map(EmailId).collect();
            let mut places = Vec::new();
            listing.each_of(&emails, |at, uid| places.push((at, uid)));
            places
        };
        assert_eq!(places(&known, &[3, 4, 6, 10_000, 17_996, 90_000]), [(1, 2), (3, 5_000), (4, 8_998)]);
        assert!(places(&known, &[]).is_empty());

        // New ones above, changes and what is gone: the same lineage.
        let mut listing = Listing::clone(&known);
        let again = MessageRow { email: EmailId(4), ..row(9_001, 2) };
        let vanished = UidSet::from_ranges([2..=2, 8_998..=9_000]);
        listing.apply(&Delta { as_of: ModSeq(2), changed: vec![row(4, 2), again], vanished, resync: false });
        assert_eq!(listing.lineage(), known.lineage());
        assert_eq!(places(&listing, &[4, 17_996]), [(0, 9_001)]);
        assert_eq!((listing.uids().last(), known.uids().last()), (Some(9_001), Some(8_999)));
        let between = |first, last, above| listing.has_emails_between(EmailId(first), EmailId(last), above);
        assert!(between(4, 4, 9_000) && between(1, 9, 0) && !between(4, 4, 9_001) && !between(5, 9, 4));

        // One that came between, or is of another email: what was known of the UIDs is no longer right.
        for odd in [row(6, 3), MessageRow { email: EmailId(1), ..row(4, 3) }, row(9_000, 3), row(8_998, 3)] {
            let mut other = Listing::clone(&listing);
            let delta = Delta { as_of: ModSeq(3), changed: vec![odd], ..Delta::default() };
            other.apply(&delta);
            assert_ne!(other.lineage(), listing.lineage());
            assert!(other.uids().contains(delta.changed[0].uid));
        }
        assert_ne!(Gathering::new(at, ModSeq(1)).listing().lineage(), known.lineage());
    }
}
