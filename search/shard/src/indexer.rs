//! The writers of a node: a task for each shard that it holds.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use index::FileCache;
use kv::Versionstamp;
use leases::Fence;
use ownership::{Charge, Tenure, Worker};
use parking_lot::Mutex;
use runtime::{SharedClock, Supervisor, TaskKind};
use schema::keys::system::CHANGE_SLOTS;
use schema::{AccountId, Duty, ModSeq};
use segments::{Due, Segments};
use tokio::sync::Semaphore;

use crate::publishing::APART;
use crate::{Attachments, Error, Shard, Turn, metrics};

/// After a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// While older nodes may be there.
const LEVEL: Duration = Duration::from_secs(30);
/// Accounts whose position in the log is remembered though their cursor did not move.
const PASSED: usize = 100_000;

/// How a node indexes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Between two looks for new mail.
    pub interval: Duration,
    /// Bytes of messages that are published at once, about.
    pub batch: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { interval: Duration::from_millis(500), batch: 8 << 20 }
    }
}

/// How a shard that this node writes is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// For how long there has been mail that is not in the index.
    pub lag: Option<Duration>,
    /// Why the last turn failed.
    pub error: Option<String>,
}

/// The same, by the clock.
pub(crate) struct Standing {
    /// Since when there has been mail that is not in the index.
    pub(crate) behind: Option<Duration>,
    pub(crate) error: Option<String>,
}

/// Writes the shards that this node holds. A cheap handle.
#[derive(Clone)]
pub struct Indexer {
    shared: Arc<Shared>,
}

/// What all writers of a node share.
pub(crate) struct Shared {
    pub(crate) segments: Segments,
    pub(crate) mail: mail::Store,
    pub(crate) cache: FileCache,
    pub(crate) attachments: Arc<dyn Attachments>,
    pub(crate) clock: SharedClock,
    pub(crate) options: Options,
    /// One builder at a time.
    pub(crate) building: Semaphore,
    /// One merge at a time, beside it.
    pub(crate) merging: Arc<Semaphore>,
    /// Of the shards held.
    pub(crate) progress: Mutex<BTreeMap<u32, Standing>>,
    slots: tokio::sync::Mutex<Option<(Duration, Slots)>>,
    /// Up to where logs without mail were read.
    passed: Mutex<HashMap<(u32, AccountId), u64>>,
}

type Slots = Arc<BTreeMap<u32, Versionstamp>>;

impl Shared {
    /// The last change of each slot, read once for all shards.
    pub(crate) async fn slots(&self) -> Result<Slots, Error> {
        let mut known = self.slots.lock().await;
        let now = self.clock.monotonic();
        if let Some((read, slots)) = &*known
            && now.saturating_sub(*read) < self.options.interval / 2
        {
            return Ok(Arc::clone(slots));
        }
        let found = changes::slots(self.segments.database()).await?;
        // Behind those of mail are those of standing.
        let of_mail = found.into_iter().filter(|(key, _)| key.slot < CHANGE_SLOTS);
        let slots = Arc::new(of_mail.map(|(key, stamp)| (key.slot, stamp)).collect::<BTreeMap<_, _>>());
        *known = Some((now, Arc::clone(&slots)));
        Ok(slots)
    }

    /// What is due in a slot, without what was passed over already.
    pub(crate) async fn due(&self, edition: u32, slot: u32) -> Result<Vec<Due>, Error> {
        let mut due = self.segments.due(edition, slot).await?;
        let passed = self.passed.lock();
        due.retain_mut(|due| {
            let (Some(upto), Some(cursor)) = (passed.get(&(edition, due.account)), &mut due.cursor) else {
                return true;
            };
            if cursor.filling.is_some() || due.state.is_none() {
                return true;
            }
            cursor.upto = cursor.upto.max(*upto);
            due.state.is_some_and(|state| state.0 > cursor.upto)
        });
        Ok(due)
    }

    /// Notes that nothing up to here is to be indexed, and that it was not worth moving the cursor.
    pub(crate) fn pass(&self, edition: u32, account: AccountId, upto: ModSeq) {
        let mut passed = self.passed.lock();
        if passed.len() >= PASSED {
            passed.clear();
        }
        passed.insert((edition, account), upto.0);
    }

