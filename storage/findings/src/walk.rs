//! A walk over rows in stretches, each one transaction on one snapshot.

use crate::{Finding, Held, Report};
use futures::future::try_join_all;
use kv::{Database, RangeRequest, Row, TransactError, Transaction, limits};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Rows that one transaction looks at.
const ROWS: usize = 2_000;
/// Bytes of rows that it reads, about.
const BYTES: usize = 1 << 20;
/// Rows that are checked at once: a store that is far away is waited for once for all of them.
const WINDOW: usize = 64;
/// Age at which a stretch ends, and size of what it read besides.
const AGE: Duration = Duration::from_secs(2);
const SIZE: usize = limits::TRANSACTION / 4;

/// What a stretch of the walk found.
#[derive(Debug, Default)]
pub struct Stretch {
    /// What does not fit.
    pub findings: Vec<Finding>,
    /// Bodies that are held.
    pub bodies: Vec<Held>,
    /// Rows looked at.
    pub rows: u64,
    /// Where to go on; none at the end.
    pub next: Option<Vec<u8>>,
}

/// Checks rows from `begin` on and below `end`, as many as one transaction may. Where the store fails often, fewer are
/// tried at once: one read that fails ends the transaction.
///
/// # Errors
/// The check's.
pub async fn stretch<E, C, F>(db: &Database, begin: &[u8], end: &[u8], check: C) -> Result<Stretch, E>
where
    E: TransactError,
    C: Fn(Transaction, Row) -> F + Send + Sync,
    F: Future<Output = Result<Report, E>> + Send,
{
    let (check, attempts) = (&check, &AtomicU32::new(0));
    db.read("verify.rows", |txn| async move {
        // A quarter with each attempt, down to one row.
        let rows = ROWS >> (2 * attempts.fetch_add(1, Ordering::Relaxed)).min(12);
        stretch_in(&txn, begin, end, rows.max(1), check).await
    })
    .await
}

async fn stretch_in<E, C, F>(
    txn: &Transaction,
    begin: &[u8],
    end: &[u8],
    rows: usize,
    check: &C,
) -> Result<Stretch, E>
where
    E: TransactError,
    C: Fn(Transaction, Row) -> F + Send + Sync,
    F: Future<Output = Result<Report, E>> + Send,
{
    let request = RangeRequest {
        limit: rows,
        target_bytes: BYTES,
        snapshot: true,
        ..RangeRequest::new(begin.to_vec(), end.to_vec())
    };
    let page = txn.page(&request).await?;
    let mut done = Stretch::default();
    let mut last = None;
    for window in page.rows.chunks(WINDOW.min(rows.div_ceil(4))) {
        if last.is_some() && (txn.age() >= AGE || txn.size() >= SIZE) {
            done.next = last;
            return Ok(done);
        }
        let reports = try_join_all(window.iter().map(|row| check(txn.clone(), row.clone()))).await;
        let reports = match reports {
            // What was checked before is of one snapshot all the same.
            Err(error) if last.is_some() && error.as_kv().is_some_and(kv::Error::is_retryable) => {
                done.next = last;
                return Ok(done);
            }
            reports => reports?,
        };
        for report in reports {
            done.findings.extend(report.findings);
            done.bodies.extend(report.bodies);
        }
        done.rows += window.len() as u64;
        last = window.last().map(|(key, _)| [key, &b"\0"[..]].concat());
    }
    done.next = last.filter(|_| page.more);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[tokio::test]
    async fn every_row_is_checked_once_however_many_there_are() {
        let db = kv::memory::database();
        for batch in 0..5_u32 {
            let write = db.transact("test", |txn| async move {
                for n in 0..1_000_u32 {
                    txn.set(&[b"k", &(batch * 1_000 + n).to_be_bytes()[..]].concat(), &[0; 400]);
                }
                Ok::<_, kv::Error>(())
            });
            write.await.unwrap();
        }
        let (mut begin, mut found, mut stretches) = (b"k".to_vec(), Vec::new(), 0);
        loop {
            let check = |_, (key, _): Row| async move {
                let mut report = Report::of(&key);
                report.add_here(Kind::UnknownKey, "");
                Ok::<_, kv::Error>(report)
            };
            let stretch = stretch(&db, &begin, b"l", check).await.unwrap();
            assert_eq!(stretch.rows, stretch.findings.len() as u64);
            found.extend(stretch.findings.into_iter().map(|finding| finding.key));
            stretches += 1;
            match stretch.next {
                Some(next) => begin = next,
                None => break,
            }
        }
        assert!(found.is_sorted() && found.len() == 5_000, "{}", found.len());
        assert!(stretches >= 3, "{stretches}");
    }
}
