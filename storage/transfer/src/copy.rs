//! A copy under way: its destination is taken over, and passes are made.

use crate::bodies::Bodies;
use crate::pace::Pace;
use crate::plan::{Planner, Task};
use crate::report::Tally;
use crate::{Error, Report, Source, mark, quiet, ranges};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use kv::Database;
use parking_lot::Mutex;
use runtime::{SharedClock, SharedRng};
use schema::keys::account::LastIdKey;
use schema::keys::system::{BodyPlaceKey, IncarnationKey};
use schema::records::account::LastId;
use schema::records::system::{BodyPlace, Incarnation, Transfer};
use schema::{Key, Record};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// How a copy is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts of the key space that are worked on at a time.
    pub workers: usize,
    /// Most bytes a second, rows and bodies together; none: as fast as it goes.
    pub rate: Option<u64>,
    /// Whether bodies that the source itself has lost are left out instead of ending the copy.
    pub accept_damaged: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 8, rate: None, accept_damaged: false }
    }
}

/// A copy under way.
pub struct Copy {
    pub(crate) from: Arc<dyn Source>,
    pub(crate) to: Database,
    /// Carries bodies that lie outside of rows, if they lie elsewhere there.
    pub(crate) bodies: Option<Bodies>,
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) pace: Pace,
    pub(crate) tally: Tally,
    /// This run's number in the mark.
    pub(crate) run: u64,
    pub(crate) mark: Mutex<Transfer>,
}

impl Copy {
    /// Takes the destination over: it must be empty, or hold an unfinished copy of the same source.
    pub async fn begin(
        from: Arc<dyn Source>,
        to: &Database,
        bodies: Option<Bodies>,
        options: Options,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<Arc<Self>, Error> {
        let incarnation = value(&*from, &IncarnationKey.encode()).await?.ok_or(Error::NoSource)?;
        let wanted = Transfer {
            source: Incarnation::from_bytes(&incarnation)?.number,
            run: rng.u64(),
            begun: clock.now().secs(),
            bodies: bodies.as_ref().map(Bodies::way).unwrap_or_default(),
            ..Transfer::default()
        };
        let to = quiet(to);
        let mark = mark::take_over(&to, &wanted).await?;
        let pace = Pace::new(options.rate, clock.clone());
        let (tally, run) = (Tally::default(), wanted.run);
        let mark = Mutex::new(mark);
        Ok(Arc::new(Copy { from, to, bodies, options, clock, rng, pace, tally, run, mark }))
    }

    /// What the present pass, or the last one, has done.
    pub fn report(&self) -> Report {
        self.tally.report()
    }

    /// Whether the source has bodies outside of rows; one whose nodes did not note that may have.
    pub async fn has_larger_bodies(&self) -> Result<bool, Error> {
        let noted = value(&*self.from, &BodyPlaceKey.encode()).await?;
        Ok(noted.map(|bytes| BodyPlace::from_bytes(&bytes)).transpose()?.is_none_or(|place| place.used))
    }

    /// Whether every row was looked at once.
    pub fn has_passed(&self) -> bool {
        self.mark.lock().passed > 0
    }

    /// Makes a pass, or goes on with the one that was cut short. Rows that are written meanwhile may be missed: the next
    /// pass finds them.
    pub async fn pass(self: &Arc<Self>) -> Result<Report, Error> {
        self.run_pass(false).await
    }

    /// A pass; a `strict` one begins anew, reads both sides, and looks again at what it wrote.
    pub(crate) async fn run_pass(self: &Arc<Self>, strict: bool) -> Result<Report, Error> {
        let number = |mark: &Transfer| match mark.pass > mark.passed && !strict {
            true => mark.pass,
            false => mark.pass + 1,
        };
        let begun = mark::update(&self.to, self.run, |mark| mark.pass = number(mark)).await?;
        let pass = begun.pass;
        *self.mark.lock() = begun;
        self.tally.begin(pass);
        let last = match value(&*self.from, &LastIdKey::Account.encode()).await? {
            Some(bytes) => LastId::from_bytes(&bytes)?.id,
            None => 0,
        };
        let cuts = ranges::cuts(last).into();
        let planner = Planner::new(self.to.clone(), pass, ranges::copied(self.bodies.is_some()), cuts);
        let tasks = stream::try_unfold(planner, Planner::next);
        let work = |task: Task| {
            let copy = Arc::clone(self);
            // Of its own, so that workers share the processors.
            let worker = AbortOnDropHandle::new(tokio::spawn(async move { copy.work(task, strict).await }));
            async move { worker.await.unwrap_or_else(|e| Err(Error::Worker(e.to_string()))) }
        };
        let workers = self.options.workers.max(1);
        tasks.try_for_each_concurrent(workers, work).await?;
        let ended = mark::update(&self.to, self.run, |mark| mark.passed = pass).await?;
        *self.mark.lock() = ended;
        Ok(self.report())
    }

    async fn work(&self, task: Task, strict: bool) -> Result<(), Error> {
        let mut begin = task.begin.clone();
        while begin < task.end {
            begin = self.step(&begin, &task, strict).await?;
        }
        Ok(())
    }
}

/// One value of the source.
async fn value(from: &dyn Source, key: &[u8]) -> Result<Option<Bytes>, Error> {
    let page = from.page(key, &kv::successor(key)).await?;
    Ok(page.rows.into_iter().next().map(|(_, value)| value))
}
