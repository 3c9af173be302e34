//! The pieces of work, done by many tasks at once, turn by turn on each subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use runtime::{Rng, SystemRng};

use crate::subject::{Row, Subject};

/// Short, so that what else the machine does falls on all alike.
pub(crate) const ROUND: Duration = Duration::from_millis(500);
/// Rows of a commit, and bytes of each.
pub(crate) const ROWS: u64 = 3;
/// Bytes of each value.
pub(crate) const VALUE: usize = 200;
/// Reads of one transaction.
pub(crate) const GETS: u64 = 20;
/// Rows that reads find.
const STORED: u64 = 50_000;
/// Parts of the key space, one of which a range read takes.
const PARTS: u64 = 16;

static NEXT: AtomicU64 = AtomicU64::new(STORED);

/// What was measured of one subject.
#[derive(Default)]
pub(crate) struct Sum {
    /// Pieces of work done, a second.
    pub(crate) rate: f64,
    /// Of each, in ascending order.
    latencies: Vec<Duration>,
}

impl Sum {
    /// In milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let at = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

type Subjects = [Arc<dyn Subject>];
type Work = fn(&dyn Subject) -> BoxFuture<'_, ()>;

/// Spread over the key space, as accounts are.
fn key(n: u64) -> Vec<u8> {
    format!("{:016x}{n:08x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into_bytes()
}

fn row(n: u64) -> Row {
    (key(n), n.to_be_bytes().repeat(VALUE / 8))
}

/// Small commits of new rows.
pub(crate) async fn commits(subjects: &Subjects, writers: usize, rounds: usize) -> Vec<Sum> {
    let work: Work = |subject| {
        let n = NEXT.fetch_add(ROWS, Ordering::Relaxed);
        subject.commit((n..n + ROWS).map(row).collect())
    };
    in_turns(subjects, writers, rounds, work).await
}

/// Reads at random of what [`fill`] wrote.
pub(crate) async fn gets(subjects: &Subjects, readers: usize, rounds: usize) -> Vec<Sum> {
    let work: Work = |subject| subject.gets((0..GETS).map(|_| key(SystemRng.below(STORED))).collect());
    in_turns(subjects, readers, rounds, work).await
}

/// Reads of a part of what [`fill`] wrote.
pub(crate) async fn scans(subjects: &Subjects, readers: usize, rounds: usize) -> Vec<Sum> {
    let work: Work = |subject| {
        let n = SystemRng.below(PARTS);
        let end = if n + 1 == PARTS { "g".to_owned() } else { format!("{:x}", n + 1) };
        subject.scan(format!("{n:x}").into_bytes(), end.into_bytes())
    };
    in_turns(subjects, readers, rounds, work).await
}

/// About what one scan reads.
pub(crate) fn scanned_mb() -> f64 {
    let (key, value) = row(0);
    (STORED / PARTS) as f64 * (key.len() + value.len()) as f64 / 1e6
}

/// Writes the rows that reads find. Stores come with no rows of earlier work.
pub(crate) async fn fill(subjects: &Subjects) {
    for subject in subjects {
        for n in (0..STORED).step_by(1000) {
            subject.commit((n..n + 1000).map(row).collect()).await;
        }
    }
}

async fn in_turns(subjects: &Subjects, tasks: usize, rounds: usize, work: Work) -> Vec<Sum> {
    let mut sums: Vec<Sum> = subjects.iter().map(|_| Sum::default()).collect();
    let mut order: Vec<usize> = (0..subjects.len()).collect();
    for round in 0..=rounds {
        // In another order each time: what a store does after its turn must not always fall on the same next one.
        shuffle(&mut order);
        for &at in &order {
            let (rate, latencies) = timed(&subjects[at], tasks, work).await;
            // The first round warms up.
            if round > 0 {
                sums[at].rate += rate / rounds as f64;
                sums[at].latencies.extend(latencies);
            }
        }
    }
    sums.iter_mut().for_each(|sum| sum.latencies.sort_unstable());
    sums
}

fn shuffle(order: &mut [usize]) {
    for last in (1..order.len()).rev() {
        let other = SystemRng.below(last as u64 + 1) as usize;
        order.swap(last, other);
    }
}

/// Does `work` over and over in `tasks` tasks for a round.
async fn timed(subject: &Arc<dyn Subject>, tasks: usize, work: Work) -> (f64, Vec<Duration>) {
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let begun = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (subject, latencies) = (Arc::clone(subject), Arc::clone(&latencies));
        set.spawn(async move {
            let mut own = Vec::new();
            while begun.elapsed() < ROUND {
                let one = Instant::now();
                work(&*subject).await;
                own.push(one.elapsed());
            }
            latencies.lock().extend(own);
        });
    }
    set.join_all().await;
    let elapsed = begun.elapsed().as_secs_f64();
    let latencies = std::mem::take(&mut *latencies.lock());
    (latencies.len() as f64 / elapsed, latencies)
}
