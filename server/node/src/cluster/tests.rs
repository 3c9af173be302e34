//! Nodes that know nothing but the store, over the loopback interface.

use super::*;
use std::collections::BTreeSet;

use accounts::Accounts;
use directory::{Directory, Tag};
use ownership::{Tenure, Worker};
use parking_lot::Mutex;
use runtime::{SystemClock, SystemRng};
use schema::Duty;

const SOON: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, prost::Message)]
struct Ping {
    #[prost(uint32, tag = "1")]
    number: u32,
}

impl rpc::Message for Ping {
    const KIND: u32 = 60_000;
    const NAME: &'static str = "Ping";
}

impl rpc::Call for Ping {
    type Reply = Ping;
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
    mesh: Mesh,
    shutdown: Shutdown,
    directory: Arc<Directory>,
}

/// Over no accounts.
fn directory(db: &Database, clock: &SharedClock, rng: &SharedRng) -> Arc<Directory> {
    let options = accounts::Options { cost: accounts::HashCost::CHEAP, ..accounts::Options::default() };
    let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), options);
    let feed = Arc::new(changes::LocalFeed::new());
    Arc::new(Directory::new(accounts, feed, clock.clone(), rng, directory::Options::default()).unwrap())
}

async fn start(name: &str, section: &str, company: Company, db: &Database) -> Node {
    let text = format!(
        "hostname = \"mx.example.test\"\nnode = {name:?}\ndata = \"/nowhere\"\n[cluster]\nlisten = \"127.0.0.1:0\"\n{section}"
    );
    let config = Config::parse(&text).unwrap();
    let shutdown = Shutdown::new();
    let supervisor = Supervisor::new(shutdown.clone());
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let directory = directory(db, &clock, &rng);
    let logins = &Logins::new(directory.clone());
    let (clock, rng, supervisor) = (&clock, &rng, &supervisor);
    let base = Base { config: &config, company, db, clock, rng, supervisor, logins };
    let router = Router::new().on_call(|_, ping: Ping| async move { Ok(Ping { number: ping.number + 1 }) });
    let charge = |duty| Charge { duties: vec![duty], worker: Arc::new(Keeper::default()) };
    let mesh = join(base, router, vec![charge(Duty::queue(1)), charge(Duty::UPKEEP)]).await.unwrap();
    mesh.online().await;
    Node { mesh, shutdown, directory }
}

async fn sees(node: &Node, what: impl Fn(&membership::Members) -> bool) {
    let mut members = node.mesh.membership.as_ref().unwrap().changes();
    let seen = members.wait_for(|members| what(members));
    tokio::time::timeout(SOON, seen).await.unwrap().unwrap();
}

