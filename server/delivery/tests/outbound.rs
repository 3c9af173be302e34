//! The runner, when servers, stores and messages are not as they should be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test ends where it fails; its support serves others too"
)]

#[path = "support/sink.rs"]
mod sink;
#[path = "support/world.rs"]
mod world;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use godwit_delivery::outbound::resolver::{MxRecord, ResolveError, Resolver};
use godwit_delivery::outbound::route::Routing;
use schema::Key;
use schema::keys::account::AddressKey;
use schema::keys::queue::slot_of;
use sink::{Script, Sink};
use smtp::Role;
use world::World;

const TEXT: &str = "From: s@example.org\r\nSubject: hello\r\n\r\nbody\r\n";
const ALICE: &str = "<alice@example.test>";
const LONG: Duration = Duration::from_secs(3600);

/// Domains that are in one slot, so that they share its runner.
fn neighbours() -> [String; 3] {
    let slot = slot_of("a.example");
    let mut others = (0..).map(|n| format!("n{n}.example")).filter(|domain| slot_of(domain) == slot);
    ["a.example".to_owned(), others.next().unwrap(), others.next().unwrap()]
}

/// Domains without MX records, with an address each. Who asks for another's makes it panic.
struct Names(Vec<(String, IpAddr)>);

impl Resolver for Names {
    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<MxRecord>, ResolveError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        async move {
            let known = self.0.iter().find(|(name, _)| name == host);
            Ok(vec![known.expect("a domain of the test").1])
        }
        .boxed()
    }
}

/// A sink for each script, all at the same port.
async fn sinks(scripts: Vec<Script>) -> (u16, Vec<Sink>) {
    let mut started: Vec<Sink> = Vec::new();
    for (n, script) in (1..).zip(scripts) {
        let port = started.first().map_or(0, |sink| sink.address.port());
        let address = std::net::SocketAddr::from(([127, 0, 0, n], port));
        started.push(Sink::start_at(address, script).await);
    }
    (started[0].address.port(), started)
}

fn run(world: &World, port: u16, names: Vec<(String, IpAddr)>) {
    world.run_with(Routing { port, ..Routing::default() }, Arc::new(Names(names)), LONG);
}

async fn send(world: &World, domain: &str) {
    world.send(Role::Submission, ALICE, &[&format!("<x@{domain}>")], TEXT).await;
}

async fn attempted(world: &World, times: usize) {
    world
        .until(|| async {
            let queued = world.queued().await;
            queued.iter().filter(|entry| entry.recipients[0].attempts > 0).count() == times
        })
        .await;
}

/// RFC 5321 has no limit for replies; a value of the store has.
/// There are fewer turns in the store than slots, and all of these look for work and begin it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_take_turns_all_get_theirs() {
    let world = World::new().await;
    let sink = Sink::start(Script::default()).await;
    let domains: Vec<String> = (0..300).map(|n| format!("<x@n{n}.example>")).collect();
    for domains in domains.chunks(100) {
        let rcpt: Vec<&str> = domains.iter().map(String::as_str).collect();
        world.send(Role::Submission, ALICE, &rcpt, TEXT).await;
    }
    world.run(sink.address);
    world.drained().await;
}

#[tokio::test]
async fn a_long_reply_ends_the_attempt_as_a_short_one_does() {
    let line = |separator| format!("{separator}{}", "x".repeat(4000));
    let long = |code: u16| -> &'static str {
        let text = format!("{code}{}", line('-')) + "\r\n";
        Box::leak((text.repeat(50) + &format!("{code}{}", line(' '))).into_boxed_str())
    };
    for (code, bounces) in [(250, 0), (550, 1)] {
        let world = World::new().await;
        let sink = Sink::start(Script { dot: Some(long(code)), ..Script::default() }).await;
        world.run(sink.address);
        send(&world, "one.example").await;
        world.drained().await;
        assert_eq!(world.inbox("alice").await.len(), bounces);
        assert_eq!(sink.lines.lock().iter().filter(|line| *line == "DATA").count(), 1, "once");
    }
}

#[tokio::test]
async fn a_message_that_is_lost_is_bounced_without_it() {
    let world = World::new().await;
    let text = format!("{TEXT}{}", "a line of text\r\n".repeat(20_000));
    world.send(Role::Submission, ALICE, &["<x@one.example>"], &text).await;
    std::fs::remove_dir_all(world.folder.path().join("blobs")).unwrap();
    std::fs::create_dir_all(world.folder.path().join("blobs")).unwrap();
    let sink = Sink::start(Script { rcpt: vec![("x", "550 no")], ..Script::default() }).await;
    world.run(sink.address);
    world.drained().await;
    let bounce = world.inbox("alice").await.remove(0);
    assert!(bounce.contains("Action: failed") && !bounce.contains("Subject: hello"), "{bounce}");
}

