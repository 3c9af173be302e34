//! Counts a mailbox of any size while it is written to.
//!
//! A page of UIDs (at most 4,096) is counted on one snapshot, whose version is noted. When all are counted, the logs that
//! every verb writes (the order of changes, the log of expunges) tell which pages changed after their version. Those are
//! counted again, until they are so few that one transaction counts them, reads the counters and compares: then all
//! pages are of its snapshot. A mailbox of five million messages takes 1,221 pages of some bytes each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use findings::{Finding, Kind, Report};
use kv::Transaction;
use schema::keys::mail::*;
use schema::page::{PAGE_UIDS, Page, decode_ranges, page_of};
use schema::records::mail::MessageRecord;
use schema::{Key, ModSeq, Uid};

use super::look::is_there;
use crate::counters::Counters;
use crate::ingest::{edit_page_in, touch_in, uid_next};
use crate::{Error, MailboxRef, Store, pace};

/// Pages that the last transaction counts at most.
const LAST: usize = 4;
/// Changes that one transaction looks at.
const CHANGES: usize = 20_000;
/// Times that a mailbox is looked at again before it counts as too busy. Each takes less than the one before unless
/// changes come faster than they are read.
const ROUNDS: usize = 50;

/// What was counted of a mailbox.
pub(super) struct Count {
    pub(super) findings: Vec<Finding>,
    /// What the counters say too much: the same at every moment, since each verb changes both alike.
    pub(super) excess: Counters,
}

#[derive(Clone, Copy)]
struct Counted {
    version: u64,
    counters: Counters,
    last: u32,
}

type Pages = BTreeMap<u32, Counted>;

impl Store {
    /// Counts a mailbox; nothing if it is not there any more. With `mend` what was counted is set.
    pub(super) async fn count(&self, at: MailboxRef, mend: bool) -> Result<Option<Count>, Error> {
        let mut findings = Vec::new();
        let mut pages = self.count_pages(at, &mut findings).await?;
        let mut since = pages.values().map(|page| page.version).min();
        for _ in 0..ROUNDS {
            let (known, from) = (&pages, since);
            let outcome = self
                .db
                .transact("verify.count", |txn| async move { last_in(&txn, at, known, from, mend).await })
                .await?;
            match outcome {
                Last::Gone => return Ok(None),
                Last::Compared(mut count) => {
                    count.findings.splice(0..0, findings);
                    return Ok(Some(*count));
                }
                Last::Changed { dirty, upto } => {
                    since = Some(upto);
                    for page in dirty {
                        let counted = self
                            .db
                            .read("verify.count", |txn| async move { page_in(&txn, at, page).await })
                            .await?;
                        pages.insert(page, counted.0);
                    }
                }
            }
        }
        Err(Error::LimitReached("the mailbox changes faster than it can be counted"))
    }

    /// Counts the pages that there are, as many at once as one transaction takes.
    async fn count_pages(&self, at: MailboxRef, findings: &mut Vec<Finding>) -> Result<Pages, Error> {
        let (mut pages, mut from) = (Pages::new(), Some(0));
        while let Some(first) = from {
            let (some, next) =
                self.db.read("verify.count", |txn| async move { pages_in(&txn, at, first).await }).await?;
            for (number, counted, found) in some {
                pages.insert(number, counted);
                findings.extend(found);
            }
            from = next;
        }
        Ok(pages)
    }
}

type Found = (u32, Counted, Vec<Finding>);

async fn pages_in(txn: &Transaction, at: MailboxRef, first: u32) -> Result<(Vec<Found>, Option<u32>), Error> {
    let (mut pages, mut from) = (Vec::new(), first);
    while let Some(page) = next_page(txn, at, from).await? {
        if !pages.is_empty() && (pace::is_spent(txn) || pages.len() >= LAST) {
            return Ok((pages, Some(page)));
        }
        let (counted, found) = page_in(txn, at, page).await?;
        pages.push((page, counted, found));
        from = page + 1;
    }
    Ok((pages, None))
}

/// The first page from `from` on that is stored, or has messages.
async fn next_page(txn: &Transaction, at: MailboxRef, from: u32) -> Result<Option<u32>, Error> {
    let MailboxRef { account, mailbox } = at;
    if from > page_of(u32::MAX) {
        return Ok(None);
    }
    let (begin, end) =
        (PageKey { account, mailbox, page: from }.encode(), PageKey::range(account, mailbox).1);
    let stored = txn.range(&begin, &end).snapshot().first().await?;
    let stored = stored.map(|(key, _)| PageKey::decode(&key)).transpose()?.map(|key| key.page);
    let (begin, end) = MessageKey::range(account, mailbox, from * PAGE_UIDS, u32::MAX);
    let message = txn.range(&begin, &end).snapshot().first().await?;
    let message = message.map(|(key, _)| MessageKey::decode(&key)).transpose()?;
    let message = message.map(|key| page_of(key.uid.get()));
    Ok([stored, message].into_iter().flatten().min())
}

