//! The work on one slot: looks at what is due and begins an attempt for each entry there is room for.
//!
//! There is room for so many in all and so many for each destination (`destination`), and it is looked for again
//! whenever something ends, is queued or becomes due: what one destination makes wait holds up no other. All that is
//! waited for is waited for in one place, and no attempt waits for another. A destination is looked up (`lookups`) while its
//! entries still wait: they are claimed when it is known where they go.
//!
//! Crash points: before `begin_attempt` is committed nothing was accepted elsewhere; after it and before `settle` the
//! remote server may have accepted, and the next attempt may make a duplicate. It is counted when a claim is found
//! that was left so, as when a connection is lost there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, pending};
use futures::stream::FuturesUnordered;
use ownership::Tenure;
use runtime::Timestamp;
use schema::QueueId;
use spool::{Due, DueEntry};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::attempt::Attempt;
use super::destination::{Destinations, Next, Seen, Way};
use super::lookups::{Looked, Route};
use super::pool::Pool;
use super::route::Routing;
use super::runner::{PAUSE, Runner};
use crate::Error;

/// Attempts at a time.
const AT_ONCE: usize = 16;
/// Entries that wait for their turn to be claimed: a slot with many does not come before others' first.
const CLAIMING: usize = 2;
/// Destinations that wait for a quick place to be looked up, or have one: a slot with many leaves room for others' slots.
const LOOKED_UP: usize = 16;
/// Entries of one domain that are listed in one look.
const LOOK_EACH: usize = 100;
/// Entries that are listed in all: of more domains than there is room for.
const LOOK: usize = (AT_ONCE + 4) * LOOK_EACH;
/// A look without a reason, in case a watch was lost: as all of them are when FoundationDB's lead moves to another region.
const ANYWAY: Duration = Duration::from_secs(5);
/// How long an entry is left alone that cannot be claimed.
const REST: Duration = Duration::from_secs(30);
/// How long it is remembered that a destination did not answer, after it should have been tried again.
const MEMORY: Duration = Duration::from_secs(3600);

type Watch = BoxFuture<'static, Result<(), kv::Error>>;

/// A look at what is due.
type Look<'a> = BoxFuture<'a, Result<(Watch, Due), Error>>;

/// An attempt that ended.
struct Ended {
    due: DueEntry,
    result: Result<Seen, Error>,
}

/// A destination that was looked up for as long as it may have a quick place.
struct LookedUp {
    domain: String,
    routing: Arc<Routing>,
    looked: Looked,
}

/// A slot that is ours.
pub(super) struct Slot<'a> {
    runner: &'a Runner,
    pool: &'a Pool,
    tenure: &'a Tenure,
    slot: u16,
    /// Entries that are due, those that were begun left out.
    waiting: Vec<DueEntry>,
    /// Whether more were due than were listed.
    more: bool,
    /// Whether to look for what is due as soon as there is room.
    look: bool,
    /// The look that is under way.
    looking: Option<Look<'a>>,
    /// Entries that are worked on, and those with which that ended during the look: it may have seen them as they were before.
    mine: HashSet<QueueId>,
    ended_meanwhile: Vec<QueueId>,
    running: FuturesUnordered<BoxFuture<'a, Ended>>,
    claiming: Arc<Semaphore>,
    lookups: FuturesUnordered<BoxFuture<'a, LookedUp>>,
    /// Those that take long.
    slow: FuturesUnordered<BoxFuture<'a, (String, Route, Arc<Routing>)>>,
    destinations: Destinations,
    /// Entries that could not be claimed.
    resting: HashMap<QueueId, Timestamp>,
}

