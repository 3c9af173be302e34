//! What a pass has to look at: pieces that it has not seen, and gaps of which nothing is known.

use crate::Error;
use crate::ranges::{Range, parts};
use bytes::Bytes;
use kv::Database;
use schema::keys::system::TransferPieceKey;
use schema::records::system::TransferPiece;
use schema::{Key, Record};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows about pieces read at a time.
const PAGE: usize = 500;

/// A part of the key space to look at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    pub(crate) begin: Bytes,
    pub(crate) end: Bytes,
    /// The digest of an earlier pass, empty if it had none; `None` where nothing was noted.
    pub(crate) known: Option<Bytes>,
}

/// Walks over the pieces in key order. Workers note new pieces behind it only, in what it has given out.
pub(crate) struct Planner {
    to: Database,
    pass: u32,
    ranges: Vec<Range>,
    cuts: Arc<[Bytes]>,
    /// The range under way, and up to where it is planned.
    at: usize,
    covered: Bytes,
    ready: VecDeque<Task>,
}

impl Planner {
    pub(crate) fn new(to: Database, pass: u32, ranges: Vec<Range>, cuts: Arc<[Bytes]>) -> Self {
        let covered = ranges.first().map(|range| range.0.clone()).unwrap_or_default();
        Planner { to, pass, ranges, cuts, at: 0, covered, ready: VecDeque::new() }
    }

    /// The next task; none at the end.
    pub(crate) async fn next(mut self) -> Result<Option<(Task, Self)>, Error> {
        loop {
            if let Some(task) = self.ready.pop_front() {
                return Ok(Some((task, self)));
            }
            let Some((_, end)) = self.ranges.get(self.at).cloned() else { return Ok(None) };
            let rows = self.pieces(&end).await?;
            for (key, value) in &rows {
                let piece = TransferPiece::from_bytes(value)?;
                self.piece(TransferPieceKey::decode(key)?.begin.into(), piece);
            }
            if rows.len() < PAGE {
                self.gap(end);
                self.at += 1;
                self.covered = self.ranges.get(self.at).map(|range| range.0.clone()).unwrap_or_default();
            }
        }
    }

    async fn pieces(&self, end: &Bytes) -> Result<Vec<kv::Row>, Error> {
        let key = |begin: &Bytes| TransferPieceKey { begin: begin.to_vec() }.encode();
        let (begin, end) = &(key(&self.covered), key(end));
        let rows = self.to.read("transfer.plan", |txn| async move {
            txn.range(begin, end).snapshot().limit(PAGE).collect().await
        });
        Ok(rows.await?)
    }

    fn piece(&mut self, begin: Bytes, piece: TransferPiece) {
        let end = Bytes::from(piece.end);
        if begin < self.covered {
            return;
        }
        self.gap(begin.clone());
        if piece.pass != self.pass {
            self.ready.push_back(Task { begin, end: end.clone(), known: Some(piece.digest.into()) });
        }
        self.covered = end.max(std::mem::take(&mut self.covered));
    }

    fn gap(&mut self, until: Bytes) {
        if self.covered < until {
            let gap = (self.covered.clone(), until.clone());
            let task = |(begin, end)| Task { begin, end, known: None };
            self.ready.extend(parts(&self.cuts, gap).into_iter().map(task));
            self.covered = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn plan(pieces: &[(&'static str, &'static str, u32)], pass: u32) -> Vec<String> {
        let db = kv::memory::database();
        let noted = db.transact("test", |txn| async move {
            for (begin, end, pass) in pieces {
                let piece = TransferPiece { end: (*end).into(), pass: *pass, ..TransferPiece::default() };
                txn.set(&TransferPieceKey { begin: (*begin).into() }.encode(), &piece.to_bytes());
            }
            Ok::<_, Error>(())
        });
        noted.await.unwrap();
        let ranges = [("a", "h"), ("k", "p")].map(|(begin, end)| (begin.into(), end.into()));
        let cuts: Arc<[Bytes]> = Arc::new(["c".into(), "k".into(), "m".into()]);
        let (mut planner, mut tasks) = (Planner::new(db, pass, ranges.into(), cuts), Vec::new());
        while let Some((task, rest)) = planner.next().await.unwrap() {
            let known = if task.known.is_some() { "" } else { "?" };
            let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
            tasks.push(format!("{}-{}{known}", text(&task.begin), text(&task.end)));
            planner = rest;
        }
        tasks
    }

    #[tokio::test]
    async fn gaps_and_pieces_of_earlier_passes_are_looked_at() {
        assert_eq!(plan(&[], 1).await, ["a-c?", "c-h?", "k-m?", "m-p?"]);
        assert_eq!(plan(&[("b", "d", 1)], 1).await, ["a-b?", "d-h?", "k-m?", "m-p?"]);
        assert_eq!(plan(&[("b", "d", 1), ("d", "e", 0)], 1).await, ["a-b?", "d-e", "e-h?", "k-m?", "m-p?"]);
        let all = [("a", "c", 2), ("c", "h", 1), ("k", "l", 2), ("l", "p", 1)];
        assert_eq!(plan(&all, 2).await, ["c-h", "l-p"]);
        assert_eq!(plan(&all, 3).await, ["a-c", "c-h", "k-l", "l-p"]);
    }
}
