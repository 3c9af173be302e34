//! What this node sees of the cluster and of itself: gathered all the time, told at once.
//!
//! What costs a read of the store, or may hang, is sampled by tasks of its own ([`samples`]); the rest is in memory.

mod export;
mod members;
mod samples;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admin::cluster::{
    Certificate, Changes, Connections, Disk, Duties, Health, Held, Leases, Ledger, MailProbe, Observed,
    Probe, Search, Seer, Slot, State, View, judge,
};
use futures::future::{BoxFuture, FutureExt, try_join_all};
use kv::Database;
use net::Gate;
use parking_lot::Mutex;
use runtime::{SharedClock, Shutdown, Supervisor};
use schema::{Duty, NodeId};
use shard::Indexer;
use spool::Spool;

use crate::cluster::Mesh;
use crate::reload::Reloader;
use crate::upkeep::Looked;
use samples::Samples;

pub(crate) use export::describe as describe_metrics;

/// Orphaned duties that are named.
const NAMED: usize = 20;

/// Entries of a slot that are counted for who asks.
const COUNTED: usize = 1000;

/// What is looked at.
pub(crate) struct Sights {
    pub(crate) name: String,
    pub(crate) data: PathBuf,
    pub(crate) mesh: Mesh,
    pub(crate) db: Database,
    pub(crate) spool: Spool,
    pub(crate) blobs: blob::Store,
    pub(crate) gate: Arc<Gate>,
    pub(crate) reloader: Reloader,
    pub(crate) clock: SharedClock,
    pub(crate) shutdown: Shutdown,
    /// The duties of this node's roles.
    pub(crate) duties: Vec<Duty>,
    pub(crate) looked: Looked,
    pub(crate) indexer: Indexer,
    pub(crate) mail_probe: Arc<Mutex<Option<MailProbe>>>,
}

/// Sees: a cheap handle.
#[derive(Clone)]
pub(crate) struct Observer(Arc<Inner>);

struct Inner {
    sights: Sights,
    samples: Mutex<Samples>,
    ledger: Ledger,
}

impl Observer {
    /// Begins to look, until the drain.
    pub(crate) fn start(sights: Sights, supervisor: &Supervisor) -> Self {
        let inner = Inner { sights, samples: Mutex::default(), ledger: Ledger::default() };
        let observer = Observer(Arc::new(inner));
        observer.sample(supervisor);
        observer
    }

    fn observe(&self) -> Observed {
        let Inner { sights, samples, .. } = &*self.0;
        let now = sights.clock.monotonic();
        let (open, most) = (sights.gate.connections() as u64, sights.gate.capacity() as u64);
        let since_look = sights.looked.lock().map(|at| millis(now.saturating_sub(at)));
        let duties = self.duties(now);
        let members = self.members(&duties);
        let samples = samples.lock();
        Observed {
            time: sights.clock.now().millis(),
            seen_by: self.seer(),
            level: samples.levels,
            members,
            duties,
            queue: samples.queue.clone(),
            search: self.search(),
            store: samples.store.clone(),
            bodies: Probe { latency: None, error: sights.blobs.trouble() },
            changes: Changes { since_look },
            certificates: self.certificates(),
            connections: Connections { open, most },
            disk: samples.disk.clone(),
            clock: samples.time.seen(now),
            configuration: sights.reloader.failure(),
            mail_probe: sights.mail_probe.lock().clone(),
        }
    }

    fn seer(&self) -> Seer {
        let Sights { mesh, name, shutdown, .. } = &self.0.sights;
        let standing = *mesh.ownership.standing().borrow();
        Seer {
            id: mesh.me.node.0,
            name: name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: if shutdown.is_announced() { State::Draining } else { State::Online },
            lease: standing.is_some(),
            unrenewed: millis(mesh.ownership.unrenewed()),
            lease_time: millis(mesh.ownership.timings().lease),
        }
    }

