//! Hints after a commit: who writes tells a [`Sink`], who waits holds a [`Subscription`].

use kv::Versionstamp;
use parking_lot::Mutex;
use schema::{AccountId, MailboxId};
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::ops::BitOr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// What sort of change it was, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u8);

impl Kinds {
    /// Messages came.
    pub const MESSAGES: Kinds = Kinds(1);
    /// Flags changed.
    pub const FLAGS: Kinds = Kinds(2);
    /// Messages went.
    pub const EXPUNGE: Kinds = Kinds(4);
    /// The tree of mailboxes changed.
    pub const MAILBOXES: Kinds = Kinds(8);
    /// Subscriptions changed.
    pub const SUBSCRIPTIONS: Kinds = Kinds(16);
    /// Who uses the account, or how, is another matter: it was disabled or removed, or its memberships changed.
    pub const STANDING: Kinds = Kinds(32);
    /// What the account has besides mail changed: identities, submissions, the automatic reply.
    pub const OBJECTS: Kinds = Kinds(64);

    /// Whether any of `other` is in the set.
    pub const fn intersects(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// As other nodes are told; bits never change their meaning.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// As another node, perhaps of a newer version, has told.
    pub const fn of_bits(bits: u8) -> Kinds {
        Kinds(bits)
    }
}

impl BitOr for Kinds {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Kinds(self.0 | other.0)
    }
}

/// A committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub account: AccountId,
    /// Where; empty for a change of the account itself.
    pub mailboxes: SmallVec<[MailboxId; 2]>,
    /// The commit.
    pub version: Versionstamp,
    /// What.
    pub kinds: Kinds,
}

/// Takes hints from those who write.
pub trait Sink: Send + Sync {
    /// Called once after a commit; must not block.
    fn committed(&self, change: &Change);
}

/// Gives hints to those who wait.
pub trait Feed: Send + Sync {
    /// Waits for changes of one account. Cheap to hold.
    fn subscribe(&self, account: AccountId) -> Subscription;

    /// Waits for changes of who may use one account ([`Kinds::STANDING`]), for those who use it. Has changed from the
    /// beginning: what was known before is to be looked at again.
    fn standing(&self, account: AccountId) -> Subscription;
}

/// A wait for changes of one account.
#[derive(Debug)]
pub struct Subscription {
    slot: Arc<Slot>,
    seen: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Version of the last change that was hinted at or looked at; never goes down.
    known: AtomicU64,
    generation: AtomicU64,
    notify: Notify,
}

impl Slot {
    /// Notes a change at a version; says whether it is news.
    fn note(&self, version: u64) -> bool {
        version > self.known.fetch_max(version, Ordering::AcqRel)
    }

    pub(crate) fn wake(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Wakes who waits, if the account changed after what they were told of, or has no last change since it is gone.
    pub(crate) fn found(&self, version: Option<u64>) -> bool {
        let news = version.is_none_or(|version| self.note(version));
        if news {
            self.wake();
        }
        news
    }
}

impl Subscription {
    /// Returns once there was a hint since the subscription was made or this returned last. May return
    /// without one. Safe to drop and call again.
    pub async fn changed(&mut self) {
        loop {
            // Registered before the generation is read, so that a hint in between is not missed.
            let notified = self.slot.notify.notified();
            let generation = self.slot.generation.load(Ordering::Acquire);
            if generation != self.seen {
                self.seen = generation;
                return;
            }
            notified.await;
        }
    }

    /// Takes the hint that there is, if any, so that [`Subscription::changed`] waits for the next. Says whether there was one.
    pub fn take(&mut self) -> bool {
        let generation = self.slot.generation.load(Ordering::Acquire);
        std::mem::replace(&mut self.seen, generation) != generation
    }

    /// Whether [`Subscription::changed`] would return at once; the hint stays.
    pub fn is_changed(&self) -> bool {
        self.slot.generation.load(Ordering::Acquire) != self.seen
    }
}

/// Sink and feed of one process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LocalFeed {
    /// Who waits for any change.
    slots: Arc<Slots>,
    /// Who waits for a change of standing.
    standings: Arc<Slots>,
}

/// After so many accounts were added, those nobody waits for are dropped.
const SWEEP: usize = 1024;

/// Who waits, by account.
#[derive(Debug, Default)]
struct Slots(Mutex<HashMap<AccountId, Arc<Slot>>>);

impl Slots {
    fn get(&self, account: AccountId) -> Option<Arc<Slot>> {
        self.0.lock().get(&account).cloned()
    }

    fn waited_for(&self) -> Vec<(AccountId, Arc<Slot>)> {
        let slots = self.0.lock();
        let waited_for = slots.iter().filter(|(_, slot)| Arc::strong_count(slot) > 1);
        waited_for.map(|(account, slot)| (*account, Arc::clone(slot))).collect()
    }

