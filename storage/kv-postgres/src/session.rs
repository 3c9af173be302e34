//! A snapshot: a connection of the pool inside of a read-only transaction.

use crate::error;
use crate::lane::Lane;
use crate::position::{Head, Known};
use crate::sql::{self, SHORT_KEY, Sql};
use bytes::Bytes;
use deadpool_postgres::Client;
use futures::future::{BoxFuture, FutureExt, Shared};
use kv::{Error, RangePage, RangeRequest, Row};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Rows are guessed to be at least this long when a page is asked for by its bytes.
const SMALL_ROW: usize = 48;

/// Fewest and most rows asked for at once, if there is no smaller limit.
const CHUNK_ROWS: std::ops::RangeInclusive<usize> = 16..=4_096;

/// One snapshot. Its connection returns to the pool when it is dropped.
pub(crate) struct Session {
    client: Arc<Client>,
    sql: Arc<Sql>,
    /// The answer to what was sent first; reads do not wait for it before they are sent.
    head: Shared<BoxFuture<'static, Result<Head, Error>>>,
    /// The turn that it was taken in, given back with it.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// Takes a connection and begins; what is committed before the first read is answered may be in the
    /// snapshot, what was acknowledged before this call is.
    pub(crate) async fn begin(lane: &Lane, turn: Option<OwnedSemaphorePermit>) -> Result<Self, Error> {
        let client = Arc::new(lane.client().await?);
        let (sql, known) = (&lane.common.sql, &lane.common.known);
        let head = begin(Arc::clone(&client), Arc::clone(sql), Arc::clone(known)).boxed().shared();
        // Polled once it is sent, so that reads queue up behind it.
        let _ = head.clone().now_or_never();
        Ok(Session { client, sql: Arc::clone(sql), head, _turn: turn })
    }

    /// The snapshot's place in history.
    pub(crate) async fn head(&self) -> Result<Head, Error> {
        self.head.clone().await
    }

    /// The value of `key`.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let statement = if key.len() > SHORT_KEY { &self.sql.get_long } else { &self.sql.get };
        let ask = async {
            let statement = self.client.prepare_cached(statement).await?;
            self.client.query_opt(&statement, &[&key]).await
        };
        let row = self.answer(ask).await?;
        row.map(|row| column(&row, 0)).transpose()
    }

    /// The values of those of `keys` that have one.
    pub(crate) async fn get_many(&self, keys: &[&[u8]]) -> Result<BTreeMap<Bytes, Bytes>, Error> {
        let ask = async {
            let statement = self.client.prepare_cached(&self.sql.get_many).await?;
            self.client.query(&statement, &[&keys]).await
        };
        Ok(rows(&self.answer(ask).await?)?.into_iter().collect())
    }

    /// The first rows of a range, in its direction.
    pub(crate) async fn scan(&self, request: &RangeRequest) -> Result<RangePage, Error> {
        let statements = if request.reverse {
            (&self.sql.page_reverse, &self.sql.page_long_reverse)
        } else {
            (&self.sql.page, &self.sql.page_long)
        };
        let short = self.scan_table(statements.0, request).await?;
        if !self.head().await?.has_long {
            return Ok(short);
        }
        let long = self.scan_table(statements.1, request).await?;
        Ok(together(short, long, request.reverse))
    }

    async fn scan_table(&self, statement: &str, request: &RangeRequest) -> Result<RangePage, Error> {
        let target = request.byte_target();
        let guess = (target / SMALL_ROW).clamp(*CHUNK_ROWS.start(), *CHUNK_ROWS.end());
        let limit = request.row_limit().min(guess);
        let (most_rows, most_bytes) = (limit as i64, i64::try_from(target).unwrap_or(i64::MAX));
        let ask = async {
            let statement = self.client.prepare_cached(statement).await?;
            self.client
                .query(&statement, &[&&request.begin[..], &&request.end[..], &most_rows, &most_bytes])
                .await
        };
        let rows = rows(&self.answer(ask).await?)?;
        let bytes: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        let more = rows.len() >= limit || bytes >= target;
        Ok(RangePage { rows, more })
    }

    /// Waits for an answer, and for the beginning of the transaction: if that failed, then all did for it.
    async fn answer<T>(
        &self,
        ask: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        // Both are polled: an answer that nobody takes holds up those behind it.
        let (answer, head) = futures::join!(error::answered(ask), self.head.clone());
        head?;
        answer
    }
}

async fn begin(client: Arc<Client>, sql: Arc<Sql>, known: Arc<Known>) -> Result<Head, Error> {
    let ask = async {
        let statement = client.prepare_cached(&sql.head).await?;
        futures::try_join!(client.batch_execute(sql::BEGIN_READ), client.query_one(&statement, &[]))
    };
    let ((), head) = error::answered(ask).await?;
    let head = Head::read(&head)?;
    known.observe(head.position);
    Ok(head)
}

impl Drop for Session {
    fn drop(&mut self) {
        // Polled once it is sent. Whoever takes this connection next queues up behind it.
        let _ = self.client.batch_execute("ROLLBACK").now_or_never();
    }
}

/// Two pages of one range as one: what lies behind the end of either is not known yet.
fn together(a: RangePage, b: RangePage, reverse: bool) -> RangePage {
    let mut ends: Vec<Bytes> = [&a, &b]
        .into_iter()
        .filter(|page| page.more)
        .filter_map(|page| page.rows.last())
        .map(|(key, _)| key.clone())
        .collect();
    ends.sort_unstable();
    let mut rows = [a.rows, b.rows].concat();
    rows.sort_unstable_by(|(a, _), (b, _)| if reverse { b.cmp(a) } else { a.cmp(b) });
    if let Some(end) = if reverse { ends.last() } else { ends.first() } {
        rows.retain(|(key, _)| if reverse { key >= end } else { key <= end });
    }
    RangePage { rows, more: !ends.is_empty() }
}

/// Keys and values.
pub(crate) fn rows(rows: &[tokio_postgres::Row]) -> Result<Vec<Row>, Error> {
    rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
}

/// Bytes of a column.
pub(crate) fn column(row: &tokio_postgres::Row, index: usize) -> Result<Bytes, Error> {
    let bytes: &[u8] = row.try_get(index).map_err(|e| error::harmless(&e))?;
    Ok(Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&'static str], more: bool) -> RangePage {
        RangePage { rows: keys.iter().map(|key| (Bytes::from(*key), Bytes::new())).collect(), more }
    }

    #[test]
    fn two_tables_read_as_one() {
        let joined = together(page(&["a", "d"], false), page(&["b", "e"], false), false);
        assert_eq!(joined, page(&["a", "b", "d", "e"], false));
        let joined = together(page(&["a", "d"], true), page(&["b", "e"], false), false);
        assert_eq!(joined, page(&["a", "b", "d"], true));
        let joined = together(page(&["a", "d"], true), page(&["b", "c"], true), false);
        assert_eq!(joined, page(&["a", "b", "c"], true));
        let joined = together(page(&["d", "b"], true), page(&["c", "a"], false), true);
        assert_eq!(joined, page(&["d", "c", "b"], true));
        assert_eq!(together(page(&[], false), page(&["a"], true), false), page(&["a"], true));
    }
}
