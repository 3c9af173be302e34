//! Watches: they wake after a change, and never sleep through one that lasts.

use super::{Case, Check, commit, put};
use crate::{ConflictKind, Database, Error, Transaction};
use futures::future::BoxFuture;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case { name: "a watch wakes when its value changes", run: |db| Box::pin(wakes(db)) },
    Case { name: "a watch sleeps while its value stays", run: |db| Box::pin(sleeps(db)) },
    Case { name: "a watch sees a change before its commit", run: |db| Box::pin(change_before_commit(db)) },
    Case { name: "a watch goes by the own write", run: |db| Box::pin(own_write(db)) },
    Case { name: "a watch without a commit fails", run: |db| Box::pin(without_commit(db)) },
    Case { name: "many watches wake", run: |db| Box::pin(many(db)) },
];

type Watch = BoxFuture<'static, Result<(), Error>>;

/// Far longer than any store takes; only a lost watch waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

async fn watch(db: &Database, key: &[u8]) -> Result<Watch, Error> {
    let txn = db.begin();
    let watch = txn.watch(key);
    txn.commit().await?;
    Ok(watch)
}

async fn woken(watch: Watch) -> Check {
    tokio::time::timeout(PATIENCE, watch).await.expect("the watch sleeps on")
}

async fn wakes(db: &Database) -> Check {
    type Write = fn(&Transaction);
    let changes: [Write; 5] = [
        |txn| txn.set(b"k", b"2"),
        |txn| txn.clear(b"k"),
        |txn| txn.clear_range(b"a", b"z"),
        |txn| txn.add_i64(b"k", 1),
        |txn| txn.set_versionstamped_value(b"k", &[0; 10], 0),
    ];
    for change in changes {
        put(db, &[("k", "1")]).await?;
        let watch = watch(db, b"k").await?;
        commit(db, change).await?;
        woken(watch).await?;
    }
    let absent = watch(db, b"absent").await?;
    put(db, &[("absent", "")]).await?;
    woken(absent).await
}

async fn sleeps(db: &Database) -> Check {
    put(db, &[("k", "1")]).await?;
    let mut watch = watch(db, b"k").await?;
    put(db, &[("other", "1")]).await?;
    commit(db, |txn| txn.clear_range(b"l", b"z")).await?;
    commit(db, |txn| txn.add_conflict_key(ConflictKind::Write, b"k")).await?;
    // A watch may wake for nothing, but a backend that always does would make every waiter poll; none has a
    // reason to here, since the value was not even written.
    assert!(futures::poll!(&mut watch).is_pending());
    put(db, &[("k", "2")]).await?;
    woken(watch).await
}

async fn change_before_commit(db: &Database) -> Check {
    put(db, &[("k", "1")]).await?;
    let txn = db.begin();
    let watch = txn.watch(b"k");
    put(db, &[("k", "2")]).await?;
    txn.commit().await?;
    woken(watch).await
}

async fn own_write(db: &Database) -> Check {
    let txn = db.begin();
    txn.set(b"k", b"mine");
    let mut watch = txn.watch(b"k");
    txn.commit().await?;
    assert!(futures::poll!(&mut watch).is_pending(), "its own commit wakes a watch");
    put(db, &[("k", "yours")]).await?;
    woken(watch).await
}

async fn without_commit(db: &Database) -> Check {
    let txn = db.begin();
    let watch = txn.watch(b"k");
    drop(txn);
    assert!(woken(watch).await.unwrap_err().is_retryable());
    let txn = db.begin();
    txn.get(b"a").await?;
    let watch = txn.watch(b"k");
    txn.set(b"b", b"");
    put(db, &[("a", "1")]).await?;
    assert_eq!(txn.commit().await, Err(Error::conflict()));
    drop(txn);
    assert!(woken(watch).await.unwrap_err().is_retryable());
    Ok(())
}

async fn many(db: &Database) -> Check {
    let mut watches = Vec::new();
    for n in 0..50u8 {
        watches.push(watch(db, &[b'k', n % 10]).await?);
    }
    // Who does not listen any more is no harm.
    watches.truncate(40);
    commit(db, |txn| (0..10).for_each(|n| txn.set(&[b'k', n], b"1"))).await?;
    for watch in watches {
        woken(watch).await?;
    }
    Ok(())
}
