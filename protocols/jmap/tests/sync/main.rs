//! A client that keeps a cache in step by what it is told of changes has what a client has that asks for everything,
//! whatever happens to the mail and by whom.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that can not go on says so

mod acts;
mod client;
mod model;
mod queries;
mod relevance;
mod smime;
mod world;

use acts::Acts;
use client::Client;
use world::World;

const ROUNDS: usize = 30;

/// So many, or as `GODWIT_SEEDS` says: `2000`, or others, `500..1000`.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let said = std::env::var("GODWIT_SEEDS").unwrap_or_default();
    let (from, to) = said.split_once("..").unwrap_or(("0", &said));
    from.parse().unwrap_or(0)..to.parse().unwrap_or(few)
}

#[tokio::test]
async fn a_cache_that_follows_changes_has_what_there_is() {
    for seed in seeds(12) {
        in_step(&World::new(seed).await, seed).await;
    }
}

/// What one node has done the next one tells of, and nothing is told twice or not at all because an answer was lost.
#[tokio::test(start_paused = true)]
async fn so_it_has_on_three_nodes_whose_store_misbehaves() {
    for seed in seeds(6) {
        in_step(&World::of_three(seed).await, seed).await;
    }
}

async fn in_step(world: &World, seed: u64) {
    let acts = Acts::new(world, seed);
    let mut clients = Vec::new();
    for account in world.accounts {
        acts.fill(account).await;
        clients.push(Client::new(world, account, &acts.random).await);
    }
    for round in 0..ROUNDS {
        let done = acts.some().await;
        for client in &mut clients {
            let context = format!("seed {seed}, round {round}: {done:?}");
            client.follow(world, &acts.random, &context).await;
            client.compare(world, &context).await;
        }
    }
}
