//! What hints left out: a look at the store, once for all who wait in this process.
//!
//! A hint is lost when the process that made a change is another one, or when who made it went away between its commit
//! and the hint. Each change also writes the version key of its account's slot; a look reads all of these (one short
//! range), then the last change of those accounts that somebody waits for and whose slot changed. Who waits costs
//! nothing more than the subscription, and a store where nothing happens costs one read. Changes of standing have slots
//! of their own in the same range, so that mail wakes nobody who waits for those.
//!
//! It is a look from time to time and no watch, since a watch that is lost would need that look beside it.

use crate::{Error, LocalFeed};
use futures::future::try_join_all;
use kv::{Database, Versionstamp};
use parking_lot::Mutex;
use schema::keys::mail::LastChangeKey;
use schema::keys::system::ChangeSlotKey;
use schema::{AccountId, Key};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pause between two looks: a change without a hint is told in 2 s.
pub const POLL: Duration = Duration::from_secs(1);

/// Accounts looked at in one transaction.
const BATCH: usize = 500;

/// The last change of each slot.
pub type Slots = BTreeMap<ChangeSlotKey, Versionstamp>;

/// Looks for changes in a store, for those who wait at a feed.
#[derive(Debug)]
pub struct Poll {
    db: Database,
    feed: LocalFeed,
    /// The slots as the last look found them.
    seen: Mutex<Slots>,
}

impl Poll {
    /// Looks into `db` for those who wait at `feed`.
    pub fn new(db: Database, feed: LocalFeed) -> Self {
        Poll { db, feed, seen: Mutex::default() }
    }

    /// Wakes who waits for an account that changed and has not been told. Returns how many accounts that were. One who
    /// has just begun to wait may be woken for nothing.
    ///
    /// # Errors
    /// The store's; the next look makes up for it.
    pub async fn look(&self) -> Result<usize, Error> {
        let (mut due, mut standings) = (self.feed.waited_for(), self.feed.standings_waited_for());
        if due.is_empty() && standings.is_empty() {
            return Ok(0);
        }
        let slots = slots(&self.db).await?;
        {
            let seen = self.seen.lock();
            let changed = |key: ChangeSlotKey| slots.get(&key) != seen.get(&key);
            due.retain(|(account, _)| changed(ChangeSlotKey::of(*account)));
            standings.retain(|(account, _)| changed(ChangeSlotKey::of_standing(*account)));
        }
        // These change seldom: who shares the slot is woken for nothing, and looks.
        standings.iter().for_each(|(_, slot)| slot.wake());
        let mut found = 0;
        for some in due.chunks(BATCH) {
            let accounts: Vec<AccountId> = some.iter().map(|(account, _)| *account).collect();
            let versions = self.last_changes(&accounts).await?;
            found += some.iter().zip(versions).filter(|((_, slot), version)| slot.found(*version)).count();
        }
        // Only now: a look that was cut short is done again.
        *self.seen.lock() = slots;
        Ok(found)
    }

    async fn last_changes(&self, accounts: &[AccountId]) -> Result<Vec<Option<u64>>, Error> {
        let keys: Vec<_> =
            accounts.iter().map(|account| LastChangeKey { account: *account }.encode()).collect();
        let keys = &keys;
        let values = self.db.read("changes.poll", |txn| async move {
            Ok::<_, Error>(try_join_all(keys.iter().map(|key| txn.get_snapshot(key))).await?)
        });
        let stamp = |value: Option<_>| value.as_deref().and_then(Versionstamp::from_slice);
        Ok(values.await?.into_iter().map(|value| stamp(value).map(|stamp| stamp.version())).collect())
    }
}

