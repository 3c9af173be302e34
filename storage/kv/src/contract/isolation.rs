//! What conflicts and what does not, and what a snapshot holds.

use super::{Case, Check, all, commit, put, shown, text, value};
use crate::{ConflictKind, Database, Error, Transaction, Versionstamp};

pub(super) const CASES: &[Case] = &[
    Case { name: "a key that was read conflicts", run: |db| Box::pin(read_key(db)) },
    Case { name: "an absent key that was read conflicts", run: |db| Box::pin(read_absent_key(db)) },
    Case { name: "a failed commit applies nothing", run: |db| Box::pin(all_or_nothing(db)) },
    Case { name: "a snapshot read does not conflict", run: |db| Box::pin(snapshot_read(db)) },
    Case { name: "blind writes do not conflict", run: |db| Box::pin(blind_writes(db)) },
    Case { name: "reads alone do not conflict", run: |db| Box::pin(reads_alone(db)) },
    Case { name: "a range that was read conflicts", run: |db| Box::pin(read_range(db)) },
    Case { name: "a range read in part conflicts in that part", run: |db| Box::pin(partial_range(db)) },
    Case { name: "a range read backwards in part conflicts there", run: |db| Box::pin(partial_reverse(db)) },
    Case { name: "a short range conflicts as a whole", run: |db| Box::pin(short_range(db)) },
    Case { name: "a snapshot range does not conflict", run: |db| Box::pin(snapshot_range(db)) },
    Case { name: "a clear of a range conflicts with readers in it", run: |db| Box::pin(cleared_range(db)) },
    Case { name: "an atomic operation read back conflicts", run: |db| Box::pin(atomic_read_back(db)) },
    Case { name: "an atomic operation conflicts with readers", run: |db| Box::pin(atomic_and_reader(db)) },
    Case { name: "versionstamped writes conflict with readers", run: |db| Box::pin(stamped_and_reader(db)) },
    Case { name: "conflict ranges can be added", run: |db| Box::pin(added_ranges(db)) },
    Case { name: "a snapshot does not move", run: |db| Box::pin(snapshot_stays(db)) },
    Case { name: "write skew is prevented", run: |db| Box::pin(write_skew(db)) },
    Case { name: "an acknowledged commit is seen by all that begin later", run: |db| Box::pin(versions(db)) },
    Case { name: "increments of many clients all count", run: |db| Box::pin(increments(db)) },
];

/// What `reader` gives at its commit if `write` is committed between its read and its commit.
async fn between(
    db: &Database,
    reader: &Transaction,
    write: impl FnOnce(&Transaction),
) -> Result<Result<Versionstamp, Error>, Error> {
    commit(db, write).await?;
    reader.set(b"~written by reader", b"");
    Ok(reader.commit().await)
}

async fn read_key(db: &Database) -> Check {
    put(db, &[("a", "1")]).await?;
    let txn = db.begin();
    txn.get(b"a").await?;
    assert_eq!(between(db, &txn, |other| other.set(b"a", b"2")).await?, Err(Error::conflict()));
    let txn = db.begin();
    txn.get(b"a").await?;
    assert_eq!(between(db, &txn, |other| other.clear(b"a")).await?, Err(Error::conflict()));
    let txn = db.begin();
    txn.get(b"a").await?;
    assert!(between(db, &txn, |other| other.set(b"a\0", b"2")).await?.is_ok());
    Ok(())
}

async fn read_absent_key(db: &Database) -> Check {
    let txn = db.begin();
    assert_eq!(txn.get(b"a").await?, None);
    assert_eq!(between(db, &txn, |other| other.set(b"a", b"1")).await?, Err(Error::conflict()));
    Ok(())
}

async fn all_or_nothing(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "1")]).await?;
    let txn = db.begin();
    txn.get(b"a").await?;
    txn.set(b"c", b"1");
    txn.clear(b"b");
    txn.add_i64(b"d", 1);
    put(db, &[("a", "2")]).await?;
    assert_eq!(txn.commit().await, Err(Error::conflict()));
    assert_eq!(all(db).await?, "a=2 b=1");
    Ok(())
}

async fn snapshot_read(db: &Database) -> Check {
    put(db, &[("a", "1")]).await?;
    let txn = db.begin();
    txn.get_snapshot(b"a").await?;
    assert!(between(db, &txn, |other| other.set(b"a", b"2")).await?.is_ok());
    // One serializable read of the key is enough.
    let txn = db.begin();
    txn.get_snapshot(b"a").await?;
    txn.get(b"a").await?;
    assert_eq!(between(db, &txn, |other| other.set(b"a", b"3")).await?, Err(Error::conflict()));
    Ok(())
}

async fn blind_writes(db: &Database) -> Check {
    let (first, second) = (db.begin(), db.begin());
    first.set(b"a", b"1");
    second.set(b"a", b"2");
    first.clear_range(b"b", b"c");
    second.set(b"b", b"2");
    let second_stamp = second.commit().await?;
    let first_stamp = first.commit().await?;
    assert!(second_stamp < first_stamp);
    assert_eq!(all(db).await?, "a=1");
    Ok(())
}

