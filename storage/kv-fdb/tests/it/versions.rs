//! Servers and clients of two versions, which do not speak with each other: a client carries the library of the other.
//! The newer version is looked for in `GODWIT_FDB_NEXT`; without one these tests say so and pass.
//!
//! FoundationDB 7.3 can be its own newer version: a folder with scripts that start `fdbserver` with
//! `--use-future-protocol-version true` and `fdbcli` with `--use-future-protocol-version`, and its library. The client is
//! then told of a copy of the library in the variable `FDB_NETWORK_OPTION_FUTURE_VERSION_CLIENT_LIBRARY`, except where it
//! is to be without one.

use crate::{connect, database, fresh, whole};
use godwit_kv_fdb::{CONNECT, Options, client_version, open};
use kv::contract::ledger::Load;
use kv::contract::{self, history};
use kv::{Database, Error};
use servers::foundationdb::{self, Cluster, Installed};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Not a measurement: it must end at all.
const NO_HANG: Duration = Duration::from_secs(60);

/// The installed version and the next.
fn two_versions() -> Option<(Installed, Installed)> {
    Some((foundationdb::installed()?, foundationdb::next()?))
}

/// A client of the version `own` that carries the library of `other`.
fn carrying(own: &Installed, other: &Installed, options: Options) -> (TempDir, Options) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(other.client_library(), folder.path().join("libfdb_c_other.so")).unwrap();
    let external_clients = Some(folder.path().to_owned());
    let client_library = Some(own.client_library());
    (folder, Options { client_library, external_clients, ..options })
}

async fn holds_to_the_contract(servers: &Installed, own: &Installed) {
    let cluster = foundationdb::cluster_of(servers, 1, 1, "single memory");
    let (_folder, options) = carrying(own, servers, whole(&cluster));
    let fdb = open(options).await.unwrap();
    // A cluster that was made just now may take longer than a transaction waits.
    let ready = async { while fdb.clear().await.is_err() {} };
    tokio::time::timeout(NO_HANG, ready).await.expect("it hangs");
    let emptied = || {
        block_in_place(|| Handle::current().block_on(fdb.clear())).unwrap();
        database(fdb.clone())
    };
    contract::suite(emptied).await;
    contract::suite_under_faults(emptied, 0..2).await;
    for seed in 0..4 {
        let of_seed = history::Options { seed, ..history::Options::default() };
        history::check(&emptied(), &of_seed).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_servers_hold_to_the_contract_with_an_older_client() {
    let Some((older, newer)) = two_versions() else { return };
    holds_to_the_contract(&newer, &older).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_servers_hold_to_the_contract_with_a_newer_client() {
    let Some((older, newer)) = two_versions() else { return };
    holds_to_the_contract(&older, &newer).await;
}

/// Who forgot the other library is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_client_alone_says_that_servers_are_newer() {
    let Some((older, newer)) = two_versions() else { return };
    let cluster = foundationdb::cluster_of(&newer, 1, 1, "single memory");
    let options = Options { client_library: Some(older.client_library()), ..whole(&cluster) };
    let error = tokio::time::timeout(NO_HANG, connect(options)).await.expect("it hangs").unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let text = error.to_string();
    assert!(text.contains("another version") && text.contains(&client_version()), "{text}");
}

/// All processes killed, and started again as `newer` on the same files.
fn upgrade(cluster: &mut Cluster, newer: &Installed) {
    cluster.install(newer);
    (0..cluster.size()).for_each(|n| cluster.signal(n, "-STOP"));
    (0..cluster.size()).for_each(|n| cluster.kill(n));
    (0..cluster.size()).for_each(|n| cluster.run(n));
}

/// In place, under load: the client goes over to the other library by itself, and nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_upgraded_under_load() {
    let Some((older, newer)) = two_versions() else { return };
    let mut cluster = foundationdb::cluster_of(&older, 5, 3, "double ssd");
    let (_folder, options) = carrying(&older, &newer, fresh(&cluster));
    let db = connect(options.clone()).await.unwrap();
    let watched = watch(&db).await;
    let load = Load::start(&db, 16);
    load.acknowledged(200).await;
    upgrade(&mut cluster, &newer);
    load.acknowledged(500).await;
    // Woken, or told to look again.
    let _ = tokio::time::timeout(NO_HANG, watched).await.expect("the watch sleeps on");
    eprintln!("{}", load.settle(&db).await);
    // Who comes later finds it so as well.
    connect(options).await.unwrap();
}

async fn watch(db: &Database) -> impl Future<Output = Result<(), Error>> {
    db.transact("watch", |txn| async move { Ok::<_, Error>(txn.watch(b"count")) }).await.unwrap()
}

/// Servers that are upgraded under a client without their library: errors in time that say why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_the_new_library_is_told_after_the_upgrade() {
    let Some((older, newer)) = two_versions() else { return };
    let mut cluster = foundationdb::cluster_of(&older, 1, 1, "single ssd");
    let fdb =
        open(Options { client_library: Some(older.client_library()), ..fresh(&cluster) }).await.unwrap();
    let db = database(fdb.clone());
    upgrade(&mut cluster, &newer);
    let put = db.transact("put", |txn| async move {
        txn.set(b"k", b"v");
        Ok::<_, Error>(())
    });
    let error = tokio::time::timeout(NO_HANG, put).await.expect("it hangs").unwrap_err();
    assert_ne!(error.kind(), kv::ErrorKind::Fatal, "{error}");
    // Until the new processes are up they are only not there.
    loop {
        let error =
            tokio::time::timeout(2 * CONNECT + NO_HANG, fdb.check()).await.expect("it hangs").unwrap_err();
        if error.to_string().contains("another version") {
            break;
        }
    }
}
