//! What FoundationDB does on this machine, through this crate and through the `foundationdb` crate alone, in turns.
//! `cargo bench -p godwit-kv-fdb` on a process of its own; GODWIT_FDB_CLUSTER names the file of another cluster, which
//! is written to below a prefix and left as it was.

// A program that prints a table, and stops where something is wrong.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// A backend is measured below the retry loop too.
#![allow(clippy::disallowed_methods)]

use foundationdb::options::{ConflictRangeType, MutationType, StreamingMode};
use foundationdb::{KeySelector, RangeOption};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use godwit_kv_fdb::{Fdb, Options, open};
use kv::{Backend, Database, Error, TransactionOptions};
use parking_lot::Mutex;
use runtime::{Rng, SystemClock, SystemRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Short, so that what else the machine does falls on all alike.
const ROUND: Duration = Duration::from_millis(500);
const ROUNDS: usize = 8;
/// Rows of a small commit, and bytes of each.
const ROWS: u64 = 3;
const VALUE: usize = 200;
/// Rows that reads find.
const STORED: u64 = 50_000;
/// What the bench writes is below this.
const PREFIX: &[u8] = b"bench/";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let own = std::env::var_os("GODWIT_FDB_CLUSTER");
    let cluster = if own.is_none() { servers::foundationdb::cluster(1, 1, "single ssd") } else { None };
    let Some(cluster_file) =
        own.map(Into::into).or_else(|| cluster.as_ref().map(servers::foundationdb::Cluster::file))
    else {
        return;
    };
    let options = Options {
        cluster_file: Some(cluster_file),
        client_library: servers::foundationdb::client_library(),
        prefix: PREFIX.to_vec(),
        ..Options::default()
    };
    let bench = Arc::new(runtime.block_on(Bench::new(options)));
    println!(
        "client {}, {ROWS} rows of {VALUE} bytes, {ROUNDS} rounds of {ROUND:?} each\n",
        godwit_kv_fdb::client_version()
    );
    commits(&runtime, &bench);
    reads(&runtime, &bench);
    runtime.block_on(bench.layer.clear()).unwrap();
    drop((bench, runtime));
    godwit_kv_fdb::stop();
}

struct Bench {
    raw: foundationdb::Database,
    layer: Arc<Fdb>,
    database: Database,
    next: AtomicU64,
}

type Work = fn(Arc<Bench>) -> BoxFuture<'static, ()>;

impl Bench {
    async fn new(options: Options) -> Self {
        let path = options.cluster_file.clone().unwrap();
        let layer = open(options).await.unwrap();
        layer.clear().await.unwrap();
        let raw = foundationdb::Database::from_path(path.to_str().unwrap()).unwrap();
        let database = Database::new(layer.clone(), SystemClock::shared(), SystemRng::shared());
        Bench { raw, layer, database, next: AtomicU64::new(0) }
    }

    fn rows(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let n = self.next.fetch_add(ROWS, Ordering::Relaxed);
        (n..n + ROWS).map(|n| (key(n), vec![n as u8; VALUE]))
    }
}

/// Spread over the key space, as accounts are.
fn key(n: u64) -> Vec<u8> {
    format!("{:016x}{n:08x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into_bytes()
}

fn raw_key(n: &[u8]) -> Vec<u8> {
    [PREFIX, n].concat()
}

/// Blind writes.
fn raw_commit(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let txn = bench.raw.create_trx().unwrap();
        bench.rows().for_each(|(key, value)| txn.set(&raw_key(&key), &value));
        txn.commit().await.expect("commit");
    })
}

fn layer_commit(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let txn = bench.layer.begin(&TransactionOptions::default());
        bench.rows().for_each(|(key, value)| txn.set(&key, &value));
        txn.commit().await.expect("commit");
    })
}

/// Writes that are applied once whatever becomes of the answer: with a token that is read and written.
fn raw_once(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let txn = bench.raw.create_trx().unwrap();
        bench.rows().for_each(|(key, value)| txn.set(&raw_key(&key), &value));
        let mut token = [b'I'; 21];
        SystemRng.fill(&mut token[5..]);
        let token = raw_key(&token);
        let end = [&token[..], &[0]].concat();
        txn.add_conflict_range(&token, &end, ConflictRangeType::Read).unwrap();
        txn.atomic_op(&token, &[0; 18], MutationType::SetVersionstampedValue);
        let stamp = txn.get_versionstamp();
        let committed = txn.commit().await.expect("commit");
        assert_eq!(stamp.await.unwrap().len(), 10);
        drop(committed);
    })
}

fn layer_once(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let rows: Vec<_> = bench.rows().collect();
        let write = bench.database.transact("bench", |txn| {
            rows.iter().for_each(|(key, value)| txn.set(key, value));
            std::future::ready(Ok::<_, Error>(()))
        });
        write.await.expect("commit");
    })
}

fn raw_gets(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let txn = bench.raw.create_trx().unwrap();
        for _ in 0..20 {
            assert!(txn.get(&raw_key(&key(SystemRng.below(STORED))), false).await.unwrap().is_some());
        }
    })
}

fn layer_gets(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let read = bench.database.read("bench", |txn| async move {
            for _ in 0..20 {
                assert!(txn.get(&key(SystemRng.below(STORED))).await?.is_some());
            }
            Ok::<_, Error>(())
        });
        read.await.expect("gets");
    })
}

