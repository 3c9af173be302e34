//! The contract, and random histories.

use crate::{database, fresh, open};
use godwit_kv_postgres::Options;
use kv::Database;
use kv::contract::{self, history};
use kv::fault::Plan;
use servers::PostgreSql;
use servers::postgres::QUICK;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// An empty store.
fn make(url: &str) -> Database {
    block_in_place(|| Handle::current().block_on(async { database(open(url, fresh()).await.unwrap()) }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_to_the_contract() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    contract::suite(|| make(&server.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_to_the_contract_under_faults() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    contract::suite_under_faults(|| make(&server.url()), 0..8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_can_be_explained() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    for seed in 0..12 {
        let options = history::Options { seed, ..history::Options::default() };
        let report = history::check(&make(&server.url()), &options).await.unwrap();
        assert!(report.written > 20, "{report:?}");
    }
}

/// Two processes, as far as the store can tell: what one commits the other learns from the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_several_processes_can_be_explained() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    for seed in 0..12 {
        let options = fresh();
        let other = || Options { connections: 6, ..options.clone() };
        let mut backends: Vec<Database> = Vec::new();
        for _ in 0..3 {
            backends.push(database(open(&server.url(), other()).await.unwrap()));
        }
        let several = contract::several::Several::new(&backends);
        let (db, faults) =
            contract::wrap(&several.database(), if seed % 2 == 0 { Plan::NONE } else { Plan::HARSH }, seed);
        let options = history::Options { seed, faults: Some(faults), ..history::Options::default() };
        history::check(&db, &options).await.unwrap();
    }
}
