//! The outbound runner: one task for each slot of the queue, which takes the slot and works on it until the drain.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use runtime::{Shutdown, Supervisor, TaskKind};

use super::client::ClientOptions;
use super::pool::Pool;
use super::resolver::Resolver;
use super::route::Routing;
use super::schedule::Schedule;
use super::slot::Slot;
use crate::accept::Delivery;
use crate::{Error, SharedRef};

/// After a failure of the store.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// How mail is sent on.
pub struct RunnerOptions {
    /// This node's name, in the slots' owner rows.
    pub node: String,
    /// How connections behave.
    pub client: ClientOptions,
    /// How servers are found.
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
    /// Slots are taken one by one: each takes the next epoch, and all at once would only conflict.
    turns: Arc<tokio::sync::Mutex<()>>,
}

impl Runner {
    /// Over the services of an acceptor.
    #[must_use]
    pub fn new(delivery: &Delivery, resolver: Arc<dyn Resolver>, options: RunnerOptions) -> Self {
        let (shared, options) = (Arc::clone(&delivery.shared), Arc::new(options));
        Self { shared, resolver, options, turns: Arc::default() }
    }

    /// Works on every slot until the drain.
    pub fn spawn(&self, supervisor: &Supervisor) {
        for slot in 0..schema::keys::queue::SLOTS {
            let (runner, shutdown) = (self.clone(), supervisor.shutdown().clone());
            supervisor.spawn(TaskKind::Background, "outbound", async move {
                while !shutdown.is_draining() {
                    match caught(runner.own_and_work(slot, &shutdown)).await {
                        Some(Ok(())) => {}
                        Some(Err(error)) => {
                            tracing::warn!(%error, slot, "queue slot stopped, beginning again");
                        }
                        None => tracing::error!(slot, "queue slot panicked, beginning again"),
                    }
                    pause(&shutdown).await;
                }
            });
        }
    }

    async fn own_and_work(&self, slot: u16, shutdown: &Shutdown) -> Result<(), Error> {
        let spool = &self.shared.services.spool;
        let turn = self.turns.lock().await;
        let epoch = spool.own(slot, &self.options.node).await?;
        drop(turn);
        let recovered = spool.recover(slot, epoch).await?;
        if recovered > 0 {
            tracing::info!(slot, recovered, "attempts of an earlier owner taken over");
        }
        let pool = Pool::default();
        Slot::new(self, &pool, shutdown, slot, epoch).run().await
    }
}

/// What `work` returns; `None` if it panicked. What one message can make happen is not to end the work on others.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Waits before the same is tried again, but no longer than to the drain.
pub(super) async fn pause(shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.drain.cancelled() => {}
        () = tokio::time::sleep(PAUSE) => {}
    }
}
