//! One server: what is kept, what goes wrong, and how it is said.

use crate::{database, fresh, open};
use godwit_kv_postgres::Options;
use kv::{Cause, Database, Error, ErrorKind};
use servers::PostgreSql;
use servers::postgres::QUICK;

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

#[tokio::test]
async fn a_store_is_kept_and_an_unknown_one_refused() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let options = fresh();
    let first = database(open(&server.url(), options.clone()).await.unwrap());
    put(&first, b"k", b"v").await.unwrap();
    first.close().await.unwrap();
    assert!(matches!(put(&first, b"k", b"w").await.unwrap_err().kind(), ErrorKind::Fatal));
    let second = database(open(&server.url(), options.clone()).await.unwrap());
    assert_eq!(get(&second, b"k").await.as_deref(), Some(&b"v"[..]));
    let version = second.read("version", |txn| async move { txn.read_version().await }).await.unwrap();
    assert_eq!(version, 1);
    server.sql(&format!("UPDATE {}.store SET layout = 99", options.schema));
    let refused = open(&server.url(), options).await.err().unwrap();
    assert!(refused.to_string().contains("layout 99"), "{refused}");
}

/// No B-tree entry is that long, and these do not compress.
#[tokio::test]
async fn the_longest_keys_are_rows_like_others() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let db = database(open(&server.url(), fresh()).await.unwrap());
    let long = |seed: u64| {
        let (mut key, mut x) = (vec![b'k'; 2_500], seed);
        key.extend(
            std::iter::repeat_with(|| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (x >> 56) as u8
            })
            .take(7_500),
        );
        key
    };
    let mut keys: Vec<Vec<u8>> = (1..8).map(long).collect();
    keys.extend([b"a".to_vec(), vec![b'k'; 1_000], vec![b'k'; 2_000], vec![b'k'; 2_001], b"z".to_vec()]);
    for key in &keys {
        put(&db, key, &key[..1]).await.unwrap();
    }
    keys.sort();
    let rows = |reverse: bool, bytes: usize| {
        let db = db.clone();
        async move {
            let rows = db.read("rows", |txn| async move {
                let range = txn.range(b"", b"\xfe").page_bytes(bytes);
                let range = if reverse { range.reverse() } else { range };
                range.limit(100).collect().await
            });
            rows.await.unwrap().into_iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>()
        }
    };
    let own = |rows: Vec<Vec<u8>>| rows.into_iter().filter(|key| key[0] != b'I').collect::<Vec<_>>();
    assert_eq!(own(rows(false, 1).await), keys);
    assert_eq!(own(rows(false, 30_000).await), keys);
    let backwards: Vec<_> = keys.iter().rev().cloned().collect();
    assert_eq!(own(rows(true, 15_000).await), backwards);
    let (one, other) = (&keys[keys.len() - 2], &keys[keys.len() - 3]);
    let change = db.transact("change", |txn| async move {
        assert_eq!(txn.get(one).await?.as_deref(), Some(&b"k"[..]));
        txn.add_i64(one, 1);
        txn.clear(other);
        Ok::<_, Error>(())
    });
    change.await.unwrap();
    assert_eq!(get(&db, one).await.unwrap()[0], b'k' + 1);
    assert_eq!(get(&db, other).await, None);
    let clear = db.transact("clear", |txn| async move {
        txn.clear_prefix(b"k");
        Ok::<_, Error>(())
    });
    clear.await.unwrap();
    assert_eq!(own(rows(false, 1).await), [b"a", b"z"]);
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let Some(mut server) = PostgreSql::start(QUICK) else { return };
    let refused = |url: String| async move { open(&url, Options::default()).await.err().unwrap() };
    let error = refused(server.url().replace("/postgres", "/nowhere")).await;
    assert!(error.kind() == ErrorKind::Fatal && error.to_string().contains("nowhere"), "{error}");
    let error = refused(server.url().replace("godwit@", "stranger@")).await;
    assert!(error.kind() == ErrorKind::Fatal && error.to_string().contains("stranger"), "{error}");
    server.sql("CREATE ROLE reader LOGIN");
    let error = refused(server.url().replace("godwit@", "reader@")).await;
    assert!(error.to_string().contains("GRANT CREATE"), "{error}");
    let error = refused(format!("{}?sslmode=require", server.url())).await;
    assert!(error.to_string().contains("TLS"), "{error}");
    let backend = open(&server.url(), Options { connections: 2, ..fresh() }).await.unwrap();
    let db = database(backend.clone());
    backend.check().await.unwrap();
    server.kill();
    // The process behind a connection may answer once more before it notices.
    let error = loop {
        if let Err(error) = backend.check().await {
            break error;
        }
    };
    assert!(error.is_retryable(), "{error}");
    let error = refused(server.url()).await;
    assert!(error.is_retryable() && error.to_string().contains("refused"), "{error}");
    let options =
        kv::TransactionOptions { timeout: std::time::Duration::from_millis(300), ..Default::default() };
    let error = put(&db.with_options(options), b"k", b"v").await.unwrap_err();
    assert!(matches!(error.cause(), Cause::Unavailable(_) | Cause::MaybeCommitted), "{error}");
    server.run();
    put(&db, b"k", b"v").await.unwrap();
}
