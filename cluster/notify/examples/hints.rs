//! What hints cost: `cargo run --release -p godwit-notify --example hints -- 3 10 100 1000` prints, for clusters of so many nodes
//! in one process and in virtual time, what each node sends under the same work: on each [`SESSIONS`] sessions wait, half of
//! them for accounts that have a session on another node as well, and [`COMMITS`] changes a second are made of any account.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use changes::{Change, Feed, Kinds, LocalFeed, Sink, Subscription};
use godwit_notify::{Carrier, Committed, Interest, Notify, Wake, limits};
use kv::Versionstamp;
use membership::{Member, Members};
use parking_lot::RwLock;
use prost::Message;
use runtime::{Rng, SeededRng, Shutdown, Supervisor, SystemClock};
use schema::{AccountId, NodeId};
use smallvec::SmallVec;
use tokio::sync::watch;
use tokio::time::Instant;

/// Sessions that wait on each node.
const SESSIONS: u32 = 1_000;
/// Changes a second on each node.
const COMMITS: u64 = 100;
/// Over which time traffic is taken.
const MEASURED: Duration = limits::INTEREST;
/// What a message has before it on a stream: kind, flag, length.
const FRAME: usize = 9;

/// Delivers at once, and counts.
#[derive(Default)]
struct Net {
    nodes: RwLock<BTreeMap<NodeId, Notify>>,
    interests: Sum,
    commits: Sum,
    wakes: Sum,
}

#[derive(Default)]
struct Sum {
    messages: AtomicU64,
    octets: AtomicU64,
}

impl Sum {
    fn add(&self, message: &impl Message) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        let octets = message.encoded_len() + FRAME;
        self.octets.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Messages and octets since it was asked last.
    fn take(&self) -> [u64; 2] {
        [self.messages.swap(0, Ordering::Relaxed), self.octets.swap(0, Ordering::Relaxed)]
    }
}

struct Wire {
    net: Arc<Net>,
    me: NodeId,
}

impl Wire {
    fn at(&self, to: NodeId, deliver: impl FnOnce(&Notify)) {
        let node = self.net.nodes.read().get(&to).cloned();
        deliver(&node.unwrap());
    }
}

impl Carrier for Wire {
    fn interest(&self, to: NodeId, message: Interest) {
        self.net.interests.add(&message);
        self.at(to, |node| node.interested(self.me, &message));
    }

    fn committed(&self, to: NodeId, message: Committed) {
        self.net.commits.add(&message);
        self.at(to, |node| node.was_committed(self.me, &message));
    }

    fn wake(&self, to: NodeId, message: Wake) {
        self.net.wakes.add(&message);
        self.at(to, |node| node.woken(&message));
    }

    fn way(&self, _: NodeId) -> Duration {
        Duration::ZERO
    }
}

async fn measure(nodes: u32) {
    let (net, supervisor) = (Arc::new(Net::default()), Supervisor::new(Shutdown::new()));
    let member = |node| Member::new(node, 1, ([127, 0, 0, 1], 1).into());
    let alive = (1..=nodes).map(|number| (NodeId(number), member(NodeId(number)))).collect();
    let members = watch::Sender::new(Arc::new(Members { alive, ..Members::default() }));
    let mut running = Vec::new();
    for id in (1..=nodes).map(NodeId) {
        let notify = Notify::new(LocalFeed::new(), SystemClock::shared());
        net.nodes.write().insert(id, notify.clone());
        let wire = Arc::new(Wire { net: Arc::clone(&net), me: id });
        notify.attach(id, wire, members.subscribe(), &supervisor);
        running.push(notify);
    }
    // A quarter of the accounts with two sessions, on nodes that follow each other, and half with one.
    let accounts = nodes * SESSIONS / 4 * 3;
    let mut waiting: Vec<Subscription> = Vec::new();
    for session in 0..nodes * SESSIONS {
        let node = &running[((session + session / accounts) % nodes) as usize];
        waiting.push(node.subscribe(AccountId(session % accounts)));
    }
    let (real, begun) = (std::time::Instant::now(), Instant::now());
    tokio::time::sleep(limits::PACE).await;
    let _ = [&net.interests, &net.commits, &net.wakes].map(Sum::take);
    let (rng, mut version) = (SeededRng::new(1), 0);
    while begun.elapsed() < MEASURED {
        for node in &running {
            version += 1;
            let account = AccountId(u32::try_from(rng.below(accounts.into())).unwrap());
            let (version, mailboxes) = (Versionstamp::new(version, 0), SmallVec::new());
            node.committed(&Change { account, mailboxes, version, kinds: Kinds::MESSAGES });
        }
        tokio::time::sleep(Duration::from_millis(1000 / COMMITS)).await;
    }
    print_row(nodes, &net, begun.elapsed(), real.elapsed());
}

fn print_row(nodes: u32, net: &Net, took: Duration, computed: Duration) {
    let each = |sum: u64| sum as f64 / f64::from(nodes) / took.as_secs_f64();
    let sums = [&net.interests, &net.commits, &net.wakes].map(Sum::take);
    let [interests, commits, wakes] =
        sums.map(|[messages, octets]| format!("{:.1}/s, {:.2} kB/s", each(messages), each(octets) / 1000.0));
    let octets: u64 = sums.iter().map(|[_, octets]| octets).sum();
    println!(
        "| {nodes} | {interests} | {commits} | {wakes} | {:.2} kB/s | {:.1} s |",
        each(octets) / 1000.0,
        computed.as_secs_f64()
    );
}

fn main() {
    println!(
        "| nodes | interest sent by each | commits told to homes | interested nodes woken | all | computed in |"
    );
    println!("|---|---|---|---|---|---|");
    for nodes in std::env::args().skip(1).filter_map(|text| text.parse().ok()) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(measure(nodes));
    }
}
