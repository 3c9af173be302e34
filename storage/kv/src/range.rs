//! Range reads of any length, page by page.

use crate::range_set::successor;
use crate::{Error, RangePage, RangeRequest, Transaction, limits};
use bytes::Bytes;
use futures::Stream;

/// A key and its value.
pub type Row = (Bytes, Bytes);

/// Pages start this small, so that who takes two rows of a long range neither reads nor conflicts on much more,
/// and grow fourfold up to [`limits::PAGE_BYTES`].
const FIRST_PAGE_BYTES: usize = 4 * 1024;

/// The end of the range of all keys that start with `prefix`: the smallest key above them.
///
/// For an empty prefix, or one of 0xFF bytes only, that is the end of the ordinary key space.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let kept = prefix.iter().rposition(|byte| *byte != 0xFF).map_or(0, |last| last + 1);
    let mut end = prefix[..kept].to_vec();
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(limits::SYSTEM_KEYS),
    }
    end.into()
}

/// The rows of a range. Reads nothing until a row is asked for; conflicts only on the pages that were read.
#[must_use = "a range reads nothing until its rows are asked for"]
pub struct RangeStream {
    txn: Transaction,
    request: RangeRequest,
    /// Rows that may still be returned in all.
    remaining: usize,
    /// A size that every page has, if asked for.
    page_bytes: Option<usize>,
    page: std::vec::IntoIter<Row>,
    exhausted: bool,
}

impl RangeStream {
    pub(crate) fn new(txn: Transaction, begin: Bytes, end: Bytes) -> Self {
        RangeStream {
            txn,
            request: RangeRequest { target_bytes: FIRST_PAGE_BYTES, ..RangeRequest::new(begin, end) },
            remaining: usize::MAX,
            page_bytes: None,
            page: Vec::new().into_iter(),
            exhausted: false,
        }
    }

    /// From the end of the range downwards.
    pub fn reverse(mut self) -> Self {
        self.request.reverse = true;
        self
    }

    /// At most `rows` rows. Conflicts reach no further than the last of them.
    pub fn limit(mut self, rows: usize) -> Self {
        self.remaining = rows;
        self
    }

    /// Without conflicts.
    pub fn snapshot(mut self) -> Self {
        self.request.snapshot = true;
        self
    }

    /// Pages of this many bytes from the start: for who knows that all of the range will be read.
    pub fn page_bytes(mut self, bytes: usize) -> Self {
        self.request.target_bytes = bytes;
        self.page_bytes = Some(bytes);
        self
    }

    /// The next row.
    pub async fn try_next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if let Some(row) = self.page.next() {
                return Ok(Some(row));
            }
            match self.fetch().await? {
                Some(rows) => self.page = rows.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The rest of the present page, or the next one: some rows at a time, as the store gives them.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Row>>, Error> {
        if self.page.len() > 0 {
            return Ok(Some(std::mem::take(&mut self.page).collect()));
        }
        self.fetch().await
    }

    /// The first row, if there is one. Nothing behind it is read.
    pub async fn first(self) -> Result<Option<Row>, Error> {
        self.limit(1).try_next().await
    }

    /// All rows that remain. Bound them by [`RangeStream::limit`] unless they are known to be few.
    pub async fn collect(mut self) -> Result<Vec<Row>, Error> {
        let mut rows: Vec<Row> = std::mem::take(&mut self.page).collect();
        while let Some(mut page) = self.fetch().await? {
            if rows.is_empty() {
                rows = page;
            } else {
                rows.append(&mut page);
            }
        }
        Ok(rows)
    }

    /// As a [`Stream`], for combinators.
    pub fn into_stream(self) -> impl Stream<Item = Result<Row, Error>> + Send {
        futures::stream::try_unfold(self, |mut rows| async move {
            Ok(rows.try_next().await?.map(|row| (row, rows)))
        })
    }

    /// The next page, never an empty one.
    async fn fetch(&mut self) -> Result<Option<Vec<Row>>, Error> {
        if self.exhausted || self.remaining == 0 {
            return Ok(None);
        }
        self.request.limit = self.remaining.min(limits::PAGE_ROWS);
        let RangePage { rows, more } = self.txn.page(&self.request).await?;
        self.remaining -= rows.len().min(self.remaining);
        match rows.last() {
            Some((last, _)) if more => self.continue_behind(last),
            _ => self.exhausted = true,
        }
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    fn continue_behind(&mut self, last: &Bytes) {
        if self.request.reverse {
            self.request.end = last.clone();
        } else {
            self.request.begin = successor(last);
        }
        self.exhausted = self.request.begin >= self.request.end;
        if self.page_bytes.is_none() {
            self.request.target_bytes = (self.request.target_bytes * 4).min(limits::PAGE_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;
    use futures::TryStreamExt;

    #[test]
    fn the_end_of_a_prefix_is_above_all_its_keys() {
        assert_eq!(&prefix_end(b"ab")[..], b"ac");
        assert_eq!(&prefix_end(b"a\xff\xff")[..], b"b");
        assert_eq!(&prefix_end(b"")[..], b"\xff");
        assert_eq!(&prefix_end(b"\xff\xff")[..], b"\xff");
    }

    #[tokio::test]
    async fn pages_join_without_gap_or_repeat() {
        let db = memory::database();
        let keys: Vec<String> = (0..3000).map(|n| format!("k{n:05}")).collect();
        db.transact("fill", |txn| {
            keys.iter().for_each(|key| txn.set(key.as_bytes(), &[7; 20]));
            async { Ok::<_, Error>(()) }
        })
        .await
        .unwrap();
        let read = |reverse: bool, limit: usize| {
            db.read("scan", move |txn| async move {
                let rows = txn.scan_prefix(b"k").limit(limit);
                let rows = if reverse { rows.reverse() } else { rows };
                let rows: Vec<Row> = rows.into_stream().try_collect().await?;
                Ok::<_, Error>(rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>())
            })
        };
        assert_eq!(read(false, usize::MAX).await.unwrap(), keys);
        assert_eq!(read(false, 700).await.unwrap(), keys[..700]);
        assert_eq!(read(true, 700).await.unwrap(), keys.iter().rev().take(700).collect::<Vec<_>>());
        assert_eq!(read(true, 0).await.unwrap(), Vec::<Bytes>::new());
    }

    #[tokio::test]
    async fn a_page_can_be_taken_whole_after_single_rows() {
        let db = memory::database();
        let rows = db
            .transact("pages", |txn| async move {
                (0..1000u32).for_each(|n| txn.set(&n.to_be_bytes(), b"value"));
                let mut rows = txn.range(b"", b"\xff");
                let first = rows.try_next().await?;
                let rest_of_page = rows.next_page().await?.unwrap_or_default();
                Ok::<_, Error>((first, rest_of_page.len(), rows.collect().await?.len()))
            })
            .await
            .unwrap();
        assert_eq!(rows.0.unwrap().0, 0u32.to_be_bytes()[..]);
        assert!(rows.1 > 0 && rows.2 > 0);
        assert_eq!(1 + rows.1 + rows.2, 1000);
    }
}
