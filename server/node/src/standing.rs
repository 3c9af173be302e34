//! The node's standing among others that share its store: its lease, and the duties that are its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kv::Database;
use leases::{Leases, Node, Standing};
use ownership::{Charge, Ownership, Timings, Unhinted};
use runtime::{CancellationToken, SharedClock, Supervisor, TaskKind};
use schema::NodeId;

/// The feature levels that this program can write by: the cluster's level is one of these, or it does not join.
const LEVELS: std::ops::RangeInclusive<u32> = 1..=1;

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
const ALONE: Timings = Timings {
    renew: Duration::from_secs(600),
    look: Duration::from_secs(5),
    lease: Duration::from_secs(1800),
    rank: Duration::from_secs(1),
    settle: Duration::from_secs(5),
    grace: Duration::from_secs(5),
};

/// Joins the others under this name, and works on what is this node's until the drain. Returns the node's id.
///
/// # Errors
/// If the program cannot write by the cluster's feature level, or the store does not answer.
pub(crate) async fn join(
    name: &str,
    company: Company,
    (db, clock): (&Database, &SharedClock),
    charges: Vec<Charge>,
    supervisor: &Supervisor,
) -> anyhow::Result<NodeId> {
    let node = Node {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        level_min: *LEVELS.start(),
        level_max: *LEVELS.end(),
        ..Node::default()
    };
    let leases = Leases::new(db.clone(), clock.clone());
    let timings = match company {
        Company::Alone => ALONE,
        Company::Shared => Timings::default(),
    };
    let ownership = Ownership::new(leases.clone(), node, Arc::new(Unhinted), clock.clone(), timings);
    let me = ownership.join().await.with_context(|| format!("node {name:?} cannot join"))?;
    if company == Company::Alone {
        revoke_others(&leases, me).await?;
    }
    let left = CancellationToken::new();
    let (working, leaving) = (ownership.clone(), left.clone());
    supervisor.spawn(TaskKind::Critical, "ownership", async move { working.run(charges, leaving).await });
    let (draining, drain) = (ownership.clone(), supervisor.shutdown().drain.clone());
    supervisor.spawn(TaskKind::Background, "hand-over", async move {
        drain.cancelled().await;
        while let Err(error) = draining.drain().await {
            tracing::warn!(%error, "duties cannot be handed over now");
            tokio::time::sleep(AGAIN).await;
        }
        left.cancel();
    });
    Ok(me.node)
}

/// Whoever else has a lease on a store of this process's own is gone: it had another name, or the store was another's.
async fn revoke_others(leases: &Leases, me: Standing) -> Result<(), leases::Error> {
    let live = leases.situation(&[]).await?.live;
    let others: Vec<NodeId> = live.keys().copied().filter(|node| *node != me.node).collect();
    for (node, renewals) in leases.observe(&others).await?.renewals {
        if let Some(other) = live.get(&node) {
            leases.revoke(Standing { node, epoch: other.epoch }, renewals).await?;
        }
    }
    Ok(())
}
