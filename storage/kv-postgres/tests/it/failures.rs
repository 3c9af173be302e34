//! Servers and connections that die under load.

use crate::{database, fresh, open};
use kv::contract::ledger::Load;
use kv::{Database, Error};
use servers::PostgreSql;
use servers::postgres::QUICK;
use std::time::Duration;

const KILL_BACKENDS: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'godwit'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_lose_nothing_and_repeat_nothing() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let db = database(open(&server.url(), fresh()).await.unwrap());
    let load = Load::start(&db, 8);
    for _ in 0..12 {
        load.acknowledged(25).await;
        let killed = server.sql(KILL_BACKENDS);
        assert!(killed.parse::<u32>().unwrap() > 0);
    }
    eprintln!("{}", load.settle(&db).await);
}

/// With fsync, as in production.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing_and_repeats_nothing() {
    let Some(mut server) = PostgreSql::start(&[]) else { return };
    let db = database(open(&server.url(), fresh()).await.unwrap());
    let load = Load::start(&db, 8);
    for round in 0..3 {
        load.acknowledged(40).await;
        if round % 2 == 0 {
            server.kill();
            server.run();
        } else {
            // One helper killed with -9: the server throws all out and recovers by itself.
            server.kill_a_helper();
        }
    }
    load.acknowledged(10).await;
    eprintln!("{}", load.settle(&db).await);
}

/// The primary dies under load, the synchronous standby is promoted, and the same store goes on there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_all_that_was_acknowledged() {
    let Some(mut primary) = PostgreSql::start(QUICK) else { return };
    let standby = primary.standby("s1");
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = 's1'");
    primary.sql("SELECT pg_reload_conf()");
    while primary.sql("SELECT sync_state FROM pg_stat_replication") != "sync" {
        tokio::task::yield_now().await;
    }
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let url = format!("postgres://godwit@{hosts}/postgres");
    let options = fresh();
    let db = database(open(&url, options.clone()).await.unwrap());
    let watch = watch(&db, b"watched").await;
    let load = Load::start(&db, 8);
    load.acknowledged(200).await;
    primary.kill();
    standby.promote();
    load.acknowledged(200).await;
    set(&db, b"watched", b"1").await;
    tokio::time::timeout(Duration::from_secs(20), watch).await.expect("the watch sleeps on").unwrap();
    eprintln!("{}", load.settle(&db).await);
    let other = database(open(&url, options).await.unwrap());
    let value = other.read("get", |txn| async move { txn.get(b"watched").await }).await;
    assert_eq!(value.unwrap().as_deref(), Some(&b"1"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_hear_of_other_processes_and_outlive_connections() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = fresh();
    let one = database(open(&server.url(), options.clone()).await.unwrap());
    let other = database(open(&server.url(), options).await.unwrap());
    for n in 0..6 {
        let woken = watch(&one, b"k").await;
        if n % 2 == 1 {
            server.sql(KILL_BACKENDS);
        }
        set(&other, b"k", &[n]).await;
        tokio::time::timeout(Duration::from_secs(20), woken).await.expect("the watch sleeps on").unwrap();
    }
    let left = watch(&one, b"k").await;
    one.close().await.unwrap();
    assert!(left.await.unwrap_err().is_retryable());
}

async fn watch(db: &Database, key: &[u8]) -> futures::future::BoxFuture<'static, Result<(), Error>> {
    let watch = db.transact("watch", |txn| async move {
        txn.get(key).await?;
        Ok::<_, Error>(txn.watch(key))
    });
    watch.await.unwrap()
}

async fn set(db: &Database, key: &[u8], value: &[u8]) {
    let set = db.transact("set", |txn| async move {
        txn.set(key, value);
        Ok::<_, Error>(())
    });
    set.await.unwrap();
}

#[tokio::test]
async fn tls_is_verified() {
    let Some(mut server) = PostgreSql::start(QUICK) else { return };
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.write("server.crt", &certified.cert.pem());
    server.write("server.key", &certified.signing_key.serialize_pem());
    server.kill();
    for setting in ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"] {
        server.set(setting);
    }
    server.run();
    let url = |query: &str| format!("{}?{query}", server.url());
    let root = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    set(&database(open(&url(&root), fresh()).await.unwrap()), b"k", b"v").await;
    let encrypted = server.sql(
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                                WHERE ssl AND application_name = 'godwit'",
    );
    assert_ne!(encrypted, "0");
    let error = open(&url("sslmode=require"), fresh()).await.err().unwrap();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let elsewhere = url(&root).replace("127.0.0.1", "localhost");
    let error = open(&elsewhere, fresh()).await.err().unwrap();
    assert!(error.to_string().contains("localhost"), "{error}");
}
