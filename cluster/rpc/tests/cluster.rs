//! The parts of a cluster together: nodes that know nothing but the store find each other, talk, divide the work, and take over
//! what a dead one had.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use godwit_rpc::{Addresses, Call, Config as RpcConfig, Message, Router, Rpc, found};
use leases::{Leases, Node as Record, Secrets, Standing};
use membership::{Channel, Conditions, Config, Keyring, Member, Membership, Seeds};
use ownership::{Charge, Ownership, Tenure, Timings, Worker};
use parking_lot::Mutex;
use runtime::{SharedClock, SharedRng, Shutdown, Supervisor, SystemClock, SystemRng};
use schema::{Duty, NodeId};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const SOON: Duration = Duration::from_secs(60);
const DUTIES: u32 = 30;

#[derive(Clone, PartialEq, prost::Message)]
struct Ping {
    #[prost(uint32, tag = "1")]
    number: u32,
}

impl Message for Ping {
    const KIND: u32 = 16;
    const NAME: &'static str = "Ping";
}

impl Call for Ping {
    type Reply = Ping;
}

struct Directory(Membership);

impl Addresses for Directory {
    fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.0.members().alive.get(&node).map(|member| member.rpc)
    }
}

/// Keeps what it gets.
#[derive(Default)]
struct Keeper(Mutex<Vec<Tenure>>);

impl Worker for Keeper {
    fn begin(&self, tenure: Tenure) {
        let mut tenures = self.0.lock();
        tenures.retain(|tenure| !tenure.ending().is_cancelled());
        tenures.push(tenure);
    }
}

struct Node {
    standing: Standing,
    membership: Membership,
    ownership: Ownership,
    rpc: Rpc,
    shutdown: Shutdown,
}

/// A tenth of what is usual: the test is not to take long.
fn timings() -> Timings {
    let usual = Timings::default();
    let [renew, look, lease, rank, settle, grace] =
        [usual.renew, usual.look, usual.lease, usual.rank, usual.settle, usual.grace].map(|time| time / 10);
    // A busy machine must not cost anybody its lease.
    Timings { renew, look, lease: lease * 4, rank, settle, grace }
}

async fn start(number: u32, leases: &Leases, network: &Channel) -> Node {
    let (clock, rng): (SharedClock, SharedRng) = (SystemClock::shared(), SystemRng::shared());
    let (shutdown, none) = (Shutdown::new(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let supervisor = Supervisor::new(shutdown.clone());
    let gossip = SocketAddr::from(([10, 0, 0, u8::try_from(number).unwrap()], 4000));
    // Everything else follows from what is in the store.
    let made = found(&*rng, clock.now()).unwrap();
    let secrets: Secrets = leases.secrets_or(&made).await.unwrap();
    let record = Record {
        name: format!("n{number}"),
        level_min: 1,
        level_max: 1,
        gossip: gossip.to_string(),
        ..Record::default()
    };
    let hints = Arc::new(LateHints::default());
    let ownership = Ownership::new(leases.clone(), record, hints.clone(), clock.clone(), timings());
    let standing = ownership.join().await.unwrap();
    let port = std::net::UdpSocket::bind(none).unwrap().local_addr().unwrap();
    let member = Member {
        name: format!("n{number}"),
        version: "test".into(),
        rpc: port,
        ..Member::new(standing.node, standing.epoch, gossip)
    };
    let keys = watch::Sender::new(Arc::new(Keyring::of(&secrets).unwrap()));
    let config = Config { interval: Duration::from_millis(100), ..Config::new(&secrets.cluster, gossip) };
    let seeds = Seeds { configured: Vec::new(), store: Some(leases.clone()) };
    let (network, time) = (Arc::new(network.clone()), (clock.clone(), rng.clone()));
    let starting = Membership::start(config, member, network, keys.subscribe(), seeds, &supervisor, time);
    let membership = starting.await.unwrap();
    hints.0.lock().replace(membership.clone());
    let me = standing.node.0;
    let router =
        Router::new().on_call(move |_, ping: Ping| async move { Ok(Ping { number: ping.number + me }) });
    let secrets = watch::Sender::new(Arc::new(secrets));
    let directory = Arc::new(Directory(membership.clone()));
    let config = RpcConfig::new(standing.node, "test", port);
    let rpc = Rpc::start(config, secrets.subscribe(), directory, router, &supervisor, (clock, rng)).unwrap();
    let charge =
        Charge { duties: (0..DUTIES).map(Duty::queue).collect(), worker: Arc::new(Keeper::default()) };
    let (running, stop) = (ownership.clone(), shutdown.drain.clone());
    supervisor.spawn(runtime::TaskKind::Critical, "ownership", async move {
        running.run(vec![charge], stop).await
    });
    Node { standing, membership, ownership, rpc, shutdown }
}

/// Membership needs the standing, and ownership, which gives it, the members.
#[derive(Default)]
struct LateHints(Mutex<Option<Membership>>);

impl ownership::Hints for LateHints {
    fn weight(&self, node: NodeId) -> u32 {
        self.0.lock().as_ref().map_or(100, |membership| membership.weight(node))
    }
}

async fn until(step: &str, what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect(step);
}

fn divided(nodes: &[Node]) -> bool {
    let held: Vec<Duty> = nodes
        .iter()
        .flat_map(|node| node.ownership.held().iter().map(|f| f.duty).collect::<Vec<_>>())
        .collect();
    held.len() == DUTIES as usize && held.iter().collect::<BTreeSet<_>>().len() == held.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_only_the_store_are_a_cluster() {
    let network = Channel::new(SystemRng::shared(), Conditions::default());
    let leases = Leases::new(kv::memory::database(), SystemClock::shared());
    let mut nodes = Vec::new();
    for number in 1..=3 {
        nodes.push(start(number, &leases, &network).await);
    }
    until("all are alive", || nodes.iter().all(|node| node.membership.members().alive.len() == 3)).await;
    until("all have work", || divided(&nodes) && nodes.iter().all(|node| !node.ownership.held().is_empty()))
        .await;
    for from in &nodes {
        for to in &nodes {
            let ping = from.rpc.call(to.standing.node, &Ping { number: 100 }, SOON).await.unwrap();
            assert_eq!(ping.number, 100 + to.standing.node.0);
        }
    }
    // As kill -9: nothing is said, nothing given back.
    let dead = nodes.remove(0);
    dead.shutdown.stop.cancel();
    until("all is taken over", || divided(&nodes)).await;
    until("the dead is known", || {
        nodes.iter().all(|node| node.membership.members().dead.contains_key(&dead.standing.node))
    })
    .await;
    // And as a drain: all is handed over before it goes.
    let leaving = nodes.remove(0);
    leaving.ownership.drain().await.unwrap();
    until("all is taken over", || divided(&nodes)).await;
    leaving.shutdown.begin();
    let gone = leaving.standing.node;
    until("it has left", || nodes[0].ownership.situation().borrow().live.keys().all(|node| *node != gone))
        .await;
}