async fn reads_alone(db: &Database) -> Check {
    put(db, &[("a", "1")]).await?;
    let txn = db.begin();
    txn.get(b"a").await?;
    txn.range(b"", b"\xff").collect().await?;
    put(db, &[("a", "2")]).await?;
    assert_eq!(txn.commit().await, Ok(Versionstamp::ZERO));
    Ok(())
}

async fn read_range(db: &Database) -> Check {
    put(db, &[("b", "1"), ("d", "1")]).await?;
    type Write = fn(&Transaction);
    let phantoms: [(Write, bool); 8] = [
        (|txn| txn.set(b"c", b"new"), true),
        (|txn| txn.set(b"b", b"first"), true),
        (|txn| txn.clear(b"d"), true),
        (|txn| txn.clear_range(b"a", b"bb"), true),
        (|txn| txn.clear_range(b"dz", b"z"), true),
        (|txn| txn.set(b"e", b"at the end"), false),
        (|txn| txn.set(b"az", b"before"), false),
        (|txn| txn.clear_range(b"e", b"z"), false),
    ];
    for (n, (write, conflicts)) in phantoms.into_iter().enumerate() {
        let txn = db.begin();
        txn.range(b"b", b"e").collect().await?;
        let outcome = between(db, &txn, write).await?;
        assert_eq!(outcome.is_err_and(|e| e.is_conflict()), conflicts, "write {n}");
    }
    Ok(())
}

async fn partial_range(db: &Database) -> Check {
    put(db, &[("a", "1"), ("c", "1"), ("e", "1"), ("g", "1")]).await?;
    for (key, conflicts) in
        [("a", true), ("b", true), ("c", true), ("c\0", false), ("d", false), ("g", false)]
    {
        let txn = db.begin();
        assert_eq!(txn.range(b"a", b"z").limit(2).collect().await?.len(), 2);
        let outcome = between(db, &txn, |other| other.set(key.as_bytes(), b"2")).await?;
        assert_eq!(outcome.is_err_and(|e| e.is_conflict()), conflicts, "{key:?}");
        commit(db, |txn| ["b", "c\0", "d"].iter().for_each(|key| txn.clear(key.as_bytes()))).await?;
    }
    Ok(())
}

async fn partial_reverse(db: &Database) -> Check {
    put(db, &[("a", "1"), ("c", "1"), ("e", "1"), ("g", "1")]).await?;
    for (key, conflicts) in [("z", false), ("y", true), ("g", true), ("f", true), ("e", true), ("d", false)] {
        let txn = db.begin();
        assert_eq!(shown(&txn.range(b"a", b"z").reverse().limit(2).collect().await?), "g=1 e=1");
        let outcome = between(db, &txn, |other| other.set(key.as_bytes(), b"1")).await?;
        assert_eq!(outcome.is_err_and(|e| e.is_conflict()), conflicts, "{key:?}");
        commit(db, |txn| ["z", "y", "f", "d"].iter().for_each(|key| txn.clear(key.as_bytes()))).await?;
    }
    Ok(())
}

async fn short_range(db: &Database) -> Check {
    put(db, &[("a", "1")]).await?;
    let txn = db.begin();
    assert_eq!(txn.range(b"a", b"z").limit(2).collect().await?.len(), 1);
    assert_eq!(between(db, &txn, |other| other.set(b"y", b"2")).await?, Err(Error::conflict()));
    // With nothing in it too.
    let txn = db.begin();
    assert_eq!(txn.range(b"b", b"c").first().await?, None);
    assert_eq!(between(db, &txn, |other| other.set(b"bb", b"2")).await?, Err(Error::conflict()));
    Ok(())
}

async fn snapshot_range(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "1")]).await?;
    let txn = db.begin();
    assert_eq!(txn.range(b"a", b"z").snapshot().collect().await?.len(), 2);
    assert!(between(db, &txn, |other| other.clear_range(b"a", b"z")).await?.is_ok());
    Ok(())
}

async fn cleared_range(db: &Database) -> Check {
    // Also if no row is in the range: what was read is "absent", and the clear wrote that.
    let txn = db.begin();
    txn.get(b"m").await?;
    assert_eq!(between(db, &txn, |other| other.clear_range(b"a", b"z")).await?, Err(Error::conflict()));
    let txn = db.begin();
    txn.get(b"z").await?;
    assert!(between(db, &txn, |other| other.clear_range(b"a", b"z")).await?.is_ok());
    Ok(())
}

