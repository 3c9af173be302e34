//! A mail store with one account, over a store that can be faulty or slow.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by several tests, which end where they fail"
)]

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use changes::LocalFeed;
use content_mail::{Limits, summarize};
use godwit_mail::{Error, Incoming, Mailbox, MailboxPath, MailboxRef, Step, Store, UidSet, verify};
use kv::fault::{FaultBackend, Plan};
use kv::{Backend, Database};
use runtime::{Clock, ManualClock, SeededRng, SharedClock, SystemRng, Timestamp};
use schema::{AccountId, Flags};

pub const ACCOUNT: AccountId = AccountId(7);
pub const OTHER: AccountId = AccountId(8);

/// Time as the runtime of the test tells it, so that a store that takes its time is seen to.
struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000) + self.0.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

pub struct World {
    pub store: Store,
    pub db: Database,
    pub clock: Arc<ManualClock>,
    pub faults: Arc<FaultBackend>,
    _dir: tempfile::TempDir,
}

pub async fn world(seed: u64) -> World {
    world_over(seed, Arc::new(kv::memory::Memory::new())).await
}

pub async fn world_over(seed: u64, engine: Arc<dyn Backend>) -> World {
    let rng = Arc::new(SeededRng::new(seed));
    let faults = Arc::new(FaultBackend::new(engine, rng.clone(), Plan::NONE));
    let time: SharedClock = Arc::new(TestClock(tokio::time::Instant::now()));
    let db = Database::new(faults.clone(), time, SystemRng::shared());
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
    let options = blob::Options::default();
    let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
    let store = Store::new(db.clone(), blobs, Arc::new(LocalFeed::new()), clock.clone(), rng);
    for account in [ACCOUNT, OTHER] {
        let store = &store;
        db.transact("test", |txn| async move { store.provision_in(&txn, account).await }).await.unwrap();
    }
    World { store, db, clock, faults, _dir: dir }
}

pub fn path(text: &str) -> MailboxPath {
    MailboxPath::parse(text).unwrap()
}

impl World {
    pub async fn mailbox(&self, account: AccountId, name: &str) -> MailboxRef {
        let found = self.store.resolve(account, &path(name)).await.unwrap().unwrap();
        MailboxRef { account, mailbox: found.id }
    }

    pub async fn create(&self, name: &str) -> (MailboxRef, Mailbox) {
        let made = self.store.create(ACCOUNT, &path(name), None).await.unwrap();
        (MailboxRef { account: ACCOUNT, mailbox: made.id }, made)
    }

    pub async fn incoming(&self, header: &str) -> Incoming {
        let text = format!("{header}\r\n\r\nbody\r\n");
        let summary = Arc::new(summarize(text.as_bytes(), &Limits::default()));
        Incoming { staged: self.store.blobs().stage(text.into_bytes().into()).await.unwrap(), summary }
    }

    pub async fn append(&self, at: MailboxRef, header: &str) -> u32 {
        let incoming = self.incoming(header).await;
        self.store.append(at, &incoming, &Flags::none(), 1_700_000_000).await.unwrap().uid
    }

    /// Fills a mailbox: ten emails, and copies of them.
    pub async fn fill(&self, at: MailboxRef, count: u32) {
        for n in 1..=count.min(10) {
            self.append(at, &format!("Subject: {n}\r\nMessage-ID: <{n}@x>")).await;
        }
        let mut there = 10;
        while there < count {
            let some: UidSet = (1..=there.min(count - there).min(500)).collect();
            self.store.copy(at, &some, at).await.unwrap();
            there = self.store.status(at).await.unwrap().exists;
        }
    }

    /// Finishes what was left behind; how many messages that were.
    pub async fn finish(&self) -> u64 {
        let mut messages = 0;
        while let Some(at) = self.store.emptying(None, 1).await.unwrap().first() {
            if let Step::Cleared { emails, .. } = self.store.empty_step(*at).await.unwrap() {
                messages += emails;
            }
        }
        messages
    }

    pub async fn sound(&self) {
        for account in [ACCOUNT, OTHER] {
            assert_eq!(verify(&self.store, account).await.unwrap(), Vec::<String>::new());
        }
    }

    /// Faults end, and commits that are still under way arrive.
    pub async fn calm(&self) {
        self.faults.deliver().await;
        self.faults.set_plan(Plan::NONE);
        self.faults.set_read_time(Duration::ZERO);
    }

    /// All rows of a range, as text.
    pub async fn keys(&self, (begin, end): (Vec<u8>, Vec<u8>)) -> Vec<String> {
        let (begin, end) = (&begin, &end);
        let rows = self.db.read("test", |txn| async move {
            Ok::<_, Error>(txn.range(begin, end).snapshot().collect().await?)
        });
        rows.await.unwrap().iter().map(|(key, _)| schema::explain(key)).collect()
    }
}

/// Polls a future so often, and drops it then: what a crash leaves is what was committed.
pub async fn crash_after<F: Future>(polls: u64, work: F) -> Option<F::Output> {
    let (mut work, mut left) = (std::pin::pin!(work), polls);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
