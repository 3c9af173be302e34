//! A client that runs random transactions and notes what they did.

use super::{Attempt, Committed, Options, Range, Report, Step, Write};
use crate::range_set::successor;
use crate::{AtomicOp, Database, Error, ErrorKind, TransactError, Transaction, Versionstamp};
use bytes::Bytes;
use runtime::{Rng, SeededRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a random transaction ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("changed its mind")]
    ByItself,
    #[error(transparent)]
    ByStore(#[from] Error),
}

impl TransactError for Ended {
    fn as_kv(&self) -> Option<&Error> {
        match self {
            Ended::ByStore(e) => Some(e),
            Ended::ByItself => None,
        }
    }
}

/// What a transaction does with its steps.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    ReadsOnly,
    WritesOnly,
    Both,
}

pub(super) struct Client {
    db: Database,
    number: usize,
    keys: u8,
    rng: SeededRng,
    acknowledged: Arc<AtomicU64>,
    /// What was acknowledged before the present attempt began. The loop may have read in it (a token) before
    /// the closure gets it, so this is noted when the attempt before it ends.
    before: AtomicU64,
}

impl Client {
    pub(super) fn new(db: Database, number: usize, options: &Options, acknowledged: Arc<AtomicU64>) -> Self {
        let rng = SeededRng::new(options.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        Client { db, number, keys: options.keys, rng, acknowledged, before: AtomicU64::new(0) }
    }

    /// Runs `count` transactions; what was committed, and how the others ended.
    pub(super) async fn run(self, count: usize) -> Result<(Vec<Committed>, Report), String> {
        let (mut history, mut report) = (Vec::new(), Report::default());
        for n in 0..count {
            let outcome = if self.chance(10) { self.read().await } else { self.transact(n).await };
            match outcome {
                Ok(committed) => history.push(committed),
                Err(Ended::ByItself) => report.aborted += 1,
                Err(Ended::ByStore(e)) if e.kind() == ErrorKind::Retryable => report.given_up += 1,
                Err(Ended::ByStore(e)) => return Err(format!("client {} got: {e}", self.number)),
            }
        }
        Ok((history, report))
    }

    async fn transact(&self, n: usize) -> Result<Committed, Ended> {
        let manner = match self.rng.below(10) {
            0 | 1 => Manner::ReadsOnly,
            2 => Manner::WritesOnly,
            _ => Manner::Both,
        };
        let run = |txn| self.attempt(txn, n, manner);
        self.note_acknowledged();
        let (attempt, stamp) = self.db.transact_versioned("history", run).await?;
        // From here on everyone must see it.
        self.acknowledged.fetch_max(stamp.version(), Ordering::SeqCst);
        Ok(Committed { client: self.number, stamp, attempt })
    }

    async fn read(&self) -> Result<Committed, Ended> {
        self.note_acknowledged();
        let attempt = self.db.read("history", |txn| self.attempt(txn, 0, Manner::ReadsOnly)).await?;
        Ok(Committed { client: self.number, stamp: Versionstamp::ZERO, attempt })
    }

    fn note_acknowledged(&self) {
        self.before.store(self.acknowledged.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    async fn attempt(&self, txn: Transaction, n: usize, manner: Manner) -> Result<Attempt, Ended> {
        let acknowledged = self.before.load(Ordering::SeqCst);
        let attempt = self.steps(txn, n, manner).await;
        self.note_acknowledged();
        attempt.map(|(read_version, steps)| Attempt { read_version, acknowledged, steps })
    }

    async fn steps(
        &self,
        txn: Transaction,
        n: usize,
        manner: Manner,
    ) -> Result<(Option<u64>, Vec<Step>), Ended> {
        let read_version = if manner == Manner::WritesOnly { None } else { Some(txn.read_version().await?) };
        let mut steps = Vec::new();
        if manner != Manner::ReadsOnly {
            steps.push(self.mark(&txn, n));
        }
        for _ in 0..1 + self.rng.below(6) {
            self.pause().await;
            let read = match manner {
                Manner::ReadsOnly => true,
                Manner::WritesOnly => false,
                Manner::Both => self.chance(50),
            };
            steps.push(if read { self.read_something(&txn).await? } else { self.write_something(&txn) });
        }
        self.pause().await;
        // Decided anew in each attempt: so an attempt of unknown outcome may be followed by a change of mind.
        if manner == Manner::Both && self.chance(8) {
            return Err(Ended::ByItself);
        }
        Ok((read_version, steps))
    }

    /// A row that shows whether and when the transaction was applied.
    fn mark(&self, txn: &Transaction, n: usize) -> Step {
        let (key, operand) = (Bytes::from(format!("mark/{}/{n}", self.number)), Bytes::from_static(&[0; 10]));
        let op = AtomicOp::SetVersionstampedValue { offset: 0 };
        txn.atomic(op, &key, &operand);
        Step::Write(Write::Atomic(op, key, operand))
    }

    async fn read_something(&self, txn: &Transaction) -> Result<Step, Error> {
        let snapshot = self.chance(25);
        if self.chance(50) {
            let key = self.key();
            let got = if snapshot { txn.get_snapshot(&key).await? } else { txn.get(&key).await? };
            return Ok(Step::Get { key, snapshot, got });
        }
        let (begin, end) = self.bounds();
        let limit = if self.chance(50) { 1 + self.rng.below(4) as usize } else { usize::MAX };
        let range = Range { begin, end, limit, reverse: self.chance(40), snapshot };
        let mut rows = txn.range(&range.begin, &range.end).limit(limit);
        if range.reverse {
            rows = rows.reverse();
        }
        if snapshot {
            rows = rows.snapshot();
        }
        if self.chance(30) {
            // Pages of one row.
            rows = rows.page_bytes(1);
        }
        let got = rows.collect().await?;
        Ok(Step::Range { range, got })
    }

    fn write_something(&self, txn: &Transaction) -> Step {
        let (key, operand) = (self.key(), self.value());
        let write = match self.rng.below(12) {
            0..=3 => Write::Set(key, operand),
            4 | 5 => Write::Clear(key),
            6 => {
                let (begin, end) = self.bounds();
                Write::ClearRange(begin, end)
            }
            7 => Write::Atomic(AtomicOp::Max, key, operand),
            8 => Write::Atomic(AtomicOp::Min, key, operand),
            9 => Write::Atomic(AtomicOp::CompareAndClear, key, operand),
            10 => {
                // Behind all keys that are read, so that nobody trips over what is unreadable.
                let op = AtomicOp::SetVersionstampedKey { offset: 4 };
                Write::Atomic(op, Bytes::from(format!("log/0123456789{}", self.number)), operand)
            }
            _ => Write::Atomic(AtomicOp::Add, key, operand),
        };
        match &write {
            Write::Set(key, value) => txn.set(key, value),
            Write::Clear(key) => txn.clear(key),
            Write::ClearRange(begin, end) => txn.clear_range(begin, end),
            Write::Atomic(op, key, operand) => txn.atomic(*op, key, operand),
        }
        Step::Write(write)
    }

    fn key(&self) -> Bytes {
        Bytes::from(vec![b'A', b'a' + self.rng.below(u64::from(self.keys)) as u8])
    }

    fn bounds(&self) -> (Bytes, Bytes) {
        let (a, b) = (self.key(), self.key());
        if a < b { (a, b) } else { (b, successor(&a)) }
    }

    fn value(&self) -> Bytes {
        let length = 1 + self.rng.below(3) as usize;
        Bytes::from((0..length).map(|_| self.rng.below(4) as u8).collect::<Vec<u8>>())
    }

    /// Lets others in between.
    async fn pause(&self) {
        for _ in 0..self.rng.below(4) {
            tokio::task::yield_now().await;
        }
    }

    fn chance(&self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }
}
