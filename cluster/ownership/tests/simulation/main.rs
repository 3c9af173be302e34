//! Processes that crash, sleep, drain and lose the store, on one store, from a seed and in virtual time.
//!
//! `GODWIT_SEEDS=2000 cargo nextest run -p godwit-ownership --test simulation` tries more of them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use kv::fault::Plan;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use world::{DUTIES, Entry, World, check};

/// Of a holder's death, to the first work of its successor: with the pause between two pieces of work in it.
const TAKEOVER: Duration = Duration::from_secs(5);

/// So many seeds, or those that the environment says: `2000`, or `500..1000`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let said = std::env::var("GODWIT_SEEDS").unwrap_or_default();
    let (first, end) = said.split_once("..").unwrap_or(("0", &said));
    first.parse().unwrap_or(0)..end.parse().unwrap_or(default)
}

fn run<T>(simulation: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(simulation)
}

async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// One thing that happens; what it began ends by itself, or with the next.
async fn happen(world: &mut World, nodes: u64) {
    let name = usize::try_from(world.rng.below(nodes)).unwrap();
    match world.rng.below(12) {
        0 | 1 => {
            world.kill(name);
            wait(world.between(0, 8000)).await;
            world.start(name);
        }
        2..=4 => {
            world.pause(name, true);
            wait(world.between(100, 12_000)).await;
            world.pause(name, false);
        }
        5 => {
            // A second process under the name while the first one sleeps.
            world.pause(name, true);
            let sleeper = world.running.remove(&name);
            world.start(name);
            wait(world.between(100, 6000)).await;
            if let Some(sleeper) = sleeper {
                sleeper.gate.set(true);
            }
        }
        6 => {
            world.store.set(false);
            wait(world.between(500, 32_000)).await;
            world.store.set(true);
        }
        7 => world.step_clock(name),
        8 => {
            if let Some(process) = world.running.get(&name) {
                let (ownership, stop) = (process.ownership.clone(), process.stop.clone());
                tokio::spawn(async move {
                    while ownership.drain().await.is_err() {}
                    stop.cancel();
                });
            }
            wait(world.between(0, 4000)).await;
            world.kill(name);
            world.start(name);
        }
        9 | 10 => {
            // Gossip tells processes different things, for as long as it likes.
            for _ in 0..3 {
                let node = 1 + u32::try_from(world.rng.below(nodes)).unwrap();
                let weight = [0, 50, 100][usize::try_from(world.rng.below(3)).unwrap()];
                world.think(usize::try_from(world.rng.below(nodes)).unwrap(), node, weight);
            }
        }
        _ => {
            world.faults.set_plan(Plan::HARSH);
            wait(world.between(1000, 10_000)).await;
            world.faults.set_plan(Plan::NONE);
        }
    }
}

/// Whatever happens: one worker per epoch, epochs in order, and all is worked on again once all is well.
#[test]
fn one_works_at_a_time_and_all_is_worked_on() {
    let (mut entries, mut epochs) = (0, 0);
    for seed in seeds(24) {
        let log = run(async {
            let mut world = World::new(seed);
            let nodes = 2 + world.rng.below(4);
            (0..nodes).for_each(|name| world.start(usize::try_from(name).unwrap()));
            wait(Duration::from_secs(3)).await;
            while world.millis() < 60_000 {
                happen(&mut world, nodes).await;
                wait(world.between(0, 3000)).await;
            }
            world.heal();
            wait(Duration::from_secs(12)).await;
            let log = world.log().await;
            let end = world.millis();
            for duty in 0..DUTIES {
                let last = log.get(&duty).and_then(|entries| entries.last()).map_or(0, |entry| entry.millis);
                assert!(end - last < 1500, "seed {seed}: duty {duty} was last worked on at {last} of {end}");
            }
            log
        });
        check(&log, &format!("seed {seed}"));
        entries += log.values().map(Vec::len).sum::<usize>();
        epochs += log.values().filter_map(|entries| entries.last()).map(|entry| entry.epoch).sum::<u64>();
    }
    println!("{entries} pieces of work under {epochs} claims");
    assert!(epochs > 0);
}