async fn atomic_read_back(db: &Database) -> Check {
    let txn = db.begin();
    txn.add_i64(b"a", 1);
    assert_eq!(txn.get(b"a").await?.as_deref(), Some(&1i64.to_le_bytes()[..]));
    assert_eq!(between(db, &txn, |other| other.add_i64(b"a", 1)).await?, Err(Error::conflict()));
    let (first, second) = (db.begin(), db.begin());
    first.add_i64(b"a", 10);
    second.add_i64(b"a", 100);
    second.commit().await?;
    first.commit().await?;
    assert_eq!(value(db, b"a").await?.as_deref(), Some(&111i64.to_le_bytes()[..]));
    Ok(())
}

async fn atomic_and_reader(db: &Database) -> Check {
    let txn = db.begin();
    txn.get(b"a").await?;
    assert_eq!(between(db, &txn, |other| other.add_i64(b"a", 1)).await?, Err(Error::conflict()));
    let txn = db.begin();
    txn.range(b"a", b"b").collect().await?;
    assert_eq!(between(db, &txn, |other| other.max_u64(b"aa", 1)).await?, Err(Error::conflict()));
    Ok(())
}

async fn stamped_and_reader(db: &Database) -> Check {
    let txn = db.begin();
    txn.get(b"value").await?;
    let write = |other: &Transaction| other.set_versionstamped_value(b"value", &[0; 10], 0);
    assert_eq!(between(db, &txn, write).await?, Err(Error::conflict()));
    let txn = db.begin();
    txn.scan_prefix(b"log/").collect().await?;
    let write = |other: &Transaction| other.set_versionstamped_key(b"log/0123456789", 4, b"");
    assert_eq!(between(db, &txn, write).await?, Err(Error::conflict()));
    Ok(())
}

async fn added_ranges(db: &Database) -> Check {
    let txn = db.begin();
    txn.add_conflict_range(ConflictKind::Read, b"a", b"c");
    assert_eq!(between(db, &txn, |other| other.set(b"b", b"1")).await?, Err(Error::conflict()));
    let txn = db.begin();
    txn.add_conflict_range(ConflictKind::Read, b"a", b"c");
    assert!(between(db, &txn, |other| other.set(b"c", b"1")).await?.is_ok());
    let txn = db.begin();
    txn.get(b"b").await?;
    let write = |other: &Transaction| other.add_conflict_key(ConflictKind::Write, b"b");
    assert_eq!(between(db, &txn, write).await?, Err(Error::conflict()));
    assert_eq!(text(db, "b").await?.as_deref(), Some("1"), "a conflict range is no write");
    Ok(())
}

async fn snapshot_stays(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "1"), ("c", "1")]).await?;
    let txn = db.begin();
    txn.get(b"a").await?;
    let change = commit(db, |other| {
        other.set(b"a", b"2");
        other.clear(b"b");
        other.set(b"bb", b"2");
        other.add_i64(b"c", 1);
    });
    change.await?;
    assert_eq!(shown(&txn.range(b"", b"\xff").collect().await?), "a=1 b=1 c=1");
    assert_eq!(txn.get(b"bb").await?, None);
    assert_eq!(txn.get_snapshot(b"b").await?.as_deref(), Some(&b"1"[..]));
    commit(db, |other| other.clear_range(b"", b"\xff")).await?;
    assert_eq!(shown(&txn.range(b"", b"\xff").snapshot().collect().await?), "a=1 b=1 c=1");
    assert_eq!(all(db).await?, "");
    Ok(())
}

async fn write_skew(db: &Database) -> Check {
    put(db, &[("on call/anna", "1"), ("on call/bert", "1")]).await?;
    let (anna, bert) = (db.begin(), db.begin());
    for (txn, key) in [(&anna, "on call/anna"), (&bert, "on call/bert")] {
        assert_eq!(txn.scan_prefix(b"on call/").collect().await?.len(), 2);
        txn.clear(key.as_bytes());
    }
    anna.commit().await?;
    assert_eq!(bert.commit().await, Err(Error::conflict()));
    Ok(())
}

async fn versions(db: &Database) -> Check {
    let before = db.begin();
    let version = before.read_version().await?;
    let mut last = Versionstamp::ZERO;
    for n in 0..10 {
        let stamp = put(db, &[("a", &n.to_string())]).await?;
        assert!(stamp > last && stamp.version() > version);
        last = stamp;
        let after = db.begin();
        assert!(after.read_version().await? >= stamp.version());
        assert_eq!(after.get(b"a").await?.unwrap(), n.to_string());
    }
    assert_eq!(before.read_version().await?, version);
    assert_eq!(before.get(b"a").await?, None);
    Ok(())
}

async fn increments(db: &Database) -> Check {
    let increment = |txn: Transaction| async move {
        let count = txn.get(b"count").await?.map_or(0, |value| value[0]);
        tokio::task::yield_now().await;
        txn.set(b"count", &[count + 1]);
        Ok::<_, Error>(())
    };
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let db = db.clone();
        clients.spawn(async move {
            for _ in 0..10 {
                db.transact("increment", increment).await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done.expect("a client panicked")?;
    }
    assert_eq!(value(db, b"count").await?.as_deref(), Some(&[80][..]));
    Ok(())
}
