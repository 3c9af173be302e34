//! One process: what is kept, what is apart, and what outlives what.

use crate::{connect, database, fresh};
use futures::future::BoxFuture;
use godwit_kv_fdb::{client_version, open};
use kv::{Database, Error, ErrorKind, Priority, TransactionOptions};
use servers::foundationdb;
use std::time::Duration;

async fn put(db: &Database, key: &[u8], value: &[u8]) -> Result<(), Error> {
    db.transact("put", |txn| async move {
        txn.set(key, value);
        Ok(())
    })
    .await
}

async fn get(db: &Database, key: &[u8]) -> Option<Vec<u8>> {
    let value = db.read("get", |txn| async move { txn.get(key).await }).await.unwrap();
    value.map(|value| value.to_vec())
}

async fn watch(db: &Database, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
    db.transact("watch", |txn| async move { Ok::<_, Error>(txn.watch(key)) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_kept_and_parts_are_apart() {
    let Some(cluster) = foundationdb::start() else { return };
    let options = fresh(&cluster);
    let first = open(options.clone()).await.unwrap();
    first.check().await.unwrap();
    assert!(client_version().starts_with("7."), "{}", client_version());
    let (first, other) = (database(first), connect(fresh(&cluster)).await.unwrap());
    put(&first, b"k", b"v").await.unwrap();
    put(&other, b"k", b"other").await.unwrap();
    first.close().await.unwrap();
    assert_eq!(put(&first, b"k", b"w").await.unwrap_err().kind(), ErrorKind::Fatal);
    let again = open(options).await.unwrap();
    let second = database(again.clone());
    assert_eq!(get(&second, b"k").await.as_deref(), Some(&b"v"[..]));
    again.clear().await.unwrap();
    assert_eq!(get(&second, b"k").await, None);
    assert_eq!(get(&other, b"k").await.as_deref(), Some(&b"other"[..]));
}

/// One process has one client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_library_is_refused() {
    let Some(cluster) = foundationdb::start() else { return };
    let db = connect(fresh(&cluster)).await.unwrap();
    let mut options = fresh(&cluster);
    options.client_library = Some("/nowhere/libfdb_c.so".into());
    let error = connect(options).await.unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    put(&db, b"k", b"v").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_outlives_its_transaction_and_not_its_store() {
    let Some(cluster) = foundationdb::start() else { return };
    let options = fresh(&cluster);
    let (one, other) = (connect(options.clone()).await.unwrap(), connect(options).await.unwrap());
    let short = TransactionOptions { timeout: Duration::from_millis(500), ..TransactionOptions::default() };
    let mut watched = watch(&one.with_options(short), b"k").await;
    // Longer than the transaction may take that began it.
    assert!(
        tokio::time::timeout(Duration::from_secs(1), &mut watched).await.is_err(),
        "a watch ends with its transaction"
    );
    put(&other, b"k", b"v").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), watched).await.expect("the watch sleeps on").unwrap();
    let left = watch(&one, b"k").await;
    one.close().await.unwrap();
    assert!(left.await.unwrap_err().is_retryable());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn background_work_is_tagged_and_done() {
    let Some(cluster) = foundationdb::start() else { return };
    let options = TransactionOptions {
        priority: Priority::Background,
        tag: Some("a tag that is too long"),
        ..TransactionOptions::default()
    };
    let db = connect(fresh(&cluster)).await.unwrap().with_options(options);
    put(&db, b"k", b"v").await.unwrap();
    assert_eq!(get(&db, b"k").await.as_deref(), Some(&b"v"[..]));
}

/// A process that stands still, as one behind a cut cable: errors in time, and on with it when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_stands_still_is_an_error_in_time() {
    let Some(cluster) = foundationdb::start() else { return };
    let fdb = open(fresh(&cluster)).await.unwrap();
    let db = database(fdb.clone());
    put(&db, b"k", b"v").await.unwrap();
    cluster.signal(0, "-STOP");
    let options = TransactionOptions { timeout: Duration::from_secs(1), ..TransactionOptions::default() };
    let hasty = db.with_options(options);
    let error = tokio::time::timeout(Duration::from_secs(60), put(&hasty, b"k", b"w"))
        .await
        .expect("it hangs")
        .unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Fatal, "{error}");
    let error =
        tokio::time::timeout(Duration::from_secs(60), fdb.check()).await.expect("it hangs").unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    cluster.signal(0, "-CONT");
    put(&db, b"k", b"x").await.unwrap();
    assert_eq!(get(&db, b"k").await.as_deref(), Some(&b"x"[..]));
}

