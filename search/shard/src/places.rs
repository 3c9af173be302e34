//! Where in a mailbox the documents of segments lie, so that what a search finds in them becomes UIDs without a look at
//! each email.
//!
//! A table is of a segment, whose documents never change, and of the mailbox's listing: of that and of all that came of it
//! ([`Lineage`]). In these UIDs go and higher ones come, and none is of another email; so what a table says is right of
//! the UIDs that a listing still has, and it is made longer where one came that has an email of the segment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use index::FoundIn;
use mail::{Lineage, Listing, MailboxRef, UidBits, UidSet};
use moka::sync::Cache;
use query::Hits;
use schema::EmailId;

/// Bytes of all tables of a node.
const KEPT: u64 = 32 << 20;
/// So many emails are looked for in the listing sooner than a table is made.
const FEW: u32 = 8;
/// Where an account has less than one in so many documents of a segment, it has no table.
const SHARE: u32 = 8;
/// Not in the mailbox.
const NOWHERE: u32 = 0;

/// Of a segment: the UID of each document.
struct Table {
    lineage: Lineage,
    uids: Vec<u32>,
    /// Further UIDs of emails that lie there more than once.
    again: Vec<(u32, u32)>,
    /// The lowest and the highest UID.
    between: (u32, u32),
    /// The listing's UIDs are looked at up to this one.
    upto: AtomicU32,
    /// The lowest and the highest email.
    ends: Option<(EmailId, EmailId)>,
}

/// Tables that are kept.
#[derive(Clone)]
pub(crate) struct Places(Cache<(String, MailboxRef), Arc<Table>>);

/// What a segment has of a search in a mailbox: as UIDs, or as emails where there is no table.
#[derive(Default)]
pub(crate) struct Part {
    sure: Found,
    maybe: Found,
}

#[derive(Default)]
struct Found {
    uids: UidBits,
    emails: Vec<EmailId>,
}

impl Places {
    pub(crate) fn new() -> Places {
        let weight = |_: &(String, MailboxRef), table: &Arc<Table>| {
            u32::try_from(table.uids.len() * size_of::<u32>() + 256).unwrap_or(u32::MAX)
        };
        Places(Cache::builder().max_capacity(KEPT).weigher(weight).build())
    }

    /// What was found in a segment, in a mailbox.
    pub(crate) fn of(
        &self,
        at: MailboxRef,
        listing: &Listing,
        found: &FoundIn<'_>,
    ) -> Result<Part, index::Error> {
        Ok(match self.table(at, listing, found)? {
            Some(table) => {
                let uids = |sure| Found { uids: table.uids(found, sure), ..Found::default() };
                Part { sure: uids(true), maybe: uids(false) }
            }
            None => {
                let emails = |sure| Found { emails: found.emails(sure), ..Found::default() };
                Part { sure: emails(true), maybe: emails(false) }
            }
        })
    }

    /// That which is kept, or one that is made where it is worth it.
    fn table(
        &self,
        at: MailboxRef,
        listing: &Listing,
        found: &FoundIn<'_>,
    ) -> Result<Option<Arc<Table>>, index::Error> {
        let count = found.count(true) + found.count(false);
        if count == 0 {
            return Ok(None);
        }
        let key = (found.segment(), at);
        let known = self.0.get(&key).filter(|table| table.lineage == *listing.lineage());
        if let Some(table) = known.filter(|table| table.knows(listing)) {
            return Ok(Some(table));
        }
        if count <= FEW || found.of_account() < found.documents() / SHARE {
            return Ok(None);
        }
        let Some(table) = Table::of(listing, found)? else { return Ok(None) };
        let table = Arc::new(table);
        self.0.insert(key, Arc::clone(&table));
        Ok(Some(table))
    }
}

/// What all segments have, with emails that are to be looked at besides.
pub(crate) fn together(listing: &Listing, parts: Vec<Part>, besides: impl Iterator<Item = EmailId>) -> Hits {
    let (sure, maybe): (Vec<Found>, Vec<Found>) =
        parts.into_iter().map(|part| (part.sure, part.maybe)).unzip();
    let besides = Found { emails: besides.collect(), ..Found::default() };
    let sure = in_mailbox(listing, sure);
    let maybe = in_mailbox(listing, maybe.into_iter().chain([besides])).difference(&sure);
    Hits { sure, maybe }
}

fn in_mailbox(listing: &Listing, found: impl IntoIterator<Item = Found>) -> UidSet {
    let all = listing.uids();
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return UidSet::new() };
    let (mut bits, mut emails) = (UidBits::between(first, last, all.len() as usize), Vec::new());
    for mut part in found {
        bits.add(&part.uids);
        emails.append(&mut part.emails);
    }
    let uids = bits.finish().intersection(all);
    if emails.is_empty() {
        return uids;
    }
    emails.sort();
    emails.dedup();
    uids.union(&listing.uids_of(&emails))
}

impl Table {
    /// None where an email is there twice.
    fn of(listing: &Listing, found: &FoundIn<'_>) -> Result<Option<Table>, index::Error> {
        let mut all = found.all()?;
        all.sort_unstable();
        if all.windows(2).any(|two| two[0].0 == two[1].0) {
            return Ok(None);
        }
        let emails: Vec<EmailId> = all.iter().map(|(email, _)| *email).collect();
        let (mut uids, mut again) = (vec![NOWHERE; found.documents() as usize], Vec::new());
        let mut between = (u32::MAX, 0);
        listing.each_of(&emails, |at, uid| {
            let doc = all[at].1;
            between = (between.0.min(uid), between.1.max(uid));
            match uids.get_mut(doc as usize) {
                Some(place) if *place == NOWHERE => *place = uid,
                _ => again.push((doc, uid)),
            }
        });
        let upto = AtomicU32::new(listing.uids().last().unwrap_or_default());
        let ends = emails.first().copied().zip(emails.last().copied());
        again.sort_unstable();
        Ok(Some(Table { lineage: listing.lineage().clone(), uids, again, between, upto, ends }))
    }

    /// Whether it has all that the listing has of the segment's emails.
    fn knows(&self, listing: &Listing) -> bool {
        let (last, upto) = (listing.uids().last().unwrap_or_default(), self.upto.load(Ordering::Relaxed));
        let Some((low, high)) = self.ends.filter(|_| last > upto) else { return true };
        if listing.has_emails_between(low, high, upto) {
            return false;
        }
        self.upto.fetch_max(last, Ordering::Relaxed);
        true
    }

    fn uids(&self, found: &FoundIn<'_>, sure: bool) -> UidBits {
        // Few are kept as they are.
        let is_few = (found.count(sure) as usize) < self.uids.len() / 64;
        let (first, last) = self.between;
        let mut bits =
            if is_few { UidBits::default() } else { UidBits::between(first, last, self.uids.len()) };
        found.each(sure, |doc| match self.uids.get(doc as usize) {
            Some(&NOWHERE) | None => {}
            Some(uid) => bits.insert(*uid),
        });
        if !self.again.is_empty() {
            found.each(sure, |doc| {
                let from = self.again.partition_point(|(other, _)| *other < doc);
                let those = self.again[from..].iter().take_while(|(other, _)| *other == doc);
                those.for_each(|(_, uid)| bits.insert(*uid));
            });
        }
        bits
    }
}
