//! The node's standing among others that share its store: its lease, and the duties that are its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use leases::{Leases, Standing};
use membership::{Membership, State};
use ownership::{Charge, Ownership, Tenure, Timings, Worker};
use runtime::{Apart, CancellationToken, Supervisor, TaskKind};
use schema::NodeId;
use tokio::runtime::Handle;

use crate::cluster::Base;

/// The feature levels that this program can write by: the cluster's level is one of these, or it does not join.
pub(crate) const LEVELS: std::ops::RangeInclusive<u32> = schema::level::FIRST..=schema::level::LAST;

/// Before the store is asked again for the hand-over of duties.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether others may be on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// The store is on this machine, and one process at a time has it.
    Alone,
    /// The store is on other machines.
    Shared,
}

/// For a store that nobody else can have: a lease that nobody waits for need not cost a write each second.
pub(crate) const ALONE: Timings = Timings {
    renew: Duration::from_secs(600),
    look: Duration::from_secs(5),
    lease: Duration::from_secs(1800),
    rank: Duration::from_secs(1),
    settle: Duration::from_secs(5),
    grace: Duration::from_secs(5),
};

/// Joins the others. From now on the node has a lease.
///
/// # Errors
/// If the program cannot write by the cluster's feature level, or the store does not answer.
pub(crate) async fn join(ownership: &Ownership, base: Base<'_>) -> anyhow::Result<Standing> {
    let name = base.config.node_name();
    ownership.join().await.with_context(|| format!("node {name:?} cannot join"))
}

/// Works on what is this node's until the drain. Then hands it over, and tells others that it goes.
///
/// The lease is renewed on a thread of its own, so that a node that is out of breath is not thought dead.
pub(crate) fn work(
    ownership: &Ownership,
    membership: Option<&Membership>,
    charges: Vec<Charge>,
    supervisor: &Supervisor,
) {
    let left = CancellationToken::new();
    let (working, leaving) = (ownership.clone(), left.clone());
    let charges = charges.into_iter().map(here).collect();
    supervisor.spawn(TaskKind::Critical, "ownership", async move {
        let run = async move { working.run(charges, leaving).await };
        match Apart::start("ownership").await {
            Ok(apart) => apart.run(run).await,
            Err(error) => {
                tracing::warn!(%error, "no thread of its own for the lease");
                run.await
            }
        }
    });
    let (draining, membership) = (ownership.clone(), membership.cloned());
    let drain = supervisor.shutdown().drain.clone();
    supervisor.spawn(TaskKind::Background, "hand-over", async move {
        drain.cancelled().await;
        tell(membership.as_ref(), State::Draining).await;
        while let Err(error) = draining.drain().await {
            tracing::warn!(%error, "duties cannot be handed over now");
            tokio::time::sleep(AGAIN).await;
        }
        tell(membership.as_ref(), State::Leaving).await;
        left.cancel();
    });
}

/// The charge, whose work is done where this is called.
fn here(charge: Charge) -> Charge {
    Charge { worker: Arc::new(Here { worker: charge.worker, handle: Handle::current() }), ..charge }
}

struct Here {
    worker: Arc<dyn Worker>,
    handle: Handle,
}

impl Worker for Here {
    fn begin(&self, tenure: Tenure) {
        let _here = self.handle.enter();
        self.worker.begin(tenure);
    }
}

async fn tell(membership: Option<&Membership>, state: State) {
    if let Some(membership) = membership {
        membership.set_state(state).await;
    }
}

/// Whoever else was ever on a store of this process's own is gone: it had another name, or the store was another's.
pub(crate) async fn forget_others(leases: &Leases, me: Standing) -> Result<(), leases::Error> {
    let live = leases.situation(&[]).await?.live;
    let known = leases.nodes().await?;
    let others: Vec<NodeId> =
        known.iter().map(|(node, _, _)| *node).filter(|node| *node != me.node).collect();
    for (node, renewals) in leases.observe(&others).await?.renewals {
        if let Some(other) = live.get(&node) {
            leases.revoke(Standing { node, epoch: other.epoch }, renewals).await?;
        }
        match leases.forget(node).await {
            Ok(()) | Err(leases::Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
