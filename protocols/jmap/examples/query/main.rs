//! What queries of a large account cost, on the embedded store: `cargo run --release -p godwit-jmap --example query -- 1000000`.
//!
//! Fills an account with so many emails in up to 5,000 mailboxes through the verbs of `mail`, and asks for them as clients do;
//! prints how long each call took from its JSON to the answer's.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench that can not go on says so

mod asked;
mod filled;
mod world;

use std::time::{Duration, Instant};

use filled::fill;
use runtime::SeededRng;
use serde_json::{Value, json};
use world::World;

/// Calls of each kind.
const CALLS: usize = 300;
/// A first call that takes longer is worth a line of its own.
const REMARKABLE: Duration = Duration::from_millis(50);
/// Emails that one call changes.
const MANY: usize = 500;
/// Deliveries of an hour.
const HOUR: usize = 200;

fn main() {
    let emails = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(emails));
}

async fn run(emails: usize) {
    let world = World::new().await;
    let begun = Instant::now();
    let mailboxes = fill(&world, emails).await;
    println!("{emails} emails in {} mailboxes, filled in {:.0?}", mailboxes.len(), begun.elapsed());
    println!("resident before the first query: {} MiB", resident());
    let begun = Instant::now();
    world.told("Email/query", json!({"accountId": world::account(), "limit": 50})).await;
    println!(
        "the first query, which makes the catalogue: {:.0?}; resident {} MiB",
        begun.elapsed(),
        resident()
    );
    println!("{:58} {:>9} {:>9} {:>9}", "", "p50", "p99", "max");
    let random = SeededRng::new(1);
    for (name, mut arguments) in asked::queries(&mailboxes) {
        arguments["accountId"] = world::account().into();
        let mut times = Vec::with_capacity(CALLS);
        // What is kept of an order, or read of summaries, is made by the first of all.
        let first = timed(&world, "Email/query", asked::drawn(&arguments, emails, &random)).await;
        if first > REMARKABLE {
            println!("{:58} {first:.0?}", format!("{name}, for the first time"));
        }
        for _ in 0..CALLS {
            let arguments = asked::drawn(&arguments, emails, &random);
            times.push(timed(&world, "Email/query", arguments).await);
        }
        print(name, times);
    }
    lists(&world, emails, &random).await;
    changes(&world, &mailboxes).await;
    sets(&world, emails, &random).await;
    away(&world, &mailboxes, emails).await;
    println!("resident at the end: {} MiB", resident());
}

