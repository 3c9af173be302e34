//! What the index costs on real mail: rate, size and latency, beside Tantivy without what is ours.
//!
//! `cargo run --release -p godwit-index --example bench -- 1000 100000`: a table for each number of messages, real ones of
//! the corpus and, beyond their number, changed ones. Times are CPU time of the one thread, so that a machine with other
//! things to do does not matter.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program that prints and stops

mod bare;
mod mails;
mod ours;

use std::sync::atomic::Ordering;
use std::time::Duration;

use godwit_index::{Ranked, Reader};
use query::{Field, Filter, Needle};
use rustix::time::{ClockId, clock_gettime};
use schema::AccountId;

use crate::bare::{Bare, Searched};
use crate::mails::Mails;
use crate::ours::{Ours, Published};

/// As the node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACCOUNT: AccountId = AccountId(1);
/// Messages of a segment when it is built.
const SEGMENT: usize = 10_000;
/// Needles that are asked for.
const NEEDLES: usize = 400;
/// Of these, with nothing in memory.
const COLD: usize = 20;

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let mails = Mails::read();
    let counts = if counts.is_empty() { vec![1_000, mails.len(), 100_000] } else { counts };
    for count in counts {
        measure(&mails, count);
    }
}

/// CPU time of this thread until now.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

fn measure(mails: &Mails, count: usize) {
    let folder = std::env::temp_dir().join(format!("godwit-bench-index-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (mut ours, mut bare) = (Ours::new(folder.clone()), Bare::new());
    let (mut raw, mut text) = (0, 0);
    for at in 0..count {
        let mail = mails.nth(at);
        let words = mail.text();
        raw += mail.bytes.len();
        text += words.len();
        ours.add(at, &mail);
        bare.add(&words);
    }
    println!("\n{count} messages, {:.1} MB, text {:.1} MB", mb(raw), mb(text));
    let published = ours.finish();
    let (bare, adding, bytes) = bare.finish();
    println!("| | messages/s | MB of text/s | with merging | size / text |\n|---|---|---|---|---|");
    rates("godwit", count, text, ours.adding, ours.merging, published.bytes());
    rates("bare Tantivy", count, text, adding, bare.merging, bytes);
    let parts =
        published.kinds().into_iter().map(|(kind, size)| format!("{kind} {:.3}", size as f64 / text as f64));
    println!("files as shares of the text: {}", parts.collect::<Vec<_>>().join(", "));
    println!("memory of a segment that is built: {:.0} MB", mb(ours.most_memory));
    queries(mails, &published, &bare);
    std::fs::remove_dir_all(folder).unwrap();
}

fn rates(name: &str, count: usize, text: usize, adding: Duration, merging: Duration, bytes: u64) {
    let (once, all) = (adding.as_secs_f64(), (adding + merging).as_secs_f64());
    println!(
        "| {name} | {:.0} | {:.2} | {:.0} messages/s | {:.3} |",
        count as f64 / once,
        mb(text) / once,
        count as f64 / all,
        bytes as f64 / text as f64
    );
}

fn queries(mails: &Mails, published: &Published, bare: &Searched) {
    let needles = mails.needles(NEEDLES);
    println!("| query, CPU time | p50 ms | p99 ms | worst ms |\n|---|---|---|---|");
    let read = |published: &Published| published.disk.read.swap(0, Ordering::Relaxed);
    let (mut opening, mut cold, mut bytes) = (Vec::new(), Vec::new(), 0);
    for needle in needles.iter().take(COLD) {
        let begin = cpu();
        let reader = published.open();
        opening.push(cpu() - begin);
        read(published);
        cold.push(timed(|| body(&reader, needle)).0);
        bytes += read(published);
    }
    latency("open", opening);
    latency("BODY, empty cache", cold);
    println!("read by a query with an empty cache: {:.2} MB", mb(bytes as usize) / COLD as f64);
    let before = memory();
    let reader = published.open();
    let looked_at: usize = needles.iter().map(|needle| body(&reader, needle).1).sum();
    println!(
        "memory of a reader, its cache included: {:.0} MB",
        memory().saturating_sub(before) as f64 / 1e6
    );
    let ask = |filter: &dyn Fn(&String) -> Filter| {
        let one = |needle| timed(|| reader.find(ACCOUNT, &filter(needle)).unwrap().unwrap()).0;
        needles.iter().map(one).collect::<Vec<_>>()
    };
    latency("BODY", ask(&|needle| Filter::Body(Needle::new(needle))));
    latency("TEXT", ask(&|needle| Filter::Text(Needle::new(needle))));
    latency("SUBJECT", ask(&|needle| Filter::Header(Field::Subject, Needle::new(needle))));
    let named = |needle: &String| Filter::Header(Field::Named("List-Id".into()), Needle::new(needle));
    latency("HEADER List-Id", ask(&named));
    let best =
        |needle: &String| timed(|| reader.rank(ACCOUNT, &Ranked::Words(needle.clone()), 50).unwrap()).0;
    latency("FUZZY, 50 best", needles.iter().map(best).collect());
    latency("bare Tantivy, words", needles.iter().map(|needle| timed(|| bare.count(needle)).0).collect());
    println!("messages to be looked at, of {NEEDLES} queries: {looked_at}");
    slowest(&reader, &needles);
}

/// Matches, and messages that are to be looked at.
fn body(reader: &Reader, needle: &str) -> (usize, usize) {
    let answer = reader.find(ACCOUNT, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
    (answer.sure.len(), answer.maybe.len())
}

fn slowest(reader: &Reader, needles: &[String]) {
    let mut times: Vec<_> = needles.iter().map(|needle| (timed(|| body(reader, needle)), needle)).collect();
    times.sort_by_key(|((took, _), _)| std::cmp::Reverse(*took));
    let shown = times.iter().take(5).map(|((took, (sure, _)), needle)| {
        format!("{needle:?} {sure} in {:.1} ms", took.as_secs_f64() * 1e3)
    });
    println!("slowest: {}", shown.collect::<Vec<_>>().join(", "));
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let begin = cpu();
    let found = run();
    (cpu() - begin, found)
}

fn latency(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("| {name} | {:.2} | {:.2} | {:.2} |", ms(50), ms(99), ms(100));
}

/// Resident bytes of this process.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
