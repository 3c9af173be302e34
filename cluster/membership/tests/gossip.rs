//! Nodes that find each other, lose each other and find each other again, in virtual time; and once over UDP.

#![allow(clippy::unwrap_used, clippy::panic)]

use godwit_membership::{
    Channel, Conditions, Config, Keyring, Member, Members, Membership, Network, Seeds, State, Udp,
};
use leases::{GossipKey, Leases, Node, Secrets};
use runtime::{Clock, SeededRng, SharedClock, SharedRng, Shutdown, Supervisor, SystemClock, Timestamp};
use schema::NodeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

struct World {
    network: Channel,
    rng: SharedRng,
    clock: SharedClock,
    keys: watch::Sender<Arc<Keyring>>,
    leases: Leases,
}

struct Running {
    membership: Membership,
    member: Member,
    shutdown: Shutdown,
}

fn keyring(octet: u8) -> Arc<Keyring> {
    let keys = vec![GossipKey { id: u32::from(octet), key: vec![octet; 32] }];
    Arc::new(Keyring::of(&Secrets { keys, ..Secrets::default() }).unwrap())
}

fn address(number: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(number).unwrap()], 4000))
}

fn member(number: u32, gossip: SocketAddr) -> Member {
    Member {
        name: format!("n{number}"),
        zone: "z".into(),
        region: "r".into(),
        version: "1".into(),
        state: State::Joining,
        ..Member::new(NodeId(number), 1, gossip)
    }
}

impl World {
    fn new(seed: u64, conditions: Conditions) -> World {
        let rng: SharedRng = Arc::new(SeededRng::new(seed));
        let clock: SharedClock = Arc::new(TokioClock(Instant::now()));
        World {
            network: Channel::new(rng.clone(), conditions),
            rng,
            keys: watch::Sender::new(keyring(1)),
            leases: Leases::new(kv::memory::database(), clock.clone()),
            clock,
        }
    }

    /// A node that knows nobody but the store.
    async fn start(&self, name: u32) -> Running {
        let record = Node {
            name: name.to_string(),
            level_min: 1,
            level_max: 1,
            gossip: address(name).to_string(),
            ..Node::default()
        };
        let standing = self.leases.join(&record).await.unwrap();
        let member =
            Member { node: standing.node, generation: standing.epoch, ..member(name, address(name)) };
        let seeds = Seeds { configured: Vec::new(), store: Some(self.leases.clone()) };
        self.start_as(member, seeds, self.keys.subscribe(), Arc::new(self.network.clone())).await
    }

    async fn start_as(
        &self,
        member: Member,
        seeds: Seeds,
        keys: watch::Receiver<Arc<Keyring>>,
        network: Arc<dyn Network>,
    ) -> Running {
        let (shutdown, config) = (Shutdown::new(), Config::new(b"cluster", member.gossip));
        let supervisor = Supervisor::new(shutdown.clone());
        let time = (self.clock.clone(), self.rng.clone());
        let membership =
            Membership::start(config, member.clone(), network, keys, seeds, &supervisor, time).await.unwrap();
        Running { membership, member, shutdown }
    }

    async fn cluster(&self, nodes: u32) -> Vec<Running> {
        let mut running = Vec::new();
        for name in 1..=nodes {
            running.push(self.start(name).await);
        }
        all_alive(&running).await;
        running
    }
}

impl Running {
    async fn until(&self, wanted: impl Fn(&Members) -> bool) {
        let mut changes = self.membership.changes();
        let wait = changes.wait_for(|members| wanted(members));
        let result = tokio::time::timeout(Duration::from_secs(120), wait).await;
        assert!(result.is_ok(), "{}: {:?}", self.member.name, self.membership.members());
    }

    fn stop(self) {
        self.shutdown.begin();
        self.shutdown.stop.cancel();
    }
}

async fn all_alive(running: &[Running]) {
    for one in running {
        one.until(|members| members.alive.len() == running.len() && members.dead.is_empty()).await;
    }
}