/// The last change of each slot, of mail and of standing, by one short range.
///
/// # Errors
/// The store's.
pub async fn slots(db: &Database) -> Result<Slots, Error> {
    let (begin, end) = &ChangeSlotKey::range();
    let rows = db.read("changes.slots", |txn| async move {
        Ok::<_, Error>(txn.range(begin, end).snapshot().collect().await?)
    });
    let row = |(key, value): &kv::Row| {
        let stamp = Versionstamp::from_slice(value).unwrap_or(Versionstamp::ZERO);
        Ok((ChangeSlotKey::decode(key)?, stamp))
    };
    rows.await?.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{touch_in, touch_standing_in};
    use crate::{Change, Feed, Kinds, Sink, Subscription};
    use futures::FutureExt;
    use runtime::{Shutdown, Supervisor};
    use std::sync::Arc;

    const ALICE: AccountId = AccountId(7);
    /// In the same slot.
    const BOB: AccountId = AccountId(7 + 1024);
    /// In another.
    const CAROL: AccountId = AccountId(8);

    struct World {
        db: Database,
        feed: LocalFeed,
        poll: Poll,
    }

    fn world() -> World {
        let (db, feed) = (kv::memory::database(), LocalFeed::new());
        World { poll: Poll::new(db.clone(), feed.clone()), db, feed }
    }

    /// A change that nobody is told of.
    async fn change(db: &Database, account: AccountId) -> Versionstamp {
        let changed = db.transact_versioned("test", |txn| async move {
            touch_in(&txn, account);
            Ok::<_, Error>(())
        });
        changed.await.unwrap().1
    }

    impl World {
        /// Subscribes; what a first look may wake for is over.
        async fn wait(&self, account: AccountId) -> Subscription {
            change(&self.db, account).await;
            let mut subscription = self.feed.subscribe(account);
            self.poll.look().await.unwrap();
            subscription.changed().now_or_never();
            subscription
        }
    }

    #[tokio::test]
    async fn only_who_was_not_told_is_woken() {
        let w = world();
        let (alice, bob, carol) = (w.wait(ALICE).await, w.wait(BOB).await, w.wait(CAROL).await);
        assert_eq!(w.poll.look().await.unwrap(), 0);
        let version = change(&w.db, ALICE).await;
        assert_eq!(w.poll.look().await.unwrap(), 1);
        assert_eq!((alice.is_changed(), bob.is_changed(), carol.is_changed()), (true, false, false));
        assert_eq!(w.poll.look().await.unwrap(), 0, "once");
        let late = Change { account: ALICE, mailboxes: Default::default(), version, kinds: Kinds::MESSAGES };
        w.feed.committed(&late);
        let version = change(&w.db, BOB).await;
        w.feed.committed(&Change { account: BOB, version, ..late });
        assert!(bob.is_changed());
        assert_eq!(w.poll.look().await.unwrap(), 0, "the hint came");
    }

    #[tokio::test]
    async fn an_account_that_is_gone_wakes() {
        let w = world();
        let alice = w.wait(ALICE).await;
        w.db.transact("test", |txn| async move {
            touch_in(&txn, CAROL);
            touch_in(&txn, BOB);
            txn.clear(&LastChangeKey { account: ALICE }.encode());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
        assert_eq!((w.poll.look().await.unwrap(), alice.is_changed()), (1, true));
        assert_eq!(w.poll.look().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_change_of_standing_is_found() {
        let w = world();
        let (alice, mut carol) = (w.wait(ALICE).await, w.feed.standing(CAROL));
        let mut standing = w.feed.standing(ALICE);
        w.poll.look().await.unwrap();
        for subscription in [&mut standing, &mut carol] {
            subscription.changed().now_or_never();
        }
        change(&w.db, ALICE).await;
        w.poll.look().await.unwrap();
        assert!(!standing.is_changed(), "that was mail");
        w.db.transact("test", |txn| async move {
            touch_standing_in(&txn, ALICE);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
        w.poll.look().await.unwrap();
        assert!(standing.changed().now_or_never().is_some() && !carol.is_changed());
        assert!(alice.is_changed(), "by the mail");
        w.poll.look().await.unwrap();
        assert!(!standing.is_changed(), "once");
    }

    #[tokio::test]
    async fn who_left_is_not_looked_for() {
        let w = world();
        drop(w.wait(ALICE).await);
        change(&w.db, ALICE).await;
        assert_eq!(w.poll.look().await.unwrap(), 0);
        let late = w.feed.subscribe(ALICE);
        assert_eq!((w.poll.look().await.unwrap(), late.is_changed()), (1, true), "better once too often");
    }

    #[tokio::test]
    async fn many_accounts_are_looked_at_in_parts() {
        let w = world();
        let mut all = Vec::new();
        for account in 0..3_000 {
            all.push(w.feed.subscribe(AccountId(account)));
            change(&w.db, AccountId(account)).await;
        }
        assert_eq!(w.poll.look().await.unwrap(), 3_000);
        assert!(all.iter().all(Subscription::is_changed));
        change(&w.db, AccountId(2_999)).await;
        assert_eq!(w.poll.look().await.unwrap(), 1);
    }

    /// As the node runs it: a change by another process is told within 2 s, and one that the store did not let see at
    /// first as soon as it does.
    #[tokio::test(start_paused = true)]
    async fn a_change_without_a_hint_is_told_within_2_s() {
        use kv::fault::{FaultBackend, Plan};
        let rng = Arc::new(runtime::SeededRng::new(1));
        let faults =
            Arc::new(FaultBackend::new(Arc::new(kv::memory::Memory::new()), rng.clone(), Plan::NONE));
        let db = Database::new(faults.clone(), runtime::SystemClock::shared(), rng);
        let feed = LocalFeed::new();
        let poll = Arc::new(Poll::new(db.clone(), feed.clone()));
        let supervisor = Supervisor::new(Shutdown::new());
        supervisor.spawn_recurring("poll", POLL, move || {
            let poll = Arc::clone(&poll);
            async move { poll.look().await.map(drop) }
        });
        let mut subscription = feed.subscribe(ALICE);
        for round in 0..20 {
            tokio::time::sleep(Duration::from_millis(170 * round)).await;
            subscription.changed().now_or_never();
            change(&db, ALICE).await;
            tokio::time::timeout(Duration::from_secs(2), subscription.changed()).await.expect("told");
        }
        faults.set_plan(Plan { unavailable: 1000, ..Plan::NONE });
        change(&db, ALICE).await;
        let told = tokio::time::timeout(Duration::from_secs(60), subscription.changed()).await;
        assert!(told.is_err(), "the store is away");
        faults.set_plan(Plan::NONE);
        tokio::time::timeout(Duration::from_secs(60), subscription.changed()).await.expect("told");
        supervisor.shutdown().begin();
    }
}
