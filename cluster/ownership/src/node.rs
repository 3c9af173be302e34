//! The node's part: renew, look, and do what the plan says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leases::{Error, Fence, Leases, Node, Situation, Standing};
use parking_lot::Mutex;
use runtime::{CancellationToken, SharedClock};
use schema::{Duty, DutyKind, NodeId};
use tokio::sync::{Notify, watch};

use crate::algorithm::{Board, Held, Plan, plan};
use crate::observer::{Observer, WATCHERS};
use crate::types::{Renewed, Signals, Working};
use crate::{Charge, Hints, Tenure, Timings, hash, metrics};

/// Up to so many nodes all watch all.
const FEW: usize = 16;

/// What this node works on: a cheap handle.
#[derive(Clone)]
pub struct Ownership {
    shared: Arc<Shared>,
}

struct Shared {
    leases: Leases,
    node: Node,
    hints: Arc<dyn Hints>,
    clock: SharedClock,
    timings: Timings,
    renewed: Renewed,
    poke: Arc<Notify>,
    standing: watch::Sender<Option<Standing>>,
    situation: watch::Sender<Arc<Situation>>,
    held: watch::Sender<Arc<Vec<Fence>>>,
    unrenewed: Mutex<BTreeMap<NodeId, Duration>>,
    draining: AtomicBool,
}

impl Ownership {
    /// A node as it describes itself, that has not joined yet.
    pub fn new(
        leases: Leases,
        node: Node,
        hints: Arc<dyn Hints>,
        clock: SharedClock,
        timings: Timings,
    ) -> Ownership {
        let at = Arc::new(AtomicU64::new(0));
        let renewed = Renewed { clock: Arc::clone(&clock), at, lease: timings.lease };
        let shared = Shared {
            leases,
            node,
            hints,
            clock,
            timings,
            renewed,
            poke: Arc::default(),
            standing: watch::Sender::new(None),
            situation: watch::Sender::default(),
            held: watch::Sender::default(),
            unrenewed: Mutex::default(),
            draining: AtomicBool::new(false),
        };
        Ownership { shared: Arc::new(shared) }
    }

    /// Joins the cluster: from now on the node has a lease.
    ///
    /// # Errors
    /// As [`Leases::join`].
    pub async fn join(&self) -> Result<Standing, Error> {
        let begun = self.shared.clock.monotonic();
        let standing = self.shared.leases.join(&self.shared.node).await?;
        self.shared.renewed.set(begun);
        self.shared.standing.send_replace(Some(standing));
        tracing::info!(node = %standing.node, epoch = standing.epoch, "joined the cluster");
        Ok(standing)
    }

    /// Renews, looks and works until `stop`; then gives the lease back. For a task without which the process must not go on.
    ///
    /// # Errors
    /// [`Error::Superseded`] if another process joined under this node's name; and what makes the node unfit to join again
    /// once its lease was revoked ([`Error::TooOld`]).
    pub async fn run(&self, charges: Vec<Charge>, stop: CancellationToken) -> Result<(), Error> {
        let mut looker = Looker::new(Arc::clone(&self.shared), charges);
        let ended = tokio::select! {
            ended = self.renewing() => ended,
            () = looker.looking() => Ok(()),
            () = stop.cancelled() => Ok(()),
        };
        looker.lose_all();
        let standing = self.shared.standing.send_replace(None);
        if let (Ok(()), Some(standing)) = (&ended, standing)
            && let Err(error) = self.shared.leases.leave(standing).await
        {
            tracing::warn!(%error, "lease not given back, others will revoke it");
        }
        ended
    }

