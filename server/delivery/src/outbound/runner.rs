//! The outbound runner: it works on those slots of the queue that are this node's, each in a task of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ownership::{Charge, Tenure, Worker};
use parking_lot::RwLock;
use runtime::{CancellationToken, Supervisor, TaskKind};
use schema::Duty;
use tokio::sync::Semaphore;

use super::client::ClientOptions;
use super::failure::Failure;
use super::lookups::Lookups;
use super::pool::Pool;
use super::resolver::Resolver;
use super::route::{Routing, Target, route};
use super::schedule::Schedule;
use super::slot::Slot;
use crate::accept::Delivery;
use crate::{Error, SharedRef};

/// After a failure of the store.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// Transactions at a time, of all slots of a node, that look for work. There are sixteen attempts in each slot, and the store has to
/// answer those who send us mail and read theirs first.
const LOOKING: usize = 4;
/// Transactions at a time that begin attempts: a slot that was just taken over does not wait for them to see what it has.
const BEGINNING: usize = 6;
/// Transactions at a time that record what was done: they do not wait behind those that begin more.
const RECORDING: usize = 8;

/// How mail is sent on.
pub struct RunnerOptions {
    /// How connections behave.
    pub client: ClientOptions,
    /// How servers are found, until [`Runner::set_routing`].
    pub routing: Routing,
    /// When it is tried again.
    pub schedule: Schedule,
}

/// Sends mail on. A cheap handle.
#[derive(Clone)]
pub struct Runner {
    pub(super) shared: SharedRef,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) options: Arc<RunnerOptions>,
    pub(super) lookups: Arc<Lookups>,
    routing: Arc<RwLock<Arc<Routing>>>,
    looking: Arc<Semaphore>,
    beginning: Arc<Semaphore>,
    recording: Arc<Semaphore>,
}

impl Runner {
    /// Over the services of an acceptor.
    #[must_use]
    pub fn new(delivery: &Delivery, resolver: Arc<dyn Resolver>, options: RunnerOptions) -> Self {
        let routing = Arc::new(RwLock::new(Arc::new(options.routing.clone())));
        let (shared, options) = (Arc::clone(&delivery.shared), Arc::new(options));
        let [looking, beginning, recording] =
            [LOOKING, BEGINNING, RECORDING].map(|turns| Arc::new(Semaphore::new(turns)));
        Self { shared, resolver, options, lookups: Arc::default(), routing, looking, beginning, recording }
    }

    /// How servers are found now.
    pub fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.routing.read())
    }

    /// Finds servers otherwise from the next connection on.
    pub fn set_routing(&self, routing: Routing) {
        *self.routing.write() = Arc::new(routing);
    }

    /// Looks for the servers of a destination.
    pub(super) fn find(
        &self,
        domain: &str,
        routing: Arc<Routing>,
    ) -> BoxFuture<'static, Result<Vec<Target>, Failure>> {
        let (resolver, rng) = (Arc::clone(&self.resolver), Arc::clone(&self.shared.services.rng));
        let domain = domain.to_owned();
        async move { route(&routing, &*resolver, &*rng, &domain).await }.boxed()
    }

    /// Does what looks for work in the store, when it is its turn.
    pub(super) async fn in_turn_to_look<T>(&self, work: impl Future<Output = T>) -> T {
        // It is never closed.
        let _turn = self.looking.acquire().await.ok();
        work.await
    }

    /// Does what begins work in the store, when it is its turn.
    pub(super) async fn in_turn_to_begin<T>(&self, work: impl Future<Output = T>) -> T {
        let _turn = self.beginning.acquire().await.ok();
        work.await
    }

    /// Does what records work in the store, when it is its turn.
    pub(super) async fn in_turn_to_record<T>(&self, work: impl Future<Output = T>) -> T {
        let _turn = self.recording.acquire().await.ok();
        work.await
    }

    /// The slots of the queue, to be worked on by this node when they are its own.
    pub fn charge(&self, supervisor: &Supervisor) -> Charge {
        let worker = SlotWorker { runner: self.clone(), supervisor: supervisor.clone() };
        let duties = (0..schema::keys::queue::SLOTS).map(|slot| Duty::queue(slot.into())).collect();
        Charge { duties, worker: Arc::new(worker) }
    }

    async fn work(&self, tenure: &Tenure) {
        let slot = tenure.duty().number;
        while !tenure.ending().is_cancelled() {
            match caught(self.recover_and_work(tenure)).await {
                Some(Ok(())) => {}
                Some(Err(error)) if error.is_fenced() => {
                    tracing::info!(%error, slot, "queue slot is another's");
                }
                Some(Err(error)) => tracing::warn!(%error, slot, "queue slot stopped, beginning again"),
                None => tracing::error!(slot, "queue slot panicked, beginning again"),
            }
            pause(tenure.ending()).await;
        }
    }

    async fn recover_and_work(&self, tenure: &Tenure) -> Result<(), Error> {
        let recover = self.shared.services.spool.recover(tenure.fence());
        let recovered = self.in_turn_to_look(recover).await?;
        if recovered > 0 {
            tracing::info!(slot = tenure.duty().number, recovered, "attempts of an earlier owner taken over");
        }
        let pool = Pool::default();
        Slot::new(self, &pool, tenure).run().await
    }
}

struct SlotWorker {
    runner: Runner,
    supervisor: Supervisor,
}

impl Worker for SlotWorker {
    fn begin(&self, tenure: Tenure) {
        let runner = self.runner.clone();
        self.supervisor.spawn(TaskKind::Background, "outbound", async move {
            tokio::select! {
                () = runner.work(&tenure) => {}
                // Whatever is under way could not be recorded: it is cut off before it does more.
                () = tenure.lost().cancelled() => {}
            }
        });
    }
}

/// What `work` returns; `None` if it panicked. What one message can make happen is not to end the work on others.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Waits before the same is tried again, but no longer than to the end of the work.
pub(super) async fn pause(ending: &CancellationToken) {
    tokio::select! {
        () = ending.cancelled() => {}
        () = tokio::time::sleep(PAUSE) => {}
    }
}
