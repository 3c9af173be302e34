//! Nodes in one process, in virtual time, over a network that loses what it likes: what is committed on one is seen on all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use changes::{Change, Feed, Kinds, LocalFeed, POLL, Poll, Sink, Subscription};
use futures::FutureExt;
use godwit_notify::{Carrier, Committed, Interest, Notify, Wake, home};
use kv::Database;
use membership::{Member, Members};
use parking_lot::Mutex;
use runtime::{Clock, Rng, SeededRng, SharedClock, Shutdown, Supervisor, Timestamp};
use schema::{AccountId, NodeId};
use smallvec::SmallVec;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Within that a change is seen, whatever is lost.
const BOUND: Duration = Duration::from_secs(2);
/// Within that it is seen typically.
const TYPICAL: Duration = Duration::from_millis(50);

/// The runtime's own time, which a test may make virtual.
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The network: who is there, how much is lost, and what was sent.
struct Net {
    nodes: Mutex<BTreeMap<NodeId, Notify>>,
    rng: Arc<SeededRng>,
    /// In thousandths.
    loss: AtomicU64,
    sent: AtomicUsize,
}

struct Wire {
    net: Arc<Net>,
    me: NodeId,
}

impl Wire {
    fn send(&self, to: NodeId, deliver: impl FnOnce(&Notify) + Send + 'static) {
        self.net.sent.fetch_add(1, Ordering::Relaxed);
        let Some(node) = self.net.nodes.lock().get(&to).cloned() else { return };
        if self.net.rng.below(1000) < self.net.loss.load(Ordering::Relaxed) {
            return;
        }
        let way = Duration::from_micros(self.net.rng.below(5_000));
        tokio::spawn(async move {
            sleep(way).await;
            deliver(&node);
        });
    }
}

impl Carrier for Wire {
    fn interest(&self, to: NodeId, message: Interest) {
        let from = self.me;
        self.send(to, move |node| node.interested(from, &message));
    }

    fn committed(&self, to: NodeId, message: Committed) {
        let from = self.me;
        self.send(to, move |node| node.was_committed(from, &message));
    }

    fn wake(&self, to: NodeId, message: Wake) {
        self.send(to, move |node| node.woken(&message));
    }

    fn way(&self, _: NodeId) -> Duration {
        Duration::from_millis(1)
    }
}

struct Node {
    id: NodeId,
    notify: Notify,
    members: watch::Sender<Arc<Members>>,
    shutdown: Shutdown,
}

struct World {
    db: Database,
    clock: SharedClock,
    net: Arc<Net>,
    nodes: Vec<Node>,
    begun: u64,
    /// Whether nodes look for themselves.
    polls: bool,
}

impl World {
    async fn new(seed: u64, nodes: u32, polls: bool) -> World {
        let (rng, clock) = (Arc::new(SeededRng::new(seed)), Arc::new(Virtual(Instant::now())));
        let (loss, sent) = (AtomicU64::new(0), AtomicUsize::new(0));
        let net = Arc::new(Net { nodes: Mutex::default(), rng, loss, sent });
        let db = kv::memory::database();
        let mut world = World { db, clock, net, nodes: Vec::new(), begun: 0, polls };
        for id in 1..=nodes {
            world.start(id);
        }
        world.gossip().await;
        world
    }

    /// A node begins, perhaps one that was there before.
    fn start(&mut self, id: u32) {
        let (id, local, shutdown) = (NodeId(id), LocalFeed::new(), Shutdown::new());
        let notify = Notify::new(local.clone(), self.clock.clone());
        let supervisor = Supervisor::new(shutdown.clone());
        self.begun += 1;
        let members = watch::Sender::new(Arc::new(Members {
            alive: [(id, member(id, self.begun))].into(),
            ..Members::default()
        }));
        let wire = Arc::new(Wire { net: Arc::clone(&self.net), me: id });
        notify.attach(id, wire, members.subscribe(), &supervisor);
        if self.polls {
            let poll = Arc::new(Poll::new(self.db.clone(), local));
            supervisor.spawn_recurring("poll", POLL, move || {
                let poll = Arc::clone(&poll);
                async move { poll.look().await.map(drop) }
            });
        }
        self.net.nodes.lock().insert(id, notify.clone());
        self.nodes.push(Node { id, notify, members, shutdown });
    }

