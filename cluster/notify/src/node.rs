//! The node's part: tell what was committed, say what it is interested in, and be the home of some accounts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use changes::{Change, Feed, LocalFeed, Sink, Subscription};
use membership::Members;
use parking_lot::Mutex;
use rpc::{Router, Rpc};
use runtime::{SharedClock, Supervisor, TaskKind};
use schema::{AccountId, NodeId};
use tokio::sync::{Notify as Signal, watch};
use tokio::time::MissedTickBehavior;

use crate::home::{self, Run};
use crate::interests::Interests;
use crate::outbox::Outbox;
use crate::{Changed, Committed, Interest, Wake, limits, metrics};

/// Carries messages to other nodes, or loses them.
pub trait Carrier: Send + Sync {
    /// Tells a node what this one is interested in.
    fn interest(&self, to: NodeId, message: Interest);
    /// Tells a home what was committed.
    fn committed(&self, to: NodeId, message: Committed);
    /// Tells a node what changed that it is interested in.
    fn wake(&self, to: NodeId, message: Wake);
    /// How long a message takes to get there, as far as is known.
    fn way(&self, to: NodeId) -> Duration;
}

impl Carrier for Rpc {
    fn interest(&self, to: NodeId, message: Interest) {
        lose(&self.hint(to, &message));
    }

    fn committed(&self, to: NodeId, message: Committed) {
        lose(&self.hint(to, &message));
    }

    fn wake(&self, to: NodeId, message: Wake) {
        lose(&self.hint(to, &message));
    }

    fn way(&self, to: NodeId) -> Duration {
        self.round_trip(to).unwrap_or_default() / 2
    }
}

/// None of the messages is too long, and none must be understood: what is wrong is as good as a loss.
fn lose(hinted: &Result<(), rpc::Error>) {
    metrics::dropped("message", usize::from(hinted.is_err()));
}

/// Sink and feed of one node among others. Cheap to clone. As long as it is not attached it is those of one process.
#[derive(Clone)]
pub struct Notify {
    shared: Arc<Shared>,
}

struct Shared {
    local: LocalFeed,
    clock: SharedClock,
    others: OnceLock<Others>,
    outbox: Outbox,
    /// As a home.
    interests: Mutex<Interests>,
    /// Accounts whose home has been told that this node is interested.
    told: Mutex<HashMap<AccountId, Run>>,
    /// Accounts that somebody has begun to wait for.
    fresh: Mutex<Vec<AccountId>>,
    freshened: Signal,
}

/// The other nodes.
struct Others {
    me: NodeId,
    carrier: Arc<dyn Carrier>,
    members: watch::Receiver<Arc<Members>>,
}

impl Others {
    fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.borrow())
    }
}

impl Notify {
    /// Over the feed of this process.
    pub fn new(local: LocalFeed, clock: SharedClock) -> Notify {
        let shared = Shared {
            local,
            clock,
            others: OnceLock::new(),
            outbox: Outbox::default(),
            interests: Mutex::default(),
            told: Mutex::default(),
            fresh: Mutex::default(),
            freshened: Signal::new(),
        };
        Notify { shared: Arc::new(shared) }
    }

    /// Hears what others tell by `router`.
    #[must_use]
    pub fn route(&self, router: Router) -> Router {
        let [interest, committed, wake] = [(); 3].map(|()| self.clone());
        router
            .on_hint(move |from, message: Interest| {
                interest.interested(from, &message);
                std::future::ready(())
            })
            .on_hint(move |from, message: Committed| {
                committed.was_committed(from, &message);
                std::future::ready(())
            })
            .on_hint(move |_, message: Wake| {
                wake.woken(&message);
                std::future::ready(())
            })
    }

    /// From now on there are others. Once.
    pub fn attach(
        &self,
        me: NodeId,
        carrier: Arc<dyn Carrier>,
        members: watch::Receiver<Arc<Members>>,
        supervisor: &Supervisor,
    ) {
        if self.shared.others.set(Others { me, carrier, members }).is_err() {
            return;
        }
        supervisor.spawn(TaskKind::Background, "notify", self.clone().telling());
        supervisor.spawn(TaskKind::Background, "notify.interest", self.clone().being_interested());
    }

    /// Another node is interested in accounts whose home this one is, as that one sees it.
    pub fn interested(&self, from: NodeId, message: &Interest) {
        metrics::received("interest", message.accounts.len());
        let time = Duration::from_secs(message.seconds.into()).min(limits::LONGEST);
        let until = self.shared.clock.monotonic() + time;
        let mut interests = self.shared.interests.lock();
        let accounts = message.accounts.iter().map(|account| AccountId(*account));
        let refused = accounts.filter(|account| !interests.add(*account, from, until, limits::INTERESTS));
        metrics::dropped("interest", refused.count());
    }

    /// Another node has committed changes.
    pub fn was_committed(&self, from: NodeId, message: &Committed) {
        metrics::received("committed", message.changes.len());
        self.wake_own(&message.changes);
        self.tell_interested(from, &message.changes);
    }

    /// Something has changed that this node is interested in.
    pub fn woken(&self, message: &Wake) {
        metrics::received("wake", message.changes.len());
        self.wake_own(&message.changes);
    }

    fn wake_own(&self, changes: &[Changed]) {
        for change in changes {
            if self.shared.local.hinted(change.account(), change.version, change.kinds()) {
                metrics::woken(change.age());
            }
        }
    }