impl<'a> Slot<'a> {
    pub(super) fn new(runner: &'a Runner, pool: &'a Pool, tenure: &'a Tenure) -> Self {
        // Slots are numbered so that they fit.
        let slot = u16::try_from(tenure.duty().number).unwrap_or(u16::MAX);
        let (running, destinations) = (FuturesUnordered::new(), Destinations::default());
        let (waiting, resting) = (Vec::new(), HashMap::new());
        let (lookups, slow) = (FuturesUnordered::new(), FuturesUnordered::new());
        let (more, look, looking) = (false, true, None);
        Self {
            runner,
            pool,
            tenure,
            slot,
            waiting,
            more,
            look,
            looking,
            mine: HashSet::new(),
            ended_meanwhile: Vec::new(),
            running,
            claiming: Arc::new(Semaphore::new(CLAIMING)),
            lookups,
            slow,
            destinations,
            resting,
        }
    }

    /// Works until the slot is to go to another, and ends what was begun.
    ///
    /// # Errors
    ///
    /// The slot has another owner.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let (mut watch, mut until) = (never(), Instant::now() + ANYWAY);
        while !self.tenure.ending().is_cancelled() {
            if self.look && self.looking.is_none() && self.running.len() < AT_ONCE {
                self.look = false;
                self.looking = Some(self.look());
            }
            self.start();
            if self.is_idle() {
                self.pool.close().await;
            }
            // Whatever holds a turn or a place has to be polled: nothing else may be waited for.
            tokio::select! {
                Some(ended) = self.running.next() => self.ended(ended)?,
                Some(looked_up) = self.lookups.next() => self.looked_up(looked_up),
                Some((domain, route, routing)) = self.slow.next() => self.found(&domain, route, routing),
                looked = of(&mut self.looking) => (watch, until) = self.looked(looked),
                _ = &mut watch => (watch, self.look) = (never(), true),
                () = sleep_until(until) => (self.look, until) = (true, Instant::now() + ANYWAY),
                () = self.tenure.ending().cancelled() => {}
            }
        }
        self.looking = None;
        self.lookups.clear();
        self.slow.clear();
        while let Some(ended) = self.running.next().await {
            self.ended(ended)?;
        }
        self.pool.close().await;
        Ok(())
    }

    /// Whether nothing is begun and nothing waits.
    fn is_idle(&self) -> bool {
        let looks = self.looking.is_some() || !self.lookups.is_empty() || !self.slow.is_empty();
        !looks && self.running.is_empty() && self.waiting.is_empty()
    }

    /// Lists what is due.
    fn look(&self) -> Look<'a> {
        let (runner, slot) = (self.runner, self.slot);
        let looked = async move {
            let spool = &runner.shared.services.spool;
            // Watched before the look, so that what is queued in between wakes us.
            let watch = spool.watch(slot).await?;
            Ok((watch, spool.due(slot, LOOK, LOOK_EACH).await?))
        };
        runner.in_turn_to_look(looked).boxed()
    }

    /// Takes over what is due. Returns what wakes us for another look, and when it is to be in any case.
    fn looked(&mut self, looked: Result<(Watch, Due), Error>) -> (Watch, Instant) {
        self.looking = None;
        let (watch, Due { entries, more, next }) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                tracing::warn!(%error, slot = self.slot, "queue cannot be looked at now");
                return (never(), Instant::now() + PAUSE);
            }
        };
        let now = self.runner.shared.services.clock.now();
        self.resting.retain(|_, until| *until > now);
        (self.waiting, self.more) = (entries, more);
        self.waiting.retain(|due| !self.resting.contains_key(&due.id) && !self.mine.contains(&due.id));
        for id in self.ended_meanwhile.drain(..) {
            self.mine.remove(&id);
        }
        let since = Timestamp(now.millis() - i64::try_from(MEMORY.as_millis()).unwrap_or(0));
        let domains: HashSet<&str> = self.waiting.iter().map(|due| due.domain.as_str()).collect();
        self.destinations.forget(since, |domain| domains.contains(domain));
        let wait = next.map_or(ANYWAY, |next| next.since(now).min(ANYWAY));
        (watch, Instant::now() + wait)
    }

    /// Begins what there is room for, and looks up where the rest is to go.
    fn start(&mut self) {
        let now = self.runner.shared.services.clock.now();
        let (routing, pool) = (self.runner.routing(), self.pool);
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        while self.running.len() < AT_ONCE {
            let Some(due) = waiting.next() else { return };
            match self.destinations.take(&due.domain, now, &routing, || pool.has(&due.domain)) {
                Next::Go(way) => {
                    self.mine.insert(due.id);
                    self.running.push(self.begin(due, way));
                }
                Next::Wait => self.waiting.push(due),
                Next::LookUp => {
                    if self.lookups.len() < LOOKED_UP {
                        self.destinations.looking(&due.domain);
                        self.lookups.push(self.look_up(due.domain.clone(), Arc::clone(&routing)));
                    }
                    self.waiting.push(due);
                }
            }
        }
        self.waiting.extend(waiting);
    }

    fn look_up(&self, domain: String, routing: Arc<Routing>) -> BoxFuture<'a, LookedUp> {
        let runner = self.runner;
        async move {
            let looked = runner.lookups.look(runner.find(&domain, Arc::clone(&routing))).await;
            LookedUp { domain, routing, looked }
        }
        .boxed()
    }

    fn looked_up(&mut self, LookedUp { domain, routing, looked }: LookedUp) {
        match looked {
            Looked::Done(route) => self.found(&domain, route, routing),
            Looked::Slow(rest) => self.slow.push(async move { (domain, rest.await, routing) }.boxed()),
        }
    }

    fn found(&mut self, domain: &str, route: Route, routing: Arc<Routing>) {
        let services = &self.runner.shared.services;
        let wait = |failures| self.runner.options.schedule.outage(failures, &*services.rng);
        self.destinations.found(domain, route, routing, services.clock.now(), wait);
    }

    fn begin(&self, due: DueEntry, way: Way) -> BoxFuture<'a, Ended> {
        let (runner, pool, tenure) = (self.runner, self.pool, self.tenure);
        let claiming = Arc::clone(&self.claiming);
        async move {
            let claim = async {
                // It is never closed.
                let _first = claiming.acquire().await.ok();
                let claim = runner.shared.services.spool.claim(due.id, tenure.fence());
                runner.in_turn_to_begin(claim).await
            };
            let result = match claim.await {
                Ok(Some(claimed)) => Attempt { runner, pool, tenure, claimed: &claimed }.run(way).await,
                Ok(None) => Ok(Seen::Nothing),
                Err(error) => Err(error.into()),
            };
            Ended { due, result }
        }
        .boxed()
    }

    /// Notes what an attempt found out. Whatever happened in it, the others go on; only who has lost the slot stops.
    fn ended(&mut self, ended: Ended) -> Result<(), Error> {
        let Ended { due, result } = ended;
        if self.looking.is_some() {
            self.ended_meanwhile.push(due.id);
        } else {
            self.mine.remove(&due.id);
        }
        let services = &self.runner.shared.services;
        let now = services.clock.now();
        let seen = match result {
            Ok(seen) => seen,
            Err(error) if error.is_fenced() => return Err(error),
            Err(error) => {
                tracing::error!(%error, id = %due.id, "queue entry cannot be worked on now");
                self.resting.insert(due.id, now + REST);
                Seen::Nothing
            }
        };
        let wait = |failures| self.runner.options.schedule.outage(failures, &*services.rng);
        self.destinations.ended(&due.domain, seen, now, wait);
        // Its share of the list is used up, and there may be more of it.
        self.look |= self.more && !self.waiting.iter().any(|other| other.domain == due.domain);
        Ok(())
    }
}

/// The end of a look; never if there is none.
async fn of(looking: &mut Option<Look<'_>>) -> Result<(Watch, Due), Error> {
    match looking {
        Some(look) => look.await,
        None => pending().await,
    }
}

fn never() -> Watch {
    pending().boxed()
}
