//! Nodes that know nothing but the store, over the loopback interface.

use super::*;
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
}

async fn start(name: &str, section: &str, company: Company, db: &Database) -> Node {
    let text = format!(
        "hostname = \"mx.example.test\"\nnode = {name:?}\ndata = \"/nowhere\"\n[cluster]\nlisten = \"127.0.0.1:0\"\n{section}"
    );
    let config = Config::parse(&text).unwrap();
    let shutdown = Shutdown::new();
    let supervisor = Supervisor::new(shutdown.clone());
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let base = Base { config: &config, company, db, clock: &clock, rng: &rng, supervisor: &supervisor };
    let router = Router::new().on_call(|_, ping: Ping| async move { Ok(Ping { number: ping.number + 1 }) });
    let charge = |duty| Charge { duties: vec![duty], worker: Arc::new(Keeper::default()) };
    let mesh = join(base, router, vec![charge(Duty::queue(1)), charge(Duty::UPKEEP)]).await.unwrap();
    mesh.online().await;
    Node { mesh, shutdown }
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
