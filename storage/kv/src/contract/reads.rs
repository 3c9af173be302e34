//! What a transaction reads: its own writes, ranges in both directions, pages.

use super::{Case, Check, all, commit, put, shown, text, value};
use crate::{Database, RangeRequest};

pub(super) const CASES: &[Case] = &[
    Case { name: "reads see own writes", run: |db| Box::pin(own_writes(db)) },
    Case { name: "an empty value is not an absent one", run: |db| Box::pin(empty_value(db)) },
    Case { name: "a transaction that is dropped leaves nothing", run: |db| Box::pin(dropped(db)) },
    Case { name: "the last write of a key wins", run: |db| Box::pin(last_write(db)) },
    Case { name: "a set after a clear of the range stays", run: |db| Box::pin(set_after_clear(db)) },
    Case { name: "ranges merge own writes in", run: |db| Box::pin(merged_range(db)) },
    Case { name: "ranges keep to their bounds", run: |db| Box::pin(bounds(db)) },
    Case { name: "ranges go backwards", run: |db| Box::pin(reverse(db)) },
    Case { name: "limits end a page", run: |db| Box::pin(limits(db)) },
    Case { name: "limits count own writes and skip cleared rows", run: |db| Box::pin(limits_and_writes(db)) },
    Case { name: "byte targets end a page but give a row", run: |db| Box::pin(byte_targets(db)) },
    Case { name: "keys sort as unsigned bytes", run: |db| Box::pin(key_order(db)) },
    Case { name: "many rows come in order, once", run: |db| Box::pin(many_rows(db)) },
    Case { name: "large values come back whole", run: |db| Box::pin(large_values(db)) },
    Case { name: "a clear of everything clears everything", run: |db| Box::pin(clear_all(db)) },
];

async fn own_writes(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2")]).await?;
    let txn = db.begin();
    txn.set(b"a", b"10");
    txn.clear(b"b");
    txn.set_bytes(&b"c"[..], &b"30"[..]);
    for snapshot in [false, true] {
        let get = |key: &'static [u8]| if snapshot { txn.get_snapshot(key) } else { txn.get(key) };
        assert_eq!(get(b"a").await?.as_deref(), Some(&b"10"[..]));
        assert_eq!(get(b"b").await?, None);
        assert_eq!(get(b"c").await?.as_deref(), Some(&b"30"[..]));
    }
    assert_eq!(all(db).await?, "a=1 b=2", "writes are seen by others before the commit");
    txn.commit().await?;
    assert_eq!(all(db).await?, "a=10 c=30");
    Ok(())
}

async fn empty_value(db: &Database) -> Check {
    put(db, &[("a", ""), ("", "empty key")]).await?;
    assert_eq!(text(db, "a").await?, Some(String::new()));
    assert_eq!(text(db, "").await?.as_deref(), Some("empty key"));
    assert_eq!(all(db).await?, "=empty key a=");
    Ok(())
}

async fn dropped(db: &Database) -> Check {
    let txn = db.begin();
    txn.set(b"a", b"1");
    txn.clear_range(b"a", b"z");
    drop(txn);
    assert_eq!(all(db).await?, "");
    Ok(())
}

async fn last_write(db: &Database) -> Check {
    let writes = commit(db, |txn| {
        txn.set(b"a", b"1");
        txn.set(b"a", b"2");
        txn.set(b"b", b"1");
        txn.clear(b"b");
        txn.clear(b"c");
        txn.set(b"c", b"3");
    });
    writes.await?;
    assert_eq!(all(db).await?, "a=2 c=3");
    Ok(())
}

async fn set_after_clear(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await?;
    let txn = db.begin();
    txn.set(b"bb", b"gone");
    txn.clear_range(b"b", b"d");
    txn.set(b"c", b"30");
    txn.clear_prefix(b"a");
    assert_eq!(shown(&txn.range(b"", b"\xff").collect().await?), "c=30 d=4");
    txn.commit().await?;
    assert_eq!(all(db).await?, "c=30 d=4");
    Ok(())
}

async fn merged_range(db: &Database) -> Check {
    put(db, &[("a", "1"), ("c", "3"), ("e", "5"), ("g", "7")]).await?;
    let txn = db.begin();
    txn.set(b"b", b"2");
    txn.set(b"c", b"30");
    txn.clear(b"e");
    txn.set(b"h", b"8");
    txn.clear(b"nothing");
    assert_eq!(shown(&txn.range(b"", b"\xff").collect().await?), "a=1 b=2 c=30 g=7 h=8");
    assert_eq!(shown(&txn.range(b"", b"\xff").reverse().collect().await?), "h=8 g=7 c=30 b=2 a=1");
    assert_eq!(shown(&txn.range(b"b", b"g").snapshot().collect().await?), "b=2 c=30");
    Ok(())
}