    /// The shards of the index that this node writes.
    fn search(&self) -> Search {
        let progress = self.0.sights.indexer.progress();
        let lag = progress.values().filter_map(|one| one.lag).max();
        Search {
            shards: u32::try_from(progress.len()).unwrap_or(u32::MAX),
            lag: lag.map(millis),
            error: progress.values().find_map(|one| one.error.clone()),
        }
    }

    fn certificates(&self) -> Vec<Certificate> {
        let Sights { reloader, mesh, name, .. } = &self.0.sights;
        let shown = reloader.certificate();
        let of_clients = shown.expires.map(|at| Certificate {
            what: shown.chain.display().to_string(),
            internal: false,
            expires: at.saturating_mul(1000),
        });
        let of_nodes = mesh.rpc.as_ref().map(|rpc| Certificate {
            what: format!("of node {name} for others"),
            internal: true,
            expires: rpc.certificate_ends().millis(),
        });
        of_clients.into_iter().chain(of_nodes).collect()
    }

    /// Who works on what, and since when nobody does.
    fn duties(&self, now: Duration) -> Duties {
        let Inner { sights, samples, .. } = &*self.0;
        let situation = Arc::clone(&sights.mesh.ownership.situation().borrow());
        let mut held: BTreeMap<NodeId, u32> = BTreeMap::new();
        let mut orphans = Vec::new();
        for duty in &sights.duties {
            match situation.fence(*duty) {
                Some(fence) => *held.entry(fence.holder.node).or_default() += 1,
                None => orphans.push(*duty),
            }
        }
        let orphaned_for = samples.lock().orphaned(&orphans, now);
        let name =
            |node: &NodeId| situation.live.get(node).map(|live| live.node.name.clone()).unwrap_or_default();
        Duties {
            all: u32::try_from(sights.duties.len()).unwrap_or(u32::MAX),
            held: held
                .iter()
                .map(|(id, duties)| Held { node: id.0, name: name(id), duties: *duties })
                .collect(),
            orphaned: orphans.iter().take(NAMED).map(ToString::to_string).collect(),
            orphans: u32::try_from(orphans.len()).unwrap_or(u32::MAX),
            orphaned_for: millis(orphaned_for),
        }
    }

    async fn slot(&self, slot: u16) -> Result<Slot, spool::Error> {
        let situation = Arc::clone(&self.0.sights.mesh.ownership.situation().borrow());
        let backlog = self.0.sights.spool.backlog(slot, COUNTED).await?;
        Ok(Slot {
            slot,
            node: situation.fence(Duty::queue(slot.into())).map(|fence| fence.holder.node.0),
            waiting: backlog.waiting as u64,
            more: backlog.more,
            oldest_due: backlog.oldest_due.map(|due| due.millis()),
        })
    }
}

impl View for Observer {
    fn health(&self) -> Health {
        let observed = self.observe();
        let (status, reasons) = self.0.ledger.enter(judge(&observed), self.0.sights.clock.now());
        Health { status, reasons, observed }
    }

    fn leases(&self) -> Leases {
        let sights = &self.0.sights;
        let situation = Arc::clone(&sights.mesh.ownership.situation().borrow());
        let name = |node: NodeId| situation.live.get(&node).map(|live| live.node.name.clone());
        let duties = sights.duties.iter().map(|duty| {
            let fence = situation.fence(*duty);
            let node = fence.map(|fence| fence.holder.node);
            admin::cluster::Duty {
                duty: duty.to_string(),
                node: node.map(|node| node.0),
                name: node.and_then(name),
                epoch: fence.map(|fence| fence.epoch),
            }
        });
        Leases { generation: situation.generation, duties: duties.collect() }
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<Slot>, String>> {
        let slots = (0..schema::keys::queue::SLOTS).map(|slot| self.slot(slot));
        try_join_all(slots).map(|slots| slots.map_err(|error| error.to_string())).boxed()
    }
}

/// The disk under a path.
fn disk(path: &std::path::Path) -> Option<Disk> {
    let about = rustix::fs::statvfs(path).ok()?;
    Some(Disk {
        free: about.f_bavail.saturating_mul(about.f_frsize),
        size: about.f_blocks.saturating_mul(about.f_frsize),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