fn uids_of(page: u32) -> RangeInclusive<u32> {
    page * PAGE_UIDS..=page * PAGE_UIDS + (PAGE_UIDS - 1)
}

/// Counts the messages of a page, and compares them to it.
async fn page_in(txn: &Transaction, at: MailboxRef, number: u32) -> Result<(Counted, Vec<Finding>), Error> {
    let MailboxRef { account, mailbox } = at;
    let uids = uids_of(number);
    let (begin, end) = MessageKey::range(account, mailbox, *uids.start(), *uids.end());
    let mut rows = txn.range(&begin, &end).snapshot().page_bytes(kv::limits::PAGE_BYTES);
    let version = txn.read_version().await?;
    let mut counted = Counted { version, counters: Counters::default(), last: 0 };
    let mut there = Page::default();
    while let Some((key, value)) = rows.try_next().await? {
        counted.last = MessageKey::decode(&key)?.uid.get();
        there.insert((counted.last % PAGE_UIDS) as u16);
        // What cannot be read is found row by row.
        if let Ok(record) = MessageRecord::from_bytes(&value) {
            counted.counters.add(Counters::of(record.system, record.size, 1));
        }
    }
    let key = PageKey { account, mailbox, page: number }.encode();
    let stored = match txn.get(&key).await? {
        None => Page::default(),
        Some(value) => match Page::from_bytes(&value) {
            Ok(page) => page,
            Err(_) => return Ok((counted, Vec::new())),
        },
    };
    let mut report = Report::of(&key);
    if stored != there {
        let message = |within: u16| {
            let uid = Uid::new(number * PAGE_UIDS + u32::from(within)).unwrap_or(Uid::MIN);
            MessageKey { account, mailbox, uid }.encode()
        };
        for within in there.iter().filter(|within| !stored.contains(*within)) {
            report.add(Kind::PageLacks, message(within), "the mailbox's page does not know of the message");
        }
        for within in stored.iter().filter(|within| !there.contains(*within)) {
            report.add(
                Kind::PageGhost,
                message(within),
                "the mailbox's page knows of a message that is not there",
            );
        }
    }
    Ok((counted, report.findings))
}

enum Last {
    Gone,
    Compared(Box<Count>),
    /// These pages changed; up to which version that is known.
    Changed {
        dirty: BTreeSet<u32>,
        upto: u64,
    },
}

/// Compares, if few enough pages changed since they were counted.
async fn last_in(
    txn: &Transaction,
    at: MailboxRef,
    pages: &Pages,
    since: Option<u64>,
    mend: bool,
) -> Result<Last, Error> {
    if !is_there(txn, &MailboxKey { account: at.account, mailbox: at.mailbox }).await? {
        return Ok(Last::Gone);
    }
    let (dirty, upto) = changed_in(txn, at, pages, since).await?;
    let now = txn.read_version().await?;
    if upto < now || dirty.len() > LAST {
        return Ok(Last::Changed { dirty, upto });
    }
    let mut pages = pages.clone();
    for page in dirty {
        pages.insert(page, page_in(txn, at, page).await?.0);
    }
    let mut counted = Counters::default();
    pages.values().for_each(|page| counted.add(page.counters));
    let last = pages.values().map(|page| page.last).max().unwrap_or(0);
    compare_in(txn, at, counted, last, mend).await
}

