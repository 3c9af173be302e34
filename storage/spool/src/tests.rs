//! The queue's promises, one by one, and at random under a faulty store.

use std::sync::Arc;
use std::time::Duration;

use kv::Database;
use leases::{Fence, Leases, Node};
use runtime::{Clock, ManualClock, SeededRng, SystemRng, Timestamp};
use schema::keys::queue::slot_of;
use schema::{Duty, QueueId};

use crate::{
    BodyType, Claimed, Entry, Error, NewEntry, NewRecipient, Notify, Outcome, Reply, Ret, Settled, Spool,
    State,
};

const DOMAIN: &str = "example.org";

pub(crate) struct Fixture {
    pub(crate) spool: Spool,
    pub(crate) db: Database,
    clock: Arc<ManualClock>,
    slot: u16,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new(db: Database) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let rng = Arc::new(SeededRng::new(7));
        let options = blob::Options::default();
        let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
        let spool = Spool::new(db.clone(), blobs, clock.clone(), rng);
        Self { spool, db, clock, slot: slot_of(DOMAIN), _dir: dir }
    }

    pub(crate) async fn enqueue(&self, recipients: usize) -> QueueId {
        self.enqueue_for(DOMAIN, recipients).await
    }

    async fn enqueue_for(&self, domain: &str, recipients: usize) -> QueueId {
        let staged = self.spool.blobs.stage(b"Subject: x\r\n\r\nbody\r\n"[..].into()).await.unwrap();
        let recipient =
            |n| NewRecipient { address: format!("r{n}@{DOMAIN}"), notify: Notify::default(), orcpt: None };
        let new = NewEntry {
            return_path: "a@example.test".into(),
            domain: domain.into(),
            staged,
            recipients: (0..recipients).map(recipient).collect(),
            envid: None,
            ret: Ret::Headers,
            smtputf8: false,
            body: BodyType::EightBitMime,
            header_8bit: false,
            body_8bit: true,
            submitter: Some(schema::AccountId(300)),
            lifetime: Duration::from_secs(432_000),
            not_before: None,
        };
        let new = &new;
        self.db
            .transact("test.enqueue", |txn| async move { self.spool.enqueue_in(&txn, new).await })
            .await
            .unwrap()
    }

    async fn due(&self) -> Vec<QueueId> {
        let due = self.spool.due(self.slot, 10, 10).await.unwrap();
        due.entries.into_iter().map(|due| due.id).collect()
    }

    /// Takes the slot, whoever had it.
    async fn own(&self) -> Fence {
        let leases = Leases::new(self.db.clone(), self.clock.clone());
        let node = Node { name: "n".into(), level_min: 1, level_max: 1, ..Node::default() };
        let standing = leases.join(&node).await.unwrap();
        leases.take(standing, &[Duty::queue(self.slot.into())]).await.unwrap()[0]
    }

    async fn take(&self, id: QueueId, fence: &Fence) -> Claimed {
        self.spool.claim(id, fence).await.unwrap().unwrap()
    }

    fn later(&self) -> Timestamp {
        self.clock.now() + Duration::from_secs(60)
    }
}

fn reply(code: u16) -> Reply {
    Reply { code, enhanced: "4.0.0".into(), text: "text".into(), host: "mx".into(), time: Timestamp::EPOCH }
}

#[tokio::test]
async fn a_backlog_tells_how_much_waits_and_since_when() {
    let f = Fixture::new(kv::memory::database());
    assert_eq!(f.spool.backlog(f.slot, 10).await.unwrap(), crate::Backlog::default());
    f.enqueue(1).await;
    let first = f.clock.now();
    f.clock.advance(Duration::from_secs(60));
    for _ in 0..2 {
        f.enqueue(1).await;
    }
    let told = async |count| {
        let backlog = f.spool.backlog(f.slot, count).await.unwrap();
        (backlog.waiting, backlog.more, backlog.oldest_due)
    };
    assert_eq!(told(10).await, (3, false, Some(first)));
    assert_eq!(told(2).await, (2, true, Some(first)));
}