/// From the death of a process to the first work of others on each of its duties.
fn takeovers(log: &BTreeMap<u32, Vec<Entry>>, dead: u64, died: u64) -> Vec<u64> {
    let mut times = Vec::new();
    for entries in log.values() {
        let before = entries.iter().rposition(|entry| entry.millis <= died);
        let Some(at) = before.filter(|at| entries[*at].process == dead) else { continue };
        let next = entries[at..].iter().find(|entry| entry.process != dead);
        times.push(next.map_or(u64::MAX, |entry| entry.millis - died));
    }
    times
}

/// A process is killed, or sleeps for ever; the store is well.
#[test]
fn a_holder_that_dies_is_replaced_within_the_bound() {
    let mut times = Vec::new();
    for seed in seeds(60) {
        times.extend(run(async {
            let mut world = World::new(seed);
            let nodes = 3 + usize::try_from(world.rng.below(3)).unwrap();
            (0..nodes).for_each(|name| world.start(name));
            wait(world.between(8000, 14_000)).await;
            let died = world.millis();
            let victim = world.running[&0].number;
            if seed % 2 == 0 {
                world.kill(0);
            } else {
                world.pause(0, true);
            }
            wait(Duration::from_secs(10)).await;
            takeovers(&world.log().await, victim, died)
        }));
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!("{} takeovers: p50 {} ms, p99 {} ms, last {} ms", times.len(), at(500), at(990), at(1000));
    assert!(times.len() > 50 && Duration::from_millis(at(1000)) <= TAKEOVER, "{times:?}");
}

/// A drain leaves no gap: the next owner works at its next look.
#[test]
fn a_drain_hands_over_at_once() {
    let mut gaps = Vec::new();
    for seed in seeds(20) {
        gaps.extend(run(async {
            let mut world = World::new(seed);
            (0..3).for_each(|name| world.start(name));
            wait(world.between(8000, 9000)).await;
            let (drained, process) = (world.millis(), &world.running[&0]);
            process.ownership.drain().await.unwrap();
            assert!(process.ownership.held().is_empty());
            let took = world.millis() - drained;
            assert!(took < 1500, "seed {seed}: the drain took {took} ms");
            process.stop.cancel();
            let number = process.number;
            wait(Duration::from_secs(3)).await;
            takeovers(&world.log().await, number, drained)
        }));
    }
    gaps.sort_unstable();
    println!("{} hand-overs by drain, last after {:?} ms", gaps.len(), gaps.last());
    assert!(gaps.last().is_some_and(|gap| *gap < 2500), "{gaps:?}");
}

/// A process that is begun again at once does not wait for the lease it had.
#[test]
fn who_comes_back_under_its_name_goes_on_at_once() {
    for seed in seeds(20) {
        let gaps = run(async {
            let mut world = World::new(seed);
            (0..3).for_each(|name| world.start(name));
            wait(world.between(9000, 10_000)).await;
            let died = world.millis();
            let former = world.kill(0).unwrap();
            world.start(0);
            wait(Duration::from_secs(3)).await;
            takeovers(&world.log().await, former, died)
        });
        assert!(gaps.iter().all(|gap| *gap < 1500), "seed {seed}: {gaps:?}");
    }
}

/// A store that is away for half a minute costs nobody its lease.
#[test]
fn a_stall_of_the_store_moves_nothing() {
    for seed in seeds(20) {
        let (before, after) = run(async {
            let mut world = World::new(seed);
            (0..4).for_each(|name| world.start(name));
            wait(world.between(9000, 12_000)).await;
            let before = world.log().await;
            world.store.set(false);
            wait(Duration::from_secs(30)).await;
            world.store.set(true);
            wait(Duration::from_secs(5)).await;
            (before, world.log().await)
        });
        for (duty, entries) in &after {
            let moved =
                entries.last().map(|entry| entry.epoch) != before[duty].last().map(|entry| entry.epoch);
            assert!(!moved, "seed {seed}: duty {duty} moved");
            assert!(entries.len() > before[duty].len(), "seed {seed}: duty {duty} rests");
        }
    }
}

/// A process that joins gets what the hash gives it, and nothing else moves.
#[test]
fn a_join_moves_only_what_it_must() {
    for seed in seeds(20) {
        let (before, after) = run(async {
            let mut world = World::new(seed);
            (0..3).for_each(|name| world.start(name));
            wait(world.between(12_000, 13_000)).await;
            let before = world.log().await;
            world.start(3);
            wait(Duration::from_secs(12)).await;
            (before, world.log().await)
        });
        check(&after, &format!("seed {seed}"));
        let owner = |log: &BTreeMap<u32, Vec<Entry>>, duty| log[&duty].last().unwrap().process;
        let moved: Vec<u32> =
            (0..DUTIES).filter(|duty| owner(&before, *duty) != owner(&after, *duty)).collect();
        assert!(
            !moved.is_empty() && moved.iter().all(|duty| owner(&after, *duty) == 4),
            "seed {seed}: {moved:?}"
        );
    }
}

/// A process that was paused for longer than its lease is not sure of anything when it goes on.
#[test]
fn who_slept_for_too_long_is_not_sure() {
    for seed in seeds(20) {
        let (mistaken, log) = run(async {
            let mut world = World::new(seed);
            (0..3).for_each(|name| world.start(name));
            wait(world.between(9000, 10_000)).await;
            for name in 0..3 {
                world.pause(name, true);
                wait(world.between(3000, 9000)).await;
                world.pause(name, false);
                wait(world.between(0, 4000)).await;
            }
            (world.mistaken.load(Ordering::Relaxed), world.log().await)
        });
        check(&log, &format!("seed {seed}"));
        assert_eq!(mistaken, 0, "seed {seed}");
    }
}

/// What the leases of three nodes with 4,096 slots cost the store, at rest and when one of them dies.
#[test]
fn many_slots_cost_little_at_rest() {
    run(async {
        let mut world = World::new(1);
        (world.duties, world.pace) = (4096, 3_600_000);
        (0..3).for_each(|name| world.start(name));
        wait(Duration::from_secs(30)).await;
        let held: Vec<usize> = world.running.values().map(|process| process.ownership.held().len()).collect();
        assert_eq!(held.iter().sum::<usize>(), 4096);
        let load = |world: &World| {
            (world.load.reads.load(Ordering::Relaxed), world.load.commits.load(Ordering::Relaxed))
        };
        let before = load(&world);
        wait(Duration::from_secs(60)).await;
        let rest = load(&world);
        let (reads, commits) = ((rest.0 - before.0) as f64 / 180.0, (rest.1 - before.1) as f64 / 180.0);
        println!("at rest: {reads:.1} reads and {commits:.1} commits per second and node; held {held:?}");
        assert!(reads < 10.0 && commits < 2.0);
        let died = world.millis();
        world.kill(0);
        while world.running.values().map(|process| process.ownership.held().len()).sum::<usize>() < 4096 {
            wait(Duration::from_millis(50)).await;
        }
        let (took, after) = (world.millis() - died, load(&world));
        println!(
            "{} slots of a dead node are others' after {took} ms, {} reads and {} commits later",
            held[0],
            after.0 - rest.0,
            after.1 - rest.1
        );
        assert!(took < 5000);
    });
}

/// Two halves that think each other dead, though all have leases: all is worked on without a pause, and nothing goes to and fro.
#[test]
fn a_cluster_that_gossip_has_parted_works_on() {
    for seed in seeds(10) {
        let (before, after, longest) = run(async {
            let mut world = World::new(seed);
            (0..4).for_each(|name| world.start(name));
            wait(world.between(12_000, 13_000)).await;
            let before = world.log().await;
            for (name, node) in (0..4).flat_map(|name| (1..=4).map(move |node| (name, node))) {
                // Names are taken in the order of ids here; which half a node is in does not matter.
                if (name < 2) != (node <= 2) {
                    world.think(name, node, 0);
                }
            }
            let parted = world.millis();
            wait(Duration::from_secs(60)).await;
            let log = world.log().await;
            let gaps = log.values().flat_map(|entries| {
                let times: Vec<u64> = entries.iter().map(|e| e.millis).filter(|at| *at >= parted).collect();
                times.windows(2).map(|pair| pair[1] - pair[0]).max()
            });
            (before, log.clone(), gaps.max().unwrap())
        });
        check(&after, &format!("seed {seed}"));
        let claims = |log: &BTreeMap<u32, Vec<Entry>>| -> u64 {
            log.values().filter_map(|entries| entries.last()).map(|entry| entry.epoch).sum()
        };
        let moves = claims(&after) - claims(&before);
        assert!(moves <= u64::from(DUTIES) && longest < 2500, "seed {seed}: {moves} moves, {longest} ms");
    }
}