async fn bounds(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2"), ("b\0", "3"), ("c", "4")]).await?;
    let txn = db.begin();
    assert_eq!(shown(&txn.range(b"b", b"c").collect().await?), "b=2 b\0=3");
    assert_eq!(shown(&txn.range(b"b", b"b\0").collect().await?), "b=2");
    assert_eq!(txn.range(b"b", b"b").collect().await?, []);
    assert_eq!(txn.range(b"d", b"z").collect().await?, []);
    assert_eq!(shown(&txn.scan_prefix(b"b").collect().await?), "b=2 b\0=3");
    txn.clear_range(b"b", b"c");
    txn.commit().await?;
    assert_eq!(all(db).await?, "a=1 c=4");
    Ok(())
}

async fn reverse(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await?;
    let txn = db.begin();
    assert_eq!(shown(&txn.range(b"a", b"d").reverse().collect().await?), "c=3 b=2 a=1");
    assert_eq!(shown(&txn.range(b"a", b"z").reverse().limit(2).collect().await?), "d=4 c=3");
    let last = txn.range(b"", b"c").reverse().first().await?;
    assert_eq!(shown(&last.into_iter().collect::<Vec<_>>()), "b=2");
    Ok(())
}

async fn limits(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2"), ("c", "3")]).await?;
    let txn = db.begin();
    let mut request = RangeRequest { limit: 2, ..RangeRequest::new("a", "z") };
    let page = txn.page(&request).await?;
    assert_eq!(shown(&page.rows), "a=1 b=2");
    assert!(page.more);
    request.begin = "b\0".into();
    let page = txn.page(&request).await?;
    assert_eq!(shown(&page.rows), "c=3");
    assert!(!page.more);
    Ok(())
}

async fn limits_and_writes(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")]).await?;
    let txn = db.begin();
    txn.clear_range(b"a", b"c");
    txn.set(b"cc", b"33");
    assert_eq!(shown(&txn.range(b"", b"\xff").limit(2).collect().await?), "c=3 cc=33");
    assert_eq!(shown(&txn.range(b"", b"\xff").reverse().limit(3).collect().await?), "e=5 d=4 cc=33");
    Ok(())
}

async fn byte_targets(db: &Database) -> Check {
    let rows = ["a", "b", "c"].map(|key| (key, "0123456789"));
    put(db, &rows).await?;
    let txn = db.begin();
    let mut request = RangeRequest { target_bytes: 1, ..RangeRequest::new("a", "z") };
    let page = txn.page(&request).await?;
    assert_eq!((page.rows.len(), page.more), (1, true));
    request.target_bytes = 12;
    assert_eq!(txn.page(&request).await?.rows.len(), 2);
    request.reverse = true;
    assert_eq!(shown(&txn.page(&request).await?.rows), "c=0123456789 b=0123456789");
    Ok(())
}

async fn key_order(db: &Database) -> Check {
    let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\x01", b"\x7f", b"\x80", b"\xfe\xff"];
    let txn = db.begin();
    keys.iter().rev().for_each(|key| txn.set(key, b""));
    let before: Vec<_> = txn.range(b"", b"\xff").collect().await?.into_iter().map(|(key, _)| key).collect();
    assert_eq!(before, keys);
    txn.commit().await?;
    let after = db.begin().range(b"", b"\xff").collect().await?;
    assert_eq!(after.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    Ok(())
}

async fn many_rows(db: &Database) -> Check {
    let key = |n: u32| format!("row/{n:06}");
    for chunk in 0..4 {
        let fill = commit(db, |txn| {
            (0..1000).for_each(|n| txn.set(key(n * 4 + chunk).as_bytes(), &n.to_be_bytes()));
        });
        fill.await?;
    }
    let txn = db.begin();
    let rows = txn.scan_prefix(b"row/").collect().await?;
    let expected: Vec<String> = (0..4000).map(key).collect();
    assert!(rows.iter().map(|(key, _)| key).eq(&expected));
    let backwards = txn.scan_prefix(b"row/").reverse().page_bytes(500).collect().await?;
    assert!(backwards.iter().rev().eq(&rows));
    assert_eq!(txn.range(key(10).as_bytes(), key(20).as_bytes()).collect().await?.len(), 10);
    Ok(())
}

async fn large_values(db: &Database) -> Check {
    let body = |n: u8| (0..crate::limits::VALUE).map(|i| (i as u8).wrapping_mul(n)).collect::<Vec<u8>>();
    let long_key = vec![b'k'; crate::limits::KEY];
    let fill = commit(db, |txn| {
        (0..20).for_each(|n| txn.set(&[n], &body(n)));
        txn.set(&long_key, b"long");
    });
    fill.await?;
    for n in 0..20 {
        assert_eq!(value(db, &[n]).await?.unwrap(), body(n));
    }
    assert_eq!(value(db, &long_key).await?.as_deref(), Some(&b"long"[..]));
    let rows = db.begin().range(b"", b"\x20").collect().await?;
    assert_eq!(rows.len(), 20);
    Ok(())
}

async fn clear_all(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "2"), ("\u{7f}", "3")]).await?;
    commit(db, |txn| txn.clear_range(b"", b"\xff")).await?;
    assert_eq!(all(db).await?, "");
    put(db, &[("b", "4")]).await?;
    assert_eq!(all(db).await?, "b=4");
    Ok(())
}
