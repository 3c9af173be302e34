//! Mail through nodes that crash, sleep, drain, lose the store and disagree about each other.
//!
//! Senders hand messages to any node, to local and to remote recipients, and try again until they hear 250, as senders do.
//! Whatever happens: what was answered with 250 is in its mailbox once, and at its remote server. More than once it may be
//! - in a mailbox, if the sender did not hear of the first;
//! - at the remote server, if that took it and the node could not note it: that is counted.
//!
//! `GODWIT_SEEDS=2000 cargo nextest run -p godwit-test-simulation` tries more of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod node;
mod remote;
mod sender;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use kv::fault::Plan;
use metrics_exporter_prometheus::PrometheusBuilder;
use remote::Mood;
use world::World;

const NODES: usize = 3;
/// How long things go wrong, in virtual milliseconds.
const TROUBLE: u64 = 60_000;

/// So many seeds, or those that the environment says: `2000`, or `500..1000`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let said = std::env::var("GODWIT_SEEDS").unwrap_or_default();
    match said.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..said.parse().unwrap_or(default),
    }
}

/// In virtual time, with a recorder of its own. Returns also what it recorded.
fn run<T>(world: impl Future<Output = T>) -> (T, String) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = metrics::with_local_recorder(&recorder, || runtime.block_on(world));
    (outcome, figures.render())
}

async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// One thing that happens; what it began ends by itself, or with the next.
async fn happen(world: &mut World) {
    let name = usize::try_from(world.rng.below(NODES as u64)).unwrap();
    match world.rng.below(14) {
        0..=2 => {
            world.kill(name);
            wait(world.between(0, 8_000)).await;
            world.start(name).await;
        }
        3..=5 => {
            world.sleep(name, true);
            wait(world.between(100, 12_000)).await;
            world.sleep(name, false);
        }
        6 => {
            // The network to the store: the node goes on, and cannot reach it.
            world.cut_off(name, true);
            wait(world.between(100, 30_000)).await;
            world.cut_off(name, false);
        }
        7 => {
            world.store.set(false);
            wait(world.between(500, 32_000)).await;
            world.store.set(true);
        }
        8 => world.step_clock(name),
        9 => {
            world.drain(name);
            wait(world.between(0, 4_000)).await;
            world.kill(name);
            world.start(name).await;
        }
        10 => {
            // Gossip tells nodes different things, for as long as it likes.
            for _ in 0..3 {
                let node = 1 + u32::try_from(world.rng.below(NODES as u64)).unwrap();
                let weight = [0, 50, 100][usize::try_from(world.rng.below(3)).unwrap()];
                world.think(usize::try_from(world.rng.below(NODES as u64)).unwrap(), node, weight);
            }
        }
        11 => {
            let moods = [Mood::Well, Mood::Away, Mood::Full, Mood::Cuts];
            world.remote.be(moods[usize::try_from(world.rng.below(4)).unwrap()]);
        }
        _ => {
            world.faults.set_plan(Plan { too_old: 5, unavailable: 5, conflict: 60, ..Plan::HARSH });
            wait(world.between(1_000, 10_000)).await;
            world.faults.set_plan(Plan::NONE);
        }
    }
}

/// What came of a seed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    acknowledged: usize,
    /// Handed over again since the sender had not heard of a 250.
    again: usize,
    /// More than once in a mailbox.
    twice_here: usize,
    /// More than once at the remote server.
    twice_there: usize,
    in_doubt: usize,
}

fn figure(rendered: &str, name: &str) -> usize {
    let line = rendered.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |figure| figure.parse().unwrap())
}

/// A minute of trouble, then peace, then everything is looked at.
fn trouble(seed: u64) -> Sum {
    let (mut sum, rendered) = run(async {
        let mut world = World::new(seed).await;
        for name in 0..NODES {
            world.start(name).await;
        }
        let senders = world.senders();
        wait(Duration::from_secs(3)).await;
        while world.millis() < TROUBLE {
            happen(&mut world).await;
            wait(world.between(0, 3_000)).await;
        }
        world.heal().await;
        let ledger = senders.end().await;
        world.drained().await;
        judge(seed, &world, &ledger).await
    });
    sum.in_doubt = figure(&rendered, "outbound_attempts_in_doubt_total");
    assert!(sum.twice_there <= sum.in_doubt, "seed {seed}: sent twice without being counted: {sum:?}");
    sum
}

async fn judge(seed: u64, world: &World, ledger: &BTreeMap<String, sender::Fate>) -> Sum {
    let (here, there) = (world.mailboxes().await, world.remote.taken());
    let mut sum = Sum::default();
    for (id, fate) in ledger {
        let copies = here.get(id).copied().unwrap_or_default();
        assert!(copies >= 1, "seed {seed}: {id} was acknowledged and is in no mailbox");
        assert!(copies <= 1 + fate.unheard, "seed {seed}: {id} is there {copies} times, {fate:?}");
        sum.acknowledged += 1;
        sum.again += fate.unheard;
        sum.twice_here += copies - 1;
        if fate.remote {
            let copies = there.get(id).copied().unwrap_or_default();
            assert!(copies >= 1, "seed {seed}: {id} was acknowledged and did not go out");
            // Each copy that is in the queue may be sent twice; what the sender brought again is another message.
            sum.twice_there += copies.saturating_sub(1 + fate.unheard);
        }
    }
    let strange = here.keys().chain(there.keys()).find(|id| !ledger.contains_key(*id));
    assert_eq!(strange, None, "seed {seed}: nobody was told that it was taken, and nobody tries it again");
    sum
}

#[test]
fn what_was_taken_arrives_once_whatever_happens() {
    let mut all = Sum::default();
    for seed in seeds(4) {
        let sum = trouble(seed);
        println!("seed {seed}: {sum:?}");
        assert!(sum.acknowledged > 20, "seed {seed}: {sum:?}");
        all.acknowledged += sum.acknowledged;
        all.again += sum.again;
        all.twice_here += sum.twice_here;
        all.twice_there += sum.twice_there;
        all.in_doubt += sum.in_doubt;
    }
    println!("{all:?}");
}