    /// From now on takes nothing, and hands over what it has. Resolves when nothing is left.
    ///
    /// # Errors
    /// The store's; then it is to be asked again.
    pub async fn drain(&self) -> Result<(), Error> {
        self.shared.draining.store(true, Ordering::Release);
        let standing = *self.shared.standing.borrow();
        let Some(standing) = standing else { return Ok(()) };
        match self.shared.leases.drain(standing).await {
            Ok(()) => {}
            // Nothing is its own any more.
            Err(Error::Revoked { .. } | Error::Superseded { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.poke();
        // What was taken before the drain shows in a situation that has it. The senders live as long as this handle.
        let mut situation = self.shared.situation.subscribe();
        let _ = situation.wait_for(|situation| has_drained(situation, standing)).await;
        let mut held = self.shared.held.subscribe();
        let _ = held.wait_for(|held| held.is_empty()).await;
        Ok(())
    }

    /// Looks at once: somebody said that there is something to see.
    pub fn poke(&self) {
        self.shared.poke.notify_one();
    }

    /// The node's standing: another one after its lease was revoked and it joined again.
    pub fn standing(&self) -> watch::Receiver<Option<Standing>> {
        self.shared.standing.subscribe()
    }

    /// Leases and claims as they were seen last.
    pub fn situation(&self) -> watch::Receiver<Arc<Situation>> {
        self.shared.situation.subscribe()
    }

    /// What this node works on.
    pub fn held(&self) -> Arc<Vec<Fence>> {
        Arc::clone(&self.shared.held.borrow())
    }

    /// How often, and how long.
    pub fn timings(&self) -> Timings {
        self.shared.timings
    }

    /// For how long this node has not renewed its own lease.
    pub fn unrenewed(&self) -> Duration {
        self.shared.renewed.ago()
    }

    /// For how long nodes that this one watches have not renewed theirs.
    pub fn unrenewed_others(&self) -> BTreeMap<NodeId, Duration> {
        self.shared.unrenewed.lock().clone()
    }

    async fn renewing(&self) -> Result<(), Error> {
        let shared = &*self.shared;
        loop {
            let begun = shared.clock.monotonic();
            let standing = *shared.standing.borrow();
            let pause = match self.renew(standing).await {
                Ok(()) => {
                    shared.renewed.set(begun);
                    metrics::renewed(shared.clock.monotonic().saturating_sub(begun));
                    shared.timings.renew.saturating_sub(shared.clock.monotonic().saturating_sub(begun))
                }
                Err(error @ Error::Revoked { .. }) => {
                    tracing::warn!(%error, "all duties are lost, joining again");
                    shared.standing.send_replace(None);
                    self.poke();
                    Duration::ZERO
                }
                Err(error @ Error::Kv(_)) => {
                    tracing::warn!(%error, "lease not renewed");
                    metrics::failed("renewal");
                    shared.timings.renew / 4
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews the lease, or joins where there is none.
    async fn renew(&self, standing: Option<Standing>) -> Result<(), Error> {
        match standing {
            Some(standing) => self.shared.leases.renew(standing).await,
            None => {
                let standing = self.join().await?;
                // A drain that had begun goes on under the new lease.
                if self.shared.draining.load(Ordering::Acquire) {
                    self.shared.leases.drain(standing).await?;
                }
                Ok(())
            }
        }
    }
}

/// Whether the lease is seen to drain, or gone, and holds nothing.
fn has_drained(situation: &Situation, standing: Standing) -> bool {
    let live = situation.live.get(&standing.node).filter(|live| live.epoch == standing.epoch);
    let holds =
        situation.claims.keys().any(|duty| situation.fence(*duty).is_some_and(|f| f.holder == standing));
    live.is_none_or(|live| live.draining) && !holds
}

/// Looks, and does what the plan says. Owns what is held.
struct Looker {
    shared: Arc<Shared>,
    charges: Vec<Charge>,
    duties: BTreeSet<Duty>,
    kinds: Vec<DutyKind>,
    observer: Observer,
    situation: Arc<Situation>,
    /// The nodes among which those that are watched were chosen.
    nodes: Vec<NodeId>,
    watched: Vec<NodeId>,
    working: BTreeMap<Duty, Work>,
    vacant: BTreeMap<Duty, Duration>,
    /// As whom, and with which weights, the last plan was made; `None` if there is reason to plan in any case.
    planned: Option<(Standing, BTreeMap<NodeId, u32>)>,
}

struct Work {
    fence: Fence,
    since: Duration,
    ending: Option<Duration>,
    signals: Signals,
    done: Arc<AtomicBool>,
}

impl Looker {
    fn new(shared: Arc<Shared>, charges: Vec<Charge>) -> Self {
        let duties: BTreeSet<Duty> =
            charges.iter().flat_map(|charge| charge.duties.iter().copied()).collect();
        let kinds = duties.iter().map(|duty| duty.kind).collect::<BTreeSet<_>>().into_iter().collect();
        Looker {
            shared,
            charges,
            duties,
            kinds,
            observer: Observer::default(),
            situation: Arc::default(),
            nodes: Vec::new(),
            watched: Vec::new(),
            working: BTreeMap::new(),
            vacant: BTreeMap::new(),
            planned: None,
        }
    }

    async fn looking(&mut self) {
        loop {
            let standing = *self.shared.standing.borrow();
            match standing {
                Some(standing) => {
                    if let Err(error) = self.look(standing).await {
                        tracing::warn!(%error, "could not see to leases and claims");
                        metrics::failed("look");
                        self.planned = None;
                    }
                }
                None => self.lose_all(),
            }
            metrics::state(self.working.len(), self.situation.live.len());
            tokio::select! {
                () = tokio::time::sleep(self.shared.timings.look) => {}
                () = self.shared.poke.notified() => {}
            }
        }
    }

    async fn look(&mut self, me: Standing) -> Result<(), Error> {
        let changed = self.observe(me).await?;
        let plan = self.plan(me, changed);
        let done = match plan {
            Some(plan) => self.execute(me, plan).await,
            None => Ok(()),
        };
        self.publish();
        done
    }

    /// What is to be done, if anything has changed or is waited for.
    fn plan(&mut self, me: Standing, changed: bool) -> Option<Plan> {
        let hints = &self.shared.hints;
        let weights: BTreeMap<NodeId, u32> =
            self.situation.live.keys().map(|node| (*node, hints.weight(*node))).collect();
        let held = self.held();
        let ended = held.values().any(|held| held.done);
        let same = self.planned.as_ref().is_some_and(|(who, with)| *who == me && *with == weights);
        if same && !changed && !ended {
            return None;
        }
        let board = Board {
            me,
            now: self.shared.clock.monotonic(),
            timings: &self.shared.timings,
            situation: &self.situation,
            charges: &self.duties,
            weights: &weights,
            held: &held,
            vacant: &self.vacant,
        };
        let plan = plan(&board);
        // What has not settled yet has to be planned again when it has.
        let settled = held.values().all(|held| board.now.saturating_sub(held.since) >= board.timings.settle);
        let rests = settled && !plan.is_waiting(&board);
        self.planned = rests.then_some((me, weights));
        Some(plan)
    }

    /// Looks at the counters, revokes what has expired, and reads what has changed.
    async fn observe(&mut self, me: Standing) -> Result<bool, Error> {
        let shared = Arc::clone(&self.shared);
        self.watch(me);
        let begun = shared.clock.monotonic();
        let seen = shared.leases.observe(&self.watched).await?;
        let span = (begun, shared.clock.monotonic());
        self.observer.look(span, &self.situation.live, &seen.renewals, shared.timings.look * 2);
        *shared.unrenewed.lock() = self.observer.unrenewed();
        let mut changed = seen.generation != self.situation.generation;
        for (standing, renewals) in self.observer.expired(shared.timings.lease) {
            if shared.leases.revoke(standing, renewals).await? {
                tracing::warn!(node = %standing.node, epoch = standing.epoch, "lease revoked, it was not renewed");
                metrics::changed("revoked", 1);
                changed = true;
            }
        }
        if changed {
            self.situation = Arc::new(shared.leases.situation(&self.kinds).await?);
            shared.situation.send_replace(Arc::clone(&self.situation));
        }
        Ok(changed)
    }

    /// Chooses anew whom to watch, if nodes came or went.
    fn watch(&mut self, me: Standing) {
        if !self.nodes.iter().eq(self.situation.live.keys()) {
            self.nodes = self.situation.live.keys().copied().collect();
            self.watched = hash::watched(me.node, &self.nodes, WATCHERS, FEW);
        }
    }

    fn held(&self) -> BTreeMap<Duty, Held> {
        let held = |work: &Work| Held {
            fence: work.fence,
            since: work.since,
            ending: work.ending,
            done: work.done.load(Ordering::Acquire),
        };
        self.working.iter().map(|(duty, work)| (*duty, held(work))).collect()
    }

    /// First what may have gone, then what was given, last what is new.
    async fn execute(&mut self, me: Standing, plan: Plan) -> Result<(), Error> {
        metrics::changed("lost", plan.lose.len());
        plan.lose.iter().for_each(|duty| self.lose(*duty));
        for duty in plan.again {
            if let Some(work) = self.working.remove(&duty) {
                self.begin(work.fence);
            }
        }
        let now = self.shared.clock.monotonic();
        for duty in &plan.end {
            if let Some(work) = self.working.get_mut(duty) {
                work.ending = Some(now);
                work.signals.ending.cancel();
            }
        }
        plan.adopt.into_iter().for_each(|fence| self.begin(fence));
        self.vacant = plan.vacant;
        self.give(plan.give).await?;
        if !plan.take.is_empty() {
            let taken = self.shared.leases.take(me, &plan.take).await?;
            metrics::changed("taken", taken.len());
            taken.into_iter().for_each(|fence| self.begin(fence));
        }
        Ok(())
    }

    async fn give(&mut self, give: Vec<(Fence, Option<NodeId>)>) -> Result<(), Error> {
        let mut by_target: BTreeMap<Option<NodeId>, Vec<Fence>> = BTreeMap::new();
        give.into_iter().for_each(|(fence, to)| by_target.entry(to).or_default().push(fence));
        for (to, fences) in by_target {
            let given = match to {
                Some(to) => self.shared.leases.hand_over(&fences, to).await.map(drop),
                None => self.shared.leases.release(&fences).await,
            };
            match given {
                // The other went in the meantime: whoever is there may take it.
                Err(Error::NotLive(_)) => self.shared.leases.release(&fences).await?,
                other => other?,
            }
            metrics::changed("given", fences.len());
            fences.iter().for_each(|fence| self.lose(fence.duty));
        }
        Ok(())
    }

    fn begin(&mut self, fence: Fence) {
        let charge = self.charges.iter().find(|charge| charge.duties.contains(&fence.duty));
        let Some(worker) = charge.map(|charge| Arc::clone(&charge.worker)) else { return };
        let (signals, done) = (Signals::default(), Arc::new(AtomicBool::new(false)));
        let working = Working { done: Arc::clone(&done), poke: Arc::clone(&self.shared.poke) };
        let since = self.shared.clock.monotonic();
        self.lose(fence.duty);
        let work = Work { fence, since, ending: None, signals: signals.clone(), done };
        self.working.insert(fence.duty, work);
        worker.begin(Tenure::new(fence, signals, self.shared.renewed.clone(), working));
    }

    fn lose(&mut self, duty: Duty) {
        if let Some(work) = self.working.remove(&duty) {
            work.signals.ending.cancel();
            work.signals.lost.cancel();
        }
    }

    fn lose_all(&mut self) {
        let duties: Vec<Duty> = self.working.keys().copied().collect();
        duties.into_iter().for_each(|duty| self.lose(duty));
        self.planned = None;
        self.publish();
    }

    fn publish(&self) {
        let fences: Vec<Fence> = self.working.values().map(|work| work.fence).collect();
        self.shared.held.send_if_modified(|held| {
            let differs = **held != fences;
            if differs {
                *held = Arc::new(fences);
            }
            differs
        });
    }
}
