//! Atomic operations: at the commit, and as the own transaction sees them.

use super::{Case, Check, commit, put, text, value};
use crate::{AtomicOp, Database, Error, Transaction};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "atomic operations give the same before and after the commit",
        run: |db| Box::pin(table(db)),
    },
    Case { name: "atomic operations add up within a transaction", run: |db| Box::pin(sequences(db)) },
    Case { name: "atomic operations show in ranges", run: |db| Box::pin(in_ranges(db)) },
    Case { name: "counters go up and down", run: |db| Box::pin(counters(db)) },
    Case {
        name: "compare and clear looks at the value at commit",
        run: |db| Box::pin(compare_and_clear(db)),
    },
];

type Row = (AtomicOp, Option<&'static [u8]>, &'static [u8], Option<&'static [u8]>);

/// Operation, value before, operand, value after.
const TABLE: &[Row] = &[
    (AtomicOp::Add, None, &[5, 0], Some(&[5, 0])),
    (AtomicOp::Add, Some(&[255]), &[1, 0], Some(&[0, 1])),
    (AtomicOp::Add, Some(&[1, 2, 3]), &[1, 1], Some(&[2, 3])),
    (AtomicOp::Add, Some(&[255, 255]), &[1, 0], Some(&[0, 0])),
    (AtomicOp::Add, Some(&[]), &[7], Some(&[7])),
    (AtomicOp::Max, None, &[0, 0], Some(&[0, 0])),
    (AtomicOp::Max, Some(&[1, 2]), &[2, 1], Some(&[1, 2])),
    (AtomicOp::Max, Some(&[9]), &[2, 0], Some(&[9, 0])),
    (AtomicOp::Max, Some(&[9, 0, 1]), &[2, 0], Some(&[9, 0])),
    (AtomicOp::Min, None, &[9, 9], Some(&[9, 9])),
    (AtomicOp::Min, Some(&[1, 2]), &[2, 1], Some(&[2, 1])),
    (AtomicOp::Min, Some(&[7]), &[9, 9], Some(&[7, 0])),
    (AtomicOp::CompareAndClear, None, b"x", None),
    (AtomicOp::CompareAndClear, Some(b"x"), b"x", None),
    (AtomicOp::CompareAndClear, Some(b"x"), b"xy", Some(b"x")),
];

async fn table(db: &Database) -> Check {
    for (n, (op, before, operand, after)) in TABLE.iter().enumerate() {
        let key = [b'k', n as u8];
        if let Some(before) = before {
            commit(db, |txn| txn.set(&key, before)).await?;
        }
        let txn = db.begin();
        txn.atomic(*op, &key, operand);
        assert_eq!(txn.get_snapshot(&key).await?.as_deref(), *after, "row {n} before the commit");
        txn.commit().await?;
        assert_eq!(value(db, &key).await?.as_deref(), *after, "row {n} after the commit");
    }
    Ok(())
}

async fn sequences(db: &Database) -> Check {
    commit(db, |txn| txn.set(b"stored", &[10])).await?;
    let txn = db.begin();
    for key in [&b"stored"[..], b"set", b"cleared", b"range"] {
        match key {
            b"set" => txn.set(key, &[20]),
            b"cleared" => txn.clear(key),
            b"range" => txn.clear_range(b"range", b"range\xff"),
            _ => {}
        }
        txn.atomic(AtomicOp::Add, key, &[1]);
        txn.atomic(AtomicOp::Add, key, &[1]);
        txn.atomic(AtomicOp::Max, key, &[5]);
    }
    let expected: [(&[u8], u8); 4] = [(b"stored", 12), (b"set", 22), (b"cleared", 5), (b"range", 5)];
    for (key, number) in expected {
        assert_eq!(txn.get(key).await?.as_deref(), Some(&[number][..]));
    }
    txn.commit().await?;
    for (key, number) in expected {
        assert_eq!(value(db, key).await?.as_deref(), Some(&[number][..]));
    }
    Ok(())
}

async fn in_ranges(db: &Database) -> Check {
    commit(db, |txn| ["a", "b", "c"].iter().for_each(|key| txn.set(key.as_bytes(), &[1]))).await?;
    let txn = db.begin();
    txn.atomic(AtomicOp::Add, b"a", &[1]);
    txn.atomic(AtomicOp::CompareAndClear, b"b", &[1]);
    txn.atomic(AtomicOp::CompareAndClear, b"c", &[9]);
    txn.atomic(AtomicOp::Min, b"d", &[7]);
    let expected = [("a", 2), ("c", 1), ("d", 7)].map(|(key, number)| (key.to_owned(), number));
    assert_eq!(plain(&txn).await?, expected);
    txn.commit().await?;
    assert_eq!(plain(&db.begin()).await?, expected);
    Ok(())
}

/// All rows, as strings and numbers.
async fn plain(txn: &Transaction) -> Result<Vec<(String, u8)>, Error> {
    let rows = txn.range(b"", b"\xff").collect().await?;
    Ok(rows.iter().map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value[0])).collect())
}

async fn counters(db: &Database) -> Check {
    for delta in [5, -3, 10, -12] {
        commit(db, |txn| txn.add_i64(b"n", delta)).await?;
    }
    assert_eq!(value(db, b"n").await?.as_deref(), Some(&0i64.to_le_bytes()[..]));
    let extremes = commit(db, |txn| {
        txn.max_u64(b"max", 256);
        txn.max_u64(b"max", 255);
        txn.min_u64(b"min", 256);
        txn.min_u64(b"min", 255);
    });
    extremes.await?;
    assert_eq!(value(db, b"max").await?.as_deref(), Some(&256u64.to_le_bytes()[..]));
    assert_eq!(value(db, b"min").await?.as_deref(), Some(&255u64.to_le_bytes()[..]));
    Ok(())
}

async fn compare_and_clear(db: &Database) -> Check {
    put(db, &[("a", "1"), ("b", "1")]).await?;
    let txn = db.begin();
    txn.compare_and_clear(b"a", b"1");
    txn.compare_and_clear(b"b", b"2");
    put(db, &[("a", "2"), ("b", "2")]).await?;
    txn.commit().await?;
    assert_eq!(text(db, "a").await?.as_deref(), Some("2"));
    assert_eq!(text(db, "b").await?, None);
    Ok(())
}