/// The sender's address in the directory is damaged: his bounce cannot be delivered, now.
#[tokio::test]
async fn an_attempt_whose_notification_fails_is_recorded_and_stops_no_other() {
    let world = World::new().await;
    let [domain, ..] = neighbours();
    let refused = format!("<no@{domain}>");
    world.send(Role::Submission, ALICE, &[&refused], TEXT).await;
    let key = &AddressKey { domain: "example.test".into(), local: "alice".into() }.encode();
    let damage = world.mail.database().transact("test", |txn| async move {
        txn.set(key, b"\xff");
        Ok::<_, kv::Error>(())
    });
    damage.await.unwrap();
    let (port, sinks) = sinks(vec![Script { rcpt: vec![("no", "550 no")], ..Script::default() }]).await;
    run(&world, port, vec![(domain.clone(), sinks[0].address.ip())]);
    attempted(&world, 1).await;
    world.send(Role::Submission, "<bob@example.test>", &[&format!("<yes@{domain}>")], TEXT).await;
    world.until(|| async { sinks[0].taken().len() == 1 }).await;
    world.until(|| async { world.queued().await.len() == 1 }).await;
    assert_eq!(world.queued().await[0].recipients[0].attempts, 1);
}

#[tokio::test]
async fn a_destination_that_is_silent_holds_up_no_other() {
    let world = World::new().await;
    let [silent, alive, _] = neighbours();
    for _ in 0..200 {
        send(&world, &silent).await;
    }
    send(&world, &alive).await;
    let (port, sinks) = sinks(vec![Script { silent: true, ..Script::default() }, Script::default()]).await;
    run(&world, port, vec![(silent, sinks[0].address.ip()), (alive.clone(), sinks[1].address.ip())]);
    world.until(|| async { sinks[1].taken().len() == 1 }).await;
    // What comes later finds its way too.
    send(&world, &alive).await;
    world.until(|| async { sinks[1].taken().len() == 2 }).await;
    assert_eq!(*sinks[0].connections.lock(), 1, "one finds out whether it answers");
}

#[tokio::test]
async fn a_destination_that_refuses_to_speak_is_left_alone() {
    let world = World::new().await;
    let [busy, ..] = neighbours();
    for _ in 0..50 {
        send(&world, &busy).await;
    }
    let script = Script { greeting: Some("421 4.3.2 busy"), ..Script::default() };
    let (port, sinks) = sinks(vec![script]).await;
    run(&world, port, vec![(busy.clone(), sinks[0].address.ip())]);
    attempted(&world, 50).await;
    assert_eq!(*sinks[0].connections.lock(), 1);
    let queued = world.queued().await;
    let said = |entry: &spool::Entry| entry.recipients[0].last.clone().unwrap().text;
    assert!(queued.iter().all(|entry| said(entry).contains("busy")), "{:?}", said(&queued[49]));
    // An operator who wants it now gets it now.
    sinks[0].set(|script| script.greeting = None);
    world.spool.retry_now(queued[7].id).await.unwrap();
    world.until(|| async { sinks[0].taken().len() == 1 }).await;
    // And from then on others go too.
    send(&world, &busy).await;
    world.until(|| async { sinks[0].taken().len() == 2 }).await;
}

#[tokio::test]
async fn a_panic_ends_one_attempt() {
    let world = World::new().await;
    let [panics, alive, _] = neighbours();
    send(&world, &panics).await;
    send(&world, &alive).await;
    let (port, sinks) = sinks(vec![Script::default()]).await;
    run(&world, port, vec![(alive.clone(), sinks[0].address.ip())]);
    world.until(|| async { sinks[0].taken().len() == 1 }).await;
    attempted(&world, 1).await;
    send(&world, &alive).await;
    world.until(|| async { sinks[0].taken().len() == 2 }).await;
    assert_eq!(world.queued().await[0].domain, panics);
}

/// More than one look lists, of a destination with few places.
#[tokio::test]
async fn a_long_queue_is_worked_off_beside_a_silent_one() {
    let world = World::new().await;
    let [silent, alive, _] = neighbours();
    send(&world, &silent).await;
    for _ in 0..150 {
        send(&world, &alive).await;
    }
    let (port, sinks) = sinks(vec![Script { silent: true, ..Script::default() }, Script::default()]).await;
    run(&world, port, vec![(silent, sinks[0].address.ip()), (alive, sinks[1].address.ip())]);
    world.until(|| async { sinks[1].taken().len() == 150 }).await;
    assert!(*sinks[1].connections.lock() <= 4, "{}", sinks[1].connections.lock());
}