/// Pages that changed after they were counted, and up to which version that is known.
async fn changed_in(
    txn: &Transaction,
    at: MailboxRef,
    pages: &Pages,
    since: Option<u64>,
) -> Result<(BTreeSet<u32>, u64), Error> {
    let MailboxRef { account, mailbox } = at;
    let mut upto = txn.read_version().await?;
    let since = ModSeq(since.unwrap_or(0));
    let mut dirty = BTreeSet::new();
    let is_newer = |page: u32, version: u64| pages.get(&page).is_none_or(|known| known.version < version);
    let (begin, end) = OrderKey::after(account, mailbox, since);
    let mut rows = txn.range(&begin, &end).snapshot().limit(CHANGES);
    let (mut seen, mut last) = (0, 0);
    while let Some((key, _)) = rows.try_next().await? {
        let OrderKey { stamp, uid, .. } = OrderKey::decode(&key)?;
        last = ModSeq::of_stamp(&stamp).0;
        seen += 1;
        if is_newer(page_of(uid.get()), last) {
            dirty.insert(page_of(uid.get()));
        }
    }
    if seen == CHANGES {
        // The last commit may not be whole.
        upto = last - 1;
    }
    let begin = VanishedKey::after(account, mailbox, since).0;
    let end = VanishedKey { account, mailbox, stamp: ModSeq(upto).next_stamp(), first: Uid::MIN }.encode();
    let mut rows = txn.range(&begin, &end).snapshot();
    while let Some((key, value)) = rows.try_next().await? {
        let version = ModSeq::of_stamp(&VanishedKey::decode(&key)?.stamp).0;
        for range in decode_ranges(&value).unwrap_or_default() {
            let touched = page_of(*range.start())..=page_of(*range.end());
            let known = pages.range(touched).filter(|(_, page)| page.version < version);
            dirty.extend(known.map(|(page, _)| *page));
        }
    }
    Ok((dirty, upto))
}

async fn compare_in(
    txn: &Transaction,
    at: MailboxRef,
    counted: Counters,
    last: u32,
    mend: bool,
) -> Result<Last, Error> {
    let MailboxRef { account, mailbox } = at;
    let key = CountersKey { account, mailbox }.encode();
    // A serializable read: what is set below is right at the commit, or the commit fails.
    let value = txn.get(&key).await?;
    let stored = value.as_deref().map(Counters::read).unwrap_or_default();
    let mut report = Report::of(&key);
    if value.as_ref().is_some_and(|value| value.len() != counted.bytes().len()) || stored != counted {
        report.add_here(Kind::CountersWrong, format!("they say {stored}, and there are {counted}"));
        if mend {
            txn.set(&key, &counted.bytes());
        }
    }
    let next = UidNextKey { account, mailbox }.encode();
    let stored_next = uid_next(txn.get(&next).await?.as_deref());
    if stored_next <= last {
        report.add(
            Kind::UidNextLow,
            next.clone(),
            format!("it is {stored_next}, and there is a message {last}"),
        );
        if mend {
            txn.set(&next, &last.saturating_add(1).to_le_bytes());
            touch_in(txn, at);
        }
    }
    let mut excess = stored;
    excess.add(counted.negated());
    Ok(Last::Compared(Box::new(Count { findings: report.findings, excess })))
}

/// What a page's check says now.
pub(super) async fn check_page_in(
    txn: &Transaction,
    at: MailboxRef,
    page: u32,
) -> Result<Vec<Finding>, Error> {
    Ok(page_in(txn, at, page).await?.1)
}

/// Takes a UID that no message has off its page, and tells clients that it vanished.
pub(super) async fn take_off_page_in(txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<(), Error> {
    edit_page_in(txn, at, uid, false).await?;
    let key =
        VanishedKey { account: at.account, mailbox: at.mailbox, stamp: schema::codec::PENDING, first: uid };
    let (key, offset) = key.encode_stamped();
    let uids = schema::page::encode_ranges([uid.get()..=uid.get()]);
    txn.set_versionstamped_key(&key, offset, &uids);
    touch_in(txn, at);
    Ok(())
}

/// What messages a deleted mailbox still has, by page.
pub(super) type Left = BTreeMap<u32, Counters>;

impl Store {
    /// Counts what a deleted mailbox still has.
    pub(super) async fn count_left(&self, at: MailboxRef) -> Result<Left, Error> {
        let mut ignored = Vec::new();
        let pages = self.count_pages(at, &mut ignored).await?;
        Ok(pages.into_iter().map(|(number, page)| (number, page.counters)).collect())
    }
}

/// The same, brought up to this transaction: messages go in the order of their keys, up to the job's cursor.
pub(super) async fn left_in(
    txn: &Transaction,
    at: MailboxRef,
    left: &Left,
    cursor: &[u8],
) -> Result<Counters, Error> {
    let MailboxRef { account, mailbox } = at;
    let mut sum = Counters::default();
    for (&page, counters) in left {
        let (begin, end) = MessageKey::range(account, mailbox, *uids_of(page).start(), *uids_of(page).end());
        if cursor < begin.as_slice() {
            sum.add(*counters);
        } else if cursor < end.as_slice() {
            sum.add(page_in(txn, at, page).await?.0.counters);
        }
    }
    Ok(sum)
}