/// A key that is within the limits, but not with the prefix.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_takes_from_the_longest_key() {
    let Some(cluster) = foundationdb::start() else { return };
    let options = fresh(&cluster);
    let longest = kv::limits::KEY - options.prefix.len();
    let db = connect(options).await.unwrap();
    put(&db, &vec![b'k'; longest], b"v").await.unwrap();
    let error = put(&db, &vec![b'k'; kv::limits::KEY], b"v").await.unwrap_err();
    assert!(error.is_limit(), "{error}");
}

/// What would have been sent is still within FoundationDB's own count where ours says that it fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_rows_are_counted_as_foundationdb_counts_them() {
    let Some(cluster) = foundationdb::start() else { return };
    let db = connect(fresh(&cluster)).await.unwrap();
    let fill = |bytes: usize| {
        let db = db.clone();
        async move {
            db.transact("fill", |txn| async move {
                let mut n = 0u32;
                while txn.size() < bytes {
                    txn.set(&n.to_be_bytes(), b"v");
                    n += 1;
                }
                Ok::<_, Error>(())
            })
            .await
        }
    };
    fill(kv::limits::TRANSACTION - 10_000).await.unwrap();
    assert!(fill(kv::limits::TRANSACTION + 1).await.unwrap_err().is_limit());
}

/// What is written over a versionstamp can be read in ranges too, and what cannot be read does no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_end_at_what_cannot_be_read() {
    let Some(cluster) = foundationdb::start() else { return };
    let db = connect(fresh(&cluster)).await.unwrap();
    for key in [b"a", b"k", b"z"] {
        put(&db, key, b"1").await.unwrap();
    }
    let keys = |rows: Vec<kv::Row>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    db.transact("stamps", |txn| async move {
        for key in [b"b", b"k"] {
            txn.set_versionstamped_value(key, &[0; 10], 0);
        }
        txn.set(b"b", b"plain");
        assert_eq!(keys(txn.range(b"a", b"zz").limit(2).collect().await?), ["a", "b"]);
        assert_eq!(keys(txn.range(b"a", b"zz").reverse().limit(1).collect().await?), ["z"]);
        for range in
            [txn.range(b"a", b"zz").limit(3), txn.range(b"k", b"zz"), txn.range(b"a", b"zz").reverse()]
        {
            assert_eq!(range.collect().await, Err(Error::unreadable()));
        }
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(get(&db, b"b").await.as_deref(), Some(&b"plain"[..]));
    assert_eq!(get(&db, b"k").await.map(|value| value.len()), Some(10));
}

/// As during the upgrade of a cluster: the client chooses, among several libraries, the one that speaks as it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_clients_are_used() {
    let Some(cluster) = foundationdb::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(cluster.client_library(), folder.path().join("libfdb_c_other.so")).unwrap();
    let mut options = fresh(&cluster);
    options.external_clients = Some(folder.path().to_owned());
    let db = connect(options.clone()).await.unwrap();
    let watched = watch(&db, b"k").await;
    put(&db, b"k", b"v").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), watched).await.expect("the watch sleeps on").unwrap();
    assert_eq!(get(&db, b"k").await.as_deref(), Some(&b"v"[..]));
    options.external_clients = None;
    assert!(connect(options).await.unwrap_err().to_string().contains("another directory"));
}