fn addresses(running: &[Running]) -> Vec<SocketAddr> {
    running.iter().map(|one| one.member.gossip).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_find_each_other_in_the_store_and_hear_what_each_does() {
    let world = World::new(1, Conditions::default());
    let running = world.cluster(3).await;
    let (first, second) = (&running[0], running[1].member.node);
    running[1].membership.set_state(State::Online).await;
    running[1].membership.set_load(950).await;
    let told = |members: &Members| {
        let member = &members.alive[&second];
        (member.state, member.load, member.weight()) == (State::Online, 900, 50)
    };
    first.until(told).await;
    assert_eq!(ownership::Hints::weight(&first.membership, second), 50);
    assert_eq!(ownership::Hints::weight(&first.membership, NodeId(99)), 100, "not heard of yet");
    assert!(first.membership.silences()[&second].lasted < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn nobody_dies_of_a_bad_network() {
    for seed in 0..4 {
        let bad = Conditions { lost: 300, repeated: 200, delay: Duration::from_millis(400) };
        let world = World::new(seed, bad);
        let running = world.cluster(8).await;
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(running.iter().all(|one| one.membership.members().dead.is_empty()), "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_found_dead_and_comes_back() {
    let world = World::new(2, Conditions::default());
    let mut running = world.cluster(5).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let dead = running.remove(0);
    let (node, began) = (dead.member.node, Instant::now());
    dead.stop();
    let mut longest = Duration::ZERO;
    for one in &running {
        one.until(|members| members.dead.contains_key(&node) && !members.alive.contains_key(&node)).await;
        longest = longest.max(began.elapsed());
        assert_eq!(ownership::Hints::weight(&one.membership, node), 0);
    }
    println!("found dead after {longest:?}");
    assert!(longest < Duration::from_secs(12), "{longest:?}");
    let back = world.start(1).await;
    let generation = back.member.generation;
    for one in &running {
        one.until(|members| members.alive.get(&node).is_some_and(|m| m.generation == generation)).await;
        assert!(!one.membership.members().dead.contains_key(&node));
    }
}

#[tokio::test(start_paused = true)]
async fn parts_that_were_apart_find_together() {
    let world = World::new(3, Conditions::default());
    let running = world.cluster(6).await;
    let (one, other) = running.split_at(2);
    world.network.part(&addresses(one), &addresses(other));
    for node in one {
        node.until(|members| members.alive.len() == 2 && members.dead.len() == 4).await;
    }
    for node in other {
        node.until(|members| members.alive.len() == 4 && members.dead.len() == 2).await;
    }
    world.network.mend();
    all_alive(&running).await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_hear_is_heard_of_through_others() {
    let world = World::new(4, Conditions::default());
    let running = world.cluster(4).await;
    // Nothing comes from the first to the second; what the others say of it does.
    world.network.cut(running[0].member.gossip, running[1].member.gossip);
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(running.iter().all(|one| one.membership.members().alive.len() == 4));
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_are_not_heard_and_keys_rotate() {
    let world = World::new(5, Conditions::default());
    let running = world.cluster(3).await;
    let strange = watch::Sender::new(keyring(9));
    let seeds = Seeds { configured: vec![address(1).to_string()], store: None };
    let network = Arc::new(world.network.clone());
    let stranger = member(77, address(77));
    let stranger = world.start_as(stranger, seeds, strange.subscribe(), network).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stranger.membership.members().alive.len(), 1);
    all_alive(&running).await;
    let both = |first: u8, second: u8| {
        let keys = [first, second].map(|id| GossipKey { id: u32::from(id), key: vec![id; 32] }).into();
        Arc::new(Keyring::of(&Secrets { keys, ..Secrets::default() }).unwrap())
    };
    for ring in [both(1, 2), both(2, 1), keyring(2)] {
        world.keys.send_replace(ring);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(running.iter().all(|one| one.membership.members().alive.len() == 3));
    }
}

#[tokio::test]
async fn two_nodes_gossip_over_udp() {
    let world = World::new(6, Conditions::default());
    let free = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (a, b) = (free(), free());
    let seeds = Seeds { configured: vec![a.to_string()], store: None };
    let first = world.start_as(member(1, a), Seeds::default(), world.keys.subscribe(), Arc::new(Udp)).await;
    let second = world.start_as(member(2, b), seeds, world.keys.subscribe(), Arc::new(Udp)).await;
    all_alive(&[first, second]).await;
    let taken = World { clock: SystemClock::shared(), ..world };
    let supervisor = Supervisor::new(Shutdown::new());
    let again = Membership::start(
        Config::new(b"cluster", a),
        member(3, a),
        Arc::new(Udp),
        taken.keys.subscribe(),
        Seeds::default(),
        &supervisor,
        (taken.clock.clone(), taken.rng.clone()),
    );
    let error = again.await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot gossip at {a}")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_begins_anew_while_gossip_is_lost() {
    for seed in 0..10 {
        let world = World::new(seed, Conditions { lost: 300, ..Conditions::default() });
        let mut running = world.cluster(3).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let dead = running.remove(1);
        let node = dead.member.node;
        dead.stop();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let back = world.start(2).await;
        for one in &running {
            let heard = |members: &Members| members.alive.get(&node) == Some(&back.member);
            one.until(|members| heard(members) && members.dead.is_empty()).await;
        }
    }
}
