//! This node among those that share its store: its lease and duties, gossip, and calls from node to node.
//!
//! On a store that nobody else can have there is the lease alone. Elsewhere all that is needed lies in the store: the
//! cluster's secrets, made by the first node, and the addresses of the others.

mod load;
mod logins;
mod sockets;

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use kv::Database;
use leases::{Leases, Node as Record, Secrets, Standing};
use membership::{Bound, Keyring, Member, Membership, Seeds, State};
use notify::Notify;
use ownership::{Charge, Hints, Ownership};
use rpc::{Addresses, Router, Rpc};
use runtime::{SharedClock, SharedRng, Shutdown, Supervisor};
use schema::NodeId;
use tokio::sync::watch;

use crate::config::Config;
use crate::standing::{self, Company, LEVELS};
use load::Load;
pub(crate) use logins::Logins;
use sockets::{Socket, Sockets};

/// How often it is looked whether the cluster's keys have changed.
const SECRETS: Duration = Duration::from_secs(15);

/// This node among the others: a cheap handle.
#[derive(Clone)]
pub(crate) struct Mesh {
    /// Nodes, leases and claims in the store.
    pub(crate) leases: Leases,
    /// What this node works on.
    pub(crate) ownership: Ownership,
    /// Who is there; none where nobody else can be.
    pub(crate) membership: Option<Membership>,
    /// Calls to other nodes; none where nobody else can be.
    pub(crate) rpc: Option<Rpc>,
    /// As whom it joined.
    pub(crate) me: Standing,
    /// Ends gossip and calls: after all else, which may still want them.
    running: Shutdown,
}

/// What the mesh stands on.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) config: &'a Config,
    pub(crate) company: Company,
    pub(crate) db: &'a Database,
    pub(crate) clock: &'a SharedClock,
    pub(crate) rng: &'a SharedRng,
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) logins: &'a Logins,
}

impl Mesh {
    /// Tells others that this node serves.
    pub(crate) async fn online(&self) {
        if let Some(membership) = &self.membership {
            membership.set_state(State::Online).await;
        }
    }

    /// Has commits told to others, and theirs heard.
    pub(crate) fn attach(&self, notify: &Notify) {
        if let (Some(membership), Some(rpc)) = (&self.membership, &self.rpc) {
            let supervisor = Supervisor::new(self.running.clone());
            notify.attach(self.me.node, Arc::new(rpc.clone()), membership.changes(), &supervisor);
        }
    }

    /// Says goodbye, when nothing else runs any more.
    pub(crate) fn close(&self) {
        if let Some(rpc) = &self.rpc {
            rpc.close();
        }
        self.running.begin();
        self.running.stop.cancel();
    }

    /// Takes over the cluster's keys when they change in the store.
    fn follow_secrets(
        &self,
        secrets: watch::Sender<Arc<Secrets>>,
        keys: watch::Sender<Arc<Keyring>>,
        supervisor: &Supervisor,
    ) {
        let (mesh, senders) = (self.clone(), Arc::new((secrets, keys)));
        supervisor.spawn_recurring("cluster-keys", SECRETS, move || {
            let (mesh, senders) = (mesh.clone(), Arc::clone(&senders));
            async move {
                let (secrets, keys) = &*senders;
                let Some(found) = mesh.leases.secrets().await? else { return Ok(()) };
                if found == **secrets.borrow() {
                    return Ok(());
                }
                keys.send_replace(Arc::new(keyring(&found)?));
                secrets.send_replace(Arc::new(found));
                if let Some(rpc) = &mesh.rpc {
                    rpc.rotate().await?;
                }
                Ok::<_, anyhow::Error>(())
            }
        });
    }
}

/// Joins the others on the store, and works on what is this node's until the drain. Others' calls are answered as `router`
/// says.
///
/// # Errors
/// If the program cannot write by the cluster's feature level, an address is taken, or the store does not answer.
pub(crate) async fn join(base: Base<'_>, router: Router, charges: Vec<Charge>) -> anyhow::Result<Mesh> {
    describe_metrics();
    let roles = &base.config.cluster;
    let charges: Vec<Charge> =
        charges.into_iter().filter(|charge| charge.duties.iter().all(|duty| is_ours(roles, *duty))).collect();
    let mesh = match base.company {
        Company::Alone => alone(base).await?,
        Company::Shared => shared(base, router).await?,
    };
    standing::work(&mesh.ownership, mesh.membership.as_ref(), charges, base.supervisor);
    if mesh.rpc.is_some() {
        base.logins.recalled().await;
    }
    Ok(mesh)
}

/// Whether this node may have a duty, by its roles and what its program knows.
pub(crate) fn is_ours(config: &crate::config::Cluster, duty: schema::Duty) -> bool {
    config.has_named(duty.kind.role()) && duty.level() <= *LEVELS.end()
}

fn describe_metrics() {
    ownership::describe_metrics();
    membership::describe_metrics();
    rpc::describe_metrics();
    notify::describe_metrics();
}

async fn alone(base: Base<'_>) -> anyhow::Result<Mesh> {
    let leases = Leases::new(base.db.clone(), base.clock.clone());
    let hints = Arc::new(LateHints::default());
    let ownership =
        Ownership::new(leases.clone(), record(base.config), hints, base.clock.clone(), standing::ALONE);
    let me = standing::join(&ownership, base).await?;
    standing::forget_others(&leases, me).await?;
    Ok(Mesh { leases, ownership, membership: None, rpc: None, me, running: Shutdown::new() })
}

