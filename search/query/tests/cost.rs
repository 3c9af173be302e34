//! What a search costs is paid for by each of its keys, whether it reads a message or looks at it again.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that can not go on says so

use std::sync::Arc;
use std::time::Duration;

use godwit_query::{
    Budget, Error, Field, Filter, Needle, NoIndex, Query, SortCriterion, SortKey, search, sort,
};
use kv::fault::{FaultBackend, Plan};
use mail::{Incoming, MailboxRef, Role, UidSet};
use runtime::{ManualClock, SeededRng, SharedClock, SharedRng, SystemClock, Timestamp};
use schema::keys::mail::StructureKey;
use schema::{AccountId, Flags, SystemFlags};
use tokio::time::Instant;

const ACCOUNT: AccountId = AccountId(7);

struct World {
    faults: Arc<FaultBackend>,
    store: mail::Store,
    inbox: MailboxRef,
    clock: SharedClock,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let rng: SharedRng = Arc::new(SeededRng::new(3));
        let memory = Arc::new(kv::memory::Memory::new());
        let faults = Arc::new(FaultBackend::new(memory, rng.clone(), Plan::NONE));
        let db = kv::Database::new(faults.clone(), SystemClock::shared(), rng.clone());
        let options = blob::Options::default();
        let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
        let feed = Arc::new(changes::LocalFeed::new());
        let store = mail::Store::new(db.clone(), blobs, feed, clock.clone(), rng);
        let made = &store;
        db.transact("test", |txn| async move { made.provision_in(&txn, ACCOUNT).await }).await.unwrap();
        let mailbox = store.with_role(ACCOUNT, Role::Inbox).await.unwrap().unwrap();
        World { faults, store, inbox: MailboxRef { account: ACCOUNT, mailbox }, clock, _dir: dir }
    }

    async fn append(&self, message: String) -> u32 {
        let summary = content_mail::summarize(message.as_bytes(), &content_mail::Limits::default());
        let staged = self.store.blobs().stage(message.into()).await.unwrap();
        let incoming = Incoming { staged, summary: Arc::new(summary) };
        self.store.append(self.inbox, &incoming, &Flags::none(), 1_800_000_000).await.unwrap().uid
    }

    fn query<'a>(&'a self, within: &'a UidSet, bytes: u64) -> Query<'a> {
        Query {
            store: &self.store,
            index: &NoIndex,
            mailbox: self.inbox,
            within,
            budget: Budget { bytes, ..Budget::default() },
            clock: self.clock.clone(),
        }
    }

    /// How many match, or none if that costs more than `bytes`.
    async fn found(&self, filter: &Filter, bytes: u64) -> Option<u32> {
        let within = self.store.open(self.inbox).await.unwrap().uids;
        match search(&self.query(&within, bytes), filter).await {
            Ok(found) => Some(found.len()),
            Err(Error::Budget(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn each_key_pays_for_its_look() {
    let world = World::new().await;
    let to = (0..400).map(|n| format!("a{n}@example.test")).collect::<Vec<_>>().join(",\r\n ");
    let body = "nothing to be found\r\n".repeat(2_000);
    world.append(format!("Subject: {}\r\nTo: {to}\r\n\r\n{body}", "s".repeat(5_000))).await;
    let needle = || Needle::new("qq");
    for filter in [
        Filter::Body(needle()),
        Filter::Text(needle()),
        Filter::Header(Field::Named("To".into()), needle()),
        Filter::Header(Field::To, needle()),
        Filter::Header(Field::Subject, needle()),
    ] {
        let many = Filter::And(vec![filter.clone().negated(); 50]);
        assert_eq!(world.found(&filter.clone().negated(), 100_000).await, Some(1), "{filter:?}");
        assert_eq!(world.found(&many, 100_000).await, None, "{filter:?}");
        assert_eq!(world.found(&many, 10_000_000).await, Some(1), "{filter:?}");
    }
}

#[tokio::test]
async fn indexes_are_paid_for_before_anything_is_scanned() {
    let world = World::new().await;
    for n in 0..50 {
        world.append(format!("Subject: {n}\r\n\r\nx\r\n")).await;
    }
    let unseen = Filter::System(SystemFlags::SEEN).negated();
    assert_eq!(world.found(&unseen, 10_000).await, Some(50));
    assert_eq!(world.found(&Filter::And(vec![unseen.clone(); 100]), 10_000).await, None);
    assert_eq!(world.found(&Filter::Or(vec![unseen; 100]), 1_000_000).await, Some(50));
}

/// What is decoded off the workers is found too.
#[tokio::test]
async fn a_large_text_is_searched_to_its_end() {
    let world = World::new().await;
    world.append(format!("Subject: x\r\n\r\n{}needle\r\n", "some line of text\r\n".repeat(100_000))).await;
    assert_eq!(world.found(&Filter::Body(Needle::new("Needle")), 1 << 30).await, Some(1));
    assert_eq!(world.found(&Filter::Body(Needle::new("thread")), 1 << 30).await, Some(0));
}

/// A store behind a network answers them all at once.
#[tokio::test(start_paused = true)]
async fn messages_are_looked_at_together() {
    let world = World::new().await;
    let to = Filter::Header(Field::Named("To".into()), Needle::new("someone"));
    let by_to = [SortCriterion { key: SortKey::To, reverse: false }];
    let mut took = Vec::new();
    for count in [1, 63] {
        for n in 0..count {
            world.append(format!("To: someone@{n}.test\r\n\r\nx\r\n")).await;
        }
        world.faults.set_read_time(Duration::from_millis(100));
        let begun = Instant::now();
        let within = world.store.open(world.inbox).await.unwrap().uids;
        let query = world.query(&within, 1 << 20);
        let found = search(&query, &to).await.unwrap();
        assert_eq!(sort(&query, &found, &by_to).await.unwrap().len(), within.len() as usize);
        took.push(begun.elapsed());
        world.faults.set_read_time(Duration::ZERO);
    }
    assert!(took[0] > Duration::from_millis(300) && took[1] < 4 * took[0], "{took:?}");
}

/// As when another session expunges a message between the look at its row and the look at its summary.
#[tokio::test]
async fn what_is_gone_meanwhile_is_passed_over() {
    let world = World::new().await;
    let (first, second) =
        (world.append("To: b@x\r\n\r\n".into()).await, world.append("To: a@x\r\n\r\n".into()).await);
    let within = world.store.open(world.inbox).await.unwrap().uids;
    // An order that no index keeps.
    let by_to = [SortCriterion { key: SortKey::To, reverse: false }];
    let query = world.query(&within, 1 << 20);
    assert_eq!(sort(&query, &within, &by_to).await.unwrap(), [second, first]);
    assert!(matches!(sort(&world.query(&within, 600), &within, &by_to).await, Err(Error::Budget(_))));
    let email = world.store.message(world.inbox, second).await.unwrap().email;
    let (begin, end) = &StructureKey::range(ACCOUNT, email);
    let db = world.store.database();
    let cleared = db.transact("test", |txn| async move {
        txn.clear_range(begin, end);
        Ok::<_, mail::Error>(())
    });
    cleared.await.unwrap();
    assert_eq!(sort(&query, &within, &by_to).await.unwrap(), [first]);
    let to = Filter::Header(Field::To, Needle::new(""));
    assert_eq!(world.found(&to, 1 << 20).await, Some(1));
}
