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

/// `GODWIT_SEEDS` for more.
const SEEDS: u64 = 12;
const ROUNDS: usize = 30;

#[tokio::test]
async fn a_cache_that_follows_changes_has_what_there_is() {
    let seeds = std::env::var("GODWIT_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        let world = World::new(seed).await;
        let acts = Acts::new(&world, seed);
        let mut clients = Vec::new();
        for account in world.accounts {
            acts.fill(account).await;
            clients.push(Client::new(&world, account, &acts.random).await);
        }
        for round in 0..ROUNDS {
            let done = acts.some().await;
            for client in &mut clients {
                let context = format!("seed {seed}, round {round}: {done:?}");
                client.follow(&world, &acts.random, &context).await;
                client.compare(&world, &context).await;
            }
        }
    }
}