async fn holds(node: &Node, duties: &[Duty]) {
    let mut situation = node.mesh.ownership.situation();
    let me = node.mesh.me;
    let held = situation
        .wait_for(|seen| duties.iter().all(|duty| seen.fence(*duty).is_some_and(|fence| fence.holder == me)));
    tokio::time::timeout(SOON, held).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_one_store_find_each_other_talk_and_say_goodbye() {
    let db = kv::memory::database();
    let a = start("a", "zone = \"east\"\ncapacity = 200", Company::Shared, &db).await;
    let b = start("b", "roles = [\"imap\", \"tasks\"]", Company::Shared, &db).await;
    let online = |node: &Node, of: &Node| {
        let (id, all) = (of.mesh.me.node, 2);
        let of = node.mesh.membership.clone().unwrap();
        async move {
            let mut members = of.changes();
            let seen = members.wait_for(|members| {
                members.alive.len() == all && members.alive.get(&id).is_some_and(|m| m.state == State::Online)
            });
            tokio::time::timeout(SOON, seen).await.unwrap().unwrap().alive[&id].clone()
        }
    };
    let (of_a, of_b) = (online(&b, &a).await, online(&a, &b).await);
    assert_eq!((of_a.zone.as_str(), of_a.capacity, of_a.name.as_str()), ("east", 200, "a"));
    assert_eq!(of_b.roles, ["imap", "tasks"]);
    for (from, to) in [(&a, &b), (&b, &a)] {
        let calls = from.mesh.rpc.as_ref().unwrap();
        assert_eq!(calls.call(to.mesh.me.node, &Ping { number: 1 }, SOON).await.unwrap().number, 2);
    }
    // Who lacks the role gets none of the queue.
    holds(&a, &[Duty::queue(1)]).await;
    assert!(b.mesh.ownership.held().iter().all(|fence| fence.duty != Duty::queue(1)));
    a.shutdown.begin();
    let gone = a.mesh.me.node;
    sees(&b, |members| members.alive.get(&gone).is_some_and(|member| member.state == State::Leaving)).await;
    holds(&b, &[Duty::UPKEEP]).await;
    // Nothing of the mesh holds up the drain, which it outlives.
    let late = a.shutdown.complete(SOON).await;
    assert!(late.is_empty(), "{late:?}");
    a.mesh.close();
    let nobody = tokio::time::timeout(SOON, a.mesh.running.ledger().idle()).await;
    nobody.unwrap();
    b.shutdown.begin();
    b.mesh.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_alone_talks_to_nobody() {
    let db = kv::memory::database();
    let node = start("a", "", Company::Alone, &db).await;
    assert!(node.mesh.membership.is_none() && node.mesh.rpc.is_none());
    assert!(node.mesh.leases.secrets().await.unwrap().is_none());
    node.shutdown.stop.cancel();
}

fn all_of(node: &Node) -> BTreeSet<Tag> {
    node.directory.remembered().into_iter().collect()
}

async fn remembers(node: &Node, tags: &[Tag]) {
    let all = async {
        while !tags.iter().copied().collect::<BTreeSet<_>>().is_subset(&all_of(node)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_new_and_those_that_one_leaves_to_know_its_clients() {
    let db = kv::memory::database();
    let a = start("a", "", Company::Shared, &db).await;
    let (first, second): (Tag, Tag) = ([1; 32], [2; 32]);
    a.directory.adopt([first]);
    let b = start("b", "", Company::Shared, &db).await;
    remembers(&b, &[first]).await;
    let many = (0..40_000_u32).map(|n| *blake3::hash(&n.to_be_bytes()).as_bytes());
    let many: Vec<Tag> = many.chain([second]).collect();
    a.directory.adopt(many.iter().copied());
    let stays = b.mesh.me.node;
    sees(&a, |members| members.alive.get(&stays).is_some_and(|member| member.state == State::Online)).await;
    a.shutdown.announce();
    remembers(&b, &many).await;
    for node in [a, b] {
        node.shutdown.begin();
        node.mesh.close();
    }
}

/// Guesses once.
async fn guess(node: &Node) -> accounts::AuthFailure {
    let (password, remote) = (&accounts::Secret::new("wrong"), "192.0.2.1".parse().unwrap());
    let request = accounts::AuthRequest { mechanism: "PLAIN", login: "alice", password, remote };
    accounts::Authenticator::authenticate(&*node.directory, request).await.unwrap_err()
}

/// Drill A13: guessing at one node after the other is of no use.
#[tokio::test(flavor = "multi_thread")]
async fn who_failed_too_often_at_one_node_is_refused_by_the_others() {
    let db = kv::memory::database();
    let a = start("a", "", Company::Shared, &db).await;
    let b = start("b", "", Company::Shared, &db).await;
    let other = b.mesh.me.node;
    sees(&a, |members| members.alive.get(&other).is_some_and(|member| member.state == State::Online)).await;
    let burst = directory::Options::default().per_login.burst;
    for _ in 0..burst {
        assert_eq!(guess(&a).await, accounts::AuthFailure::Invalid);
    }
    assert_eq!(guess(&a).await, accounts::AuthFailure::RateLimited);
    // Each look is a guess as well: fewer than b allows by itself.
    let mut looks = 0;
    while guess(&b).await != accounts::AuthFailure::RateLimited {
        looks += 1;
        assert!(looks < burst / 2, "b has not heard");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for node in [a, b] {
        node.shutdown.begin();
        node.mesh.close();
    }
}
