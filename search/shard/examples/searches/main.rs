//! What a body search costs in a mailbox of up to 1,000,000 messages, in the way of IMAP's SEARCH: the index as it is
//! published, the log behind it, and the rows of the mailbox, on an embedded store on disk.
//!
//! `cargo run --release -p godwit-shard --example searches -- 1000 100000 1000000`: for each number of messages what it took to
//! index them and how large that is, then by kind of needle p50 and p99, cold and warm. A process of its own asks, so that
//! its memory is that of a reader. Wall time is what a user waits for; CPU time is what holds on a busy machine.
//!
//! Messages are made of `GODWIT_CORPUS`, `GODWIT_SEARCHES_TEXT` bytes (1,500) of the text of each. The store lies in
//! `GODWIT_BENCH_DIR` (/tmp). `GODWIT_SEARCHES_KEEP=1` leaves it there; a run that finds one fills nothing and makes the index
//! anew. `ask FOLDER COUNT` only asks, `ask FOLDER COUNT warm` leaves the store as it is.
//! `GODWIT_SEARCHES_CACHE` are the MiB of the index that are kept (256). With `GODWIT_SEARCHES_KIND` only needles of the kinds
//! with that in their names are asked for, and listed by what they took; `=in the` asks for that alone, many times.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program that prints and stops

mod asking;
mod figures;
mod filling;
mod mails;
mod needles;
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::mails::Mails;
use crate::world::World;

/// As the node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let [verb, dir, count, only @ ..] = words.as_slice()
        && verb == "ask"
    {
        let only_warm = only.first().is_some_and(|only| only == "warm");
        return runtime.block_on(asking::ask(Path::new(dir), count.parse().unwrap(), only_warm));
    }
    let mut counts: Vec<usize> = words.iter().filter_map(|count| count.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![1_000, 100_000, 1_000_000];
    }
    for count in counts {
        let dir = folder(count);
        runtime.block_on(filled(&dir, count));
        let asked = Command::new(std::env::current_exe().unwrap())
            .arg("ask")
            .arg(&dir)
            .arg(count.to_string())
            .status();
        if std::env::var_os("GODWIT_SEARCHES_KEEP").is_none() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        assert!(asked.unwrap().success(), "it could not be asked");
    }
}

fn folder(count: usize) -> PathBuf {
    let at = std::env::var("GODWIT_BENCH_DIR").unwrap_or("/tmp".into());
    Path::new(&at).join(format!("godwit-searches-{count}"))
}

async fn filled(dir: &Path, count: usize) {
    println!("\n## {count} messages");
    let mails = Mails::read();
    let world = World::open(dir).await;
    if world.count().await == 0 {
        filling::fill(&world, &mails, count).await;
    }
    filling::index(&world, &mails, count).await;
    world.db.close().await.unwrap();
}
