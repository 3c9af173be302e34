//! What queries of a large account cost, on the embedded store: `cargo run --release -p godwit-jmap --example query -- 1000000`.
//!
//! Fills an account with so many emails in up to 5,000 mailboxes through the verbs of `mail`, and asks for them as clients do;
//! prints how long each call took from its JSON to the answer's, and what it took of a processor, which is what holds on a
//! machine that others share. The store lies in `GODWIT_BENCH_DIR` (/tmp); `GODWIT_QUERY_KEEP=1` leaves it there, and a run that
//! finds one fills nothing. A second argument has only those queries asked that have it in their names (`lists`, `changes`: what
//! comes behind the queries).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench that can not go on says so

mod asked;
mod figures;
mod filled;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use figures::{Took, print, resident};
use filled::fill;
use runtime::SeededRng;
use serde_json::{Value, json};
use world::World;

/// As the node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let dir = std::env::var("GODWIT_BENCH_DIR").unwrap_or("/tmp".into());
    let dir = Path::new(&dir).join(format!("godwit-query-{emails}"));
    runtime.block_on(run(&dir, emails));
    if std::env::var_os("GODWIT_QUERY_KEEP").is_none() {
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

async fn run(dir: &Path, emails: usize) {
    let world = World::open(dir).await;
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
    println!(
        "{:58} {:>9} {:>9} {:>9}   CPU: {:>4} {:>9} {:>9}",
        "", "p50", "p99", "max", "p50", "p99", "max"
    );
    let random = SeededRng::new(1);
    for (name, mut arguments) in asked::queries(&mailboxes).into_iter().filter(|(name, _)| is_asked(name)) {
        arguments["accountId"] = world::account().into();
        let mut times = Vec::with_capacity(CALLS);
        // What is kept of an order, or read of summaries, is made by the first of all.
        let first = timed(&world, "Email/query", asked::drawn(&arguments, emails, &random)).await;
        if first.wall > REMARKABLE {
            println!("{:58} {:.0?}", format!("{name}, for the first time"), first.wall);
        }
        for _ in 0..CALLS {
            let arguments = asked::drawn(&arguments, emails, &random);
            times.push(timed(&world, "Email/query", arguments).await);
        }
        print(name, times);
    }
    if is_asked("lists") {
        lists(&world, emails, &random).await;
    }
    if is_asked("changes") {
        changes(&world, &mailboxes).await;
        sets(&world, emails, &random).await;
        away(&world, &mailboxes, emails).await;
    }
    println!("resident at the end: {} MiB", resident());
    world.db.close().await.unwrap();
}

/// Whether the second argument, if there is one, is in a name.
fn is_asked(name: &str) -> bool {
    std::env::args().nth(2).is_none_or(|asked| name.contains(&asked))
}

/// Email/get of 500, anywhere.
async fn lists(world: &World, emails: usize, random: &SeededRng) {
    let (mut rows, mut lists, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    // Rows in the order of ids are kept from the first of all on.
    let arguments = json!({"accountId": world::account(), "ids": [], "properties": asked::ROWS});
    let first = timed(world, "Email/get", arguments).await;
    println!("{:58} {:.0?}", "Email/get, for the first time", first.wall);
    for _ in 0..CALLS {
        let arguments = json!({"accountId": world::account(), "limit": 500, "position": "anywhere"});
        let ids =
            world.told("Email/query", asked::drawn(&arguments, emails - 500, random)).await["ids"].clone();
        let mut arguments = json!({"accountId": world::account(), "ids": ids, "properties": asked::ROWS});
        rows.push(timed(world, "Email/get", arguments.clone()).await);
        arguments["properties"] = json!(asked::LIST);
        lists.push(timed(world, "Email/get", arguments).await);
        let told = world
            .told("Email/get", json!({"accountId": world::account(), "ids": ids, "properties": ["threadId"]}))
            .await;
        let ids: Vec<&Value> =
            told["list"].as_array().unwrap().iter().map(|email| &email["threadId"]).collect();
        let arguments = json!({"accountId": world::account(), "ids": ids});
        threads.push(timed(world, "Thread/get", arguments).await);
    }
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
        let (told, took) = world.timed("Email/query", arguments).await;
        queries.push(took);
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

async fn timed(world: &World, method: &str, arguments: Value) -> Took {
    world.timed(method, arguments).await.1
}
