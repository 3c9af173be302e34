//! Versionstamped keys and values.

use super::{Case, Check, commit, put, text, value};
use crate::{Database, Error, Versionstamp};

pub(super) const CASES: &[Case] = &[
    Case { name: "a versionstamped value holds the commit's stamp", run: |db| Box::pin(values(db)) },
    Case { name: "versionstamped keys ascend with the commits", run: |db| Box::pin(keys(db)) },
    Case {
        name: "one commit's versionstamped keys differ by their suffix",
        run: |db| Box::pin(suffixes(db)),
    },
    Case {
        name: "what is versionstamped cannot be read before the commit",
        run: |db| Box::pin(unreadable(db)),
    },
    Case { name: "a plain write takes the place of a versionstamp", run: |db| Box::pin(overwritten(db)) },
    Case { name: "commits of many clients have stamps of their own", run: |db| Box::pin(concurrent(db)) },
    Case { name: "writes after a versionstamped key come after it", run: |db| Box::pin(order(db)) },
];

/// The last of all: a cluster recovers from a leap, and answers slowly for a while.
pub(super) const LEAPS: &[Case] =
    &[Case { name: "versions go on above one that is named", run: |db| Box::pin(advanced(db)) }];

async fn values(db: &Database) -> Check {
    let stamp = commit(db, |txn| txn.set_versionstamped_value(b"k", b"<0123456789>", 1)).await?;
    let stored = value(db, b"k").await?.unwrap();
    assert_eq!((stored[0], stored[11], stored.len()), (b'<', b'>', 12));
    assert_eq!(Versionstamp::from_slice(&stored[1..]), Some(stamp));
    let again = commit(db, |txn| txn.set_versionstamped_value(b"k", &[0; 10], 0)).await?;
    assert!(again > stamp);
    assert_eq!(value(db, b"k").await?.as_deref(), Some(&again.as_bytes()[..]));
    Ok(())
}

async fn advanced(db: &Database) -> Check {
    let set = |key: &'static [u8]| {
        db.transact_versioned("advanced", move |txn| async move {
            txn.set(key, b"v");
            Ok::<_, Error>(())
        })
    };
    let before = set(b"a").await?.1;
    let target = before.version() + 5_000_000_000;
    db.advance_version(target).await?;
    let after = set(b"b").await?.1;
    assert!(after.version() > target, "{after:?} after {target}");
    // To a version that was passed: nothing is taken back.
    db.advance_version(before.version()).await?;
    let last = set(b"c").await?.1;
    assert!(last > after);
    let read = db.read("advanced", |txn| async move {
        Ok::<_, Error>((txn.read_version().await?, txn.range(b"a", b"d").collect().await?))
    });
    let (version, rows) = read.await?;
    assert!(version >= last.version());
    assert_eq!(super::shown(&rows), "a=v b=v c=v");
    Ok(())
}

async fn keys(db: &Database) -> Check {
    let mut stamps = Vec::new();
    for n in 0..20u8 {
        stamps.push(commit(db, |txn| txn.set_versionstamped_key(b"log/0123456789/x", 4, &[n])).await?);
    }
    assert!(stamps.is_sorted_by(|a, b| a < b));
    let rows = db.begin().scan_prefix(b"log/").collect().await?;
    assert_eq!(rows.len(), 20);
    for ((key, value), (n, stamp)) in rows.iter().zip(stamps.iter().enumerate()) {
        assert_eq!(&key[4..14], stamp.as_bytes());
        assert_eq!(&key[14..], b"/x");
        assert_eq!(value[..], [n as u8]);
    }
    Ok(())
}

async fn suffixes(db: &Database) -> Check {
    let stamp = commit(db, |txn| {
        for n in [3u8, 1, 2] {
            txn.set_versionstamped_key(&[&[0; 10][..], &[n]].concat(), 0, &[n]);
        }
        txn.set_versionstamped_value(b"\xfe", &[0; 10], 0);
    });
    let stamp = stamp.await?;
    let rows = db.begin().range(b"", b"\xfe").collect().await?;
    let expected: Vec<_> = [1u8, 2, 3].map(|n| [&stamp.as_bytes()[..], &[n]].concat()).into();
    assert!(rows.iter().map(|(key, _)| key).eq(&expected));
    assert_eq!(value(db, b"\xfe").await?.as_deref(), Some(&stamp.as_bytes()[..]));
    Ok(())
}

async fn unreadable(db: &Database) -> Check {
    put(db, &[("a", "1"), ("k", "1"), ("z", "1")]).await?;
    let txn = db.begin();
    txn.set_versionstamped_value(b"k", &[0; 10], 0);
    txn.set_versionstamped_key(b"log/0123456789", 4, b"");
    assert_eq!(txn.get(b"k").await, Err(Error::unreadable()));
    assert_eq!(txn.get_snapshot(b"k").await, Err(Error::unreadable()));
    assert_eq!(txn.range(b"a", b"l").collect().await, Err(Error::unreadable()));
    assert_eq!(txn.scan_prefix(b"log/").collect().await, Err(Error::unreadable()));
    // What lies beside can be read, and the transaction still commits.
    assert_eq!(txn.range(b"a", b"k").collect().await?.len(), 1);
    assert!(txn.get(b"z").await?.is_some());
    txn.commit().await?;
    assert_eq!(db.begin().scan_prefix(b"log/").collect().await?.len(), 1);
    Ok(())
}

async fn overwritten(db: &Database) -> Check {
    let txn = db.begin();
    txn.set_versionstamped_value(b"set", &[0; 10], 0);
    txn.set(b"set", b"plain");
    txn.set_versionstamped_value(b"cleared", &[0; 10], 0);
    txn.clear_range(b"c", b"d");
    assert_eq!(txn.get(b"set").await?.as_deref(), Some(&b"plain"[..]));
    assert_eq!(txn.get(b"cleared").await?, None);
    txn.commit().await?;
    assert_eq!(text(db, "set").await?.as_deref(), Some("plain"));
    assert_eq!(text(db, "cleared").await?, None);
    Ok(())
}

async fn concurrent(db: &Database) -> Check {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8u8 {
        let db = db.clone();
        clients.spawn(async move {
            let mut stamps = Vec::new();
            for _ in 0..10 {
                let write = db.transact_versioned("stamped", |txn| async move {
                    txn.set_versionstamped_key(b"log/0123456789", 4, &[client]);
                    Ok::<_, Error>(())
                });
                stamps.push(write.await?.1);
            }
            Ok::<_, Error>(stamps)
        });
    }
    let mut stamps = Vec::new();
    while let Some(done) = clients.join_next().await {
        let of_client = done.expect("a client panicked")?;
        assert!(of_client.is_sorted_by(|a, b| a < b));
        stamps.extend(of_client);
    }
    stamps.sort_unstable();
    let rows = db.begin().scan_prefix(b"log/").collect().await?;
    assert!(rows.iter().map(|(key, _)| &key[4..]).eq(stamps.iter().map(|stamp| &stamp.as_bytes()[..])));
    Ok(())
}

async fn order(db: &Database) -> Check {
    let gone = commit(db, |txn| {
        txn.set_versionstamped_key(b"log/0123456789", 4, b"");
        txn.clear_prefix(b"log/");
        txn.set_versionstamped_key(b"log/0123456789b", 4, b"");
    });
    gone.await?;
    let rows = db.begin().scan_prefix(b"log/").collect().await?;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0.last(), Some(&b'b'));
    Ok(())
}
