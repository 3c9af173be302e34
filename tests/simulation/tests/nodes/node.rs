//! One process: all of a node but its listeners.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use accounts::{Accounts, HashCost};
use delivery::outbound::client::{ClientOptions, ClientTimeouts};
use delivery::outbound::route::Routing;
use delivery::outbound::schedule::Schedule;
use delivery::outbound::{Runner, RunnerOptions};
use delivery::{CombinerLimits, Delivery, Options, Services};
use kv::Database;
use kv::fault::Gate;
use leases::Leases;
use ownership::{Hints, Ownership, Timings};
use parking_lot::Mutex;
use runtime::{Clock, SharedClock, SharedRng, Shutdown, Supervisor, TaskKind, Timestamp};
use schema::NodeId;
use smtp_proto::ClientName;
use spool::Spool;
use tokio::time::Instant;

use crate::remote::{Line, Names, Remote};

/// Monotonic time is the runtime's; the wall clock is off by as much as a test likes.
pub(crate) struct SkewedClock {
    pub(crate) started: Instant,
    /// Milliseconds.
    pub(crate) offset: AtomicI64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.monotonic().as_millis()).unwrap();
        Timestamp(1_790_000_000_000 + millis + self.offset.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// What processes think of nodes, by the name of who thinks; 100 where nothing is said.
pub(crate) type Views = Arc<Mutex<BTreeMap<(usize, NodeId), u32>>>;

struct View {
    name: usize,
    views: Views,
}

impl Hints for View {
    fn weight(&self, node: NodeId) -> u32 {
        self.views.lock().get(&(self.name, node)).copied().unwrap_or(100)
    }
}

/// What a process is made of.
pub(crate) struct Makings<'a> {
    pub(crate) name: usize,
    pub(crate) db: Database,
    pub(crate) folder: &'a std::path::Path,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) rng: SharedRng,
    pub(crate) gate: Gate,
    pub(crate) remote: Remote,
    pub(crate) views: Views,
}

/// A process. It is killed by shutting its gate for ever: whatever it waits for then does not come.
pub(crate) struct Node {
    pub(crate) delivery: Delivery,
    pub(crate) accounts: Accounts,
    pub(crate) mail: mail::Store,
    pub(crate) spool: Spool,
    pub(crate) ownership: Ownership,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) gate: Gate,
    pub(crate) shutdown: Shutdown,
}

impl Node {
    pub(crate) fn start(with: Makings<'_>) -> Node {
        let Makings { name, db, folder, clock, rng, gate, remote, views } = with;
        let shared: SharedClock = clock.clone();
        let blobs =
            blob::Store::open(folder, db.clone(), shared.clone(), rng.clone(), blob::Options::default());
        let blobs = blobs.unwrap();
        let options = accounts::Options { cost: HashCost::CHEAP, ..accounts::Options::default() };
        let accounts = Accounts::new(db.clone(), shared.clone(), rng.clone(), options);
        let feed = Arc::new(changes::LocalFeed::new());
        let mail = mail::Store::new(db.clone(), blobs.clone(), feed, shared.clone(), rng.clone());
        let spool = Spool::new(db.clone(), blobs, shared.clone(), rng.clone());
        let services = Services {
            db: db.clone(),
            accounts: accounts.clone(),
            mail: mail.clone(),
            spool: spool.clone(),
            clock: shared.clone(),
            rng,
        };
        let shutdown = Shutdown::new();
        let supervisor = Supervisor::new(shutdown.clone());
        let options =
            Options { hostname: format!("n{name}.example.test"), lifetime: Duration::from_secs(86_400) };
        let delivery = Delivery::new(services, options, CombinerLimits::default(), supervisor.clone());
        let charge = runner(&delivery, Line { remote, gate: gate.clone() }).charge(&supervisor);
        let record =
            leases::Node { name: format!("n{name}"), level_min: 1, level_max: 1, ..leases::Node::default() };
        let hints = Arc::new(View { name, views });
        let leases = Leases::new(db, shared.clone());
        let ownership = Ownership::new(leases, record, hints, shared, Timings::default());
        let (running, stop) = (ownership.clone(), shutdown.drain.clone());
        supervisor.spawn(TaskKind::Background, "ownership", async move {
            while running.join().await.is_err() {}
            // Superseded by its successor, or stopped.
            let _ = running.run(vec![charge], stop).await;
        });
        Node { delivery, accounts, mail, spool, ownership, clock, gate, shutdown }
    }
}

fn runner(delivery: &Delivery, line: Line) -> Runner {
    let client = ClientOptions {
        hostname: ClientName::new("mx.example.test").unwrap(),
        tls: None,
        timeouts: ClientTimeouts::default(),
        network: Arc::new(line),
    };
    let options = RunnerOptions { client, routing: Routing::default(), schedule: Schedule::development() };
    Runner::new(delivery, Arc::new(Names), options)
}