    /// Has a shard made anew whose files are damaged.
    pub(crate) async fn damaged(&self, shard: u32, error: &Error) {
        crate::indexer::damaged(&self.segments, shard, error).await;
    }
}

/// Has a shard made anew whose files are damaged; until then searches look at messages.
pub(crate) async fn damaged(segments: &Segments, shard: u32, error: &Error) {
    tracing::error!(shard, %error, "the index is damaged");
    match segments.rebuild(shard, &error.to_string(), APART).await {
        Ok(true) => tracing::info!(shard, "the index is made anew"),
        Ok(false) => {}
        Err(error) => tracing::warn!(shard, %error, "the index cannot be made anew now"),
    }
}

impl Indexer {
    /// Over a store. What it reads should give way to what users ask for.
    pub fn new(
        segments: Segments,
        mail: mail::Store,
        cache: FileCache,
        attachments: Arc<dyn Attachments>,
        clock: SharedClock,
        options: Options,
    ) -> Indexer {
        let shared = Shared {
            segments,
            mail,
            cache,
            attachments,
            clock,
            options,
            building: Semaphore::new(1),
            merging: Arc::new(Semaphore::new(1)),
            progress: Mutex::default(),
            slots: tokio::sync::Mutex::default(),
            passed: Mutex::default(),
        };
        Indexer { shared: Arc::new(shared) }
    }

    /// The shards, to be written by this node when they are its own.
    pub fn charge(&self, supervisor: &Supervisor) -> Charge {
        let worker = ShardWorker { indexer: self.clone(), supervisor: supervisor.clone() };
        let duties = (0..self.shared.segments.shards()).map(Duty::search).collect();
        Charge { duties, worker: Arc::new(worker) }
    }

    /// The writer of a shard.
    pub fn shard(&self, fence: Fence) -> Shard {
        Shard::new(Arc::clone(&self.shared), fence)
    }

    /// How the shards that this node holds are doing.
    pub fn progress(&self) -> BTreeMap<u32, Progress> {
        let now = self.shared.clock.monotonic();
        let told = |standing: &Standing| Progress {
            lag: standing.behind.map(|since| now.saturating_sub(since)),
            error: standing.error.clone(),
        };
        self.shared.progress.lock().iter().map(|(shard, standing)| (*shard, told(standing))).collect()
    }

    async fn work(&self, tenure: &Tenure) {
        let mut shard = self.shard(*tenure.fence());
        while !tenure.ending().is_cancelled() {
            let begun = self.shared.clock.monotonic();
            // What one message can make happen is not to end the work on others.
            let turned = AssertUnwindSafe(shard.turn()).catch_unwind().await;
            let took = self.shared.clock.monotonic().saturating_sub(begun);
            let pause = self.pause(tenure.duty().number, turned.ok(), took);
            self.tell();
            tokio::select! {
                () = tenure.ending().cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How long it rests after a turn: users want the processor too.
    fn pause(&self, shard: u32, turned: Option<Result<Turn, Error>>, took: Duration) -> Duration {
        match turned {
            Some(Ok(Turn::More)) => (took / 4).min(PAUSE),
            Some(Ok(Turn::Idle)) => self.shared.options.interval,
            Some(Err(error)) if error.is_level() => LEVEL,
            Some(Err(error)) if error.is_fenced() => {
                tracing::info!(shard, %error, "the shard is another's");
                PAUSE
            }
            Some(Err(error)) => {
                tracing::warn!(shard, %error, "indexing failed, beginning again");
                PAUSE
            }
            None => {
                tracing::error!(shard, "indexing panicked, beginning again");
                PAUSE
            }
        }
    }

    fn tell(&self) {
        let progress = self.progress();
        let lag = progress.values().filter_map(|one| one.lag).max().unwrap_or_default();
        metrics::lag(lag, progress.len());
    }
}

struct ShardWorker {
    indexer: Indexer,
    supervisor: Supervisor,
}

impl Worker for ShardWorker {
    fn begin(&self, tenure: Tenure) {
        let indexer = self.indexer.clone();
        self.supervisor.spawn(TaskKind::Background, "search-shard", async move {
            tokio::select! {
                () = indexer.work(&tenure) => {}
                // Nothing that is under way can be published any more.
                () = tenure.lost().cancelled() => {}
            }
            indexer.shared.progress.lock().remove(&tenure.duty().number);
            indexer.tell();
        });
    }
}