    fn subscribe(&self, account: AccountId) -> Subscription {
        let mut slots = self.0.lock();
        if slots.len() % SWEEP == SWEEP - 1 {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let slot = Arc::clone(slots.entry(account).or_default());
        let seen = slot.generation.load(Ordering::Acquire);
        Subscription { slot, seen }
    }
}

impl LocalFeed {
    /// A feed with no subscriptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The accounts that somebody waits for, of whatever kind of change.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        let all = [self.waited_for(), self.standings_waited_for()];
        all.into_iter().flatten().map(|(account, _)| account).collect()
    }

    /// Takes what another process has told of a commit, once or more often. Returns whether it was news to somebody.
    pub fn hinted(&self, account: AccountId, version: u64, kinds: Kinds) -> bool {
        let standing = kinds.intersects(Kinds::STANDING) && self.wake_standing(account);
        let found = self.slots.get(account).is_some_and(|slot| slot.found(Some(version)));
        found || standing
    }

    fn wake_standing(&self, account: AccountId) -> bool {
        let slot = self.standings.get(account);
        slot.inspect(|slot| slot.wake()).is_some()
    }

    /// The accounts for whose changes somebody waits.
    pub(crate) fn waited_for(&self) -> Vec<(AccountId, Arc<Slot>)> {
        self.slots.waited_for()
    }

    /// The accounts for whose standing somebody waits.
    pub(crate) fn standings_waited_for(&self) -> Vec<(AccountId, Arc<Slot>)> {
        self.standings.waited_for()
    }
}

impl Sink for LocalFeed {
    fn committed(&self, change: &Change) {
        if let Some(slot) = self.slots.get(change.account) {
            slot.note(change.version.version());
            slot.wake();
        }
        if change.kinds.intersects(Kinds::STANDING) {
            self.wake_standing(change.account);
        }
    }
}

impl Feed for LocalFeed {
    fn subscribe(&self, account: AccountId) -> Subscription {
        self.slots.subscribe(account)
    }

    fn standing(&self, account: AccountId) -> Subscription {
        let subscription = self.standings.subscribe(account);
        Subscription { seen: subscription.seen.wrapping_sub(1), ..subscription }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn change(account: u32) -> Change {
        Change {
            account: AccountId(account),
            mailboxes: SmallVec::new(),
            version: Versionstamp::ZERO,
            kinds: Kinds::MESSAGES,
        }
    }

    #[tokio::test]
    async fn a_hint_before_the_wait_is_not_lost() {
        let feed = LocalFeed::new();
        let mut subscription = feed.subscribe(AccountId(1));
        assert!(subscription.changed().now_or_never().is_none());
        feed.committed(&change(2));
        assert!(!subscription.is_changed());
        feed.committed(&change(1));
        feed.committed(&change(1));
        assert!(subscription.is_changed());
        assert!(subscription.changed().now_or_never().is_some());
        assert!(subscription.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_hint_wakes_all_who_wait() {
        let feed = LocalFeed::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let mut subscription = feed.subscribe(AccountId(1));
                tokio::spawn(async move { subscription.changed().await })
            })
            .collect();
        tokio::task::yield_now().await;
        feed.committed(&change(1));
        for task in waiting {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_left_takes_no_room() {
        let feed = LocalFeed::new();
        for account in 0..5000 {
            drop(feed.subscribe(AccountId(account)));
        }
        assert!(feed.slots.0.lock().len() <= SWEEP);
    }

    #[tokio::test]
    async fn a_change_of_standing_wakes_all_and_other_changes_do_not() {
        let feed = LocalFeed::new();
        let (mut mail, mut standing) = (feed.subscribe(AccountId(1)), feed.standing(AccountId(1)));
        assert!(standing.changed().now_or_never().is_some(), "from the beginning");
        feed.committed(&change(1));
        assert!(mail.changed().now_or_never().is_some() && !standing.is_changed());
        feed.committed(&Change { kinds: Kinds::STANDING, ..change(1) });
        assert!(mail.changed().now_or_never().is_some() && standing.changed().now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_others_told_twice_wakes_once() {
        let feed = LocalFeed::new();
        let mut mail = feed.subscribe(AccountId(1));
        assert!(feed.hinted(AccountId(1), 5, Kinds::MESSAGES) && mail.changed().now_or_never().is_some());
        assert!(
            !feed.hinted(AccountId(1), 5, Kinds::MESSAGES) && !feed.hinted(AccountId(2), 6, Kinds::FLAGS)
        );
        assert!(!mail.is_changed());
        let mut standing = feed.standing(AccountId(2));
        standing.changed().now_or_never();
        assert!(feed.hinted(AccountId(2), 5, Kinds::STANDING) && standing.is_changed());
        assert_eq!(feed.accounts().into_iter().collect::<Vec<_>>(), [AccountId(1), AccountId(2)]);
        assert_eq!(Kinds::of_bits(Kinds::STANDING.bits()), Kinds::STANDING);
    }
}
