//! What the store does on this machine: durable commits beside the engine's own rate and beside plain redb, reads,
//! bytes written. `cargo bench -p godwit-kv-embedded`; GODWIT_BENCH_DIR says where (the disk matters).

// A program that prints a table, and stops where something is wrong.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]
// A backend is measured below the retry loop.
#![allow(clippy::disallowed_methods)]

use bytes::Bytes;
use godwit_kv_embedded::engine::disk::OsDisk;
use godwit_kv_embedded::engine::{Batch, Engine, LogEngine, Op, Settings, Value};
use godwit_kv_embedded::{Embedded, Options, open};
use kv::{Backend, RangeRequest, TransactionOptions};
use runtime::{Rng, SeededRng, SharedRng, SystemClock};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Short, so that what else the disk does falls on all alike.
const ROUND: Duration = Duration::from_millis(150);
const ROUNDS: usize = 20;
/// Rows of a small commit.
const ROWS: u64 = 3;

fn main() {
    let within = std::env::var_os("GODWIT_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(within).expect("a folder for the bench");
    commits(folder.path());
    reads(folder.path());
    println!("\n{:>24} {:>12} {:>14} {:>8}", "messages", "commits/s", "bytes each", "ratio");
    for (body, writers) in [(4 << 10, 1), (4 << 10, 16), (4 << 10, 64), (100_000, 16)] {
        message_bytes(&folder.path().join(format!("messages-{body}-{writers}")), body, writers);
    }
}

fn rng() -> SharedRng {
    Arc::new(SeededRng::new(1))
}

fn open_store(path: &Path) -> Arc<Embedded> {
    open(path, Options::new(SystemClock::shared(), rng())).expect("open the store")
}

fn row(n: u64) -> (Bytes, Bytes) {
    // Spread over the key space, as accounts are.
    let key = format!("{:016x}{n:08x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (key.into(), vec![n as u8; 200].into())
}

/// Small durable commits: this store, its engine alone at the same batch size, redb alone; in turns.
fn commits(folder: &Path) {
    println!(
        "{:>8} {:>12} {:>8} {:>14} {:>8} {:>14} {:>8}",
        "writers", "commits/s", "group", "engine alone", "layer", "redb alone", "ratio"
    );
    let mut first = None;
    for writers in [1, 8, 64] {
        let store = open_store(&folder.join(format!("store-{writers}")));
        let engine = open_engine(&folder.join(format!("engine-{writers}")));
        let plain = redb::Database::create(folder.join(format!("redb-{writers}"))).unwrap();
        let next = AtomicU64::new(0);
        let (mut ours, mut raw, mut theirs, mut group) = (0.0, 0.0, 0.0, 1.0);
        for round in 0..=ROUNDS {
            // In turns, and not always in the same order: a disk may be fast after a rest.
            let before = if round % 2 == 1 { engine_rate(&engine, group, &next) } else { 0.0 };
            let groups = store.groups();
            let (count, rate) = timed_writers(writers, &|| small_commit(&store, &next));
            group = count as f64 / (store.groups() - groups).max(1) as f64;
            let alone = if round % 2 == 1 { before } else { engine_rate(&engine, group, &next) };
            let other = redb_rate(&plain, writers, &next);
            // The first round warms up.
            if round > 0 {
                ours += rate / ROUNDS as f64;
                raw += alone / ROUNDS as f64;
                theirs += other / ROUNDS as f64;
            }
        }
        let one = *first.get_or_insert(ours);
        println!(
            "{writers:>8} {ours:>12.0} {group:>8.1} {raw:>14.0} {:>7.0}% {theirs:>14.0} {:>7.1}x   ({:.1}x of one writer)",
            100.0 * ours / raw,
            ours / theirs,
            ours / one
        );
    }
}

async fn small_commit(store: &Embedded, next: &AtomicU64) {
    let n = next.fetch_add(ROWS, Ordering::Relaxed);
    let txn = store.begin(&TransactionOptions::default());
    for i in 0..ROWS {
        let (key, value) = row(n + i);
        txn.set_bytes(key, value);
    }
    txn.commit().await.expect("commit");
}

/// Runs `work` over and over in `writers` tasks for a round. How often it was done, and how often a second.
fn timed_writers<'a, F: Future<Output = ()> + Send + 'a>(
    writers: usize,
    work: &'a (impl Fn() -> F + Sync),
) -> (u64, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let begun = Instant::now();
    let loops = (0..writers).map(|_| async {
        let mut count = 0u64;
        while begun.elapsed() < ROUND {
            work().await;
            count += 1;
        }
        count
    });
    let counts: Vec<u64> = runtime.block_on(futures::future::join_all(loops));
    let count = counts.iter().sum();
    (count, count as f64 / begun.elapsed().as_secs_f64())
}

fn open_engine(path: &Path) -> Arc<LogEngine> {
    let disk = Arc::new(OsDisk::open(path).unwrap());
    LogEngine::open(disk, Settings::default(), &rng()).expect("open the engine")
}

/// Commits a second of the engine alone, `group` at a time.
fn engine_rate(engine: &LogEngine, group: f64, next: &AtomicU64) -> f64 {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < ROUND {
        let from = engine.last_version() + 1;
        let batch = |version| {
            let n = next.fetch_add(ROWS, Ordering::Relaxed);
            let ops = (0..ROWS).map(|i| row(n + i)).map(|(key, value)| Op::Set(key, Value::prepare(value)));
            Batch { version, ops: ops.collect() }
        };
        let batches: Vec<_> = (from..from + (group.round() as u64).max(1)).map(batch).collect();
        engine.apply(&batches).expect("apply");
        count += batches.len();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

const TABLE: redb::TableDefinition<'static, &'static [u8], &'static [u8]> =
    redb::TableDefinition::new("rows");

/// Commits a second of redb alone, each durable by itself.
fn redb_rate(database: &redb::Database, writers: usize, next: &AtomicU64) -> f64 {
    let count = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                while begun.elapsed() < ROUND {
                    let n = next.fetch_add(ROWS, Ordering::Relaxed);
                    let txn = database.begin_write().unwrap();
                    let mut table = txn.open_table(TABLE).unwrap();
                    for (key, value) in (0..ROWS).map(|i| row(n + i)) {
                        table.insert(&key[..], &value[..]).unwrap();
                    }
                    drop(table);
                    txn.commit().unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

/// Point reads and range scans of one thread, from the index and from the memory table.
fn reads(folder: &Path) {
    const KEYS: u64 = 300_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open_store(&folder.join("reads"));
    let fill = |from: u64, to: u64| {
        for n in (from..to).step_by(1000) {
            let txn = store.begin(&TransactionOptions::default());
            (n..(n + 1000).min(to)).map(row).for_each(|(key, value)| txn.set_bytes(key, value));
            runtime.block_on(txn.commit()).expect("commit");
        }
    };
    fill(0, KEYS);
    store.checkpoint().expect("checkpoint");
    let cold = rates(&runtime, &store, KEYS);
    fill(KEYS, KEYS + 30_000);
    let mixed = rates(&runtime, &store, KEYS);
    println!("\n{:>24} {:>14} {:>14}", "reads, one thread", "gets/s", "scanned keys/s");
    println!("{:>24} {:>14.0} {:>14.0}", "index", cold.0, cold.1);
    println!("{:>24} {:>14.0} {:>14.0}", "index and memory table", mixed.0, mixed.1);
}

fn rates(runtime: &tokio::runtime::Runtime, store: &Embedded, keys: u64) -> (f64, f64) {
    let rng = SeededRng::new(5);
    let (begun, mut gets) = (Instant::now(), 0u64);
    while begun.elapsed() < 5 * ROUND {
        let txn = store.begin(&TransactionOptions::default());
        for _ in 0..100 {
            let (key, _) = row(rng.u64() % keys);
            assert!(runtime.block_on(txn.get(&key, true)).expect("get").is_some());
            gets += 1;
        }
    }
    let gets = gets as f64 / begun.elapsed().as_secs_f64();
    let (begun, mut scanned) = (Instant::now(), 0u64);
    while begun.elapsed() < 5 * ROUND {
        let txn = store.begin(&TransactionOptions::default());
        let mut begin = Bytes::from_static(b"0");
        loop {
            let mut request = RangeRequest::new(begin, Bytes::from_static(b"g"));
            request.snapshot = true;
            let page = runtime.block_on(txn.range(&request)).expect("range");
            scanned += page.rows.len() as u64;
            let Some((last, _)) = page.rows.last().filter(|_| page.more) else { break };
            begin = [&last[..], &[0]].concat().into();
        }
    }
    (gets, scanned as f64 / begun.elapsed().as_secs_f64())
}

/// Bytes this process has had written to disks.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0)
}

/// Commits as a delivered message makes them: a body that does not compress, and fifteen small rows.
fn message_bytes(path: &Path, body: usize, writers: usize) {
    let store = open_store(path);
    let (next, noise) = (AtomicU64::new(0), SeededRng::new(9));
    let before = written();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < 24 * ROUND {
        count += timed_writers(writers, &|| message_commit(&store, &next, &noise, body)).0;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    store.checkpoint().expect("checkpoint");
    let each = (written() - before) as f64 / count as f64;
    let what = format!("{body} bytes, {writers} writers");
    println!("{what:>24} {rate:>12.0} {each:>14.0} {:>7.2}x", each / body as f64);
}

async fn message_commit(store: &Embedded, next: &AtomicU64, noise: &SeededRng, body: usize) {
    let n = next.fetch_add(1, Ordering::Relaxed);
    let (account, uid) = (n % 500, n / 500);
    let mut bytes = vec![0; body];
    noise.fill(&mut bytes);
    let txn = store.begin(&TransactionOptions::default());
    txn.set(&[&[b'B'][..], &bytes[..32]].concat(), &bytes);
    txn.set(&[&[b'R'][..], &bytes[..32]].concat(), &account.to_be_bytes());
    txn.set(format!("a{account:08}summary{uid:012}").as_bytes(), &bytes[..400.min(body)]);
    for index in 0..9 {
        txn.set(
            format!("a{account:08}index{index}{:016x}{uid:08}", noise.u64() >> 20).as_bytes(),
            &uid.to_be_bytes(),
        );
    }
    for counter in 0..3 {
        txn.atomic(
            kv::AtomicOp::Add,
            format!("a{account:08}counter{counter}").as_bytes(),
            &1u64.to_le_bytes(),
        );
    }
    txn.commit().await.expect("commit");
}
