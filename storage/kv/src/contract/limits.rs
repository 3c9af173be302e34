//! The limits, and the age of a transaction.

use super::{Case, Check, all, commit, put};
use crate::{Cause, Database, Error, ErrorKind, Limit, Transaction, limits};
use runtime::{ManualClock, SeededRng, Timestamp};
use std::sync::Arc;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case { name: "keys and values have a longest length", run: |db| Box::pin(lengths(db)) },
    Case { name: "a transaction has a largest size", run: |db| Box::pin(transaction_size(db)) },
    Case { name: "size counts writes and conflict ranges", run: |db| Box::pin(size(db)) },
    Case { name: "the store's own keys are out of reach", run: |db| Box::pin(system_keys(db)) },
    Case { name: "mistakes are refused", run: |db| Box::pin(mistakes(db)) },
    Case { name: "a transaction grows too old", run: |db| Box::pin(too_old(db)) },
    Case { name: "nothing to commit is committed", run: |db| Box::pin(nothing(db)) },
];

async fn refused(db: &Database, write: impl FnOnce(&Transaction)) -> Error {
    let txn = db.begin();
    txn.set(b"together with it", b"");
    write(&txn);
    txn.commit().await.unwrap_err()
}

async fn lengths(db: &Database) -> Check {
    let (long_key, long_value) = (vec![1; limits::KEY + 1], vec![1; limits::VALUE + 1]);
    let key = Error::limit(Limit::Key { bytes: limits::KEY + 1 });
    let value = Error::limit(Limit::Value { bytes: limits::VALUE + 1 });
    assert_eq!(refused(db, |txn| txn.set(&long_key, b"")).await, key);
    assert_eq!(refused(db, |txn| txn.set_bytes(long_key.clone(), &b""[..])).await, key);
    assert_eq!(refused(db, |txn| txn.clear(&long_key)).await, key);
    assert_eq!(refused(db, |txn| txn.add_i64(&long_key, 1)).await, key);
    assert_eq!(refused(db, |txn| txn.set(b"k", &long_value)).await, value);
    assert_eq!(refused(db, |txn| txn.set_bytes(&b"k"[..], long_value.clone())).await, value);
    assert_eq!(db.begin().get(&long_key).await, Err(key));
    assert_eq!(all(db).await?, "");
    commit(db, |txn| txn.set(&long_key[1..], &long_value[1..])).await?;
    assert_eq!(db.begin().range(b"", b"\xff").collect().await?.len(), 1);
    Ok(())
}

async fn transaction_size(db: &Database) -> Check {
    let fill = |values: u8| {
        move |txn: &Transaction| (0..values).for_each(|n| txn.set(&[b'v', n], &vec![0; limits::VALUE]))
    };
    let error = refused(db, fill(100)).await;
    assert!(
        matches!(error.cause(), Cause::Limit(Limit::Transaction { bytes }) if *bytes > limits::TRANSACTION)
    );
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert_eq!(all(db).await?, "");
    commit(db, fill(99)).await?;
    Ok(())
}

async fn size(db: &Database) -> Check {
    let txn = db.begin();
    assert_eq!(txn.size(), 0);
    txn.set(b"key", &[0; 100]);
    let written = txn.size();
    assert!((103..1000).contains(&written), "{written}");
    txn.get(&[1; 1000]).await?;
    let read = txn.size();
    assert!((written + 1000..written + 3000).contains(&read), "{read}");
    txn.range(&[2; 500], &[3; 500]).collect().await?;
    assert!(txn.size() >= read + 1000);
    let before = txn.size();
    txn.get_snapshot(&[4; 1000]).await?;
    assert_eq!(txn.size(), before);
    Ok(())
}

async fn system_keys(db: &Database) -> Check {
    let system = Error::limit(Limit::SystemKey);
    assert_eq!(refused(db, |txn| txn.set(b"\xff", b"")).await, system);
    assert_eq!(refused(db, |txn| txn.clear_range(b"a", b"\xff\0")).await, system);
    assert_eq!(db.begin().get(b"\xff\xff").await, Err(system.clone()));
    assert_eq!(db.begin().range(b"", b"\xff\xff").collect().await, Err(system));
    Ok(())
}

async fn mistakes(db: &Database) -> Check {
    let errors = [
        refused(db, |txn| txn.set_versionstamped_value(b"k", b"short", 0)).await,
        refused(db, |txn| txn.set_versionstamped_key(b"0123456789", 1, b"")).await,
        refused(db, |txn| txn.clear_range(b"b", b"a")).await,
        db.begin().range(b"b", b"a").collect().await.unwrap_err(),
    ];
    assert!(errors.iter().all(|e| e.kind() == ErrorKind::Fatal), "{errors:?}");
    assert_eq!(all(db).await?, "");
    Ok(())
}

async fn too_old(db: &Database) -> Check {
    let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
    let db = Database::new(Arc::clone(db.backend()), clock.clone(), Arc::new(SeededRng::new(0)));
    put(&db, &[("a", "1")]).await?;
    let (reader, writer) = (db.begin(), db.begin());
    reader.get(b"a").await?;
    writer.set(b"a", b"2");
    clock.advance(limits::TRANSACTION_TIME);
    reader.get(b"a").await?;
    clock.advance(Duration::from_millis(1));
    assert_eq!(reader.get(b"a").await, Err(Error::too_old()));
    assert_eq!(reader.range(b"", b"z").collect().await, Err(Error::too_old()));
    assert_eq!(reader.read_version().await, Err(Error::too_old()));
    assert_eq!(writer.commit().await, Err(Error::too_old()));
    assert_eq!(all(&db).await?, "a=1");
    Ok(())
}

async fn nothing(db: &Database) -> Check {
    assert_eq!(db.begin().commit().await?, crate::Versionstamp::ZERO);
    let txn = db.begin();
    txn.clear_range(b"a", b"a");
    assert_eq!(txn.commit().await?, crate::Versionstamp::ZERO);
    Ok(())
}
