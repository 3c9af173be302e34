//! Processes that are killed and that stand still, under load.

use crate::{connect, fresh};
use kv::contract::ledger::Load;
use servers::foundationdb::{self, Cluster};
use std::time::Duration;

/// Five processes, three of which coordinate; two copies of everything, on disk.
fn five() -> Option<Cluster> {
    foundationdb::cluster(5, 3, "double ssd")
}

/// What `transact` comes to. A recovery on a busy machine may take longer than a transaction waits: it is done again until
/// the store has answered.
async fn until_known<T, F>(transact: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, kv::Error>>,
{
    loop {
        match transact().await {
            Ok(value) => return value,
            Err(error) if error.kind() == kv::ErrorKind::Fatal => panic!("{error:?}"),
            Err(error) => eprintln!("again: {error}"),
        }
    }
}

/// One process, whose disk is all there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_loses_nothing_and_repeats_nothing() {
    let Some(mut cluster) = foundationdb::cluster(1, 1, "single ssd") else { return };
    let db = connect(fresh(&cluster)).await.unwrap();
    let load = Load::start(&db, 8);
    for _ in 0..3 {
        load.acknowledged(100).await;
        cluster.kill(0);
        cluster.run(0);
    }
    load.acknowledged(50).await;
    eprintln!("{}", load.settle(&db).await);
}

/// Each process in turn, two rounds: killed and started again, and left standing for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_without_each_of_its_processes() {
    let Some(mut cluster) = five() else { return };
    let db = connect(fresh(&cluster)).await.unwrap();
    let load = Load::start(&db, 16);
    for n in 0..cluster.size() {
        load.acknowledged(100).await;
        cluster.kill(n);
        load.acknowledged(50).await;
        cluster.run(n);
    }
    for n in 0..cluster.size() {
        cluster.signal(n, "-STOP");
        load.acknowledged(50).await;
        cluster.signal(n, "-CONT");
    }
    load.acknowledged(100).await;
    eprintln!("{}", load.settle(&db).await);
}

/// All at once, as when the power goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_killed_as_a_whole_loses_nothing() {
    let Some(mut cluster) = five() else { return };
    let db = connect(fresh(&cluster)).await.unwrap();
    let load = Load::start(&db, 16);
    for _ in 0..2 {
        load.acknowledged(200).await;
        (0..cluster.size()).for_each(|n| cluster.signal(n, "-STOP"));
        (0..cluster.size()).for_each(|n| cluster.kill(n));
        (0..cluster.size()).for_each(|n| cluster.run(n));
    }
    load.acknowledged(100).await;
    eprintln!("{}", load.settle(&db).await);
}

/// The process that the coordinators elected, killed: all roles are given anew, and watches hear of what comes after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_recovers_from_the_loss_of_its_controller() {
    let Some(mut cluster) = five() else { return };
    let options = fresh(&cluster);
    let db = connect(options.clone()).await.unwrap();
    let load = Load::start(&db, 16);
    for round in 1..=3i64 {
        load.acknowledged(100).await;
        let watched =
            until_known(|| db.transact("watch", |txn| async move { Ok(txn.watch(b"watched")) })).await;
        let controller = cluster.leader();
        cluster.kill(controller);
        load.acknowledged(100).await;
        until_known(|| {
            db.transact("change", |txn| async move {
                txn.set(b"watched", &round.to_le_bytes());
                Ok(())
            })
        })
        .await;
        // Woken, or told to look again.
        let _ = tokio::time::timeout(Duration::from_secs(30), watched).await.expect("the watch sleeps on");
        cluster.run(controller);
    }
    eprintln!("{}", load.settle(&db).await);
    let other = connect(options).await.unwrap();
    let value = until_known(|| other.read("get", |txn| async move { txn.get(b"watched").await })).await;
    assert_eq!(value.as_deref(), Some(&3i64.to_le_bytes()[..]));
}
