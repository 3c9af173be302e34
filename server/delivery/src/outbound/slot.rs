//! The work on one slot: looks at what is due and begins an attempt for each entry there is room for.
//!
//! There is room for so many in all and so many for each destination (`destination`), and it is looked for again
//! whenever something ends, is queued or becomes due: what one destination makes wait holds up no other. All that is
//! waited for is waited for in one place, and no attempt waits for another.
//!
//! Crash points: before `begin_attempt` is committed nothing was accepted elsewhere; after it and before `settle` the
//! remote server may have accepted, and the next attempt may make a duplicate. It is counted when a claim is found
//! that was left so, as when a connection is lost there.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, pending};
use futures::stream::FuturesUnordered;
use ownership::Tenure;
use runtime::Timestamp;
use schema::QueueId;
use spool::{Due, DueEntry};
use tokio::time::{Instant, sleep_until};

use super::attempt::Attempt;
use super::destination::{Destinations, Seen, Way};
use super::pool::Pool;
use super::runner::{PAUSE, Runner};
use crate::Error;

/// Attempts at a time.
const AT_ONCE: usize = 16;
/// Entries of one domain that are listed in one look.
const LOOK_EACH: usize = 100;
/// Entries that are listed in all: of more domains than there is room for.
const LOOK: usize = (AT_ONCE + 4) * LOOK_EACH;
/// A look without a reason, in case a watch was lost.
const ANYWAY: Duration = Duration::from_secs(30);
/// How long an entry is left alone that cannot be claimed.
const REST: Duration = Duration::from_secs(30);
/// How long it is remembered that a destination did not answer, after it should have been tried again.
const MEMORY: Duration = Duration::from_secs(3600);

type Watch = BoxFuture<'static, Result<(), kv::Error>>;

/// An attempt that ended.
struct Ended {
    due: DueEntry,
    result: Result<Seen, Error>,
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
    running: FuturesUnordered<BoxFuture<'a, Ended>>,
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
        let (more, look) = (false, true);
        Self { runner, pool, tenure, slot, waiting, more, look, running, destinations, resting }
    }

    /// Works until the slot is to go to another, and ends what was begun.
    ///
    /// # Errors
    ///
    /// The slot has another owner.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let (mut watch, mut until) = (never(), Instant::now());
        while !self.tenure.ending().is_cancelled() {
            if self.look && self.running.len() < AT_ONCE {
                (watch, until) = self.look().await;
            }
            self.start();
            if self.running.is_empty() && self.waiting.is_empty() {
                self.pool.close().await;
            }
            tokio::select! {
                Some(ended) = self.running.next() => self.ended(ended)?,
                _ = &mut watch => (watch, self.look) = (never(), true),
                () = sleep_until(until) => (self.look, until) = (true, Instant::now() + ANYWAY),
                () = self.tenure.ending().cancelled() => {}
            }
        }
        while let Some(ended) = self.running.next().await {
            self.ended(ended)?;
        }
        self.pool.close().await;
        Ok(())
    }

    /// Lists what is due. Returns what wakes us for another look, and when it is to be in any case.
    async fn look(&mut self) -> (Watch, Instant) {
        self.look = false;
        let services = &self.runner.shared.services;
        let looked = async {
            // Watched before the look, so that what is queued in between wakes us.
            let watch = services.spool.watch(self.slot).await?;
            Ok::<_, Error>((watch, services.spool.due(self.slot, LOOK, LOOK_EACH).await?))
        };
        let (watch, Due { entries, more, next }) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::warn!(%error, slot = self.slot, "queue cannot be looked at now");
                return (never(), Instant::now() + PAUSE);
            }
        };
        let now = services.clock.now();
        self.resting.retain(|_, until| *until > now);
        (self.waiting, self.more) = (entries, more);
        self.waiting.retain(|due| !self.resting.contains_key(&due.id));
        let since = Timestamp(now.millis() - i64::try_from(MEMORY.as_millis()).unwrap_or(0));
        let domains: HashSet<&str> = self.waiting.iter().map(|due| due.domain.as_str()).collect();
        self.destinations.forget(since, |domain| domains.contains(domain));
        let wait = next.map_or(ANYWAY, |next| next.since(now).min(ANYWAY));
        (watch, Instant::now() + wait)
    }

    /// Begins what there is room for.
    fn start(&mut self) {
        let now = self.runner.shared.services.clock.now();
        for due in std::mem::take(&mut self.waiting) {
            let room = self.running.len() < AT_ONCE;
            match room.then(|| self.destinations.take(&due.domain, now)).flatten() {
                Some(way) => self.running.push(self.begin(due, way)),
                None => self.waiting.push(due),
            }
        }
    }

    fn begin(&self, due: DueEntry, way: Way) -> BoxFuture<'a, Ended> {
        let (runner, pool, tenure) = (self.runner, self.pool, self.tenure);
        async move {
            let result = match runner.shared.services.spool.claim(due.id, tenure.fence()).await {
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

fn never() -> Watch {
    pending().boxed()
}
