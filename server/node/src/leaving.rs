//! How a node ends: not ready → a while for the balancers → nothing new, duties handed over, sessions sent away → gone.

use std::time::Duration;

use admin::{Control, api};
use ownership::Ownership;
use runtime::{Shutdown, Supervisor, TaskKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::reload::Reloader;

/// How long the steps take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// Between the notice and the drain.
    pub(crate) lb_grace: Duration,
    /// Between the drain and the end of who has not finished.
    pub(crate) drain_grace: Duration,
}

/// What the admin API can have this node do.
pub(crate) struct Helm {
    pub(crate) shutdown: Shutdown,
    pub(crate) reloader: Reloader,
}

impl Control for Helm {
    fn leave(&self) {
        self.shutdown.announce();
    }

    fn reload(&self) -> Result<api::Reloaded, String> {
        self.reloader.reload()
    }
}

/// Announces the end at SIGTERM (a supervisor's) or SIGINT (a terminal's). A second signal ends at once. Signals are heeded
/// from the moment that this returns.
pub(crate) fn obey_signals(shutdown: &Shutdown) -> std::io::Result<JoinHandle<()>> {
    let shutdown = shutdown.clone();
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::spawn(async move {
        next(&mut signals, &shutdown).await;
        shutdown.announce();
        next(&mut signals, &shutdown).await;
        shutdown.begin();
        shutdown.stop.cancel();
    }))
}

async fn next((terminate, interrupt): &mut (Signal, Signal), shutdown: &Shutdown) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = shutdown.stop.cancelled() => {}
    }
}

/// Announces the end when the store says that this node is to leave: somebody has asked for it at another node.
pub(crate) fn obey_store(ownership: &Ownership, supervisor: &Supervisor) {
    let (shutdown, standing) = (supervisor.shutdown().clone(), ownership.standing());
    let mut situation = ownership.situation();
    supervisor.spawn(TaskKind::Background, "asked-to-leave", async move {
        let asked = situation.wait_for(|situation| {
            let me = *standing.borrow();
            me.and_then(|me| situation.live.get(&me.node).filter(|live| live.epoch == me.epoch))
                .is_some_and(|live| live.draining)
        });
        tokio::select! {
            Ok(_) = asked => {
                tracing::info!("asked to leave");
                shutdown.announce();
            }
            () = shutdown.drain.cancelled() => {}
        }
    });
}

/// Waits until the end is announced, and goes through it. Returns who had to be cut off.
pub(crate) async fn end(shutdown: &Shutdown, times: impl Fn() -> Times) -> Vec<(&'static str, usize)> {
    shutdown.notice.cancelled().await;
    let Times { lb_grace, drain_grace } = times();
    if !shutdown.is_draining() {
        tracing::info!(?lb_grace, "this node leaves: not ready any more, and serving whoever still comes");
        tokio::select! {
            () = tokio::time::sleep(lb_grace) => {}
            () = shutdown.drain.cancelled() => {}
        }
    }
    shutdown.begin();
    tracing::info!(?drain_grace, busy = ?shutdown.ledger().busy(), "draining");
    shutdown.complete(drain_grace).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const TIMES: Times = Times { lb_grace: Duration::from_secs(10), drain_grace: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn balancers_get_their_time_and_clients_theirs() {
        let (shutdown, begun) = (Shutdown::new(), Instant::now());
        let _stuck = shutdown.ledger().guard("stuck");
        shutdown.announce();
        let drained = async {
            shutdown.drain.cancelled().await;
            begun.elapsed()
        };
        let (late, drained) = tokio::join!(end(&shutdown, || TIMES), drained);
        assert_eq!((drained, late), (TIMES.lb_grace, vec![("stuck", 1)]));
        assert!(begun.elapsed() < Duration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_must_not_go_on_waits_for_no_balancer() {
        let (shutdown, begun) = (Shutdown::new(), Instant::now());
        shutdown.begin();
        assert!(end(&shutdown, || TIMES).await.is_empty());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
