//! All emails of an account that are seen, remembered with what queries ask for: a column for each.
//!
//! A query that is sorted and begins anywhere has to know all of them, and rows hold far more than that. A catalogue is
//! of one moment and never trusted: each use reads the account's state and, where that is another, what the log says of
//! since then, emails that changed being read in the same transaction. So it can be too old, and never wrong; what is
//! answered of it is of the moment that it says.
//!
//! Catalogues of all accounts share so many bytes; those not used for long make room, and are made anew of the rows of
//! all mailboxes when they are asked for again. One that is larger than all of the room is made for each query.

mod columns;
mod fill;
mod follow;
mod listed;
mod orders;
mod part;
mod rows;
mod threads;
mod traits;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use columns::Columns;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::{RwLock, RwLockReadGuard};
use schema::{AccountId, EmailId, MailboxId, ModSeq, ThreadId};

pub use listed::Listed;
pub use part::Part;
pub use rows::{Ranked, RowSet};
pub use traits::Traits;

use crate::{Error, Store};

/// Bytes of all catalogues that are remembered.
const REMEMBERED: u64 = 256 << 20;
/// What one counts at least.
const LEAST: usize = 1_024;

/// All emails of an account that are seen, of one moment. Rows are in order of when they came, then of their ids.
#[derive(Debug, Default)]
pub struct Catalog {
    as_of: ModSeq,
    whole: bool,
    columns: Columns,
}

impl Catalog {
    /// The moment: the account's state.
    pub fn as_of(&self) -> ModSeq {
        self.as_of
    }

    /// Whether nothing in it is of later. Where something is, it goes on at this moment: the log tells of it once more.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// How many emails there are.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The emails.
    pub fn ids(&self) -> &[EmailId] {
        &self.columns.ids
    }

    /// When they came, in seconds since the epoch: ascending.
    pub fn received(&self) -> &[i64] {
        &self.columns.received
    }

    /// Octets of each; what has 4 GiB or more has so much here.
    pub fn sizes(&self) -> &[u32] {
        &self.columns.sizes
    }

    /// The thread of each, as numbers below [`Catalog::thread_count`].
    pub fn threads(&self) -> &[u32] {
        &self.columns.threads
    }

    /// So many threads have numbers.
    pub fn thread_count(&self) -> usize {
        self.columns.thread_count()
    }

    /// The number of a thread, if it has one.
    pub fn thread_number(&self, thread: ThreadId) -> Option<u32> {
        self.columns.thread_number(thread)
    }

    /// The row of an email.
    pub fn row_of(&self, email: EmailId) -> Option<usize> {
        self.columns.ids.iter().position(|id| *id == email)
    }

    /// What summaries say of each email; none unless [`Store::learn_traits`] has read all of them.
    pub fn traits(&self) -> Option<&[Traits]> {
        self.columns.traits.is_complete().then_some(&self.columns.traits.rows)
    }

    /// The texts that are numbers in [`Traits`].
    pub fn texts(&self) -> &[Arc<str>] {
        &self.columns.traits.texts
    }

    /// All rows in an order that follows from what never changes of emails, and is kept under its name. `compare` compares two rows,
    /// and has no two of them alike; `make` sorts all.
    pub fn in_order(
        &self,
        name: &str,
        compare: impl Fn(u32, u32) -> Ordering,
        make: impl FnOnce() -> Vec<u32>,
    ) -> Arc<Vec<u32>> {
        self.columns.orders.lock().get(name, compare, make)
    }

    /// What there is to somebody who sees some mailboxes: emails, threads and flags that are elsewhere are not in it.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(MailboxId) -> bool) -> Self {
        Catalog { as_of: self.as_of, whole: self.whole, columns: self.columns.only(wanted) }
    }
}

/// A catalogue that is remembered: it goes on as time does.
#[derive(Debug, Default)]
pub struct Remembered {
    /// None until it was filled.
    catalog: RwLock<Option<Catalog>>,
    /// Who brings it up to date; others wait.
    turn: futures::lock::Mutex<()>,
    /// What it counted among the others when it was last looked at.
    weighed: AtomicUsize,
}

impl Remembered {
    /// One that stays as it is.
    pub fn of(catalog: Catalog) -> Self {
        Remembered { catalog: RwLock::new(Some(catalog)), ..Remembered::default() }
    }

    /// The catalogue, as of when [`Store::catalog`] has returned it or later. Nothing else may be waited for meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        let guard: RwLockReadGuard<'_, Option<Catalog>> = self.catalog.read();
        match guard.as_ref() {
            Some(catalog) => look(catalog),
            None => look(&Catalog::default()),
        }
    }

    fn as_of(&self) -> Option<ModSeq> {
        self.catalog.read().as_ref().map(|catalog| catalog.as_of)
    }

    /// The moment, if nothing in it is of later.
    fn whole_as_of(&self) -> Option<ModSeq> {
        self.catalog.read().as_ref().filter(|catalog| catalog.whole).map(|catalog| catalog.as_of)
    }

    fn bytes(&self) -> usize {
        self.catalog.read().as_ref().map_or(0, |catalog| catalog.columns.bytes()).max(LEAST)
    }
}

/// Catalogues of many accounts.
#[derive(Clone)]
pub(crate) struct Catalogs(Cache<AccountId, Arc<Remembered>>);

impl Catalogs {
    pub(crate) fn new() -> Self {
        Catalogs::of(REMEMBERED)
    }

    fn of(bytes: u64) -> Self {
        let weight = |_: &AccountId, one: &Arc<Remembered>| u32::try_from(one.bytes()).unwrap_or(u32::MAX);
        let builder = Cache::builder().max_capacity(bytes).weigher(weight);
        // What was asked for last stays: the next query is of the same client.
        Self(builder.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Store {
    /// The account's catalogue, as it is now.
    ///
    /// # Errors
    /// The store's.
    pub async fn catalog(&self, account: AccountId) -> Result<Arc<Remembered>, Error> {
        let one = self.catalogs.0.get_with(account, Arc::default);
        let known = one.whole_as_of();
        if known.is_none() || known != Some(self.state(account).await?) {
            self.renew_catalog(account, &one).await?;
        }
        let (weighed, bytes) = (one.weighed.load(Relaxed), one.bytes());
        if bytes.abs_diff(weighed) > weighed / 8 {
            one.weighed.store(bytes, Relaxed);
            self.catalogs.0.insert(account, Arc::clone(&one));
        }
        Ok(one)
    }

    async fn renew_catalog(&self, account: AccountId, one: &Remembered) -> Result<(), Error> {
        let _turn = one.turn.lock().await;
        if one.as_of().is_none() {
            self.fill_catalog(account, one).await?;
        }
        if !self.follow_catalog(account, one).await? {
            // The log does not reach back so far, or it is worn.
            self.fill_catalog(account, one).await?;
            self.follow_catalog(account, one).await?;
        }
        Ok(())
    }
}

/// What one transaction says of what changed.
struct Delta {
    upto: ModSeq,
    more: bool,
    /// All that changed, and what of it is there.
    changed: BTreeSet<EmailId>,
    emails: Vec<crate::Email>,
    /// Mailboxes that were deleted.
    deleted: BTreeSet<MailboxId>,
}

/// Flags as rows have them.
type Stored = (u8, Vec<u32>);
/// Numbers of the sets of flags of rows.
type Known = BTreeMap<Stored, u32>;

#[cfg(test)]
mod tests;