    fn stop(&mut self, at: usize) {
        let node = self.nodes.swap_remove(at);
        node.shutdown.begin();
        node.shutdown.stop.cancel();
        self.net.nodes.lock().remove(&node.id);
    }

    /// Nodes hear of each other, one after the other.
    async fn gossip(&self) {
        let own = |node: &Node| node.members.borrow().alive[&node.id].clone();
        let alive: BTreeMap<NodeId, Member> = self.nodes.iter().map(|node| (node.id, own(node))).collect();
        for node in &self.nodes {
            sleep(Duration::from_millis(self.net.rng.below(100))).await;
            node.members.send_replace(Arc::new(Members { alive: alive.clone(), ..Members::default() }));
        }
        sleep(TYPICAL).await;
    }

    fn node(&self, id: u32) -> &Notify {
        &self.nodes.iter().find(|node| node.id == NodeId(id)).unwrap().notify
    }

    async fn commit(&self, on: &Notify, account: AccountId, kinds: Kinds) {
        let write = self.db.transact_versioned("test", |txn| async move {
            changes::log::touch_in(&txn, account);
            if kinds.intersects(Kinds::STANDING) {
                changes::log::touch_standing_in(&txn, account);
            }
            Ok::<_, changes::Error>(())
        });
        let ((), version) = write.await.unwrap();
        on.committed(&Change { account, mailboxes: SmallVec::new(), version, kinds });
    }
}

fn member(id: NodeId, generation: u64) -> Member {
    Member::new(id, generation, ([127, 0, 0, 1], 1).into())
}

/// What was told so far is no matter.
fn forget(subscription: &mut Subscription) {
    let _ = subscription.changed().now_or_never();
}

