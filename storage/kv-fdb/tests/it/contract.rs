//! The contract, and random histories.

use crate::{connect, database, fresh, whole};
use godwit_kv_fdb::open;
use kv::Database;
use kv::contract::several::Several;
use kv::contract::{self, history};
use kv::fault::Plan;
use servers::foundationdb::{self, Cluster};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Cases that need keys of the full length, which a prefix takes from.
const LONGEST_KEYS: [&str; 2] = ["keys and values have a longest length", "large values come back whole"];

fn block<T>(future: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(future))
}

/// The whole cluster, emptied.
fn emptied(cluster: &Cluster) -> Database {
    block(async {
        let fdb = open(whole(cluster)).await.unwrap();
        fdb.clear().await.unwrap();
        database(fdb)
    })
}

fn part(cluster: &Cluster) -> Database {
    block(async { connect(fresh(cluster)).await.unwrap() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_to_the_contract() {
    let Some(cluster) = foundationdb::start() else { return };
    contract::suite(|| emptied(&cluster)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_to_the_contract_behind_a_prefix() {
    let Some(cluster) = foundationdb::start() else { return };
    for case in contract::cases().filter(|case| !LONGEST_KEYS.contains(&case.name)) {
        // Other parts of the cluster are never seen.
        let (db, beside) = (part(&cluster), part(&cluster));
        if let Err(e) = (case.run)(&db).await {
            panic!("{}: {e}", case.name);
        }
        let rows = beside.read("beside", |txn| async move { txn.range(b"", b"\xff").collect().await }).await;
        assert_eq!(rows.unwrap(), [], "{}", case.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_to_the_contract_under_faults() {
    let Some(cluster) = foundationdb::start() else { return };
    contract::suite_under_faults(|| emptied(&cluster), 0..8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_can_be_explained() {
    let Some(cluster) = foundationdb::start() else { return };
    for seed in 0..24 {
        let options = history::Options { seed, ..history::Options::default() };
        let report = history::check(&part(&cluster), &options).await.unwrap();
        assert!(report.written > 20, "{report:?}");
    }
}

/// Several handles to one part, with and without faults, as several nodes have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_several_handles_can_be_explained() {
    let Some(cluster) = foundationdb::start() else { return };
    for seed in 0..12 {
        let options = fresh(&cluster);
        let mut handles = Vec::new();
        for _ in 0..3 {
            handles.push(connect(options.clone()).await.unwrap());
        }
        let several = Several::new(&handles);
        let plan = if seed % 2 == 0 { Plan::NONE } else { Plan::HARSH };
        let (db, faults) = contract::wrap(&several.database(), plan, seed);
        let options = history::Options { seed, faults: Some(faults), ..history::Options::default() };
        history::check(&db, &options).await.unwrap();
    }
}
