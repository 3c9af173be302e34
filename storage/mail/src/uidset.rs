//! A set of UIDs, compact and with ranks: what a session knows of a mailbox.

use std::ops::RangeInclusive;
use std::sync::Arc;

use schema::page::{PAGE_UIDS, Page, page_of};

/// A set of UIDs in pages of 4,096. A mailbox of a million messages takes some kilobytes; pages are shared between
/// clones until one changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UidSet {
    /// Page number and page, ascending; none is empty.
    pages: Vec<(u32, Arc<Page>)>,
    len: u32,
}

impl UidSet {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push_page(&mut self, number: u32, page: Page) {
        if !page.is_empty() {
            self.len += page.len();
            self.pages.push((number, Arc::new(page)));
        }
    }

    /// How many.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds a UID.
    pub fn contains(&self, uid: u32) -> bool {
        let found = self.pages.binary_search_by_key(&page_of(uid), |p| p.0);
        found.is_ok_and(|at| self.pages.get(at).is_some_and(|(_, page)| page.contains(within(uid))))
    }

    /// The UID with a sequence number, counted from 1.
    pub fn uid_at(&self, sequence: u32) -> Option<u32> {
        let mut left = sequence.checked_sub(1)?;
        for (number, page) in &self.pages {
            if left < page.len() {
                return page.select(left).map(|at| number * PAGE_UIDS + u32::from(at));
            }
            left -= page.len();
        }
        None
    }

    /// The sequence number of a UID, counted from 1.
    pub fn seq_of(&self, uid: u32) -> Option<u32> {
        self.contains(uid).then(|| self.rank(uid) + 1)
    }

    /// How many are lower than `uid`.
    pub fn rank(&self, uid: u32) -> u32 {
        let wanted = page_of(uid);
        let mut rank = 0;
        for (number, page) in &self.pages {
            if *number > wanted {
                break;
            }
            rank += if *number == wanted { page.rank(within(uid)) } else { page.len() };
        }
        rank
    }

    /// The lowest.
    pub fn first(&self) -> Option<u32> {
        self.uid_at(1)
    }

    /// The highest.
    pub fn last(&self) -> Option<u32> {
        self.uid_at(self.len)
    }

    /// Adds a UID; says whether it was new.
    pub fn insert(&mut self, uid: u32) -> bool {
        let number = page_of(uid);
        let at = match self.pages.binary_search_by_key(&number, |p| p.0) {
            Ok(at) => at,
            Err(at) => {
                self.pages.insert(at, (number, Arc::default()));
                at
            }
        };
        let new = self.pages.get_mut(at).is_some_and(|(_, page)| Arc::make_mut(page).insert(within(uid)));
        self.len += u32::from(new);
        new
    }

    /// Takes a UID away; says whether it was there.
    pub fn remove(&mut self, uid: u32) -> bool {
        let Ok(at) = self.pages.binary_search_by_key(&page_of(uid), |p| p.0) else { return false };
        let Some((_, page)) = self.pages.get_mut(at) else { return false };
        let there = Arc::make_mut(page).remove(within(uid));
        let empty = page.is_empty();
        self.len -= u32::from(there);
        if empty {
            self.pages.remove(at);
        }
        there
    }

    /// Adds all UIDs of a range, whether or not messages have them.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        let (mut at, last) = (*range.start(), *range.end());
        while at <= last {
            let number = page_of(at);
            let end = (number * PAGE_UIDS + (PAGE_UIDS - 1)).min(last);
            if at % PAGE_UIDS == 0
                && end % PAGE_UIDS == PAGE_UIDS - 1
                && !self.pages.iter().any(|p| p.0 == number)
            {
                let place = self.pages.partition_point(|p| p.0 < number);
                self.pages.insert(place, (number, Arc::new(Page::from_run(0, within(end)))));
                self.len += PAGE_UIDS;
            } else {
                for uid in at..=end {
                    self.insert(uid);
                }
            }
            match end.checked_add(1) {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// The UIDs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.pages.iter().flat_map(|(n, page)| page.iter().map(move |at| n * PAGE_UIDS + u32::from(at)))
    }

    /// The UIDs as ascending ranges that do not touch.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        let mut runs = self.pages.iter().flat_map(|(n, page)| {
            let base = n * PAGE_UIDS;
            page.runs().map(move |(first, last)| base + u32::from(first)..=base + u32::from(last))
        });
        let mut held = runs.next();
        std::iter::from_fn(move || {
            let mut current = held.take()?;
            for run in runs.by_ref() {
                if *run.start() == current.end().saturating_add(1) {
                    current = *current.start()..=*run.end();
                } else {
                    held = Some(run);
                    break;
                }
            }
            Some(current)
        })
    }

    /// What both hold.
    #[must_use]
    pub fn intersection(&self, other: &UidSet) -> UidSet {
        let (small, large) = if self.len <= other.len { (self, other) } else { (other, self) };
        small.iter().filter(|uid| large.contains(*uid)).collect()
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        let mut set = UidSet::new();
        for uid in uids {
            set.insert(uid);
        }
        set
    }
}

impl Extend<u32> for UidSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, uids: I) {
        for uid in uids {
            self.insert(uid);
        }
    }
}

fn within(uid: u32) -> u16 {
    (uid % PAGE_UIDS) as u16
}