/// A sixteenth of the rows.
fn sixteenth() -> (Vec<u8>, Vec<u8>) {
    let n = SystemRng.below(16);
    (format!("{n:x}").into_bytes(), if n == 15 { b"g".to_vec() } else { format!("{:x}", n + 1).into_bytes() })
}

fn raw_scan(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let txn = bench.raw.create_trx().unwrap();
        let (begin, end) = sixteenth();
        let range = RangeOption {
            begin: KeySelector::first_greater_or_equal(raw_key(&begin)),
            end: KeySelector::first_greater_or_equal(raw_key(&end)),
            mode: StreamingMode::WantAll,
            ..RangeOption::default()
        };
        let mut pages = txn.get_ranges(range, true);
        while let Some(page) = pages.try_next().await.expect("page") {
            // As whoever wants the rows has to.
            let rows: Vec<_> = page.iter().map(|row| (row.key().to_vec(), row.value().to_vec())).collect();
            assert_eq!(rows.len(), page.len());
        }
    })
}

fn layer_scan(bench: Arc<Bench>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let (begin, end) = &sixteenth();
        let read = bench.database.read("bench", |txn| async move {
            let mut rows = txn.range(begin, end).snapshot().page_bytes(kv::limits::PAGE_BYTES);
            while rows.next_page().await?.is_some() {}
            Ok::<_, Error>(())
        });
        read.await.expect("scan");
    })
}

/// What one side of a comparison did.
#[derive(Default)]
struct Sum {
    rate: f64,
    /// In ascending order.
    latencies: Vec<Duration>,
}

impl Sum {
    fn percentile(&self, percent: usize) -> f64 {
        let at = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Runs both in turns, not always in the same order.
fn compare(
    runtime: &tokio::runtime::Runtime,
    bench: &Arc<Bench>,
    tasks: usize,
    works: [Work; 2],
) -> [Sum; 2] {
    let mut sums = [Sum::default(), Sum::default()];
    for round in 0..=ROUNDS {
        for turn in 0..2 {
            let side = (round + turn) % 2;
            let (rate, latencies) = runtime.block_on(timed(bench, tasks, works[side]));
            // The first round warms up.
            if round > 0 {
                sums[side].rate += rate / ROUNDS as f64;
                sums[side].latencies.extend(latencies);
            }
        }
    }
    sums.iter_mut().for_each(|sum| sum.latencies.sort_unstable());
    sums
}

/// Runs `work` over and over in `tasks` tasks for a round.
async fn timed(bench: &Arc<Bench>, tasks: usize, work: Work) -> (f64, Vec<Duration>) {
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let begun = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (bench, latencies) = (Arc::clone(bench), Arc::clone(&latencies));
        set.spawn(async move {
            let mut own = Vec::new();
            while begun.elapsed() < ROUND {
                let one = Instant::now();
                work(Arc::clone(&bench)).await;
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

fn commits(runtime: &tokio::runtime::Runtime, bench: &Arc<Bench>) {
    println!(
        "{:>8} {:>12} {:>12} {:>7} {:>14} {:>12} {:>7} {:>9} {:>9}",
        "writers", "raw/s", "layer/s", "layer", "raw, token/s", "transact/s", "layer", "p50 ms", "p99 ms"
    );
    for writers in [1, 8, 64, 256] {
        let [raw, layer] = compare(runtime, bench, writers, [raw_commit, layer_commit]);
        let [raw_once, once] = compare(runtime, bench, writers, [raw_once, layer_once]);
        println!(
            "{writers:>8} {:>12.0} {:>12.0} {:>6.0}% {:>14.0} {:>12.0} {:>6.0}% {:>9.1} {:>9.1}",
            raw.rate,
            layer.rate,
            100.0 * layer.rate / raw.rate,
            raw_once.rate,
            once.rate,
            100.0 * once.rate / raw_once.rate,
            once.percentile(50),
            once.percentile(99),
        );
    }
}

fn reads(runtime: &tokio::runtime::Runtime, bench: &Arc<Bench>) {
    runtime.block_on(async {
        bench.layer.clear().await.unwrap();
        for n in (0..STORED).step_by(1000) {
            let txn = bench.layer.begin(&TransactionOptions::default());
            (n..n + 1000).for_each(|n| txn.set(&key(n), &[n as u8; VALUE]));
            txn.commit().await.expect("fill");
        }
    });
    println!(
        "\n{:>24} {:>12} {:>12} {:>7} {:>9} {:>9}",
        "reads", "raw", "layer", "layer", "p50 ms", "p99 ms"
    );
    let mb = (STORED / 16) as f64 * (VALUE + key(0).len()) as f64 / 1e6;
    let rows: [(&str, f64, usize, [Work; 2]); 3] = [
        ("gets/s, 1 reader", 20.0, 1, [raw_gets, layer_gets]),
        ("gets/s, 64 readers", 20.0, 64, [raw_gets, layer_gets]),
        ("range MB/s, 4 readers", mb, 4, [raw_scan, layer_scan]),
    ];
    for (name, each, readers, works) in rows {
        let [raw, layer] = compare(runtime, bench, readers, works);
        println!(
            "{name:>24} {:>12.0} {:>12.0} {:>6.0}% {:>9.1} {:>9.1}",
            each * raw.rate,
            each * layer.rate,
            100.0 * layer.rate / raw.rate,
            layer.percentile(50),
            layer.percentile(99),
        );
    }
}