    /// As a home: tells the nodes that are interested and alive, but for the one that knows.
    fn tell_interested(&self, from: NodeId, changes: &[Changed]) {
        let Some(others) = self.shared.others.get() else { return };
        let (members, now) = (others.members(), self.shared.clock.monotonic());
        let mut by_node: BTreeMap<NodeId, Vec<Changed>> = BTreeMap::new();
        {
            let interests = self.shared.interests.lock();
            for change in changes {
                for node in interests.of(change.account(), now) {
                    if node != from && node != others.me && members.alive.contains_key(&node) {
                        by_node.entry(node).or_default().push(*change);
                    }
                }
            }
        }
        for (node, changes) in by_node {
            metrics::sent("wake", changes.len());
            let way = others.carrier.way(node);
            let changes = changes.into_iter().map(|change| change.later(way)).collect();
            others.carrier.wake(node, Wake { changes });
        }
    }

    /// Tells what was committed: at once, and then what has come together.
    async fn telling(self) {
        loop {
            self.shared.outbox.filled().await;
            self.tell(&self.shared.outbox.take(self.shared.clock.monotonic()));
            tokio::time::sleep(limits::PACE).await;
        }
    }

    fn tell(&self, changes: &[Changed]) {
        let Some(others) = self.shared.others.get() else { return };
        let members = others.members();
        if members.alive.len() < 2 {
            return;
        }
        let mut by_home: BTreeMap<NodeId, Vec<Changed>> = BTreeMap::new();
        for change in changes {
            if let Some(home) = home::home(change.account(), &members) {
                by_home.entry(home).or_default().push(*change);
            }
        }
        for (home, changes) in by_home {
            for changes in changes.chunks(limits::BATCH) {
                if home == others.me {
                    self.tell_interested(others.me, changes);
                    continue;
                }
                metrics::sent("committed", changes.len());
                let way = others.carrier.way(home);
                let changes = changes.iter().map(|change| change.later(way)).collect();
                others.carrier.committed(home, Committed { changes });
            }
        }
    }

    /// Tells homes what this node is interested in: what is new at once, all when the homes have changed, and from time to time.
    async fn being_interested(self) {
        let Some(others) = self.shared.others.get() else { return };
        let mut members = others.members.clone();
        let mut renewal = tokio::time::interval(limits::INTEREST / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shared.freshened.notified() => self.tell_fresh(others),
                _ = renewal.tick() => self.renew(others),
                changed = members.changed() => match changed {
                    Ok(()) => self.tell_new_homes(others),
                    // Nobody gossips any more: the node ends.
                    Err(_) => return,
                },
            }
        }
    }

    fn tell_fresh(&self, others: &Others) {
        let fresh = std::mem::take(&mut *self.shared.fresh.lock());
        let members = others.members();
        let mut told = self.shared.told.lock();
        let mut news = Vec::new();
        for account in fresh {
            let Some(run) = home::run(account, &members.alive) else { continue };
            if told.insert(account, run) != Some(run) {
                news.push((account, run.0));
            }
        }
        drop(told);
        say_interested(others, news);
    }

    fn tell_new_homes(&self, others: &Others) {
        let members = others.members();
        let mut news = Vec::new();
        for (account, told) in &mut *self.shared.told.lock() {
            if let Some(run) = home::run(*account, &members.alive)
                && run != *told
            {
                *told = run;
                news.push((*account, run.0));
            }
        }
        say_interested(others, news);
    }

    fn renew(&self, others: &Others) {
        let members = others.members();
        let home = |account| Some((account, home::run(account, &members.alive)?));
        let told: HashMap<AccountId, Run> =
            self.shared.local.accounts().into_iter().filter_map(home).collect();
        let all = told.iter().map(|(account, run)| (*account, run.0)).collect();
        *self.shared.told.lock() = told;
        say_interested(others, all);
        let mut interests = self.shared.interests.lock();
        interests.sweep(self.shared.clock.monotonic());
        metrics::interests(interests.len());
    }

    /// Somebody waits for an account.
    fn want(&self, account: AccountId) {
        if self.shared.others.get().is_none() || self.shared.told.lock().contains_key(&account) {
            return;
        }
        self.shared.fresh.lock().push(account);
        self.shared.freshened.notify_one();
    }
}

/// Tells each home which of its accounts this node is interested in.
fn say_interested(others: &Others, accounts: Vec<(AccountId, NodeId)>) {
    let mut by_home: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
    // At home a change is heard of in any case.
    for (account, home) in accounts.into_iter().filter(|(_, home)| *home != others.me) {
        by_home.entry(home).or_default().push(account.0);
    }
    let seconds = u32::try_from(limits::INTEREST.as_secs()).unwrap_or(u32::MAX);
    for (home, accounts) in by_home {
        for accounts in accounts.chunks(limits::BATCH) {
            metrics::sent("interest", accounts.len());
            others.carrier.interest(home, Interest { accounts: accounts.to_vec(), seconds });
        }
    }
}

impl Sink for Notify {
    fn committed(&self, change: &Change) {
        self.shared.local.committed(change);
        if self.shared.others.get().is_some()
            && !self.shared.outbox.push(change, self.shared.clock.monotonic())
        {
            metrics::dropped("commit", 1);
        }
    }
}

impl Feed for Notify {
    fn subscribe(&self, account: AccountId) -> Subscription {
        // First the wait, then the interest: what is told of finds who waits.
        let subscription = self.shared.local.subscribe(account);
        self.want(account);
        subscription
    }

    fn standing(&self, account: AccountId) -> Subscription {
        let subscription = self.shared.local.standing(account);
        self.want(account);
        subscription
    }
}