/// Waits to be woken, and returns after how long.
async fn woken(subscription: &mut Subscription, within: Duration) -> Option<Duration> {
    let begun = Instant::now();
    timeout(within, subscription.changed()).await.ok().map(|()| begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn what_one_commits_others_see_by_hints_alone() {
    let world = World::new(1, 5, false).await;
    for account in (1..=50).map(AccountId) {
        let mut waiting: Vec<Subscription> =
            world.nodes.iter().map(|node| node.notify.subscribe(account)).collect();
        sleep(TYPICAL).await;
        for writer in 1..=5 {
            world.commit(world.node(writer), account, Kinds::MESSAGES).await;
            for subscription in &mut waiting {
                let after = woken(subscription, BOUND).await;
                assert!(after.is_some_and(|after| after <= TYPICAL), "{account} of {writer}: {after:?}");
            }
        }
        sleep(TYPICAL).await;
        assert!(waiting.iter().all(|subscription| !subscription.is_changed()), "once each");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_standing_goes_the_same_way() {
    let world = World::new(2, 3, false).await;
    let mut waiting: Vec<Subscription> =
        world.nodes.iter().map(|node| node.notify.standing(AccountId(9))).collect();
    sleep(TYPICAL).await;
    waiting.iter_mut().for_each(forget);
    world.commit(world.node(2), AccountId(9), Kinds::MESSAGES).await;
    sleep(BOUND).await;
    assert!(waiting.iter().all(|subscription| !subscription.is_changed()), "that was mail");
    world.commit(world.node(2), AccountId(9), Kinds::STANDING).await;
    for subscription in &mut waiting {
        assert!(woken(subscription, TYPICAL).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn with_all_hints_lost_the_look_finds_what_was_committed() {
    let world = World::new(3, 3, true).await;
    world.net.loss.store(1000, Ordering::Relaxed);
    let mut waiting: Vec<Subscription> =
        world.nodes.iter().map(|node| node.notify.subscribe(AccountId(1))).collect();
    sleep(BOUND).await;
    for round in 0..100 {
        sleep(Duration::from_millis(37 * (round % 50))).await;
        waiting.iter_mut().for_each(forget);
        world.commit(world.node(1), AccountId(1), Kinds::FLAGS).await;
        for subscription in &mut waiting {
            assert!(woken(subscription, BOUND).await.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_costs_a_message_for_each_interested_node() {
    let world = World::new(4, 50, false).await;
    let account = (1..).map(AccountId);
    let members = world.nodes[0].members.borrow().clone();
    // Neither the writer nor who is interested is the home.
    let account = account.into_iter().find(|account| home(*account, &members).unwrap().0 > 4).unwrap();
    let mut waiting: Vec<Subscription> = (2..=4).map(|node| world.node(node).subscribe(account)).collect();
    sleep(TYPICAL).await;
    let before = world.net.sent.load(Ordering::Relaxed);
    // However many there are at once.
    for _ in 0..1_000 {
        world.commit(world.node(1), account, Kinds::MESSAGES).await;
    }
    for subscription in &mut waiting {
        assert!(woken(subscription, TYPICAL).await.is_some());
    }
    sleep(TYPICAL).await;
    let sent = world.net.sent.load(Ordering::Relaxed) - before;
    assert!((4..=8).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn interest_that_nobody_has_any_more_is_forgotten() {
    let world = World::new(5, 3, false).await;
    let members = world.nodes[0].members.borrow().clone();
    let account = (1..).map(AccountId).find(|account| home(*account, &members) == Some(NodeId(2))).unwrap();
    let waiting = world.node(3).subscribe(account);
    sleep(TYPICAL).await;
    let cost = async |world: &World| {
        let before = world.net.sent.load(Ordering::Relaxed);
        world.commit(world.node(1), account, Kinds::MESSAGES).await;
        sleep(TYPICAL).await;
        world.net.sent.load(Ordering::Relaxed) - before
    };
    assert_eq!(cost(&world).await, 2);
    // Renewed for as long as somebody waits, and not longer.
    sleep(godwit_notify::limits::INTEREST * 3).await;
    assert_eq!(cost(&world).await, 2);
    drop(waiting);
    sleep(godwit_notify::limits::INTEREST * 2).await;
    assert_eq!(cost(&world).await, 1);
}

/// One run: nodes come, go and begin anew, messages are lost, sessions begin and end; every change is seen in time.
async fn history(seed: u64) {
    let mut world = World::new(seed, 4, true).await;
    let rng = Arc::clone(&world.net.rng);
    let pick = |of: usize| usize::try_from(rng.below(of as u64)).unwrap();
    let mut waiting: Vec<(NodeId, AccountId, Subscription)> = Vec::new();
    let mut settled = true;
    for _ in 0..200 {
        match rng.below(10) {
            0 if world.nodes.len() > 2 => {
                world.stop(pick(world.nodes.len()));
                waiting.retain(|(node, ..)| world.nodes.iter().any(|there| there.id == *node));
                settled = false;
            }
            1 => {
                let id = u32::try_from(rng.below(6)).unwrap() + 1;
                if world.nodes.iter().all(|node| node.id != NodeId(id)) {
                    world.start(id);
                    settled = false;
                }
            }
            2 | 3 => {
                world.gossip().await;
                // Interest that was lost is told anew.
                sleep(godwit_notify::limits::INTEREST / 3 + TYPICAL).await;
                settled = world.net.loss.load(Ordering::Relaxed) == 0;
            }
            4 => {
                world.net.loss.store([0, 0, 50, 500][pick(4)], Ordering::Relaxed);
                settled = false;
            }
            5 => drop((!waiting.is_empty()).then(|| waiting.swap_remove(pick(waiting.len())))),
            _ => {}
        }
        let account = AccountId(u32::try_from(rng.below(8)).unwrap());
        let node = &world.nodes[pick(world.nodes.len())];
        waiting.push((node.id, account, node.notify.subscribe(account)));
        sleep(Duration::from_millis(20 + rng.below(500))).await;
        waiting.iter_mut().for_each(|(.., subscription)| forget(subscription));
        world.commit(&world.nodes[pick(world.nodes.len())].notify, account, Kinds::MESSAGES).await;
        for (node, _, subscription) in waiting.iter_mut().filter(|(_, of, _)| *of == account) {
            let after = woken(subscription, BOUND).await;
            let bound = if settled { TYPICAL } else { BOUND };
            assert!(after.is_some_and(|after| after <= bound), "seed {seed}: {account} on {node}: {after:?}");
        }
    }
    for node in &world.nodes {
        node.shutdown.begin();
        node.shutdown.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_for_good_whoever_comes_and_goes() {
    for seed in 0..40 {
        history(seed).await;
    }
}
