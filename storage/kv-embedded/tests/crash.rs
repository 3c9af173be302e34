//! Kills the store's process (SIGKILL) in the middle of a commit storm, over and over on one folder, and looks
//! whether each acknowledged commit is there, whole, and none in part.

// A backend is tested below the retry loop.
#![allow(missing_docs, clippy::disallowed_methods, clippy::unwrap_used)]

use godwit_kv_embedded::engine::Settings;
use godwit_kv_embedded::{Embedded, Options, open};
use kv::{Backend, RangeRequest, TransactionOptions};
use runtime::{Rng, SeededRng, SystemClock};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const THREADS: usize = 16;
const KILLS: u64 = 25;
/// A thread keeps so many of its commits.
const KEPT: u64 = 20;
const FOLDER: &str = "GODWIT_CRASH_TEST_FOLDER";

fn open_store(folder: &Path) -> Arc<Embedded> {
    let engine = Settings {
        memtable_bytes: 256 << 10,
        log_bytes: 8 << 20,
        segment_bytes: 2 << 20,
        allocation_step: 256 << 10,
        ..Settings::default()
    };
    let options = Options::new(SystemClock::shared(), Arc::new(SeededRng::new(1)));
    open(folder, Options { engine, ..options }).unwrap()
}

fn body(thread: usize, n: u64) -> Vec<u8> {
    let rng = SeededRng::new((thread as u64) << 40 | n);
    let mut body = vec![b'-'; 1000 + (rng.u64() % 30_000) as usize];
    let noisy = body.len() / 2;
    rng.fill(&mut body[..noisy]);
    body
}

fn key(thread: usize, kind: &str, n: u64) -> Vec<u8> {
    format!("{thread:02}/{kind}/{n:08}").into_bytes()
}

/// One commit: the number, a small row and a large row that must agree; and an old commit is cleared.
async fn commit(store: &Embedded, thread: usize, n: u64) {
    let txn = store.begin(&TransactionOptions::default());
    txn.set(format!("{thread:02}/last").as_bytes(), &n.to_be_bytes());
    txn.set(&key(thread, "small", n), &n.to_be_bytes());
    txn.set(&key(thread, "large", n), &body(thread, n));
    for kind in ["small", "large"] {
        txn.clear_range(&key(thread, kind, 0), &key(thread, kind, n.saturating_sub(KEPT) + 1));
    }
    txn.commit().await.unwrap();
}

async fn last(store: &Embedded, thread: usize) -> u64 {
    let txn = store.begin(&TransactionOptions::default());
    let stored = txn.get(format!("{thread:02}/last").as_bytes(), true).await.unwrap();
    stored.map_or(0, |stored| u64::from_be_bytes(stored[..].try_into().unwrap()))
}

async fn rows(store: &Embedded, thread: usize, kind: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut request = RangeRequest::new(key(thread, kind, 0), key(thread, kind, 99_999_999));
    request.target_bytes = usize::MAX;
    let page = store.begin(&TransactionOptions::default()).range(&request).await.unwrap();
    page.rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// What a thread finds of its own commits: the last one's number, if all of them are whole.
async fn check(store: &Embedded, thread: usize, acknowledged: u64) -> u64 {
    let last = last(store, thread).await;
    assert!(
        last == acknowledged || last == acknowledged + 1,
        "thread {thread}: {acknowledged} acknowledged, {last} found"
    );
    let numbers = || last.saturating_sub(KEPT) + 1..=last;
    let small: Vec<_> = numbers().map(|n| (key(thread, "small", n), n.to_be_bytes().to_vec())).collect();
    assert_eq!(rows(store, thread, "small").await, small, "thread {thread}");
    let large: Vec<_> = numbers().map(|n| (key(thread, "large", n), body(thread, n))).collect();
    assert!(rows(store, thread, "large").await == large, "thread {thread}: large rows");
    last
}

/// The process that is killed: commits in all threads and says so after each.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open_store(Path::new(&folder));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for n in runtime.block_on(last(&store, thread)) + 1.. {
                    runtime.block_on(commit(&store, thread, n));
                    let line = format!("ack {thread} {n}\n");
                    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Starts a child, kills it after `acks` acknowledgements, and notes all it has acknowledged.
fn storm(folder: &Path, acks: u64, acknowledged: &mut [u64; THREADS]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = 0;
    // After the kill, what is in the pipe was acknowledged too.
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        // The test runner's own words may stand before the first one.
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [.., "ack", thread, n] = words[..] {
            acknowledged[thread.parse::<usize>().unwrap()] = n.parse().unwrap();
            seen += 1;
        }
        if seen == acks {
            child.kill().unwrap();
        }
    }
    assert!(seen >= acks, "the child ended by itself after {seen}");
    child.wait().unwrap();
}

#[test]
fn no_kill_takes_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rng = SeededRng::new(25);
    let mut acknowledged = [0; THREADS];
    for _ in 0..KILLS {
        storm(folder.path(), 1 + rng.u64() % 250, &mut acknowledged);
        let store = open_store(folder.path());
        for (thread, last) in acknowledged.iter_mut().enumerate() {
            *last = runtime.block_on(check(&store, thread, *last));
        }
    }
}
