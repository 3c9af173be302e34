//! What gossip costs: `cargo run -p godwit-membership --example gossip -- 3 10 100 1000` prints, for clusters of so many nodes in
//! one process and in virtual time, how long it takes until all know all, and what each node sends.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use godwit_membership::{Channel, Conditions, Config, Keyring, Member, Membership, Seeds};
use leases::{GossipKey, Secrets};
use runtime::{SeededRng, SharedRng, Shutdown, Supervisor, SystemClock};
use schema::NodeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Over which time traffic is taken.
const MEASURED: Duration = Duration::from_secs(5);

fn address(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 4000))
}

fn member(number: u32) -> Member {
    Member {
        name: format!("mail-{number}.example.net"),
        zone: format!("zone-{}", number % 3),
        region: "region-1".into(),
        version: "0.1.0".into(),
        levels: 1..=2,
        ..Member::new(NodeId(number), 1000 + u64::from(number), address(number))
    }
}

async fn measure(nodes: u32) {
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    let network = Channel::new(rng.clone(), Conditions::default());
    let secrets = Secrets { keys: vec![GossipKey { id: 1, key: vec![1; 32] }], ..Secrets::default() };
    let keys = watch::Sender::new(Arc::new(Keyring::of(&secrets).unwrap()));
    let supervisor = Supervisor::new(Shutdown::new());
    let seeds = Seeds { configured: (1..=3).map(|n| address(n).to_string()).collect(), store: None };
    let mut running = Vec::new();
    for number in 1..=nodes {
        let (config, time) = (Config::new(b"scale", address(number)), (SystemClock::shared(), rng.clone()));
        let network = Arc::new(network.clone());
        let (keys, seeds) = (keys.subscribe(), seeds.clone());
        let one = Membership::start(config, member(number), network, keys, seeds, &supervisor, time);
        running.push(one.await.unwrap());
    }
    let (real, began) = (std::time::Instant::now(), Instant::now());
    for one in &running {
        one.changes().wait_for(|members| members.alive.len() == nodes as usize).await.unwrap();
    }
    let known = began.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = network.traffic();
    tokio::time::sleep(MEASURED).await;
    let after = network.traffic();
    let alive = running.iter().filter(|one| one.members().alive.len() == nodes as usize).count();
    let per_second = |total: u64| total as f64 / f64::from(nodes) / MEASURED.as_secs_f64();
    let sum = |take: fn(&godwit_membership::Traffic) -> u64| {
        per_second(after.values().map(take).sum::<u64>() - before.values().map(take).sum::<u64>())
    };
    println!(
        "| {nodes} | {:.1} s | {:.1} | {:.2} kB/s | {alive} | {:.1} s |",
        known.as_secs_f64(),
        sum(|traffic| traffic.datagrams_out),
        sum(|traffic| traffic.octets_out) / 1000.0,
        real.elapsed().as_secs_f64(),
    );
}

fn main() {
    println!(
        "| nodes | all know all after | datagrams/s sent by each | sent by each | know all at the end | computed in |"
    );
    println!("|---|---|---|---|---|---|");
    for nodes in std::env::args().skip(1).filter_map(|text| text.parse().ok()) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(measure(nodes));
    }
}