#[tokio::test]
async fn what_is_new_is_due_at_once_whatever_the_clocks_say() {
    let f = Fixture::new(kv::memory::database());
    let made = f.clock.now();
    let id = f.enqueue(1).await;
    // The node that sends it is an hour behind the one that took it.
    f.clock.step(made - Duration::from_secs(3600));
    let fence = f.own().await;
    assert_eq!(f.due().await, [id]);
    let claimed = f.take(id, &fence).await;
    assert_eq!((claimed.entry.created, claimed.entry.due), (made, made));
    assert_eq!(claimed.entry.expires, made + Duration::from_secs(432_000));
    // Its next attempt goes by the clock of whoever makes it.
    let next = f.later();
    f.spool.settle(&claimed, &[(0, Outcome::Deferred(reply(451)))], next).await.unwrap();
    assert_eq!(f.due().await, []);
    assert_eq!(f.spool.get(id).await.unwrap().due, next);
    f.clock.advance(Duration::from_secs(61));
    assert_eq!(f.due().await, [id]);
}

#[tokio::test]
async fn an_entry_lives_from_enqueue_to_its_last_recipient() {
    let f = Fixture::new(kv::memory::database());
    let id = f.enqueue(2).await;
    let fence = f.own().await;
    assert_eq!(f.due().await, [id]);
    let claimed = f.take(id, &fence).await;
    assert_eq!(claimed.entry.pending().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(f.due().await, []);
    assert_eq!(f.spool.claim(id, &fence).await.unwrap(), None, "it is claimed");
    f.spool.begin_attempt(&claimed, &[0, 1]).await.unwrap();
    let outcomes = [(0, Outcome::Delivered(reply(250))), (1, Outcome::Deferred(reply(451)))];
    let next = f.later();
    assert_eq!(f.spool.settle(&claimed, &outcomes, next).await.unwrap(), Settled::Due(next));
    let due = f.spool.due(f.slot, 10, 10).await.unwrap();
    assert_eq!((due.entries.as_slice(), due.next), (&[][..], Some(next)));
    let entry = f.spool.get(id).await.unwrap();
    assert_eq!(entry.pending().collect::<Vec<_>>(), [1]);
    assert_eq!((entry.recipients[1].attempts, entry.recipients[1].in_doubt), (1, None));

    f.clock.advance(Duration::from_secs(61));
    let claimed = f.take(id, &fence).await;
    let outcomes = [(1, Outcome::Failed(reply(550)))];
    assert_eq!(f.spool.settle(&claimed, &outcomes, next).await.unwrap(), Settled::Gone);
    assert!(matches!(f.spool.get(id).await, Err(Error::NotFound(_))));
    assert!(f.spool.list(None, 10).await.unwrap().entries.is_empty());
    // Nothing is left but the slot's own row and the body that waits for its collector.
    let rows = f.db.read("test", |txn| async move { txn.range(b"Q", b"R").collect().await });
    assert_eq!(rows.await.unwrap().len(), 1, "the wake counter");
}

#[tokio::test]
async fn a_former_owner_can_finish_nothing() {
    let f = Fixture::new(kv::memory::database());
    let id = f.enqueue(1).await;
    let old = f.own().await;
    let claimed = f.take(id, &old).await;
    f.spool.begin_attempt(&claimed, &[0]).await.unwrap();
    let new = f.own().await;
    assert!(new.epoch > old.epoch);
    let fenced =
        |result: Result<(), Error>| assert!(matches!(result, Err(Error::Fenced { .. })), "{result:?}");
    let outcomes = [(0, Outcome::Delivered(reply(250)))];
    fenced(f.spool.settle(&claimed, &outcomes, f.later()).await.map(drop));
    fenced(f.spool.begin_attempt(&claimed, &[0]).await);
    fenced(f.spool.recover(&old).await.map(drop));
    assert_eq!(f.spool.recover(&new).await.unwrap(), 1);
    fenced(f.spool.claim(id, &old).await.map(drop));
    let claimed = f.take(id, &new).await;
    assert!(claimed.entry.recipients[0].in_doubt.is_some(), "its attempt may have succeeded");
    assert_eq!(f.spool.settle(&claimed, &outcomes, f.later()).await.unwrap(), Settled::Gone);
    assert_eq!(f.spool.recover(&new).await.unwrap(), 0);
}

#[tokio::test]
async fn operators_hold_release_and_cancel() {
    let f = Fixture::new(kv::memory::database());
    let id = f.enqueue(1).await;
    let fence = f.own().await;
    f.spool.hold(id).await.unwrap();
    assert_eq!(f.due().await, []);
    assert_eq!(f.spool.get(id).await.unwrap().state, State::Held);
    f.spool.retry_now(id).await.unwrap();
    assert_eq!(f.due().await, [id]);

    // What is asked for while it is worked on happens when that ends.
    let claimed = f.take(id, &fence).await;
    f.spool.hold(id).await.unwrap();
    let deferred = [(0, Outcome::Deferred(reply(421)))];
    assert_eq!(f.spool.settle(&claimed, &deferred, f.later()).await.unwrap(), Settled::Held);
    f.spool.retry_now(id).await.unwrap();
    let claimed = f.take(id, &fence).await;
    f.spool.cancel(id).await.unwrap();
    assert_eq!(f.spool.settle(&claimed, &deferred, f.later()).await.unwrap(), Settled::Gone);
    assert!(matches!(f.spool.cancel(id).await, Err(Error::NotFound(_))));
    let other = f.enqueue(1).await;
    f.spool.cancel(other).await.unwrap();
    assert_eq!(f.due().await, []);
}

#[tokio::test]
async fn a_cancelled_entry_goes_and_nothing_brings_it_back() {
    let f = Fixture::new(kv::memory::database());
    let fence = f.own().await;
    let (id, orphan, kept) = (f.enqueue(1).await, f.enqueue(1).await, f.enqueue(1).await);
    let claimed = f.take(id, &fence).await;
    f.take(orphan, &fence).await;
    f.take(kept, &fence).await;
    for cancelled in [id, orphan] {
        f.spool.cancel(cancelled).await.unwrap();
        f.spool.hold(cancelled).await.unwrap();
        f.spool.retry_now(cancelled).await.unwrap();
    }
    f.spool.hold(kept).await.unwrap();
    let begun = f.spool.begin_attempt(&claimed, &[0]).await;
    assert!(matches!(begun, Err(Error::Cancelled(_))), "{begun:?}");
    assert_eq!(f.spool.settle(&claimed, &[], f.later()).await.unwrap(), Settled::Gone);

    // Its owner died: the next one's recovery does what the operator wished.
    let next = f.own().await;
    assert_eq!(f.spool.recover(&next).await.unwrap(), 2);
    assert!(matches!(f.spool.get(orphan).await, Err(Error::NotFound(_))));
    assert_eq!(f.spool.get(kept).await.unwrap().state, State::Held);
    assert_eq!(f.spool.due(f.slot, 10, 10).await.unwrap(), crate::Due::default());
}

/// More than a value holds, or all of them more than a transaction.
#[tokio::test]
async fn what_is_kept_of_replies_is_bounded() {
    let f = Fixture::new(kv::memory::database());
    let fence = f.own().await;
    let id = f.enqueue(Entry::MAX_RECIPIENTS).await;
    let claimed = f.take(id, &fence).await;
    let long = "é".repeat(10_000);
    let said = Reply { text: long.clone(), host: long.clone(), enhanced: long, ..reply(451) };
    let outcomes: Vec<_> = claimed.entry.pending().map(|n| (n, Outcome::Deferred(said.clone()))).collect();
    f.spool.settle(&claimed, &outcomes, f.later()).await.unwrap();
    let kept = f.spool.get(id).await.unwrap().recipients.pop().unwrap().last.unwrap();
    assert_eq!((kept.text.len(), kept.host.len(), kept.enhanced.len()), (500, 254, 10), "whole characters");
}

#[tokio::test]
async fn a_look_leaves_room_for_other_domains() {
    let f = Fixture::new(kv::memory::database());
    let other = (0..).map(|n| format!("d{n}.example")).find(|d| slot_of(d) == f.slot).unwrap();
    let mut many = Vec::new();
    for _ in 0..5 {
        many.push(f.enqueue(1).await);
        f.clock.advance(Duration::from_millis(1));
    }
    let last = f.enqueue_for(&other, 1).await;
    let look = async |limit, each| {
        let due = f.spool.due(f.slot, limit, each).await.unwrap();
        (due.entries.into_iter().map(|due| (due.domain, due.id)).collect::<Vec<_>>(), due.more)
    };
    let of = |domain: &str, id| (domain.to_owned(), id);
    assert_eq!(look(10, 2).await, (vec![of(DOMAIN, many[0]), of(DOMAIN, many[1]), of(&other, last)], true));
    assert_eq!(look(1, 9).await, (vec![of(DOMAIN, many[0])], true));
    assert!(!look(6, 5).await.1);
}

/// What an earlier version queued says nothing of its domain in the due index.
#[tokio::test]
async fn entries_of_an_earlier_version_are_due() {
    use schema::{Key, keys::queue::QueueDueKey};
    let f = Fixture::new(kv::memory::database());
    let (id, gone) = (f.enqueue(1).await, QueueId(1));
    let write = f.db.transact("test", |txn| async move {
        for id in [id, gone] {
            txn.set(&QueueDueKey { slot: slot_of(DOMAIN), time: 0, id }.encode(), b"");
        }
        Ok::<_, Error>(())
    });
    write.await.unwrap();
    let due = f.spool.due(f.slot, 10, 10).await.unwrap();
    assert_eq!(due.entries, [crate::DueEntry { id, domain: DOMAIN.into() }]);
}

#[tokio::test]
async fn what_an_operator_wants_now_is_urgent_once() {
    let f = Fixture::new(kv::memory::database());
    let fence = f.own().await;
    let id = f.enqueue(1).await;
    f.spool.retry_now(id).await.unwrap();
    let claimed = f.take(id, &fence).await;
    assert!(claimed.entry.urgent && claimed.entry.body_8bit && !claimed.entry.header_8bit);
    f.spool.settle(&claimed, &[], f.later()).await.unwrap();
    assert!(!f.spool.get(id).await.unwrap().urgent);
}

#[tokio::test]
async fn what_has_ended_for_a_recipient_stays_so() {
    let f = Fixture::new(kv::memory::database());
    let fence = f.own().await;
    let id = f.enqueue(2).await;
    let claimed = f.take(id, &fence).await;
    f.spool.settle(&claimed, &[(0, Outcome::Delivered(reply(250)))], f.later()).await.unwrap();
    let claimed = f.take(id, &fence).await;
    f.spool.settle(&claimed, &[(0, Outcome::Failed(reply(550)))], f.later()).await.unwrap();
    let recipients = f.spool.get(id).await.unwrap().recipients;
    assert_eq!(recipients[0].state, crate::RecipientState::Delivered);
    assert_eq!(recipients[0].attempts, 1);
}

#[tokio::test]
async fn listing_is_paged() {
    let f = Fixture::new(kv::memory::database());
    let mut ids = Vec::new();
    for n in 1..=5 {
        ids.push(f.enqueue(n).await);
        f.clock.advance(Duration::from_millis(1));
    }
    let first = f.spool.list(None, 3).await.unwrap();
    let second = f.spool.list(first.next, 3).await.unwrap();
    let all: Vec<QueueId> = first.entries.iter().chain(&second.entries).map(|e: &Entry| e.id).collect();
    assert_eq!(all, ids);
    assert_eq!(second.entries[1].recipients.len(), 5);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn the_number_of_recipients_is_bounded() {
    let f = Fixture::new(kv::memory::database());
    let staged = f.spool.blobs.stage(b"x"[..].into()).await.unwrap();
    let new = NewEntry {
        return_path: String::new(),
        domain: DOMAIN.into(),
        staged,
        recipients: Vec::new(),
        envid: None,
        ret: Ret::Unspecified,
        smtputf8: false,
        body: BodyType::SevenBit,
        header_8bit: false,
        body_8bit: false,
        submitter: None,
        lifetime: Duration::ZERO,
        not_before: None,
    };
    let (f, new) = (&f, &new);
    let result = f.db.transact("test", |txn| async move { f.spool.enqueue_in(&txn, new).await }).await;
    assert!(matches!(result, Err(Error::Recipients)));
}

#[tokio::test]
async fn a_watch_wakes_on_new_mail() {
    let f = Fixture::new(kv::memory::database());
    let watch = f.spool.watch(f.slot).await.unwrap();
    f.enqueue(1).await;
    watch.await.unwrap();
}

/// Owners come and go, claim, attempt and settle in any order over a store that loses answers. Every recipient
/// ends exactly once, and nobody but the last owner ever settles.
#[tokio::test(start_paused = true)]
async fn no_recipient_is_lost_or_settled_twice() {
    for seed in 0..12 {
        let rng = Arc::new(SeededRng::new(seed));
        let memory = Arc::new(kv::memory::Memory::new());
        let faulty = Arc::new(kv::fault::FaultBackend::new(memory, rng, kv::fault::Plan::HARSH));
        let db = Database::new(faulty, runtime::SystemClock::shared(), SystemRng::shared());
        play(&Fixture::new(db), seed).await;
    }
}

async fn play(f: &Fixture, seed: u64) {
    use runtime::Rng;
    let rng = SeededRng::new(seed);
    let mut total = 0;
    for _ in 0..6 {
        let recipients = 1 + usize::try_from(rng.below(3)).unwrap();
        total += recipients;
        f.enqueue(recipients).await;
    }
    let mut owners = vec![f.own().await];
    let mut working: Vec<Claimed> = Vec::new();
    let mut ended = 0;
    while !f.spool.list(None, 100).await.unwrap().entries.is_empty() {
        f.clock.advance(Duration::from_secs(30));
        let latest = *owners.last().unwrap();
        match rng.below(8) {
            0 => {
                owners.push(f.own().await);
                f.spool.recover(owners.last().unwrap()).await.unwrap();
            }
            1..4 => {
                let fence = owners[usize::try_from(rng.below(owners.len() as u64)).unwrap()];
                let due = f.spool.due(f.slot, 3, 3).await.unwrap();
                for id in due.entries.iter().map(|due| due.id) {
                    match f.spool.claim(id, &fence).await {
                        Ok(claimed) => working.extend(claimed.inspect(|c| assert_eq!(c.fence, latest))),
                        Err(error) => assert!(matches!(error, Error::Fenced { .. }), "{error}"),
                    }
                }
            }
            _ => {
                let Some(claimed) = working.pop() else { continue };
                ended += finish(f, &rng, &claimed, latest).await;
            }
        }
    }
    assert_eq!(ended, total, "seed {seed}");
}

/// Attempts and settles; returns how many recipients ended.
async fn finish(f: &Fixture, rng: &SeededRng, claimed: &Claimed, latest: Fence) -> usize {
    use runtime::Rng;
    let numbers: Vec<usize> = claimed.entry.pending().collect();
    let outcome = |n: &usize| match rng.below(3) {
        0 => (*n, Outcome::Delivered(reply(250))),
        1 => (*n, Outcome::Failed(reply(550))),
        _ => (*n, Outcome::Deferred(reply(450))),
    };
    let outcomes: Vec<_> = numbers.iter().map(outcome).collect();
    let ended = outcomes.iter().filter(|(_, o)| !matches!(o, Outcome::Deferred(_))).count();
    let begun = f.spool.begin_attempt(claimed, &numbers).await;
    let settled = f.spool.settle(claimed, &outcomes, f.later()).await;
    assert_eq!(begun.is_ok(), claimed.fence == latest);
    assert_eq!(settled.is_ok(), claimed.fence == latest);
    if settled.is_ok() { ended } else { 0 }
}