async fn shared(base: Base<'_>, router: Router) -> anyhow::Result<Mesh> {
    let Base { config, db, clock, rng, .. } = base;
    let sockets = Sockets::bind(&config.cluster).await?;
    let leases = Leases::new(db.clone(), clock.clone());
    let made = rpc::found(&**rng, clock.now())?;
    let secrets = leases.secrets_or(&made).await.context("the cluster's keys")?;
    let record = Record {
        gossip: sockets.gossip.reached.to_string(),
        rpc: sockets.rpc.reached.to_string(),
        ..record(config)
    };
    let hints = Arc::new(LateHints::default());
    let timings = ownership::Timings::default();
    let ownership = Ownership::new(leases.clone(), record, hints.clone(), clock.clone(), timings);
    let me = standing::join(&ownership, base).await?;
    let running = Shutdown::new();
    let supervisor = Supervisor::new(running.clone());
    let talk = Talk { base, leases: &leases, me, supervisor: &supervisor };
    let keys = watch::Sender::new(Arc::new(keyring(&secrets)?));
    let secrets = watch::Sender::new(Arc::new(secrets));
    let reached = (sockets.gossip.reached, sockets.rpc.reached);
    let cluster = secrets.borrow().cluster.clone();
    let membership = talk.gossip(&cluster, sockets.gossip.socket, reached, keys.subscribe()).await?;
    // Set once, here.
    let _ = hints.0.set(membership.clone());
    let known = Known { membership: membership.clone(), ownership: ownership.clone() };
    let rpc = talk.calls(sockets.rpc, secrets.subscribe(), known, base.logins.route(router))?;
    base.logins.begin(&secrets.borrow(), (me.node, &rpc), (&ownership, &membership), base.supervisor);
    tell_load(&membership, clock, &supervisor);
    let mesh = Mesh { leases, ownership, membership: Some(membership), rpc: Some(rpc), me, running };
    mesh.follow_secrets(secrets, keys, &supervisor);
    Ok(mesh)
}

/// What gossip and calls are begun with.
struct Talk<'a> {
    base: Base<'a>,
    leases: &'a Leases,
    me: Standing,
    supervisor: &'a Supervisor,
}

impl Talk<'_> {
    fn time(&self) -> (SharedClock, SharedRng) {
        (self.base.clock.clone(), self.base.rng.clone())
    }

    async fn gossip(
        &self,
        cluster: &[u8],
        socket: UdpSocket,
        reached: (SocketAddr, SocketAddr),
        keys: watch::Receiver<Arc<Keyring>>,
    ) -> Result<Membership, membership::Error> {
        let config = self.base.config;
        let member = member(config, self.me, reached);
        let gossip = membership::Config::new(cluster, member.gossip);
        let seeds = Seeds { configured: config.cluster.seeds.clone(), store: Some(self.leases.clone()) };
        let network = Arc::new(Bound::new(socket));
        Membership::start(gossip, member, network, keys, seeds, self.supervisor, self.time()).await
    }

    fn calls(
        &self,
        Socket { socket, reached }: Socket,
        secrets: watch::Receiver<Arc<Secrets>>,
        known: Known,
        router: Router,
    ) -> Result<Rpc, rpc::Error> {
        let config = rpc::Config { socket: Some(socket), ..rpc::Config::new(self.me.node, VERSION, reached) };
        Rpc::start(config, secrets, Arc::new(known), router, self.supervisor, self.time())
    }
}

fn keyring(secrets: &Secrets) -> anyhow::Result<Keyring> {
    Keyring::of(secrets).context("the cluster has no key for gossip")
}

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the store is told of the node.
fn record(config: &Config) -> Record {
    let cluster = &config.cluster;
    Record {
        name: config.node_name().to_owned(),
        zone: cluster.zone.clone(),
        region: cluster.region.clone(),
        roles: roles(config),
        version: VERSION.to_owned(),
        level_min: *LEVELS.start(),
        level_max: *LEVELS.end(),
        capacity: cluster.capacity,
        ..Record::default()
    }
}

/// What other nodes are told of it.
fn member(config: &Config, me: Standing, (gossip, rpc): (SocketAddr, SocketAddr)) -> Member {
    let cluster = &config.cluster;
    Member {
        node: me.node,
        generation: me.epoch,
        name: config.node_name().to_owned(),
        zone: cluster.zone.clone(),
        region: cluster.region.clone(),
        roles: roles(config),
        version: VERSION.to_owned(),
        levels: LEVELS,
        capacity: cluster.capacity,
        load: 0,
        state: State::Joining,
        gossip,
        rpc,
    }
}

fn roles(config: &Config) -> Vec<String> {
    config.cluster.roles.iter().map(|role| role.name().to_owned()).collect()
}

/// Tells others how busy this node is.
fn tell_load(membership: &Membership, clock: &SharedClock, supervisor: &Supervisor) {
    let shared = Arc::new((membership.clone(), clock.clone(), Load::new(clock.monotonic())));
    supervisor.spawn_recurring("load", load::PAUSE, move || {
        let shared = Arc::clone(&shared);
        async move {
            let (membership, clock, load) = &*shared;
            membership.set_load(load.measure(clock.monotonic())).await;
        }
    });
}

/// Gossip wants the standing, and ownership, which gives it, the members.
#[derive(Default)]
struct LateHints(OnceLock<Membership>);

impl Hints for LateHints {
    fn weight(&self, node: NodeId) -> u32 {
        self.0.get().map_or(100, |membership| membership.weight(node))
    }
}

/// Where nodes answer: as gossip has it, or else as they said when they joined.
struct Known {
    membership: Membership,
    ownership: Ownership,
}

impl Addresses for Known {
    fn address(&self, node: NodeId) -> Option<SocketAddr> {
        if let Some(member) = self.membership.members().alive.get(&node) {
            return Some(member.rpc);
        }
        let situation = self.ownership.situation();
        let situation = situation.borrow();
        situation.live.get(&node)?.node.rpc.parse().ok()
    }
}

#[cfg(test)]
mod tests;