/// Email/get of 500, anywhere.
async fn lists(world: &World, emails: usize, random: &SeededRng) {
    let (mut rows, mut lists, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = [0; 2];
    for _ in 0..CALLS / 3 {
        let arguments = json!({"accountId": world::account(), "limit": 500, "position": "anywhere"});
        let ids =
            world.told("Email/query", asked::drawn(&arguments, emails - 500, random)).await["ids"].clone();
        let mut arguments = json!({"accountId": world::account(), "ids": ids, "properties": asked::ROWS});
        let before = cpu();
        rows.push(timed(world, "Email/get", arguments.clone()).await);
        arguments["properties"] = json!(asked::LIST);
        let between = cpu();
        lists.push(timed(world, "Email/get", arguments).await);
        // A thread that ended takes what it had with it.
        used = [used[0] + between.saturating_sub(before), used[1] + cpu().saturating_sub(between)];
        let told = world
            .told("Email/get", json!({"accountId": world::account(), "ids": ids, "properties": ["threadId"]}))
            .await;
        let ids: Vec<&Value> =
            told["list"].as_array().unwrap().iter().map(|email| &email["threadId"]).collect();
        let arguments = json!({"accountId": world::account(), "ids": ids});
        threads.push(timed(world, "Thread/get", arguments).await);
    }
    let [of_rows, of_lists] = used.map(|used| used as f64 / (CALLS / 3) as f64 / 1e6);
    println!(
        "Email/get of 500, CPU with that of who asks: {of_rows:.2} ms for rows, {of_lists:.2} ms for a list"
    );
    print("Email/get of 500: mailboxes, keywords, thread", rows);
    print("Email/get of 500: what a list shows", lists);
    print("Thread/get of the threads of 500", threads);
}

/// A query, and what changed, behind each delivery.
async fn changes(world: &World, mailboxes: &[mail::MailboxRef]) {
    let (mut queries, mut changes) = (Vec::new(), Vec::new());
    let mut state = String::new();
    for n in 0..CALLS {
        filled::append(world, mailboxes[n % mailboxes.len()], n).await;
        let arguments = json!({"accountId": world::account(), "limit": 50, "calculateTotal": true});
        let begun = Instant::now();
        let told = world.told("Email/query", arguments).await;
        queries.push(begun.elapsed());
        if n > 0 {
            let arguments = json!({"accountId": world::account(), "sinceQueryState": state});
            changes.push(timed(world, "Email/queryChanges", arguments).await);
        }
        told["queryState"].as_str().unwrap().clone_into(&mut state);
    }
    print("Email/query behind a delivery", queries);
    print("Email/queryChanges behind a delivery", changes);
}

/// Email/set of 500, anywhere, and a query behind each.
async fn sets(world: &World, emails: usize, random: &SeededRng) {
    let (mut sets, mut queries) = (Vec::new(), Vec::new());
    for n in 0..CALLS / 10 {
        sets.push(timed(world, "Email/set", flagged(world, emails, random, n).await).await);
        let arguments =
            json!({"accountId": world::account(), "filter": {"notKeyword": "$seen"}, "limit": 50});
        queries.push(timed(world, "Email/query", arguments).await);
    }
    print("Email/set of 500: a keyword", sets);
    print("Email/query behind it", queries);
}

async fn flagged(world: &World, emails: usize, random: &SeededRng, n: usize) -> Value {
    let arguments = json!({"accountId": world::account(), "limit": MANY, "position": "anywhere"});
    let told = world.told("Email/query", asked::drawn(&arguments, emails - MANY, random)).await;
    let ids = told["ids"].as_array().unwrap().iter().filter_map(Value::as_str);
    let value = if n.is_multiple_of(2) { Value::Bool(true) } else { Value::Null };
    let update: Value = ids
        .map(|id| (id.to_owned(), json!({"keywords/$flagged": value})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({"accountId": world::account(), "update": update})
}

/// What changed in an hour: 200 emails came, 500 were flagged.
async fn away(world: &World, mailboxes: &[mail::MailboxRef], emails: usize) {
    let of = |name: &str, value: &Value| json!({"accountId": world::account(), name: value});
    let since = world.told("Email/get", of("ids", &json!([]))).await["state"].clone();
    for n in 0..HOUR {
        filled::append(world, mailboxes[n % mailboxes.len()], CALLS + n).await;
    }
    world.told("Email/set", flagged(world, emails, &SeededRng::new(2), 0).await).await;
    for (method, name) in [
        ("Email/changes", "sinceState"),
        ("Thread/changes", "sinceState"),
        ("Mailbox/changes", "sinceState"),
        ("Email/queryChanges", "sinceQueryState"),
    ] {
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS / 3 {
            times.push(timed(world, method, of(name, &since)).await);
        }
        print(&format!("{method} after an hour: 200 came, 500 were flagged"), times);
    }
}

async fn timed(world: &World, method: &str, arguments: Value) -> Duration {
    let begun = Instant::now();
    world.told(method, arguments).await;
    begun.elapsed()
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
    println!("{name:58} {:6.2} ms {:6.2} ms {:6.2} ms", at(50), at(99), at(100));
}

/// Nanoseconds of CPU that the threads of this process have had.
fn cpu() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |task: std::fs::DirEntry| {
        let told = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        told.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default()
    };
    tasks.map(of).sum()
}

/// Memory of this process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or_default()
        / 1_024
}
